"""Sizes and rates on paper: parameters, training, keys and values, steps, capacity. Free of torch."""

from cblab.memory.activations import activation_bytes, transformer_layer_bytes
from cblab.memory.comparison import PartSizes, compare_sizes
from cblab.memory.dtypes import DTYPE_BYTES, bytes_per_element
from cblab.memory.files import CheckpointSizes, checkpoint_sizes
from cblab.memory.hardware import HARDWARE, Hardware, hardware
from cblab.memory.kv_cache import kv_bytes, kv_bytes_per_token, kv_cache_bytes
from cblab.memory.parameters import ParameterCounts, count_parameters, embedding_bytes, weights_bytes
from cblab.memory.plan import ServingPlan, plan_serving
from cblab.memory.published import PUBLISHED, PublishedModel, published
from cblab.memory.quantization import quantized_bytes, quantized_weights_bytes
from cblab.memory.roofline import rates, step_cost, step_seconds, step_sizes
from cblab.memory.serving import (
    BatchPoint,
    batch_curve,
    largest_batch,
    max_requests,
    num_kv_blocks,
    usd_per_million_tokens,
)
from cblab.memory.shapes import parameter_shapes
from cblab.memory.training import OPTIMIZERS, training_bytes
from cblab.memory.units import format_bytes

__all__ = [
    "DTYPE_BYTES",
    "HARDWARE",
    "OPTIMIZERS",
    "PUBLISHED",
    "BatchPoint",
    "CheckpointSizes",
    "Hardware",
    "ParameterCounts",
    "PartSizes",
    "PublishedModel",
    "ServingPlan",
    "activation_bytes",
    "batch_curve",
    "bytes_per_element",
    "checkpoint_sizes",
    "compare_sizes",
    "count_parameters",
    "embedding_bytes",
    "format_bytes",
    "hardware",
    "kv_bytes",
    "kv_bytes_per_token",
    "kv_cache_bytes",
    "largest_batch",
    "max_requests",
    "num_kv_blocks",
    "parameter_shapes",
    "plan_serving",
    "published",
    "quantized_bytes",
    "quantized_weights_bytes",
    "rates",
    "step_cost",
    "step_seconds",
    "step_sizes",
    "training_bytes",
    "transformer_layer_bytes",
    "usd_per_million_tokens",
    "weights_bytes",
]

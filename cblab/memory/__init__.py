"""Sizes on paper: parameters, weights and keys/values, computed from a model's config. Free of torch."""

from cblab.memory.comparison import PartSizes, compare_sizes
from cblab.memory.dtypes import DTYPE_BYTES, bytes_per_element
from cblab.memory.files import CheckpointSizes, checkpoint_sizes
from cblab.memory.kv_cache import kv_bytes, kv_bytes_per_token
from cblab.memory.parameters import ParameterCounts, count_parameters, embedding_bytes, weights_bytes
from cblab.memory.units import format_bytes

__all__ = [
    "DTYPE_BYTES",
    "CheckpointSizes",
    "ParameterCounts",
    "PartSizes",
    "bytes_per_element",
    "checkpoint_sizes",
    "compare_sizes",
    "count_parameters",
    "embedding_bytes",
    "format_bytes",
    "kv_bytes",
    "kv_bytes_per_token",
    "weights_bytes",
]

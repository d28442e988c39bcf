"""One plan of a service: a model on a machine, with its sizes, its speed and its price."""

from dataclasses import dataclass

from cblab.memory.hardware import Hardware
from cblab.memory.parameters import embedding_bytes, weights_bytes
from cblab.memory.quantization import quantized_weights_bytes
from cblab.memory.roofline import rates, step_seconds, step_sizes
from cblab.memory.serving import max_requests, num_kv_blocks, usd_per_million_tokens
from cblab.model.config import ModelConfig


@dataclass(frozen=True)
class ServingPlan:
    """What a plan comes to.

    Attributes:
        weight_bytes: of all weights, as they are stored.
        kv_bytes_per_token: over all layers.
        max_requests: requests of the planned length that fit at once; 0 where the weights do not fit.
        batch: requests that decode together, as asked for.
        step_s: seconds of a decode step of that batch, by the roofline.
        tokens_per_s: of the batch together.
        usd_per_million_tokens: at that rate.
        bound: what decides the step's time, "memory" or "compute".
    """

    weight_bytes: int
    kv_bytes_per_token: int
    max_requests: int
    batch: int
    step_s: float
    tokens_per_s: float
    usd_per_million_tokens: float
    bound: str

    @property
    def fits(self) -> bool:
        """Whether the batch's keys and values fit beside the weights."""
        return self.batch <= self.max_requests


def plan_serving(
    config: ModelConfig,
    machine: Hardware,
    *,
    context_len: int,
    batch: int,
    usd_per_hour: float,
    weight_bits: int = 16,
    kv_bits: int = 16,
    block_size: int = 16,
    utilization: float = 0.9,
) -> ServingPlan:
    """Plan decoding on one machine; weights of fewer than 16 bits have a float16 scale for each 128.

    Raises:
        ValueError: a mixture of experts, or a count below 1.
    """
    for name, count in (("context_len", context_len), ("batch", batch), ("block_size", block_size)):
        if count < 1:
            raise ValueError(f"{name} must be at least 1, got {count}")
    model = step_sizes(config, "bfloat16")
    stored = weights_bytes(config, "bfloat16")
    if weight_bits < 16:
        stored = quantized_weights_bytes(config, weight_bits)
        # A step does not read the token table, but for a row a token, unless the output layer is tied to it.
        table = 0 if config.tie_word_embeddings else embedding_bytes(config, "bfloat16")
        model["weight_bytes"] = stored - table
    model["kv_bytes_per_token"] = model["kv_bytes_per_token"] * kv_bits // 16
    blocks = num_kv_blocks(machine.memory_bytes, utilization, stored, model["kv_bytes_per_token"], block_size)
    seconds = step_seconds(model, rates(machine), [1] * batch, [context_len] * batch)
    only_arithmetic = step_seconds(
        model,
        {"flop_per_s": machine.flop_per_s, "bytes_per_s": float("inf")},
        [1] * batch,
        [context_len] * batch,
    )
    return ServingPlan(
        weight_bytes=stored,
        kv_bytes_per_token=model["kv_bytes_per_token"],
        max_requests=max_requests(blocks, block_size, context_len),
        batch=batch,
        step_s=seconds,
        tokens_per_s=batch / seconds,
        usd_per_million_tokens=usd_per_million_tokens(usd_per_hour, batch / seconds),
        bound="compute" if only_arithmetic == seconds else "memory",
    )

"""FLOPs and bytes of one step of an engine, and the seconds that the roofline allows it.

The roofline model (Williams, Waterman and Patterson, 2009): work takes at least as long as its arithmetic at
the machine's best rate, and at least as long as its memory traffic at the best rate.
"""

from collections.abc import Mapping, Sequence

from cblab.memory.dtypes import bytes_per_element
from cblab.memory.hardware import Hardware
from cblab.memory.kv_cache import kv_bytes_per_token
from cblab.memory.parameters import count_parameters
from cblab.model.config import ModelConfig


def step_sizes(config: ModelConfig, dtype: str, *, weight_bytes: int | None = None) -> dict[str, int]:
    """What `step_cost` needs to know of a model whose weights and cache are stored as `dtype`.

    `matmul_parameters` are those that each token is multiplied with: all but the look-up of the token table,
    which an output layer that is tied to it reads again. `attention_width` is query heads times head size,
    over all layers. `weight_bytes` can be given, for weights that are quantized.

    Raises:
        ValueError: a mixture of experts, whose products depend on how its tokens are routed.
    """
    if config.num_experts:
        raise ValueError(f"no cost is known for a mixture of experts, got num_experts={config.num_experts}")
    counts = count_parameters(config)
    matmul = counts.attention + counts.mlp + (counts.lm_head or counts.embedding)
    return {
        "matmul_parameters": matmul,
        "attention_width": config.num_layers * config.num_heads * config.head_dim,
        "weight_bytes": matmul * bytes_per_element(dtype) if weight_bytes is None else weight_bytes,
        "kv_bytes_per_token": kv_bytes_per_token(config, dtype),
    }


def step_cost(
    model: Mapping[str, int], new_tokens: Sequence[int], context_lens: Sequence[int]
) -> tuple[int, int]:
    """Return the FLOPs and the bytes of memory traffic of one step.

    Args:
        model: what `step_sizes` gives.
        new_tokens: tokens that each request computes in this step; 0 for one that waits.
        context_lens: tokens of each request, cached and new.

    A product with a weight is 2 FLOPs a token; attention is 4 FLOPs for each pair of a query and a key that
    it sees, for each unit of width. The weights are read once; the keys and values of a request that computes
    something are read or written once, all of its context.
    """
    pairs = kv_tokens = 0
    for new, context in zip(new_tokens, context_lens, strict=True):
        if new:
            pairs += new * (context - new) + new * (new + 1) // 2
            kv_tokens += context
    flop = 2 * model["matmul_parameters"] * sum(new_tokens) + 4 * model["attention_width"] * pairs
    return flop, model["weight_bytes"] + model["kv_bytes_per_token"] * kv_tokens


def step_seconds(
    model: Mapping[str, int],
    machine: Mapping[str, float],
    new_tokens: Sequence[int],
    context_lens: Sequence[int],
) -> float:
    """Return the least seconds of one step on a machine with these `flop_per_s` and `bytes_per_s`."""
    flop, num_bytes = step_cost(model, new_tokens, context_lens)
    return max(flop / machine["flop_per_s"], num_bytes / machine["bytes_per_s"])


def rates(machine: Hardware) -> dict[str, float]:
    """The two rates that `step_seconds` asks for."""
    return {"flop_per_s": machine.flop_per_s, "bytes_per_s": machine.bytes_per_s}

"""How fast a workload could be served on a machine, were nothing lost: its bound in output tokens/s.

What is counted, after the roofline model (Williams, Waterman and Patterson, 2009):

- prompts: the matrix products with the weights, at the rate of a large product, the output layer once each;
- each decode step of all requests that still run: the larger of reading the weights once and of its matrix
  products at that same rate, and on top of it the keys and values that are read.

Requests start together and prompts come first: no other order has fewer decode steps. Attention's own
arithmetic, norms and sampling cost nothing here. Weights that fit into a cache can be read faster than this
counts; then a run of few requests may exceed its bound.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from cblab.memory import bytes_per_element, count_parameters, kv_bytes_per_token
from cblab.model.config import ModelConfig
from tests.benchmarks.sides.protocol import Job


@dataclass(frozen=True)
class Limits:
    """What a machine is measured to do; see `tests.benchmarks.limits`.

    Attributes:
        read_bytes_per_s: from memory, all threads together.
        flop_per_s: of a large matrix product, by the name of its dtype.
    """

    read_bytes_per_s: float
    flop_per_s: dict[str, float]

    def __str__(self) -> str:
        rates = [f"{rate / 1e9:,.0f} GFLOP/s in {dtype}" for dtype, rate in self.flop_per_s.items()]
        return f"reads {self.read_bytes_per_s / 1e9:.1f} GB/s; large matrix products: {', '.join(rates)}"


@dataclass(frozen=True)
class Bound:
    """Least seconds of a workload by what they go to."""

    num_new_tokens: int
    prefill_s: float
    decode_products_s: float
    decode_weights_s: float
    decode_kv_s: float

    @property
    def seconds(self) -> float:
        """All of them together."""
        return self.prefill_s + self.decode_products_s + self.decode_weights_s + self.decode_kv_s

    @property
    def tokens_per_second(self) -> float:
        """Output tokens a second."""
        return self.num_new_tokens / self.seconds


def compute_bound(config: ModelConfig, jobs: Sequence[Job], limits: Limits, dtype: str) -> Bound:
    """Return the bound of serving `jobs` with weights, keys and values in `dtype`.

    Raises:
        ValueError: a mixture of experts, whose products depend on how its tokens are routed.
    """
    if config.num_experts:
        raise ValueError(f"no bound is known for a mixture of experts, got num_experts={config.num_experts}")
    counts = count_parameters(config)
    layers = counts.attention + counts.mlp
    output_layer = counts.lm_head or counts.embedding  # tied to it
    flop_per_s = limits.flop_per_s[dtype]
    weights_s = (layers + counts.norms + output_layer) * bytes_per_element(dtype) / limits.read_bytes_per_s
    kv_s = kv_bytes_per_token(config, dtype) / limits.read_bytes_per_s

    prefill_flop = sum(2 * layers * len(job.prompt) + 2 * output_layer for job in jobs)
    from_products = from_weights = from_kv = 0.0
    for step in range(1, max(job.num_new_tokens for job in jobs)):
        contexts = [len(job.prompt) + step for job in jobs if job.num_new_tokens > step]
        products_s = 2 * (layers + output_layer) * len(contexts) / flop_per_s
        if products_s > weights_s:
            from_products += products_s
        else:
            from_weights += weights_s
        from_kv += sum(contexts) * kv_s
    return Bound(
        sum(job.num_new_tokens for job in jobs),
        prefill_flop / flop_per_s,
        from_products,
        from_weights,
        from_kv,
    )

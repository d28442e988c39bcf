"""How one request wants its tokens chosen, and when it ends. Torch-free; the names are vLLM's."""

import math
from dataclasses import dataclass

# Below this temperature the softmax is one-hot in float32 whatever the logits: vLLM draws the line here too.
GREEDY_BELOW = 1e-5


@dataclass(frozen=True)
class SamplingParams:
    """Sampling parameters of one request; a value that makes no sense is a `ValueError` that names it.

    temperature: 0 (or anything below 1e-5) is greedy; larger is flatter.
    top_k: keep the `top_k` largest logits, and every tie at rank `top_k`; 0 keeps all.
    top_p: keep the smallest set of tokens whose probabilities reach `top_p`; 1 keeps all.
    seed: with a seed the output is reproducible, and the same alone and in any batch; None draws a fresh one.
    max_tokens: at most so many new tokens; None goes on to the model's context limit.
    stop_token_ids: tokens that end the output, besides the tokenizer's EOS.
    ignore_eos: go on past EOS and `stop_token_ids` (for measurements).
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int | None = None
    max_tokens: int | None = 16
    stop_token_ids: tuple[int, ...] = ()
    ignore_eos: bool = False

    def __post_init__(self) -> None:
        if not _is_number(self.temperature) or not 0 <= self.temperature < math.inf:
            raise ValueError(
                f"temperature must be a finite number >= 0 (0 is greedy), got {self.temperature!r}"
            )
        if not _is_int(self.top_k) or self.top_k < 0:
            raise ValueError(f"top_k must be an integer >= 0 (0 keeps all tokens), got {self.top_k!r}")
        if not _is_number(self.top_p) or not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be a number in (0, 1] (1 keeps all tokens), got {self.top_p!r}")
        if self.seed is not None and not _is_int(self.seed):
            raise ValueError(f"seed must be an integer or None, got {self.seed!r}")
        if self.max_tokens is not None and (not _is_int(self.max_tokens) or self.max_tokens < 1):
            raise ValueError(
                "max_tokens must be an integer >= 1 (or None: up to the context limit), got "
                f"{self.max_tokens!r}"
            )
        if not all(_is_int(token) and token >= 0 for token in self.stop_token_ids):
            raise ValueError(f"stop_token_ids must be token ids >= 0, got {self.stop_token_ids!r}")

    @property
    def is_greedy(self) -> bool:
        """Whether the largest logit is taken and no randomness is used."""
        return self.temperature < GREEDY_BELOW


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

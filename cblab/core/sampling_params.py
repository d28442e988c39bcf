"""How one request wants its tokens chosen, and when it ends. Torch-free; the names are vLLM's."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cblab.core.presets import PRESETS

if TYPE_CHECKING:
    from torch import Tensor

    LogitsProcessor = Callable[[Sequence[int], Sequence[int], Tensor], Tensor]

# Below this temperature the softmax is one-hot in float32 whatever the logits: vLLM draws the line here too.
GREEDY_BELOW = 1e-5


@dataclass(frozen=True)
class SamplingParams:
    """Sampling parameters of one request.

    A value that makes no sense, alone or beside another, is a `ValueError` that names it.

    Lists may be given; they are kept as tuples, and one stop string as a tuple of one.

    How many:
        n: samples of one prompt. More than one needs a temperature: greedy ones would all be the same.
        max_tokens: at most so many new tokens; None goes on to the model's context limit. 0 generates
            nothing, which is for scoring a prompt: it needs `prompt_logprobs`.
        min_tokens: before so many, no token that ends the output can be chosen.

    From which distribution, in the order in which they are applied (see `cblab.core.sampler`):
        logit_bias: what is added to a token's logit, by token id.
        repetition_penalty: divides the positive and multiplies the negative logits of tokens that the prompt
            or the output holds; above 1 discourages, 1 is off.
        presence_penalty: is subtracted from the logits of tokens that the output holds, in [-2, 2].
        frequency_penalty: the same, times how often the output holds them.
        allowed_token_ids: only these can be chosen; None allows all.
        banned_token_ids: these cannot. vLLM's `bad_words` takes words instead, and can ban one of several
            tokens; an id is what that comes down to for a word of one token.
        logits_processors: own functions `(prompt_token_ids, output_token_ids, logits) -> logits`, in order;
            the logits are one row, `[vocab_size]` float32, which may be changed in place.
        temperature: 0 (or anything below 1e-5) is greedy; larger is flatter. A greedy request takes the
            largest logit, which top_k, top_p and min_p always keep.
        top_k: keep the `top_k` largest logits, and every tie at rank `top_k`; 0 keeps all.
        top_p: keep the smallest set of tokens whose probabilities reach `top_p`; 1 keeps all.
        min_p: keep the tokens at least `min_p` times as likely as the likeliest; 0 keeps all.
        seed: with a seed the output is reproducible, and the same alone and in any batch; None draws a fresh
            one.

    When it ends:
        stop: strings that end the output.
        include_stop_str_in_output: whether the text keeps the string that ended it.
        stop_token_ids: tokens that end it, besides EOS.
        ignore_eos: EOS does not end it; `stop_token_ids` still do.

    What is told:
        logprobs: for each new token its log-probability, and those of the `logprobs` likeliest; 0 is the new
            token's alone, None nothing. They are of the model's own distribution, before all of the above.
            With them come the probability that the token was sampled with, and the entropy, after all of it.
        prompt_logprobs: the same for the prompt's tokens, each given those before it.
    """

    n: int = 1
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    # Left out of the hash, as dicts have none; equality sees it.
    logit_bias: Mapping[int, float] = field(default_factory=dict, hash=False)
    allowed_token_ids: Sequence[int] | None = None
    banned_token_ids: Sequence[int] = ()
    logits_processors: Sequence[LogitsProcessor] = ()
    seed: int | None = None
    max_tokens: int | None = 16
    min_tokens: int = 0
    stop: str | Sequence[str] = ()
    include_stop_str_in_output: bool = False
    stop_token_ids: Sequence[int] = ()
    ignore_eos: bool = False
    logprobs: int | None = None
    prompt_logprobs: int | None = None

    @classmethod
    def preset(cls, name: str, **changes: Any) -> SamplingParams:
        """Return the parameters that go by a name, with changes: `preset("creative", seed=1)`.

        Raises:
            ValueError: there is no preset of that name.
        """
        if name not in PRESETS:
            raise ValueError(f"no preset is called {name!r}: there are {', '.join(sorted(PRESETS))}")
        return cls(**{**PRESETS[name], **changes})

    @property
    def is_greedy(self) -> bool:
        """Whether the largest logit is taken and no randomness is used."""
        return self.temperature < GREEDY_BELOW

    @cached_property
    def forbids_tokens(self) -> bool:
        """Whether there are tokens that may not be chosen anywhere in the output."""
        return bool(self.banned_token_ids) or self.allowed_token_ids is not None

    @cached_property
    def looks_back(self) -> bool:
        """Whether a token's logits depend on the tokens before it by more than the model."""
        penalties = self.repetition_penalty - 1, self.presence_penalty, self.frequency_penalty
        return any(penalties) or bool(self.logits_processors)

    @cached_property
    def changes_logits(self) -> bool:
        """Whether the largest logit may become another's, before the temperature, anywhere in the output."""
        return bool(self.logit_bias) or self.forbids_tokens or self.looks_back

    def __post_init__(self) -> None:
        self._normalise()
        self._check_counts()
        self._check_numbers()
        self._check_lists()
        self._check_contradictions()

    def _normalise(self) -> None:
        """Turn lists into tuples, and one stop string into a tuple of one."""
        stop = (self.stop,) if isinstance(self.stop, str) else self.stop
        object.__setattr__(self, "stop", _tuple("stop", stop))
        for name in ("stop_token_ids", "banned_token_ids", "logits_processors"):
            object.__setattr__(self, name, _tuple(name, getattr(self, name)))
        if self.allowed_token_ids is not None:
            object.__setattr__(self, "allowed_token_ids", _tuple("allowed_token_ids", self.allowed_token_ids))
        if not isinstance(self.logit_bias, Mapping):
            raise ValueError(f"logit_bias must map token ids to numbers, got {self.logit_bias!r}")
        object.__setattr__(self, "logit_bias", dict(self.logit_bias))

    def _check_counts(self) -> None:
        for name, least, none_means in (
            ("n", 1, ""),
            ("top_k", 0, ""),
            ("min_tokens", 0, ""),
            ("max_tokens", 0, "up to the context limit"),
            ("logprobs", 0, "none are returned"),
            ("prompt_logprobs", 0, "none are returned"),
        ):
            value = getattr(self, name)
            if value is None and none_means:
                continue
            if not _is_int(value) or value < least:
                remark = f" (or None: {none_means})" if none_means else ""
                raise ValueError(f"{name} must be an integer >= {least}{remark}, got {value!r}")
        if self.seed is not None and not _is_int(self.seed):
            raise ValueError(f"seed must be an integer or None, got {self.seed!r}")

    def _check_numbers(self) -> None:
        for name, is_right, wanted in (
            ("temperature", lambda x: 0 <= x < math.inf, "a finite number >= 0 (0 is greedy)"),
            ("top_p", lambda x: 0 < x <= 1, "a number in (0, 1] (1 keeps all tokens)"),
            ("min_p", lambda x: 0 <= x <= 1, "a number in [0, 1] (0 keeps all tokens)"),
            ("repetition_penalty", lambda x: 0 < x < math.inf, "a finite number > 0 (1 is off)"),
            ("presence_penalty", lambda x: -2 <= x <= 2, "a number in [-2, 2] (0 is off)"),
            ("frequency_penalty", lambda x: -2 <= x <= 2, "a number in [-2, 2] (0 is off)"),
        ):
            value = getattr(self, name)
            if not _is_number(value) or not is_right(value):
                raise ValueError(f"{name} must be {wanted}, got {value!r}")
        for name in ("ignore_eos", "include_stop_str_in_output"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} must be True or False, got {getattr(self, name)!r}")

    def _check_lists(self) -> None:
        for name in ("stop_token_ids", "banned_token_ids", "allowed_token_ids", "logit_bias"):
            value = getattr(self, name)
            if not all(_is_int(token) and token >= 0 for token in value or ()):
                raise ValueError(f"{name} must hold token ids >= 0, got {value!r}")
        if not all(_is_number(bias) and math.isfinite(bias) for bias in self.logit_bias.values()):
            raise ValueError(
                f"logit_bias must hold finite numbers (banned_token_ids bans), got {self.logit_bias!r}"
            )
        if not all(isinstance(text, str) and text for text in self.stop):
            raise ValueError(f"stop must hold strings that are not empty, got {self.stop!r}")
        if not all(callable(processor) for processor in self.logits_processors):
            raise ValueError(f"logits_processors must be functions, got {self.logits_processors!r}")

    def _check_contradictions(self) -> None:
        if self.max_tokens is not None and self.min_tokens > self.max_tokens:
            raise ValueError(f"min_tokens ({self.min_tokens}) exceeds max_tokens ({self.max_tokens})")
        if self.max_tokens == 0 and (self.prompt_logprobs is None or self.n > 1):
            raise ValueError(
                "max_tokens=0 generates nothing, it is for scoring a prompt once: set prompt_logprobs and "
                "n=1, or at least max_tokens=1"
            )
        if self.is_greedy and self.n > 1:
            raise ValueError(
                f"n={self.n} greedy samples would all be the same: set n=1, or a temperature above 0 "
                f"(it is {self.temperature!r})"
            )
        if self.allowed_token_ids is not None and not set(self.allowed_token_ids) - set(self._forbidden()):
            raise ValueError(
                f"allowed_token_ids={self.allowed_token_ids!r} leaves no token to choose: "
                "banned_token_ids, or min_tokens with stop_token_ids, forbids all of them"
            )

    def _forbidden(self) -> tuple[int, ...]:
        """Tokens that cannot come first."""
        return (*self.banned_token_ids, *(self.stop_token_ids if self.min_tokens else ()))


def _tuple(name: str, values: object) -> tuple[Any, ...]:
    if not isinstance(values, Iterable):
        raise ValueError(f"{name} must be a list or a tuple, got {values!r}")
    return tuple(values)


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

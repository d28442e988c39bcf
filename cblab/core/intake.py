"""From what a user asks for to `Request`s: everything that can be refused is refused here, by name."""

import math
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import index
from random import Random

from cblab.core.config import EngineConfig
from cblab.core.request import Request
from cblab.core.sampling_params import SamplingParams
from cblab.model.config import ModelConfig
from cblab.tokenization import Tokenizer

Prompt = str | Sequence[int]
OnToken = Callable[[Request, int], None]


@dataclass(frozen=True)
class Arrival:
    """What comes with a prompt besides its sampling parameters; see `Engine.add_request`."""

    request_id: str
    arrival_time: float
    priority: int = 0
    cache_salt: str = ""
    deadline: float | None = None
    on_token: OnToken | None = None


class Intake:
    """Makes requests for one model and one pool.

    `num_slots` is the number of tokens that the pool holds.

    Raises:
        ValueError: `config.max_model_len` exceeds what the model was made for.
    """

    def __init__(
        self, model_config: ModelConfig, tokenizer: Tokenizer | None, config: EngineConfig, num_slots: int
    ) -> None:
        self.model_config = model_config
        self.tokenizer = tokenizer
        self.config = config
        self.num_slots = num_slots
        limit = model_config.max_position_embeddings
        if config.max_model_len is not None and config.max_model_len > limit:
            raise ValueError(f"max_model_len={config.max_model_len} exceeds the model's own limit of {limit}")
        self.max_model_len = config.max_model_len or limit
        self._seeds = Random(secrets.randbits(64) if config.seed is None else config.seed)

    def make(self, prompt: Prompt, params: SamplingParams, arrival: Arrival) -> list[Request]:
        """Return the request of a prompt, followed by the other samples where `params.n` asks for several.

        Raises:
            ValueError: the prompt or a parameter does not go with this model or this pool.
        """
        token_ids = self._token_ids(prompt)
        self._check_prompt(token_ids, params)
        self._check_params(params)
        _check_arrival(arrival)
        seed = self._seeds.getrandbits(63) if params.seed is None else params.seed

        def sample(index: int) -> Request:
            return Request(
                request_id=f"{arrival.request_id}#{index}" if index else arrival.request_id,
                prompt_token_ids=token_ids,
                params=params,
                arrival_time=arrival.arrival_time,
                priority=arrival.priority,
                seed=seed,
                sample_index=index,
                max_length=self._max_length(len(token_ids), params),
                stop_token_ids=self._stop_token_ids(params),
                cache_salt=arrival.cache_salt,
                deadline=None if arrival.deadline is None else arrival.arrival_time + arrival.deadline,
                on_token=arrival.on_token,
            )

        first, *siblings = (sample(index) for index in range(params.n))
        first.siblings = tuple(siblings)
        return [first, *siblings]

    def _token_ids(self, prompt: Prompt) -> list[int]:
        if not isinstance(prompt, str):
            return _integers(prompt)
        if self.tokenizer is None:
            raise ValueError(
                f"the prompt {prompt[:40]!r} is text and the engine has no tokenizer: give token ids"
            )
        return self.tokenizer.encode(prompt)

    def _check_prompt(self, token_ids: Sequence[int], params: SamplingParams) -> None:
        length, vocab_size = len(token_ids), self.model_config.vocab_size
        if not length:
            raise ValueError("the prompt is empty: there is nothing to continue")
        strange = next((token for token in token_ids if not 0 <= token < vocab_size), None)
        if strange is not None:
            raise ValueError(f"the prompt holds the token id {strange}: the vocabulary has {vocab_size}")
        num_new = 0 if params.max_tokens == 0 else 1
        if length + num_new > self.max_model_len:
            raise ValueError(
                f"the prompt has {length} tokens: the context limit is {self.max_model_len} (max_model_len)"
                + (", and one of them must be new" if num_new else "")
            )
        if length > self.num_slots:
            raise ValueError(
                f"the prompt has {length} tokens and can never fit: the KV cache holds {self.num_slots}. "
                "Raise num_blocks or kv_cache_memory_bytes"
            )

    def _check_params(self, params: SamplingParams) -> None:
        if params.n > self.config.max_num_seqs:
            raise ValueError(f"n={params.n} samples exceed max_num_seqs={self.config.max_num_seqs}")
        if params.stop and self.tokenizer is None:
            raise ValueError(f"stop strings {params.stop!r} need text and the engine has no tokenizer")
        vocab_size = self.model_config.vocab_size
        for name in ("stop_token_ids", "logit_bias", "allowed_token_ids", "banned_token_ids"):
            strange = next((token for token in getattr(params, name) or () if token >= vocab_size), None)
            if strange is not None:
                raise ValueError(f"{name} holds the token id {strange}: the vocabulary has {vocab_size}")

    def _max_length(self, num_prompt_tokens: int, params: SamplingParams) -> int:
        if params.max_tokens is None:
            return self.max_model_len
        return min(self.max_model_len, num_prompt_tokens + params.max_tokens)

    def _stop_token_ids(self, params: SamplingParams) -> frozenset[int]:
        if params.ignore_eos:
            return frozenset(params.stop_token_ids)
        eos = None if self.tokenizer is None else self.tokenizer.eos_token_id
        own = () if eos is None else (eos,)
        return frozenset((*own, *self.model_config.eos_token_ids, *params.stop_token_ids))


def _check_arrival(arrival: Arrival) -> None:
    for name in ("request_id", "cache_salt"):
        if not isinstance(getattr(arrival, name), str):
            raise ValueError(f"{name} must be a string, got {getattr(arrival, name)!r}")
    if not isinstance(arrival.priority, int | float) or not math.isfinite(arrival.priority):
        raise ValueError(
            f"priority must be a finite number, smaller is more urgent; got {arrival.priority!r}"
        )
    seconds = arrival.deadline
    if seconds is not None and not (isinstance(seconds, int | float) and 0 < seconds < math.inf):
        raise ValueError(f"deadline is in seconds from now and must be positive, got {seconds!r}")


def _integers(prompt: Sequence[int]) -> list[int]:
    try:
        return [index(token) for token in prompt]
    except TypeError as error:
        raise ValueError(f"a prompt is a text or a sequence of token ids, got {prompt!r:.80}") from error

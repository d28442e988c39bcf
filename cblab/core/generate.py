"""Text for several prompts at once, one forward pass a step over all of them."""

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from cblab.attention.batch import RaggedBatch
from cblab.attention.dense import Attend
from cblab.core.dense_attend import DenseCacheAttention
from cblab.core.kv_cache import DenseKVCache
from cblab.core.sampler import sample, uniform
from cblab.core.sampling_params import SamplingParams
from cblab.model.config import ModelConfig
from cblab.tokenization import IncrementalDetokenizer, Tokenizer

FinishReason = Literal["stop", "length"]


class LanguageModel(Protocol):
    """What is needed of a model: its sizes, and logits `[num_logits, vocab_size]` for a batch."""

    @property
    def config(self) -> ModelConfig:
        """The model's sizes."""

    def __call__(self, batch: RaggedBatch, attend: Attend) -> Tensor:
        """Return the logits of the rows that the batch asks for."""

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """Return the weights, whose dtype and device are the cache's too."""


@dataclass(frozen=True)
class TokenEvent:
    """One new token of one prompt.

    text is what has become safe to show: empty while a character is half-finished, and for the
    end-of-sequence token. finish_reason is set on the last event of a prompt: "stop" at a stop token,
    "length" at `max_tokens` or at the model's context limit.
    """

    prompt_index: int
    token_id: int
    text: str
    finish_reason: FinishReason | None = None


@dataclass
class _Sequence:
    index: int
    params: SamplingParams
    seed: int
    token_ids: list[int]  # the prompt's and the new ones
    max_length: int
    stop_token_ids: frozenset[int]
    detokenizer: IncrementalDetokenizer
    cache: DenseKVCache
    is_finished: bool = False

    def uniform(self) -> float:
        return uniform(self.seed, sample_index=0, position=len(self.token_ids))

    def append(self, token_id: int) -> TokenEvent:
        self.token_ids.append(token_id)
        reason: FinishReason | None = None
        if token_id in self.stop_token_ids:
            reason = "stop"
        elif len(self.token_ids) >= self.max_length:
            reason = "length"
        # A model may have more rows than its tokenizer has tokens; such a token adds no text.
        is_shown = reason != "stop" and token_id < self.detokenizer.tokenizer.vocab_size
        text = self.detokenizer.push(token_id) if is_shown else ""
        if reason is not None:
            text += self.detokenizer.flush()
            self.is_finished = True
        return TokenEvent(self.index, token_id, text, reason)


def generate(
    model: LanguageModel,
    tokenizer: Tokenizer,
    prompts: str | Sequence[str | Sequence[int]],
    params: SamplingParams | Sequence[SamplingParams] | None = None,
) -> Iterator[TokenEvent]:
    """Continue every prompt and yield each new token as soon as its step is done.

    prompts is one text, or a list in which each prompt is a text or a list of token ids; params is one for
    all or one each. The prompts are computed together in the first step, and from then on each step computes
    one token of every prompt that has not ended. What a prompt yields does not depend on the others.

    Raises ValueError, before anything is computed, for a prompt that is empty, that fills the model's context
    limit, or that holds ids outside the vocabulary.
    """
    texts = [prompts] if isinstance(prompts, str) else list(prompts)
    if params is None or isinstance(params, SamplingParams):
        params = [params or SamplingParams()] * len(texts)
    if len(params) != len(texts):
        raise ValueError(
            f"{len(texts)} prompts but {len(params)} sampling parameters: give one for all or one each"
        )
    sequences = [
        _new_sequence(model, tokenizer, index, text, one)
        for index, (text, one) in enumerate(zip(texts, params, strict=True))
    ]
    return _run(model, sequences)


def _new_sequence(
    model: LanguageModel,
    tokenizer: Tokenizer,
    index: int,
    prompt: str | Sequence[int],
    params: SamplingParams,
) -> _Sequence:
    config = model.config
    token_ids = tokenizer.encode(prompt) if isinstance(prompt, str) else [int(token) for token in prompt]
    limit = config.max_position_embeddings
    if not token_ids:
        raise ValueError(f"prompt {index} is empty: there is nothing to continue")
    if len(token_ids) >= limit:
        raise ValueError(
            f"prompt {index} has {len(token_ids)} tokens: the model's context limit is {limit}, and one of "
            "them must be new"
        )
    strange = [token for token in token_ids if not 0 <= token < config.vocab_size]
    if strange:
        raise ValueError(
            f"prompt {index} holds the token id {strange[0]}: the vocabulary has {config.vocab_size}"
        )
    weight = next(iter(model.parameters()))
    return _Sequence(
        index=index,
        params=params,
        seed=secrets.randbits(63) if params.seed is None else params.seed,
        token_ids=token_ids,
        max_length=limit if params.max_tokens is None else min(limit, len(token_ids) + params.max_tokens),
        stop_token_ids=_stop_token_ids(config, tokenizer, params),
        detokenizer=IncrementalDetokenizer(tokenizer),
        cache=DenseKVCache(config.attention_specs, dtype=weight.dtype, device=weight.device),
    )


def _stop_token_ids(config: ModelConfig, tokenizer: Tokenizer, params: SamplingParams) -> frozenset[int]:
    if params.ignore_eos:
        return frozenset()
    eos = () if tokenizer.eos_token_id is None else (tokenizer.eos_token_id,)
    return frozenset((*eos, *config.eos_token_ids, *params.stop_token_ids))


def _run(model: LanguageModel, sequences: list[_Sequence]) -> Iterator[TokenEvent]:
    running = sequences
    while running:
        for sequence, token_id in zip(running, _step(model, running), strict=True):
            yield sequence.append(token_id)
        running = [sequence for sequence in running if not sequence.is_finished]


@torch.inference_mode()
def _step(model: LanguageModel, running: list[_Sequence]) -> list[int]:
    """Compute what each sequence has not cached yet, and choose the token that follows."""
    caches = [sequence.cache for sequence in running]
    new_tokens = [sequence.token_ids[sequence.cache.length :] for sequence in running]
    device = next(iter(model.parameters())).device
    batch = RaggedBatch.build(new_tokens, [cache.length for cache in caches], device=device)
    attend = DenseCacheAttention(caches, batch)
    logits = model(batch, attend)
    attend.advance()
    return sample(logits, [one.params for one in running], [one.uniform() for one in running]).tolist()

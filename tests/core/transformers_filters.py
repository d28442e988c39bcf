"""What transformers' `generate` would sample from: its own processors, in the order in which it runs them."""

from typing import cast

import torch
from torch import Tensor
from transformers import (
    LogitsProcessorList,
    MinNewTokensLengthLogitsProcessor,
    MinPLogitsWarper,
    PrefixConstrainedLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    SequenceBiasLogitsProcessor,
    SuppressTokensLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from cblab.core.sampler import SamplingRow


class PresenceAndFrequency:
    """transformers has no such penalties: this is the formula of OpenAI's API, and of vLLM."""

    def __init__(self, row: SamplingRow) -> None:
        self.row = row

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        scores = scores.clone()
        for token in set(self.row.output_token_ids):
            count = list(self.row.output_token_ids).count(token)
            params = self.row.params
            scores[:, token] -= params.presence_penalty + params.frequency_penalty * count
        return scores


class Own:
    """The row's own functions, which `generate` takes as `logits_processor`."""

    def __init__(self, row: SamplingRow) -> None:
        self.row = row

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        for processor in self.row.params.logits_processors:
            scores = processor(self.row.prompt_token_ids, self.row.output_token_ids, scores[0])[None]
        return scores


def processors(row: SamplingRow) -> LogitsProcessorList:
    """What `GenerationMixin._get_logits_processor` builds for the row's parameters."""
    params, allowed = row.params, row.params.allowed_token_ids
    found: list[object] = []
    if params.logit_bias:
        found.append(SequenceBiasLogitsProcessor([[[id_], bias] for id_, bias in params.logit_bias.items()]))
    if params.repetition_penalty != 1:
        found.append(RepetitionPenaltyLogitsProcessor(params.repetition_penalty))
    found.append(PresenceAndFrequency(row))
    if params.min_tokens and row.stop_token_ids:
        stops = sorted(row.stop_token_ids)
        found.append(
            MinNewTokensLengthLogitsProcessor(
                len(row.prompt_token_ids), params.min_tokens, stops, device="cpu"
            )
        )
    if allowed is not None:
        found.append(PrefixConstrainedLogitsProcessor(lambda *_: list(allowed), num_beams=1))
    if params.banned_token_ids:
        found.append(SuppressTokensLogitsProcessor(list(params.banned_token_ids)))
    found.append(Own(row))
    if params.temperature != 1:
        found.append(TemperatureLogitsWarper(float(params.temperature)))
    if params.top_k:
        found.append(TopKLogitsWarper(params.top_k))
    if params.top_p < 1:
        found.append(TopPLogitsWarper(params.top_p))
    if params.min_p:
        found.append(MinPLogitsWarper(params.min_p))
    return LogitsProcessorList(found)


def distribution(logits: Tensor, row: SamplingRow) -> Tensor:
    """Return the probabilities of the next token, `[vocab_size]` float32, for logits `[vocab_size]`."""
    ids = torch.tensor([[*row.prompt_token_ids, *row.output_token_ids]], dtype=torch.int64)
    return processors(row)(cast(torch.LongTensor, ids), logits[None].clone())[0].softmax(dim=-1)

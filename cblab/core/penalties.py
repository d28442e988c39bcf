"""Penalties for tokens that have been seen: repetition, presence, frequency."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from cblab.core.sampler import SamplingRow


def apply_penalties(scores: Tensor, rows: Sequence[SamplingRow]) -> None:
    """Change the logits of tokens that have been seen, in place.

    scores is `[num_rows, vocab_size]` float32. Only the entries of tokens that a row with penalties has seen
    are touched, those of all rows at once: the cost goes with the lengths of these rows.

    Repetition comes first and looks at the prompt and the output, as in transformers; presence and frequency
    look at the output alone, as in vLLM.
    """
    repetition = [row.params.repetition_penalty for row in rows]
    known = [
        (*row.prompt_token_ids, *row.output_token_ids) if penalty != 1 else ()
        for row, penalty in zip(rows, repetition, strict=True)
    ]
    if any(known):
        at = _entries(known, scores)
        score, penalty = scores[at], scores.new_tensor(repetition)[at[0]]
        # A token that occurs twice is there twice, and written twice with the same value.
        scores[at] = torch.where(score < 0, score * penalty, score / penalty)

    presence = [row.params.presence_penalty for row in rows]
    frequency = [row.params.frequency_penalty for row in rows]
    written = [
        row.output_token_ids if once or each else ()
        for row, once, each in zip(rows, presence, frequency, strict=True)
    ]
    if any(written):
        at = _entries(written, scores)
        ones = scores.new_ones(len(at[0]))
        count = torch.zeros_like(scores).index_put_(at, ones, accumulate=True)[at]
        scores[at] -= scores.new_tensor(presence)[at[0]] + scores.new_tensor(frequency)[at[0]] * count


def _entries(token_ids: Sequence[Sequence[int]], scores: Tensor) -> tuple[Tensor, Tensor]:
    """Return row and token id of all that is in `token_ids`, one list a row, as indices of `scores`.

    Ids beyond the vocabulary cannot be chosen, and are left out.
    """
    lengths = torch.tensor([len(ids) for ids in token_ids])
    row = torch.arange(len(token_ids)).repeat_interleave(lengths)
    token = torch.tensor([token for ids in token_ids for token in ids], dtype=torch.int64)
    is_known = token < scores.shape[1]
    return row[is_known].to(scores.device), token[is_known].to(scores.device)

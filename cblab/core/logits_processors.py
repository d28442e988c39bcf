"""What a request does to its own row of logits: a bias, forbidden tokens, functions of its user."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from cblab.core.sampler import SamplingRow


def apply_bias(scores: Tensor, row: SamplingRow) -> None:
    """Add `logit_bias` to a row, `[vocab_size]` float32, in place.

    Raises:
        ValueError: a token id is not in the vocabulary.
    """
    bias = row.params.logit_bias
    if bias:
        scores[_index("logit_bias", bias, scores)] += scores.new_tensor(list(bias.values()))


def apply_bans(scores: Tensor, row: SamplingRow) -> None:
    """Set the logits that may not be chosen to -inf in a row, `[vocab_size]` float32, in place.

    These are the banned tokens, all that are not allowed, and before `min_tokens` what would end the output.

    Raises:
        ValueError: a token id is not in the vocabulary.
    """
    params = row.params
    if params.allowed_token_ids is not None:
        allowed = _index("allowed_token_ids", params.allowed_token_ids, scores)
        scores.copy_(torch.full_like(scores, -torch.inf).index_copy_(0, allowed, scores[allowed]))
    if params.banned_token_ids:
        scores[_index("banned_token_ids", params.banned_token_ids, scores)] = -torch.inf
    if row.num_output_tokens < params.min_tokens:
        # A tokenizer may have tokens, EOS among them, that its model has no logit for.
        ends = [token for token in row.stop_token_ids if token < len(scores)]
        scores[_index("stop_token_ids", ends, scores)] = -torch.inf


def run_processors(scores: Tensor, row: SamplingRow) -> None:
    """Let the request's own functions change its row, `[vocab_size]` float32, one after the other.

    Raises:
        ValueError: one returns something else than a row of logits; whatever it raises itself passes through.
    """
    # Copies: a function that changes what it is given must not change the request.
    prompt, output = tuple(row.prompt_token_ids), tuple(row.output_token_ids)
    for processor in row.params.logits_processors:
        result = processor(prompt, output, scores.clone())
        name = getattr(processor, "__name__", repr(processor))
        if not isinstance(result, Tensor):
            raise ValueError(
                f"the logits processor {name} must return the row of logits, got {type(result).__name__}"
            )
        if result.shape != scores.shape:
            raise ValueError(
                f"the logits processor {name} must return a row of {len(scores)} logits, got the shape "
                f"{list(result.shape)}"
            )
        scores.copy_(result)


def _index(name: str, token_ids: Iterable[int], scores: Tensor) -> Tensor:
    ids = torch.tensor(list(token_ids), dtype=torch.int64)
    if len(ids) and int(ids.max()) >= len(scores):
        raise ValueError(f"{name} holds the token id {int(ids.max())}: the vocabulary has {len(scores)}")
    return ids.to(scores.device)

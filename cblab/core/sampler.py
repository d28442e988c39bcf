"""From logits to token ids: greedy, temperature, top-k, top-p, all rows of a step at once."""

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from cblab.core.sampling_params import SamplingParams


def uniform(seed: int, sample_index: int, position: int) -> float:
    """Return a number in [0, 1) that depends on these three and on nothing else.

    seed is the request's, sample_index the number of the sample among those asked for one prompt, position
    that of the sampled token in its sequence. A hash is used as a counter-based generator: unlike a generator
    with a state, it does not care which other requests share the step, or whether a token is computed again.
    """
    digest = hashlib.blake2b(f"{seed},{sample_index},{position}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 12) / 2**52


def sample(logits: Tensor, params: Sequence[SamplingParams], uniforms: Sequence[float]) -> Tensor:
    """Choose one token a row.

    logits is `[num_rows, vocab_size]`; params and uniforms (numbers in [0, 1), see `uniform`) have one entry
    a row. Returns `[num_rows]` int64. A greedy row takes its largest logit, the first of several; another row
    takes the token at which the cumulated probabilities pass its uniform number.
    """
    if not len(params) == len(uniforms) == logits.shape[0]:
        raise ValueError(f"{logits.shape[0]} rows of logits, {len(params)} params, {len(uniforms)} uniforms")
    largest, tokens = logits.max(dim=-1)
    if not bool(torch.isfinite(largest).all()):
        row = int((~torch.isfinite(largest)).nonzero()[0])
        raise ValueError(
            f"row {row} of the logits has the maximum {float(largest[row])}: nothing to sample from"
        )
    rows = [row for row, one in enumerate(params) if not one.is_greedy]
    if not rows:
        return tokens
    cumulated = probabilities(logits[rows], [params[row] for row in rows]).double().cumsum(dim=-1)
    target = torch.tensor([uniforms[row] for row in rows], dtype=torch.float64, device=logits.device)
    # right=True: the first token whose cumulated probability exceeds the target, so none of probability 0.
    chosen = torch.searchsorted(cumulated, target[:, None] * cumulated[:, -1:], right=True)
    tokens[rows] = chosen[:, 0]
    return tokens


def probabilities(logits: Tensor, params: Sequence[SamplingParams]) -> Tensor:
    """Return the distributions that rows are sampled from, `[num_rows, vocab_size]` float32.

    The filters come in transformers' order, each seeing what the one before it left: temperature, top-k,
    top-p. No row may be greedy (a temperature of 0 has no distribution).
    """

    def column(values: list[float]) -> Tensor:
        return torch.tensor(values, device=logits.device)[:, None]

    scores = logits.float() / column([one.temperature for one in params])
    if any(one.top_k or one.top_p < 1 for one in params):
        ordered, order = scores.sort(dim=-1)  # ascending: what a filter drops is a prefix
        dropped = _dropped_by_top_k(ordered, params)
        dropped = dropped | _dropped_by_top_p(ordered.masked_fill(dropped, -torch.inf), params)
        scores = scores.masked_fill(dropped.scatter(1, order, dropped), -torch.inf)
    return scores.softmax(dim=-1)


def _dropped_by_top_k(ordered: Tensor, params: Sequence[SamplingParams]) -> Tensor:
    """Mark what is smaller than the k-th largest of a row sorted in ascending order; its ties stay."""
    vocab_size = ordered.shape[1]
    kept = [min(one.top_k or vocab_size, vocab_size) for one in params]
    smallest_kept = torch.tensor([vocab_size - k for k in kept], device=ordered.device)[:, None]
    return ordered < ordered.gather(1, smallest_kept)


def _dropped_by_top_p(ordered: Tensor, params: Sequence[SamplingParams]) -> Tensor:
    """Mark the tail whose probabilities together are at most 1 - top_p; the likeliest token always stays."""
    tail = torch.tensor([1 - one.top_p for one in params], device=ordered.device)[:, None]
    dropped = ordered.softmax(dim=-1).cumsum(dim=-1) <= tail
    dropped[:, -1] = False  # a tiny top_p makes the tail 1 in float32: it would take the whole row
    return dropped

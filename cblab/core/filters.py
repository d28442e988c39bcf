"""What cuts distributions down to their likelier tokens: top-k, top-p, min-p, for all rows at once.

The order is transformers', each filter sees what the one before it left. vLLM puts min-p first: its top-p
then counts the probabilities of what min-p left, and may keep fewer tokens.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from cblab.core.sampling_params import SamplingParams

FIRST_WIDTH = 256  # enough for most top-k and top-p in use


def probabilities(logits: Tensor, params: Sequence[SamplingParams]) -> Tensor:
    """Return the distributions that rows are sampled from, `[num_rows, vocab_size]` float32.

    Temperature and the three filters only; logits, `[num_rows, vocab_size]`, are those that penalties and the
    like have been applied to. No row may be greedy (a temperature of 0 has no distribution).
    """
    scores = logits.float()
    scores = scores / scores.new_tensor([one.temperature for one in params])[:, None]
    apply_filters(scores, params)
    return scores.softmax(dim=-1)


def apply_filters(scores: Tensor, params: Sequence[SamplingParams]) -> None:
    """Set what top-k, top-p and min-p drop to -inf, in place; scores is `[num_rows, vocab_size]` float32."""
    rows = [row for row, one in enumerate(params) if one.top_k or one.top_p < 1 or one.min_p]
    if rows:
        part = scores[rows]
        scores[rows] = part.masked_fill_(~_kept(part, [params[row] for row in rows]), -torch.inf)


def _kept(scores: Tensor, params: Sequence[SamplingParams], width: int = FIRST_WIDTH) -> Tensor:
    """Mark what the filters keep, `[num_rows, vocab_size]`.

    Sorting a whole vocabulary is slow, and little of it is kept as a rule: so a head of `width` tokens is
    sorted, and rows of which more may be kept are done again with a longer one.
    """
    width = min(width, scores.shape[1])
    ordered = scores.topk(width).values
    num_kept, is_open = _count_kept(ordered, scores, params)
    smallest = ordered.gather(1, num_kept - 1)
    kept = scores >= smallest
    # Only top-p parts equal tokens. The sort in transformers leaves open which of them go: here the last.
    num_too_many = kept.sum(dim=-1, keepdim=True) - num_kept
    for row in num_too_many[:, 0].nonzero()[:, 0].tolist():
        ties = (scores[row] == smallest[row]).nonzero()[:, 0]
        kept[row, ties[-int(num_too_many[row]) :]] = False
    rows = is_open[:, 0].nonzero()[:, 0].tolist()
    if rows:
        kept[rows] = _kept(scores[rows], [params[row] for row in rows], 32 * width)
    return kept


def _count_kept(ordered: Tensor, scores: Tensor, params: Sequence[SamplingParams]) -> tuple[Tensor, Tensor]:
    """Return how many tokens of each row are kept, and whether it may be more than are in `ordered`.

    Both are `[num_rows, 1]`; ordered, `[num_rows, width]`, holds the largest scores. Each filter keeps the
    first few of these, so that the strictest one decides:

        ordered  9  8  7  7  7  5  4     top_k=3    9  8  7  7  7         every tie at rank 3
                                         top_p      9  8  7  7            of what top-k left; parts ties
                                         min_p      9  8                  of the likeliest, whoever is left
    """
    width, vocab_size = ordered.shape[1], scores.shape[1]

    def column(values: Sequence[float]) -> Tensor:
        return torch.tensor(values, device=scores.device)[:, None]

    ordered = ordered.double()
    k = column([min(one.top_k or vocab_size, width) for one in params])
    in_top_k = (ordered >= ordered.gather(1, k - 1)) & (ordered > -torch.inf)
    has_top_k = column([0 < one.top_k < vocab_size for one in params])

    left = ordered.masked_fill(~in_top_k, -torch.inf).logsumexp(dim=-1, keepdim=True)
    if width < vocab_size:
        left = torch.where(has_top_k, left, scores.logsumexp(dim=-1, keepdim=True).double())
    weights = (ordered - left).exp()
    # What a token and all after it weigh, against 1 - top_p; the likeliest stays however small top_p is.
    rest = 1 - (weights.cumsum(dim=-1) - weights)
    in_top_p = rest.float() > column([1 - one.top_p if one.top_p < 1 else -1.0 for one in params])
    in_top_p[:, 0] = True

    share = (ordered - ordered[:, :1]).exp()
    in_min_p = share.float() >= column([one.min_p for one in params])

    num_kept = (in_top_k & in_top_p & in_min_p).sum(dim=-1, keepdim=True)
    is_open = (has_top_k & in_top_k[:, -1:]) | (num_kept == width)
    return num_kept, is_open & (width < vocab_size)

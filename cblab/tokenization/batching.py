"""Sequences of unequal length in one rectangle: padding, what it wastes, and two ways to waste less."""

from collections.abc import Sequence
from typing import Literal, NamedTuple


class PaddedBatch(NamedTuple):
    """Two lists of shape [batch_size, length]: the ids, and 1 where a token is, 0 where there is padding."""

    input_ids: list[list[int]]
    attention_mask: list[list[int]]


def pad_batch(
    sequences: Sequence[Sequence[int]],
    pad_id: int,
    side: Literal["left", "right"] = "right",
    length: int | None = None,
) -> PaddedBatch:
    """Pad `sequences` to the longest of them, or to `length`.

    Padding on the left keeps the last token of every sequence in the last column, where a model generates
    from. Nothing is ever cut off: a sequence longer than `length` is a `ValueError`. The mask is made from
    the lengths, not by looking for `pad_id`, so a real token with that id (eos used as padding) stays
    visible.
    """
    if side not in ("left", "right"):
        raise ValueError(f"side must be 'left' or 'right', got {side!r}")
    longest = max(map(len, sequences), default=0)
    width = longest if length is None else length
    if longest > width:
        raise ValueError(f"a sequence of {longest} tokens does not fit into length={width}")
    batch = PaddedBatch([], [])
    for ids in sequences:
        padding = width - len(ids)
        left, right = (padding, 0) if side == "left" else (0, padding)
        batch.input_ids.append([pad_id] * left + list(ids) + [pad_id] * right)
        batch.attention_mask.append([0] * left + [1] * len(ids) + [0] * right)
    return batch


def padding_waste(lengths: Sequence[int], max_length: int | None = None) -> float:
    """Return the fraction of a padded batch that is padding, 0.0 to 1.0.

    `max_length` is the width of the batch, the longest length if it is not given.
    """
    longest = max(lengths, default=0)
    width = longest if max_length is None else max_length
    if longest > width:
        raise ValueError(f"a sequence of {longest} tokens does not fit into max_length={width}")
    cells = width * len(lengths)
    return 1 - sum(lengths) / cells if cells else 0.0


def group_by_length(lengths: Sequence[int], batch_size: int) -> list[list[int]]:
    """Put sequences of similar length together: batches of up to `batch_size` indices, from short to long.

    Sequences of equal length stay in their order. Where `batch_size` divides their number, no other batches
    of that size need less padding; otherwise the last batch is the smaller one.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    order = sorted(range(len(lengths)), key=lambda i: lengths[i])
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def pack(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Lay sequences end to end into bins of `capacity` tokens; return the indices in each bin.

    First-fit decreasing: the longest first, each into the first bin that has room. It needs at most 11/9 of
    the smallest possible number of bins, plus 6/9 (Dósa, 2007). A sequence that fits into no bin is a
    `ValueError`.
    """
    bins: list[list[int]] = []
    room: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if lengths[i] > capacity:
            raise ValueError(f"sequence {i} has {lengths[i]} tokens and fits into no bin of {capacity}")
        if lengths[i] < 0:
            raise ValueError(f"sequence {i} has a negative length: {lengths[i]}")
        target = next((b for b in range(len(bins)) if room[b] >= lengths[i]), len(bins))
        if target == len(bins):
            bins.append([])
            room.append(capacity)
        bins[target].append(i)
        room[target] -= lengths[i]
    return bins

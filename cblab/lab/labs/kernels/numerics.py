"""The reference for what students of lab 6 write in plain Python and numpy."""

from collections.abc import Sequence

import numpy as np

Partial = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Attention over some of the tokens: highest score and sum of weights, `[num_heads]`, and the weighted
values, `[num_heads, head_dim]`; the weights are e^(score - highest)."""


def decode_cost(
    context_lens: Sequence[int], num_heads: int, num_kv_heads: int, head_dim: int, bytes_per_number: int
) -> tuple[int, int]:
    """FLOPs and bytes of one layer's attention in a decode step.

    Each query head takes a product with every key (2 FLOPs a number) and weighs every value (2 FLOPs a
    number); the softmax is not counted. Each key and value is read once. Queries and results are not counted.
    """
    tokens = sum(context_lens)
    return 4 * num_heads * head_dim * tokens, 2 * num_kv_heads * head_dim * bytes_per_number * tokens


def merge(partials: Sequence[Partial]) -> np.ndarray:
    """The result over all tokens, `[num_heads, head_dim]`, from parts of them, in any order.

    A part without any token has -inf as its highest score, and zeros; one part at least has tokens.
    """
    highest = np.max([part[0] for part in partials], axis=0)
    total, sums = np.zeros_like(partials[0][1]), np.zeros_like(partials[0][2])
    for part_highest, part_total, part_sums in partials:
        factor = np.exp(part_highest - highest)
        total = total + factor * part_total
        sums = sums + factor[:, None] * part_sums
    return sums / total[:, None]


def block_offsets(
    block_table: np.ndarray, positions: np.ndarray, block_size: int, num_kv_heads: int, head_dim: int
) -> np.ndarray:
    """Where each position's keys begin in the pool, counted in numbers: int64, `[num_positions]`.

    block_table: int32, `[max_blocks]`. positions: int32, `[num_positions]`.
    """
    blocks = block_table[positions // block_size].astype(np.int64)
    slots = blocks * block_size + positions % block_size
    return slots * (num_kv_heads * head_dim)


def merge_lse(outputs: np.ndarray, lse: np.ndarray) -> np.ndarray:
    """The result over all tokens, `[num_heads, head_dim]`, from results over splits of them.

    outputs: `[num_splits, num_heads, head_dim]`, attention over each split alone. lse: `[num_splits,
    num_heads]`, the logarithm of each split's sum of e^score.
    """
    weights = np.exp(lse - lse.max(axis=0))
    weights /= weights.sum(axis=0)
    return (outputs * weights[:, :, None]).sum(axis=0)

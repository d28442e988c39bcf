"""The reference for what students of lab 6 compile with Numba: attention over a block pool, in loops.

They are written as a student would write them, one number at a time. The engine's own kernels, which take 16
at a time, are in `cblab.attention.numba`.
"""

import math

import numpy as np
from numba import njit

# Sums may be taken in any order, which vector instructions need; infinity and NaN stay what they are.
FAST = {"reassoc", "contract", "nsz"}


@njit(nogil=True, fastmath=FAST)
def fold(scores: np.ndarray, count: int, highest: np.ndarray, total: np.ndarray, sums: np.ndarray) -> None:
    """Take a tile of scores into a running softmax, in place.

    scores: `[num_heads, tile]`; the first `count` of each row become weights, e^(score - new highest).
    highest, total: `[num_heads]`, the highest score so far (-inf before the first) and the sum of weights.
    sums: `[num_heads, head_dim]`, weighted values so far: what is there is made smaller, nothing is added.
    """
    for head in range(len(highest)):
        top = highest[head]
        for slot in range(count):
            top = max(top, scores[head, slot])
        factor = math.exp(highest[head] - top)
        highest[head] = top
        total[head] *= factor
        for d in range(sums.shape[1]):
            sums[head, d] *= factor
        for slot in range(count):
            scores[head, slot] = math.exp(scores[head, slot] - top)
            total[head] += scores[head, slot]


@njit(nogil=True, fastmath=FAST)
def decode_loops(
    q: np.ndarray,
    keys: np.ndarray,
    values: np.ndarray,
    block_tables: np.ndarray,
    context_lens: np.ndarray,
    scale: float,
) -> np.ndarray:
    """Paged decode, one query head after the other; returns an array like `q`.

    q: `[num_seqs, num_heads, head_dim]`. keys, values: `[num_blocks, block_size, num_kv_heads, head_dim]`.
    block_tables: `[num_seqs, max_blocks]`. context_lens: `[num_seqs]`.
    """
    num_seqs, num_heads, head_dim = q.shape
    _, block_size, num_kv_heads, _ = keys.shape
    group = num_heads // num_kv_heads
    out = np.zeros_like(q)
    scores = np.empty(block_tables.shape[1] * block_size, np.float32)
    for seq in range(num_seqs):
        for head in range(num_heads):
            highest = np.float32(-np.inf)
            for position in range(context_lens[seq]):
                block, slot = block_tables[seq, position // block_size], position % block_size
                score = np.float32(0.0)
                for d in range(head_dim):
                    score += q[seq, head, d] * keys[block, slot, head // group, d]
                scores[position] = score * scale
                highest = max(highest, scores[position])
            total = np.float32(0.0)
            for position in range(context_lens[seq]):
                scores[position] = math.exp(scores[position] - highest)
                total += scores[position]
            for position in range(context_lens[seq]):
                block, slot = block_tables[seq, position // block_size], position % block_size
                for d in range(head_dim):
                    out[seq, head, d] += scores[position] / total * values[block, slot, head // group, d]
    return out


@njit(nogil=True, fastmath=FAST)
def attend(
    q: np.ndarray,
    keys: np.ndarray,
    values: np.ndarray,
    block_table: np.ndarray,
    start: int,
    end: int,
    scale: float,
    highest: np.ndarray,
    total: np.ndarray,
    sums: np.ndarray,
) -> None:
    """One sequence's query over its tokens `start` to `end`, excluded; what is found goes to the last three.

    q: `[num_heads, head_dim]`. block_table: `[max_blocks]`. start: the first token of a block.
    highest, total: `[num_heads]`. sums: `[num_heads, head_dim]`. They are as `fold` leaves them.
    """
    num_heads, head_dim = q.shape
    _, block_size, num_kv_heads, _ = keys.shape
    group = num_heads // num_kv_heads
    scores = np.empty((num_heads, block_size), np.float32)
    for first in range(start, end, block_size):
        block = block_table[first // block_size]
        count = min(block_size, end - first)
        for slot in range(count):
            for head in range(num_heads):
                score = np.float32(0.0)
                for d in range(head_dim):
                    score += q[head, d] * keys[block, slot, head // group, d]
                scores[head, slot] = score * scale
        fold(scores, count, highest, total, sums)
        for slot in range(count):
            for head in range(num_heads):
                for d in range(head_dim):
                    sums[head, d] += scores[head, slot] * values[block, slot, head // group, d]

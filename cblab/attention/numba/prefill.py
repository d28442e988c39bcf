"""Ragged paged prefill: chunks of queries over cached tokens and themselves, read where they are.

A task is 32 rows, queries times the query heads of one KV head, of one sequence. It goes through the keys
that its queries may see, 256 at a time, with online softmax (Dao et al., FlashAttention, 2022): a row knows
the highest score so far, the sum of weights 2^(score - highest), and the weighted values; a new highest
score makes all of them smaller by the same factor.

```
positions   0        256       512    600          keys
            |---------|---------|----x. . . .      query 600 of a chunk that begins there
            |---------|---------|----xx. . .             601
            |---------|---------|----xxx. .              602      x: the chunk's own
```

No more than 32 × 256 scores are held by a thread, and a block is read once for 32 rows.
"""

import ctypes
from typing import Any, NamedTuple

import numpy as np
from numba import types

from cblab.attention.numba.kernel import ATTENTION, Kernel, integers
from cblab.attention.numba.softmax import HIDDEN, exponentiate, hide, highest, power
from cblab.attention.numba.tiles import (
    inlined,
    keys_at,
    pool_of,
    put_row,
    score_tile,
    sizes_of,
    tile_at,
    values_at,
    weigh_tile,
)
from cblab.attention.numba.vector import LANES, behind, number, pointer, take

# Keys whose softmax is taken at once.
_KEYS = 256
# Rows that share what is loaded of keys and values.
ROWS = 32


class PrefillCall(ctypes.Structure):
    """What a prefill is told besides `ATTENTION`.

    That is where sequences' queries begin, how many sequences there are, and how many workers.
    """

    _fields_ = [*ATTENTION, *integers("borders", "num_seqs", "num_workers", "num_done")]


class _Work(NamedTuple):
    """Pointers to a thread's scratch memory."""

    queries: Any
    scores: Any
    sums: Any
    largest: Any
    totals: Any
    copy: Any


def scratch_size(group: int, head_dim: int, padded_dim: int) -> int:
    """Numbers that a thread needs for its rows and a copied tile."""
    return max(ROWS, group) * (head_dim + _KEYS + padded_dim + 2) + LANES * padded_dim


@inlined
def _prefill(call, worker, dtype, pool_dtype):
    """Take one task after the other until none is left."""
    sizes = sizes_of(call)
    pool = pool_of(call, pool_dtype)
    num_heads, dim, padded = sizes.num_heads, sizes.head_dim, sizes.padded_dim
    rows = max(ROWS, sizes.group)
    queries = behind(
        pointer(call.scratch, types.float32), worker * (rows * (dim + _KEYS + padded + 2) + LANES * padded)
    )
    scores = behind(queries, rows * dim)
    sums = behind(scores, rows * _KEYS)
    largest = behind(sums, rows * padded)
    totals = behind(largest, rows)
    work = _Work(queries, scores, sums, largest, totals, behind(totals, rows))
    q, out = pointer(call.q, dtype), pointer(call.out, types.float32)
    tables, context_lens = pointer(call.tables, types.int32), pointer(call.context_lens, types.int32)
    borders, next_task = pointer(call.borders, types.int32), pointer(call.next_task, types.int64)
    scale = call.scale
    tile_queries = rows // sizes.group
    seq, end_task = -1, 0
    item = take(next_task)
    while True:
        task, head = item // sizes.num_kv_heads, item % sizes.num_kv_heads
        while task >= end_task and seq < call.num_seqs:
            seq += 1
            if seq < call.num_seqs:
                end_task += (borders[seq + 1] - borders[seq] + tile_queries - 1) // tile_queries
        if seq == call.num_seqs:
            break
        # A sequence's last queries see the most keys: they come first, so that no thread is left with them.
        query = borders[seq] + (end_task - 1 - task) * tile_queries
        left = borders[seq + 1] - query
        _attend(
            behind(q, query * call.q_stride),
            call.q_stride,
            scale,
            pool,
            sizes,
            behind(tables, seq * call.max_blocks),
            min(tile_queries, left),
            context_lens[seq] - left,
            head,
            work,
            behind(out, query * num_heads * dim),
        )
        item = take(next_task)
    num_done = pointer(call.num_done, types.int64)
    if take(num_done) == call.num_workers - 1:  # all have seen that no task is left: ready for the next call
        next_task[0] = num_done[0] = 0


@inlined
def _begin(q, q_stride, scale, sizes, num_queries, head, work):
    """Scale the queries of one KV head, and empty their running softmax and sums."""
    width, num_rows = sizes.group * sizes.head_dim, num_queries * sizes.group
    for i in range(num_queries):
        at = behind(q, i * q_stride + head * width)
        for j in range(width):
            work.queries[i * width + j] = number(at, j) * scale
    for row in range(num_rows):
        work.largest[row] = HIDDEN
        work.totals[row] = 0.0
    for i in range(num_rows * sizes.padded_dim):
        work.sums[i] = 0.0


@inlined
def _go_on(row, scores, width, padded, work):
    """Take a row's next scores into its running softmax; they become weights, and its sums follow."""
    top = max(work.largest[row], highest(scores, width))
    factor = power(work.largest[row] - top)
    work.largest[row] = top
    work.totals[row] = work.totals[row] * factor + exponentiate(scores, width, top)
    sums = behind(work.sums, row * padded)
    for i in range(padded):
        sums[i] *= factor


@inlined
def _attend(q, q_stride, scale, pool, sizes, table, num_queries, position, head, work, out):
    group, dim, padded = sizes.group, sizes.head_dim, sizes.padded_dim
    num_rows = num_queries * group
    _begin(q, q_stride, scale, sizes, num_queries, head, work)
    begin, end = max(0, position + 1 - sizes.window), position + num_queries
    for start in range(begin // _KEYS * _KEYS, end, _KEYS):
        low, high = max(start, begin), min(start + _KEYS, end)
        low_tile = low // LANES * LANES
        width = (high - low_tile + LANES - 1) // LANES * LANES
        for t in range(low_tile, high, LANES):
            tile = tile_at(table, t, low, high, sizes.block_size)
            score_tile(
                pool,
                sizes,
                tile,
                head,
                keys_at(pool, sizes, tile, head),
                work.queries,
                num_rows,
                behind(work.scores, t - start),
                _KEYS,
                work.copy,
            )
        for row in range(num_rows):
            seen_to = position + row // group + 1
            scores = behind(work.scores, row * _KEYS + low_tile - start)
            hide(scores, 0, min(max(low, seen_to - sizes.window) - low_tile, width))
            hide(scores, max(min(seen_to, high) - low_tile, 0), width)
            _go_on(row, scores, width, padded, work)
        for t in range(low_tile, high, LANES):
            tile = tile_at(table, t, low, high, sizes.block_size)
            weigh_tile(
                pool,
                sizes,
                tile,
                head,
                values_at(pool, sizes, tile, head),
                behind(work.scores, t - start),
                _KEYS,
                num_rows,
                work.sums,
                work.copy,
            )
    for row in range(num_rows):
        place = (row // group * sizes.num_heads + head * group + row % group) * dim
        put_row(
            behind(work.sums, row * padded), np.float32(1.0) / work.totals[row], sizes, behind(out, place)
        )


prefill = Kernel("prefill", PrefillCall, _prefill)

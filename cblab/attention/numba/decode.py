"""Paged decode: each sequence's one query over its blocks, read where they are.

A sequence's context is cut into splits of 256 tokens, counted from its beginning. A split is a task; it takes
the softmax over its own tokens, as if there were no others:

```
context   [ split 0: 256 tokens | split 1: 256 tokens | split 2: the rest ]
            highest score h0      h1                    h2
            sum of weights t0     t1                    t2                 weights: 2^(score - h of its split)
            weighted values v0    v1                    v2
```

Whoever finishes a sequence's last split puts them together (the merge of online softmax: Milakov and
Gimelshein, 2018; Dao et al., FlashAttention, 2022; split as in Flash-Decoding, 2023): with h the largest of
all, split i counts 2^(h_i - h), and the result is their sum of values over their sum of weights.

The split's size is fixed, not their number: a sequence's result is the same, bit by bit, whatever else is in
the batch and however many threads there are.

A task goes block by block, and through all KV heads of a block before the next, because that is the order in
which they lie in memory; first through the keys, then through the values. Where there are few tasks, each is
cut into its KV heads.
"""

import ctypes
from typing import Any, NamedTuple

import numpy as np
from numba import types

from cblab.attention.numba.kernel import ATTENTION, Kernel, integers
from cblab.attention.numba.softmax import exponentiate, hide, highest, power
from cblab.attention.numba.tiles import (
    inlined,
    keys_at,
    leaf,
    pool_of,
    put_row,
    score_tile,
    sizes_of,
    tile_at,
    values_at,
    weigh_tile,
)
from cblab.attention.numba.vector import LANES, behind, number, pointer, take

# Tokens of a split.
SPLIT = 256
# How many tiles before its use one is asked for.
_AHEAD = 4


class DecodeCall(ctypes.Structure):
    """What a decode is told besides `ATTENTION`.

    A split is a task, cut into `num_parts` by its KV heads. Addresses of what tasks hand to each other: each
    task's and head's highest score, sum of weights, and weighted values (0 where each sequence has one
    split); how many parts of a sequence are finished, and how many workers.
    """

    _fields_ = [
        *ATTENTION,
        *integers("num_tasks", "num_parts", "highest", "totals", "sums", "finished"),
        *integers("num_workers", "num_done"),
    ]


class _Work(NamedTuple):
    """Pointers to what tasks hand to each other, and to a thread's scratch memory."""

    highest: Any
    totals: Any
    partial: Any
    queries: Any
    scores: Any
    sums: Any
    copy: Any


def scratch_size(num_heads: int, head_dim: int, padded_dim: int) -> int:
    """Numbers that a thread needs for its queries, scores, sums, and a copied tile."""
    return num_heads * (head_dim + SPLIT + padded_dim) + LANES * padded_dim


@inlined
def _decode(call, worker, dtype, pool_dtype):
    """Take one task after the other until none is left."""
    sizes = sizes_of(call)
    pool = pool_of(call, pool_dtype)
    num_heads, dim, padded = sizes.num_heads, sizes.head_dim, sizes.padded_dim
    q, out = pointer(call.q, dtype), pointer(call.out, types.float32)
    scratch = num_heads * (dim + SPLIT + padded) + LANES * padded
    queries = behind(pointer(call.scratch, types.float32), worker * scratch)
    scores = behind(queries, num_heads * dim)
    sums = behind(scores, num_heads * SPLIT)
    work = _Work(
        pointer(call.highest, types.float32),
        pointer(call.totals, types.float32),
        pointer(call.sums, types.float32),
        queries,
        scores,
        sums,
        behind(sums, num_heads * padded),
    )
    tables, context_lens = pointer(call.tables, types.int32), pointer(call.context_lens, types.int32)
    finished, next_task = pointer(call.finished, types.int64), pointer(call.next_task, types.int64)
    scale, num_parts = call.scale, call.num_parts
    heads = sizes.num_kv_heads // num_parts
    seq, first_task, end_task, first_split = -1, 0, 0, 0
    item = take(next_task)
    while item < call.num_tasks * num_parts:
        task, part = item // num_parts, item % num_parts
        while task >= end_task:
            seq += 1
            first_split = max(0, context_lens[seq] - sizes.window) // SPLIT
            first_task = end_task
            end_task += (context_lens[seq] - 1) // SPLIT + 1 - first_split
        num_splits = end_task - first_task
        result = behind(out, seq * num_heads * dim)
        _attend_split(
            behind(q, seq * call.q_stride),
            scale,
            pool,
            sizes,
            behind(tables, seq * call.max_blocks),
            context_lens[seq],
            first_split + task - first_task,
            part * heads,
            part * heads + heads,
            work,
            task,
            num_splits == 1,
            result,
        )
        if num_splits > 1 and take(behind(finished, seq)) == num_splits * num_parts - 1:
            finished[seq] = 0
            _merge(sizes, work, first_task, end_task, result)
        item = take(next_task)
    num_done = pointer(call.num_done, types.int64)
    if take(num_done) == call.num_workers - 1:  # all have seen that no task is left: ready for the next call
        next_task[0] = num_done[0] = 0


@inlined
def _attend_split(q, scale, pool, sizes, table, context_len, split, head, last_head, work, task, alone, out):
    """A split's part of the result, for some KV heads: all of it if it is alone, else for `_merge`."""
    group, dim, padded = sizes.group, sizes.head_dim, sizes.padded_dim
    rows = range(head * group, last_head * group)
    start = split * SPLIT
    low, high = max(start, context_len - sizes.window), min(start + SPLIT, context_len)
    low_tile, high_tile = low // LANES * LANES, (high + LANES - 1) // LANES * LANES
    for i in range(head * group * dim, last_head * group * dim):
        work.queries[i] = number(q, i) * scale
    _score(pool, sizes, table, start, low, high, head, last_head, work)
    for row in rows:
        scores = behind(work.scores, row * SPLIT + low_tile - start)
        width = high_tile - low_tile
        hide(scores, 0, low - low_tile)
        hide(scores, high - low_tile, width)
        top = highest(scores, width)
        work.highest[task * sizes.num_heads + row] = top
        work.totals[task * sizes.num_heads + row] = exponentiate(scores, width, top)
    for i in range(head * group * padded, last_head * group * padded):
        work.sums[i] = 0.0
    _weigh(pool, sizes, table, start, low, high, head, last_head, work)
    for row in rows:
        sums = behind(work.sums, row * padded)
        if alone:
            factor = np.float32(1.0) / work.totals[task * sizes.num_heads + row]
            put_row(sums, factor, sizes, behind(out, row * dim))
        else:
            partial = behind(work.partial, (task * sizes.num_heads + row) * padded)
            for i in range(padded):
                partial[i] = sums[i]


@inlined
def _score(pool, sizes, table, start, low, high, first_head, last_head, work):
    group, heads = sizes.group, last_head - first_head
    step = min(_AHEAD, heads)
    tile = first_tile = tile_at(table, low // LANES * LANES, low, high, sizes.block_size)
    for t in range(low // LANES * LANES, high, LANES):
        is_last = t + LANES >= high
        following = first_tile if is_last else tile_at(table, t + LANES, low, high, sizes.block_size)
        for head in range(first_head, last_head):
            row, later = head * group, head + step
            if later < last_head:
                soon = keys_at(pool, sizes, tile, later)
            elif is_last:
                soon = values_at(pool, sizes, following, later - heads)
            else:
                soon = keys_at(pool, sizes, following, later - heads)
            score_tile(
                pool,
                sizes,
                tile,
                head,
                soon,
                behind(work.queries, row * sizes.head_dim),
                group,
                behind(work.scores, row * SPLIT + t - start),
                SPLIT,
                work.copy,
            )
        tile = following


@inlined
def _weigh(pool, sizes, table, start, low, high, first_head, last_head, work):
    group, heads = sizes.group, last_head - first_head
    step = min(_AHEAD, heads)
    tile = tile_at(table, low // LANES * LANES, low, high, sizes.block_size)
    for t in range(low // LANES * LANES, high, LANES):
        following = tile_at(table, min(t + LANES, (high - 1) // LANES * LANES), low, high, sizes.block_size)
        for head in range(first_head, last_head):
            row, later = head * group, head + step
            if later < last_head:
                soon = values_at(pool, sizes, tile, later)
            else:
                soon = values_at(pool, sizes, following, later - heads)
            weigh_tile(
                pool,
                sizes,
                tile,
                head,
                soon,
                behind(work.scores, row * SPLIT + t - start),
                SPLIT,
                group,
                behind(work.sums, row * sizes.padded_dim),
                work.copy,
            )
        tile = following


@leaf
def _merge(sizes, work, first, last, out):
    """Put a sequence's splits, tasks first to last (excluded), together."""
    padded, sums = sizes.padded_dim, work.sums
    for row in range(sizes.num_heads):
        top = work.highest[first * sizes.num_heads + row]
        for task in range(first + 1, last):
            top = max(top, work.highest[task * sizes.num_heads + row])
        for i in range(padded):
            sums[i] = 0.0
        total = np.float32(0.0)
        for task in range(first, last):
            of_task = task * sizes.num_heads + row
            factor = power(work.highest[of_task] - top)
            total += factor * work.totals[of_task]
            partial = behind(work.partial, of_task * padded)
            for i in range(padded):
                sums[i] += factor * partial[i]
        put_row(sums, np.float32(1.0) / total, sizes, behind(out, row * sizes.head_dim))


decode = Kernel("decode", DecodeCall, _decode)

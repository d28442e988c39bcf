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

from typing import Any, NamedTuple

import numpy as np
from numba import njit, prange

from cblab.attention.numba.softmax import exponentiate, hide, highest, power
from cblab.attention.numba.threads import take
from cblab.attention.numba.tiles import called, inlined, pool_at, put_row, score_tile, tile_at, weigh_tile
from cblab.attention.numba.vector import LANES, behind, number, pointer, pointer_at

# Tokens of a split.
SPLIT = 256
# How many KV heads further on memory is asked for, while one is computed.
AHEAD = 4


class Plan(NamedTuple):
    """The tasks of a step, and room for what they hand to each other.

    Attributes:
        tables: block tables, int32 `[num_seqs, max_blocks]`.
        context_lens: int32 `[num_seqs]`.
        seqs: each task's sequence.
        splits: each task's split.
        first_tasks: each sequence's first task, and behind the last one their number.
        finished: how many parts of a sequence's tasks are done.
        next_task: one number, the first task that nobody has taken.
        highest: of each task and head.
        totals: sum of weights of each task and head.
        sums: weighted values, `[num_tasks, num_heads, padded_dim]`; empty if each sequence has one split.
        scratch: each thread's room for what it is working on.
    """

    tables: np.ndarray
    context_lens: np.ndarray
    seqs: np.ndarray
    splits: np.ndarray
    first_tasks: np.ndarray
    finished: np.ndarray
    next_task: np.ndarray
    highest: np.ndarray
    totals: np.ndarray
    sums: np.ndarray
    scratch: np.ndarray


class _Work(NamedTuple):
    """A `Plan` as pointers, and a thread's part of the scratch memory."""

    next_task: Any
    finished: Any
    highest: Any
    totals: Any
    partial: Any
    queries: Any
    scores: Any
    sums: Any
    copy: Any


@inlined
def scratch_size_of(sizes):
    """Numbers that a thread needs for its queries, scores, sums, and a copied tile."""
    return sizes.num_heads * (sizes.head_dim + SPLIT + sizes.padded_dim) + LANES * sizes.padded_dim


@inlined
def _work_of(worker, plan, sizes):
    queries = behind(pointer(plan.scratch), worker * scratch_size_of(sizes))
    scores = behind(queries, sizes.num_heads * sizes.head_dim)
    sums = behind(scores, sizes.num_heads * SPLIT)
    copy = behind(sums, sizes.num_heads * sizes.padded_dim)
    return _Work(
        pointer(plan.next_task),
        pointer(plan.finished),
        pointer(plan.highest),
        pointer(plan.totals),
        pointer(plan.sums),
        queries,
        scores,
        sums,
        copy,
    )


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def decode(
    q,
    q_like,
    q_stride,
    scale,
    keys,
    values,
    key_scales,
    value_scales,
    pool_like,
    sizes,
    plan,
    parts,
    out,
    workers,
):
    """Attention of each sequence's query over its context.

    Args:
        q: address of the queries, `[num_seqs, num_heads, head_dim]`.
        q_like: an array of their dtype.
        q_stride: numbers from one sequence's queries to the next one's.
        scale: what scores are multiplied by, log2(e) included.
        keys: address of the keys' pool, and so on for the next three.
        values: see keys.
        key_scales: see keys.
        value_scales: see keys.
        pool_like: an array of what the pool stores.
        sizes: see `Sizes`.
        plan: see `Plan`.
        parts: how many tasks a split is cut into, by KV heads.
        out: address of the result, float32 `[num_seqs, num_heads, head_dim]`.
        workers: threads.
    """
    plan.next_task[0] = 0
    for worker in prange(workers):
        _work(
            worker,
            q,
            q_like,
            q_stride,
            scale,
            keys,
            values,
            key_scales,
            value_scales,
            pool_like,
            sizes,
            plan,
            parts,
            out,
        )


@called
def _work(
    worker,
    q,
    q_like,
    q_stride,
    scale,
    keys,
    values,
    key_scales,
    value_scales,
    pool_like,
    sizes,
    plan,
    parts,
    out,
):
    q, out = pointer_at(q, q_like), pointer_at(out, plan.scratch)
    pool = pool_at(keys, values, key_scales, value_scales, pool_like, plan.scratch)
    work = _work_of(worker, plan, sizes)
    tables, context_lens = pointer(plan.tables), pointer(plan.context_lens)
    seqs, splits, first_tasks = pointer(plan.seqs), pointer(plan.splits), pointer(plan.first_tasks)
    row_length = sizes.num_heads * sizes.head_dim
    max_blocks = plan.tables.shape[1]
    num_items = plan.seqs.shape[0] * parts
    heads = sizes.num_kv_heads // parts
    item = take(work.next_task, 0)
    while item < num_items:
        task, part = item // parts, item % parts
        seq = seqs[task]
        result = behind(out, seq * row_length)
        num_splits = first_tasks[seq + 1] - first_tasks[seq]
        _attend_split(
            behind(q, seq * q_stride),
            scale,
            pool,
            sizes,
            behind(tables, seq * max_blocks),
            context_lens[seq],
            splits[task],
            part * heads,
            part * heads + heads,
            work,
            task,
            num_splits == 1,
            result,
        )
        if num_splits > 1 and take(work.finished, seq) == num_splits * parts - 1:
            work.finished[seq] = 0
            _merge(sizes, work, first_tasks[seq], first_tasks[seq + 1], result)
        item = take(work.next_task, 0)


@called
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


@called
def _score(pool, sizes, table, start, low, high, first_head, last_head, work):
    group, head_size = sizes.group, sizes.head_dim * sizes.block_size
    heads = last_head - first_head
    step = min(AHEAD, heads)
    for t in range(low // LANES * LANES, high, LANES):
        tile = tile_at(table, t, low, high, sizes.block_size)
        following = table[min(t + LANES, high - 1) // sizes.block_size]
        for head in range(first_head, last_head):
            row = head * group
            ahead = step * head_size
            if head + step >= last_head:
                ahead += ((following - tile.block) * sizes.num_kv_heads - heads) * head_size
            score_tile(
                pool,
                sizes,
                tile,
                head,
                ahead,
                behind(work.queries, row * sizes.head_dim),
                group,
                behind(work.scores, row * SPLIT + t - start),
                SPLIT,
                work.copy,
            )


@called
def _weigh(pool, sizes, table, start, low, high, first_head, last_head, work):
    group, head_size = sizes.group, sizes.head_dim * sizes.block_size
    heads = last_head - first_head
    step = min(AHEAD, heads)
    for t in range(low // LANES * LANES, high, LANES):
        tile = tile_at(table, t, low, high, sizes.block_size)
        following = table[min(t + LANES, high - 1) // sizes.block_size]
        for head in range(first_head, last_head):
            row = head * group
            ahead = step * head_size
            if head + step >= last_head:
                ahead += ((following - tile.block) * sizes.num_kv_heads - heads) * head_size
            weigh_tile(
                pool,
                sizes,
                tile,
                head,
                ahead,
                behind(work.scores, row * SPLIT + t - start),
                SPLIT,
                group,
                behind(work.sums, row * sizes.padded_dim),
                work.copy,
            )


@called
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

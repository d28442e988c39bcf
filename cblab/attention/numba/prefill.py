"""Ragged paged prefill: chunks of queries over cached tokens and themselves, read where they are."""

from typing import Any, NamedTuple

import numpy as np
from numba import njit, prange

from cblab.attention.numba.softmax import HIDDEN, exponentiate, hide, highest, power
from cblab.attention.numba.threads import take
from cblab.attention.numba.tiles import called, inlined, pool_at, put_row, score_tile, tile_at, weigh_tile
from cblab.attention.numba.vector import LANES, behind, number, pointer, pointer_at

# Keys whose softmax is taken at once.
CHUNK = 256
# Rows, queries times the heads of a group, that share what is loaded of keys and values.
ROWS = 32


class Plan(NamedTuple):
    """The tasks of a call: each is a tile of queries of one sequence.

    Attributes:
        tables: block tables, int32 `[num_seqs, max_blocks]`.
        context_lens: int32 `[num_seqs]`.
        borders: where each sequence's queries begin, and behind the last one their number.
        seqs: each task's sequence.
        first_queries: each task's first query.
        next_task: one number, the first task that nobody has taken.
        scratch: each thread's room for what it is working on.
    """

    tables: np.ndarray
    context_lens: np.ndarray
    borders: np.ndarray
    seqs: np.ndarray
    first_queries: np.ndarray
    next_task: np.ndarray
    scratch: np.ndarray


class _Work(NamedTuple):
    queries: Any
    scores: Any
    sums: Any
    largest: Any
    totals: Any
    copy: Any


@inlined
def scratch_size_of(sizes):
    """Numbers that a thread needs for its queries, scores, sums, and a copied tile."""
    return max(ROWS, sizes.group) * (sizes.head_dim + CHUNK + sizes.padded_dim + 2) + LANES * sizes.padded_dim


@inlined
def _work_of(worker, plan, sizes):
    most = max(ROWS, sizes.group)
    queries = behind(pointer(plan.scratch), worker * scratch_size_of(sizes))
    scores = behind(queries, most * sizes.head_dim)
    sums = behind(scores, most * CHUNK)
    largest = behind(sums, most * sizes.padded_dim)
    totals = behind(largest, most)
    return _Work(queries, scores, sums, largest, totals, behind(totals, most))


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def prefill(
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
    tile_queries,
    out,
    workers,
):
    """A task is `tile_queries` queries of a sequence and one KV head."""
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
            tile_queries,
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
    tile_queries,
    out,
):
    q, out = pointer_at(q, q_like), pointer_at(out, plan.scratch)
    pool = pool_at(keys, values, key_scales, value_scales, pool_like, plan.scratch)
    work = _work_of(worker, plan, sizes)
    tables, context_lens, borders = pointer(plan.tables), pointer(plan.context_lens), pointer(plan.borders)
    seqs, first_queries, next_task = pointer(plan.seqs), pointer(plan.first_queries), pointer(plan.next_task)
    max_blocks = plan.tables.shape[1]
    num_items = plan.seqs.shape[0] * sizes.num_kv_heads
    row_length = sizes.num_heads * sizes.head_dim
    item = take(next_task, 0)
    while item < num_items:
        # The last tiles see the most keys: they come first, so that no thread is left alone with one.
        task, head = (num_items - 1 - item) // sizes.num_kv_heads, item % sizes.num_kv_heads
        seq, query = seqs[task], first_queries[task]
        left = borders[seq + 1] - query
        _attend(
            behind(q, query * q_stride),
            q_stride,
            scale,
            pool,
            sizes,
            behind(tables, seq * max_blocks),
            min(tile_queries, left),
            context_lens[seq] - left,
            head,
            work,
            behind(out, query * row_length),
        )
        item = take(next_task, 0)


@inlined
def _begin(q, q_stride, scale, sizes, num_queries, head, work):
    """Scale the queries of one KV head, and empty their running softmax and sums."""
    width = sizes.group * sizes.head_dim
    for i in range(num_queries):
        at = behind(q, i * q_stride + head * width)
        for j in range(width):
            work.queries[i * width + j] = number(at, j) * scale
    for row in range(num_queries * sizes.group):
        work.largest[row] = HIDDEN
        work.totals[row] = 0.0
    for i in range(num_queries * sizes.group * sizes.padded_dim):
        work.sums[i] = 0.0


@called
def _attend(q, q_stride, scale, pool, sizes, table, num_queries, position, head, work, out):
    group, dim, padded = sizes.group, sizes.head_dim, sizes.padded_dim
    num_rows = num_queries * group
    _begin(q, q_stride, scale, sizes, num_queries, head, work)
    begin, end = max(0, position + 1 - sizes.window), position + num_queries
    for start in range(begin // CHUNK * CHUNK, end, CHUNK):
        low, high = max(start, begin), min(start + CHUNK, end)
        low_tile = low // LANES * LANES
        width = (high - low_tile + LANES - 1) // LANES * LANES
        for t in range(low_tile, high, LANES):
            tile = tile_at(table, t, low, high, sizes.block_size)
            score_tile(
                pool,
                sizes,
                tile,
                head,
                0,
                work.queries,
                num_rows,
                behind(work.scores, t - start),
                CHUNK,
                work.copy,
            )
        for row in range(num_rows):
            seen_to = position + row // group + 1
            scores = behind(work.scores, row * CHUNK + low_tile - start)
            hide(scores, 0, min(max(low, seen_to - sizes.window) - low_tile, width))
            hide(scores, max(min(seen_to, high) - low_tile, 0), width)
            top = max(work.largest[row], highest(scores, width))
            factor = power(work.largest[row] - top)
            work.largest[row] = top
            work.totals[row] = work.totals[row] * factor + exponentiate(scores, width, top)
            sums = behind(work.sums, row * padded)
            for i in range(padded):
                sums[i] *= factor
        for t in range(low_tile, high, LANES):
            tile = tile_at(table, t, low, high, sizes.block_size)
            weigh_tile(
                pool,
                sizes,
                tile,
                head,
                0,
                behind(work.scores, t - start),
                CHUNK,
                num_rows,
                work.sums,
                work.copy,
            )
    for row in range(num_rows):
        place = (row // group * sizes.num_heads + head * group + row % group) * dim
        put_row(
            behind(work.sums, row * padded), np.float32(1.0) / work.totals[row], sizes, behind(out, place)
        )

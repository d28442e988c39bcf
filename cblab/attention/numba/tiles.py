"""Tiles: 16 tokens of one KV head, scored and weighed for several queries while they are in registers.

Scores are `queries @ keys`, results are `weights @ values`: two small matrix products. Both are computed four
rows at a time, one vector a row, so that what is loaded of keys and values is used four times:

```
            keys [head_dim, 16 tokens]                     values [16 tokens, head_dim]
             ---- one vector ----                           ---- one vector ----
    q[0, d] * k[d, 0] ... k[d, 15]  + into scores[0]   w[0, t] * v[t, c] ... v[t, c + 15]  + into sums[0]
    q[1, d] * the same              + into scores[1]   w[1, t] * the same                  + into sums[1]
    q[2, d] *                         ...              w[2, t] *                             ...
    q[3, d] *                                          w[3, t] *
```

No sum ever runs over a vector's lanes, which is what keys are stored in layout HDN for. A row's sums are
formed in the same order however many rows there are beside it, so that no result depends on the batch.

A query sees the tokens `first` to `last` (excluded) of a tile. What the other lanes get may be NaN: scores
there are hidden before the softmax, values there are never read.
"""

from typing import Any, NamedTuple

from numba import njit, types

from cblab.attention.numba.vector import (
    LANES,
    behind,
    fma,
    load,
    multiply,
    number,
    pointer,
    prefetch,
    repeat,
    splat,
    store,
)

inlined = njit(inline="always", error_model="numpy")
leaf = njit(error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)


class Sizes(NamedTuple):
    """What all sequences of a call have in common.

    Attributes:
        num_heads: query heads.
        num_kv_heads: heads of keys and values.
        group: query heads that share a KV head.
        head_dim: numbers of a query, a key, a value.
        padded_dim: the same in whole vectors: a row of sums.
        block_size: tokens of a block.
        window: how many keys a query sees at most.
        in_place: whether a tile lies in one block, in rows that vectors can be loaded from; otherwise it is
            copied together first.
        has_scales: whether keys and values are integers with a scale for each token and head.
    """

    num_heads: int
    num_kv_heads: int
    group: int
    head_dim: int
    padded_dim: int
    block_size: int
    window: int
    in_place: bool
    has_scales: bool


class Pool(NamedTuple):
    """Pointers to a layer's pool in layout HDN."""

    keys: Any
    values: Any
    key_scales: Any
    value_scales: Any


class Tile(NamedTuple):
    """Sixteen tokens of a sequence, the first at position `start`, in a block from `offset` on."""

    table: Any
    start: int
    block: int
    offset: int
    first: int
    last: int


@inlined
def sizes_of(call):
    """The sizes among what a call is told."""
    return Sizes(
        call.num_heads,
        call.num_kv_heads,
        call.num_heads // call.num_kv_heads,
        call.head_dim,
        call.padded_dim,
        call.block_size,
        call.window,
        call.in_place != 0,
        call.key_scales != 0,
    )


@inlined
def pool_of(call, dtype):
    """The pool among what a call is told."""
    return Pool(
        pointer(call.keys, dtype),
        pointer(call.values, dtype),
        pointer(call.key_scales, types.float32),
        pointer(call.value_scales, types.float32),
    )


@inlined
def tile_at(table, start, low, high, block_size):
    """The tile that begins at `start`, of which positions low to high (excluded) are seen."""
    block, offset = table[start // block_size], start % block_size
    return Tile(table, start, block, offset, max(low - start, 0), min(high - start, LANES))


@leaf
def score_tile(pool, sizes, tile, head, ahead, queries, num_rows, scores, stride, copy):
    """Score a tile's keys for the rows of `queries`, `[num_rows, head_dim]`.

    `stride` is between rows of scores, `ahead` is how far from these the keys are that will be needed soon.
    """
    if not sizes.in_place:
        _copy_keys(copy, pool, sizes, tile, head)
        _score_rows(queries, num_rows, sizes.head_dim, copy, LANES, 0, scores, stride)
        return
    token = (tile.block * sizes.num_kv_heads + head) * sizes.block_size
    keys = behind(pool.keys, token * sizes.head_dim + tile.offset)
    _score_rows(queries, num_rows, sizes.head_dim, keys, sizes.block_size, ahead, scores, stride)
    if sizes.has_scales:
        _scale_rows(scores, stride, num_rows, behind(pool.key_scales, token + tile.offset))


@leaf
def weigh_tile(pool, sizes, tile, head, ahead, weights, stride, num_rows, sums, copy):
    """Add a tile's weighted values to `sums`, `[num_rows, padded_dim]`; `stride` is between weights' rows."""
    dim, padded = sizes.head_dim, sizes.padded_dim
    if not sizes.in_place:
        _copy_values(copy, pool, sizes, tile, head)
        for c in range(0, padded, LANES):
            _weigh_rows(weights, stride, num_rows, behind(copy, c), padded, 0, tile, behind(sums, c), padded)
        return
    token = (tile.block * sizes.num_kv_heads + head) * sizes.block_size + tile.offset
    if sizes.has_scales:
        _scale_rows(weights, stride, num_rows, behind(pool.value_scales, token))
    for c in range(0, padded, LANES):
        # The last vector ends where the row ends, so that it may begin inside the one before.
        values = behind(pool.values, token * dim + min(c, dim - LANES))
        _weigh_rows(weights, stride, num_rows, values, dim, ahead, tile, behind(sums, c), padded)


@leaf
def put_row(sums, factor, sizes, out):
    """`out[:head_dim]` = a row of sums times a factor."""
    for c in range(0, sizes.padded_dim, LANES):
        # As in weigh_tile: where the last two vectors overlap, they are equal.
        start = min(c, sizes.head_dim - LANES) if sizes.in_place else c
        for i in range(min(LANES, sizes.head_dim - start)):
            out[start + i] = sums[c + i] * factor


@leaf
def _score_rows(queries, num_rows, dim, keys, stride, ahead, scores, scores_stride):
    row = 0
    while row + 4 <= num_rows:
        q0 = behind(queries, row * dim)
        q1, q2, q3 = behind(q0, dim), behind(q0, 2 * dim), behind(q0, 3 * dim)
        s0, s1, s2, s3 = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
        for d in range(dim):
            k = load(keys, d * stride)
            prefetch(keys, ahead + d * stride)
            s0 = fma(repeat(q0, d), k, s0)
            s1 = fma(repeat(q1, d), k, s1)
            s2 = fma(repeat(q2, d), k, s2)
            s3 = fma(repeat(q3, d), k, s3)
        to = behind(scores, row * scores_stride)
        store(to, 0, s0)
        store(to, scores_stride, s1)
        store(to, 2 * scores_stride, s2)
        store(to, 3 * scores_stride, s3)
        row += 4
    while row + 2 <= num_rows:
        q0 = behind(queries, row * dim)
        q1 = behind(q0, dim)
        s0, s1 = splat(0.0), splat(0.0)
        for d in range(dim):
            k = load(keys, d * stride)
            prefetch(keys, ahead + d * stride)
            s0 = fma(repeat(q0, d), k, s0)
            s1 = fma(repeat(q1, d), k, s1)
        to = behind(scores, row * scores_stride)
        store(to, 0, s0)
        store(to, scores_stride, s1)
        row += 2
    if row < num_rows:
        q0 = behind(queries, row * dim)
        s0 = splat(0.0)
        for d in range(dim):
            prefetch(keys, ahead + d * stride)
            s0 = fma(repeat(q0, d), load(keys, d * stride), s0)
        store(scores, row * scores_stride, s0)


@leaf
def _weigh_rows(weights, stride, num_rows, values, dim, ahead, tile, sums, padded):
    row = 0
    while row + 4 <= num_rows:
        w0 = behind(weights, row * stride)
        w1, w2, w3 = behind(w0, stride), behind(w0, 2 * stride), behind(w0, 3 * stride)
        to = behind(sums, row * padded)
        s0, s1, s2, s3 = load(to, 0), load(to, padded), load(to, 2 * padded), load(to, 3 * padded)
        for t in range(tile.first, tile.last):
            v = load(values, t * dim)
            prefetch(values, ahead + t * dim)
            s0 = fma(repeat(w0, t), v, s0)
            s1 = fma(repeat(w1, t), v, s1)
            s2 = fma(repeat(w2, t), v, s2)
            s3 = fma(repeat(w3, t), v, s3)
        store(to, 0, s0)
        store(to, padded, s1)
        store(to, 2 * padded, s2)
        store(to, 3 * padded, s3)
        row += 4
    while row + 2 <= num_rows:
        w0 = behind(weights, row * stride)
        w1 = behind(w0, stride)
        to = behind(sums, row * padded)
        s0, s1 = load(to, 0), load(to, padded)
        for t in range(tile.first, tile.last):
            v = load(values, t * dim)
            prefetch(values, ahead + t * dim)
            s0 = fma(repeat(w0, t), v, s0)
            s1 = fma(repeat(w1, t), v, s1)
        store(to, 0, s0)
        store(to, padded, s1)
        row += 2
    if row < num_rows:
        w0 = behind(weights, row * stride)
        to = behind(sums, row * padded)
        s0 = load(to, 0)
        for t in range(tile.first, tile.last):
            prefetch(values, ahead + t * dim)
            s0 = fma(repeat(w0, t), load(values, t * dim), s0)
        store(to, 0, s0)


@leaf
def _scale_rows(rows, stride, num_rows, scales):
    by = load(scales, 0)
    for row in range(num_rows):
        store(rows, row * stride, multiply(load(rows, row * stride), by))


@leaf
def _copy_keys(copy, pool, sizes, tile, head):
    """The tile's keys from wherever their blocks are, as float32 `[head_dim, 16]`."""
    for t in range(tile.first, tile.last):
        block, offset = divmod(tile.start + t, sizes.block_size)
        token = (tile.table[block] * sizes.num_kv_heads + head) * sizes.block_size
        keys = behind(pool.keys, token * sizes.head_dim + offset)
        scale = pool.key_scales[token + offset] if sizes.has_scales else 1.0
        for d in range(sizes.head_dim):
            copy[d * LANES + t] = number(keys, d * sizes.block_size) * scale


@leaf
def _copy_values(copy, pool, sizes, tile, head):
    """The tile's values, as float32 `[16, padded_dim]`."""
    for t in range(tile.first, tile.last):
        block, offset = divmod(tile.start + t, sizes.block_size)
        token = (tile.table[block] * sizes.num_kv_heads + head) * sizes.block_size + offset
        values = behind(pool.values, token * sizes.head_dim)
        scale = pool.value_scales[token] if sizes.has_scales else 1.0
        for d in range(sizes.head_dim):
            copy[t * sizes.padded_dim + d] = number(values, d) * scale

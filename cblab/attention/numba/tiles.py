"""Tiles: 16 tokens of one KV head, scored and weighed for several queries while they are in registers.

Scores are `queries @ keys`, results are `weights @ values`: two small matrix products. Both are computed four
rows at a time (at the end three, two or one), one vector a row, so that what is loaded of keys and values is
used four times:

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
    fma_rows,
    load,
    load_rows,
    multiply,
    number,
    pointer,
    prefetch,
    repeat_row,
    rows_at,
    splat,
    store,
    store_rows,
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


@inlined
def _first_token(sizes, tile, head):
    """A tile's first token of a head, counted over blocks, heads and tokens: the place of its scale."""
    return (tile.block * sizes.num_kv_heads + head) * sizes.block_size + tile.offset


@inlined
def keys_at(pool, sizes, tile, head):
    """Pointer to a tile's keys of a head, `[head_dim, 16]`, in rows `block_size` apart."""
    block_start = _first_token(sizes, tile, head) - tile.offset
    return behind(pool.keys, block_start * sizes.head_dim + tile.offset)


@inlined
def values_at(pool, sizes, tile, head):
    """Pointer to a tile's values of a head, `[16, head_dim]`."""
    return behind(pool.values, _first_token(sizes, tile, head) * sizes.head_dim)


@leaf
def score_tile(pool, sizes, tile, head, soon, queries, num_rows, scores, stride, copy):
    """Score a tile's keys for the rows of `queries`, `[num_rows, head_dim]`.

    `stride` is between rows of scores; `soon` points to keys or values that are wanted next.
    """
    if not sizes.in_place:
        _copy_keys(copy, pool, sizes, tile, head)
        _score_rows(queries, num_rows, sizes.head_dim, copy, LANES, soon, scores, stride)
        return
    keys = keys_at(pool, sizes, tile, head)
    _score_rows(queries, num_rows, sizes.head_dim, keys, sizes.block_size, soon, scores, stride)
    if sizes.has_scales:
        _scale_rows(scores, stride, num_rows, behind(pool.key_scales, _first_token(sizes, tile, head)))


@leaf
def weigh_tile(pool, sizes, tile, head, soon, weights, stride, num_rows, sums, copy):
    """Add a tile's weighted values to `sums`, `[num_rows, padded_dim]`.

    `stride` is between rows of weights; `soon` points to values that are wanted next.
    """
    dim, padded = sizes.head_dim, sizes.padded_dim
    if not sizes.in_place:
        _copy_values(copy, pool, sizes, tile, head)
        _weigh_rows(weights, stride, num_rows, copy, padded, padded - LANES, soon, tile, sums, padded)
        return
    if sizes.has_scales:
        _scale_rows(weights, stride, num_rows, behind(pool.value_scales, _first_token(sizes, tile, head)))
    # The last vector ends where the row ends, so that it may begin inside the one before.
    values = values_at(pool, sizes, tile, head)
    _weigh_rows(weights, stride, num_rows, values, dim, dim - LANES, soon, tile, sums, padded)


@leaf
def put_row(sums, factor, sizes, out):
    """`out[:head_dim]` = a row of sums times a factor."""
    for c in range(0, sizes.padded_dim, LANES):
        # As in weigh_tile: where the last two vectors overlap, they are equal.
        start = min(c, sizes.head_dim - LANES) if sizes.in_place else c
        for i in range(min(LANES, sizes.head_dim - start)):
            out[start + i] = sums[c + i] * factor


@leaf
def _score_rows(queries, num_rows, dim, keys, stride, soon, scores, scores_stride):
    row = 0
    while row + 4 <= num_rows:
        _score_some(queries, row, 4, dim, keys, stride, soon, scores, scores_stride)
        row += 4
    if row + 3 == num_rows:
        _score_some(queries, row, 3, dim, keys, stride, soon, scores, scores_stride)
    elif row + 2 == num_rows:
        _score_some(queries, row, 2, dim, keys, stride, soon, scores, scores_stride)
    elif row + 1 == num_rows:
        _score_some(queries, row, 1, dim, keys, stride, soon, scores, scores_stride)


@inlined
def _score_some(queries, row, count, dim, keys, stride, soon, scores, scores_stride):
    factors, sums = rows_at(behind(queries, row * dim), dim, count), repeat_row(splat(0.0), count)
    for d in range(dim):
        prefetch(soon, d * stride)
        sums = fma_rows(sums, factors, d, load(keys, d * stride))
    store_rows(behind(scores, row * scores_stride), scores_stride, sums)


@leaf
def _weigh_rows(weights, stride, num_rows, values, dim, last, soon, tile, sums, padded):
    """`last` is where a row's last vector of values begins."""
    row = 0
    while row + 4 <= num_rows:
        _weigh_four(weights, row, stride, values, dim, last, soon, tile, sums, padded)
        row += 4
    if row + 3 == num_rows:
        _weigh_few(weights, row, 3, stride, values, dim, last, soon, tile, sums, padded)
    elif row + 2 == num_rows:
        _weigh_few(weights, row, 2, stride, values, dim, last, soon, tile, sums, padded)
    elif row + 1 == num_rows:
        _weigh_few(weights, row, 1, stride, values, dim, last, soon, tile, sums, padded)


@inlined
def _weigh_four(weights, row, stride, values, dim, last, soon, tile, sums, padded):
    factors = rows_at(behind(weights, row * stride), stride, 4)
    for c in range(0, padded, LANES):
        to, column = behind(sums, row * padded + c), min(c, last)
        some = load_rows(to, padded, 4)
        for t in range(tile.first, tile.last):
            prefetch(soon, t * dim + column)
            some = fma_rows(some, factors, t, load(values, t * dim + column))
        store_rows(to, padded, some)


@inlined
def _weigh_few(weights, row, count, stride, values, dim, last, soon, tile, sums, padded):
    """Two vectors at a time: there have to be enough sums to add to while others are being added.

    Of an odd number of vectors the last is taken twice, and written twice.
    """
    factors, start = rows_at(behind(weights, row * stride), stride, count), row * padded
    for c in range(0, padded, 2 * LANES):
        next_c = min(c + LANES, padded - LANES)
        to, also_to = behind(sums, start + c), behind(sums, start + next_c)
        column, next_column = min(c, last), min(next_c, last)
        some, others = load_rows(to, padded, count), load_rows(also_to, padded, count)
        for t in range(tile.first, tile.last):
            prefetch(soon, t * dim + column)
            prefetch(soon, t * dim + next_column)
            some = fma_rows(some, factors, t, load(values, t * dim + column))
            others = fma_rows(others, factors, t, load(values, t * dim + next_column))
        store_rows(to, padded, some)
        store_rows(also_to, padded, others)


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

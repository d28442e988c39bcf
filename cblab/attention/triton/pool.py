"""What all kernels here have in common on the device: reading keys and values through a block table."""

# Kernels keep Triton's customs: capitals for what is known when they are compiled, and no types.
# ruff: noqa: N803
# mypy: allow-untyped-defs

import triton
import triton.language as tl


@triton.jit
def _pool_rows(block_table, positions, is_key, kv_head, POOL: tl.constexpr):
    """Rows of the pool that hold the tokens at `positions` of one sequence; see `pool_arguments`.

    int64: a pool of more than 2^31 numbers is nothing special on a GPU. Where there is no key, the table
    is not read either, since behind a sequence's last block it may hold anything.
    """
    block_ids = tl.load(block_table + positions // POOL.block_size, mask=is_key, other=0).to(tl.int64)
    offsets = positions % POOL.block_size
    first_rows = block_ids * (POOL.block_size * POOL.num_kv_heads)
    return first_rows + offsets * POOL.token_rows + kv_head * POOL.head_rows


@triton.jit
def _online_softmax_step(scores, is_seen, running_max, running_sum):
    """Take a tile of scores into a running softmax (Milakov and Gimelshein, 2018).

    ```
    max'  = max(max, scores of the tile)
    sum'  = sum * 2^(max - max') + sum of 2^(scores - max')
    ```

    Scores are in units of log 2: exp2 is one instruction of the GPU, exp is two.

    Returns:
        the tile's weights, what everything summed so far has to be multiplied with, and the new max and sum.
    """
    scores = tl.where(is_seen, scores, float("-inf"))
    new_max = tl.maximum(running_max, tl.max(scores, axis=1))
    # Before a row has seen a key its max is -inf, and -inf - -inf would be NaN.
    base = tl.where(new_max == float("-inf"), 0.0, new_max)
    weights = tl.exp2(scores - base[:, None])
    rescale = tl.exp2(running_max - base)
    return weights, rescale, new_max, running_sum * rescale + tl.sum(weights, axis=1)


@triton.jit
def _attend_to_tile(
    query,  # [rows, dim_tile], in the dtype of the products
    pool,  # see `PoolTensors`
    rows,  # of the pool, [tile]
    is_key,  # [tile], whether there is a key at all
    is_seen,  # [rows or 1, tile], by which query
    scale,
    running_max,
    running_sum,
    total,  # [rows, dim_tile]
    POOL: tl.constexpr,
    PRODUCT: tl.constexpr,
):
    """Take a tile of keys and values into the running softmax and the weighted sum; returns all three.

    What is no key is not loaded: it may be NaN, and no weight, not even 0, makes that harmless.
    """
    dims = tl.arange(0, POOL.dim_tile)
    is_dim = dims < POOL.head_dim
    key = tl.load(
        pool.key_rows + rows[None, :] * POOL.head_dim + dims[:, None],
        mask=is_key[None, :] & is_dim[:, None],
        other=0.0,
    )
    scores = tl.dot(query, key.to(PRODUCT), input_precision="ieee") * scale
    if pool.key_scales is not None:
        scores *= tl.load(pool.key_scales + rows, mask=is_key, other=0.0)[None, :]
    weights, rescale, running_max, running_sum = _online_softmax_step(
        scores, is_seen, running_max, running_sum
    )
    value = tl.load(
        pool.value_rows + rows[:, None] * POOL.head_dim + dims[None, :],
        mask=is_key[:, None] & is_dim[None, :],
        other=0.0,
    )
    if pool.value_scales is not None:
        weights *= tl.load(pool.value_scales + rows, mask=is_key, other=0.0)[None, :]
    total = tl.dot(weights.to(PRODUCT), value.to(PRODUCT), total * rescale[:, None], input_precision="ieee")
    return running_max, running_sum, total


@triton.jit
def attend_to_keys(
    query,  # [rows, dim_tile], in the dtype of the products
    query_positions,  # [rows]: a query sees nothing behind its own; None where it sees all of first to end
    pool,  # see `PoolTensors`
    block_table,  # of the sequence
    kv_head,
    first,
    end,  # tokens `first` to `end` (excluded) are keys
    scale,
    POOL: tl.constexpr,
    WINDOW: tl.constexpr,  # keys that a query with a position sees at most, or None
    TILE: tl.constexpr,
    PRODUCT: tl.constexpr,
):
    """Attention of some queries over the keys of one sequence and head, tile by tile.

    Tiles begin at multiples of their size, wherever the keys begin: a query's result is the same to the last
    bit, however its prompt is cut into chunks.

    Returns:
        the result, `[rows, dim_tile]`, 0 where a query has seen no key, and of each row the running softmax's
        max and sum.
    """
    running_max = tl.full([query.shape[0]], float("-inf"), tl.float32)
    running_sum = tl.zeros([query.shape[0]], tl.float32)
    total = tl.zeros(query.shape, tl.float32)
    for start in tl.range(first // TILE * TILE, end, TILE):
        positions = start + tl.arange(0, TILE)
        is_key = (positions >= first) & (positions < end)
        is_seen = is_key[None, :]
        if query_positions is not None:
            is_seen &= positions[None, :] <= query_positions[:, None]
            if WINDOW is not None:
                is_seen &= positions[None, :] > query_positions[:, None] - WINDOW
        rows = _pool_rows(block_table, positions, is_key, kv_head, POOL)
        running_max, running_sum, total = _attend_to_tile(
            query, pool, rows, is_key, is_seen, scale, running_max, running_sum, total, POOL, PRODUCT
        )
    return total / tl.where(running_sum > 0, running_sum, 1.0)[:, None], running_max, running_sum

"""What all kernels here have in common on the device: reading keys and values through a block table."""

# Kernels keep Triton's customs: capitals for what is known when they are compiled, and no types.
# ruff: noqa: N803
# mypy: allow-untyped-defs

import triton
import triton.language as tl


@triton.jit
def pool_rows(
    block_table,
    positions,
    is_seen,
    kv_head,
    BLOCK_SIZE: tl.constexpr,
    NUM_KV_HEADS: tl.constexpr,
    TOKEN_ROWS: tl.constexpr,
    HEAD_ROWS: tl.constexpr,
):
    """Rows of the pool that hold the tokens at `positions` of one sequence; see `pool_arguments`.

    int64: a pool of more than 2^31 numbers is nothing special on a GPU. Where a token is not seen, the table
    is not read either, since behind a sequence's last block it may hold anything.
    """
    block_ids = tl.load(block_table + positions // BLOCK_SIZE, mask=is_seen, other=0).to(tl.int64)
    offsets = positions % BLOCK_SIZE
    return block_ids * (BLOCK_SIZE * NUM_KV_HEADS) + offsets * TOKEN_ROWS + kv_head * HEAD_ROWS


@triton.jit
def online_softmax_step(scores, is_seen, running_max, running_sum):
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
def attend_to_tile(
    query,  # [rows, DIM_TILE], in the dtype of the products
    pool,  # keys, values and their scales, or None
    rows,  # of the pool, [tile]
    is_key,  # [tile], whether there is a key at all
    is_seen,  # [rows or 1, tile], by which query
    scale,
    running_max,
    running_sum,
    total,  # [rows, DIM_TILE]
    HEAD_DIM: tl.constexpr,
    DIM_TILE: tl.constexpr,
    PRODUCT: tl.constexpr,
):
    """Take a tile of keys and values into the running softmax and the weighted sum; returns all three.

    What is no key is not loaded: it may be NaN, and no weight, not even 0, makes that harmless.
    """
    keys, values, key_scales, value_scales = pool
    dims = tl.arange(0, DIM_TILE)
    is_dim = dims < HEAD_DIM
    key = tl.load(
        keys + rows[None, :] * HEAD_DIM + dims[:, None], mask=is_key[None, :] & is_dim[:, None], other=0.0
    )
    scores = tl.dot(query, key.to(PRODUCT), input_precision="ieee") * scale
    if key_scales is not None:
        scores *= tl.load(key_scales + rows, mask=is_key, other=0.0)[None, :]
    weights, rescale, running_max, running_sum = online_softmax_step(
        scores, is_seen, running_max, running_sum
    )
    value = tl.load(
        values + rows[:, None] * HEAD_DIM + dims[None, :], mask=is_key[:, None] & is_dim[None, :], other=0.0
    )
    if value_scales is not None:
        weights *= tl.load(value_scales + rows, mask=is_key, other=0.0)[None, :]
    total = tl.dot(weights.to(PRODUCT), value.to(PRODUCT), total * rescale[:, None], input_precision="ieee")
    return running_max, running_sum, total

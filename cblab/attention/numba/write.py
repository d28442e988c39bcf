"""KV write: new keys and values into their slots, as what the pool stores."""

import numpy as np
from numba import njit, prange, types
from numba.extending import overload

from cblab.attention.numba.tiles import called, inlined
from cblab.attention.numba.vector import behind, number, pointer, pointer_at


def _stored(x, scale, pool):
    raise NotImplementedError


@overload(_stored, jit_options={"forceinline": True})
def _stored_overload(x, scale, pool):
    if pool.dtype == types.float32:
        return lambda x, scale, pool: x
    if pool.dtype == types.int8:
        return lambda x, scale, pool: np.int8(np.rint(x / scale))

    def to_bfloat16(x, scale, pool):
        bits = np.float32(x).view(np.uint32)
        if x != x:
            return np.uint16(0x7FC0)
        return np.uint16(
            (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
        )

    return to_bfloat16


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def write(
    k,
    k_stride,
    v,
    v_stride,
    like,
    slots,
    keys,
    values,
    key_scales,
    value_scales,
    pool_like,
    scales_like,
    num_kv_heads,
    head_dim,
    block_size,
    workers,
):
    """Store keys and values at their slots; threads share the tokens.

    Args:
        k: address of the keys, `[num_tokens, num_kv_heads, head_dim]`.
        k_stride: numbers from one token's keys to the next one's.
        v: address of the values.
        v_stride: the same for them.
        like: an array of their dtype.
        slots: int64 `[num_tokens]`.
        keys: address of the keys' pool, and so on for the next three; 0 for scales that there are not.
        values: see keys.
        key_scales: see keys.
        value_scales: see keys.
        pool_like: an array of what the pool stores.
        scales_like: an array of the scales' dtype.
        num_kv_heads: heads of a token.
        head_dim: numbers of a head.
        block_size: tokens of a block.
        workers: threads.
    """
    per_worker = (len(slots) + workers - 1) // workers
    for worker in prange(workers):
        _write_some(
            worker * per_worker,
            min((worker + 1) * per_worker, len(slots)),
            k,
            k_stride,
            v,
            v_stride,
            like,
            slots,
            keys,
            values,
            key_scales,
            value_scales,
            pool_like,
            scales_like,
            num_kv_heads,
            head_dim,
            block_size,
        )


@called
def _write_some(
    first,
    last,
    k,
    k_stride,
    v,
    v_stride,
    like,
    slots,
    keys,
    values,
    key_scales,
    value_scales,
    pool_like,
    scales_like,
    heads,
    dim,
    block_size,
):
    k, v, slots = pointer_at(k, like), pointer_at(v, like), pointer(slots)
    keys, values = pointer_at(keys, pool_like), pointer_at(values, pool_like)
    key_scales_, value_scales_ = pointer_at(key_scales, scales_like), pointer_at(value_scales, scales_like)
    for i in range(first, last):
        block, offset = slots[i] // block_size, slots[i] % block_size
        for head in range(heads):
            token = (block * heads + head) * block_size
            key, value = behind(k, i * k_stride + head * dim), behind(v, i * v_stride + head * dim)
            scale = np.float32(1.0)
            if key_scales != 0:
                scale = _row_scale(key, dim)
                key_scales_[token + offset] = scale
            place = behind(keys, token * dim + offset)
            for d in range(dim):
                place[d * block_size] = _stored(number(key, d), scale, pool_like)
            if value_scales != 0:
                scale = _row_scale(value, dim)
                value_scales_[token + offset] = scale
            place = behind(values, (token + offset) * dim)
            for d in range(dim):
                place[d] = _stored(number(value, d), scale, pool_like)


@inlined
def _row_scale(x, dim):
    largest = np.float32(1e-30)
    for d in range(dim):
        largest = max(largest, abs(number(x, d)))
    return largest / np.float32(127.0)

"""KV write: new keys and values into their slots, as what the pool stores."""

import ctypes

import numpy as np
from numba import types

from cblab.attention.numba.kernel import POOL, Kernel, integers
from cblab.attention.numba.tiles import inlined
from cblab.attention.numba.vector import behind, number, pointer, put


class WriteCall(ctypes.Structure):
    """What a write is told: addresses of what `LayerKV.write` gets, sizes, and how many threads share it."""

    _fields_ = [*POOL, *integers("k", "k_stride", "v", "v_stride", "slots", "num_rows", "num_workers")]


@inlined
def _write(call, worker, dtype, pool_dtype):
    """Write this worker's share of the tokens."""
    heads, dim, block_size = call.num_kv_heads, call.head_dim, call.block_size
    slots = pointer(call.slots, types.int64)
    keys, values = pointer(call.keys, pool_dtype), pointer(call.values, pool_dtype)
    key_scales = pointer(call.key_scales, types.float32)
    value_scales = pointer(call.value_scales, types.float32)
    share = (call.num_rows + call.num_workers - 1) // call.num_workers
    for token in range(worker * share, min(worker * share + share, call.num_rows)):
        block, offset = slots[token] // block_size, slots[token] % block_size
        k = behind(pointer(call.k, dtype), token * call.k_stride)
        v = behind(pointer(call.v, dtype), token * call.v_stride)
        for head in range(heads):
            first = (block * heads + head) * block_size
            key, value = behind(k, head * dim), behind(v, head * dim)
            key_scale, value_scale = np.float32(1.0), np.float32(1.0)
            if call.key_scales != 0:
                key_scale, value_scale = _scale(key, dim), _scale(value, dim)
                key_scales[first + offset] = key_scale
                value_scales[first + offset] = value_scale
            place = behind(keys, first * dim + offset)
            for d in range(dim):
                put(place, d * block_size, number(key, d) / key_scale)
            place = behind(values, (first + offset) * dim)
            for d in range(dim):
                put(place, d, number(value, d) / value_scale)


@inlined
def _scale(x, dim):
    """What the largest magnitude of a row is divided by to become 127; see `quantize`."""
    largest = np.float32(1e-30)
    for d in range(dim):
        largest = max(largest, abs(number(x, d)))
    return largest / np.float32(127.0)


write = Kernel("write", WriteCall, _write)

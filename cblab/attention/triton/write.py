"""Writing new keys and values into the pool, with rounding to int8 where it stores that."""

# Kernels keep Triton's customs: capitals for what is known when they are compiled, and no types.
# ruff: noqa: N803
# mypy: allow-untyped-defs

import torch
import triton
import triton.language as tl
from torch import Tensor

from cblab.attention.layout import LayerKV
from cblab.attention.triton.launch import pool_arguments, require_gpu


def write_kv_triton(kv: LayerKV, slot_mapping: Tensor, k: Tensor, v: Tensor) -> None:
    """Store k and v, `[num_tokens, num_kv_heads, head_dim]`, at the slots `[num_tokens]`.

    A slot below 0 is nobody's: the token pads the batch of a CUDA graph and is not stored.
    """
    require_gpu(k)
    pool, sizes = pool_arguments(kv)
    _write[(slot_mapping.shape[0],)](
        slot_mapping,
        k,
        v,
        k.stride(0),
        k.stride(1),
        v.stride(0),
        v.stride(1),
        pool,
        sizes,
        HEAD_TILE=triton.next_power_of_2(sizes.num_kv_heads),
        num_warps=4 if kv.keys.dtype == torch.int8 else 1,
    )


@triton.jit(do_not_specialize_on_alignment=["slot_mapping"])
def _write(
    slot_mapping,
    k,
    v,
    stride_k_token,
    stride_k_head,
    stride_v_token,
    stride_v_head,
    pool,
    POOL: tl.constexpr,
    HEAD_TILE: tl.constexpr,
):
    """One token: all its heads."""
    token = tl.program_id(0).to(tl.int64)
    slot = tl.load(slot_mapping + token)
    if slot < 0:
        return
    heads, dims = tl.arange(0, HEAD_TILE), tl.arange(0, POOL.dim_tile)
    rows = (
        slot // POOL.block_size * (POOL.block_size * POOL.num_kv_heads)
        + slot % POOL.block_size * POOL.token_rows
        + heads * POOL.head_rows
    )
    is_head = heads < POOL.num_kv_heads
    is_number = is_head[:, None] & (dims < POOL.head_dim)[None, :]
    new_key = tl.load(
        k + token * stride_k_token + heads[:, None] * stride_k_head + dims[None, :], mask=is_number, other=0.0
    )
    new_value = tl.load(
        v + token * stride_v_token + heads[:, None] * stride_v_head + dims[None, :], mask=is_number, other=0.0
    )
    if pool.key_scales is not None:
        new_key, scales = _quantize(new_key)
        tl.store(pool.key_scales + rows, scales, mask=is_head)
        new_value, scales = _quantize(new_value)
        tl.store(pool.value_scales + rows, scales, mask=is_head)
    tl.store(pool.key_rows + rows[:, None] * POOL.head_dim + dims[None, :], new_key, mask=is_number)
    tl.store(pool.value_rows + rows[:, None] * POOL.head_dim + dims[None, :], new_value, mask=is_number)


@triton.jit
def _quantize(x):
    """`cblab.attention.layout.quantize`, to the bit: rows to int8 and a scale each."""
    x = x.to(tl.float32)
    scales = tl.div_rn(tl.maximum(tl.max(tl.abs(x), axis=1), 1e-30), 127.0)
    # Added to 1.5 * 2^23, a float32 has no bits left behind the point: it is rounded, half to even.
    rounded = tl.div_rn(x, scales[:, None]) + 12582912.0 - 12582912.0
    return rounded.to(tl.int8), scales

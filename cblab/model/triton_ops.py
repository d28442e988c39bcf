"""The operations of `FusedOps` as Triton kernels: each reads its input from the GPU's memory once.

All of them compute in float32 and round the result once.
"""

# Kernels keep Triton's customs: capitals for what is known when they are compiled, and no types.
# ruff: noqa: N803
# mypy: allow-untyped-defs

import torch
import triton
import triton.language as tl
from torch import Tensor

from cblab.model.fused import FusedOps

_TILE = 1024  # numbers that a program takes at once


def add_rms_norm(x: Tensor, delta: Tensor | None, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """`x + delta`, and that over its root mean square, times weight; `[..., size]`, at most three axes.

    x may be any view whose last axis is dense: the heads of a projection, say.
    """
    size = x.shape[-1]
    rows = x[:, None] if x.dim() == 2 else x  # [outer, inner, size]
    normed = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    added = None if delta is None else torch.empty_like(normed)
    _add_rms_norm[(rows.shape[0] * rows.shape[1],)](
        x,
        None if delta is None else delta.contiguous(),
        weight,
        normed,
        added,
        rows.shape[1],
        rows.stride(0),
        rows.stride(1),
        eps,
        SIZE=size,
        TILE=triton.next_power_of_2(size),
        num_warps=min(16, max(1, triton.next_power_of_2(size) // 512)),
    )
    return normed, x if added is None else added


@triton.jit
def _add_rms_norm(
    x,
    delta,
    weight,
    normed,
    added,
    inner,
    stride_outer,
    stride_inner,
    eps,
    SIZE: tl.constexpr,
    TILE: tl.constexpr,
):
    """One row."""
    row = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, TILE)
    is_column = columns < SIZE
    source = x + row // inner * stride_outer + row % inner * stride_inner
    numbers = tl.load(source + columns, mask=is_column, other=0.0)
    if delta is not None:
        # Rounded before it is normalized, as if the sum had been an operation of its own.
        total = numbers.to(tl.float32) + tl.load(delta + row * SIZE + columns, mask=is_column, other=0.0)
        numbers = total.to(numbers.dtype)
        tl.store(added + row * SIZE + columns, numbers, mask=is_column)
    wide = numbers.to(tl.float32)
    scale = tl.rsqrt(tl.sum(wide * wide, axis=0) / SIZE + eps)
    weights = tl.load(weight + columns, mask=is_column, other=0.0).to(tl.float32)
    tl.store(normed + row * SIZE + columns, wide * scale * weights, mask=is_column)


def apply_rope(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each pair (i, i + head_dim/2) of `x`, `[num_tokens, num_heads, head_dim]`, in place."""
    num_tokens, num_heads, head_dim = x.shape
    half_tile = triton.next_power_of_2(head_dim // 2)
    head_tile = min(triton.next_power_of_2(num_heads), max(1, _TILE // half_tile))
    _apply_rope[(num_tokens, triton.cdiv(num_heads, head_tile))](
        x,
        cos,
        sin,
        x.stride(0),
        x.stride(1),
        cos.stride(0),
        sin.stride(0),
        num_heads,
        HALF=head_dim // 2,
        HALF_TILE=half_tile,
        HEAD_TILE=head_tile,
        num_warps=2,
    )
    return x


@triton.jit
def _apply_rope(
    x,
    cos,
    sin,
    stride_token,
    stride_head,
    stride_cos,
    stride_sin,
    num_heads,
    HALF: tl.constexpr,
    HALF_TILE: tl.constexpr,
    HEAD_TILE: tl.constexpr,
):
    """Some heads of one token: they share its cosines and sines."""
    token = tl.program_id(0).to(tl.int64)
    heads = tl.program_id(1) * HEAD_TILE + tl.arange(0, HEAD_TILE)
    dims = tl.arange(0, HALF_TILE)
    c = tl.load(cos + token * stride_cos + dims, mask=dims < HALF, other=0.0).to(tl.float32)[None, :]
    s = tl.load(sin + token * stride_sin + dims, mask=dims < HALF, other=0.0).to(tl.float32)[None, :]
    pairs = x + token * stride_token + heads[:, None] * stride_head + dims[None, :]
    is_pair = (heads < num_heads)[:, None] & (dims < HALF)[None, :]
    first = tl.load(pairs, mask=is_pair, other=0.0).to(tl.float32)
    second = tl.load(pairs + HALF, mask=is_pair, other=0.0).to(tl.float32)
    tl.store(pairs, first * c - second * s, mask=is_pair)
    tl.store(pairs + HALF, second * c + first * s, mask=is_pair)


def silu_and_mul(gate_up: Tensor) -> Tensor:
    """`silu(gate) * up`, `[num_tokens, 2 * size]` to `[num_tokens, size]`."""
    num_tokens, size = gate_up.shape[0], gate_up.shape[1] // 2
    out = torch.empty((num_tokens, size), dtype=gate_up.dtype, device=gate_up.device)
    tile = min(_TILE, triton.next_power_of_2(size))
    _silu_and_mul[(num_tokens, triton.cdiv(size, tile))](
        gate_up, out, gate_up.stride(0), SIZE=size, TILE=tile, num_warps=4
    )
    return out


@triton.jit
def _silu_and_mul(gate_up, out, stride_token, SIZE: tl.constexpr, TILE: tl.constexpr):
    """Some columns of one token."""
    token = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * TILE + tl.arange(0, TILE)
    is_column = columns < SIZE
    gate = tl.load(gate_up + token * stride_token + columns, mask=is_column, other=0.0).to(tl.float32)
    up = tl.load(gate_up + token * stride_token + SIZE + columns, mask=is_column, other=0.0).to(tl.float32)
    tl.store(out + token * SIZE + columns, gate * tl.sigmoid(gate) * up, mask=is_column)


TRITON_OPS = FusedOps("triton", add_rms_norm, apply_rope, silu_and_mul)

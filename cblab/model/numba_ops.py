"""The fused operations for float32 on a CPU, in Numba: each reads and writes its rows once.

Torch's own take several passes over the rows and several calls, each of which costs as much as the few rows
of a decode step are worth. Work that is worth a second thread is shared row by row; a row comes out the same,
bit for bit, on one thread or on many.
"""

import ctypes
import math

import numpy as np
from numba import types
from torch import Tensor

from cblab.attention.numba.kernel import Kernel, integers
from cblab.attention.numba.recording import new_floats
from cblab.attention.numba.threads import share_of, workers
from cblab.attention.numba.tiles import inlined
from cblab.attention.numba.vector import (
    LANES,
    add,
    behind,
    divide,
    fma,
    load,
    maximum,
    multiply,
    nearest,
    pointer,
    power_of_two,
    splat,
    store,
    sum_of,
)
from cblab.model.fused import FusedOps

# Numbers below which one thread is done before another has been woken.
_WORTH_THREADS = 1 << 16


def add_rms_norm(x: Tensor, delta: Tensor | None, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """See `FusedOps`; x of more axes is normalized over the last one."""
    rows = x if x.dim() == 2 else x.reshape(-1, x.shape[-1])
    num_rows, size = rows.shape
    normed = new_floats(rows.shape)
    total = rows if delta is None else new_floats(rows.shape)
    num_workers = _workers_for(rows.numel())
    call = NormCall(
        rows.data_ptr(),
        rows.stride(0),
        0 if delta is None else delta.data_ptr(),
        0 if delta is None else delta.stride(0),
        weight.data_ptr(),
        normed.data_ptr(),
        total.data_ptr(),
        num_rows,
        size,
        num_workers,
        eps,
    )
    _norm(call, num_workers)
    return (normed.view(x.shape), x) if delta is None else (normed, total)


def apply_rope(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """See `FusedOps`; it turns x in place."""
    num_tokens, num_heads, head_dim = x.shape
    num_workers = _workers_for(x.numel())
    call = RopeCall(
        x.data_ptr(),
        x.stride(0),
        x.stride(1),
        cos.data_ptr(),
        sin.data_ptr(),
        num_tokens,
        num_heads,
        head_dim // 2,
        num_workers,
    )
    _rope(call, num_workers)
    return x


def silu_and_mul(gate_up: Tensor) -> Tensor:
    """See `FusedOps`."""
    num_rows, size = gate_up.shape[0], gate_up.shape[1] // 2
    out = new_floats((num_rows, size))
    num_workers = _workers_for(4 * out.numel())
    call = SiluCall(gate_up.data_ptr(), gate_up.stride(0), out.data_ptr(), num_rows, size, num_workers)
    _silu_and_mul(call, num_workers)
    return out


NUMBA_OPS = FusedOps("numba", add_rms_norm, apply_rope, silu_and_mul)


def _workers_for(numbers: int) -> int:
    return workers() if numbers >= _WORTH_THREADS else 1


class NormCall(ctypes.Structure):
    """What `add_rms_norm` tells: addresses (0: no delta), the numbers from one row to the next, and sizes."""

    _fields_ = [
        *integers("x", "x_stride", "delta", "delta_stride", "weight", "normed", "total"),
        *integers("num_rows", "size", "num_workers"),
        ("eps", ctypes.c_float),
    ]


@inlined
def _norm_work(call, worker):
    size, eps, weight = call.size, call.eps, pointer(call.weight, types.float32)
    first, last = share_of(call.num_rows, worker, call.num_workers)
    for row in range(first, last):
        x = behind(pointer(call.x, types.float32), row * call.x_stride)
        if call.delta != 0:
            delta = behind(pointer(call.delta, types.float32), row * call.delta_stride)
            total = behind(pointer(call.total, types.float32), row * size)
            _add_row(x, delta, size, total)
            x = total
        _norm_row(x, weight, size, eps, behind(pointer(call.normed, types.float32), row * size))


_norm = Kernel("add_rms_norm", NormCall, _norm_work)


@inlined
def _add_row(x, delta, size, total):
    whole = size - size % LANES
    for i in range(0, whole, LANES):
        store(total, i, add(load(x, i), load(delta, i)))
    for i in range(whole, size):
        total[i] = x[i] + delta[i]


@inlined
def _norm_row(x, weight, size, eps, normed):
    whole = size - size % LANES
    sums = splat(0.0)
    for i in range(0, whole, LANES):
        part = load(x, i)
        sums = fma(part, part, sums)
    squares = sum_of(sums)
    for i in range(whole, size):
        squares += x[i] * x[i]
    scale = np.float32(1) / np.float32(math.sqrt(squares / np.float32(size) + eps))
    scales = splat(scale)
    for i in range(0, whole, LANES):
        store(normed, i, multiply(multiply(load(x, i), scales), load(weight, i)))
    for i in range(whole, size):
        normed[i] = x[i] * scale * weight[i]


class RopeCall(ctypes.Structure):
    """What `apply_rope` tells: addresses, the numbers from one token and one head to the next, and sizes."""

    _fields_ = [
        *integers("x", "token_stride", "head_stride", "cos", "sin"),
        *integers("num_rows", "num_heads", "half", "num_workers"),
    ]


@inlined
def _rope_work(call, worker):
    half = call.half
    first, last = share_of(call.num_rows, worker, call.num_workers)
    for token in range(first, last):
        cos = behind(pointer(call.cos, types.float32), token * half)
        sin = behind(pointer(call.sin, types.float32), token * half)
        for head in range(call.num_heads):
            place = token * call.token_stride + head * call.head_stride
            _turn(behind(pointer(call.x, types.float32), place), cos, sin, half)


_rope = Kernel("apply_rope", RopeCall, _rope_work)


@inlined
def _turn(x, cos, sin, half):
    whole = half - half % LANES
    for i in range(0, whole, LANES):
        c, s, first, second = load(cos, i), load(sin, i), load(x, i), load(x, half + i)
        store(x, i, fma(multiply(second, splat(-1.0)), s, multiply(first, c)))
        store(x, half + i, fma(first, s, multiply(second, c)))
    for i in range(whole, half):
        first, second = x[i], x[half + i]
        x[i] = first * cos[i] - second * sin[i]
        x[half + i] = second * cos[i] + first * sin[i]


class SiluCall(ctypes.Structure):
    """What `silu_and_mul` tells: addresses, the numbers from one row to the next, and sizes."""

    _fields_ = integers("gate_up", "stride", "out", "num_rows", "size", "num_workers")


@inlined
def _silu_work(call, worker):
    size = call.size
    first, last = share_of(call.num_rows, worker, call.num_workers)
    for row in range(first, last):
        gate = behind(pointer(call.gate_up, types.float32), row * call.stride)
        _silu_and_mul_row(
            gate, behind(gate, size), size, behind(pointer(call.out, types.float32), row * size)
        )


_silu_and_mul = Kernel("silu_and_mul", SiluCall, _silu_work)


@inlined
def _silu_and_mul_row(gate, up, size, out):
    whole = size - size % LANES
    for i in range(0, whole, LANES):
        x = load(gate, i)
        store(out, i, multiply(multiply(x, _sigmoid(x)), load(up, i)))
    for i in range(whole, size):
        out[i] = gate[i] / (np.float32(1) + np.float32(math.exp(-gate[i]))) * up[i]


@inlined
def _sigmoid(x):
    """`e / (1 + e)`, e = exp(x): the whole powers of two by their bits, what is left by a polynomial."""
    doublings = maximum(multiply(x, splat(1.4426950408889634)), splat(-127.0))
    doublings = multiply(maximum(multiply(doublings, splat(-1.0)), splat(-126.0)), splat(-1.0))
    whole = nearest(doublings)
    rest = add(doublings, multiply(whole, splat(-1.0)))
    power = splat(1.5353362e-4)
    power = fma(power, rest, splat(1.339887e-3))
    power = fma(power, rest, splat(9.618437e-3))
    power = fma(power, rest, splat(5.550332471e-2))
    power = fma(power, rest, splat(2.402264791e-1))
    power = fma(power, rest, splat(6.931472028e-1))
    power = fma(power, rest, splat(1.0))
    e = multiply(power, power_of_two(whole))
    return divide(e, add(splat(1.0), e))

"""The fused operations for float32 on a CPU, in Numba: each reads and writes its rows once.

Torch's own take several passes over the rows and several calls, each of which costs as much as the few rows
of a decode step are worth. Work that is worth a second thread is shared row by row; a row comes out the same,
bit for bit, on one thread or on many.
"""

import math

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from cblab.attention.numba.threads import workers as use_torch_threads
from cblab.attention.numba.vector import (
    LANES,
    add,
    divide,
    fma,
    load,
    maximum,
    multiply,
    nearest,
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
    rows = (x if x.dim() == 2 else x.reshape(-1, x.shape[-1])).numpy()
    normed = np.empty(rows.shape, np.float32)
    scale, small = weight.detach().numpy(), np.float32(eps)
    if delta is None:
        (_norm if rows.size < _WORTH_THREADS else _norm_threads)(rows, scale, small, normed)
        return torch.from_numpy(normed).view(x.shape), x
    total = np.empty(rows.shape, np.float32)
    kernel = _add_norm if rows.size < _WORTH_THREADS else _add_norm_threads
    kernel(rows, delta.numpy(), scale, small, normed, total)
    return torch.from_numpy(normed), torch.from_numpy(total)


def apply_rope(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """See `FusedOps`; it turns x in place."""
    (_rope if x.numel() < _WORTH_THREADS else _rope_threads)(x.numpy(), cos.numpy(), sin.numpy())
    return x


def silu_and_mul(gate_up: Tensor) -> Tensor:
    """See `FusedOps`."""
    gates_and_ups = gate_up.numpy()
    out = np.empty((gate_up.shape[0], gate_up.shape[1] // 2), np.float32)
    (_silu_and_mul if out.size < _WORTH_THREADS // 4 else _silu_and_mul_threads)(gates_and_ups, out)
    return torch.from_numpy(out)


NUMBA_OPS = FusedOps("numba", add_rms_norm, apply_rope, silu_and_mul, prepare=use_torch_threads)


@njit(inline="always")
def _norm_row(x, weight, eps, normed):
    whole = x.shape[0] - x.shape[0] % LANES
    sums = splat(0.0)
    for i in range(0, whole, LANES):
        part = load(x, i)
        sums = fma(part, part, sums)
    squares = sum_of(sums)
    for i in range(whole, x.shape[0]):
        squares += x[i] * x[i]
    scale = np.float32(1) / np.sqrt(squares / np.float32(x.shape[0]) + eps)
    for i in range(x.shape[0]):
        normed[i] = x[i] * scale * weight[i]


@njit(nogil=True, cache=True)
def _norm(x, weight, eps, normed):
    for row in range(x.shape[0]):
        _norm_row(x[row], weight, eps, normed[row])


@njit(parallel=True, nogil=True, cache=True)
def _norm_threads(x, weight, eps, normed):
    for row in prange(x.shape[0]):
        _norm_row(x[row], weight, eps, normed[row])


@njit(inline="always")
def _add_norm_row(x, delta, weight, eps, normed, total):
    for i in range(x.shape[0]):
        total[i] = x[i] + delta[i]
    _norm_row(total, weight, eps, normed)


@njit(nogil=True, cache=True)
def _add_norm(x, delta, weight, eps, normed, total):
    for row in range(x.shape[0]):
        _add_norm_row(x[row], delta[row], weight, eps, normed[row], total[row])


@njit(parallel=True, nogil=True, cache=True)
def _add_norm_threads(x, delta, weight, eps, normed, total):
    for row in prange(x.shape[0]):
        _add_norm_row(x[row], delta[row], weight, eps, normed[row], total[row])


@njit(inline="always")
def _turn(heads, cos, sin):
    half = cos.shape[0]
    for head in range(heads.shape[0]):
        for i in range(half):
            first, second = heads[head, i], heads[head, i + half]
            heads[head, i] = first * cos[i] - second * sin[i]
            heads[head, i + half] = second * cos[i] + first * sin[i]


@njit(nogil=True, cache=True)
def _rope(x, cos, sin):
    for row in range(x.shape[0]):
        _turn(x[row], cos[row, 0], sin[row, 0])


@njit(parallel=True, nogil=True, cache=True)
def _rope_threads(x, cos, sin):
    for row in prange(x.shape[0]):
        _turn(x[row], cos[row, 0], sin[row, 0])


@njit(inline="always")
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


@njit(inline="always")
def _silu_and_mul_row(gate_up, out):
    size = out.shape[0]
    whole = size - size % LANES
    for i in range(0, whole, LANES):
        gate = load(gate_up, i)
        store(out, i, multiply(multiply(gate, _sigmoid(gate)), load(gate_up, size + i)))
    for i in range(whole, size):
        gate = gate_up[i]
        out[i] = gate / (np.float32(1) + math.exp(-gate)) * gate_up[size + i]


@njit(nogil=True, cache=True)
def _silu_and_mul(gate_up, out):
    for row in range(out.shape[0]):
        _silu_and_mul_row(gate_up[row], out[row])


@njit(parallel=True, nogil=True, cache=True)
def _silu_and_mul_threads(gate_up, out):
    for row in prange(out.shape[0]):
        _silu_and_mul_row(gate_up[row], out[row])

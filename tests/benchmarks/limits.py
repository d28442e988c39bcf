"""What the machine can do: how fast it reads memory, and how fast it multiplies matrices."""

import time
from collections.abc import Callable

import numba
import numpy as np
import torch

from cblab.attention.numba.vector import LANES, add, load, splat, sum_of
from tests.benchmarks.bound import Limits
from tests.benchmarks.report import has_bf16_units

BUFFER_BYTES = 1 << 29  # far more than any cache holds
GEMM_SIZES = (1024, 2048)
REPEATS = 30  # a limit is what the machine can do, not what it does on average: the best counts


def measure_limits(num_threads: int) -> Limits:
    """Measure on so many threads, in some seconds; bfloat16 only where the CPU has units for it."""
    dtypes = ["float32", "bfloat16"] if has_bf16_units() else ["float32"]
    return Limits(
        read_bytes_per_s(num_threads),
        {dtype: gemm_flop_per_s(getattr(torch, dtype), num_threads) for dtype in dtypes},
    )


def read_bytes_per_s(num_threads: int) -> float:
    """Bytes/s of plain loops, one a thread, that each sum their share of a large buffer."""
    buffer = np.ones(BUFFER_BYTES // 4, dtype=np.float32)
    before = numba.get_num_threads()
    numba.set_num_threads(num_threads)
    try:
        return BUFFER_BYTES / best_seconds(lambda: _sum_shares(buffer, num_threads))
    finally:
        numba.set_num_threads(before)


@numba.njit(parallel=True)
def _sum_shares(buffer: np.ndarray, num_shares: int) -> float:
    total = 0.0
    length = len(buffer) // num_shares
    for share in numba.prange(num_shares):
        total += _sum(buffer[share * length : (share + 1) * length])
    return total


@numba.njit(parallel=True)
def sum_blocks(keys: np.ndarray, values: np.ndarray, tables: np.ndarray) -> float:
    """Read what a decode reads, sequence by sequence, in its order, and do nothing with it.

    Args:
        keys: `[num_blocks, numbers of a block]`, float32.
        values: the same.
        tables: block ids, `[num_seqs, blocks of a sequence]`.
    """
    total = 0.0
    for seq in numba.prange(len(tables)):
        for block in tables[seq]:
            total += _sum(keys[block])
        for block in tables[seq]:
            total += _sum(values[block])
    return total


@numba.njit
def _sum(numbers: np.ndarray) -> float:
    """Four sums of 16 numbers each: with one, an addition would wait for the one before, not for memory."""
    a, b, c, d = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
    for index in range(0, len(numbers) - 4 * LANES + 1, 4 * LANES):
        a = add(a, load(numbers, index))
        b = add(b, load(numbers, index + LANES))
        c = add(c, load(numbers, index + 2 * LANES))
        d = add(d, load(numbers, index + 3 * LANES))
    return sum_of(add(add(a, b), add(c, d)))


def gemm_flop_per_s(dtype: torch.dtype, num_threads: int) -> float:
    """FLOP/s of products of two large square matrices; a multiplication and an addition are two."""
    before = torch.get_num_threads()
    torch.set_num_threads(num_threads)
    try:
        return max(_square_product_flop_per_s(size, dtype) for size in GEMM_SIZES)
    finally:
        torch.set_num_threads(before)


def _square_product_flop_per_s(size: int, dtype: torch.dtype) -> float:
    a, b, out = (torch.ones(size, size, dtype=dtype) for _ in range(3))
    return 2 * size**3 / best_seconds(lambda: torch.mm(a, b, out=out))


def best_seconds(run: Callable[[], object], repeats: int = REPEATS) -> float:
    """Seconds of the fastest of `repeats` runs, after one that is not counted."""
    run()
    return min(_seconds(run) for _ in range(repeats))


def _seconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started

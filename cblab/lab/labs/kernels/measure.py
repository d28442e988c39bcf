"""Lab 6's caches to measure on, and what its cells measure: by the wall clock, shown and never graded."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from cblab.attention.layout import KVLayout, LayerKV
from cblab.lab.labs.memory_math.machine import best_seconds


def random_cache(
    context_lens: Sequence[int], num_heads: int, num_kv_heads: int, head_dim: int, block_size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """q, keys, values, block_tables and context_lens with random content; blocks lie anywhere in the pool."""
    rng = np.random.default_rng(6)
    needed = [-(-length // block_size) for length in context_lens]
    free = rng.permutation(sum(needed)).astype(np.int32)
    tables = np.zeros((len(needed), max(needed)), np.int32)
    for row, count in enumerate(needed):
        tables[row, :count], free = free[:count], free[count:]
    pool = (sum(needed), block_size, num_kv_heads, head_dim)
    q, keys, values = (
        rng.standard_normal(shape, dtype=np.float32)
        for shape in ((len(needed), num_heads, head_dim), pool, pool)
    )
    return q, keys, values, tables, np.array(context_lens, np.int32)


def in_layout(keys: np.ndarray, values: np.ndarray, layout: KVLayout) -> LayerKV:
    """The same pool as tensors, in the order of axes that a kernel of the engine reads."""
    num_blocks, block_size, num_kv_heads, head_dim = keys.shape
    kv = LayerKV.allocate(num_blocks, block_size, num_kv_heads, head_dim, layout=layout, dtype=torch.float32)
    flat = (torch.from_numpy(one).flatten(0, 1) for one in (keys, values))
    kv.write(torch.arange(num_blocks * block_size), *flat)
    return kv


def first_call_seconds(function: Callable[..., Any], *args: Any) -> float:
    """Seconds of one call: of a Numba function's first one, mostly its compilation."""
    started = time.perf_counter()
    function(*args)
    return time.perf_counter() - started


def machine_limits() -> tuple[float, float]:
    """Bytes a second that torch's threads read from memory, and FLOPs a second of a large product."""
    numbers = torch.ones(1 << 25)
    matrix = torch.ones(1024, 1024)
    bytes_per_s = numbers.nbytes / best_seconds(numbers.sum, 7)
    flop_per_s = 2 * 1024**3 / best_seconds(lambda: matrix @ matrix, 5)
    return bytes_per_s, flop_per_s

"""Running a student's kernel for a check, in the student's process: uncompiled, compiled, and counted.

A check reaches these by their names, beside the student's code. Uncompiled first: it takes no seconds, and an
index outside of an array is an error there, where compiled code would read whatever lies behind it.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.lib.mixins import NDArrayOperatorsMixin
from torch.utils._python_dispatch import TorchDispatchMode

Kernel = Callable[..., Any]


def plain(kernel: Kernel) -> Kernel:
    """The Python function that Numba compiles; itself, where nothing does."""
    function: Kernel = getattr(kernel, "py_func", kernel)
    return function


class Compiled:
    """A kernel compiled once more, with the names that stand beside it now, and with its indices checked.

    A compiled function keeps what it called when it was compiled: in a check, the reference's helpers. The
    student's own is left as it is, so that it will be compiled with the student's helpers.
    """

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = _compiled(kernel)

    def call(self, *args: Any) -> Any:
        """What the kernel returns."""
        return self._kernel(*args)

    def attend(self, num_heads: int, head_dim: int, *args: Any) -> Any:
        """What a kernel of the form of `attend` leaves in its last three arguments."""
        return _attended(self._kernel, num_heads, head_dim, args)


@lru_cache(maxsize=4)  # a check is often run twice, and each compiling takes seconds
def _compiled(kernel: Kernel) -> Kernel:
    from numba import njit

    options = dict(getattr(kernel, "targetoptions", {})) | {"boundscheck": True}
    function: Kernel = njit(**options)(plain(kernel))
    return function


def run(kernel: Kernel, *args: Any) -> Any:
    """What the kernel returns, uncompiled."""
    return plain(kernel)(*args)


def run_fold(kernel: Kernel, scores: np.ndarray, count: int, *state: np.ndarray) -> tuple[np.ndarray, ...]:
    """What `fold` leaves, uncompiled: weights of the first `count` scores, highest, total, sums."""
    plain(kernel)(scores, count, *state)
    return scores[:, :count].copy(), *state


def run_attend(kernel: Kernel, num_heads: int, head_dim: int, *args: Any) -> tuple[np.ndarray, ...]:
    """What `attend` leaves, uncompiled: highest, total, sums."""
    return _attended(plain(kernel), num_heads, head_dim, args)


def _attended(
    kernel: Kernel, num_heads: int, head_dim: int, args: Sequence[Any]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    highest = np.full(num_heads, -np.inf, np.float32)
    total = np.zeros(num_heads, np.float32)
    sums = np.zeros((num_heads, head_dim), np.float32)
    kernel(*args, highest, total, sums)
    return highest, total, sums


class CountedPool(NDArrayOperatorsMixin):
    """A pool that counts how often a row of it, one token's keys or values of one KV head, has to be loaded.

    The `kept` rows that were used last need not be loaded again. A part of several rows can be cut further;
    it counts when it is computed with.
    """

    def __init__(self, pool: np.ndarray, rows: np.ndarray, loads: "RowLoads") -> None:
        self._pool, self._rows, self._loads = pool, rows, loads
        self._taken = False
        self.shape, self.dtype, self.ndim, self.size = pool.shape, pool.dtype, pool.ndim, pool.size

    def __len__(self) -> int:
        return len(self._pool)

    def __getitem__(self, index: Any) -> Any:
        part, rows = self._pool[index], self._rows[index]
        names = np.unique(rows)
        if names.size > 1:
            return CountedPool(part, rows, self._loads)
        self._loads.use(names.tolist())
        return part

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # numpy asks for its protocols, and is to find `__array__` alone
            raise AttributeError(name)
        return getattr(np.asarray(self), name)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if not self._taken:  # numpy may ask twice for one and the same computation
            self._loads.use(list(dict.fromkeys(self._rows.reshape(-1).tolist())))
        self._taken = True
        return np.array(self._pool, dtype=dtype)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        arrays = [np.asarray(one) if isinstance(one, CountedPool) else one for one in inputs]
        return getattr(ufunc, method)(*arrays, **options)


class RowLoads:
    """How many rows were loaded, if the `kept` rows used last are still at hand."""

    def __init__(self, kept: int) -> None:
        self.count = 0
        self._kept: list[int] = []
        self._most = kept

    def use(self, rows: Sequence[int]) -> None:
        """Take these rows, in order; those that are not at hand are loaded."""
        for row in rows:
            if row in self._kept:
                self._kept.remove(row)
            else:
                self.count += 1
            self._kept = [*self._kept, row][-self._most :]


def count_loads(
    kernel: Kernel,
    before: Sequence[Any],
    keys: np.ndarray,
    values: np.ndarray,
    after: Sequence[Any],
    kept: int,
) -> tuple[int, int]:
    """Rows of keys and of values that `kernel(*before, keys, values, *after)` loads, run uncompiled."""
    loads = RowLoads(kept), RowLoads(kept)
    rows = np.arange(int(np.prod(keys.shape[:3]))).reshape(*keys.shape[:3], 1)
    pools = [
        CountedPool(pool, np.broadcast_to(rows, pool.shape), counter)
        for pool, counter in zip((keys, values), loads, strict=True)
    ]
    plain(kernel)(*before, *pools, *after)
    return loads[0].count, loads[1].count


class TensorWork(TorchDispatchMode):
    """What torch makes and multiplies within it: numbers of the largest tensor, and FLOPs of products."""

    def __init__(self) -> None:
        super().__init__()
        self.largest = 0
        self.flop = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run one operation, and count it."""
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.largest = max(self.largest, result.untyped_storage().nbytes() // result.element_size())
            if func.overloadpacket._qualified_op_name in ("aten::mm", "aten::bmm", "aten::baddbmm"):
                self.flop += 2 * result.numel() * args[-2].shape[-1]
        return result


def count_tensor_work(function: Kernel, *args: Any) -> tuple[int, int]:
    """The numbers of the largest tensor that `function(*args)` makes, and the FLOPs of its products."""
    with TensorWork() as work:
        function(*args)
    return work.largest, work.flop

"""Threads for the kernels: torch's own, so that not two pools of threads fight for the cores."""

import functools
import threading

import numba
import numpy as np
import torch
from llvmlite import ir
from numba import cfunc, njit, prange, types
from numba.extending import intrinsic

from cblab.attention import openmp


def _share_torchs_pool() -> None:
    """Let Numba's omp layer find torch's OpenMP library before the system's.

    Threads of such a pool keep asking for work for some milliseconds after they had some. With two pools, the
    threads of one do that on the cores that the other wants: a kernel took eight times as long. Numba's layer
    asks for the system's library by another name than torch's, so that both are loaded; but its functions are
    looked for among global symbols first.
    """
    openmp.libraries()
    # Numba begins by setting the library's number of threads to its own, and so torch's.
    torchs = torch.get_num_threads()
    numba.get_num_threads()
    torch.set_num_threads(torchs)


_share_torchs_pool()
_one_at_a_time = threading.Lock()


def workers() -> int:
    """Have Numba use as many threads as torch does, and return how many."""
    count = min(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS)
    if count != numba.get_num_threads():
        numba.set_num_threads(count)
    return count


@njit(inline="always")
def share_of(count, worker, num_workers):
    """The first and the last (excluded) of `count` things that one of the workers does."""
    return count * worker // num_workers, count * (worker + 1) // num_workers


def run(kernel: int, call: int, num_workers: int) -> None:
    """Have threads call `kernel(call, worker)`: addresses of a compiled function and of what it is told.

    One worker is the calling thread. Any number of Python threads may do this at once: OpenMP serves them
    all, and where there is only Numba's workqueue layer, which would abort, they wait for each other. A
    forked child can use one worker alone.
    """
    if num_workers == 1:
        _run_alone(kernel, call)
    elif _is_threadsafe():
        _run(kernel, call, num_workers)
    else:
        with _one_at_a_time:
            _run(kernel, call, num_workers)


@functools.cache
def _is_threadsafe() -> bool:
    """Whether the threading layer that Numba found serves several Python threads."""
    with _one_at_a_time:
        _run(_nothing.address, 0, 2)
    return numba.threading_layer() != "workqueue"


@intrinsic
def _invoke(typing_context, kernel, call, worker):
    """`kernel(call, worker)`."""

    def codegen(context, builder, signature, args):
        integer = ir.IntType(64)
        function_type = ir.FunctionType(ir.VoidType(), [integer, integer])
        builder.call(builder.inttoptr(args[0], function_type.as_pointer()), args[1:])
        return context.get_dummy_value()

    return types.none(types.int64, types.int64, types.int64), codegen


@cfunc(types.void(types.int64, types.int64), cache=True)
def _nothing(call, worker):
    pass


@njit(nogil=True, cache=True)
def _run_alone(kernel, call):
    _invoke(kernel, call, 0)


def run_all(kernels: np.ndarray, calls: np.ndarray, num_workers: np.ndarray) -> None:
    """Like `run` for one kernel after the other; int64 arrays of what `run` is given."""
    if num_workers.max() == 1 or _is_threadsafe():
        _run_all(kernels, calls, num_workers)
    else:
        with _one_at_a_time:
            _run_all(kernels, calls, num_workers)


@njit(parallel=True, nogil=True, cache=True)
def _run(kernel, call, num_workers):
    for worker in prange(num_workers):
        _invoke(kernel, call, worker)


@njit(parallel=True, nogil=True, cache=True)
def _run_all(kernels, calls, num_workers):
    for i in range(len(kernels)):
        if num_workers[i] == 1:
            _invoke(kernels[i], calls[i], 0)
        else:
            for worker in prange(num_workers[i]):
                _invoke(kernels[i], calls[i], worker)

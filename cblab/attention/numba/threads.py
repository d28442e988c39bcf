"""Threads: how many, from which pool, and who computes what.

torch and Numba share one pool of threads, that of torch's libgomp: two pools on the same cores would wait for
work by spinning against each other. A process that was forked after either of them has run must not use them:
its pool has no threads.
"""

import ctypes
from pathlib import Path

import numba
import torch
from llvmlite import ir
from numba import types
from numba.extending import intrinsic


@intrinsic
def take(typing_context, counter, index):
    """`counter[index]`, then one more: each number to one thread alone."""

    def codegen(context, builder, signature, args):
        one = ir.Constant(ir.IntType(64), 1)
        return builder.atomic_rmw("add", builder.gep(args[0], [args[1]]), one, "acq_rel")

    return types.int64(counter, types.intp), codegen


def workers() -> int:
    """Let Numba run on as many threads as torch does now, in this thread's calls; return their number."""
    count = min(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS)
    numba.set_num_threads(count)
    return count


def _share_torchs_pool() -> None:
    """Make the functions of torch's libgomp those that Numba's threading layer finds when it is loaded."""
    for library in (Path(torch.__file__).parent / "lib").glob("libgomp*.so*"):
        ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)


_share_torchs_pool()

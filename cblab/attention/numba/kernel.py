"""A kernel: a function that is compiled for the dtypes it meets, kept on disk, and run on all threads.

It gets addresses rather than arrays: an array costs Numba about a microsecond to take over, and a decode step
of a small model calls ten kernels a layer.
"""

import ctypes
import functools
import hashlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any

import numba
import numpy as np
import torch
from llvmlite import binding
from numba import carray, cfunc, types
from numba.core.caching import FunctionCache

from cblab.attention.numba.recording import Noted, active_recording
from cblab.attention.numba.threads import run

# What a dtype is inside a kernel: bfloat16 goes as its 16 bits.
TYPES = {torch.float32: types.float32, torch.bfloat16: types.uint16, torch.int8: types.int8}


def integers(*names: str) -> list[tuple[str, type]]:
    """Fields of a call, each a whole number: a size, or an address of a tensor's numbers."""
    return [(name, ctypes.c_int64) for name in names]


# What every call is told of a layer's pool, in layout HDN; a scale's address is 0 where there are none.
POOL = integers("keys", "values", "key_scales", "value_scales", "num_kv_heads", "head_dim", "block_size")
# What every call of attention is told besides: queries, [num_tokens, num_heads, head_dim], the numbers from
# one token's to the next one's, and where the result goes; the block tables, [num_seqs, max_blocks], and
# context lengths; `Sizes`; the first task that nobody has taken, and the threads' scratch memory.
ATTENTION = [
    *POOL,
    *integers("q", "q_stride", "out", "tables", "max_blocks", "context_lens"),
    *integers("num_heads", "padded_dim", "window", "in_place", "next_task", "scratch"),
    ("scale", ctypes.c_float),
]


class Kernel:
    """Work that threads share.

    Args:
        name: for messages.
        told: what one call is told: sizes, and addresses of tensors; see `integers`.
        work: `work(call, worker)` or `work(call, worker, dtype, pool_dtype)`, a function for Numba that each
            thread runs: `call` is what it is told, the dtypes are those of what is computed and stored.
    """

    def __init__(self, name: str, told: type[ctypes.Structure], work: Callable[..., None]) -> None:
        self.name = name
        self._told = told
        self._work = work
        self._compiled: dict[tuple[torch.dtype, ...], Any] = {}

    def __call__(self, call: ctypes.Structure, num_workers: int, *dtypes: torch.dtype) -> None:
        """Do the work of a call, or have the thread's recording note it."""
        if dtypes not in self._compiled:
            self._compiled[dtypes] = self._compile(dtypes)
        address, recording = self._compiled[dtypes].address, active_recording()
        if recording is None:
            run(address, ctypes.addressof(call), num_workers)
        else:
            recording.calls.append(Noted(self.name, address, call, num_workers))

    def _compile(self, dtypes: tuple[torch.dtype, ...]) -> Any:
        numba_types = [TYPES[dtype] for dtype in dtypes]
        # What these name are globals of their own, made here. Were it a closure, Numba's cache would take the
        # closure's content for a part of the key, and that is another in each process.
        names = dict(zip(("computed", "stored"), numba_types, strict=False))
        namespace = {"__name__": __name__, "carray": carray, "work": self._work, **names}
        template = _work_with_dtypes if dtypes else _work_alone
        kernel = FunctionType(template.__code__, namespace, template.__name__)
        # The cache goes by a function's name and file. It does not see what the function calls change.
        kernel.__qualname__ = "_".join((self.name, *map(str, numba_types), _version(self._work)))
        cache = FunctionCache(kernel)
        if not any(Path(cache.cache_path).glob(f"*{kernel.__qualname__}*.nbi")):
            # Not logged: whoever waits in a notebook has set up no logging, and wonders why nothing happens.
            sys.stderr.write(f"cblab: compiling the kernel {self.name!r} for this machine, once\n")
        call = types.CPointer(numba.from_dtype(np.dtype(self._told)))
        return cfunc(types.void(call, types.int64), cache=True, error_model="numpy")(kernel)


# What the two templates below name; each kernel has its own.
work: Any = None
computed: Any = None
stored: Any = None


def _work_alone(address, worker):
    work(carray(address, 1)[0], worker)


def _work_with_dtypes(address, worker):
    work(carray(address, 1)[0], worker, computed, stored)


@functools.cache
def _version(work: Any) -> str:
    """Changes with the source of `work`, with those of this package, and with the processor."""
    sources = {*Path(__file__).parent.glob("*.py"), Path(inspect.getfile(work.py_func))}
    content = b"".join(source.read_bytes() for source in sorted(sources))
    processor = binding.get_host_cpu_name() + binding.get_host_cpu_features().flatten()
    return hashlib.sha256(content + processor.encode()).hexdigest()[:12]

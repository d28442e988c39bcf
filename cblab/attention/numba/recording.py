"""Kernel calls that are noted first and carried out later, all with one call from Python.

A forward pass runs ten kernels a layer. To call one from Python, with its tensors and views, takes as long as
most of a decode step's run. But the calls of two passes differ in nothing but the numbers in their tensors
and how many rows there are:

```
recording, once     norm  product  rotation  write  attention  product  norm ...     noted, not carried out
a pass              new inputs into the same tensors, new sizes into the same calls, then all of them
```

CUDA graphs are the same idea on a GPU (see `cblab.core.cuda_graphs`). Unlike those, noted calls can be told
another number of rows, so that no batch is padded.
"""

import ctypes
import math
import threading
import weakref
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from cblab.attention.numba.threads import run_all

_of_thread = threading.local()


class Noted(NamedTuple):
    """One call of a kernel: its name and the compiled function's address, and what it is told."""

    kernel: str
    address: int
    call: ctypes.Structure
    num_workers: int


class Recording:
    """Notes the calls of kernels; `run` carries them out.

    What the kernels are given has to stay where it is for as long: weights, inputs. Their results do, in the
    recording's own memory. That of a result at which nobody looks any more is given to the next of its size,
    as the calls will be carried out in the same order.
    """

    def __init__(self) -> None:
        self.calls: list[Noted] = []
        self._memory: list[np.ndarray] = []
        self._free: dict[int, list[np.ndarray]] = defaultdict(list)
        self._arrays: tuple[np.ndarray, ...] = ()

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Note every kernel that this thread calls.

        Raises:
            RuntimeError: something else computed, which would not be carried out again.
        """
        _of_thread.recording = self
        try:
            with _NothingComputed():
                yield
        finally:
            _of_thread.recording = None
        rows = [(one.address, ctypes.addressof(one.call), one.num_workers) for one in self.calls]
        self._arrays = tuple(np.array(rows, np.int64).T.copy())

    def run(self) -> None:
        """Carry out the calls, in their order."""
        run_all(*self._arrays)

    def empty(self, shape: Sequence[int]) -> Tensor:
        """A float32 tensor for a result, whose memory is the recording's."""
        size = math.prod(shape)
        free = self._free[size]
        if not free:
            free.append(np.empty(size, np.float32))
            self._memory.append(free[-1])
        memory = free.pop()
        seen = memory[:]  # lives as long as a tensor looks at it
        weakref.finalize(seen, free.append, memory)
        return torch.from_numpy(seen).view(*shape)


def active_recording() -> Recording | None:
    """The recording that notes this thread's calls, if one does."""
    recording: Recording | None = getattr(_of_thread, "recording", None)
    return recording


def new_floats(shape: Sequence[int]) -> Tensor:
    """A float32 tensor for a kernel's result, with whatever numbers are there."""
    recording = active_recording()
    return torch.empty(shape, dtype=torch.float32) if recording is None else recording.empty(shape)


class _NothingComputed(TorchDispatchMode):
    """Refuses what torch itself would compute, and whoever asks for a number, which is not there yet.

    Another look at the memory of a tensor is neither.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nobody compiles this, and to keep torch's compiler away, torch would import it for 2 s

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        given = {_memory_of(one) for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)}
        made = {_memory_of(one) for one in tree_leaves(result) if isinstance(one, Tensor)}
        if func._schema.is_mutable or not made or not made <= given:
            raise RuntimeError(f"torch's {func} computes: only kernels can be recorded")
        return result


def _memory_of(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()

"""OpenMP's threads, on which torch computes, and Numba's kernels too.

Each Python thread that computes something large gets a team of them, and keeps it. While all teams together
have no more threads than the machine has cores, a team waits for its next work awake, and begins at once. As
soon as they have more, every team waits asleep, and to wake it takes longer than most kernels of a decode
step: a model that was loaded in one thread and decodes in another, with a team each on two cores, took 7 ms
for a token that takes 2.
"""

import ctypes
import functools
from pathlib import Path

import torch

_SOFT = 1  # omp_pause_soft, of OpenMP 5.0: settings stay


@functools.cache
def libraries() -> tuple[ctypes.CDLL, ...]:
    """Torch's own copies of GNU OpenMP, where it brings any, their functions put among the global symbols."""
    found = sorted((Path(torch.__file__).parent / "lib").glob("libgomp*.so*"))
    return tuple(ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL) for library in found)


def release_threads() -> None:
    """End the calling thread's team; the next large computation makes another, in some 0.1 ms."""
    for library in libraries():
        if hasattr(library, "omp_pause_resource_all"):
            library.omp_pause_resource_all(_SOFT)

"""Attention over a paged KV cache on CPUs, compiled by Numba.

Read it in this order: `vector` (16 numbers at a time), `softmax`, `tiles` (16 tokens at a time), `decode`,
`prefill`, `write`; `backend` calls them.

Compiled kernels are kept beside their sources. Numba looks for changes in a kernel's own file alone: after
one in `vector`, `softmax` or `tiles`, delete `__pycache__` here (`make clean` does).
"""

from cblab.attention.numba.backend import NUMBA

__all__ = ["NUMBA"]

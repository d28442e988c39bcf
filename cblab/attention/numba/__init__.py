"""Attention over a paged KV cache on CPUs, compiled by Numba.

Read it in this order: `vector` (16 numbers at a time), `softmax`, `tiles` (16 tokens at a time), `decode`,
`prefill`, `write`; then `threads` and `kernel`, who run them, and `backend`, who calls them.
"""

from cblab.attention.numba.backend import NUMBA

__all__ = ["NUMBA"]

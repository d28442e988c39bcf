"""Attention over a paged KV cache on CPUs, compiled by Numba."""

from cblab.attention.numba.backend import NUMBA

__all__ = ["NUMBA"]

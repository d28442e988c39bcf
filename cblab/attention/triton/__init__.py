"""Attention over a block pool as Triton kernels, for NVIDIA GPUs; `TRITON_INTERPRET=1` runs them on a CPU.

Read them in this order: `pool` (one token's row of the pool, and the running softmax), `decode`, `prefill`,
`write`.
"""

from cblab.attention.backends import AttentionBackend
from cblab.attention.layout import KVLayout
from cblab.attention.triton.decode import DecodeTiles, paged_decode_triton
from cblab.attention.triton.prefill import PrefillTiles, paged_prefill_triton
from cblab.attention.triton.write import write_kv_triton

__all__ = [
    "TRITON",
    "DecodeTiles",
    "PrefillTiles",
    "paged_decode_triton",
    "paged_prefill_triton",
    "write_kv_triton",
]

# A block of one head is one piece of memory: the longest that a program can read in one go.
TRITON = AttentionBackend(
    "triton", KVLayout.HND, paged_decode_triton, paged_prefill_triton, write=write_kv_triton
)

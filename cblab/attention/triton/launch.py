"""What all kernels here have in common on the host: where they run, and how they are told of a pool."""

import logging
from functools import cache
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from cblab.attention.layout import KVLayout, LayerKV
from cblab.attention.spec import AttentionSpec

logger = logging.getLogger("cblab.attention")

SMALLEST_TILE = 16  # tl.dot multiplies tiles of at least 16 x 16
_WIDEST_HEAD = 256  # a tile of wider ones does not stay in an SM's registers


def is_supported(spec: AttentionSpec) -> bool:
    """Whether the attention kernels take a layer; where they do not, a warning says so, once a width."""
    if spec.head_dim <= _WIDEST_HEAD:
        return True
    _warn_of(spec.head_dim)
    return False


@cache
def _warn_of(head_dim: int) -> None:
    logger.warning(
        "the triton kernels take heads of up to %d numbers, these have %d: attention runs in torch instead",
        _WIDEST_HEAD,
        head_dim,
    )


def pool_arguments(kv: LayerKV) -> dict[str, Any]:
    """Return the arguments by which a kernel finds a token's key or value in a pool.

    A pool is rows of `head_dim` numbers, one for each token and KV head; int8 has one scale for each row.
    Which row is a head's of a token differs between the layouts by two strides, both in rows:

    ```
    row = block_id * block_size * num_kv_heads + offset * TOKEN_ROWS + kv_head * HEAD_ROWS

    NHD    TOKEN_ROWS = num_kv_heads    HEAD_ROWS = 1
    HND    TOKEN_ROWS = 1               HEAD_ROWS = block_size
    ```

    Raises:
        ValueError: another layout, or a pool that is a view.
    """
    if kv.layout not in (KVLayout.NHD, KVLayout.HND):
        raise ValueError(f"the triton kernels read a pool in NHD or HND, this one is in {kv.layout.value}")
    if not all(pool.is_contiguous() for pool in kv.pools):
        raise ValueError("the triton kernels read a contiguous pool, this one is a view of another tensor")
    is_nhd = kv.layout is KVLayout.NHD
    _, *inner, head_dim = kv.values.shape
    block_size, num_kv_heads = inner if is_nhd else reversed(inner)
    return {
        "keys": kv.keys,
        "values": kv.values,
        "key_scales": kv.key_scales,
        "value_scales": kv.value_scales,
        "BLOCK_SIZE": block_size,
        "NUM_KV_HEADS": num_kv_heads,
        "TOKEN_ROWS": num_kv_heads if is_nhd else 1,
        "HEAD_ROWS": 1 if is_nhd else block_size,
        "HEAD_DIM": head_dim,
        "DIM_TILE": max(triton.next_power_of_2(head_dim), SMALLEST_TILE),
    }


def is_interpreted() -> bool:
    """Whether kernels run in Triton's interpreter: by `TRITON_INTERPRET=1`, set before triton is imported."""
    return not isinstance(tl.max, triton.JITFunction)


def require_gpu(x: Tensor) -> None:
    """Refuse tensors that Triton cannot reach.

    Raises:
        ValueError: a CPU tensor, unless kernels are interpreted.
    """
    if x.device.type == "cpu" and not is_interpreted():
        raise ValueError(
            "the triton kernels run on a GPU, these tensors are on the CPU: take attention_backend='auto', "
            "or set TRITON_INTERPRET=1 before triton is imported to interpret them, which is very slow"
        )


def product_dtype(dtype: torch.dtype) -> tl.dtype:
    """The type in which tiles are multiplied: that of the queries.

    Except that the interpreter, which holds bfloat16 as bits, cannot multiply it.
    """
    if dtype == torch.bfloat16 and is_interpreted():
        return tl.float32
    return {torch.float32: tl.float32, torch.bfloat16: tl.bfloat16, torch.float16: tl.float16}[dtype]

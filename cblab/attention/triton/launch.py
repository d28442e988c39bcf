"""What all kernels here have in common on the host: where they run, and how they are told of a pool."""

import logging
from functools import cache
from typing import NamedTuple

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


class PoolTensors(NamedTuple):
    """A layer's pool as a kernel gets it; there are scales for int8 alone."""

    key_rows: Tensor  # not `values`: Triton's tuples have an attribute of that name
    value_rows: Tensor
    key_scales: Tensor | None
    value_scales: Tensor | None


class PoolSizes(NamedTuple):
    """What is known of a pool when a kernel is compiled.

    Attributes:
        block_size: tokens of a block.
        num_kv_heads: heads of keys and values.
        token_rows: rows from one token of a block to the next; see `pool_arguments`.
        head_rows: rows from one head to the next.
        head_dim: numbers of a row.
        dim_tile: the power of two in which a row is computed with.
    """

    block_size: int
    num_kv_heads: int
    token_rows: int
    head_rows: int
    head_dim: int
    dim_tile: int


def pool_arguments(kv: LayerKV) -> tuple[PoolTensors, PoolSizes]:
    """Return what a kernel finds a token's key or value by.

    A pool is rows of `head_dim` numbers, one for each token and KV head; int8 has one scale for each row.
    Which row is a head's of a token differs between the layouts by two strides, both in rows:

    ```
    row = block_id * block_size * num_kv_heads + offset * token_rows + kv_head * head_rows

    NHD    token_rows = num_kv_heads    head_rows = 1
    HND    token_rows = 1               head_rows = block_size
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
    return PoolTensors(kv.keys, kv.values, kv.key_scales, kv.value_scales), PoolSizes(
        block_size,
        num_kv_heads,
        token_rows=num_kv_heads if is_nhd else 1,
        head_rows=1 if is_nhd else block_size,
        head_dim=head_dim,
        dim_tile=max(triton.next_power_of_2(head_dim), SMALLEST_TILE),
    )


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

"""Paged decode on a GPU: one new token a sequence over everything that the block table points at.

A sequence is cut into splits of a fixed number of tokens, so that even one long sequence occupies the whole
GPU (Flash-Decoding, Dao et al., 2023). One kernel attends over each split by itself, another merges them:

```
tokens         | split 0             | split 1             | split 2   |        split_size = 256, say
pass 1           out_0, lse_0          out_1, lse_1          out_2, lse_2
                          \\                  |                  /
pass 2                   out = sum of out_i * 2^lse_i / sum of 2^lse_i
```

`out_i` is attention over split i alone, `lse_i` the logarithm of the sum of its weights. The size of a split
is fixed and not their number, which would have to depend on how full the GPU is: so a sequence's result is
the same to the last bit, whoever shares its batch. Nothing is read back to the host: there are as many
programs as the block tables have room for, and those whose split lies behind the context end at once. That
makes both kernels fit for a CUDA graph.
"""

# Kernels keep Triton's customs: capitals for what is known when they are compiled, and no types.
# ruff: noqa: N803
# mypy: allow-untyped-defs

import math
from dataclasses import dataclass
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from cblab.attention.layout import LayerKV
from cblab.attention.paged import paged_decode_torch
from cblab.attention.spec import AttentionSpec
from cblab.attention.triton.launch import (
    SMALLEST_TILE,
    is_supported,
    pool_arguments,
    product_dtype,
    require_gpu,
)
from cblab.attention.triton.pool import attend_to_keys

_MERGE_TILE = 16  # splits that are merged at once: a fixed number too


@dataclass(frozen=True)
class DecodeTiles:
    """How the work is cut.

    Attributes:
        split_size: tokens that one program attends over; a multiple of `tile`.
        tile: of them, those that are loaded at once; a power of two of at least 16.
        num_warps: of a program.
        num_stages: tiles on their way from memory while one is computed with.
    """

    split_size: int = 256
    tile: int = 64
    num_warps: int = 4
    num_stages: int = 3

    def __post_init__(self) -> None:
        if self.tile < SMALLEST_TILE or self.tile & (self.tile - 1):
            raise ValueError(f"tile must be a power of two of at least {SMALLEST_TILE}, got {self.tile}")
        if self.split_size < 1 or self.split_size % self.tile:
            raise ValueError(f"split_size must be a multiple of tile={self.tile}, got {self.split_size}")

    @classmethod
    def for_head_dim(cls, head_dim: int, computed_in: torch.dtype) -> "DecodeTiles":
        """Return tiles of at most 16 KiB of keys: then an SM has room for several programs at once.

        While one of them waits for memory or computes, the others' loads are under way.
        """
        row_bytes = triton.next_power_of_2(head_dim) * computed_in.itemsize
        tile = min(64, max(SMALLEST_TILE, (1 << 14) // row_bytes))
        # float32 is multiplied without tensor cores, by operands in registers: they need more threads.
        return cls(tile=tile, num_warps=8 if computed_in == torch.float32 else 4)


def paged_decode_triton(
    q: Tensor,
    kv: LayerKV,
    block_tables: Tensor,
    context_lens: Tensor,
    spec: AttentionSpec,
    tiles: DecodeTiles | None = None,
) -> Tensor:
    """See `PagedDecode`; an empty context, which pads the batch of a CUDA graph, gives zeros."""
    require_gpu(q)
    if not is_supported(spec):
        return paged_decode_torch(q, kv, block_tables, context_lens, spec)
    tiles = tiles or DecodeTiles.for_head_dim(spec.head_dim, q.dtype)
    num_seqs, num_heads, head_dim = q.shape
    pool, sizes = pool_arguments(kv)
    num_splits = _num_splits(block_tables.shape[1] * kv.block_size, spec.sliding_window, tiles.split_size)
    out = torch.empty(q.shape, dtype=q.dtype, device=q.device)
    # One split needs no merging: it is the result.
    parts, lse = out, None
    if num_splits > 1:
        parts = out.new_empty((num_seqs, num_heads, num_splits, head_dim), dtype=torch.float32)
        lse = out.new_empty((num_seqs, num_heads, num_splits), dtype=torch.float32)
    common: dict[str, Any] = {"WINDOW": spec.sliding_window, "SPLIT_SIZE": tiles.split_size}
    group = spec.num_heads // spec.num_kv_heads
    _attend_to_split[(spec.num_kv_heads, num_splits, num_seqs)](
        q,
        block_tables,
        context_lens,
        parts,
        lse,
        spec.scale * math.log2(math.e),
        q.stride(0),
        q.stride(1),
        block_tables.stride(0),
        num_splits,
        pool,
        sizes,
        **common,
        GROUP=group,
        GROUP_TILE=max(triton.next_power_of_2(group), SMALLEST_TILE),
        TILE=tiles.tile,
        PRODUCT=product_dtype(q.dtype),
        num_warps=tiles.num_warps,
        num_stages=tiles.num_stages,
    )
    if lse is not None:
        _merge_splits[(num_heads, num_seqs)](
            parts,
            lse,
            context_lens,
            out,
            num_splits,
            **common,
            HEAD_DIM=head_dim,
            DIM_TILE=sizes.dim_tile,
            MERGE_TILE=_MERGE_TILE,
            num_warps=2,
        )
    return out


def _num_splits(max_tokens: int, sliding_window: int | None, split_size: int) -> int:
    """Splits that a context of at most `max_tokens` may touch, those before its window left out."""
    num_splits = -(-max_tokens // split_size)
    if sliding_window is None:
        return num_splits
    # The window's first token may be the last of a split: then the other tokens begin a new one.
    return min(num_splits, 1 + -(-(sliding_window - 1) // split_size))


@triton.jit
def _first_seen(context_len, WINDOW: tl.constexpr):
    """Position of the first token that the newest one sees."""
    return 0 if WINDOW is None else tl.maximum(context_len - WINDOW, 0)


# Numbers and addresses that change from batch to batch: Triton would compile a kernel anew whenever one of
# them becomes, or ceases to be, 1 or a multiple of 16.
@triton.jit(
    do_not_specialize=["stride_table", "num_splits"],
    do_not_specialize_on_alignment=["block_tables", "context_lens"],
)
def _attend_to_split(
    q,  # [num_seqs, num_heads, head_dim]
    block_tables,  # [num_seqs, max_blocks]
    context_lens,  # [num_seqs]
    parts,  # [num_seqs, num_heads, num_splits, head_dim]
    lse,  # [num_seqs, num_heads, num_splits], or None where there is one split
    scale,
    stride_q_seq,
    stride_q_head,
    stride_table,
    num_splits,
    pool,
    POOL: tl.constexpr,
    WINDOW: tl.constexpr,
    SPLIT_SIZE: tl.constexpr,
    GROUP: tl.constexpr,
    GROUP_TILE: tl.constexpr,
    TILE: tl.constexpr,
    PRODUCT: tl.constexpr,
):
    """All query heads of one KV head over one split: its keys and values are read once for the group."""
    kv_head, split, seq = tl.program_id(0), tl.program_id(1), tl.program_id(2).to(tl.int64)
    context_len = tl.load(context_lens + seq)
    first = _first_seen(context_len, WINDOW)
    begin = (first // SPLIT_SIZE + split) * SPLIT_SIZE
    end = tl.minimum(begin + SPLIT_SIZE, context_len)
    if lse is not None and begin >= context_len:
        return  # and the merging kernel knows that nothing has been written

    heads, dims = tl.arange(0, GROUP_TILE), tl.arange(0, POOL.dim_tile)
    is_query = (heads < GROUP)[:, None] & (dims < POOL.head_dim)[None, :]
    query_heads = kv_head * GROUP + heads
    queries = q + seq * stride_q_seq + query_heads[:, None] * stride_q_head + dims[None, :]
    query = tl.load(queries, mask=is_query, other=0.0).to(PRODUCT)
    table = block_tables + seq * stride_table
    out, running_max, running_sum = attend_to_keys(
        query, None, pool, table, kv_head, tl.maximum(begin, first), end, scale, POOL, None, TILE, PRODUCT
    )
    part = (seq * (POOL.num_kv_heads * GROUP) + query_heads) * num_splits + split
    tl.store(parts + part[:, None] * POOL.head_dim + dims[None, :], out, mask=is_query)
    if lse is not None:
        tl.store(lse + part, running_max + tl.log2(running_sum), mask=heads < GROUP)


@triton.jit(do_not_specialize=["num_splits"], do_not_specialize_on_alignment=["context_lens"])
def _merge_splits(
    parts,
    lse,
    context_lens,
    out,  # [num_seqs, num_heads, head_dim]
    num_splits,
    WINDOW: tl.constexpr,
    SPLIT_SIZE: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    DIM_TILE: tl.constexpr,
    MERGE_TILE: tl.constexpr,
):
    """The splits of one sequence and head, in their order; those without a token have not been written."""
    head, seq = tl.program_id(0), tl.program_id(1).to(tl.int64)
    context_len = tl.load(context_lens + seq)
    skipped = _first_seen(context_len, WINDOW) // SPLIT_SIZE
    num_used = tl.cdiv(context_len, SPLIT_SIZE) - skipped
    row = seq * tl.num_programs(0) + head
    dims, steps = tl.arange(0, DIM_TILE), tl.arange(0, MERGE_TILE)
    is_dim = dims < HEAD_DIM

    running_max = float("-inf")
    running_sum = 0.0
    total = tl.zeros([DIM_TILE], tl.float32)
    for start in tl.range(0, num_used, MERGE_TILE):
        is_used = start + steps < num_used
        rows = row * num_splits + start + steps
        part_lse = tl.load(lse + rows, mask=is_used, other=float("-inf"))
        part_out = tl.load(
            parts + rows[:, None] * HEAD_DIM + dims[None, :],
            mask=is_used[:, None] & is_dim[None, :],
            other=0.0,
        )
        new_max = tl.maximum(running_max, tl.max(part_lse, axis=0))
        rescale, weights = tl.exp2(running_max - new_max), tl.exp2(part_lse - new_max)
        total = total * rescale + tl.sum(part_out * weights[:, None], axis=0)
        running_sum = running_sum * rescale + tl.sum(weights, axis=0)
        running_max = new_max
    tl.store(out + row * HEAD_DIM + dims, total / tl.where(running_sum > 0, running_sum, 1.0), mask=is_dim)

"""Ragged prefill on a GPU: chunks of many sequences over cached context and themselves, read in place.

Each program has a tile of one sequence's queries and walks over that sequence's keys, tile by tile, with a
running softmax (FlashAttention-2, Dao, 2023). Keys come through the block table, new and cached alike. Which
tile of which sequence a program has follows from `cu_seqlens_q` on the device:

```
               sequence 0          1     sequence 2          3 queries a tile
queries      | 0 1 2 | 3 4 . |   | 0 . . | 0 1 2 | 3 . . |   cu_seqlens_q = [0, 5, 6, 10]
programs     | 0     | 1     |   | 2     | 4     | 5     |   the first of s: cu_seqlens_q[s] // 3 + s
```

Rounding up costs a sequence less than one tile, so that its first program, counted this way, never comes
before the last one of the sequence before it. A program in between (3 in the picture) has nothing to do, and
the grid is known without a look at the lengths.
"""

# Kernels keep Triton's customs: capitals for what is known when they are compiled, and no types.
# ruff: noqa: N803
# mypy: allow-untyped-defs

import math
from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from cblab.attention.layout import LayerKV
from cblab.attention.paged import paged_prefill_torch
from cblab.attention.spec import AttentionSpec
from cblab.attention.triton.launch import (
    SMALLEST_TILE,
    is_supported,
    pool_arguments,
    product_dtype,
    require_gpu,
)
from cblab.attention.triton.pool import attend_to_keys


@dataclass(frozen=True)
class PrefillTiles:
    """How the work is cut.

    Attributes:
        queries: queries of a program; a power of two of at least 16.
        keys: keys that it loads at once; a power of two of at least 16.
        num_warps: of a program.
        num_stages: tiles of keys on their way from memory while one is computed with.
    """

    queries: int = 128
    keys: int = 64
    num_warps: int = 8
    num_stages: int = 3

    def __post_init__(self) -> None:
        for name, size in (("queries", self.queries), ("keys", self.keys)):
            if size < SMALLEST_TILE or size & (size - 1):
                raise ValueError(f"{name} must be a power of two of at least {SMALLEST_TILE}, got {size}")

    @classmethod
    def for_head_dim(cls, head_dim: int, computed_in: torch.dtype) -> "PrefillTiles":
        """Return tiles that leave room in an SM: smaller, the wider a head and the wider its numbers."""
        row_bytes = triton.next_power_of_2(head_dim) * computed_in.itemsize
        # float32 is multiplied without tensor cores, by operands in registers.
        most = 64 if computed_in == torch.float32 else 128
        return cls(
            queries=min(most, max(SMALLEST_TILE, (1 << 15) // row_bytes)),
            keys=min(most // 2, max(SMALLEST_TILE, (1 << 14) // row_bytes)),
        )


def paged_prefill_triton(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    kv: LayerKV,
    block_tables: Tensor,
    cu_seqlens_q: Tensor,
    context_lens: Tensor,
    spec: AttentionSpec,
    tiles: PrefillTiles | None = None,
) -> Tensor:
    """See `PagedPrefill`; k and v are not looked at, since the pool holds them already."""
    require_gpu(q)
    if not is_supported(spec):
        return paged_prefill_torch(q, k, v, kv, block_tables, cu_seqlens_q, context_lens, spec)
    tiles = tiles or PrefillTiles.for_head_dim(spec.head_dim, q.dtype)
    num_seqs = context_lens.shape[0]
    out = torch.empty(q.shape, dtype=q.dtype, device=q.device)
    num_tiles = q.shape[0] // tiles.queries + num_seqs
    _attend[(num_tiles, spec.num_heads)](
        q,
        block_tables,
        cu_seqlens_q,
        context_lens,
        out,
        num_seqs,
        spec.scale * math.log2(math.e),
        q.stride(0),
        q.stride(1),
        block_tables.stride(0),
        *pool_arguments(kv),
        WINDOW=spec.sliding_window,
        GROUP=spec.num_heads // spec.num_kv_heads,
        QUERY_TILE=tiles.queries,
        KEY_TILE=tiles.keys,
        PRODUCT=product_dtype(q.dtype),
        num_warps=tiles.num_warps,
        num_stages=tiles.num_stages,
    )
    return out


@triton.jit
def _sequence_of(program, cu_seqlens_q, num_seqs, QUERY_TILE: tl.constexpr):
    """The last sequence whose first program is not behind `program`, by bisection."""
    low, high = 0, num_seqs
    while high - low > 1:
        middle = (low + high) // 2
        if tl.load(cu_seqlens_q + middle) // QUERY_TILE + middle <= program:
            low = middle
        else:
            high = middle
    return low


# What changes from batch to batch, as in `decode`.
@triton.jit(
    do_not_specialize=["num_seqs", "stride_table"],
    do_not_specialize_on_alignment=["block_tables", "cu_seqlens_q", "context_lens"],
)
def _attend(
    q,  # [num_tokens, num_heads, head_dim]
    block_tables,  # [num_seqs, max_blocks]
    cu_seqlens_q,  # [num_seqs + 1]
    context_lens,  # [num_seqs]
    out,  # [num_tokens, num_heads, head_dim]
    num_seqs,
    scale,
    stride_q_token,
    stride_q_head,
    stride_table,
    pool,
    POOL: tl.constexpr,
    WINDOW: tl.constexpr,
    GROUP: tl.constexpr,
    QUERY_TILE: tl.constexpr,
    KEY_TILE: tl.constexpr,
    PRODUCT: tl.constexpr,
):
    """A tile of queries of one head over all keys that one of them sees."""
    program, head = tl.program_id(0), tl.program_id(1)
    seq = _sequence_of(program, cu_seqlens_q, num_seqs, QUERY_TILE)
    start_row, end_row = tl.load(cu_seqlens_q + seq), tl.load(cu_seqlens_q + seq + 1)
    first_row = start_row + (program - (start_row // QUERY_TILE + seq)) * QUERY_TILE
    if first_row >= end_row:
        return

    # Bottom-right aligned: a sequence's last query is at its last position.
    context_len = tl.load(context_lens + seq)
    first_position = context_len - (end_row - first_row)
    end_position = tl.minimum(first_position + QUERY_TILE, context_len)
    first_key = 0 if WINDOW is None else tl.maximum(first_position - WINDOW + 1, 0)

    queries, dims = tl.arange(0, QUERY_TILE), tl.arange(0, POOL.dim_tile)
    query_positions = first_position + queries
    rows_of_q = (first_row + queries).to(tl.int64)
    is_query = (query_positions < context_len)[:, None] & (dims < POOL.head_dim)[None, :]
    places = q + rows_of_q[:, None] * stride_q_token + head * stride_q_head + dims[None, :]
    query = tl.load(places, mask=is_query, other=0.0).to(PRODUCT)
    table = block_tables + seq * stride_table
    result, _, _ = attend_to_keys(
        query,
        query_positions,
        pool,
        table,
        head // GROUP,
        first_key,
        end_position,
        scale,
        POOL,
        WINDOW,
        KEY_TILE,
        PRODUCT,
    )
    num_heads = tl.num_programs(1)
    tl.store(
        out + (rows_of_q[:, None] * num_heads + head) * POOL.head_dim + dims[None, :], result, mask=is_query
    )

"""Attention over a block pool in torch: what the kernels are measured against, and what runs without them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional as F

from cblab.attention.dense import dense_attention
from cblab.attention.layout import LayerKV
from cblab.attention.spec import AttentionSpec

# Keys that are gathered at once: on a CPU few enough to stay in a core's cache until they are used.
_CPU_GATHER_BYTES, _GPU_GATHER_BYTES = 1 << 20, 1 << 28


def paged_decode_torch(
    q: Tensor, kv: LayerKV, block_tables: Tensor, context_lens: Tensor, spec: AttentionSpec
) -> Tensor:
    """See `PagedDecode`: what `plan_decode_torch` plans, at once."""
    return plan_decode_torch(block_tables, context_lens, kv.block_size, spec)(q, kv)


def plan_decode_torch(
    block_tables: Tensor, context_lens: Tensor, block_size: int, spec: AttentionSpec
) -> "PlannedDecode":
    """See `PlanDecode`: blocks are gathered side by side, for several sequences of like length at a time."""
    tables, lengths = _blocks_in_reach(block_tables, context_lens, block_size, spec.sliding_window)
    lengths, order = lengths.sort()
    tables = tables.index_select(0, order)
    row_bytes = spec.num_kv_heads * spec.head_dim * 4
    budget = _CPU_GATHER_BYTES if tables.device.type == "cpu" else _GPU_GATHER_BYTES
    groups = tuple(
        _Group.plan(rows, tables[rows, : -(-longest // block_size)], lengths[rows], block_size, spec)
        for rows, longest in _groups_of_like_length(lengths.tolist(), budget // row_bytes)
    )
    return PlannedDecode(spec, order, order.argsort(), groups)


@dataclass(frozen=True)
class PlannedDecode:
    """Attention of one new token a sequence, called once in each layer as `(q, kv)`; see `PagedDecode`.

    `order` sorts the sequences by length, `places` puts them back.
    """

    spec: AttentionSpec
    order: Tensor
    places: Tensor
    groups: "tuple[_Group, ...]"

    def __call__(self, q: Tensor, kv: LayerKV) -> Tensor:
        """`[num_seqs, num_heads, head_dim]` to the same shape."""
        q = q.index_select(0, self.order)
        out = torch.cat([group.decode(q[group.rows], kv, self.spec) for group in self.groups])
        return out.index_select(0, self.places)


@dataclass(frozen=True)
class _Group:
    """Sequences that are decoded in one call, padded to the longest of them.

    Attributes:
        rows: among the sorted sequences.
        tables: `[num_seqs, num_blocks]`, every entry a block.
        mask: `[num_seqs, 1, 1, num_blocks * block_size]`, bool, the keys that are seen.
        unseen: the gathered keys that are not, counted over all sequences.
    """

    rows: slice
    tables: Tensor
    mask: Tensor
    unseen: Tensor

    @classmethod
    def plan(
        cls, rows: slice, tables: Tensor, lengths: Tensor, block_size: int, spec: AttentionSpec
    ) -> "_Group":
        positions = torch.arange(tables.shape[1] * block_size, device=tables.device)
        seen = positions < lengths[:, None]
        if spec.sliding_window is not None:
            seen &= positions >= lengths[:, None] - spec.sliding_window
        return cls(rows, tables, seen[:, None, None], (~seen).flatten().nonzero()[:, 0])

    def decode(self, q: Tensor, kv: LayerKV, spec: AttentionSpec) -> Tensor:
        keys, values = kv.gather(self.tables, q.dtype)
        # What nobody has written may be NaN, and no weight, not even 0, makes that harmless.
        for gathered in (keys, values):
            gathered.flatten(0, 1).index_fill_(0, self.unseen, 0)
        out = F.scaled_dot_product_attention(
            q[:, :, None],
            keys.transpose(1, 2),
            values.transpose(1, 2),
            attn_mask=self.mask,
            scale=spec.scale,
            enable_gqa=spec.num_heads != spec.num_kv_heads,
        )
        return out[:, :, 0]


def _blocks_in_reach(
    block_tables: Tensor, context_lens: Tensor, block_size: int, sliding_window: int | None
) -> tuple[Tensor, Tensor]:
    """Block tables without the blocks before the window, and the tokens in what is left.

    ```
    block table     [ 7       | 3       | 9       | 4       | . ]     block_size = 4, context_len = 14
    tokens            0 1 2 3   4 5 6 7   8 * * *   * *               *: in the window of 5
    result          [ 9       | 4       | 7 | 7 | 7 ]                 6 tokens; 7 only fills the row up
    ```
    """
    first = torch.zeros_like(context_lens)
    if sliding_window is not None:
        first = (context_lens - sliding_window).clamp(min=0) // block_size
    columns = first[:, None] + torch.arange(block_tables.shape[1], device=block_tables.device)
    is_used = columns * block_size < context_lens[:, None]
    return block_tables.gather(1, columns.where(is_used, 0)), context_lens - first * block_size


def _groups_of_like_length(lengths: Sequence[int], max_tokens: int) -> Iterator[tuple[slice, int]]:
    """Cut sorted lengths into slices that, padded to their longest, hold at most `max_tokens` each.

    Yields each slice and its longest length; a sequence longer than `max_tokens` is a slice of its own.
    """
    start = 0
    for end in range(1, len(lengths) + 1):
        if end == len(lengths) or (end + 1 - start) * lengths[end] > max_tokens:
            yield slice(start, end), lengths[end - 1]
            start = end


def paged_prefill_torch(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    kv: LayerKV,
    block_tables: Tensor,
    cu_seqlens_q: Tensor,
    context_lens: Tensor,
    spec: AttentionSpec,
) -> Tensor:
    """See `PagedPrefill`: one call of torch's attention for each chunk, over all that its queries reach.

    Where storage rounds, a chunk reads its own keys and values back, so that its result does not depend on
    how its prompt was cut into chunks.
    """
    out = torch.empty_like(q)
    is_exact = kv.keys.dtype == k.dtype
    bounds = pairwise(cu_seqlens_q.tolist())
    for seq, ((start, end), context_len) in enumerate(zip(bounds, context_lens.tolist(), strict=True)):
        rows = slice(start, end)
        if is_exact and end - start == context_len:
            keys, values = k[rows], v[rows]
        else:
            reach = context_len
            if spec.sliding_window is not None:
                reach = min(context_len, end - start + spec.sliding_window - 1)
            keys, values = _last_tokens(kv, block_tables[seq], context_len, reach, q.dtype)
        out[rows] = dense_attention(q[rows], keys, values, spec)
    return out


def _last_tokens(
    kv: LayerKV, block_table: Tensor, context_len: int, num_tokens: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Keys and values of a sequence's last tokens, `[num_tokens, num_kv_heads, head_dim]`."""
    first = context_len - num_tokens
    first_block, skipped = divmod(first, kv.block_size)
    last_block = -(-context_len // kv.block_size)
    keys, values = kv.gather(block_table[None, first_block:last_block], dtype)
    tokens = slice(skipped, skipped + num_tokens)
    return keys[0, tokens], values[0, tokens]

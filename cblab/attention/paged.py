"""Attention over a block pool in torch: what the kernels are measured against, and what runs without them."""

from collections.abc import Iterator, Sequence
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
    """See `PagedDecode`: blocks are gathered side by side, for several sequences of like length at a time."""
    tables, lengths = _blocks_in_reach(block_tables, context_lens, kv.block_size, spec.sliding_window)
    lengths, order = lengths.sort()
    q, tables = q[order], tables[order]
    row_bytes = spec.num_kv_heads * spec.head_dim * q.element_size()
    budget = _CPU_GATHER_BYTES if q.device.type == "cpu" else _GPU_GATHER_BYTES
    groups = [
        _decode_group(q[rows], kv, tables[rows], lengths[rows], longest, spec)
        for rows, longest in _groups_of_like_length(lengths.tolist(), budget // row_bytes)
    ]
    out = torch.empty_like(q)
    out[order] = torch.cat(groups)
    return out


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


def _decode_group(
    q: Tensor, kv: LayerKV, block_tables: Tensor, lengths: Tensor, longest: int, spec: AttentionSpec
) -> Tensor:
    """Decode a few sequences in one call; the query heads of a KV head stand where queries do."""
    keys, values = kv.gather(block_tables[:, : -(-longest // kv.block_size)], q.dtype)
    positions = torch.arange(keys.shape[1], device=q.device)
    seen = positions < lengths[:, None]
    if spec.sliding_window is not None:
        seen &= positions >= lengths[:, None] - spec.sliding_window
    # What nobody has written may be NaN, and no weight, not even 0, makes that harmless.
    unseen = (~seen).flatten().nonzero()[:, 0]
    for gathered in (keys, values):
        gathered.view(-1, *gathered.shape[2:]).index_fill_(0, unseen, 0)
    out = F.scaled_dot_product_attention(
        q.unflatten(1, (spec.num_kv_heads, -1)),
        keys.transpose(1, 2),
        values.transpose(1, 2),
        attn_mask=seen[:, None, None],
        scale=spec.scale,
    )
    return out.flatten(1, 2)


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

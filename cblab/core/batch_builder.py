"""From ids to tensors: the rows of a step, laid end to end as one `RaggedBatch` over the block pool."""

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
import torch

from cblab.attention.batch import RaggedBatch
from cblab.core.transfers import to_device


class BatchRow(NamedTuple):
    """One sequence's share of a batch.

    Attributes:
        token_ids: the new tokens, at least one.
        num_computed_tokens: tokens before them, which the cache holds already.
        block_table: ids of the blocks that hold the sequence, the new tokens' included.
        num_logits: how many of the last new tokens' logits are wanted: 0 for a chunk that ends before its
            prompt does, 1 to sample, more to score a text.
    """

    token_ids: Sequence[int]
    num_computed_tokens: int
    block_table: Sequence[int]
    num_logits: int = 1


def build_batch(rows: Sequence[BatchRow], block_size: int, device: torch.device | str = "cpu") -> RaggedBatch:
    """Lay the rows' tokens end to end, in the order given; one-token rows first is the caller's part.

    Raises:
        ValueError: no row, a row without tokens, more logits than new tokens, or a block table too short for
            the row's tokens.
    """
    if not rows:
        raise ValueError("a batch needs at least one row")
    lengths, cached, wanted, num_blocks = np.array(
        [(len(row.token_ids), row.num_computed_tokens, row.num_logits, len(row.block_table)) for row in rows]
    ).T
    is_wrong = (lengths < 1) | (cached < 0) | (wanted < 0) | (wanted > lengths)
    is_wrong |= num_blocks * block_size < cached + lengths
    if is_wrong.any():
        index = int(is_wrong.argmax())
        raise ValueError(_what_is_wrong(index, rows[index], block_size))
    ends = lengths.cumsum()
    # Row r of the batch is at `start + i` of the whole and at position `cached + i` of its sequence.
    positions = np.arange(ends[-1]) + (cached - (ends - lengths)).repeat(lengths)
    tables = _pad([row.block_table for row in rows], num_blocks)
    blocks = tables[np.arange(len(rows)).repeat(lengths), positions // block_size].astype(np.int64)
    logits_ends = wanted.cumsum()
    logits_indices = np.arange(logits_ends[-1]) + (ends - logits_ends).repeat(wanted)
    many = np.flatnonzero(lengths > 1)
    target = torch.device(device)

    def tensor(array: np.ndarray, dtype: type[np.integer] = np.int64) -> torch.Tensor:
        return to_device(torch.from_numpy(array.astype(dtype, copy=False)), target)

    return RaggedBatch(
        input_ids=tensor(np.fromiter(chain.from_iterable(row.token_ids for row in rows), np.int64)),
        positions=tensor(positions),
        cu_seqlens_q=tensor(np.concatenate(([0], ends)), np.int32),
        context_lens=tensor(cached + lengths, np.int32),
        logits_indices=tensor(logits_indices),
        slot_mapping=tensor(blocks * block_size + positions % block_size),
        block_tables=tensor(tables, np.int32),
        num_decodes=int(many[0]) if len(many) else len(rows),
    )


def _what_is_wrong(index: int, row: BatchRow, block_size: int) -> str:
    num_new = len(row.token_ids)
    if not num_new:
        return f"row {index} has no new token; leave it out of the batch"
    if row.num_computed_tokens < 0:
        return f"row {index} has num_computed_tokens={row.num_computed_tokens}; it cannot be negative"
    if not 0 <= row.num_logits <= num_new:
        return f"row {index} wants the logits of {row.num_logits} of its {num_new} new tokens"
    return (
        f"row {index} has {len(row.block_table)} blocks of {block_size} for "
        f"{row.num_computed_tokens + num_new} tokens: allocate its slots before building the batch"
    )


def _pad(tables: Sequence[Sequence[int]], lengths: np.ndarray) -> np.ndarray:
    """Block tables of these lengths as one array, int32 `[num_seqs, longest]`, 0 behind each."""
    padded = np.zeros((len(tables), lengths.max()), np.int32)
    is_used = np.arange(padded.shape[1]) < lengths[:, None]
    padded[is_used] = np.fromiter(chain.from_iterable(tables), np.int32, lengths.sum())
    return padded

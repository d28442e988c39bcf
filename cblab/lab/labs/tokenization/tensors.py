"""The reference for the exercises of lab 1 that make tensors."""

from collections.abc import Sequence

import torch
from torch import Tensor


def pad_batch(sequences: Sequence[list[int]], pad_id: int, side: str = "left") -> tuple[Tensor, Tensor]:
    """Fill token sequences up to the longest one, on the `side` given.

    Return `(input_ids, attention_mask)`, both int64 `[num_seqs, longest]`; the mask is 1 for a token.
    """
    longest = max(len(ids) for ids in sequences)
    rows, mask = [], []
    for ids in sequences:
        padding, zeros, ones = [pad_id] * (longest - len(ids)), [0] * (longest - len(ids)), [1] * len(ids)
        rows.append(padding + ids if side == "left" else ids + padding)
        mask.append(zeros + ones if side == "left" else ones + zeros)
    return torch.tensor(rows, dtype=torch.int64), torch.tensor(mask, dtype=torch.int64)


def embed(input_ids: Tensor, table: Tensor) -> Tensor:
    """Look up `[batch, length]` ids in a table `[vocab_size, hidden_size]`."""
    return table[input_ids]

"""Who may see whom, as boolean masks: the definition of what every attention function here computes.

The fast paths never hold such a mask for all pairs; they are for reading, for pictures and for small tests.
"""

from itertools import pairwise

import torch
from torch import Tensor


def causal_mask(
    num_queries: int,
    num_keys: int,
    sliding_window: int | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """Which key each query may see: bool `[num_queries, num_keys]`, True where it may.

    Aligned at the bottom right: the last query sees the last key, because the queries are the newest tokens
    of the sequence and the keys before them come from the cache. (torch's `is_causal=True` aligns at the top
    left, which is the same only when there are as many queries as keys.)

    ```
    causal_mask(2, 5)             k0 k1 k2 k3 k4
                            q0     x  x  x  x  .
                            q1     x  x  x  x  x
    ```

    Raises:
        ValueError: more queries than keys; the first ones would see nothing.
    """
    if num_queries > num_keys:
        raise ValueError(
            f"{num_queries} queries for {num_keys} keys: each query's own key must be among the keys"
        )
    query_positions = torch.arange(num_keys - num_queries, num_keys, device=device)[:, None]
    key_positions = torch.arange(num_keys, device=device)[None, :]
    mask = key_positions <= query_positions
    if sliding_window is not None:
        mask &= key_positions > query_positions - sliding_window
    return mask


def ragged_causal_mask(
    cu_seqlens_q: Tensor, context_lens: Tensor, sliding_window: int | None = None
) -> Tensor:
    """`causal_mask` of each sequence of a ragged batch, along the diagonal: no one sees another's keys.

    ```
    queries 2 and 1                k0 k1 k2   k0 k1       context lengths 3 and 2
                   sequence 0  q0   x  x  .    .  .
                               q1   x  x  x    .  .
                   sequence 1  q0   .  .  .    x  x
    ```

    Args:
        cu_seqlens_q: `[num_seqs + 1]`, where each sequence's queries begin and end.
        context_lens: `[num_seqs]`, cached and new tokens of each.
        sliding_window: how many keys a query sees, itself included; None for all.

    Returns:
        bool `[num_tokens, sum(context_lens)]`: the keys of all sequences, cached ones included, end to end.

    Raises:
        ValueError: the two disagree on the number of sequences, or one has more queries than keys.
    """
    borders, lengths = cu_seqlens_q.tolist(), context_lens.tolist()
    if len(borders) != len(lengths) + 1:
        raise ValueError(
            f"cu_seqlens_q has {len(borders)} entries for {len(lengths)} context_lens: it needs one more"
        )
    masks = [
        causal_mask(end - start, length, sliding_window, context_lens.device)
        for (start, end), length in zip(pairwise(borders), lengths, strict=True)
    ]
    return torch.block_diag(*masks).bool()

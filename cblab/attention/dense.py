"""Dense attention: keys and values of a sequence lie side by side in one tensor.

`reference_attention` is the definition, written out; `dense_attention` computes the same through torch's
`scaled_dot_product_attention`, which never holds the scores of all pairs. The classes below are ways to hand
it to a model: a model calls `attend(layer, q, k, v)` and does not know what is behind it.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from cblab.attention.masks import causal_mask
from cblab.attention.spec import AttentionSpec

Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]
"""`attend(layer, q, k, v)`: what a model calls, once in each layer.

q is `[num_tokens, num_heads, head_dim]`, k and v are `[num_tokens, num_kv_heads, head_dim]`: all new tokens
of this forward pass, positions already applied. The result is shaped like q."""

# Queries that share one mask; more are cut into pieces, so that no mask grows with the square of a prompt.
_MASKED_QUERIES = 512


def reference_attention(q: Tensor, k: Tensor, v: Tensor, spec: AttentionSpec) -> Tensor:
    """Attention written as its definition, for small tests and for reading: it holds every score at once.

    Args:
        q: `[num_queries, num_heads, head_dim]`, the newest tokens of one sequence.
        k: `[num_keys, num_kv_heads, head_dim]`, all tokens of the sequence so far.
        v: like `k`.
        spec: heads, scale and window.

    Returns:
        `[num_queries, num_heads, head_dim]`, in the dtype of `q`; scores and softmax are computed in float32.
    """
    mask = causal_mask(q.shape[0], k.shape[0], spec.sliding_window, q.device)
    return masked_attention(q, k, v, mask, spec)


def masked_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, spec: AttentionSpec) -> Tensor:
    """`reference_attention` under any mask, bool `[num_queries, num_keys]`; each query must see a key.

    With a `ragged_causal_mask`, the sequences of a whole batch lie end to end in q, k and v.
    """
    group = spec.num_heads // spec.num_kv_heads
    k = k.repeat_interleave(group, dim=1)
    v = v.repeat_interleave(group, dim=1)
    scores = torch.einsum("qhd,khd->hqk", q.float(), k.float()) * spec.scale
    weights = scores.masked_fill(~mask, float("-inf")).softmax(dim=-1)
    return torch.einsum("hqk,khd->qhd", weights, v.float()).to(q.dtype)


def dense_attention(q: Tensor, k: Tensor, v: Tensor, spec: AttentionSpec) -> Tensor:
    """One sequence's newest tokens attend to all its tokens; shapes as in `reference_attention`.

    Raises:
        ValueError: more queries than keys.
    """
    num_queries = q.shape[0]
    if spec.sliding_window is not None:
        # No query of this call sees further back than the first one's window.
        reach = num_queries + spec.sliding_window - 1
        k, v = k[-reach:], v[-reach:]
    num_keys = k.shape[0]
    windowed = spec.sliding_window is not None and num_keys > spec.sliding_window
    if num_queries == 1 or (num_queries == num_keys and not windowed):
        return _sdpa(q, k, v, spec, is_causal=num_queries > 1)
    if _MASKED_QUERIES < num_queries <= num_keys:
        # Piece by piece: the queries up to row `end` see the keys up to their own.
        ends = range(_MASKED_QUERIES, num_queries + _MASKED_QUERIES, _MASKED_QUERIES)
        pieces = [(slice(end - _MASKED_QUERIES, end), num_keys - num_queries + end) for end in ends]
        return torch.cat([dense_attention(q[rows], k[:seen], v[:seen], spec) for rows, seen in pieces])
    return _sdpa(q, k, v, spec, mask=causal_mask(num_queries, num_keys, spec.sliding_window, q.device))


def _sdpa(
    q: Tensor, k: Tensor, v: Tensor, spec: AttentionSpec, mask: Tensor | None = None, is_causal: bool = False
) -> Tensor:
    out = F.scaled_dot_product_attention(
        q.transpose(0, 1)[None],
        k.transpose(0, 1)[None],
        v.transpose(0, 1)[None],
        attn_mask=mask,
        is_causal=is_causal,
        scale=spec.scale,
        enable_gqa=spec.num_heads != spec.num_kv_heads,
    )
    return out[0].transpose(0, 1)


def ragged_dense_attention(
    q: Tensor, k: Tensor, v: Tensor, cu_seqlens_q: Tensor, cu_seqlens_k: Tensor, spec: AttentionSpec
) -> Tensor:
    """`dense_attention` for several sequences laid end to end; none sees another's keys.

    Args:
        q: `[num_tokens, num_heads, head_dim]`, the new tokens of all sequences.
        k: `[num_keys, num_kv_heads, head_dim]`, all tokens so far of all sequences.
        v: like `k`.
        cu_seqlens_q: `[num_seqs + 1]`, where each sequence's queries begin and end.
        cu_seqlens_k: `[num_seqs + 1]`, the same for its keys.
        spec: heads, scale and window.

    Raises:
        ValueError: the two lists of borders are of different length, or do not end where the tensors end.
    """
    query_ends, key_ends = cu_seqlens_q.tolist(), cu_seqlens_k.tolist()
    if len(query_ends) != len(key_ends):
        raise ValueError(f"cu_seqlens_q has {len(query_ends)} entries, cu_seqlens_k has {len(key_ends)}")
    if query_ends[-1] != q.shape[0] or key_ends[-1] != k.shape[0]:
        raise ValueError(
            f"cu_seqlens end at {query_ends[-1]} queries and {key_ends[-1]} keys, "
            f"the tensors hold {q.shape[0]} and {k.shape[0]}"
        )
    out = torch.empty_like(q)
    for seq in range(len(query_ends) - 1):
        rows = slice(query_ends[seq], query_ends[seq + 1])
        keys = slice(key_ends[seq], key_ends[seq + 1])
        out[rows] = dense_attention(q[rows], k[keys], v[keys], spec)
    return out


class RaggedCausalAttention:
    """An `attend` for whole sequences without a cache: every key is among the new tokens."""

    def __init__(self, specs: Sequence[AttentionSpec], cu_seqlens: Tensor) -> None:
        self.specs = tuple(specs)
        self.cu_seqlens = cu_seqlens

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """See `Attend`."""
        return ragged_dense_attention(q, k, v, self.cu_seqlens, self.cu_seqlens, self.specs[layer])


class UniformCausalAttention:
    """An `attend` for training: `num_seqs` windows of equal length, one call of torch's attention for all.

    `dropout` is the probability with which an attention weight is dropped; leave it 0 outside training.
    """

    def __init__(self, specs: Sequence[AttentionSpec], num_seqs: int, dropout: float = 0.0) -> None:
        self.specs = tuple(specs)
        self.num_seqs = num_seqs
        self.dropout = dropout

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """See `Attend`."""
        spec = self.specs[layer]
        length = q.shape[0] // self.num_seqs
        windowed = spec.sliding_window is not None and spec.sliding_window < length
        out = F.scaled_dot_product_attention(
            self._heads_first(q),
            self._heads_first(k),
            self._heads_first(v),
            attn_mask=causal_mask(length, length, spec.sliding_window, q.device) if windowed else None,
            dropout_p=self.dropout,
            is_causal=not windowed,
            scale=spec.scale,
            enable_gqa=spec.num_heads != spec.num_kv_heads,
        )
        return out.transpose(1, 2).reshape(q.shape)

    def _heads_first(self, x: Tensor) -> Tensor:
        """`[num_seqs * length, heads, head_dim]` to `[num_seqs, heads, length, head_dim]`, without a copy."""
        return x.unflatten(0, (self.num_seqs, -1)).transpose(1, 2)

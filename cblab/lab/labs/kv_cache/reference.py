"""The reference for lab 3's attention: from the softmax to a layer that reads a cache.

The engine has each of these once, and faster: `cblab.attention.dense`, `cblab.model.rope`. Here they are as a
reader of the definitions writes them.
"""

import math

import torch
from torch import Tensor

from cblab.attention.masks import causal_mask
from cblab.lab.labs.kv_cache.caches import KVCache


def softmax(scores: Tensor) -> Tensor:
    """Softmax over the last dimension of `[..., num_keys]`; a row's largest score becomes exp(0) = 1."""
    weights = (scores - scores.amax(dim=-1, keepdim=True)).exp()
    return weights / weights.sum(dim=-1, keepdim=True)


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """Scaled dot-product attention with grouped queries, the scores of all pairs held at once.

    Args:
        q: `[num_queries, num_heads, head_dim]`.
        k: `[num_keys, num_kv_heads, head_dim]`; each KV head serves `num_heads / num_kv_heads` query heads.
        v: like `k`.
        mask: bool `[num_queries, num_keys]`, True where the query may see the key.

    Returns:
        `[num_queries, num_heads, head_dim]`.
    """
    group = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
    scores = torch.einsum("qhd,khd->hqk", q, k) / math.sqrt(q.shape[2])
    weights = softmax(scores.masked_fill(~mask, float("-inf")))
    return torch.einsum("hqk,khd->qhd", weights, v)


def apply_rope(x: Tensor, positions: Tensor, theta: float = 10_000.0) -> Tensor:
    """Turn pair (i, i + head_dim/2) of each token by `position * theta ** (-2i / head_dim)`.

    x is `[num_tokens, num_heads, head_dim]`, positions int64 `[num_tokens]`; the result is shaped like x.
    """
    half = x.shape[-1] // 2
    frequencies = theta ** (-torch.arange(half) / half)
    angles = (positions[:, None] * frequencies)[:, None]
    first, second = x[..., :half], x[..., half:]
    cos, sin = angles.cos(), angles.sin()
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


def cached_attention(
    cache: KVCache, layer: int, q: Tensor, k: Tensor, v: Tensor, positions: Tensor
) -> Tensor:
    """Attention of one layer for new tokens behind those in the cache; `advance` is left to the caller.

    Args:
        cache: holds the tokens before; the new ones are written to it.
        layer: which layer this is.
        q: `[num_new, num_heads, head_dim]`, not turned yet.
        k: `[num_new, num_kv_heads, head_dim]`, not turned yet.
        v: like `k`.
        positions: int64 `[num_new]`, of the new tokens in their sequence.

    Returns:
        `[num_new, num_heads, head_dim]`.
    """
    cache.write(layer, apply_rope(k, positions), v)
    keys, values = cache.read(layer)
    mask = causal_mask(q.shape[0], keys.shape[0])
    return attention(apply_rope(q, positions), keys, values, mask)

"""The reference for what students of lab 6 write in torch: attention of a whole prompt, tile by tile."""

import torch
from torch import Tensor


def flash_attention(q: Tensor, k: Tensor, v: Tensor, scale: float, tile: int) -> Tensor:
    """Causal attention of a prompt over itself without ever holding more than a tile of scores a head.

    q, k, v: `[num_heads, num_tokens, head_dim]`. Tiles are `tile` queries by `tile` keys; those in which no
    query sees a key are not computed. Returns a tensor like `q`.
    """
    num_tokens = q.shape[1]
    out = torch.empty_like(q)
    for first in range(0, num_tokens, tile):
        rows = q[:, first : first + tile]
        highest = torch.full_like(rows[..., :1], float("-inf"))
        total, sums = torch.zeros_like(highest), torch.zeros_like(rows)
        query_positions = torch.arange(first, first + rows.shape[1])[:, None]
        for start in range(0, first + rows.shape[1], tile):
            keys, values = k[:, start : start + tile], v[:, start : start + tile]
            key_positions = torch.arange(start, start + keys.shape[1])
            scores = rows @ keys.transpose(1, 2) * scale
            scores = scores.masked_fill(key_positions > query_positions, float("-inf"))
            top = torch.maximum(highest, scores.amax(dim=-1, keepdim=True))
            weights, factor = torch.exp(scores - top), torch.exp(highest - top)
            total = total * factor + weights.sum(dim=-1, keepdim=True)
            sums = sums * factor + weights @ values
            highest = top
        out[:, first : first + tile] = sums / total
    return out

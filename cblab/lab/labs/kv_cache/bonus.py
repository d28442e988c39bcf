"""The reference for lab 3's bonus exercises: attention in parts, a ring for a window, eight-bit storage."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

Part = tuple[float, float, Tensor]
"""(largest, total, mean) of one query over some keys: its largest score, the sum of exp(score - largest), and
the softmax-weighted mean of their values, `[head_dim]`."""


def merge_attention(parts: Sequence[Part]) -> Tensor:
    """Attention over all keys, from what it is over each part of them: `[head_dim]`."""
    top = max(largest for largest, _, _ in parts)
    weights = [total * math.exp(largest - top) for largest, total, _ in parts]
    means = torch.stack([mean for _, _, mean in parts])
    return torch.tensor(weights) @ means / sum(weights)


class RingKVCache:
    """The last `window` tokens of one sequence in one layer; a new one takes the oldest one's slot."""

    def __init__(self, window: int, num_kv_heads: int, head_dim: int) -> None:
        self.window = window
        self.length = 0
        self.keys = torch.zeros(window, num_kv_heads, head_dim)
        self.values = torch.zeros(window, num_kv_heads, head_dim)

    def append(self, k: Tensor, v: Tensor) -> None:
        """Store one token, k and v `[num_kv_heads, head_dim]`."""
        slot = self.length % self.window
        self.keys[slot], self.values[slot] = k, v
        self.length += 1

    def read(self) -> tuple[Tensor, Tensor]:
        """Keys and values of the tokens held, the oldest first, `[num_held, num_kv_heads, head_dim]` each."""
        slots = [place % self.window for place in range(max(0, self.length - self.window), self.length)]
        return self.keys[slots], self.values[slots]


def quantize(x: Tensor) -> tuple[Tensor, Tensor]:
    """Store `[num_tokens, num_heads, head_dim]` in eight bits a number, with one scale a token and head.

    Returns:
        codes, int8, shaped like x, from -127 to 127; and scales, float32 `[num_tokens, num_heads, 1]`: then
        `codes * scales` is nearly x. Where all numbers are 0, the codes are 0 and the scale is 1.
    """
    scales = x.abs().amax(dim=-1, keepdim=True) / 127
    scales = torch.where(scales == 0, 1.0, scales)
    return (x / scales).round().to(torch.int8), scales

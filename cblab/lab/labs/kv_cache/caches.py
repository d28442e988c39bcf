"""The reference for lab 3's caches: of one sequence, and of a batch with its room reserved.

The engine's own are `cblab.core.kv_cache` and `cblab.core.contiguous_cache`.
"""

import torch
from torch import Tensor


class KVCache:
    """Keys and values of one sequence in every layer; `length` counts tokens that all layers have written."""

    def __init__(self, num_layers: int, num_kv_heads: int, head_dim: int) -> None:
        self.length = 0
        self.keys = [torch.empty(0, num_kv_heads, head_dim) for _ in range(num_layers)]
        self.values = [torch.empty(0, num_kv_heads, head_dim) for _ in range(num_layers)]

    def write(self, layer: int, k: Tensor, v: Tensor) -> None:
        """Put k and v, `[num_new, num_kv_heads, head_dim]`, behind the layer's first `length` tokens."""
        self.keys[layer] = torch.cat((self.keys[layer][: self.length], k))
        self.values[layer] = torch.cat((self.values[layer][: self.length], v))

    def read(self, layer: int) -> tuple[Tensor, Tensor]:
        """The layer's keys and values, the new ones included: `[num_tokens, num_kv_heads, head_dim]` each."""
        return self.keys[layer], self.values[layer]

    def advance(self, num_tokens: int) -> None:
        """Count the new tokens as complete, after the last layer has written them."""
        self.length += num_tokens

    def num_bytes(self) -> int:
        """Bytes of the complete tokens' keys and values, over all layers."""
        return sum(stored[: self.length].nbytes for stored in (*self.keys, *self.values))


class BatchKVCache:
    """Room for `max_batch` sequences of `max_length` tokens, allocated once; a sequence has a row."""

    def __init__(
        self, num_layers: int, max_batch: int, max_length: int, num_kv_heads: int, head_dim: int
    ) -> None:
        shape = (num_layers, max_batch, max_length, num_kv_heads, head_dim)
        self.keys, self.values = torch.zeros(shape), torch.zeros(shape)
        self.max_length = max_length
        self.lengths = [0] * max_batch

    def update(self, layer: int, row: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Write `[num_new, num_kv_heads, head_dim]`, return the row's keys and values, new ones included.

        Raises:
            ValueError: the row has no room for them; nothing is written then.
        """
        start = self.lengths[row]
        end = start + k.shape[0]
        if end > self.max_length:
            raise ValueError(f"row {row} has room for {self.max_length} tokens, not for {end}")
        self.keys[layer, row, start:end] = k
        self.values[layer, row, start:end] = v
        return self.keys[layer, row, :end], self.values[layer, row, :end]

    def advance(self, row: int, num_tokens: int) -> None:
        """Count the new tokens of a row as complete, after the last layer has written them."""
        self.lengths[row] += num_tokens

    def utilisation(self) -> float:
        """The share of all slots that holds a complete token, from 0 to 1."""
        return sum(self.lengths) / (len(self.lengths) * self.max_length)

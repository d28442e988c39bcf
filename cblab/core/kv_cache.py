"""Key/value caches of one sequence, append only: what all have in common, and the simplest."""

from collections.abc import Sequence

import torch
from torch import Tensor

from cblab.attention.spec import AttentionSpec


class SequenceKVCache:
    """Keys and values of every token of one sequence, in every layer, side by side; see its two children.

    `length` counts the tokens that are complete, that is written by *all* layers. A layer writes the new
    tokens from position `length` on and reads up to and including them; when the last layer is done,
    `advance` moves `length` once. Were it moved by each layer, the second would write behind the first one's
    tokens and read a hole. A forward pass that fails half-way leaves `length` where it was: the next pass
    writes over its traces.
    """

    def __init__(
        self, specs: Sequence[AttentionSpec], keys: Sequence[Tensor], values: Sequence[Tensor]
    ) -> None:
        self.specs = tuple(specs)
        self.length = 0
        self._keys, self._values = list(keys), list(values)
        self._num_pending = [0] * len(self.specs)  # tokens that a layer has written beyond `length`

    @property
    def capacity(self) -> int:
        """Tokens that there is room for by now."""
        return self._keys[0].shape[0]

    @property
    def num_bytes(self) -> int:
        """Bytes of the complete tokens' keys and values; the room kept in reserve is not counted."""
        stored = (*self._keys, *self._values)
        return sum(self.length * one.shape[1] * one.shape[2] * one.element_size() for one in stored)

    def write(self, layer: int, k: Tensor, v: Tensor) -> None:
        """Store k and v, both `[num_new_tokens, num_kv_heads, head_dim]`, from position `length` on."""
        spec = self.specs[layer]
        for name, new in (("k", k), ("v", v)):
            if new.shape != (k.shape[0], spec.num_kv_heads, spec.head_dim):
                raise ValueError(
                    f"{name} of layer {layer} is {tuple(new.shape)}, expected "
                    f"{(k.shape[0], spec.num_kv_heads, spec.head_dim)}"
                )
        end = self.length + k.shape[0]
        self._reserve(layer, end)
        self._keys[layer][self.length : end] = k
        self._values[layer][self.length : end] = v
        self._num_pending[layer] = k.shape[0]

    def read(self, layer: int) -> tuple[Tensor, Tensor]:
        """Return views of the layer's keys and values, new tokens included.

        Both are `[num_tokens, num_kv_heads, head_dim]`.
        """
        end = self.length + self._num_pending[layer]
        return self._keys[layer][:end], self._values[layer][:end]

    def advance(self, num_tokens: int) -> None:
        """Count `num_tokens` new tokens as complete: once a forward pass, after all layers wrote them."""
        for layer, pending in enumerate(self._num_pending):
            if pending != num_tokens:
                raise ValueError(
                    f"layer {layer} has written {pending} of {num_tokens} new tokens: the length advances "
                    "once, after all layers"
                )
        self.length += num_tokens
        self._num_pending = [0] * len(self.specs)

    def _reserve(self, layer: int, num_tokens: int) -> None:
        """Make the layer's room at least `num_tokens`, or raise `ValueError`."""
        raise NotImplementedError


class DenseKVCache(SequenceKVCache):
    """The cache of one sequence that grows: room is doubled when it runs out.

    So n tokens cost O(n) copies and not O(n^2).
    """

    def __init__(
        self,
        specs: Sequence[AttentionSpec],
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        def empty() -> list[Tensor]:
            shapes = [(0, spec.num_kv_heads, spec.head_dim) for spec in specs]
            return [torch.empty(shape, dtype=dtype, device=device) for shape in shapes]

        super().__init__(specs, empty(), empty())

    def _reserve(self, layer: int, num_tokens: int) -> None:
        capacity = self._keys[layer].shape[0]
        if num_tokens <= capacity:
            return
        for stored in (self._keys, self._values):
            old = stored[layer]
            stored[layer] = old.new_empty((max(num_tokens, 2 * capacity), *old.shape[1:]))
            stored[layer][: self.length] = old[: self.length]

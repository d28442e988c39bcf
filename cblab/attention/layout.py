"""How a layer's block pool lies in memory, and reading and writing it without asking how it lies.

A slot is the place of one token: `slot = block_id * block_size + position % block_size`.
"""

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np
import torch
from torch import Tensor

_CACHE_LINE = 64  # bytes
_SMALLEST_SCALE = 1e-30  # of a row of zeros: whatever it is, 0 / scale is 0


class KVLayout(Enum):
    """The order of the axes of a layer's pool; the block is always the first.

    ```
    NHD   [num_blocks, block_size, num_kv_heads, head_dim]   a token's heads side by side
    HND   [num_blocks, num_kv_heads, block_size, head_dim]   a head's tokens side by side
    HDN   [num_blocks, num_kv_heads, head_dim, block_size]   of the keys; the values' is HND
    ```

    In HDN one vector register takes the same dimension of as many keys as it has places: scores come out side
    by side, and none is a sum over a register. A weighted sum of values has that with the values' dimensions.

    A kernel declares the one it reads and the pool is built in it. Copying and swapping blocks work on the
    first axis and need not know; all else goes through `keys_by_token` and `values_by_token`.
    """

    NHD = "NHD"
    HND = "HND"
    HDN = "HDN"

    def key_shape(
        self, num_blocks: int, block_size: int, num_kv_heads: int, head_dim: int
    ) -> tuple[int, ...]:
        """Shape of the keys' pool in this layout."""
        if self is KVLayout.HDN:
            return (num_blocks, num_kv_heads, head_dim, block_size)
        return self.value_shape(num_blocks, block_size, num_kv_heads, head_dim)

    def value_shape(
        self, num_blocks: int, block_size: int, num_kv_heads: int, head_dim: int
    ) -> tuple[int, ...]:
        """Shape of the values' pool in this layout."""
        if self is KVLayout.NHD:
            return (num_blocks, block_size, num_kv_heads, head_dim)
        return (num_blocks, num_kv_heads, block_size, head_dim)

    def keys_by_token(self, pool: Tensor) -> Tensor:
        """View keys as `[num_blocks, block_size, num_kv_heads, head_dim]`, whatever the layout."""
        return pool.permute(0, 3, 1, 2) if self is KVLayout.HDN else self.values_by_token(pool)

    def values_by_token(self, pool: Tensor) -> Tensor:
        """View values as `[num_blocks, block_size, num_kv_heads, head_dim]`, whatever the layout."""
        return pool if self is KVLayout.NHD else pool.transpose(1, 2)


@dataclass(frozen=True)
class LayerKV:
    """The block pool of one layer, as kernels get it.

    Attributes:
        keys: `[num_blocks, ...]` in the order of `layout`; floating point, or int8 with scales.
        values: like `keys`.
        layout: the order of the axes.
        key_scales: for int8 alone, float32, like `keys` with 1 in place of `head_dim`: a key is its integers
            times its scale.
        value_scales: the same for `values`.
    """

    keys: Tensor
    values: Tensor
    layout: KVLayout
    key_scales: Tensor | None = None
    value_scales: Tensor | None = None

    @classmethod
    def allocate(
        cls,
        num_blocks: int,
        block_size: int,
        num_kv_heads: int,
        head_dim: int,
        *,
        layout: KVLayout,
        dtype: torch.dtype,
        device: torch.device | str = "cpu",
    ) -> "LayerKV":
        """Make an empty pool; its slots hold zeros until they are written."""

        def pools(width: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
            sizes = num_blocks, block_size, num_kv_heads, width
            shapes = layout.key_shape(*sizes), layout.value_shape(*sizes)
            keys, values = (_zeros(shape, dtype, torch.device(device)) for shape in shapes)
            return keys, values

        scales = pools(1, torch.float32) if dtype == torch.int8 else (None, None)
        return cls(*pools(head_dim, dtype), layout, *scales)

    @property
    def block_size(self) -> int:
        """Tokens in a block."""
        return self.layout.values_by_token(self.values).shape[1]

    def by_token(self) -> tuple[Tensor, Tensor]:
        """Views of keys and values as stored, `[num_blocks, block_size, num_kv_heads, head_dim]`."""
        return self.layout.keys_by_token(self.keys), self.layout.values_by_token(self.values)

    def flatten(self) -> tuple[Tensor, Tensor]:
        """All slots' keys and values in order, as stored, `[num_slots, num_kv_heads, head_dim]`.

        Views in layout NHD. In the others a block's tokens do not lie side by side, and these are copies.
        """
        keys, values = self.by_token()
        return keys.flatten(0, 1), values.flatten(0, 1)

    @property
    def pools(self) -> tuple[Tensor, ...]:
        """Keys, values and, for int8, their scales: everything that makes up a block."""
        return tuple(
            one for one in (self.keys, self.values, self.key_scales, self.value_scales) if one is not None
        )

    def require(self, layout: KVLayout, reader: str) -> None:
        """Refuse a pool whose layout a kernel does not read.

        Raises:
            ValueError: it names the kernel and both layouts.
        """
        if self.layout is not layout:
            raise ValueError(
                f"{reader} reads a pool in {layout.value}, this one is in {self.layout.value}: build the "
                f"cache with layout=KVLayout.{layout.value}"
            )

    def write(self, slot_mapping: Tensor, k: Tensor, v: Tensor) -> None:
        """Store k and v, `[num_tokens, num_kv_heads, head_dim]`, at the slots `[num_tokens]`."""
        keys_by_token, values_by_token = self.layout.keys_by_token, self.layout.values_by_token
        for by_token, pool, scales, new in (
            (keys_by_token, self.keys, self.key_scales, k),
            (values_by_token, self.values, self.value_scales, v),
        ):
            if scales is not None:
                new, new_scales = quantize(new)
                self._put(by_token(scales), slot_mapping, new_scales)
            self._put(by_token(pool), slot_mapping, new.to(pool.dtype))

    def _put(self, by_token: Tensor, slot_mapping: Tensor, new: Tensor) -> None:
        if self.layout is KVLayout.NHD:
            by_token.flatten(0, 1).index_copy_(0, slot_mapping, new)
        else:
            by_token[slot_mapping // self.block_size, slot_mapping % self.block_size] = new

    def gather(self, block_tables: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Copy out whole blocks, one table a sequence, `[num_seqs, num_blocks]`, as numbers of `dtype`.

        Returns:
            keys and values, `[num_seqs, num_blocks * block_size, num_kv_heads, head_dim]`, contiguous: a
            sequence's tokens in order, and behind its last one whatever the blocks hold.
        """
        keys = self.layout.keys_by_token(_select(self.keys, self.key_scales, block_tables))
        values = self.layout.values_by_token(_select(self.values, self.value_scales, block_tables))
        keys, values = (
            blocks.contiguous().view(block_tables.shape[0], -1, *blocks.shape[2:])
            for blocks in (keys, values)
        )
        return keys.to(dtype), values.to(dtype)


def _select(pool: Tensor, scales: Tensor | None, block_tables: Tensor) -> Tensor:
    """A copy of the tables' blocks, one table after the other, in the order of axes of the pool."""
    block_ids = block_tables.flatten()
    blocks = pool.index_select(0, block_ids)
    return blocks if scales is None else blocks * scales.index_select(0, block_ids)


def quantize(x: Tensor) -> tuple[Tensor, Tensor]:
    """Round each row of the last axis to int8, symmetrically: its largest magnitude becomes 127.

    Args:
        x: `[..., head_dim]`.

    Returns:
        the integers, shaped like `x`, and the scales, float32 `[..., 1]`; `x` is about integers * scale.
    """
    x = x.float()
    scales = x.abs().amax(dim=-1, keepdim=True).clamp(min=_SMALLEST_SCALE) / 127
    return (x / scales).round().to(torch.int8), scales


def _zeros(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Zeros that on a CPU take no memory until they are written: torch.zeros writes them all."""
    if device.type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    num_bytes = math.prod(shape) * dtype.itemsize
    raw = np.zeros(num_bytes + _CACHE_LINE, np.uint8)
    start = -raw.ctypes.data % _CACHE_LINE
    return torch.from_numpy(raw[start : start + num_bytes]).view(dtype).view(shape)

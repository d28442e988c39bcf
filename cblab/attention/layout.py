"""How a layer's block pool lies in memory, and reading and writing it without asking how it lies.

A slot is the place of one token: `slot = block_id * block_size + position % block_size`.
"""

from dataclasses import dataclass, replace
from enum import Enum

import torch
from torch import Tensor

_SMALLEST_SCALE = 1e-30  # of a row of zeros: whatever it is, 0 / scale is 0


class KVLayout(Enum):
    """The order of the axes of a layer's pool; the block is always the first.

    ```
    NHD   [num_blocks, block_size, num_kv_heads, head_dim]   a token's heads side by side
    HND   [num_blocks, num_kv_heads, block_size, head_dim]   a head's tokens side by side
    ```

    A kernel declares the one it reads and the pool is built in it. Copying and swapping blocks work on the
    first axis and need not know; all else goes through `by_token`.
    """

    NHD = "NHD"
    HND = "HND"

    def shape(self, num_blocks: int, block_size: int, num_kv_heads: int, head_dim: int) -> tuple[int, ...]:
        """Shape of a pool in this layout."""
        inner = (block_size, num_kv_heads) if self is KVLayout.NHD else (num_kv_heads, block_size)
        return (num_blocks, *inner, head_dim)

    def by_token(self, pool: Tensor) -> Tensor:
        """View a pool as `[num_blocks, block_size, num_kv_heads, head_dim]`, whatever its layout."""
        return pool if self is KVLayout.NHD else pool.transpose(1, 2)

    def flatten(self, pool: Tensor) -> Tensor:
        """All slots in order, `[num_slots, num_kv_heads, head_dim]`: a view of an NHD pool, else a copy."""
        return self.by_token(pool).flatten(0, 1)


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

        def pool(width: int, dtype: torch.dtype) -> Tensor:
            shape = layout.shape(num_blocks, block_size, num_kv_heads, width)
            return torch.zeros(shape, dtype=dtype, device=device)

        kv = cls(pool(head_dim, dtype), pool(head_dim, dtype), layout)
        if dtype == torch.int8:
            kv = replace(kv, key_scales=pool(1, torch.float32), value_scales=pool(1, torch.float32))
        return kv

    @property
    def block_size(self) -> int:
        """Tokens in a block."""
        return self.layout.by_token(self.keys).shape[1]

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
        for pool, scales, new in ((self.keys, self.key_scales, k), (self.values, self.value_scales, v)):
            if scales is not None:
                new, new_scales = quantize(new)
                self._put(scales, slot_mapping, new_scales)
            self._put(pool, slot_mapping, new.to(pool.dtype))

    def _put(self, pool: Tensor, slot_mapping: Tensor, new: Tensor) -> None:
        if self.layout is KVLayout.NHD:
            pool.flatten(0, 1).index_copy_(0, slot_mapping, new)
        else:
            self.layout.by_token(pool)[slot_mapping // self.block_size, slot_mapping % self.block_size] = new

    def gather(self, block_tables: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Copy out whole blocks, one table a sequence, `[num_seqs, num_blocks]`, as numbers of `dtype`.

        Returns:
            keys and values, `[num_seqs, num_blocks * block_size, num_kv_heads, head_dim]`, contiguous: a
            sequence's tokens in order, and behind its last one whatever the blocks hold.
        """
        keys = self._gather(self.keys, self.key_scales, block_tables)
        values = self._gather(self.values, self.value_scales, block_tables)
        return keys.to(dtype), values.to(dtype)

    def _gather(self, pool: Tensor, scales: Tensor | None, block_tables: Tensor) -> Tensor:
        block_ids = block_tables.flatten()
        blocks = pool.index_select(0, block_ids)
        if scales is not None:
            blocks = blocks * scales.index_select(0, block_ids)
        tokens = self.layout.by_token(blocks).contiguous()
        return tokens.view(block_tables.shape[0], -1, *tokens.shape[2:])


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

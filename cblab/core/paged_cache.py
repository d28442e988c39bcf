"""The paged KV cache: pools of blocks, one for each layer. It knows blocks and slots, and no sequences."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from cblab.attention.layout import KVLayout, LayerKV
from cblab.attention.spec import AttentionSpec
from cblab.core.kv_storage import StorageDtype, bytes_per_block
from cblab.core.plan import BlockOp

_PAGE_BYTES = 4096  # the smallest there is


class PagedKVCache:
    """Keys and values of all sequences, in blocks of `block_size` tokens, and room in host memory to swap to.

    ```
    block id           0                 1                 2
    slot        0   1   2   3     4   5   6   7     8   9  10  11       block_size = 4
    token      a4  a5   .   .    a0  a1  a2  a3    b0  b1  b2   .       a's block table: [1, 0], b's: [2]
    ```

    Which block belongs to whom, and how long a sequence is, others know: the block manager and the request.

    Args:
        specs: what each layer's attention asks for.
        num_blocks: blocks of the pool.
        block_size: tokens in a block.
        layout: the order of the pools' axes, that of the attention backend.
        dtype: what is stored; int8 is symmetric, with one float32 scale for each token and KV head.
        device: where the pool is.
        num_host_blocks: blocks in host memory.

    Raises:
        ValueError: a count below 1 (host blocks: below 0), or an unknown dtype.
    """

    def __init__(
        self,
        specs: Sequence[AttentionSpec],
        num_blocks: int,
        block_size: int,
        *,
        layout: KVLayout,
        dtype: StorageDtype = "float32",
        device: torch.device | str = "cpu",
        num_host_blocks: int = 0,
    ) -> None:
        for name, count, least in (
            ("num_blocks", num_blocks, 1),
            ("block_size", block_size, 1),
            ("num_host_blocks", num_host_blocks, 0),
        ):
            if count < least:
                raise ValueError(f"{name} must be at least {least}, got {count}")
        self.specs = tuple(specs)
        self.num_blocks, self.block_size, self.num_host_blocks = num_blocks, block_size, num_host_blocks
        self.layout = layout
        self.dtype = dtype
        self.bytes_per_block = bytes_per_block(specs, block_size, dtype)
        self._layers = self._allocate(num_blocks, device)
        self._host = self._allocate(num_host_blocks, "cpu")

    def _allocate(self, num_blocks: int, device: torch.device | str) -> list[LayerKV]:
        return [
            LayerKV.allocate(
                num_blocks,
                self.block_size,
                spec.num_kv_heads,
                spec.head_dim,
                layout=self.layout,
                dtype=getattr(torch, self.dtype),
                device=device,
            )
            for spec in self.specs
        ]

    @property
    def num_bytes(self) -> int:
        """Bytes of the pool, whether its blocks are used or not; host memory is not counted."""
        return self.num_blocks * self.bytes_per_block

    def take_memory(self) -> None:
        """Have the system hand out all memory of the pool now; what is stored stays as it is.

        On a CPU it comes page by page, whenever one is first written: the system clears it in the middle of a
        forward pass.
        """
        for kv in self._layers:
            for pool in kv.pools:
                if pool.device.type == "cpu":
                    pool.view(torch.uint8).flatten()[::_PAGE_BYTES].add_(0)

    def layer(self, layer: int) -> LayerKV:
        """The pool of a layer, as kernels get it."""
        return self._layers[layer]

    def write(self, layer: int, slot_mapping: Tensor, k: Tensor, v: Tensor) -> None:
        """Store k and v, `[num_tokens, num_kv_heads, head_dim]`, at the slots `[num_tokens]`.

        Raises:
            ValueError: a shape that is not the layer's.
        """
        spec = self.specs[layer]
        expected = (slot_mapping.shape[0], spec.num_kv_heads, spec.head_dim)
        for name, new in (("k", k), ("v", v)):
            if new.shape != expected:
                raise ValueError(f"{name} of layer {layer} is {tuple(new.shape)}, expected {expected}")
        self._layers[layer].write(slot_mapping, k, v)

    def gather(
        self, layer: int, block_table: Sequence[int], num_tokens: int, dtype: torch.dtype = torch.float32
    ) -> tuple[Tensor, Tensor]:
        """Copy out one sequence's keys and values, both `[num_tokens, num_kv_heads, head_dim]`.

        Raises:
            ValueError: the blocks hold fewer tokens.
        """
        if num_tokens > len(block_table) * self.block_size:
            raise ValueError(
                f"{len(block_table)} blocks of {self.block_size} do not hold {num_tokens} tokens"
            )
        kv = self._layers[layer]
        table = torch.tensor([list(block_table)], dtype=torch.int64, device=kv.keys.device)
        keys, values = kv.gather(table, dtype)
        return keys[0, :num_tokens], values[0, :num_tokens]

    def block(self, layer: int, block_id: int) -> tuple[Tensor, Tensor]:
        """Views of what a block stores, keys and values, `[block_size, num_kv_heads, head_dim]`."""
        keys, values = self._layers[layer].by_token()
        return keys[block_id], values[block_id]

    def flatten(self, layer: int) -> tuple[Tensor, Tensor]:
        """All slots' keys and values in order, as stored, `[num_slots, num_kv_heads, head_dim]`.

        Views in layout NHD. In the others a block's tokens do not lie side by side, and these are copies.
        """
        return self._layers[layer].flatten()

    def apply(self, block_ops: Sequence[BlockOp]) -> None:
        """Copy blocks, in all layers, as if one operation were carried out after the other.

        Raises:
            ValueError: a block id outside the pool or outside host memory; nothing has been copied then.
        """
        for op in block_ops:
            self._check(op)
        for run in _independent_runs(block_ops):
            sources, targets = [op.source for op in run], [op.target for op in run]
            for pool, host in zip(self._layers, self._host, strict=True):
                source = host if run[0].kind == "swap_in" else pool
                target = host if run[0].kind == "swap_out" else pool
                for read, written in zip(source.pools, target.pools, strict=True):
                    written[targets] = read[sources].to(written.device)

    def _check(self, op: BlockOp) -> None:
        for name, block_id, is_host in (
            ("source", op.source, op.kind == "swap_in"),
            ("target", op.target, op.kind == "swap_out"),
        ):
            limit = self.num_host_blocks if is_host else self.num_blocks
            if not 0 <= block_id < limit:
                where = "host memory" if is_host else "the pool"
                raise ValueError(f"{name} of {op} is no block of {where}, which has {limit}")


def _independent_runs(block_ops: Sequence[BlockOp]) -> Iterator[list[BlockOp]]:
    """Split operations where the order matters; in each run all sources are read before a target is written.

    A run ends where the kind changes, where a block is written a second time, and where a copy reads what
    the run has written: 0→1, 1→2 must find the content of 0 in block 2.
    """
    run: list[BlockOp] = []
    written: set[int] = set()
    for op in block_ops:
        reads_written = op.kind == "copy" and op.source in written
        if run and (op.kind != run[0].kind or op.target in written or reads_written):
            yield run
            run, written = [], set()
        run.append(op)
        written.add(op.target)
    if run:
        yield run

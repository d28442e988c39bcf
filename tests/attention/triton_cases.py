"""Sequences in a block pool for the Triton kernels, and where those run: on a GPU, or else interpreted.

Import the kernels from here: Triton reads `TRITON_INTERPRET` once, when it is first imported.
"""

import importlib
import itertools
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from cblab.attention import AttentionSpec, KVLayout, LayerKV, reference_attention

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
LAYOUTS = (KVLayout.NHD, KVLayout.HND)  # that the kernels read
# Of a result in float32: what differs is the order of its sums. In half precision weights are rounded too.
TOLERANCE = {torch.float32: 1e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2}


def import_with_triton(module: str) -> Any:
    """Import a module of kernels, interpreted where there is no GPU; the test is skipped without Triton."""
    if DEVICE.type == "cpu":
        os.environ.setdefault("TRITON_INTERPRET", "1")
    pytest.importorskip("triton", reason="Triton has no package for this platform")
    return importlib.import_module(module)


kernels = import_with_triton("cblab.attention.triton")
INTERPRETED = import_with_triton("cblab.attention.triton.launch").is_interpreted()
if DEVICE.type == "cpu" and not INTERPRETED:
    raise RuntimeError("triton was imported before TRITON_INTERPRET=1 was set: set it in tests/conftest.py")
assert "triton" in sys.modules


@dataclass
class PagedCase:
    """Sequences in a pool, what storage made of their keys and values, and everything else NaN.

    q, k and v are slices of one tensor, as a model's fused projection leaves them.
    """

    spec: AttentionSpec
    kv: LayerKV
    block_tables: Tensor
    context_lens: Tensor
    qkv: list[Tensor]
    stored: list[tuple[Tensor, Tensor]]

    @classmethod
    def draw(
        cls,
        context_lens: Sequence[int],
        spec: AttentionSpec,
        *,
        block_size: int = 16,
        layout: KVLayout = KVLayout.HND,
        computed_in: torch.dtype = torch.float32,
        stored_in: torch.dtype = torch.float32,
        spare_columns: int = 1,
        seed: int = 0,
    ) -> "PagedCase":
        """Random sequences; a length of 0 is an empty row, as it pads a batch."""
        generator = torch.Generator().manual_seed(seed)
        needed = [-(-length // block_size) for length in context_lens]
        free = torch.randperm(sum(needed) + 2, generator=generator).tolist()
        kv = LayerKV.allocate(
            len(free),
            block_size,
            spec.num_kv_heads,
            spec.head_dim,
            layout=layout,
            dtype=stored_in,
            device=DEVICE,
        )
        for pool in kv.pools:
            pool.fill_(torch.nan if pool.is_floating_point() else 127)
        # Nothing may read behind a context.
        tables = torch.full((len(needed), max(needed) + spare_columns), 10**6, dtype=torch.int32)
        lengths = torch.tensor(context_lens, dtype=torch.int32)
        case = cls(spec, kv, tables.to(DEVICE), lengths.to(DEVICE), [], [])
        for row, length in enumerate(context_lens):
            blocks = torch.tensor([free.pop() for _ in range(needed[row])], dtype=torch.int64)
            case.block_tables[row, : needed[row]] = blocks.to(DEVICE)
            case._add(blocks.to(DEVICE), length, computed_in, generator)
        return case

    def _add(self, blocks: Tensor, length: int, computed_in: torch.dtype, generator: torch.Generator) -> None:
        spec, block_size = self.spec, self.kv.block_size
        heads = spec.num_heads + 2 * spec.num_kv_heads
        qkv = torch.randn(length, heads, spec.head_dim, generator=generator).to(DEVICE, computed_in)
        _, k, v = self.split(qkv)
        positions = torch.arange(length, device=DEVICE)
        if length:
            self.kv.write(blocks[positions // block_size] * block_size + positions % block_size, k, v)
        keys, values = self.kv.gather(blocks[None], torch.float32)
        self.qkv.append(qkv)
        self.stored.append((keys[0, :length], values[0, :length]))

    def split(self, qkv: Tensor) -> tuple[Tensor, ...]:
        """q, k and v as views."""
        return qkv.split((self.spec.num_heads, self.spec.num_kv_heads, self.spec.num_kv_heads), dim=1)

    def decode(self, tiles: Any = None, rows: slice = slice(None), columns: int | None = None) -> Tensor:
        """The kernel's answer for each sequence's last token; an empty row asks with anything."""
        width = self.spec.num_heads + 2 * self.spec.num_kv_heads
        empty = torch.ones(1, width, self.spec.head_dim, dtype=self.qkv[0].dtype, device=DEVICE)
        q, _, _ = self.split(torch.cat([one[-1:] if len(one) else empty for one in self.qkv[rows]]))
        tables = self.block_tables[rows, :columns]
        return kernels.paged_decode_triton(q, self.kv, tables, self.context_lens[rows], self.spec, tiles)

    def prefill(self, num_new: Sequence[int], tiles: Any = None) -> Tensor:
        """The kernel's answer for each sequence's last `num_new` tokens."""
        q, k, v = self.split(
            torch.cat([one[len(one) - n :] for one, n in zip(self.qkv, num_new, strict=True)])
        )
        borders = torch.tensor([0, *itertools.accumulate(num_new)], dtype=torch.int32, device=DEVICE)
        return kernels.paged_prefill_triton(
            q, k, v, self.kv, self.block_tables, borders, self.context_lens, self.spec, tiles
        )

    def expected(self, num_new: Sequence[int]) -> Tensor:
        """The definition's answer for each sequence's last tokens, in float32; 0 for an empty one."""
        parts = []
        for qkv, (keys, values), count in zip(self.qkv, self.stored, num_new, strict=True):
            if not len(qkv):
                parts.append(torch.zeros(count, self.spec.num_heads, self.spec.head_dim, device=DEVICE))
                continue
            q = self.split(qkv)[0][len(qkv) - count :].float()
            parts.append(reference_attention(q, keys, values, self.spec))
        return torch.cat(parts)

    def check_decode(self, tiles: Any = None) -> None:
        """Compare with the definition."""
        self._compare(self.decode(tiles), [1] * len(self.qkv))

    def check_prefill(self, num_new: Sequence[int], tiles: Any = None) -> None:
        """Compare with the definition."""
        self._compare(self.prefill(num_new, tiles), num_new)

    def _compare(self, out: Tensor, num_new: Sequence[int]) -> None:
        computed_in = self.qkv[0].dtype
        assert out.dtype == computed_in
        torch.testing.assert_close(
            out.float(), self.expected(num_new), atol=TOLERANCE[computed_in], rtol=TOLERANCE[computed_in]
        )

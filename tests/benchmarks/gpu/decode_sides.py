"""Paged decode and its peers: the same queries, keys and values, each in the form that a side reads.

A side makes ready what a step of an engine would have ready, and returns the calls to be timed: one for each
of several layers, since a single layer of few short sequences would be read from the cache.
"""

import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from cblab.attention import AttentionSpec, KVLayout, LayerKV

SPEC = AttentionSpec(num_heads=32, num_kv_heads=8, head_dim=128, scale=128**-0.5)
BLOCK_SIZE = 16
DTYPE = torch.bfloat16
LEAST_BYTES = 1 << 28  # of all layers together: several times the L2 of an H100 or H200
WORKSPACE_BYTES = 1 << 28


@dataclass
class DecodeCase:
    """Sequences of one length in pools of shuffled blocks, one pool a layer."""

    batch: int
    context: int
    layers: list[LayerKV]
    q: Tensor
    block_tables: Tensor
    context_lens: Tensor

    @classmethod
    def draw(cls, batch: int, context: int, spec: AttentionSpec = SPEC, device: str = "cuda") -> "DecodeCase":
        """Random numbers; `context` is a multiple of the block size."""
        blocks = context // BLOCK_SIZE
        kv_bytes = 2 * batch * context * spec.num_kv_heads * spec.head_dim * DTYPE.itemsize
        layers = [
            LayerKV.allocate(
                batch * blocks,
                BLOCK_SIZE,
                spec.num_kv_heads,
                spec.head_dim,
                layout=KVLayout.HND,
                dtype=DTYPE,
                device=device,
            )
            for _ in range(-(-LEAST_BYTES // kv_bytes))
        ]
        for kv in layers:
            for pool in kv.pools:
                pool.normal_()
        tables = torch.randperm(batch * blocks, device=device).int().view(batch, blocks)
        q = torch.randn(batch, spec.num_heads, spec.head_dim, device=device).to(DTYPE)
        return cls(batch, context, layers, q, tables, torch.full_like(tables[:, 0], context))

    @property
    def num_bytes(self) -> int:
        """What one layer's call has to move: keys, values and queries in, results out."""
        kv = sum(pool.numel() for pool in self.layers[0].pools)
        return (kv + 2 * self.q.numel()) * DTYPE.itemsize


Calls = Sequence[Callable[[], Tensor]]
Prepare = Callable[[DecodeCase], Calls]


def triton(case: DecodeCase) -> Calls:
    """cblab's kernels."""
    from cblab.attention.triton import paged_decode_triton

    return [
        partial(paged_decode_triton, case.q, kv, case.block_tables, case.context_lens, SPEC)
        for kv in case.layers
    ]


def gathered_sdpa(case: DecodeCase) -> Calls:
    """torch's attention over keys and values that lie side by side; gathering them is not timed."""
    return [partial(_sdpa, case.q, *_gather(kv, case)) for kv in case.layers]


def gather_and_sdpa(case: DecodeCase) -> Calls:
    """The same with the gathering, which a paged cache without a kernel of its own needs in each step."""

    def attend(kv: LayerKV) -> Tensor:
        return _sdpa(case.q, *_gather(kv, case))

    return [partial(attend, kv) for kv in case.layers]


def gathered_flex(case: DecodeCase) -> Calls:
    """FlexAttention, compiled, over gathered keys and values; gathering is not timed."""
    from torch.nn.attention.flex_attention import flex_attention

    torch.compiler.reset()  # after eight shapes it would compile no more
    compiled = torch.compile(flex_attention, dynamic=False)

    def attend(keys: Tensor, values: Tensor) -> Tensor:
        out: Tensor = compiled(case.q[:, :, None], keys, values, scale=SPEC.scale, enable_gqa=True)
        return out[:, :, 0]

    return [partial(attend, *(one.contiguous() for one in _gather(kv, case))) for kv in case.layers]


def flashinfer(case: DecodeCase) -> Calls:
    """FlashInfer over the same pool; its plan, made once a step, is not timed."""
    library = importlib.import_module("flashinfer")
    workspace = torch.empty(WORKSPACE_BYTES, dtype=torch.uint8, device=case.q.device)
    wrapper = library.BatchDecodeWithPagedKVCacheWrapper(
        workspace, "HND", use_tensor_cores=True, backend="fa2"
    )
    blocks = case.block_tables.shape[1]
    wrapper.plan(
        torch.arange(case.batch + 1, dtype=torch.int32, device=case.q.device) * blocks,
        case.block_tables.flatten(),
        torch.full_like(case.context_lens, BLOCK_SIZE),
        SPEC.num_heads,
        SPEC.num_kv_heads,
        SPEC.head_dim,
        BLOCK_SIZE,
        q_data_type=DTYPE,
        kv_data_type=DTYPE,
    )
    return [partial(wrapper.run, case.q, (kv.keys, kv.values)) for kv in case.layers]


def sides() -> Mapping[str, Prepare]:
    """All that can run here, by name."""
    known: dict[str, Prepare] = {
        "cblab triton": triton,
        "SDPA, gathered before": gathered_sdpa,
        "gather + SDPA": gather_and_sdpa,
        "FlexAttention, gathered before": gathered_flex,
    }
    if importlib.util.find_spec("flashinfer") is not None:
        known["FlashInfer"] = flashinfer
    return known


def _gather(kv: LayerKV, case: DecodeCase) -> tuple[Tensor, Tensor]:
    """Keys and values of all sequences, `[batch, num_kv_heads, context, head_dim]`."""
    keys, values = kv.gather(case.block_tables, DTYPE)
    return keys.transpose(1, 2), values.transpose(1, 2)


def _sdpa(q: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    out = F.scaled_dot_product_attention(q[:, :, None], keys, values, scale=SPEC.scale, enable_gqa=True)
    return out[:, :, 0]

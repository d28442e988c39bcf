"""Attention over a block pool by name: which kernels run, and the layout of the pool that they read."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from cblab.attention.layout import KVLayout, LayerKV
from cblab.attention.paged import paged_decode_torch, paged_prefill_torch, plan_decode_torch
from cblab.attention.spec import AttentionSpec


class PagedDecode(Protocol):
    """Attention of one new token a sequence over all tokens of that sequence."""

    def __call__(
        self, q: Tensor, kv: LayerKV, block_tables: Tensor, context_lens: Tensor, spec: AttentionSpec
    ) -> Tensor:
        """Attend over keys and values that are all in the pool, the new token's own included.

        Args:
            q: `[num_seqs, num_heads, head_dim]`.
            kv: the layer's pool; a pool whose layout the kernel does not read is a `ValueError`.
            block_tables: `[num_seqs, max_blocks]`, int32; nothing behind a sequence's last block is used.
            context_lens: `[num_seqs]`, int32, the new token counted.
            spec: heads, scale and window.

        Returns:
            Like `q`. What slots outside the contexts hold, NaN included, has no part in it.
        """


class WriteKV(Protocol):
    """Storing the new keys and values of a layer, as `LayerKV.write` does."""

    def __call__(self, kv: LayerKV, slot_mapping: Tensor, k: Tensor, v: Tensor) -> None:
        """Store k and v, `[num_tokens, num_kv_heads, head_dim]`, at the slots `[num_tokens]`, int64."""


class PlanDecode(Protocol):
    """The part of `PagedDecode` that all layers of a step have in common, done once."""

    def __call__(
        self, block_tables: Tensor, context_lens: Tensor, block_size: int, spec: AttentionSpec
    ) -> Callable[[Tensor, LayerKV], Tensor]:
        """Return what each layer of this `spec` calls as `(q, kv)`, with the meaning of `PagedDecode`."""


class PagedPrefill(Protocol):
    """Attention of chunks: each sequence's newest tokens over its cached ones and themselves."""

    def __call__(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        kv: LayerKV,
        block_tables: Tensor,
        cu_seqlens_q: Tensor,
        context_lens: Tensor,
        spec: AttentionSpec,
    ) -> Tensor:
        """Attend over a pool to which the new keys and values have been written already.

        Args:
            q: `[num_tokens, num_heads, head_dim]`, the chunks laid end to end.
            k: `[num_tokens, num_kv_heads, head_dim]`, the new keys before storage rounded them: where it
                does not, they need not be read back.
            v: like `k`.
            kv: as in `PagedDecode`.
            block_tables: as in `PagedDecode`.
            cu_seqlens_q: `[num_seqs + 1]`, int32; sequence s owns rows `cu_seqlens_q[s]:cu_seqlens_q[s + 1]`.
            context_lens: `[num_seqs]`, int32, cached and new tokens of each.
            spec: heads, scale and window.

        Returns:
            Like `q`. Query i of n in a sequence sees the keys up to position `context_len - n + i`.
        """


@dataclass(frozen=True)
class AttentionBackend:
    """A pair of kernels and the layout of the pool that both read.

    Where there is a `plan_decode`, a step plans once and each layer runs the plan; `decode` is both in one.
    Where there is a `write`, it is faster than the pool's own.
    """

    name: str
    layout: KVLayout
    decode: PagedDecode
    prefill: PagedPrefill
    plan_decode: PlanDecode | None = None
    write: WriteKV | None = None


_TORCH = AttentionBackend("torch", KVLayout.NHD, paged_decode_torch, paged_prefill_torch, plan_decode_torch)
_KERNELS = {"numba": ("cblab.attention.numba", "NUMBA"), "triton": ("cblab.attention.triton", "TRITON")}
_FASTEST_ON = {"cpu": "numba", "cuda": "triton"}


def get_backend(name: str, device: torch.device | str) -> AttentionBackend:
    """Return a backend by name; "auto" is the fastest that runs on `device`.

    The library of a kernel is imported here and not before.

    Raises:
        ValueError: no backend has that name; the message lists them.
        ImportError: its library is not installed.
    """
    if name == "auto":
        name = _FASTEST_ON.get(torch.device(device).type, "torch")
    if name == "torch":
        return _TORCH
    if name not in _KERNELS:
        raise ValueError(f"unknown attention_backend {name!r}; there are: auto, torch, {', '.join(_KERNELS)}")
    module, attribute = _KERNELS[name]
    backend: AttentionBackend = getattr(importlib.import_module(module), attribute)
    return backend

"""Attention as pure functions of tensors, and the batch that every forward pass runs over.

Importing this package loads no torch: `AttentionSpec` is plain Python, the rest is found on first use.
"""

import importlib
from typing import TYPE_CHECKING, Any

from cblab.attention.spec import AttentionSpec

if TYPE_CHECKING:
    from cblab.attention.backends import AttentionBackend, PagedDecode, PagedPrefill, get_backend
    from cblab.attention.batch import RaggedBatch
    from cblab.attention.dense import (
        Attend,
        RaggedCausalAttention,
        UniformCausalAttention,
        dense_attention,
        masked_attention,
        ragged_dense_attention,
        reference_attention,
    )
    from cblab.attention.layout import KVLayout, LayerKV
    from cblab.attention.masks import causal_mask, ragged_causal_mask
    from cblab.attention.paged import paged_decode_torch, paged_prefill_torch

_HOMES = {
    "Attend": "dense",
    "AttentionBackend": "backends",
    "KVLayout": "layout",
    "LayerKV": "layout",
    "PagedDecode": "backends",
    "PagedPrefill": "backends",
    "RaggedBatch": "batch",
    "RaggedCausalAttention": "dense",
    "UniformCausalAttention": "dense",
    "causal_mask": "masks",
    "dense_attention": "dense",
    "get_backend": "backends",
    "masked_attention": "dense",
    "paged_decode_torch": "paged",
    "paged_prefill_torch": "paged",
    "ragged_causal_mask": "masks",
    "ragged_dense_attention": "dense",
    "reference_attention": "dense",
}

__all__ = [
    "Attend",
    "AttentionBackend",
    "AttentionSpec",
    "KVLayout",
    "LayerKV",
    "PagedDecode",
    "PagedPrefill",
    "RaggedBatch",
    "RaggedCausalAttention",
    "UniformCausalAttention",
    "causal_mask",
    "dense_attention",
    "get_backend",
    "masked_attention",
    "paged_decode_torch",
    "paged_prefill_torch",
    "ragged_causal_mask",
    "ragged_dense_attention",
    "reference_attention",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"cblab.attention.{_HOMES[name]}"), name)

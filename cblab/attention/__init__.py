"""Attention as pure functions of tensors, and the batch that every forward pass runs over.

Importing this package loads no torch: `AttentionSpec` is plain Python, the rest is found on first use.
"""

import importlib
from typing import TYPE_CHECKING, Any

from cblab.attention.spec import AttentionSpec

if TYPE_CHECKING:
    from cblab.attention.batch import RaggedBatch
    from cblab.attention.dense import (
        Attend,
        RaggedCausalAttention,
        UniformCausalAttention,
        causal_mask,
        dense_attention,
        ragged_dense_attention,
        reference_attention,
    )

__all__ = [
    "Attend",
    "AttentionSpec",
    "RaggedBatch",
    "RaggedCausalAttention",
    "UniformCausalAttention",
    "causal_mask",
    "dense_attention",
    "ragged_dense_attention",
    "reference_attention",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "cblab.attention.batch" if name == "RaggedBatch" else "cblab.attention.dense"
    return getattr(importlib.import_module(module), name)

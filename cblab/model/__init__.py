"""The model families: their configs, one Decoder for all of them, and its weights from and to checkpoints.

Three parts of a Decoder are chosen by name in its config and can be a reader's own: the attention block
(`attn_impl`), the MLP (`mlp_impl`) and the norms (`norm_impl`); see `cblab.model.registry`.

Importing this package loads no torch: `ModelConfig` is plain Python, the rest is found on first use.
"""

import importlib
from typing import TYPE_CHECKING, Any

from cblab.model.config import ModelConfig, RopeConfig

if TYPE_CHECKING:
    from cblab.model.attention_block import attn_impl
    from cblab.model.checkpoint import load_model, save_model
    from cblab.model.decoder import Decoder
    from cblab.model.mlp import mlp_impl
    from cblab.model.norms import norm_impl
    from cblab.model.tiny import TinyLLM

__all__ = [
    "Decoder",
    "ModelConfig",
    "RopeConfig",
    "TinyLLM",
    "attn_impl",
    "load_model",
    "mlp_impl",
    "norm_impl",
    "save_model",
]

_HOMES = {
    "Decoder": "decoder",
    "TinyLLM": "tiny",
    "attn_impl": "attention_block",
    "load_model": "checkpoint",
    "mlp_impl": "mlp",
    "norm_impl": "norms",
    "save_model": "checkpoint",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"cblab.model.{_HOMES[name]}"), name)

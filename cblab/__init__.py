"""cblab: a continuous-batching LLM inference engine, and the course that builds it.

Importing the package imports nothing else: its names are found on first use.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cblab.core.config import EngineConfig
    from cblab.core.sampling_params import SamplingParams
    from cblab.model import ModelConfig, load_model
    from cblab.serving import LLM
    from cblab.tokenization import load_tokenizer

__all__ = ["LLM", "EngineConfig", "ModelConfig", "SamplingParams", "load_model", "load_tokenizer"]

_HOMES = {
    "EngineConfig": "cblab.core.config",
    "LLM": "cblab.serving.llm",
    "ModelConfig": "cblab.model.config",
    "SamplingParams": "cblab.core.sampling_params",
    "load_model": "cblab.model",
    "load_tokenizer": "cblab.tokenization",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)

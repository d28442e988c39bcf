"""The engine as a user meets it. Importing this package loads no torch: its names are found on first use."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cblab.serving.llm import LLM, StreamEvent, TextScore

__all__ = ["LLM", "StreamEvent", "TextScore"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("cblab.serving.llm"), name)

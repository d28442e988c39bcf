"""What turns a model into a generator: key/value caches, the sampler and the loop over steps.

Importing this package loads no torch: its names are found on first use.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cblab.core.dense_attend import DenseCacheAttention
    from cblab.core.kv_cache import DenseKVCache
    from cblab.core.sampler import probabilities, sample, uniform
    from cblab.core.sampling_params import SamplingParams

__all__ = [
    "DenseCacheAttention",
    "DenseKVCache",
    "SamplingParams",
    "probabilities",
    "sample",
    "uniform",
]

_HOMES = {
    "DenseCacheAttention": "dense_attend",
    "DenseKVCache": "kv_cache",
    "SamplingParams": "sampling_params",
    "probabilities": "sampler",
    "sample": "sampler",
    "uniform": "sampler",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"cblab.core.{_HOMES[name]}"), name)

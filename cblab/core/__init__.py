"""The engine: requests, scheduler, block manager, KV caches, sampler, and the step that joins them.

Importing this package loads no torch: its names are found on first use.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cblab.core.beam_search import BeamSearchParams
    from cblab.core.block_manager import BlockManager
    from cblab.core.clock import LinearCostModel, SimulatedClock, WallClock
    from cblab.core.config import EngineConfig
    from cblab.core.contiguous_cache import ContiguousKVCache
    from cblab.core.dense_attend import DenseCacheAttention
    from cblab.core.engine import Engine
    from cblab.core.kv_cache import DenseKVCache
    from cblab.core.paged_cache import PagedKVCache
    from cblab.core.parts import Parts
    from cblab.core.request import Request
    from cblab.core.sampling_params import SamplingParams
    from cblab.core.scheduler import Scheduler
    from cblab.core.trace import Trace

_HOMES = {
    "BeamSearchParams": "beam_search",
    "BlockManager": "block_manager",
    "ContiguousKVCache": "contiguous_cache",
    "DenseCacheAttention": "dense_attend",
    "DenseKVCache": "kv_cache",
    "Engine": "engine",
    "EngineConfig": "config",
    "LinearCostModel": "clock",
    "PagedKVCache": "paged_cache",
    "Parts": "parts",
    "Request": "request",
    "SamplingParams": "sampling_params",
    "Scheduler": "scheduler",
    "SimulatedClock": "clock",
    "Trace": "trace",
    "WallClock": "clock",
}

__all__ = [
    "BeamSearchParams",
    "BlockManager",
    "ContiguousKVCache",
    "DenseCacheAttention",
    "DenseKVCache",
    "Engine",
    "EngineConfig",
    "LinearCostModel",
    "PagedKVCache",
    "Parts",
    "Request",
    "SamplingParams",
    "Scheduler",
    "SimulatedClock",
    "Trace",
    "WallClock",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"cblab.core.{_HOMES[name]}"), name)

import dataclasses
import math
import re
from typing import Any

import pytest

from cblab.core.config import EngineConfig


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("block_size", 0),
        ("block_size", 1.5),
        ("block_size", True),
        ("block_size", None),
        ("num_blocks", 0),
        ("kv_cache_memory_bytes", 0),
        ("kv_cache_dtype", "float8"),
        ("num_host_blocks", -1),
        ("max_num_seqs", 0),
        ("max_num_batched_tokens", 0),
        ("prefill_chunk_size", 0),
        ("max_model_len", 1),
        ("scheduling_policy", "lifo"),
        ("priority_aging_s", 0),
        ("priority_aging_s", -1.0),
        ("priority_aging_s", math.nan),
        ("preemption_mode", "drop"),
        ("watermark", -0.1),
        ("watermark", 1),
        ("watermark", math.nan),
    ],
)
def test_a_senseless_value_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name) as error:
        EngineConfig(**{name: value})
    assert repr(value) in str(error.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"max_num_seqs": 9, "max_num_batched_tokens": 8},
            "max_num_seqs (9) exceeds max_num_batched_tokens (8)",
        ),
        ({"num_blocks": 1, "kv_cache_memory_bytes": 2}, "give one of them, got 1 and 2"),
        ({"preemption_mode": "swap"}, "needs num_host_blocks"),
        ({"num_host_blocks": 3}, "num_host_blocks=3 would never be used: set preemption_mode='swap'"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        EngineConfig(**settings)


def test_borders_are_accepted() -> None:
    EngineConfig()
    EngineConfig(block_size=1, num_blocks=1, max_num_seqs=1, max_num_batched_tokens=1, prefill_chunk_size=1)
    EngineConfig(max_num_seqs=8, max_num_batched_tokens=8, max_model_len=2, watermark=0)
    EngineConfig(preemption_mode="swap", num_host_blocks=1, kv_cache_memory_bytes=1, watermark=0.99)


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(TypeError, match="gpu_memory_utilization"):
        EngineConfig(gpu_memory_utilization=0.9)  # type: ignore[call-arg]


def test_every_setting_is_documented_and_none_can_be_changed() -> None:
    for one in dataclasses.fields(EngineConfig):
        assert f"        {one.name}: " in (EngineConfig.__doc__ or "")
    with pytest.raises(dataclasses.FrozenInstanceError):
        EngineConfig().block_size = 8  # type: ignore[misc]

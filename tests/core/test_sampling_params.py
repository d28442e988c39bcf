import math
from typing import Any

import pytest

from cblab.core.sampling_params import SamplingParams


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", -1),
        ("temperature", -1e-9),
        ("temperature", math.nan),
        ("temperature", math.inf),
        ("temperature", "hot"),
        ("temperature", True),
        ("top_k", -1),
        ("top_k", 1.5),
        ("top_k", True),
        ("top_p", 0),
        ("top_p", -0.1),
        ("top_p", 1.01),
        ("top_p", math.nan),
        ("seed", 1.0),
        ("max_tokens", 0),
        ("max_tokens", -5),
        ("max_tokens", 2.0),
        ("stop_token_ids", (-1,)),
        ("stop_token_ids", ("<|eos|>",)),
    ],
)
def test_a_senseless_value_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name) as error:
        SamplingParams(**{name: value})
    assert repr(value) in str(error.value)


def test_borders_are_accepted() -> None:
    SamplingParams(temperature=0, top_k=0, top_p=1, seed=-3, max_tokens=1)
    SamplingParams(temperature=1e9, top_k=10**9, top_p=1e-9, seed=2**80, max_tokens=None)


@pytest.mark.parametrize(("temperature", "greedy"), [(0, True), (1e-6, True), (1e-5, False), (1.0, False)])
def test_tiny_temperatures_are_greedy(temperature: float, greedy: bool) -> None:
    assert SamplingParams(temperature=temperature).is_greedy is greedy

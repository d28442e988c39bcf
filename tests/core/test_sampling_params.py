import copy
import math
import pickle
from dataclasses import replace
from typing import Any

import pytest

from cblab.core.sampling_params import SamplingParams


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n", 0),
        ("n", 1.0),
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
        ("min_p", -0.1),
        ("min_p", 1.1),
        ("repetition_penalty", 0),
        ("repetition_penalty", math.inf),
        ("presence_penalty", 2.1),
        ("presence_penalty", -2.1),
        ("frequency_penalty", math.nan),
        ("frequency_penalty", 3),
        ("logit_bias", [1, 2]),
        ("logit_bias", {-1: 0.5}),
        ("logit_bias", {"1": 0.5}),
        ("logit_bias", {1: math.inf}),
        ("logit_bias", {1: "much"}),
        ("allowed_token_ids", ()),
        ("allowed_token_ids", (1, -2)),
        ("banned_token_ids", (0.5,)),
        ("banned_token_ids", 3),
        ("logits_processors", (3,)),
        ("seed", 1.0),
        ("max_tokens", -5),
        ("max_tokens", 2.0),
        ("min_tokens", -1),
        ("min_tokens", None),
        ("stop", ("",)),
        ("stop", (1,)),
        ("stop", None),
        ("stop_token_ids", (-1,)),
        ("stop_token_ids", ("<|eos|>",)),
        ("ignore_eos", 1),
        ("include_stop_str_in_output", "yes"),
        ("logprobs", -1),
        ("logprobs", True),
        ("prompt_logprobs", 0.5),
    ],
)
def test_a_senseless_value_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name) as error:
        SamplingParams(**{name: value})
    assert repr(value) in str(error.value)


def test_an_empty_stop_string_is_refused() -> None:
    with pytest.raises(ValueError, match=r"stop must hold strings that are not empty, got \('',\)"):
        SamplingParams(stop="")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"min_tokens": 17}, r"min_tokens \(17\) exceeds max_tokens \(16\)"),
        ({"max_tokens": 0}, "max_tokens=0 .* prompt_logprobs"),
        ({"max_tokens": 0, "prompt_logprobs": 1, "n": 2}, "max_tokens=0 .* n=1"),
        ({"temperature": 0, "n": 2}, "n=2 greedy samples"),
        ({"temperature": 1e-6, "n": 3}, "n=3 greedy samples"),
        ({"allowed_token_ids": (1, 2), "banned_token_ids": (2, 1, 3)}, "leaves no token to choose"),
        ({"allowed_token_ids": (1,), "stop_token_ids": (1,), "min_tokens": 1}, "leaves no token to choose"),
    ],
)
def test_contradictions_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SamplingParams(**changes)


def test_borders_are_accepted() -> None:
    SamplingParams(temperature=0, top_k=0, top_p=1, min_p=0, seed=-3, max_tokens=1, n=1)
    SamplingParams(temperature=1e9, top_k=10**9, top_p=1e-9, min_p=1, seed=2**80, max_tokens=None, n=100)
    SamplingParams(presence_penalty=-2, frequency_penalty=2, repetition_penalty=1e-3, min_tokens=16)
    SamplingParams(max_tokens=0, prompt_logprobs=0)
    SamplingParams(max_tokens=None, min_tokens=10**6, allowed_token_ids=(1, 2), banned_token_ids=(2,))


@pytest.mark.parametrize(("temperature", "greedy"), [(0, True), (1e-6, True), (1e-5, False), (1.0, False)])
def test_tiny_temperatures_are_greedy(temperature: float, greedy: bool) -> None:
    assert SamplingParams(temperature=temperature).is_greedy is greedy


def test_lists_become_tuples_and_one_stop_string_a_tuple_of_one() -> None:
    bias = {3: 1.0}
    params = SamplingParams(
        stop="ab", stop_token_ids=[1, 2], allowed_token_ids=[3], banned_token_ids=[4], logit_bias=bias
    )
    assert (params.stop, params.stop_token_ids) == (("ab",), (1, 2))
    assert (params.allowed_token_ids, params.banned_token_ids) == ((3,), (4,))
    assert SamplingParams(stop=["a", "bc"]).stop == ("a", "bc")
    bias[3] = math.nan
    assert params.logit_bias == {3: 1.0}


def test_equal_parameters_have_equal_hashes_and_copies_are_equal() -> None:
    one = SamplingParams(stop=["a"], logit_bias={1: 2.0, 2: 3.0}, seed=1)
    other = SamplingParams(stop="a", logit_bias={2: 3.0, 1: 2.0}, seed=1)
    assert one == other
    assert hash(one) == hash(other)
    assert one != replace(one, logit_bias={1: 2.0})
    assert one == copy.deepcopy(one) == pickle.loads(pickle.dumps(one)) == replace(one, seed=1)

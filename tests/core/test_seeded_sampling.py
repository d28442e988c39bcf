"""A seeded request's output is its own: whoever shares the batch, and whatever happens to it on the way."""

from collections.abc import Sequence
from typing import Any

import pytest

from cblab.core.config import EngineConfig
from cblab.core.sampling_params import SamplingParams
from cblab.model import load_model
from tests.core.parity import PROMPTS, Watched
from tests.model.checkpoints import make_checkpoint

# Request -> (prompt, how it samples). Several begin alike, two are the same but for the seed.
REQUESTS = {
    "plain": (PROMPTS[3], SamplingParams(seed=1, max_tokens=14)),
    "top-k": (PROMPTS[1], SamplingParams(temperature=1.3, top_k=9, seed=2, max_tokens=9)),
    "top-p": (PROMPTS[4], SamplingParams(temperature=1.1, top_p=0.8, seed=3, max_tokens=12)),
    "min-p": (PROMPTS[1], SamplingParams(temperature=1.5, min_p=0.05, seed=4, max_tokens=12)),
    "all filters": (PROMPTS[10], SamplingParams(top_k=20, top_p=0.9, min_p=0.01, seed=5, max_tokens=10)),
    "penalties": (
        PROMPTS[2],
        SamplingParams(
            repetition_penalty=1.3, presence_penalty=0.6, frequency_penalty=0.4, seed=6, max_tokens=14
        ),
    ),
    "bias": (
        PROMPTS[5],
        SamplingParams(logit_bias={3: 4.0, 9: 2.5}, banned_token_ids=(1, 2), seed=7, max_tokens=12),
    ),
    "min tokens": (
        PROMPTS[6],
        SamplingParams(stop_token_ids=tuple(range(30)), min_tokens=5, seed=8, max_tokens=14),
    ),
    "three samples": (PROMPTS[7], SamplingParams(n=3, seed=9, max_tokens=10)),
    "three samples, another seed": (PROMPTS[7], SamplingParams(n=3, top_p=0.95, seed=10, max_tokens=10)),
    "three samples of one token": (PROMPTS[9], SamplingParams(n=3, seed=11, max_tokens=8)),
    "greedy": (PROMPTS[8], SamplingParams(temperature=0, max_tokens=12)),
    "greedy, penalties": (
        PROMPTS[13],
        SamplingParams(temperature=0, repetition_penalty=1.5, frequency_penalty=0.5, max_tokens=12),
    ),
}
STRANGER = SamplingParams(max_tokens=20)  # no seed: its tokens differ from run to run

SMALL: dict[str, Any] = {"block_size": 4, "num_blocks": 22}
SWAP: dict[str, Any] = {"num_host_blocks": 44, "preemption_mode": "swap"}
# What the engine is told -> what must have happened for it to say anything.
WAYS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "all at once": ({}, ()),
    "blocks of one token": ({"block_size": 1}, ()),
    "chunks of 3": ({"prefill_chunk_size": 3}, ("later chunks",)),
    "a budget of 16": ({"max_num_batched_tokens": 16, "max_num_seqs": 16}, ("later chunks",)),
    "prefix cache": (
        {"enable_prefix_caching": True, "block_size": 4, "max_num_batched_tokens": 96},
        ("prefix hits",),
    ),
    "preempted, recomputed": (SMALL, ("preemptions",)),
    "preempted, recomputed in chunks from the prefix cache": (
        {**SMALL, "prefill_chunk_size": 7, "enable_prefix_caching": True},
        ("preemptions", "prefix hits", "later chunks"),
    ),
    "preempted, swapped": ({**SMALL, **SWAP}, ("preemptions", "swaps")),
    "preempted, swapped, in chunks beside the prefix cache": (
        {**SMALL, **SWAP, "prefill_chunk_size": 7, "enable_prefix_caching": True},
        ("preemptions", "swaps", "later chunks", "prefix hits"),
    ),
}

Outputs = dict[str, list[list[int]]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("llama")
    make_checkpoint("llama", folder, seed=3)
    return load_model(folder)


def make_engine(model: Any, **changes: Any) -> Watched:
    settings = {"num_blocks": 600, "enable_prefix_caching": False, "watermark": 0.0}
    return Watched(model, EngineConfig(**{**settings, **changes}))


def run(watched: Watched, names: Sequence[str], *, every: int = 0, strangers: int = 0) -> Outputs:
    """Tokens of each sample of the named requests, which come all at once or one every so many steps."""
    engine, coming = watched.engine, list(names)
    for number in range(strangers):
        engine.add_request(PROMPTS[number], STRANGER, request_id=f"stranger {number}")
    done: Outputs = {}
    steps = 0
    while coming or engine.has_unfinished:
        while coming and (not every or steps % every == 0):
            name = coming.pop(0)
            engine.add_request(*REQUESTS[name], request_id=name)
            if every:
                break
        for output in engine.step():
            if output.finished and output.request_id in names:
                done[output.request_id] = [list(sample.token_ids) for sample in output.outputs]
        engine.check_integrity()
        steps += 1
    watched.assert_whole()
    return done


@pytest.fixture(scope="module")
def alone(model: Any) -> Outputs:
    """Each request by itself in an engine of its own, its prompt in one piece."""
    return {name: run(make_engine(model), [name])[name] for name in REQUESTS}


@pytest.mark.parametrize("way", WAYS)
def test_the_output_is_that_of_the_request_alone(model: Any, alone: Outputs, way: str) -> None:
    changes, wanted = WAYS[way]
    watched = make_engine(model, **changes)
    assert run(watched, list(REQUESTS)) == alone
    counted = watched.counts()
    assert all(counted[what] for what in wanted), counted


@pytest.mark.parametrize("changes", [{}, {**SMALL, "enable_prefix_caching": True}, {**SMALL, **SWAP}])
def test_neither_order_nor_time_of_arrival_nor_strangers_change_it(
    model: Any, alone: Outputs, changes: dict[str, Any]
) -> None:
    names = list(REQUESTS)
    assert run(make_engine(model, **changes), names[::-1]) == alone
    assert run(make_engine(model, **changes), names, every=3) == alone
    assert run(make_engine(model, **changes), names, strangers=7) == alone


def test_samples_of_one_prompt_differ_from_one_another_and_each_is_the_same_with_fewer(
    model: Any, alone: Outputs
) -> None:
    prompt, _ = REQUESTS["three samples"]
    three = alone["three samples"]
    assert len({tuple(tokens) for tokens in three}) == 3
    for n in (1, 2):
        engine = make_engine(model).engine
        engine.add_request(prompt, SamplingParams(n=n, seed=9, max_tokens=10), request_id="fewer")
        while engine.has_unfinished:
            outputs = engine.step()
        assert [sample.token_ids for sample in outputs[0].outputs] == three[:n]


def test_the_requests_say_something(alone: Outputs) -> None:
    """Every filter and penalty changes what is said: outputs that did not could not show a difference."""
    assert [len(alone[name][0]) for name in ("plain", "penalties", "greedy")] == [14, 14, 12]
    assert 5 < len(alone["min tokens"][0]) < 14
    everything = [tuple(tokens) for samples in alone.values() for tokens in samples]
    assert len(set(everything)) == len(everything)

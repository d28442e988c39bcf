"""The doors between the lab's parts and the engine, and what happens to values that make no sense."""

from typing import Any

import pytest

from cblab import LLM, SamplingParams
from cblab.core.config import EngineConfig
from cblab.core.errors import ForwardPassError
from cblab.core.parts import Parts
from cblab.lab.labs.continuous_batching.plug import plugged, plugged_table
from cblab.lab.labs.continuous_batching.reference import step, token_table
from cblab.lab.labs.continuous_batching.scheduler import Scheduler
from cblab.lab.labs.continuous_batching.small_engine import SmallEngine

PROMPTS = ["Once upon a time, there was a little fox who", "The cow says", "In a small house near the sea"]
SETTINGS: dict[str, Any] = {
    "num_blocks": 14,
    "block_size": 4,
    "max_num_seqs": 3,
    "max_num_batched_tokens": 16,
    "prefill_chunk_size": 8,
    "enable_prefix_caching": False,
    "watermark": 0.0,
    "attention_backend": "torch",
    "fused_ops": "torch",
}
GREEDY = SamplingParams(temperature=0, max_tokens=20, ignore_eos=True)


def answers(llm: LLM) -> list[list[int]]:
    return [one.outputs[0].token_ids for one in llm.generate(PROMPTS, GREEDY, use_tqdm=False)]


def test_scheduler_table_and_step_answer_as_the_engines_own() -> None:
    own = LLM("story-draft", **SETTINGS)
    expected = answers(own)
    parts = Parts(scheduler=plugged(Scheduler), build_batch=plugged_table(token_table))
    mine = LLM("story-draft", parts=parts, **SETTINGS)
    assert answers(mine) == expected
    mine.engine.check_integrity()
    assert mine.engine.stats().num_preemptions > 0
    small = SmallEngine(
        own.engine.runner.model,
        Scheduler,
        token_table,
        num_blocks=14,
        block_size=4,
        budget=16,
        chunk_size=8,
        max_num_seqs=3,
    )
    assert own.tokenizer is not None
    requests = [small.add(f"r{i}", own.tokenizer.encode(text), 20) for i, text in enumerate(PROMPTS)]
    while small.requests:
        step(small)
    assert [one.output_token_ids for one in requests] == expected
    assert step(small) == []


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"enable_prefix_caching": True}, "enable_prefix_caching=False"),
        ({"preemption_mode": "swap", "num_host_blocks": 4}, "does not swap"),
        ({"watermark": 0.1}, "watermark=0"),
    ],
)
def test_what_the_labs_scheduler_does_not_know_is_refused_by_name(setting: dict[str, Any], says: str) -> None:
    config = EngineConfig(**{**SETTINGS, **setting})
    with pytest.raises(ValueError, match=says):
        plugged(Scheduler)(config, None, 14)  # type: ignore[arg-type]  # no block is asked for


def test_samples_are_refused() -> None:
    llm = LLM("story-draft", parts=Parts(scheduler=plugged(Scheduler)), **SETTINGS)
    with pytest.warns(UserWarning, match="knows no samples: ask for n=1"):
        (output,) = llm.generate(PROMPTS[:1], SamplingParams(n=2, max_tokens=2), use_tqdm=False)
    assert output.outputs[0].finish_reason == "error"


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        (None, "a dict of scheduled, admitted, preempted was expected"),
        ({"scheduled": (), "admitted": [], "preempted": []}, "a list under 'scheduled'"),
        ({"scheduled": [["0", 1]], "admitted": [], "preempted": []}, "pairs"),
        ({"scheduled": [], "admitted": ["nobody"], "preempted": []}, "a request that has not ended"),
        ({"scheduled": [("request-0", 2)], "admitted": [], "preempted": []}, "which is waiting"),
        ({"scheduled": [("request-0", 99)], "admitted": ["request-0"], "preempted": []}, "99 tokens"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused_with_what_came(plan: Any, says: str) -> None:
    class Odd(Scheduler):
        def schedule(self) -> Any:
            return plan

    llm = LLM("story-draft", parts=Parts(scheduler=plugged(Odd)), **SETTINGS)
    with pytest.raises(ForwardPassError, match=says):
        llm.generate(PROMPTS[:1], GREEDY, use_tqdm=False)


def test_a_table_of_another_shape_is_refused() -> None:
    parts = Parts(build_batch=plugged_table(lambda rows, size: {"input_ids": []}))
    llm = LLM("story-draft", parts=parts, **SETTINGS)
    with pytest.raises(ForwardPassError, match="`token_table` gave"):
        llm.generate(PROMPTS[:1], GREEDY, use_tqdm=False)

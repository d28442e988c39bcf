"""Counts, times, and how the time of a forward pass is shared out."""

import io
import math
from dataclasses import fields

import pytest
from rich.console import Console

from cblab.core.block_manager import BlockStats
from cblab.core.plan import BlockOp, ScheduledRequest, StepPlan
from cblab.core.request import FinishReason, Request, RequestStatus
from cblab.core.sampling_params import SamplingParams
from cblab.core.stats import EngineCounters, EngineStats, PhaseSeconds

BLOCKS = BlockStats(
    num_blocks=20,
    used=5,
    free=12,
    cached=3,
    num_host_blocks=4,
    num_host_used=1,
    wasted_slots=7,
    hits=1,
    evictions=2,
    copies=1,
)
PLANS = [
    StepPlan(
        scheduled=(ScheduledRequest("a", 9, 1, True), ScheduledRequest("b", 0, 3, False)),
        block_ops=(BlockOp("swap_out", 1, 0), BlockOp("swap_out", 2, 1), BlockOp("copy", 3, 4)),
        preempted=("c",),
    ),
    StepPlan(
        scheduled=(ScheduledRequest("a", 10, 1, True), ScheduledRequest("b", 3, 1, True)),
        block_ops=(BlockOp("swap_in", 0, 1),),
    ),
    StepPlan(preempted=("a", "b")),
]


def ended(reason: FinishReason, num_prompt: int, num_output: int, sample_index: int = 0) -> Request:
    request = Request("r", [0] * num_prompt, SamplingParams(), sample_index=sample_index)
    request.become(RequestStatus.RUNNING)
    request.output_token_ids = [1] * num_output
    request.finish(reason, now=1.0)
    return request


def example() -> EngineStats:
    counters = EngineCounters()
    for num_computed, num_cached in ((4, 4), (9, 4), (0, 0)):  # the second one is swapped in
        request = Request("r", [0] * 8, SamplingParams())
        request.num_computed_tokens, request.num_cached_tokens = num_computed, num_cached
        counters.admitted(request)
    for plan in PLANS:
        counters.step(plan, PhaseSeconds(schedule=1, build=2, forward=8, sample=4, output=0.5))
    counters.finished(ended(FinishReason.STOP, 5, 3))
    counters.finished(ended(FinishReason.LENGTH, 5, 4, sample_index=1))  # the same prompt
    counters.finished(ended(FinishReason.STOP, 2, 0))
    return counters.snapshot(num_waiting=6, num_running=7, blocks=BLOCKS)


def test_everything_is_counted() -> None:
    stats = example()
    assert (stats.num_steps, stats.num_waiting, stats.num_running) == (3, 6, 7)
    assert stats.num_finished == {"stop": 2, "length": 1}
    assert (stats.num_preemptions, stats.num_swapped_out, stats.num_swapped_in) == (3, 2, 1)
    assert (stats.num_prompt_tokens, stats.num_generated_tokens) == (7, 7)
    assert (stats.num_prefill_tokens, stats.num_decode_tokens) == (3, 3)
    assert (stats.prefix_hit_rate, stats.block_usage) == (0.25, 0.25)


def test_forward_time_is_split_by_tokens_and_no_second_is_lost() -> None:
    stats = example()
    # 8 s a step: 1 of 4 tokens decodes, then 2 of 2, then nothing is computed.
    assert (stats.decode_s, stats.prefill_s) == (2 + 8 + 0, 6 + 0 + 8)
    assert (stats.schedule_s, stats.build_s, stats.sample_s, stats.output_s) == (3, 6, 12, 1.5)
    assert math.isclose(stats.total_s, 3 * 15.5)


def test_a_snapshot_stays_as_it_was() -> None:
    counters = EngineCounters()
    before = counters.snapshot(num_waiting=0, num_running=0, blocks=BLOCKS)
    counters.finished(ended(FinishReason.ABORT, 1, 1))
    counters.step(PLANS[0], PhaseSeconds())
    assert (before.num_finished, before.num_steps) == ({}, 0)
    assert before.prefix_hit_rate == 0


def test_an_engine_that_has_done_nothing_has_rates_of_zero() -> None:
    empty = BlockStats(**{field.name: 0 for field in fields(BlockStats)} | {"num_blocks": 1, "free": 1})
    stats = EngineCounters().snapshot(num_waiting=0, num_running=0, blocks=empty)
    assert (stats.prefix_hit_rate, stats.block_usage, stats.total_s) == (0, 0, 0)
    assert "steps: 0 in 0.000 s" in stats.summary()


def test_both_ways_of_showing_it_hold_all_numbers() -> None:
    table = io.StringIO()
    Console(width=120, file=table).print(example())
    for line in (
        "requests: 6 waiting, 7 running, 3 finished (1 length, 2 stop)",
        "finished tokens: 7 prompt, 7 new",
        "tokens computed: 3 prefill, 3 decode",
        "blocks: 5 used, 3 cached, 12 free",
        "prefix cache: 25.0% of 16 tokens found",
        "preemptions: 3",
        "blocks swapped: 2 out, 1 in",
        "steps: 3 in 46.500 s",
        "schedule: 3.000 s, 6.5%",
        "forward, prefill: 14.000 s, 30.1%",
        "forward, decode: 10.000 s, 21.5%",
        "sample: 12.000 s, 25.8%",
    ):
        name, value = line.split(": ", 1)
        assert line in example().summary().splitlines()
        assert any(name in row and value in row for row in table.getvalue().splitlines())


def test_phases_add_up_even_where_something_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([10.0, 12.0, 20.0, 25.0])
    monkeypatch.setattr("cblab.core.stats.time.perf_counter", lambda: next(times))
    phases = PhaseSeconds()
    with phases.measure("forward"):
        pass
    with pytest.raises(KeyError), phases.measure("forward"):
        raise KeyError
    assert phases == PhaseSeconds(forward=7.0)

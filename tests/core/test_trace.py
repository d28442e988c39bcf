"""The trace: what it keeps, whose life it tells, and a file that Perfetto opens."""

import itertools
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from cblab.core.block_manager import BlockEvent, BlockStats
from cblab.core.plan import ScheduledRequest, StepPlan
from cblab.core.stats import PhaseSeconds
from cblab.core.trace import Span, Trace

PHASES = PhaseSeconds(schedule=0.001, build=0.002, forward=0.050, sample=0.005, output=0.002)


def blocks(used: int, free: int, cached: int) -> BlockStats:
    return BlockStats(used + free + cached, used, free, cached, 0, 0, 0, 0, 0, 0)


def add(
    trace: Trace, plan: StepPlan, start: float, end: float, finished: dict[str, str | None] | None = None
) -> None:
    trace.add_step(
        plan,
        start=start,
        end=end,
        finished=finished or {},
        blocks=blocks(3, 4, 1),
        num_waiting=1,
        num_running=2,
        phases=PHASES,
    )


def example(max_steps: int = 100) -> Trace:
    """Two requests; the second is preempted, comes back, and is still running at the end.

    ```
    step          0          1        2          3        4
    a        prefill    prefill   decode   finished
    b        waiting    prefill   preempted  preempted  prefill
    c                                        waiting … aborted in step 3
    ```
    """
    trace = Trace(max_steps)
    trace.add_arrival("a", 0.5)
    trace.add_arrival("b", 0.75)
    trace.add_block_event(BlockEvent("allocate", 0, "a"))
    trace.add_block_event(BlockEvent("allocate", 1, "a"))
    add(trace, StepPlan((ScheduledRequest("a", 0, 4, False),), admitted=("a",)), 1.0, 1.1)
    trace.add_block_event(BlockEvent("evict", 2, None))
    plan = StepPlan((ScheduledRequest("a", 4, 2, True), ScheduledRequest("b", 0, 3, True)), admitted=("b",))
    add(trace, plan, 1.1, 1.2)
    trace.add_arrival("c", 1.15)
    add(trace, StepPlan((ScheduledRequest("a", 6, 1, True),), preempted=("b",)), 1.2, 1.3, {"a": "length"})
    add(trace, StepPlan(), 1.3, 1.3, {"c": "abort"})
    add(trace, StepPlan((ScheduledRequest("b", 0, 4, True),), admitted=("b",)), 1.4, 1.41)
    return trace


def test_a_step_holds_what_was_noted_since_the_step_before() -> None:
    records = list(example())
    assert [record.number for record in records] == [0, 1, 2, 3, 4]
    assert [record.arrived for record in records] == [(("a", 0.5), ("b", 0.75)), (), (("c", 1.15),), (), ()]
    events = [[(event.kind, event.block_id) for event in record.block_events] for record in records]
    assert events == [[("allocate", 0), ("allocate", 1)], [("evict", 2)], [], [], []]
    assert [record.finished for record in records] == [(), (), (("a", "length"),), (("c", "abort"),), ()]
    first = records[0]
    assert (first.num_used_blocks, first.num_free_blocks, first.num_cached_blocks) == (3, 4, 1)
    assert (first.num_waiting, first.num_running, first.phases) == (1, 2, PHASES)
    assert first.plan.admitted == ("a",)


def test_the_oldest_steps_are_dropped_and_counted() -> None:
    trace = example(max_steps=2)
    assert ([record.number for record in trace], len(trace), trace.num_dropped) == ([3, 4], 2, 3)
    assert (trace[0].number, trace[-1].number) == (3, 4)
    assert (example().num_dropped, len(example())) == (0, 5)
    with pytest.raises(ValueError, match="max_steps must be at least 1, got 0"):
        Trace(0)


def test_spans_tell_each_request_s_life() -> None:
    assert example().spans() == [
        Span("a", "waiting", 0.5, 1.0, 0, 0),
        Span("a", "prefill", 1.0, 1.1, 0, 1, 0, 4),
        Span("a", "prefill", 1.1, 1.2, 1, 2, 4, 2),
        Span("b", "waiting", 0.75, 1.1, 0, 1),
        Span("b", "prefill", 1.1, 1.2, 1, 2, 0, 3),
        Span("a", "decode", 1.2, 1.3, 2, 3, 6, 1),
        Span("c", "waiting", 1.15, 1.3, 2, 4),
        Span("b", "preempted", 1.2, 1.4, 2, 4),
        Span("b", "prefill", 1.4, 1.41, 4, 5, 0, 4),
    ]


def test_who_still_waits_at_the_end_waits_until_the_end() -> None:
    trace = Trace()
    trace.add_arrival("late", 2.0)
    add(trace, StepPlan((ScheduledRequest("a", 0, 4, True),), preempted=("b",)), 1.0, 3.0)
    assert trace.spans()[1:] == [
        Span("late", "waiting", 2.0, 3.0, 0, 1),
        Span("b", "preempted", 1.0, 3.0, 0, 1),
    ]


def test_an_arrival_between_the_step_s_start_and_its_plan_waits_for_no_time() -> None:
    trace = Trace()
    trace.add_arrival("a", 1.5)
    add(trace, StepPlan((ScheduledRequest("a", 0, 4, True),)), 1.0, 3.0)
    assert trace.spans()[0] == Span("a", "waiting", 1.5, 1.5, 0, 0)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("trace") / "run.json"
    example(max_steps=4).save(path)
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_file_keeps_the_trace_event_format(saved: dict[str, Any]) -> None:
    assert saved["displayTimeUnit"] == "ms"
    assert saved["otherData"] == {"dropped_steps": 1}
    needed = {
        "M": {"name", "pid", "tid", "args"},
        "X": {"name", "pid", "tid", "ts", "dur", "args"},
        "C": {"name", "pid", "ts", "args"},
        "i": {"name", "pid", "tid", "ts", "s", "args"},
    }
    for event in saved["traceEvents"]:
        assert set(event) == needed[event["ph"]] | {"ph"}
        assert all(type(event[key]) is int for key in ("pid", "tid", "ts", "dur") if key in event)
        assert event.get("dur", 0) >= 0
        assert isinstance(event["args"], dict)
    counters = [event["args"] for event in saved["traceEvents"] if event["ph"] == "C"]
    assert all(type(value) is int for values in counters for value in values.values())


def test_every_thread_is_named_once_and_no_event_lies_elsewhere(saved: dict[str, Any]) -> None:
    named = {
        (event["pid"], event["tid"]): event["args"]["name"]
        for event in saved["traceEvents"]
        if event["name"] == "thread_name"
    }
    # Step 0 was dropped, and with it when a and b arrived: their tracks begin with what is known.
    assert list(named.values()) == ["steps", "a", "b", "c"]
    processes = {
        event["pid"]: event["args"]["name"]
        for event in saved["traceEvents"]
        if event["name"] == "process_name"
    }
    assert processes == {1: "engine", 2: "requests"}
    used = {(event["pid"], event["tid"]) for event in saved["traceEvents"] if event["ph"] in "Xi"}
    assert used == set(named)


def test_slices_of_a_track_nest_or_follow_each_other(saved: dict[str, Any]) -> None:
    tracks = defaultdict(list)
    for event in saved["traceEvents"]:
        if event["ph"] == "X":
            tracks[event["pid"], event["tid"]].append((event["ts"], event["ts"] + event["dur"]))
    for slices in tracks.values():
        for (start, end), (other_start, other_end) in itertools.combinations(slices, 2):
            assert end <= other_start or other_end <= start or (start <= other_start and other_end <= end)


def test_the_tracks_show_what_happened(saved: dict[str, Any]) -> None:
    def on(pid: int, tid: int, phase: str) -> list[tuple[str, int, int]]:
        return [
            (event["name"], event["ts"], event.get("dur", 0))
            for event in saved["traceEvents"]
            if event["ph"] == phase and (event["pid"], event.get("tid")) == (pid, tid)
        ]

    assert on(1, 1, "X")[:6] == [
        ("step 1", 1_100_000, 100_000),
        ("schedule", 1_100_000, 1_000),
        ("build", 1_101_000, 2_000),
        ("forward", 1_103_000, 50_000),
        ("sample", 1_153_000, 5_000),
        ("output", 1_158_000, 2_000),
    ]
    assert on(2, 2, "X") == [
        ("prefill", 1_100_000, 100_000),
        ("preempted", 1_200_000, 200_000),
        ("prefill", 1_400_000, 10_000),
    ]
    assert on(2, 1, "i") == [("finished: length", 1_300_000, 0)]
    counters = [(e["name"], e["args"]) for e in saved["traceEvents"] if e["ph"] == "C"]
    assert counters[:2] == [
        ("blocks", {"used": 3, "cached": 1, "free": 4}),
        ("requests", {"waiting": 1, "running": 2}),
    ]


def test_phases_longer_than_a_simulated_step_are_shrunk_into_it(saved: dict[str, Any]) -> None:
    # 60 ms of work in the 10 ms of step 4: a sixth of each phase.
    events = [event for event in saved["traceEvents"] if event["ph"] == "X" and event["pid"] == 1][-6:]
    assert [event["name"] for event in events] == [
        "step 4",
        "schedule",
        "build",
        "forward",
        "sample",
        "output",
    ]
    assert [event["dur"] for event in events] == [10_000, 167, 333, 8_333, 834, 333]
    assert events[-1]["ts"] + events[-1]["dur"] == events[0]["ts"] + events[0]["dur"]
    assert events[3]["args"] == {"wall_us": 50_000}


def test_the_block_events_of_a_step_are_counted(saved: dict[str, Any]) -> None:
    step = next(event for event in saved["traceEvents"] if event["name"] == "step 1")
    assert step["args"]["block_events"] == {"evict": 1}
    assert (step["args"]["prefill_tokens"], step["args"]["decode_tokens"]) == (5, 0)


def test_an_empty_trace_is_a_valid_file(tmp_path: Path) -> None:
    path = tmp_path / "empty.json"
    Trace().save(path)
    assert {event["ph"] for event in json.loads(path.read_text())["traceEvents"]} == {"M"}

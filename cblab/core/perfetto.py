"""A trace as Perfetto and Chrome read it: the Trace Event Format. Torch-free.

```
process "engine"     thread "steps"       step 0 [schedule|build|forward|sample|output]  step 1 […]
                     counters             blocks: used, cached, free   requests: waiting, running
process "requests"   thread "request-0"   waiting ─ prefill ─ prefill ─ decode ─ preempted ─ prefill ─ …
                     thread "request-1"   …
```

Times are whole microseconds on the engine's clock, so that what lies inside something else does so exactly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cblab.core.trace import Span, StepRecord

Event = dict[str, Any]

_ENGINE, _REQUESTS = 1, 2  # process ids
_STEPS = 1  # thread id


def chrome_trace(
    records: Iterable[StepRecord], spans: Sequence[Span], *, num_dropped: int = 0
) -> dict[str, Any]:
    """Return the JSON object of a trace file; `spans` are those of the same records."""
    records = list(records)
    names = [span.request_id for span in sorted(spans, key=lambda span: span.start)]
    names += [name for record in records for name, _ in record.finished]
    threads = {name: number for number, name in enumerate(dict.fromkeys(names), start=1)}
    events = [
        *_name_process(_ENGINE, "engine", {"steps": _STEPS}),
        *_name_process(_REQUESTS, "requests", threads),
        *(event for record in records for event in _step_events(record)),
        *(_span_event(span, threads[span.request_id]) for span in spans),
        *(_end_event(record, threads[name], why) for record in records for name, why in record.finished),
    ]
    other = {"dropped_steps": num_dropped}
    return {"traceEvents": events, "displayTimeUnit": "ms", "otherData": other}


def _microseconds(seconds: float) -> int:
    return round(seconds * 1e6)


def _name_process(process: int, name: str, threads: dict[str, int]) -> Iterator[Event]:
    def metadata(what: str, thread: int, **args: Any) -> Event:
        return {"ph": "M", "name": what, "pid": process, "tid": thread, "args": args}

    yield metadata("process_name", 0, name=name)
    yield metadata("process_sort_index", 0, sort_index=process)
    for thread_name, thread in threads.items():
        yield metadata("thread_name", thread, name=thread_name)
        yield metadata("thread_sort_index", thread, sort_index=thread)


def _complete(
    name: str, process: int, thread: int, start: float, end: float, args: dict[str, Any] | None = None
) -> Event:
    begin = _microseconds(start)
    event = {"ph": "X", "name": name, "pid": process, "tid": thread, "ts": begin}
    return event | {"dur": _microseconds(end) - begin, "args": args or {}}


def _step_events(record: StepRecord) -> Iterator[Event]:
    plan = record.plan
    args = {
        "prefill_tokens": plan.num_prefill_tokens,
        "decode_tokens": plan.num_decode_tokens,
        "admitted": list(plan.admitted),
        "preempted": list(plan.preempted),
        "block_events": Counter(event.kind for event in record.block_events),
    }
    yield _complete(f"step {record.number}", _ENGINE, _STEPS, record.start, record.end, args)
    yield from _phase_events(record)
    counters = {
        "blocks": {
            "used": record.num_used_blocks,
            "cached": record.num_cached_blocks,
            "free": record.num_free_blocks,
        },
        "requests": {"waiting": record.num_waiting, "running": record.num_running},
    }
    for name, values in counters.items():
        yield {"ph": "C", "name": name, "pid": _ENGINE, "ts": _microseconds(record.end), "args": values}


def _phase_events(record: StepRecord) -> Iterator[Event]:
    """Draw the phases inside their step, one behind the other.

    On a simulated clock a step may be shorter than its phases took on the wall: then they are shrunk to fit.
    """
    phases = vars(record.phases)
    scale = min(1.0, (record.end - record.start) / (sum(phases.values()) or 1.0))
    start = record.start
    for name, seconds in phases.items():
        end = min(start + seconds * scale, record.end)
        yield _complete(name, _ENGINE, _STEPS, start, end, {"wall_us": _microseconds(seconds)})
        start = end


def _span_event(span: Span, thread: int) -> Event:
    args = {"computed": span.num_computed_tokens, "new": span.num_new_tokens, "step": span.first_step}
    is_share = span.num_new_tokens > 0
    return _complete(span.kind, _REQUESTS, thread, span.start, span.end, args if is_share else {})


def _end_event(record: StepRecord, thread: int, reason: str) -> Event:
    event = {"ph": "i", "s": "t", "name": f"finished: {reason}", "pid": _REQUESTS, "tid": thread}
    return event | {"ts": _microseconds(record.end), "args": {}}

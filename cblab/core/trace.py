"""What happened in each step: who computed what, what became of blocks, and how long it took. Torch-free."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cblab.core.perfetto import chrome_trace
from cblab.core.plan import StepPlan
from cblab.core.stats import PhaseSeconds

if TYPE_CHECKING:
    from cblab.core.block_manager import BlockEvent, BlockStats


@dataclass(frozen=True)
class StepRecord:
    """One step of an engine.

    Attributes:
        number: 0 for the engine's first step.
        start: on the engine's clock, seconds.
        end: likewise.
        plan: who computed how many tokens, who was admitted and preempted, which blocks were copied.
        arrived: requests that were added since the step before, with their arrival times.
        finished: requests that ended in this step or before it, each with its reason.
        block_events: what happened to blocks since the step before, in its order.
        num_used_blocks: blocks that requests hold, after the step.
        num_free_blocks: blocks that hold nothing.
        num_cached_blocks: blocks that only the prefix cache holds.
        num_waiting: requests without blocks of the pool, after the step.
        num_running: requests with them.
        phases: seconds of the wall clock, whatever the engine's clock is.
    """

    number: int
    start: float
    end: float
    plan: StepPlan
    arrived: tuple[tuple[str, float], ...] = ()
    finished: tuple[tuple[str, str], ...] = ()
    block_events: tuple[BlockEvent, ...] = ()
    num_used_blocks: int = 0
    num_free_blocks: int = 0
    num_cached_blocks: int = 0
    num_waiting: int = 0
    num_running: int = 0
    phases: PhaseSeconds = field(default_factory=PhaseSeconds)


SpanKind = Literal["waiting", "prefill", "decode", "preempted"]


@dataclass(frozen=True)
class Span:
    """A stretch of one request's life: in seconds from `start` to `end`, in steps `first_step` to `end_step`.

    The request has no part in `end_step`. `num_computed_tokens` and `num_new_tokens` are those of a step's
    share; 0 while it waits or is preempted.
    """

    request_id: str
    kind: SpanKind
    start: float
    end: float
    first_step: int
    end_step: int
    num_computed_tokens: int = 0
    num_new_tokens: int = 0


class Trace:
    """The records of an engine's last `max_steps` steps, oldest first: `Engine(…, trace=Trace())`."""

    def __init__(self, max_steps: int = 10_000) -> None:
        if max_steps < 1:
            raise ValueError(f"max_steps must be at least 1, got {max_steps}")
        self._records: deque[StepRecord] = deque(maxlen=max_steps)
        self._num_steps = 0
        self._arrived: list[tuple[str, float]] = []
        self._block_events: list[BlockEvent] = []

    def __iter__(self) -> Iterator[StepRecord]:
        return iter(self._records)

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> StepRecord:
        return self._records[index]

    @property
    def num_dropped(self) -> int:
        """How many of the oldest steps were forgotten to make room."""
        return self._num_steps - len(self._records)

    def add_arrival(self, request_id: str, arrival_time: float) -> None:
        """Note a new request; it becomes part of the next step's record."""
        self._arrived.append((request_id, arrival_time))

    def add_block_event(self, event: BlockEvent) -> None:
        """Note what happened to a block; it becomes part of the next step's record."""
        self._block_events.append(event)

    def add_step(
        self,
        plan: StepPlan,
        *,
        start: float,
        end: float,
        finished: Mapping[str, str | None],
        blocks: BlockStats,
        num_waiting: int,
        num_running: int,
        phases: PhaseSeconds,
    ) -> None:
        """Note a step; the attributes are `StepRecord`'s."""
        record = StepRecord(
            number=self._num_steps,
            start=start,
            end=end,
            plan=plan,
            arrived=tuple(self._arrived),
            finished=tuple((one, reason) for one, reason in finished.items() if reason is not None),
            block_events=tuple(self._block_events),
            num_used_blocks=blocks.used,
            num_free_blocks=blocks.free,
            num_cached_blocks=blocks.cached,
            num_waiting=num_waiting,
            num_running=num_running,
            phases=phases,
        )
        self._records.append(record)
        self._num_steps += 1
        self._arrived, self._block_events = [], []

    def spans(self) -> list[Span]:
        """Return what each request did when, in the order in which it ended."""
        return spans(self)

    def save(self, path: str | Path) -> None:
        """Write it as a file that https://ui.perfetto.dev opens (the Chrome Trace Event Format, JSON)."""
        content = chrome_trace(self._records, self.spans(), num_dropped=self.num_dropped)
        Path(path).write_text(json.dumps(content, allow_nan=False), encoding="utf-8")


def spans(records: Iterable[StepRecord]) -> list[Span]:
    """Return what each request did when: it waits until a step computes something for it.

    A request that is still waiting or preempted after the last record is so until that record's end.
    """
    found: list[Span] = []
    idle: dict[str, tuple[SpanKind, float, int]] = {}  # kind, start, first step of those that wait

    def leave(request_id: str, now: float, step: int) -> None:
        if request_id in idle:
            kind, start, first_step = idle.pop(request_id)
            found.append(Span(request_id, kind, start, max(start, now), first_step, step))

    record = None
    for record in records:
        idle |= {name: ("waiting", time, record.number) for name, time in record.arrived}
        for one in record.plan.scheduled:
            leave(one.request_id, record.start, record.number)
            kind: SpanKind = "decode" if one.is_decode else "prefill"
            share = (one.num_computed_tokens, one.num_new_tokens)
            when = (record.start, record.end, record.number, record.number + 1)
            found.append(Span(one.request_id, kind, *when, *share))
        idle |= dict.fromkeys(record.plan.preempted, ("preempted", record.start, record.number))
        for name, _ in record.finished:
            leave(name, record.end, record.number + 1)
    if record is not None:
        for name in list(idle):
            leave(name, record.end, record.number + 1)
    return found

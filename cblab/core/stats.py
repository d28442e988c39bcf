"""What an engine has done so far, in numbers: counts, and where the time went. Torch-free."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from cblab.core.plan import StepPlan
from cblab.core.request import Request

if TYPE_CHECKING:
    from rich.table import Table

    from cblab.core.block_manager import BlockStats

Phase = Literal["schedule", "build", "forward", "sample", "output"]


@dataclass
class PhaseSeconds:
    """Wall-clock seconds of the phases of one step, in the order in which they happen."""

    schedule: float = 0.0
    build: float = 0.0
    forward: float = 0.0
    sample: float = 0.0
    output: float = 0.0

    @contextmanager
    def measure(self, phase: Phase) -> Iterator[None]:
        """Add the time that the `with` block takes, even where it raises."""
        started = time.perf_counter()
        try:
            yield
        finally:
            setattr(self, phase, getattr(self, phase) + time.perf_counter() - started)


@dataclass(frozen=True)
class EngineStats:
    """Counts and times since the engine was made, and how full it is now.

    Each sample of a prompt counts as a request. Times are seconds of the wall clock, whatever clock the
    engine goes by.

    Attributes:
        num_steps: steps so far.
        num_waiting: requests that hold no blocks of the pool now, preempted ones too.
        num_running: requests that do.
        num_finished: ended requests by reason: "stop", "length", "abort", "error".
        num_preemptions: how often a running request lost its blocks.
        num_swapped_out: blocks moved to host memory.
        num_swapped_in: blocks moved back.
        num_prompt_tokens: of ended requests; a prompt with several samples counts once.
        num_generated_tokens: of ended requests.
        num_prefix_query_tokens: tokens of requests that were admitted with nothing computed; each time it is
            admitted a request counts anew.
        num_prefix_hit_tokens: of them, those that the prefix cache had.
        num_prefill_tokens: tokens computed in prefill chunks. Cached prefixes make it smaller than the
            prompts, recomputing after a preemption larger.
        num_decode_tokens: tokens computed by requests that decode.
        blocks: how many blocks are used, free and cached, and how often the prefix cache hit.
        schedule_s: deciding who computes what, and allocating blocks.
        build_s: laying the tokens of a step end to end.
        prefill_s: forward passes, the share of prefill chunks. A pass computes chunks and decodes together,
            so its time is split in proportion to their tokens: a rule of accounting, no measurement.
        decode_s: forward passes, the share of decodes, by the same rule.
        sample_s: choosing tokens.
        output_s: text, stopping, callbacks, freeing.
    """

    num_steps: int
    num_waiting: int
    num_running: int
    num_finished: Mapping[str, int]
    num_preemptions: int
    num_swapped_out: int
    num_swapped_in: int
    num_prompt_tokens: int
    num_generated_tokens: int
    num_prefix_query_tokens: int
    num_prefix_hit_tokens: int
    num_prefill_tokens: int
    num_decode_tokens: int
    blocks: BlockStats
    schedule_s: float
    build_s: float
    prefill_s: float
    decode_s: float
    sample_s: float
    output_s: float

    @property
    def prefix_hit_rate(self) -> float:
        """Share of the tokens looked up in the prefix cache that were found; 0 where none was looked up."""
        return self.num_prefix_hit_tokens / (self.num_prefix_query_tokens or 1)

    @property
    def block_usage(self) -> float:
        """Share of the pool's blocks that requests hold."""
        return self.blocks.used / self.blocks.num_blocks

    @property
    def total_s(self) -> float:
        """Seconds of all phases together."""
        return sum(seconds for _, seconds in self._phases())

    def summary(self) -> str:
        """Return all of it as plain text, one quantity a line."""
        return "\n".join(f"{name}: {value}" for name, value in self._rows())

    def __rich__(self) -> Table:
        from rich.table import Table

        table = Table(show_header=False)
        for name, value in self._rows():
            table.add_row(name, value)
        return table

    def _phases(self) -> list[tuple[str, float]]:
        return [
            ("schedule", self.schedule_s),
            ("build", self.build_s),
            ("forward, prefill", self.prefill_s),
            ("forward, decode", self.decode_s),
            ("sample", self.sample_s),
            ("output", self.output_s),
        ]

    def _rows(self) -> list[tuple[str, str]]:
        blocks, total = self.blocks, self.total_s
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(self.num_finished.items()))
        finished = f"{sum(self.num_finished.values())} finished" + (f" ({reasons})" if reasons else "")
        return [
            ("requests", f"{self.num_waiting} waiting, {self.num_running} running, {finished}"),
            ("finished tokens", f"{self.num_prompt_tokens:,} prompt, {self.num_generated_tokens:,} new"),
            ("tokens computed", f"{self.num_prefill_tokens:,} prefill, {self.num_decode_tokens:,} decode"),
            ("blocks", f"{blocks.used} used, {blocks.cached} cached, {blocks.free} free"),
            ("prefix cache", f"{self.prefix_hit_rate:.1%} of {self.num_prefix_query_tokens:,} tokens found"),
            ("preemptions", f"{self.num_preemptions}"),
            ("blocks swapped", f"{self.num_swapped_out} out, {self.num_swapped_in} in"),
            ("steps", f"{self.num_steps:,} in {total:.3f} s"),
            *((name, f"{one:.3f} s, {one / (total or 1):.1%}") for name, one in self._phases()),
        ]


@dataclass
class EngineCounters:
    """What an engine counts up, step by step and request by request."""

    num_steps: int = 0
    num_finished: Counter[str] = field(default_factory=Counter)
    num_preemptions: int = 0
    num_swapped_out: int = 0
    num_swapped_in: int = 0
    num_prompt_tokens: int = 0
    num_generated_tokens: int = 0
    num_prefix_query_tokens: int = 0
    num_prefix_hit_tokens: int = 0
    num_prefill_tokens: int = 0
    num_decode_tokens: int = 0
    schedule_s: float = 0.0
    build_s: float = 0.0
    prefill_s: float = 0.0
    decode_s: float = 0.0
    sample_s: float = 0.0
    output_s: float = 0.0

    def admitted(self, request: Request) -> None:
        """Count a request that the running plan admits; one that is swapped in brings its tokens along."""
        if request.num_computed_tokens == request.num_cached_tokens:
            self.num_prefix_query_tokens += request.num_tokens
            self.num_prefix_hit_tokens += request.num_cached_tokens

    def step(self, plan: StepPlan, phases: PhaseSeconds) -> None:
        """Count one step."""
        self.num_steps += 1
        self.num_preemptions += len(plan.preempted)
        self.num_swapped_out += sum(op.kind == "swap_out" for op in plan.block_ops)
        self.num_swapped_in += sum(op.kind == "swap_in" for op in plan.block_ops)
        self.num_prefill_tokens += plan.num_prefill_tokens
        self.num_decode_tokens += plan.num_decode_tokens
        decode_s = phases.forward * plan.num_decode_tokens / (plan.num_tokens or 1)
        self.decode_s += decode_s
        self.prefill_s += phases.forward - decode_s
        self.schedule_s += phases.schedule
        self.build_s += phases.build
        self.sample_s += phases.sample
        self.output_s += phases.output

    def finished(self, request: Request) -> None:
        """Count a request that has ended."""
        assert request.finish_reason is not None
        self.num_finished[request.finish_reason.value] += 1
        self.num_generated_tokens += len(request.output_token_ids)
        if request.sample_index == 0:
            self.num_prompt_tokens += request.num_prompt_tokens

    def snapshot(self, *, num_waiting: int, num_running: int, blocks: BlockStats) -> EngineStats:
        """Return the counts as they stand."""
        counts = vars(self) | {"num_finished": dict(self.num_finished)}
        return EngineStats(num_waiting=num_waiting, num_running=num_running, blocks=blocks, **counts)

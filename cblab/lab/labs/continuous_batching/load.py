"""Requests that arrive over time, and an engine without its model that serves them on a simulated clock.

Time is counted in *ticks*: one tick is what a step costs before it computes a single token.
"""

import math
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from cblab.core.block_manager import BlockManager
from cblab.core.clock import LinearCostModel, SimulatedClock
from cblab.core.config import EngineConfig
from cblab.core.parts import SchedulerPart
from cblab.core.request import FinishReason, Request
from cblab.core.sampling_params import SamplingParams
from cblab.core.stats import PhaseSeconds
from cblab.core.trace import Trace

TICKS = LinearCostModel(
    seconds_per_step=1.0, per_prefill_token=0.02, per_decode_token=0.02, per_context_token=0.0005
)
"""The course's machine, in ticks: 50 tokens cost as much as beginning a step."""


@dataclass(frozen=True)
class Arrival:
    """One request of a load: when it comes (ticks), what it brings and what it wants (tokens)."""

    time: float
    num_prompt: int
    num_output: int
    name: str = ""


@dataclass
class Served:
    """What became of a load.

    Attributes:
        trace: one record a step.
        arrivals: {request id: ticks}.
        token_times: {request id: when each of its tokens came, ticks}.
        num_preemptions: in all.
    """

    trace: Trace
    arrivals: dict[str, float] = field(default_factory=dict)
    token_times: dict[str, list[float]] = field(default_factory=dict)
    num_preemptions: int = 0

    @property
    def ttft(self) -> list[float]:
        """Ticks from arrival to first token, of those that have one."""
        return [times[0] - self.arrivals[name] for name, times in self.token_times.items() if times]

    @property
    def gaps(self) -> list[float]:
        """Ticks between two tokens of one request, over all requests."""
        return [after - before for times in self.token_times.values() for before, after in pairwise(times)]

    @property
    def tokens_per_tick(self) -> float:
        """Output tokens a tick, over the whole run."""
        return sum(map(len, self.token_times.values())) / self.trace[-1].end


def random_load(
    seed: int,
    num_requests: int,
    *,
    every: float,
    prompt_lens: tuple[int, int] = (8, 60),
    output_lens: tuple[int, int] = (4, 60),
    long_share: float = 0.0,
    long_len: int = 600,
) -> list[Arrival]:
    """Draw requests that arrive one after another, on average `every` ticks; some have long prompts."""
    rng = random.Random(seed)
    load, now = [], 0.0
    for _ in range(num_requests):
        num_prompt = long_len if rng.random() < long_share else rng.randint(*prompt_lens)
        load.append(Arrival(now, num_prompt, rng.randint(*output_lens)))
        now += rng.expovariate(1 / every)
    return load


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest of `values` that at least `percent` percent of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def serve(
    load: Sequence[Arrival],
    make_scheduler: Callable[[EngineConfig, BlockManager, int], SchedulerPart],
    *,
    budget: int = 256,
    chunk_size: int | None = None,
    max_num_seqs: int = 16,
    num_blocks: int = 400,
    block_size: int = 16,
    until: float = float("inf"),
    cost_model: LinearCostModel = TICKS,
) -> Served:
    """Serve a load: the scheduler decides, blocks are allocated, tokens are counted; nothing is computed.

    until: ticks after which to stop, whoever is unfinished.

    Raises:
        RuntimeError: the scheduler plans nothing although somebody is unfinished.
    """
    config = EngineConfig(
        num_blocks=num_blocks,
        block_size=block_size,
        max_num_batched_tokens=budget,
        prefill_chunk_size=chunk_size,
        max_num_seqs=max_num_seqs,
        enable_prefix_caching=False,
        watermark=0.0,
    )
    run = _Run(config, make_scheduler, SimulatedClock(cost_model))
    coming = deque(
        (one.time, one.name or f"r{number}", one) for number, one in enumerate(sorted(load, key=_when))
    )
    while (coming or run.requests) and run.clock.now() < until:
        if not run.requests:
            run.clock.advance_to(coming[0][0])
        while coming and coming[0][0] <= run.clock.now():
            run.add(*coming.popleft())
        run.step()
    return run.served


def _when(arrival: Arrival) -> float:
    return arrival.time


class _Run:
    """The state of a run between two steps."""

    def __init__(
        self,
        config: EngineConfig,
        make_scheduler: Callable[[EngineConfig, BlockManager, int], SchedulerPart],
        clock: SimulatedClock,
    ) -> None:
        assert config.num_blocks is not None
        self.clock = clock
        self.blocks = BlockManager(config.num_blocks, config.block_size, enable_prefix_caching=False)
        self.scheduler = make_scheduler(config, self.blocks, config.num_blocks)
        self.served = Served(Trace())
        self.blocks.on_event = self.served.trace.add_block_event
        self.requests: dict[str, Request] = {}

    def add(self, time: float, name: str, arrival: Arrival) -> None:
        """Let a request arrive."""
        request = Request(
            name,
            [0] * arrival.num_prompt,
            SamplingParams(temperature=0),
            arrival_time=time,
            max_length=arrival.num_prompt + arrival.num_output,
        )
        self.requests[name] = request
        self.served.arrivals[name] = time
        self.served.token_times[name] = []
        self.served.trace.add_arrival(name, time)
        self.scheduler.add(request)

    def step(self) -> None:
        """Do what an engine does in a step, less the forward pass."""
        started = self.clock.now()
        plan = self.scheduler.schedule(started)
        if not plan.scheduled and not plan.preempted:
            raise RuntimeError(f"the scheduler plans nothing for {len(self.requests)} unfinished requests")
        self.clock.step_done(plan)
        now = self.clock.now()
        finished: dict[str, str | None] = {}
        for one in plan.scheduled:
            request = self.requests[one.request_id]
            request.num_computed_tokens += one.num_new_tokens
            if one.is_caught_up:
                request.output_token_ids.append(0)
                self.served.token_times[one.request_id].append(now)
                if request.num_tokens == request.max_length:
                    self.scheduler.remove(request)
                    request.finish(FinishReason.LENGTH, now)
                    finished[one.request_id] = "length"
                    del self.requests[one.request_id]
        self.served.num_preemptions += len(plan.preempted)
        self.served.trace.add_step(
            plan,
            start=started,
            end=now,
            finished=finished,
            blocks=self.blocks.stats(),
            num_waiting=len(self.scheduler.waiting),
            num_running=len(self.scheduler.running),
            phases=PhaseSeconds(),
        )

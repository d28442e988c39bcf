"""The engine: one `step` after another, each a plan, a batch, a forward pass, and a token for whoever is due.

```
add_request ──► inbox ──► Scheduler.schedule ──► StepPlan
                                                   │  rows of token ids
                                               ModelRunner ──► logits ──► sampler ──► tokens
                                                   │                                    │
                            PagedKVCache ◄─────────┘        OutputProcessor ◄───────────┘
                                                                   └──► RequestOutputs
```
"""

import heapq
import logging
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count

import torch
from torch import Tensor

from cblab.attention.openmp import release_threads
from cblab.core.batch_builder import BatchRow, build_batch
from cblab.core.block_manager import BlockManager
from cblab.core.clock import Clock, WallClock
from cblab.core.config import EngineConfig
from cblab.core.cuda_graphs import DecodeGraphs
from cblab.core.errors import ForwardPassError
from cblab.core.intake import Arrival, Intake, OnToken, Prompt
from cblab.core.integrity import check_engine
from cblab.core.logprobs import score_rows
from cblab.core.model_runner import LanguageModel, ModelRunner, choose_backend, make_cache
from cblab.core.output_processor import OutputProcessor
from cblab.core.outputs import RequestOutput
from cblab.core.parts import Parts
from cblab.core.plan import ScheduledRequest, StepPlan
from cblab.core.request import FinishReason, Request, RequestStatus
from cblab.core.sampler import SamplerOutput, Sampling, SamplingRow
from cblab.core.sampling_params import SamplingParams
from cblab.core.scheduler import Scheduler
from cblab.core.stats import EngineCounters, EngineStats
from cblab.core.step import NOT_PLANNED, Sampled, Step, goes_on_unseen
from cblab.core.trace import Trace
from cblab.core.transfers import to_device
from cblab.tokenization import Tokenizer

logger = logging.getLogger("cblab.engine")
logging.getLogger("cblab").addHandler(logging.NullHandler())  # quiet, until a program asks for more

_RECORDED_CONTEXT = 2048  # tokens: warmup records CUDA graphs up to here, longer contexts when they come


class Engine:
    """Continuous batching over a paged KV cache.

    `add_request` and `abort` may be called from any thread, and from callbacks; `step` by one at a time.

    Args:
        model: a `Decoder`, a `TinyLLM`, or whatever keeps the same protocol.
        tokenizer: None for an engine that takes and gives token ids alone.
        config: see `EngineConfig`.
        parts: the reader's own parts, in the place of cblab's.
        clock: what all times are on; `SimulatedClock` makes them the same on every machine.
        trace: takes one record a step; None keeps none.

    Raises:
        ValueError: a setting that does not go with the model or with another one.
    """

    def __init__(
        self,
        model: LanguageModel,
        tokenizer: Tokenizer | None = None,
        config: EngineConfig | None = None,
        *,
        parts: Parts | None = None,
        clock: Clock | None = None,
        trace: Trace | None = None,
    ) -> None:
        self.config = config = config or EngineConfig()
        self.parts = parts = parts or Parts()
        self.clock: Clock = clock or WallClock()
        self.trace = trace
        device = next(iter(model.parameters())).device
        self.backend = choose_backend(config.attention_backend, parts, device)
        self.cache = make_cache(model, config, self.backend.layout)
        num_blocks = self.cache.num_blocks
        self.block_manager = (parts.block_manager or BlockManager)(
            num_blocks,
            config.block_size,
            enable_prefix_caching=config.enable_prefix_caching,
            num_host_blocks=config.num_host_blocks,
        )
        self.scheduler = (parts.scheduler or Scheduler)(config, self.block_manager, num_blocks)
        build = parts.build_batch or build_batch
        self.runner = ModelRunner(model, self.cache, self.backend, build, config)
        self._overlaps = _may_overlap(config, parts, trace, device)
        self._pending: Step | None = None  # launched, and its tokens not handed out
        self.tokenizer = tokenizer
        self.requests: dict[str, Request] = {}  # the unfinished ones
        self._intake = Intake(model.config, tokenizer, config, num_blocks * config.block_size)
        self._outputs = OutputProcessor(tokenizer)
        self._counters = EngineCounters()
        # Over `requests`, the names in `_outputs`, and what other threads leave for the step to take in. One
        # thread can take it twice: a forgotten stream may abort its requests at any allocation.
        self._lock = threading.RLock()
        self._inbox: deque[Request] = deque()
        self._aborts: list[Request] = []
        self._stepping = threading.Lock()
        self._stepper: int | None = None  # the thread that steps
        self._numbers = count()
        self._deadlines: list[tuple[float, int, list[Request]]] = []
        self._ended: dict[str, str] = {}  # since the last step's record, with reasons
        if trace is not None:
            self.block_manager.on_event = trace.add_block_event
        release_threads()  # loading a model takes them
        logger.info(
            "%d blocks of %d tokens, attention: %s, other operations: %s",
            num_blocks,
            config.block_size,
            self.backend.name,
            self.runner.ops.name,
        )

    @property
    def has_unfinished(self) -> bool:
        """Whether `step` has anything to do or to return."""
        with self._lock:
            return bool(self.requests) or self._outputs.has_changes

    def add_request(
        self,
        prompt: Prompt,
        params: SamplingParams | None = None,
        *,
        request_id: str | None = None,
        priority: int = 0,
        cache_salt: str = "",
        deadline: float | None = None,
        on_token: OnToken | None = None,
        final_only: bool = False,
    ) -> str:
        """Queue a prompt, and return its request id.

        Args:
            prompt: text, or token ids.
            params: sampling parameters; None for the defaults.
            request_id: unique among the unfinished ones; None makes one up.
            priority: smaller is more urgent; used under `scheduling_policy="priority"` alone.
            cache_salt: cached blocks are shared only among requests of the same salt.
            deadline: seconds from now, after which it is aborted.
            on_token: called as `on_token(request, token_id)` after each token, in the thread that steps. What
                it raises fails this request alone.
            final_only: `step` returns it once, when it has ended, and not after each token.

        Raises:
            ValueError: an id that is taken, or a request that can never run.
        """
        number = next(self._numbers)
        request_id = f"request-{number}" if request_id is None else request_id
        arrival = Arrival(request_id, self.clock.now(), priority, cache_salt, deadline, on_token)
        requests = self._intake.make(prompt, params or SamplingParams(), arrival)
        with self._lock:
            text = prompt if isinstance(prompt, str) else None
            self._outputs.open(request_id, text, requests, final_only=final_only)
            self.requests |= {request.request_id: request for request in requests}
            self._inbox.append(requests[0])
            if requests[0].deadline is not None:
                heapq.heappush(self._deadlines, (requests[0].deadline, number, requests))
        logger.debug("%s: added, %d prompt tokens", request_id, requests[0].num_prompt_tokens)
        return request_id

    def abort(self, request_id: str) -> None:
        """End a request with all its samples, or one sample (`id#1`); it keeps what it has.

        It takes effect at once, or before the running step adds another token; the next `step` returns it. A
        finished or unknown id is no error.
        """
        with self._lock:
            self._aborts += self._outputs.members(request_id)
        if self._stepping.acquire(blocking=False):  # else the running step carries it out
            try:
                self._carry_out_aborts()
            finally:
                self._stepping.release()

    def step(self) -> list[RequestOutput]:
        """Compute one step, and return the requests that have changed in it.

        Raises:
            ForwardPassError: the step broke, and the requests in it failed; the others and the engine go on.
            RuntimeError: called from a callback of a running step, or nothing can ever be scheduled.
        """
        if self._stepper == threading.get_ident():
            raise RuntimeError("step() is running already: it cannot be called from a callback")
        with self._stepping:
            self._stepper = threading.get_ident()
            try:
                return self._step()
            finally:
                self._stepper = None
                if not self.requests:  # the next one may come in another thread
                    release_threads()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep steps out and the trace blind, for whoever uses model and pool without requests.

        Raises:
            RuntimeError: there are unfinished requests.
        """
        if self.requests:
            names = ", ".join(map(repr, list(self.requests)))
            raise RuntimeError(
                f"the engine must be idle, but it has not finished {names}: step or abort them"
            )
        with self._stepping:
            self._pending = None  # at most tokens of requests that have ended meanwhile
            if self.trace is not None:
                self.block_manager.on_event = None
            try:
                yield
            finally:
                if self.trace is not None:
                    self.block_manager.on_event = self.trace.add_block_event
                release_threads()

    def stats(self) -> EngineStats:
        """Return the counts and times since the engine was made, and how full it is now."""
        with self._lock:
            return self._counters.snapshot(
                num_waiting=len(self.scheduler.waiting) + len(self._inbox),
                num_running=len(self.scheduler.running),
                blocks=self.block_manager.stats(),
            )

    def check_integrity(self) -> None:
        """Hold the invariants between two steps; costs as much as there are blocks and requests.

        Raises:
            IntegrityError: the first one that does not hold.
        """
        with self._lock:
            added = {id(one) for first in self._inbox for one in (first, *first.siblings)}
            known = [request for request in self.requests.values() if id(request) not in added]
        check_engine(known, self.scheduler, self.block_manager, self.config.block_size)

    def warmup(self, *, whole_pool: bool = False) -> float:
        """Run a prompt chunk and a decode through the model, and return the seconds that they took.

        The first passes are slow: memory is mapped, kernels are chosen or compiled. No request, statistic or
        cached block is touched.

        Args:
            whole_pool: have the system hand out all of the pool's memory too, as a service wants it. Else on
                a CPU it comes bit by bit, as blocks are used for the first time.

        Raises:
            RuntimeError: requests are unfinished.
        """
        started = time.perf_counter()
        chunk = self.config.prefill_chunk_size or self.config.max_num_batched_tokens
        room = self.block_manager.stats().free * self.config.block_size
        num_tokens = min(chunk, self.config.max_num_batched_tokens, self._intake.max_model_len - 1, room - 1)
        with self.exclusive():
            if whole_pool:
                self.cache.take_memory()
            try:
                if num_tokens > 0 and self.block_manager.allocate_slots("warmup", num_tokens + 1):
                    table = self.block_manager.block_table("warmup")
                    for tokens, computed in (([0] * num_tokens, 0), ([0], num_tokens)):
                        self.runner.forward(self.runner.build([BatchRow(tokens, computed, table, 1)]))
                if isinstance(self.runner.graphs, DecodeGraphs):
                    self.runner.graphs.capture_all(_RECORDED_CONTEXT // self.config.block_size)
            finally:
                self.block_manager.free("warmup")
        return time.perf_counter() - started

    def _step(self) -> list[RequestOutput]:
        step, before = Step(self.clock.now()), self._pending
        try:
            moved = self._take_in()
            with step.phases.measure("schedule"):
                step.plan = self.scheduler.schedule(step.started)
            self._launch(step)
            self._pending = step
            done = [one for one in (before, None if step.may_wait else step) if one is not None]
            if before is not None:
                self._settle(before)
            self._end_exhausted(step.plan)
            if not step.may_wait:
                self._settle(step)
                self._pending = None
        except BaseException as error:
            self._fail(step, error)
            raise
        stuck = not (moved or step.plan.scheduled or step.plan.preempted or step.plan.exhausted or before)
        if stuck and (self.scheduler.waiting or self.scheduler.running):
            raise RuntimeError(f"the scheduler plans nothing for {len(self.requests)} unfinished requests")
        with step.phases.measure("output"):
            outputs = self._take_outputs()
        for one in done:
            self._record(one)
        return outputs

    def _end_exhausted(self, plan: StepPlan) -> None:
        for request_id in plan.exhausted:
            if request_id in self.requests:  # its pending token may have been its last
                logger.info("%s: fills the whole pool alone, ends", request_id)
                self._finish(self.requests[request_id], FinishReason.LENGTH)

    def _settle(self, step: Step) -> None:
        """Bring a launched step to its end: wait for its tokens, count what it computed, hand them out."""
        if not step.plan.scheduled:
            return
        with step.phases.measure("sample"):
            sampled = SamplerOutput([], [], {}) if step.sampling is None else step.sampling.result()
        self.clock.step_done(step.plan)
        with step.phases.measure("output"):
            self._advance(step)
            self._append(step.due, sampled)

    def _take_in(self) -> bool:
        """Hand new requests to the scheduler, end what is aborted or late; return whether there was any."""
        moved = False
        while self._inbox:
            first = self._inbox.popleft()
            if first.is_finished:  # aborted before any step
                continue
            if self.trace is not None:
                self.trace.add_arrival(first.request_id, first.arrival_time)
            try:
                self.scheduler.add(first)
            except ValueError as error:  # what cannot run has been refused before: a reader's own scheduler
                self._finish(first, FinishReason.ERROR, error=error)
            moved = True
        self._carry_out_aborts()
        now = self.clock.now()
        while self._deadlines and self._deadlines[0][0] <= now:
            with self._lock:
                _, _, samples = heapq.heappop(self._deadlines)
            for request in samples:
                self._finish(request, FinishReason.ABORT, stop_reason="deadline")
            moved = True
        return moved

    def _carry_out_aborts(self) -> None:
        with self._lock:
            aborted, self._aborts = self._aborts, []
        for request in aborted:
            self._finish(request, FinishReason.ABORT)

    def _take_outputs(self) -> list[RequestOutput]:
        with self._lock:
            return self._outputs.take_outputs()

    @torch.inference_mode()
    def _launch(self, step: Step) -> None:
        """Compute a step: on a GPU this returns before it is done."""
        plan, phases = step.plan, step.phases
        for request_id in plan.admitted:
            self._counters.admitted(self.requests[request_id])
        if not plan.scheduled:
            self.cache.apply(plan.block_ops)  # somebody may have been swapped out all the same
            return
        step.requests = [self.requests[one.request_id] for one in plan.scheduled]
        may_wait = self._overlaps and all(map(goes_on_unseen, step.requests))
        with phases.measure("build"):
            batch = self.runner.build(
                [self._batch_row(*row) for row in zip(step.requests, plan.scheduled, strict=True)]
            )
            if self._pending is not None:
                self._pending.put_tokens(batch.input_ids, step)
        with phases.measure("forward"):
            logits = self.runner.forward(batch, plan.block_ops)
        with phases.measure("sample"):
            step.due, indices = self._due(step, logits)
            if step.due:  # or nothing but chunks that leave some of their prompt for later
                # As a rule each row is due one token, in the rows' order: then there is nothing to pick.
                if indices != list(range(logits.shape[0])):
                    logits = logits[to_device(torch.tensor(indices), logits.device)]
                step.sampling = self._start_sampling(logits, [_sampling_row(one) for one in step.due])
                step.may_wait = may_wait
        for one, request in zip(plan.scheduled, step.requests, strict=True):
            request.num_computed_tokens = one.num_computed_tokens + one.num_new_tokens
        for request in step.due:
            request.num_pending_tokens += 1

    def _start_sampling(self, logits: Tensor, rows: Sequence[SamplingRow]) -> Sampling | Sampled:
        own = self.parts.sampler
        return Sampling(logits, rows) if own is None else Sampled(own(logits, rows))

    def _batch_row(self, request: Request, one: ScheduledRequest) -> BatchRow:
        start = one.num_computed_tokens
        known = request.token_ids(start, start + one.num_new_tokens)
        return BatchRow(
            token_ids=known + [0] * (one.num_new_tokens - len(known)),  # a pending token: see Step.put_tokens
            num_computed_tokens=start,
            block_table=self.block_manager.block_table(one.request_id),
            num_logits=_num_logits(request, one),
        )

    def _due(self, step: Step, logits: Tensor) -> tuple[list[Request], list[int]]:
        """Return who is due a token, and which row of the logits each samples from; score prompts by the way.

        The samples of one prompt draw their first tokens from the same row.
        """
        due: list[Request] = []
        indices: list[int] = []
        end = 0
        for one, request in zip(step.plan.scheduled, step.requests, strict=True):
            begin, end = end, end + _num_logits(request, one)
            if request.is_scoring:
                try:
                    _score_prompt(request, one, logits[begin:end])
                except ValueError as error:  # NaN: it ends when the step's tokens have been counted
                    request.error = error
                    continue
            if one.is_caught_up and not request.is_full:
                due.append(request)
                indices.append(end - 1)
                for sibling in _alive(request.siblings):
                    due.append(sibling)
                    indices.append(end - 1)
        return due, indices

    def _advance(self, step: Step) -> None:
        """Make the blocks that a step has filled findable; let samples and scored prompts go their way."""
        for one, request in zip(step.plan.scheduled, step.requests, strict=True):
            if (
                request.status is not RequestStatus.RUNNING
            ):  # since its launch it has ended, or lost its blocks
                continue
            before, after = one.num_computed_tokens, one.num_computed_tokens + one.num_new_tokens
            if after // self.config.block_size > before // self.config.block_size:
                self.block_manager.cache_blocks(
                    one.request_id, request.token_ids(0, after), after, request.cache_salt
                )
            if request.error is not None:
                self._finish(request, FinishReason.ERROR, error=request.error)
            elif one.is_caught_up:
                self._fork(request)
                if request.is_full and not request.num_pending_tokens:  # a prompt only to be scored
                    self._finish(request, FinishReason.LENGTH)

    def _fork(self, request: Request) -> None:
        """Let the other samples of a computed prompt go on from its blocks."""
        for sibling in _alive(request.siblings):
            self.block_manager.fork(request.request_id, sibling.request_id)
            sibling.num_computed_tokens = request.num_computed_tokens
            sibling.num_cached_tokens = request.num_cached_tokens
            sibling.first_scheduled_time = request.first_scheduled_time
            self.scheduler.add_running(sibling)
        request.siblings = ()

    def _append(self, due: Sequence[Request], sampled: SamplerOutput) -> None:
        self._carry_out_aborts()
        now = self.clock.now()
        for row, request in enumerate(due):
            if request.is_finished:  # aborted while the model ran, or by the callback of a neighbour
                continue
            request.num_pending_tokens -= 1
            if row in sampled.errors:
                self._finish(request, FinishReason.ERROR, error=sampled.errors[row])
                continue
            request.first_token_time = now if request.first_token_time is None else request.first_token_time
            logprob = sampled.logprobs[row]
            if logprob is not None:
                request.logprobs.append(logprob)
                request.cumulative_logprob += logprob.logprob
            end = self._outputs.append(request, sampled.token_ids[row])
            self._call_back(request, sampled.token_ids[row])
            if end is not None and not request.is_finished:
                self._finish(request, end[0], stop_reason=end[1])

    def _call_back(self, request: Request, token_id: int) -> None:
        if request.on_token is None:
            return
        try:
            request.on_token(request, token_id)
        except Exception as error:
            self._finish(request, FinishReason.ERROR, error=error)
        self._carry_out_aborts()

    def _finish(
        self,
        request: Request,
        reason: FinishReason,
        *,
        stop_reason: int | str | None = None,
        error: BaseException | None = None,
    ) -> None:
        """End a request and free its blocks; samples that still wait for its prompt end with it."""
        for one in _alive((request, *request.siblings)):
            self.scheduler.remove(one)
            one.finish(reason, self.clock.now(), stop_reason=stop_reason, error=error)
            self._outputs.finish(one)
            self._counters.finished(one)
            self._ended[one.request_id] = reason.value
            with self._lock:
                del self.requests[one.request_id]
            level = logging.WARNING if error is not None else logging.DEBUG
            logger.log(
                level, "%s: %s%s", one.request_id, reason.value, "" if error is None else f": {error!r}"
            )
        request.siblings = ()

    def _fail(self, step: Step, error: BaseException) -> None:
        """Clean up after a step that broke: whatever it may have half done is thrown away.

        Raises:
            ForwardPassError: from any `Exception`; a KeyboardInterrupt goes its way.
        """
        before, self._pending = self._pending, None
        if before is not None and before is not step:  # it was whole: what it brings is not lost
            with suppress(Exception):
                self._settle(before)
            self._record(before)
        plan = step.plan
        failed = self._half_done(plan)
        for request in failed:
            self._finish(request, FinishReason.ERROR, error=error)
        for request in list(self.scheduler.waiting):
            # Blocks of those that were preempted may not have reached host memory.
            if plan is NOT_PLANNED or request.request_id in plan.preempted:
                self.scheduler.restart(request)
        self._record(step)
        if isinstance(error, Exception):
            names = [one.request_id for one in failed]
            raise ForwardPassError(names, self._take_outputs(), error) from error

    def _half_done(self, plan: StepPlan) -> list[Request]:
        """Return the requests that a broken step leaves in a state that nobody knows."""
        if plan is not NOT_PLANNED:
            scheduled = {one.request_id for one in plan.scheduled}
            known = (*self.scheduler.running, *self.scheduler.waiting)
            return [one for one in known if one.request_id in scheduled or one.num_pending_tokens]
        untouched = {*map(id, self.scheduler.waiting), *map(id, self._inbox)}
        untouched |= {id(sibling) for one in self.requests.values() for sibling in one.siblings}
        return [one for one in self.requests.values() if id(one) not in untouched]

    def _record(self, step: Step) -> None:
        self._counters.step(step.plan, step.phases)
        ended, self._ended = self._ended, {}
        if self.trace is not None:
            self.trace.add_step(
                step.plan,
                start=step.started,
                end=self.clock.now(),
                finished=ended,
                blocks=self.block_manager.stats(),
                num_waiting=len(self.scheduler.waiting),
                num_running=len(self.scheduler.running),
                phases=step.phases,
            )


def _may_overlap(config: EngineConfig, parts: Parts, trace: Trace | None, device: torch.device) -> bool:
    """Decide on `async_scheduling`; ValueError if it is asked for beside what it does not go with."""
    obstacles = {
        "a trace": trace is not None,
        "an own scheduler": parts.scheduler is not None,
        "an own sampler": parts.sampler is not None,
    }
    reason = next((name for name, is_there in obstacles.items() if is_there), None)
    if config.async_scheduling and reason is not None:
        raise ValueError(
            f"async_scheduling=True does not go with {reason}, which sees each step by itself: leave one away"
        )
    return reason is None and (
        device.type == "cuda" if config.async_scheduling is None else config.async_scheduling
    )


def _sampling_row(request: Request) -> SamplingRow:
    return SamplingRow(
        request.params,
        request.prompt_token_ids,
        request.output_token_ids,
        request.seed,
        request.sample_index,
        request.stop_token_ids,
        request.num_pending_tokens,
    )


def _alive(requests: Iterable[Request]) -> list[Request]:
    return [one for one in requests if not one.is_finished]


def _num_logits(request: Request, one: ScheduledRequest) -> int:
    """How many of its last rows a request wants the logits of."""
    return one.num_new_tokens if request.is_scoring else int(one.is_caught_up)


def _score_prompt(request: Request, one: ScheduledRequest, logits: Tensor) -> None:
    """Note the logprob of each prompt token that follows one of this chunk's; `logits` has a row for each."""
    first = one.num_computed_tokens + 1
    following = request.prompt_token_ids[first : first + one.num_new_tokens]
    scores = score_rows(logits[: len(following)], following, request.params.prompt_logprobs or 0)
    request.prompt_logprobs.update(zip(range(first, first + len(following)), scores, strict=True))

"""The door between lab 5's Scheduler and token table and the engine: plain data here, engine parts there.

The same adapter stands before an object of the notebook (`plugged`) and before one that a check reaches
through its executor (`remote`), one message a call. What it hands to the engine has been looked at: a plan
names requests that there are, and promises no block that the pool does not have.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NoReturn

import torch

from cblab.attention.batch import RaggedBatch
from cblab.core.batch_builder import BatchRow
from cblab.core.config import EngineConfig
from cblab.core.parts import BatchBuilderPart, BlockManagerPart
from cblab.core.plan import BlockOp, ScheduledRequest, StepPlan
from cblab.core.request import Request, RequestStatus
from cblab.lab.compare import shown
from cblab.lab.labs.continuous_batching import reference
from cblab.lab.trial import Trial

Call = Callable[..., Any]
"""`call(method, *args)`: calls a method of the scheduler behind it."""
Preempt = Callable[[Request, Any], None]

_PARTS = ("scheduled", "admitted", "preempted")


class PluggedScheduler:
    """The engine's `SchedulerPart` over a scheduler of lab 5; no samples, no prefixes, no swapping.

    Args:
        call: reaches the scheduler.
        blocks: where blocks come from; the scheduler behind `call` only counts them.
        preempt: takes a request's blocks and sets it back.
    """

    def __init__(self, call: Call, blocks: BlockManagerPart, preempt: Preempt) -> None:
        self._call, self._blocks, self._preempt = call, blocks, preempt
        self._requests: dict[str, Request] = {}
        self._waiting: list[Request] = []
        self._running: list[Request] = []

    @property
    def waiting(self) -> Sequence[Request]:
        """See `SchedulerPart`."""
        return tuple(self._waiting)

    @property
    def running(self) -> Sequence[Request]:
        """See `SchedulerPart`."""
        return tuple(self._running)

    def add(self, request: Request) -> None:
        """See `SchedulerPart`."""
        if request.siblings:
            raise ValueError(f"the lab's Scheduler knows no samples: ask for n=1, not {request.params.n}")
        self._call("add", request.request_id, request.num_tokens, request.max_length)
        self._requests[request.request_id] = request
        self._waiting.append(request)

    def add_running(self, request: Request) -> None:
        """Refuse: there are no samples."""
        raise ValueError(f"the lab's Scheduler knows no samples, got {request.request_id!r}")

    def remove(self, request: Request) -> None:
        """See `SchedulerPart`."""
        if self._requests.pop(request.request_id, None) is not None:
            self._call("remove", request.request_id)
        for queue in (self._waiting, self._running):
            if request in queue:
                queue.remove(request)
        self._blocks.free(request.request_id)

    def restart(self, request: Request) -> None:
        """Forget what a broken step may have half done to a preempted request."""
        self._blocks.free(request.request_id)
        request.num_computed_tokens = 0

    def schedule(self, now: float) -> StepPlan:
        """Ask the scheduler, look at its plan, and carry it out: statuses and blocks."""
        running = self._running
        if running:
            self._call(
                "advance", {one.request_id: (one.num_tokens, one.num_computed_tokens) for one in running}
            )
        plan = self._checked(self._call("schedule"))
        for request_id in plan["preempted"]:
            request = self._requests[request_id]
            if request.status is RequestStatus.RUNNING:
                known = request.num_tokens
                self._preempt(request, self._blocks)
                if request.num_tokens != known:  # a preemption that loses tokens: let it be seen, not refused
                    self._call("advance", {request_id: (request.num_tokens, 0)})
                self._running.remove(request)
                self._waiting.insert(0, request)
        for request_id in plan["admitted"]:
            request = self._requests[request_id]
            request.become(RequestStatus.RUNNING)
            self._waiting.remove(request)
            self._running.append(request)
            if request.first_scheduled_time is None:
                request.first_scheduled_time = now
        ops: list[BlockOp] = []
        shares = [self._share(request_id, num_new, ops) for request_id, num_new in plan["scheduled"]]
        return StepPlan(
            scheduled=tuple(sorted(shares, key=lambda share: share.num_new_tokens > 1)),
            block_ops=tuple(ops),
            admitted=tuple(plan["admitted"]),
            preempted=tuple(plan["preempted"]),
        )

    def _share(self, request_id: str, num_new: int, ops: list[BlockOp]) -> ScheduledRequest:
        request = self._requests[request_id]
        computed = request.num_computed_tokens
        if request.status is not RequestStatus.RUNNING:
            raise ValueError(f"`schedule` schedules {request_id}, which is {request.status.value}")
        if not 0 < num_new <= request.num_tokens - computed:
            raise ValueError(
                f"`schedule` gives {request_id} {num_new} tokens: it has {request.num_tokens}, of which "
                f"{computed} are computed"
            )
        allocation = self._blocks.allocate_slots(request_id, computed + num_new)
        if allocation is None:
            free = self._blocks.stats().free
            raise ValueError(
                f"`schedule` promises {request_id} room for {computed + num_new} tokens, but the pool has "
                f"only {free} free blocks"
            )
        ops += allocation.block_ops
        return ScheduledRequest(request_id, computed, num_new, computed + num_new == request.num_tokens)

    def _checked(self, plan: Any) -> dict[str, list[Any]]:
        if not isinstance(plan, dict) or set(plan) != set(_PARTS):
            _refuse("schedule", plan, f"a dict of {', '.join(_PARTS)}")
        for part in _PARTS:
            if not isinstance(plan[part], list):
                _refuse("schedule", plan[part], f"a list under {part!r}")
        pairs = plan["scheduled"]
        if any(type(one) is not tuple or len(one) != 2 or type(one[1]) is not int for one in pairs):
            _refuse("schedule", pairs, "pairs (request id, tokens) under 'scheduled'")
        for name in [*(one[0] for one in pairs), *plan["admitted"], *plan["preempted"]]:
            if name not in self._requests:
                _refuse("schedule", name, "the id of a request that has not ended")
        return plan


def plugged(
    scheduler: Callable[..., Any], preempt: Preempt = reference.preempt
) -> Callable[[EngineConfig, BlockManagerPart, int], PluggedScheduler]:
    """Return what `Parts(scheduler=…)` takes, from a class of lab 5's Scheduler."""

    def make(config: EngineConfig, blocks: BlockManagerPart, num_blocks: int) -> PluggedScheduler:
        made = scheduler(*_arguments(config, num_blocks))
        return PluggedScheduler(lambda method, *args: getattr(made, method)(*args), blocks, preempt)

    return make


def remote(t: Trial, scheduler: str) -> Callable[[EngineConfig, BlockManagerPart, int], PluggedScheduler]:
    """Return what `Parts(scheduler=…)` takes, over the student's class of that name."""

    def make(config: EngineConfig, blocks: BlockManagerPart, num_blocks: int) -> PluggedScheduler:
        handle = t.executor.new(scheduler, *_arguments(config, num_blocks))
        return PluggedScheduler(
            lambda method, *args: t.executor.method(handle, method, *args), blocks, reference.preempt
        )

    return make


def _arguments(config: EngineConfig, num_blocks: int) -> tuple[int, int, int, int, int]:
    if config.enable_prefix_caching:
        raise ValueError("the lab's Scheduler finds no prefixes: set enable_prefix_caching=False")
    if config.preemption_mode != "recompute":
        raise ValueError("the lab's Scheduler does not swap: leave preemption_mode at 'recompute'")
    if config.watermark:
        raise ValueError(f"the lab's Scheduler keeps no blocks free: set watermark=0, not {config.watermark}")
    budget = config.max_num_batched_tokens
    return num_blocks, config.block_size, budget, config.prefill_chunk_size or budget, config.max_num_seqs


def plugged_table(token_table: Callable[..., Any]) -> BatchBuilderPart:
    """Return what `Parts(build_batch=…)` takes, from a function of lab 5's `token_table`."""

    def build(rows: Sequence[BatchRow], block_size: int, device: torch.device | str = "cpu") -> RaggedBatch:
        if any(row.num_logits > 1 for row in rows):
            raise ValueError(
                "the lab's token_table wants one row of logits at most: leave prompt_logprobs out"
            )
        given = [(list(row.token_ids), row.num_computed_tokens, list(row.block_table)) for row in rows]
        table = token_table(
            [(*one, bool(row.num_logits)) for one, row in zip(given, rows, strict=True)], block_size
        )
        return ragged_batch(table, [one[2] for one in given], device)

    return build


def ragged_batch(
    table: Any, block_tables: Sequence[Sequence[int]], device: torch.device | str = "cpu"
) -> RaggedBatch:
    """Make tensors of a token table; the block tables are padded with 0."""
    names = reference.token_table([], 1)
    if not isinstance(table, dict) or set(table) != set(names):
        _refuse("token_table", table, f"a dict of {', '.join(names)}")
    longest = max(map(len, block_tables))
    lengths = [end - start for start, end in pairwise(table["cu_seqlens_q"])]
    many = [index for index, length in enumerate(lengths) if length > 1]
    dtypes = {"cu_seqlens_q": torch.int32, "context_lens": torch.int32}
    tensors = {
        name: torch.tensor(values, dtype=dtypes.get(name, torch.int64), device=device)
        for name, values in table.items()
    }
    padded = [[*blocks, *[0] * (longest - len(blocks))] for blocks in block_tables]
    return RaggedBatch(
        **tensors,
        block_tables=torch.tensor(padded, dtype=torch.int32, device=device),
        num_decodes=many[0] if many else len(lengths),
    )


def _refuse(function: str, value: Any, wanted: str) -> NoReturn:
    raise ValueError(f"`{function}` gave {shown(value, 80)}: {wanted} was expected")

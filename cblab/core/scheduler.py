"""Who computes how many tokens in a step. Torch-free: ids and counts in, ids and counts out."""

import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import MutableSequence, Sequence
from dataclasses import dataclass, field
from itertools import count

from cblab.core.config import EngineConfig
from cblab.core.parts import BlockManagerPart
from cblab.core.plan import BlockOp, ScheduledRequest, StepPlan
from cblab.core.request import Request, RequestStatus


@dataclass
class _Draft:
    """A `StepPlan` in the making: its fields so far, and the tokens of the budget that are left."""

    budget: int
    scheduled: list[ScheduledRequest] = field(default_factory=list)
    block_ops: list[BlockOp] = field(default_factory=list)
    admitted: list[str] = field(default_factory=list)
    preempted: list[str] = field(default_factory=list)
    exhausted: list[str] = field(default_factory=list)

    def give(self, request: Request, num_new_tokens: int) -> None:
        """Let a request compute so many tokens in this step."""
        computed = request.num_computed_tokens
        is_caught_up = computed + num_new_tokens == request.num_tokens
        self.scheduled.append(ScheduledRequest(request.request_id, computed, num_new_tokens, is_caught_up))
        self.budget -= num_new_tokens

    def plan(self) -> StepPlan:
        """Return what has been decided; the sort is stable, so that both groups keep their order."""
        return StepPlan(
            scheduled=tuple(sorted(self.scheduled, key=lambda share: share.num_new_tokens > 1)),
            block_ops=tuple(self.block_ops),
            admitted=tuple(self.admitted),
            preempted=tuple(self.preempted),
            exhausted=tuple(self.exhausted),
        )


class Scheduler:
    """Continuous batching: each step the running requests first, then new ones for what is left.

    ```
                 budget: max_num_batched_tokens
    ├────────────────────────────────────────────────────┤
    │ a │ b │ c  c  c  c  c  c │ d  d  d  d  d │ (unused) │
     running, in scheduling order  admitted now
     a, b: one token (decode)      d: the first chunk of its prompt
     c: the next chunk
    ```

    Both `running` and `waiting` are kept in one order, the scheduling order, most urgent first:

    - "fcfs": the order in which requests were added.
    - "priority": by `arrival_time + priority * priority_aging_s`, then by the order of adding. So one unit of
      priority makes up for `priority_aging_s` seconds of waiting. All age at the same rate: two requests
      never change places, and the key is computed once. Yet nobody waits for ever: what arrives late enough
      comes last, however urgent it is.

    A request keeps its place for life: preempted, it comes back to where it was, before all that were behind
    it. New ones are admitted strictly in order; where the first does not fit, none behind it is tried, since
    it might be passed over for ever.

    It neither advances `num_computed_tokens` nor ends requests: that is the engine's after the forward pass.

    Args:
        config: budget, seats, policy.
        block_manager: where blocks come from.
        num_blocks: blocks in the pool.
    """

    def __init__(self, config: EngineConfig, block_manager: BlockManagerPart, num_blocks: int) -> None:
        self._config = config
        self._blocks = block_manager
        self._num_slots = num_blocks * config.block_size
        self._watermark = math.ceil(config.watermark * num_blocks)
        self._chunk = config.prefill_chunk_size or config.max_num_batched_tokens
        # A deque: the first one leaves and the last one joins without moving the 100,000 in between.
        self._waiting: deque[Request] = deque()
        self._running: list[Request] = []
        self._keys: dict[str, tuple[float, int, int]] = {}
        self._swapped: set[str] = set()  # preempted requests whose blocks are in host memory
        self._arrivals = count()

    @property
    def waiting(self) -> Sequence[Request]:
        """New and preempted requests, the next to be admitted first; a live view, not to be changed."""
        return self._waiting

    @property
    def running(self) -> Sequence[Request]:
        """Requests that hold blocks of the pool, the last to be preempted first."""
        return tuple(self._running)

    def add(self, request: Request) -> None:
        """Take in a new request, with its siblings where it has some; those follow by `add_running`.

        Raises:
            ValueError: its id is taken, or it can never run.
        """
        self._refuse_what_can_never_run(request)
        urgency = 0.0
        if self._config.scheduling_policy == "priority":
            urgency = request.arrival_time + request.priority * self._config.priority_aging_s
        self._keys[request.request_id] = (urgency, next(self._arrivals), request.sample_index)
        insort(self._waiting, request, key=self._key)

    def add_running(self, request: Request) -> None:
        """Let a sibling join right behind its sample 0, whose blocks it shares already (`fork`).

        Raises:
            ValueError: its id is taken, or it is no sibling of a request that is running.
        """
        self._refuse_taken_id(request)
        parent = next((one for one in self._running if request in one.siblings), None)
        if parent is None:
            raise ValueError(f"request {request.request_id!r} is no sibling of any running request")
        urgency, arrival, _ = self._key(parent)
        self._keys[request.request_id] = (urgency, arrival, request.sample_index)
        request.become(RequestStatus.RUNNING)
        insort(self._running, request, key=self._key)

    def remove(self, request: Request) -> None:
        """Forget a request, in whatever state it is, and free its blocks; an unknown one is no error."""
        if request.request_id in self._keys:
            self._take_out(self._running, request)
            self._take_out(self._waiting, request)
            del self._keys[request.request_id]
        self._swapped.discard(request.request_id)
        self._blocks.free(request.request_id)

    def restart(self, request: Request) -> None:
        """Let a preempted request whose swapped blocks are lost compute everything again."""
        self._swapped.discard(request.request_id)
        self._blocks.free(request.request_id)
        request.num_computed_tokens = request.num_cached_tokens = 0

    def schedule(self, now: float) -> StepPlan:
        """Decide the next step, and allocate its blocks.

        now is on the engine's clock, seconds. Nothing is admitted in a step that preempted: the blocks that
        came free are for those that run, and the newcomer would be the next to be preempted.
        """
        draft = _Draft(budget=self._config.max_num_batched_tokens)
        self._serve_running(draft)
        if not draft.preempted:
            self._admit_waiting(draft, now)
        return draft.plan()

    def _serve_running(self, draft: _Draft) -> None:
        """Give each running request its tokens; where blocks are short, the last one makes room.

        A chunk leaves one token of the budget for each request behind it: no long prompt halts a decode.
        """
        served = 0
        while served < len(self._running):
            request = self._running[served]
            if request.num_pending_tokens and request.is_full:  # its last token is on its way
                served += 1
                continue
            behind = len(self._running) - served - 1
            if self._grow(request, draft, draft.budget - behind):
                served += 1
            elif len(self._running) > 1:
                self._preempt_last(draft)  # possibly the request itself
            else:
                # Nobody is left to make room: it fills the pool alone, and waiting would not change that.
                draft.exhausted.append(request.request_id)
                break

    def _admit_waiting(self, draft: _Draft, now: float) -> None:
        if not self._waiting:
            return
        seats = self._config.max_num_seqs - sum(map(_num_sequences, self._running))
        while self._waiting and draft.budget > 0 and _num_sequences(self._waiting[0]) <= seats:
            request = self._waiting[0]
            if not self._start(request, draft):
                if not self._running:
                    draft.exhausted.append(request.request_id)
                break
            seats -= _num_sequences(request)
            self._waiting.popleft()
            insort(self._running, request, key=self._key)
            request.become(RequestStatus.RUNNING)
            if request.first_scheduled_time is None:
                request.first_scheduled_time = now
            draft.admitted.append(request.request_id)

    def _start(self, request: Request, draft: _Draft) -> bool:
        """Give a waiting request blocks and its first tokens; False, and no change, if it does not fit."""
        # While others run, some blocks stay free for them to grow into.
        keep_free = self._watermark if self._running else 0
        if request.request_id in self._swapped:
            return self._swap_in(request, draft, keep_free) and self._grow(request, draft, draft.budget)
        cached = self._cached_blocks(request)
        num_cached = len(cached) * self._config.block_size
        # Counted behind the cached ones: tokens that are not computed cost no budget.
        num_new = min(request.num_tokens - num_cached, self._chunk, draft.budget)
        allocation = self._blocks.allocate_slots(
            request.request_id, num_cached + num_new, cached, keep_free=keep_free
        )
        if allocation is None:
            return False
        request.num_computed_tokens = request.num_cached_tokens = num_cached
        draft.block_ops += allocation.block_ops
        draft.give(request, num_new)
        return True

    def _grow(self, request: Request, draft: _Draft, limit: int) -> bool:
        """Give a request that has blocks its next tokens, at most `limit`; False if blocks are short."""
        num_new = self._num_wanted(request, limit)
        allocation = self._blocks.allocate_slots(request.request_id, request.num_computed_tokens + num_new)
        if allocation is None:
            return False
        draft.block_ops += allocation.block_ops
        draft.give(request, num_new)
        return True

    def _swap_in(self, request: Request, draft: _Draft, keep_free: int) -> bool:
        """Bring a request's blocks back, if there is room for its next tokens too."""
        computed, block_size = request.num_computed_tokens, self._config.block_size
        num_tokens = computed + self._num_wanted(request, draft.budget)
        growth = math.ceil(num_tokens / block_size) - math.ceil(computed / block_size)
        ops = self._blocks.swap_in(request.request_id, keep_free=keep_free + growth)
        if ops is None:
            return False
        self._swapped.remove(request.request_id)
        draft.block_ops += ops
        return True

    def _preempt_last(self, draft: _Draft) -> None:
        """Take the least urgent running request's blocks; all that this step has served stand before it."""
        request = self._running.pop()
        swaps = self._config.preemption_mode == "swap"
        ops = self._blocks.swap_out(request.request_id) if swaps else None
        if ops is None:  # or host memory is full
            self._blocks.free(request.request_id)
            request.num_computed_tokens = request.num_cached_tokens = 0
        else:
            self._swapped.add(request.request_id)
            draft.block_ops += ops
        request.num_preemptions += 1
        request.become(RequestStatus.PREEMPTED)
        insort(self._waiting, request, key=self._key)
        draft.preempted.append(request.request_id)

    def _num_wanted(self, request: Request, limit: int) -> int:
        return min(request.num_tokens - request.num_computed_tokens, self._chunk, limit)

    def _cached_blocks(self, request: Request) -> list[int]:
        """Look up the prefix; not while logits of the prompt are wanted, since cached tokens have none."""
        if request.is_scoring:
            return []
        return self._blocks.get_computed_blocks(request.token_ids(), request.cache_salt)

    def _key(self, request: Request) -> tuple[float, int, int]:
        return self._keys[request.request_id]

    def _take_out(self, queue: MutableSequence[Request], request: Request) -> None:
        index = bisect_left(queue, self._key(request), key=self._key)
        if index < len(queue) and queue[index] is request:
            del queue[index]

    def _refuse_taken_id(self, request: Request) -> None:
        if request.request_id in self._keys:
            raise ValueError(f"request id {request.request_id!r} is taken by one that has not ended yet")

    def _refuse_what_can_never_run(self, request: Request) -> None:
        self._refuse_taken_id(request)
        name, num_tokens, num_seqs = request.request_id, request.num_tokens, _num_sequences(request)
        if num_tokens == 0:
            raise ValueError(f"request {name!r} has no tokens: a prompt has at least one")
        if num_tokens > self._num_slots:
            raise ValueError(
                f"request {name!r} has {num_tokens} tokens, but all blocks together hold {self._num_slots}: "
                "shorten the prompt, or give the engine more (num_blocks, kv_cache_memory_bytes)"
            )
        if num_seqs > self._config.max_num_seqs:
            raise ValueError(
                f"request {name!r} asks for n={num_seqs} samples, but max_num_seqs is "
                f"{self._config.max_num_seqs}: they run together, so lower n or raise max_num_seqs"
            )


def _num_sequences(request: Request) -> int:
    """Seats that a request takes: its own, and those of siblings that have not joined it yet."""
    if not request.siblings:
        return 1
    return 1 + sum(sibling.status is RequestStatus.WAITING for sibling in request.siblings)

"""The engine around a scheduler, played without a model: it carries out plans and checks every one of them.

A slot of the played cache holds the tokens from the first to its own: as much as keys and values depend on.
So a block that was copied too late, given away too soon or found under a wrong prefix shows as a slot of
other tokens.
"""

from collections.abc import Sequence
from typing import Any

from cblab.core.block_manager import BlockManager
from cblab.core.config import EngineConfig
from cblab.core.plan import BlockOp, StepPlan
from cblab.core.request import FinishReason, Request, RequestStatus
from cblab.core.sampling_params import SamplingParams
from cblab.core.scheduler import Scheduler

Content = tuple[int, ...]


class PlayedEngine:
    """Adds, steps and aborts as the engine does; tokens come from a rule in the place of a model."""

    def __init__(self, blocks: BlockManager | None = None, **settings: Any) -> None:
        self.config = EngineConfig(**{"block_size": 4, "num_blocks": 8, "watermark": 0.0, **settings})
        assert self.config.num_blocks is not None
        self.blocks = blocks or BlockManager(
            self.config.num_blocks,
            self.config.block_size,
            enable_prefix_caching=self.config.enable_prefix_caching,
            num_host_blocks=self.config.num_host_blocks,
        )
        self.num_slots = self.config.num_blocks * self.config.block_size
        self.scheduler = Scheduler(self.config, self.blocks, self.config.num_blocks)
        self.requests: dict[str, Request] = {}
        self.ended: dict[str, Request] = {}
        self.now = 0.0
        self._pool: dict[tuple[int, int], Content] = {}
        self._host: dict[tuple[int, int], Content] = {}
        self._keys: dict[str, tuple[float, int, int]] = {}

    def add(
        self,
        name: str,
        prompt: int | Sequence[int],
        *,
        num_new: int = 1000,
        n: int = 1,
        priority: int = 0,
        params: SamplingParams | None = None,
    ) -> Request:
        """Add a request, which ends after `num_new` tokens; a prompt given as a length is like no other."""
        tokens = [1000 * len(self._keys) + i for i in range(prompt)] if isinstance(prompt, int) else [*prompt]

        def sample(index: int) -> Request:
            return Request(
                request_id=f"{name}#{index}" if index else name,
                prompt_token_ids=tokens,
                params=params or SamplingParams(n=n),
                arrival_time=self.now,
                priority=priority,
                sample_index=index,
                max_length=len(tokens) + num_new,
            )

        family = [sample(index) for index in range(n)]
        family[0].siblings = tuple(family[1:])
        self.scheduler.add(family[0])
        self.requests |= {one.request_id: one for one in family}
        ages = self.config.scheduling_policy == "priority"
        urgency = self.now + priority * self.config.priority_aging_s if ages else 0.0
        number = len(self._keys)
        self._keys |= {one.request_id: (urgency, number, one.sample_index) for one in family}
        return family[0]

    def abort(self, name: str) -> None:
        """End a request and the siblings that wait for it."""
        self._finish(self.requests[name], FinishReason.ABORT)

    def step(self) -> StepPlan:
        """Schedule, check the plan, carry it out."""
        had_work, waited = bool(self.requests), [one.request_id for one in self.scheduler.waiting]
        self.now += 1.0
        plan = self.scheduler.schedule(self.now)
        self._check_plan(plan, had_work, waited)
        for name in plan.exhausted:
            assert self.requests[name].num_tokens == self.num_slots + 1
            self._finish(self.requests[name], FinishReason.LENGTH)
        self._forward(plan)
        self._advance(plan)
        self.check()
        return plan

    def run(self) -> int:
        """Step until nothing is left; return the number of steps, which must stay below a bound.

        The first running request is never preempted, and moves each step. A more urgent one may take its
        place, and then keeps it: at most two lives a request.
        """
        longest = max([1, *(min(one.max_length, self.num_slots) + 1 for one in self.requests.values())])
        bound, steps = len(self.requests) * (2 * longest + 1), 0
        while self.requests:
            self.step()
            steps += 1
            assert steps <= bound, f"not done after {bound} steps: {list(self.requests)}"
        stats = self.blocks.stats()
        assert (stats.used, stats.num_host_used) == (0, 0), "the pool is not whole"
        assert not self.scheduler.running
        assert not self.scheduler.waiting
        return steps

    def check(self) -> None:
        """Hold what must be true between two steps."""
        self.blocks.check_integrity()
        running, waiting = self.scheduler.running, self.scheduler.waiting
        for queue in (running, waiting):
            names = [one.request_id for one in queue]
            assert names == sorted(names, key=self._keys.__getitem__)
        assert {one.status for one in running} <= {RequestStatus.RUNNING}
        assert {one.status for one in waiting} <= {RequestStatus.WAITING, RequestStatus.PREEMPTED}
        unborn = {one.request_id for parent in self.requests.values() for one in parent.siblings}
        assert {one.request_id for one in (*running, *waiting)} == self.requests.keys() - unborn
        assert len(running) <= self.config.max_num_seqs
        assert not any(self.blocks.block_table(one.request_id) for one in waiting)
        for one in running:
            assert one.num_computed_tokens < one.num_tokens

    def _check_plan(self, plan: StepPlan, had_work: bool, waited: list[str]) -> None:
        names = [share.request_id for share in plan.scheduled]
        counts = [share.num_new_tokens for share in plan.scheduled]
        chunk = self.config.prefill_chunk_size or self.config.max_num_batched_tokens
        assert len(set(names)) == len(names), "a request stands in the plan twice"
        assert plan.num_tokens <= self.config.max_num_batched_tokens, "more than the budget"
        assert all(1 <= count <= chunk for count in counts)
        assert sorted(counts, key=lambda count: count > 1) == counts, "single tokens come first"
        assert not (plan.admitted and plan.preempted), "admitted in a step that preempted"
        assert list(plan.admitted) == waited[: len(plan.admitted)], "somebody was passed over"
        running = [one.request_id for one in self.scheduler.running]
        assert {*names} == {*running} - {*plan.exhausted}, "a running request got no token"
        assert names or plan.exhausted or not had_work, "no progress"
        if plan.preempted and running:
            assert max(map(self._keys.__getitem__, running)) < min(
                map(self._keys.__getitem__, plan.preempted)
            )
        for share in plan.scheduled:
            request = self.requests[share.request_id]
            assert share.num_computed_tokens == request.num_computed_tokens
            assert share.is_caught_up == (
                share.num_computed_tokens + share.num_new_tokens == request.num_tokens
            )

    def _forward(self, plan: StepPlan) -> None:
        for op in plan.block_ops:
            self._copy(op)
        for share in plan.scheduled:
            tokens = tuple(self.requests[share.request_id].token_ids())
            end = share.num_computed_tokens + share.num_new_tokens
            slots = self._slots(share.request_id, end)
            for position in range(share.num_computed_tokens, end):
                self._pool[slots[position]] = tokens[: position + 1]
        for share in plan.scheduled:
            tokens = tuple(self.requests[share.request_id].token_ids())
            end = share.num_computed_tokens + share.num_new_tokens
            for position, slot in enumerate(self._slots(share.request_id, end)):
                assert self._pool.get(slot) == tokens[: position + 1], f"{share} reads what is not its own"

    def _copy(self, op: BlockOp) -> None:
        source = self._host if op.kind == "swap_in" else self._pool
        target = self._host if op.kind == "swap_out" else self._pool
        for offset in range(self.config.block_size):
            content = source.get((op.source, offset))
            if content is not None:
                target[op.target, offset] = content

    def _slots(self, name: str, end: int) -> list[tuple[int, int]]:
        table, size = self.blocks.block_table(name), self.config.block_size
        return [(table[position // size], position % size) for position in range(end)]

    def _advance(self, plan: StepPlan) -> None:
        for share in plan.scheduled:
            request = self.requests[share.request_id]
            request.num_computed_tokens += share.num_new_tokens
            computed = request.num_computed_tokens
            self.blocks.cache_blocks(
                request.request_id, request.token_ids(0, computed), computed, request.cache_salt
            )
            if not share.is_caught_up:
                continue
            family = (request, *request.siblings)
            for sibling in request.siblings:
                self.blocks.fork(request.request_id, sibling.request_id)
                sibling.num_computed_tokens = computed
                self.scheduler.add_running(sibling)
            request.siblings = ()
            for one in family:
                # What comes next depends on all that came before, and on nothing else.
                one.output_token_ids.append((sum(one.token_ids()) + one.num_tokens + one.sample_index) % 7)
                if one.num_tokens >= one.max_length:
                    self._finish(one, FinishReason.LENGTH)

    def _finish(self, request: Request, reason: FinishReason) -> None:
        family, request.siblings = (request, *request.siblings), ()
        for one in family:
            self.scheduler.remove(one)
            one.finish(reason, self.now)
            self.ended[one.request_id] = self.requests.pop(one.request_id)


def shares(plan: StepPlan) -> dict[str, int]:
    """Return how many tokens each request computes, in the plan's order."""
    return {share.request_id: share.num_new_tokens for share in plan.scheduled}

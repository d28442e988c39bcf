"""The engine under everything at once, and that the machine which does it notices what it is there for."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from torch import Tensor

from cblab.attention.backends import get_backend
from cblab.core import prefix_cache
from cblab.core.block_manager import BlockAllocation, BlockManager
from cblab.core.engine import Engine
from cblab.core.errors import ForwardPassError, IntegrityError
from cblab.core.parts import Parts
from cblab.core.plan import BlockOp, StepPlan
from cblab.core.prefix_cache import Prefix, PrefixCache
from cblab.core.request import Request
from cblab.core.scheduler import Scheduler
from cblab.core.step import Step
from tests.core.engine_machine import SETUPS, WISHES, Setup, Wish, World, drive

# What must have happened in a run for it to have shown anything.
EVERYTHING = (
    "preemptions",
    "swaps",
    "prefix hits",
    "copies",
    "evictions",
    "later chunks",
    "exhaustions",
    "refusals",
    "failed steps",
    "aborts",
    "ended by stop",
    "ended by length",
    "ended by abort",
    "ended by error",
    *[trouble for trouble in dict.fromkeys(WISHES["trouble"]) if trouble],
)


def strategy(kind: Callable[..., Any], table: dict[str, Sequence[Any]]) -> st.SearchStrategy[Any]:
    return st.builds(kind, **{name: st.sampled_from(values) for name, values in table.items()})


class EngineMachine(RuleBasedStateMachine):
    """`World`'s things to do, in hypothesis' order."""

    world: World | None = None

    @initialize(setup=strategy(Setup, SETUPS))
    def start(self, setup: Setup) -> None:
        self.world = World(setup)

    @rule(wish=strategy(Wish, WISHES))
    def add(self, wish: Wish) -> None:
        assert self.world
        self.world.add(wish)

    @rule(wish=strategy(Wish, WISHES), which=st.integers(0, 7))
    def add_taken_id(self, wish: Wish, which: int) -> None:
        assert self.world
        self.world.add_taken_id(wish, which)

    @rule(which=st.integers(0, 7))
    def abort(self, which: int) -> None:
        assert self.world
        self.world.abort(which)

    @rule(times=st.integers(1, 5))
    def step(self, times: int) -> None:
        assert self.world
        for _ in range(times):
            self.world.step()

    @rule(when=st.sampled_from(("before", "after")))
    def fail_next(self, when: Any) -> None:
        assert self.world
        self.world.fail_next(when)

    @rule()
    def wait(self) -> None:
        assert self.world
        self.world.wait(2.0)

    @rule()
    def drain(self) -> None:
        assert self.world
        self.world.drain()

    def teardown(self) -> None:
        if self.world:
            self.world.drain()


TestEngineMachine = EngineMachine.TestCase
TestEngineMachine.settings = settings(max_examples=40, stateful_step_count=25)


def test_random_things_of_every_kind() -> None:
    counts = drive(seed=1, num_steps=1200)
    assert not [what for what in EVERYTHING if not counts[what]], counts


def test_who_is_swapped_out_in_a_step_that_computes_nothing_comes_back_as_it_was() -> None:
    """Two samples fill the pool; the second one ends there in a step that only preempts, the newcomer."""
    setup = Setup(
        num_blocks=4,
        block_size=2,
        prefix_caching=False,
        policy="fcfs",
        num_host_blocks=2,
        max_num_seqs=4,
        spare_budget=3,
        chunk=5,
        watermark=0.0,
    )
    first = {name: values[0] for name, values in WISHES.items()}
    world = World(setup)
    world.add(Wish(**{**first, "stem_length": 7, "n": 2, "greedy": False, "max_tokens": None}))
    world.step()
    world.step()
    world.add(Wish(**{**first, "stem_length": 4}))
    world.drain()
    assert any(plan.block_ops and not plan.scheduled for plan in world.watched.plans)


# Defects. Each is put into an engine, and the machine must say what is wrong with it.


class StalePrefixCache(PrefixCache):
    """Evicts a block and leaves its hash behind."""

    def evict(self) -> int:
        block_id, _ = self._evictable.popitem(last=False)
        return block_id


class StaleHashes(BlockManager):
    def __init__(self, num_blocks: int, block_size: int, **options: Any) -> None:
        super().__init__(num_blocks, block_size, **options)
        self._cache = StalePrefixCache(block_size)


class ForgottenCopies(BlockManager):
    """Gives a forked sequence a block of its own, and nobody copies what was in the shared one."""

    def allocate_slots(self, *args: Any, **options: Any) -> BlockAllocation | None:
        allocation = super().allocate_slots(*args, **options)
        return allocation and BlockAllocation(allocation.new_blocks)


class SharedWrites(BlockManager):
    """Lets both owners of a partly filled block write to it."""

    def _last_block_is_shared(self, sequence: Any) -> bool:
        return False


class MixedUpSwaps(BlockManager):
    """Brings the blocks of a table back in another order."""

    def swap_in(self, request_id: str, *, keep_free: int = 0) -> list[BlockOp] | None:
        ops = super().swap_in(request_id, keep_free=keep_free)
        sources = [op.source for op in ops or ()][::-1]
        return ops and [BlockOp(op.kind, source, op.target) for op, source in zip(ops, sources, strict=True)]


class IgnoredSalts(BlockManager):
    """Lets requests find the blocks of strangers."""

    def get_computed_blocks(self, token_ids: Sequence[int], salt: str = "") -> list[int]:
        return super().get_computed_blocks(token_ids)

    def cache_blocks(
        self, request_id: str, token_ids: Sequence[int], num_computed: int, salt: str = ""
    ) -> None:
        super().cache_blocks(request_id, token_ids, num_computed)


class AdmitsAlways(Scheduler):
    """Admits in a step that has preempted."""

    def schedule(self, now: float) -> StepPlan:
        plan = super().schedule(now)
        if not plan.preempted:
            return plan
        more = super().schedule(now)
        return StepPlan(plan.scheduled, plan.block_ops + more.block_ops, more.admitted, plan.preempted)


class LastInFirstOut(Scheduler):
    """Serves whoever came last."""

    def _key(self, request: Request) -> tuple[float, int, int]:
        urgency, arrival, index = super()._key(request)
        return urgency, -arrival, index


class ForgetsToFree(Scheduler):
    """Ends a request and keeps its blocks."""

    def remove(self, request: Request) -> None:
        blocks, self._blocks = self._blocks, BlockManager(1, 1)
        super().remove(request)
        self._blocks = blocks


def decode_without_itself(
    q: Tensor, kv: Any, block_tables: Tensor, context_lens: Tensor, spec: Any
) -> Tensor:
    """A decode that does not see its own key."""
    decode = get_backend("torch", q.device).decode
    return decode(q, kv, block_tables, (context_lens - 1).clamp(min=1), spec)


# Name -> (the part that has it, what the machine says: a defect may be noticed at more than one place).
DEFECTS = {
    "a hash outlives its block": (Parts(block_manager=StaleHashes), "cached"),
    "a copied block is not copied": (Parts(block_manager=ForgottenCopies), "logits"),
    "two samples write to one block": (Parts(block_manager=SharedWrites), "logits|cached|of another"),
    "swapped blocks are mixed up": (Parts(block_manager=MixedUpSwaps), "logits|close"),
    "salts are ignored": (Parts(block_manager=IgnoredSalts), "share blocks"),
    "a step that preempts admits": (Parts(scheduler=AdmitsAlways), "admits nobody"),
    "the last comes first": (Parts(scheduler=LastInFirstOut), "overtakes"),
    "blocks are not freed": (Parts(scheduler=ForgetsToFree), "in use|has ended by length"),
    "a decode misses its own key": (Parts(paged_decode=decode_without_itself), "logits"),
}
NOTICED = (AssertionError, IntegrityError, ForwardPassError)


@pytest.mark.parametrize("defect", DEFECTS)
def test_the_machine_notices_that(defect: str) -> None:
    parts, message = DEFECTS[defect]
    with pytest.raises(NOTICED, match=message):
        drive(seed=2, num_steps=5000, parts=lambda: parts)


def test_the_machine_notices_that_a_prefix_is_found_by_its_last_block_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def make(num_blocks: int, block_size: int, **options: Any) -> BlockManager:
        def hash_function(before: object, token_ids: tuple[int, ...]) -> int:
            return hash(token_ids)

        return BlockManager(num_blocks, block_size, hash_function=hash_function, **options)

    def is_same(one: Prefix, two: Prefix) -> bool:
        return (one.token_ids, one.salt) == (two.token_ids, two.salt)

    monkeypatch.setattr(prefix_cache, "is_same_prefix", is_same)
    with pytest.raises(NOTICED, match=r"logits|cached"):
        drive(seed=2, num_steps=5000, parts=lambda: Parts(block_manager=make))


def test_the_machine_notices_that_a_failed_step_is_counted_as_computed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fail = Engine._fail

    def cache_and_fail(engine: Engine, step: Step, error: BaseException) -> None:
        for one in step.plan.scheduled:
            request, after = engine.requests[one.request_id], one.num_computed_tokens + one.num_new_tokens
            engine.block_manager.cache_blocks(
                one.request_id, request.token_ids(0, after), after, request.cache_salt
            )
        fail(engine, step, error)

    monkeypatch.setattr(Engine, "_fail", cache_and_fail)
    with pytest.raises(NOTICED, match="logits"):
        drive(seed=2, num_steps=5000)

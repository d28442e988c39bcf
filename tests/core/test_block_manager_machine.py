"""Random lives of a block manager against a memory that is really written, copied and read.

A slot of the simulated memory holds what keys and values depend on: the salt and all tokens up to its own.
Whatever the manager does, each request must read its own history through its table, each cached block must
keep the content under which it was cached, and each hit must be that content. Copies are carried out at once
and in order, writes at the end of a step, as in the engine.
"""

import math
from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from cblab.core.block_manager import BlockEvent, BlockManager
from cblab.core.plan import BlockOp
from cblab.core.prefix_cache import HashFunction, hash_block

Slot = tuple[str, tuple[int, ...]] | None
HASHES: dict[str, HashFunction] = {
    "good": hash_block,
    "poor": lambda before, token_ids: hash((before, token_ids)) % 3,
    "constant": lambda before, token_ids: 7,
}

# Few different beginnings, so that many prompts begin alike.
token_lists = st.builds(
    lambda start, length, tail: ([0, 1] * 6 if start else [0] * 12)[:length] + tail,
    st.booleans(),
    st.integers(0, 9),
    st.lists(st.integers(0, 1), min_size=1, max_size=3),
)
salts = st.sampled_from(["", "ann"])
picks = st.integers(0, 1000)
margins = st.sampled_from([0, 0, 0, 1, 2])


@dataclass
class Life:
    """What the engine knows of a request."""

    tokens: list[int]
    salt: str
    num_computed: int = 0
    num_slots: int = 0
    host_blocks: list[int] = field(default_factory=list)

    def slot(self, position: int) -> Slot:
        return self.salt, tuple(self.tokens[: position + 1])


class Memory(RuleBasedStateMachine):
    """The manager, the memory that it manages, and the requests that use it."""

    @initialize(
        num_blocks=st.sampled_from([3, 5, 8, 12, 16]),
        block_size=st.sampled_from([2, 3, 1, 4]),
        num_host_blocks=st.sampled_from([0, 4, 8]),
        caching=st.sampled_from([True, True, True, False]),
        hash_name=st.sampled_from(["good", "good", "poor", "constant"]),
    )
    def start(
        self, num_blocks: int, block_size: int, num_host_blocks: int, caching: bool, hash_name: str
    ) -> None:
        self.manager = BlockManager(
            num_blocks,
            block_size,
            enable_prefix_caching=caching,
            num_host_blocks=num_host_blocks,
            hash_function=HASHES[hash_name],
        )
        self.manager.on_event = self.hear
        self.hash_is_good = hash_name == "good"
        self.num_blocks, self.block_size = num_blocks, block_size
        self.memory: list[list[Slot]] = [[None] * block_size for _ in range(num_blocks)]
        self.host: list[list[Slot]] = [[None] * block_size for _ in range(num_host_blocks)]
        self.lives: dict[str, Life] = {}
        self.held: set[int] = set()  # by the events
        self.cached: dict[int, list[Slot]] = {}  # by the events
        self.num_born = 0
        self.seen: Counter[str] = Counter()

    # What the rules are made of.

    def hear(self, event: BlockEvent) -> None:
        block_id = event.block_id
        self.seen[event.kind] += 1
        if event.kind == "allocate":
            assert block_id not in self.held
            assert block_id not in self.cached
            self.held.add(block_id)
        elif event.kind == "free":
            self.held.remove(block_id)
        elif event.kind == "hit":
            assert block_id in self.cached
            self.held.add(block_id)
        elif event.kind == "cache":
            assert block_id not in self.cached
            self.cached[block_id] = list(self.memory[block_id])
        elif event.kind == "evict":
            assert block_id not in self.held
            assert len(self.held | set(self.cached)) == self.num_blocks, "evicted while a block was free"
            del self.cached[block_id]

    def carry_out(self, ops: tuple[BlockOp, ...] | list[BlockOp]) -> None:
        for op in ops:
            if op.kind == "copy":
                self.memory[op.target] = list(self.memory[op.source])
            elif op.kind == "swap_out":
                self.host[op.target] = list(self.memory[op.source])
            else:
                self.memory[op.target] = list(self.host[op.source])

    def read(self, table: tuple[int, ...], num_tokens: int) -> list[Slot]:
        return [slot for block_id in table for slot in self.memory[block_id]][:num_tokens]

    def expected_hit(self, tokens: list[int], salt: str) -> int:
        """Return how many blocks of a prompt are cached, its last token excepted."""
        findable = {content[-1] for content in self.cached.values()}
        life, num_hits = Life(tokens, salt), 0
        while (num_hits + 1) * self.block_size < len(tokens):
            if life.slot((num_hits + 1) * self.block_size - 1) not in findable:
                break
            num_hits += 1
        return num_hits

    def new_id(self) -> str:
        self.num_born += 1
        return f"r{self.num_born}"

    def pick(self, number: int, *, swapped: bool = False) -> tuple[str, Life]:
        names = [name for name, life in self.lives.items() if bool(life.host_blocks) == swapped]
        name = names[number % len(names)]
        return name, self.lives[name]

    def any_in_pool(self) -> bool:
        return any(not life.host_blocks for life in self.lives.values())

    def any_swapped(self) -> bool:
        return any(life.host_blocks for life in self.lives.values())

    def state(self) -> str:
        parts: tuple[Any, ...] = (self.manager, self.manager._cache)
        known = [item for part in parts for item in vars(part).items()]
        return repr([(name, value) for name, value in known if name != "_cache"])

    def allocate(self, name: str, life: Life, num_tokens: int, computed: list[int], keep_free: int) -> bool:
        """Ask for slots, and judge by the tables alone whether there had to be room."""
        tables = {other: self.manager.block_table(other) for other in self.lives if other != name}
        others = Counter(block_id for table in tables.values() for block_id in table)
        table = self.manager.block_table(name) or tuple(computed)
        num_new = math.ceil(num_tokens / self.block_size) - len(table)
        is_copied = life.num_slots % self.block_size and num_tokens > life.num_slots and others[table[-1]]
        num_revived = sum(block_id not in others for block_id in computed)
        num_taken = num_new + bool(is_copied) + num_revived
        room = self.num_blocks - len(self.held) - keep_free
        is_refused = num_taken > max(0, room)
        before = self.state() if is_refused else ""
        allocation = self.manager.allocate_slots(name, num_tokens, computed, keep_free=keep_free)
        if is_refused:
            assert allocation is None
            assert self.state() == before
            self.seen["refused"] += 1
            return False
        assert allocation is not None
        assert len(allocation.new_blocks) == num_new
        assert len(allocation.block_ops) == bool(is_copied)
        self.carry_out(allocation.block_ops)
        life.num_slots = num_tokens
        return True

    # What can happen.

    @rule(tokens=token_lists, salt=salts, share=st.integers(1, 10), keep_free=margins)
    def admit(self, tokens: list[int], salt: str, share: int, keep_free: int) -> None:
        life = Life(tokens, salt)
        computed = self.manager.get_computed_blocks(tokens, salt)
        num_cached = len(computed) * self.block_size
        assert self.read(tuple(computed), num_cached) == [life.slot(one) for one in range(num_cached)]
        expected = self.expected_hit(tokens, salt)
        assert len(computed) == expected if self.hash_is_good else len(computed) <= expected
        name = self.new_id()
        num_tokens = min(num_cached + share, len(tokens))
        if self.allocate(name, life, num_tokens, computed, keep_free):
            life.num_computed = num_cached
            self.lives[name] = life

    @precondition(any_in_pool)
    @rule(number=picks, more=token_lists, share=st.integers(0, 10))
    def grow(self, number: int, more: list[int], share: int) -> None:
        name, life = self.pick(number)
        if life.num_slots == len(life.tokens):
            life.tokens = life.tokens + more  # a fork's list stays its own
        self.allocate(name, life, min(life.num_slots + share, len(life.tokens)), [], 0)

    @rule(decodes=st.booleans(), is_cached=st.sampled_from([True, True, False]))
    def step(self, decodes: bool, is_cached: bool) -> None:
        """Let who has caught up go on by a token; write all tokens that have slots; cache, or later."""
        for name, life in self.lives.items():
            if decodes and not life.host_blocks and life.num_computed == len(life.tokens):
                life.tokens = [*life.tokens, self.num_born % 2]
                self.allocate(name, life, len(life.tokens), [], 0)
        for name, life in self.lives.items():
            if not life.host_blocks:
                table = self.manager.block_table(name)
                for position in range(life.num_computed, life.num_slots):
                    block, offset = divmod(position, self.block_size)
                    self.memory[table[block]][offset] = life.slot(position)
                life.num_computed = life.num_slots
        for name, life in self.lives.items():
            if is_cached and not life.host_blocks:
                self.manager.cache_blocks(name, life.tokens, life.num_computed, life.salt)

    @precondition(any_in_pool)
    @rule(number=picks, more=token_lists)
    def fork(self, number: int, more: list[int]) -> None:
        name, life = self.pick(number)
        if life.num_computed == life.num_slots:
            child = self.new_id()
            self.manager.fork(name, child)
            assert self.manager.block_table(child) == self.manager.block_table(name)
            known = life.tokens[: life.num_slots] + more
            self.lives[child] = Life(known, life.salt, life.num_computed, life.num_slots)
            self.allocate(child, self.lives[child], life.num_slots + 1, [], 0)
            self.seen["fork"] += 1

    @precondition(lambda self: len(self.lives) > 1)
    @rule(number=picks)
    def free(self, number: int) -> None:
        name = list(self.lives)[number % len(self.lives)]
        self.manager.free(name)
        del self.lives[name]

    @precondition(any_in_pool)
    @rule(number=picks)
    def swap_out(self, number: int) -> None:
        name, life = self.pick(number)
        table, before = self.manager.block_table(name), self.state()
        room = len(self.host) - sum(len(one.host_blocks) for one in self.lives.values())
        ops = self.manager.swap_out(name)
        if len(table) > room:
            assert ops is None
            assert self.state() == before
            return
        assert ops is not None
        assert tuple(op.source for op in ops) == table
        life.host_blocks = [op.target for op in ops]
        self.carry_out(ops)

    @precondition(any_swapped)
    @rule(number=picks, keep_free=margins)
    def swap_in(self, number: int, keep_free: int) -> None:
        name, life = self.pick(number, swapped=True)
        room, before = self.num_blocks - len(self.held) - keep_free, self.state()
        ops = self.manager.swap_in(name, keep_free=keep_free)
        if len(life.host_blocks) > room:
            assert ops is None
            assert self.state() == before
            return
        assert ops is not None
        assert [op.source for op in ops] == life.host_blocks
        self.carry_out(ops)
        life.host_blocks = []

    # What must always hold.

    @invariant()
    def the_books_balance(self) -> None:
        self.manager.check_integrity()
        stats = self.manager.stats()
        cached_only = set(self.cached) - self.held
        assert (stats.used, stats.cached) == (len(self.held), len(cached_only))
        assert stats.used + stats.free + stats.cached == self.num_blocks
        assert stats.num_host_used == sum(len(life.host_blocks) for life in self.lives.values())

    @invariant()
    def everybody_reads_back_what_it_wrote(self) -> None:
        for name, life in self.lives.items():
            expected: list[Slot] = [life.slot(position) for position in range(life.num_computed)]
            if life.host_blocks:
                stored = [slot for block_id in life.host_blocks for slot in self.host[block_id]]
                assert stored[: life.num_computed] == expected, name
            else:
                assert self.read(self.manager.block_table(name), life.num_computed) == expected, name

    @invariant()
    def cached_blocks_never_change(self) -> None:
        for block_id, content in self.cached.items():
            assert self.memory[block_id] == content
            assert None not in content

    def teardown(self) -> None:
        for name in getattr(self, "lives", ()):
            self.manager.free(name)
        if hasattr(self, "manager"):
            self.manager.check_integrity()
            stats = self.manager.stats()
            assert (stats.used, stats.num_host_used, stats.wasted_slots) == (0, 0, 0)


def test_whatever_happens_everybody_reads_back_what_it_wrote() -> None:
    run_state_machine_as_test(Memory, settings=settings(max_examples=40, stateful_step_count=40))


def live(seed: int, num_steps: int) -> Counter[str]:
    """Lead one long life, chosen by a seed, and return what has happened in it."""
    random = Random(seed)
    memory = Memory()
    memory.start(
        num_blocks=random.randint(4, 16),
        block_size=random.randint(1, 4),
        num_host_blocks=random.choice([0, 6, 12]),
        caching=random.random() < 0.9,
        hash_name=random.choice(["good", "good", "poor", "constant"]),
    )

    def prompt() -> list[int]:
        start = random.choice([[0, 1] * 6, [0] * 12])
        return start[: random.randint(0, 9)] + random.choices([0, 1], k=random.randint(1, 3))

    def number() -> int:
        return random.randrange(1000)

    for _ in range(num_steps):
        choices: list[Callable[[], object]] = [
            lambda: memory.step(random.random() < 0.8, random.random() < 0.8),
            lambda: memory.admit(
                prompt(), random.choice(["", "", "ann"]), number() % 12 + 1, number() % 20 // 18
            ),
        ]
        if memory.any_in_pool():
            choices += [
                lambda: memory.grow(number(), prompt(), number() % 6),
                lambda: memory.fork(number(), prompt()),
                lambda: memory.swap_out(number()),
            ]
        if memory.any_swapped():
            choices += [lambda: memory.swap_in(number(), 0)]
        if memory.lives:
            choices += [lambda: memory.free(number())]
        random.choice(choices + choices[:1] * 2)()
        memory.the_books_balance()
        memory.everybody_reads_back_what_it_wrote()
        memory.cached_blocks_never_change()
    memory.teardown()
    return memory.seen


def test_long_lives_see_all_that_can_happen() -> None:
    """The same lives in each run: what they have met can be counted on."""
    seen: Counter[str] = Counter()
    for seed in range(60):
        seen += live(seed, 100)
    expected = {"allocate", "free", "cache", "hit", "evict", "copy", "swap_out", "swap_in", "fork", "refused"}
    assert {kind for kind in expected if seen[kind] >= 50} == expected


def test_a_slot_depends_on_all_that_is_before_it() -> None:
    """The simulated memory can tell apart what a wrong hit would mix up."""
    contents: set[Hashable] = {
        Life([1, 2, 3], "").slot(2),
        Life([0, 2, 3], "").slot(2),
        Life([1, 2, 3], "ann").slot(2),
    }
    assert len(contents) == 3

"""Exact block ids, free order, eviction order, hash reuse, copies, swaps and figures of the block manager."""

import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import pytest

import cblab.core.block_manager
from cblab.core.block_manager import BlockAllocation, BlockEvent, BlockManager
from cblab.core.errors import IntegrityError
from cblab.core.parts import BlockManagerPart
from cblab.core.plan import BlockOp

BLOCK = 4


def tokens(*first_of_blocks: int) -> list[int]:
    """Full blocks that begin with these tokens, and one token behind them."""
    return [one for first in first_of_blocks for one in (first, 0, 0, 0)] + [99]


def make(num_blocks: int = 8, **options: Any) -> BlockManager:
    return BlockManager(num_blocks, BLOCK, **options)


def run(manager: BlockManager, request_id: str, token_ids: Sequence[int], salt: str = "") -> tuple[int, ...]:
    """Admit a request, compute all its tokens and cache them; return its table."""
    computed = manager.get_computed_blocks(token_ids, salt)
    assert manager.allocate_slots(request_id, len(token_ids), computed) is not None
    manager.cache_blocks(request_id, token_ids, len(token_ids), salt)
    manager.check_integrity()
    return manager.block_table(request_id)


def state(manager: BlockManager) -> dict[str, str]:
    """Everything that a manager remembers, down to the order in which blocks are free or evicted."""
    return {
        name: repr(value)
        for part in (manager, manager._cache)
        for name, value in vars(part).items()
        if name not in ("_cache", "_hash")
    }


def counts(manager: BlockManager) -> tuple[int, int, int]:
    stats = manager.stats()
    assert stats.used + stats.free + stats.cached == stats.num_blocks
    return stats.used, stats.free, stats.cached


# Allocating and freeing.


def test_blocks_are_given_out_in_order_and_only_as_many_as_are_needed() -> None:
    manager = make()
    assert manager.allocate_slots("a", 5) == BlockAllocation((0, 1), ())
    assert manager.allocate_slots("b", 4) == BlockAllocation((2,), ())
    assert manager.allocate_slots("a", 8) == BlockAllocation((), ())
    assert manager.allocate_slots("a", 9) == BlockAllocation((3,), ())
    assert manager.allocate_slots("a", 9) == BlockAllocation((), ())
    assert (manager.block_table("a"), manager.block_table("b")) == ((0, 1, 3), (2,))
    assert manager.block_table("nobody") == ()
    manager.check_integrity()


def test_freed_blocks_go_to_the_end_of_the_queue_the_tail_of_a_table_first() -> None:
    manager = make(6)
    manager.allocate_slots("a", 12)
    manager.allocate_slots("b", 4)
    manager.free("a")
    manager.free("b")
    assert manager.allocate_slots("c", 24) == BlockAllocation((4, 5, 2, 1, 0, 3), ())
    manager.free("nobody")
    manager.check_integrity()


def test_without_room_nothing_at_all_changes() -> None:
    manager = make(4)
    run(manager, "a", tokens(1, 2))
    manager.free("a")
    run(manager, "b", [7])
    before = state(manager)
    computed = [0, 1]
    assert manager.allocate_slots("c", 17, computed) is None
    assert manager.allocate_slots("c", 13, computed, keep_free=1) is None
    assert manager.allocate_slots("b", 17) is None
    assert manager.swap_out("b") is None
    assert state(manager) == before


def test_the_watermark_keeps_blocks_for_those_that_run() -> None:
    manager = make(4)
    assert manager.allocate_slots("a", 9, keep_free=2) is None
    assert manager.allocate_slots("a", 8, keep_free=2) == BlockAllocation((0, 1), ())
    assert manager.allocate_slots("b", 1, keep_free=2) is None
    assert manager.allocate_slots("b", 1) == BlockAllocation((2,), ())
    # Growing inside its last block takes nothing, and needs nothing to be left.
    assert manager.allocate_slots("b", 4, keep_free=4) == BlockAllocation((), ())


def test_cached_blocks_count_as_room() -> None:
    manager = make(4)
    run(manager, "a", tokens(1, 2))
    manager.free("a")
    assert counts(manager) == (0, 2, 2)
    assert manager.num_available == 4
    assert manager.allocate_slots("b", 9, keep_free=1) == BlockAllocation((3, 2, 1), ())


# The prefix cache.


def test_a_prefix_is_shared_and_its_last_token_always_computed() -> None:
    manager = make()
    assert run(manager, "a", tokens(1, 2)) == (0, 1, 2)
    assert manager.get_computed_blocks(tokens(1, 2)) == [0, 1]
    assert manager.get_computed_blocks(tokens(1, 2)[:8]) == [0]
    assert manager.get_computed_blocks(tokens(1, 3)) == [0]
    assert manager.get_computed_blocks(tokens(2)) == []
    assert manager.allocate_slots("b", 9, [0, 1]) == BlockAllocation((3,), ())
    assert manager.block_table("b") == (0, 1, 3)
    assert manager.allocate_slots("c", 5, [0]) == BlockAllocation((4,), ())
    assert counts(manager) == (5, 3, 0)
    manager.check_integrity()


def test_only_full_blocks_of_computed_tokens_can_be_found() -> None:
    manager = make()
    prompt = tokens(1, 2, 3)
    manager.allocate_slots("a", 12)
    assert manager.get_computed_blocks(prompt) == []
    manager.cache_blocks("a", prompt, 3)
    assert manager.get_computed_blocks(prompt) == []
    manager.cache_blocks("a", prompt, 7)
    assert manager.get_computed_blocks(prompt) == [0]
    manager.cache_blocks("a", prompt, 12)
    assert manager.get_computed_blocks(prompt) == [0, 1, 2]
    manager.check_integrity()


def test_salts_keep_prefixes_apart() -> None:
    manager = make(salt="model")
    run(manager, "a", tokens(1), "ann")
    assert manager.get_computed_blocks(tokens(1), "ann") == [0]
    assert manager.get_computed_blocks(tokens(1), "bob") == []
    assert manager.get_computed_blocks(tokens(1)) == []


def test_a_hash_function_that_hashes_all_alike_costs_hits_but_gives_no_wrong_one() -> None:
    manager = make(hash_function=lambda before, token_ids: 7)
    run(manager, "a", tokens(1, 2))
    assert manager.get_computed_blocks(tokens(1, 2)) == [0]
    assert manager.get_computed_blocks(tokens(3, 2)) == []
    assert manager.get_computed_blocks(tokens(1), "salt") == []
    assert run(manager, "b", tokens(3, 2)) == (3, 4, 5)
    manager.free("a")
    manager.free("b")
    assert counts(manager) == (0, 7, 1)
    manager.check_integrity()


def test_two_requests_that_compute_the_same_keep_their_own_blocks() -> None:
    manager = make(4)
    manager.allocate_slots("a", 5)
    manager.allocate_slots("b", 5)
    for request_id in ("a", "b"):
        manager.cache_blocks(request_id, tokens(1), 5)
    assert (manager.block_table("a"), manager.block_table("b")) == ((0, 1), (2, 3))
    manager.check_integrity()
    manager.free("b")  # never entered: straight to the free blocks
    assert counts(manager) == (2, 2, 0)
    assert manager.allocate_slots("c", 8) == BlockAllocation((3, 2), ())
    assert manager.get_computed_blocks(tokens(1)) == [0]


def test_blocks_behind_a_shared_content_are_found_through_the_block_that_was_first() -> None:
    manager = make()
    manager.allocate_slots("a", 5)
    manager.allocate_slots("b", 9)
    manager.cache_blocks("a", tokens(1), 5)
    manager.cache_blocks("b", tokens(1, 2), 9)
    assert manager.get_computed_blocks(tokens(1, 2)) == [0, 3]
    assert manager.allocate_slots("c", 9, [0, 3]) == BlockAllocation((5,), ())
    manager.check_integrity()


def test_the_prefix_cache_can_be_switched_off() -> None:
    manager = make(enable_prefix_caching=False)
    run(manager, "a", tokens(1, 2))
    assert manager.get_computed_blocks(tokens(1, 2)) == []
    manager.free("a")
    assert counts(manager) == (0, 8, 0)
    assert manager.stats().hits == 0


# Eviction.


def test_free_blocks_go_first_then_the_oldest_release_tails_before_heads() -> None:
    manager = make(7)
    run(manager, "a", tokens(1, 2))  # 0 1 and 2, partly filled
    run(manager, "b", tokens(3, 4))  # 3 4 and 5
    manager.free("b")
    manager.free("a")
    assert counts(manager) == (0, 3, 4)
    assert manager.allocate_slots("c", 28) == BlockAllocation((6, 5, 2, 4, 3, 1, 0), ())
    assert manager.stats().evictions == 4
    manager.check_integrity()


def test_a_prefix_loses_its_tail_and_keeps_its_head() -> None:
    manager = make(4)
    run(manager, "a", tokens(1, 2, 3))
    manager.free("a")
    manager.allocate_slots("b", 8)
    assert manager.block_table("b") == (3, 2)
    assert manager.get_computed_blocks(tokens(1, 2, 3)) == [0, 1]
    manager.check_integrity()


def test_a_hit_makes_a_block_the_last_to_be_evicted_but_a_lookup_does_not() -> None:
    manager = make(4)
    run(manager, "a", tokens(1))  # 0 1
    run(manager, "b", tokens(2))  # 2 3
    manager.free("a")
    manager.free("b")
    assert manager.get_computed_blocks(tokens(1)) == [0]
    assert list(manager._cache.evictable()) == [0, 2]
    run(manager, "c", tokens(1))
    manager.free("c")
    assert list(manager._cache.evictable()) == [2, 0]
    assert manager.allocate_slots("d", 12) == BlockAllocation((3, 1, 2), ())


def test_an_evicted_block_is_not_found_any_more_and_can_be_cached_anew() -> None:
    manager = make(2)
    run(manager, "a", tokens(1))
    manager.free("a")
    manager.allocate_slots("b", 8)
    assert manager.block_table("b") == (1, 0)
    assert manager.get_computed_blocks(tokens(1)) == []
    manager.cache_blocks("b", tokens(5, 6), 8)
    assert manager.get_computed_blocks(tokens(1)) == []
    assert manager.get_computed_blocks(tokens(5, 6)) == [1, 0]
    manager.check_integrity()


def test_a_request_does_not_evict_the_blocks_that_it_was_promised() -> None:
    manager = make(3)
    run(manager, "a", tokens(1, 2))
    manager.free("a")
    run(manager, "b", [7])  # takes the only free block
    manager.free("b")
    run(manager, "c", [8])
    assert counts(manager) == (1, 0, 2)
    computed = manager.get_computed_blocks(tokens(1, 2)[:6])
    assert computed == [0]
    assert manager.allocate_slots("d", 6, computed) == BlockAllocation((1,), ())
    assert manager.block_table("d") == (0, 1)
    manager.check_integrity()


def test_promised_blocks_that_nobody_holds_are_no_room_for_new_ones() -> None:
    manager = make(2)
    run(manager, "a", tokens(1, 2)[:8])
    manager.free("a")
    computed = manager.get_computed_blocks(tokens(1, 2))
    assert (computed, manager.num_available) == ([0, 1], 2)
    assert manager.allocate_slots("b", 9, computed) is None
    assert manager.allocate_slots("b", 8, computed[:1]) == BlockAllocation((1,), ())


def test_promised_blocks_that_somebody_holds_take_no_room() -> None:
    manager = make(4)
    run(manager, "a", tokens(1, 2))
    assert manager.num_available == 1
    assert manager.allocate_slots("b", 9, [0, 1]) == BlockAllocation((3,), ())


def test_a_block_lost_to_eviction_in_between_is_refused() -> None:
    manager = make(2)
    run(manager, "a", tokens(1))
    manager.free("a")
    computed = manager.get_computed_blocks(tokens(1))
    manager.allocate_slots("b", 8)
    with pytest.raises(ValueError, match="computed block 0 of request 'c' is not cached"):
        manager.allocate_slots("c", 5, computed)


# Forks and copies.


def test_a_fork_shares_all_blocks_and_the_first_writer_copies_the_last_one() -> None:
    manager = make()
    run(manager, "a", tokens(1))
    manager.fork("a", "b")
    manager.fork("a", "c")
    assert manager.block_table("b") == manager.block_table("c") == (0, 1)
    assert counts(manager) == (2, 6, 0)
    assert manager.allocate_slots("b", 6) == BlockAllocation((), (BlockOp("copy", 1, 2),))
    assert manager.allocate_slots("a", 6) == BlockAllocation((), (BlockOp("copy", 1, 3),))
    assert manager.allocate_slots("c", 6) == BlockAllocation((), ())  # the last owner keeps the original
    assert [manager.block_table(one) for one in "abc"] == [(0, 3), (0, 2), (0, 1)]
    assert manager.stats().copies == 2
    manager.check_integrity()


def test_a_copy_comes_before_new_blocks() -> None:
    manager = make()
    run(manager, "a", tokens(1))
    manager.fork("a", "b")
    assert manager.allocate_slots("b", 13) == BlockAllocation((3, 4), (BlockOp("copy", 1, 2),))
    assert manager.block_table("b") == (0, 2, 3, 4)


def test_a_full_last_block_is_shared_for_ever() -> None:
    manager = make()
    run(manager, "a", tokens(1, 2)[:8])
    manager.fork("a", "b")
    assert manager.allocate_slots("b", 9) == BlockAllocation((2,), ())
    assert manager.allocate_slots("a", 9) == BlockAllocation((3,), ())
    assert (manager.block_table("a"), manager.block_table("b")) == ((0, 1, 3), (0, 1, 2))
    assert manager.stats().copies == 0


def test_a_writer_whose_fellow_owner_has_gone_copies_nothing() -> None:
    manager = make()
    run(manager, "a", tokens(1))
    manager.fork("a", "b")
    manager.free("a")
    assert manager.allocate_slots("b", 6) == BlockAllocation((), ())
    assert manager.block_table("b") == (0, 1)


def test_who_writes_nothing_copies_nothing() -> None:
    manager = make()
    run(manager, "a", tokens(1))
    manager.fork("a", "b")
    assert manager.allocate_slots("b", 5) == BlockAllocation((), ())
    assert manager.block_table("b") == (0, 1)


def test_a_copy_needs_a_block_and_the_last_owner_none() -> None:
    manager = make(2)
    run(manager, "a", tokens(1))
    manager.fork("a", "b")
    before = state(manager)
    assert manager.allocate_slots("b", 6) is None
    assert state(manager) == before
    manager.free("b")
    assert manager.allocate_slots("a", 6) == BlockAllocation((), ())


def test_forks_outlive_their_parent_and_are_found_by_the_tokens_of_their_own() -> None:
    manager = make()
    run(manager, "a", tokens(1))
    manager.fork("a", "b")
    manager.free("a")
    manager.allocate_slots("b", 9)
    manager.cache_blocks("b", tokens(1, 2), 9)
    assert manager.block_table("b") == (0, 1, 2)
    assert manager.get_computed_blocks(tokens(1, 2)) == [0, 1]
    manager.free("b")
    assert counts(manager) == (0, 6, 2)
    manager.check_integrity()


def test_a_block_that_two_forks_cache_is_entered_once() -> None:
    manager = make()
    manager.allocate_slots("a", 8)
    manager.fork("a", "b")
    events = listen(manager)
    manager.cache_blocks("a", tokens(1, 2), 8)
    manager.cache_blocks("b", tokens(1, 2), 8)
    assert events == [BlockEvent("cache", 0, "a"), BlockEvent("cache", 1, "a")]
    manager.free("a")
    manager.free("b")
    assert counts(manager) == (0, 6, 2)
    manager.check_integrity()


# Host memory.


def test_swapping_out_and_in_moves_every_block_in_order() -> None:
    manager = make(4, num_host_blocks=5, enable_prefix_caching=False)
    manager.allocate_slots("a", 9)
    assert manager.swap_out("a") == [BlockOp("swap_out", block, block) for block in (0, 1, 2)]
    assert manager.block_table("a") == ()
    assert (counts(manager), manager.stats().num_host_used) == ((0, 4, 0), 3)
    manager.check_integrity()
    manager.allocate_slots("b", 4)
    assert manager.swap_out("b") == [BlockOp("swap_out", 3, 3)]
    assert manager.swap_in("a") == [
        BlockOp("swap_in", host, block) for host, block in ((0, 2), (1, 1), (2, 0))
    ]
    assert manager.block_table("a") == (2, 1, 0)
    assert manager.allocate_slots("a", 13) == BlockAllocation((3,), ())
    manager.check_integrity()
    # Host blocks are handed out like those of the pool: the tail of a table came back first.
    assert manager.swap_out("a") == [
        BlockOp("swap_out", block, host) for block, host in ((2, 4), (1, 2), (0, 1), (3, 0))
    ]


def test_swapping_out_leaves_to_others_what_they_share() -> None:
    manager = make(8, num_host_blocks=3)
    run(manager, "a", tokens(1, 2))
    run(manager, "b", tokens(1, 3))
    assert manager.block_table("b") == (0, 3, 4)
    manager.swap_out("b")
    assert manager.block_table("a") == (0, 1, 2)
    assert counts(manager) == (3, 4, 1)
    assert manager.get_computed_blocks(tokens(1, 3)) == [0, 3]  # still there, and still found
    manager.check_integrity()
    assert manager.swap_in("b") == [BlockOp("swap_in", host, host + 5) for host in range(3)]
    manager.check_integrity()


def test_what_has_come_back_is_found_again_once_it_is_cached_again() -> None:
    manager = make(3, num_host_blocks=3)
    run(manager, "a", tokens(1, 2))
    manager.swap_out("a")
    run(manager, "b", tokens(3, 4))  # evicts both
    manager.free("b")
    manager.swap_in("a")
    assert manager.get_computed_blocks(tokens(1, 2)) == []
    manager.cache_blocks("a", tokens(1, 2), 9)
    assert manager.get_computed_blocks(tokens(1, 2)) == list(manager.block_table("a")[:2])
    manager.check_integrity()


def test_swapping_needs_room_on_the_other_side() -> None:
    manager = make(3, num_host_blocks=2)
    manager.allocate_slots("a", 9)
    before = state(manager)
    assert manager.swap_out("a") is None
    assert state(manager) == before
    manager.free("a")
    manager.allocate_slots("b", 8)
    manager.swap_out("b")
    manager.allocate_slots("c", 5)
    before = state(manager)
    assert manager.swap_in("b") is None
    assert state(manager) == before
    manager.free("c")
    before = state(manager)
    assert manager.swap_in("b", keep_free=2) is None
    assert state(manager) == before
    assert manager.swap_in("b", keep_free=1) is not None
    assert manager.stats().num_host_used == 0


def test_freeing_gives_host_blocks_back_too() -> None:
    manager = make(3, num_host_blocks=3)
    manager.allocate_slots("a", 8)
    manager.swap_out("a")
    manager.free("a")
    assert manager.stats().num_host_used == 0
    manager.allocate_slots("b", 8)
    assert [op.target for op in manager.swap_out("b") or ()] == [2, 1]
    manager.check_integrity()


# Figures and events.


def test_wasted_slots_are_those_of_partly_filled_blocks_each_once() -> None:
    manager = make(num_host_blocks=2)
    assert manager.stats().wasted_slots == 0
    manager.allocate_slots("a", 5)
    manager.allocate_slots("b", 2)
    manager.allocate_slots("c", 4)
    assert manager.stats().wasted_slots == 3 + 2
    manager.fork("a", "d")
    assert manager.stats().wasted_slots == 3 + 2
    manager.allocate_slots("d", 6)
    assert manager.stats().wasted_slots == 3 + 2 + 2
    manager.swap_out("a")
    assert manager.stats().wasted_slots == 2 + 2


def test_what_happened_is_counted() -> None:
    manager = make(4)
    run(manager, "a", tokens(1, 2))
    run(manager, "b", tokens(1))
    manager.fork("b", "c")
    manager.free("a")
    manager.allocate_slots("c", 6)
    manager.free("c")
    manager.allocate_slots("d", 8)
    stats = manager.stats()
    assert stats.hits == 1
    assert (stats.copies, stats.evictions) == (1, 1)
    assert (stats.used, stats.free, stats.cached, stats.num_host_blocks) == (4, 0, 0, 0)
    assert stats.wasted_slots == 3


def listen(manager: BlockManager) -> list[BlockEvent]:
    events: list[BlockEvent] = []
    manager.on_event = events.append
    return events


def test_each_event_is_told_in_order() -> None:
    manager = make(3, num_host_blocks=2)
    events = listen(manager)
    run(manager, "a", tokens(1))
    manager.fork("a", "b")
    manager.allocate_slots("b", 6)
    manager.free("a")
    manager.swap_out("b")
    run(manager, "c", tokens(1))
    manager.free("c")
    manager.swap_in("b")
    manager.allocate_slots("d", 1)
    assert [(event.kind, event.block_id, event.request_id) for event in events] == [
        ("allocate", 0, "a"),
        ("allocate", 1, "a"),
        ("cache", 0, "a"),
        ("allocate", 2, "b"),
        ("copy", 2, "b"),
        ("free", 1, "a"),
        ("swap_out", 0, "b"),
        ("swap_out", 2, "b"),
        ("free", 2, "b"),
        ("free", 0, "b"),
        ("hit", 0, "c"),
        ("allocate", 1, "c"),
        ("free", 1, "c"),
        ("free", 0, "c"),
        ("allocate", 2, "b"),
        ("swap_in", 2, "b"),
        ("allocate", 1, "b"),
        ("swap_in", 1, "b"),
        ("evict", 0, None),
        ("allocate", 0, "d"),
    ]


# Cost.


def lines_run(action: Callable[[], object]) -> int:
    """Lines of the block manager's module that an action runs: a measure of work without a clock."""
    lines = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal lines
        if frame.f_code.co_filename != cblab.core.block_manager.__file__:
            return None
        lines += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        action()
    finally:
        sys.settrace(before)
    return lines


@pytest.mark.parametrize("full", [False, True], ids=["free blocks", "evicted blocks"])
def test_the_work_is_in_proportion_to_the_blocks_asked_for_whatever_the_pool(full: bool) -> None:
    def work(num_blocks: int, num_asked: int) -> int:
        manager = make(num_blocks)
        if full:
            run(manager, "before", tokens(*range(num_blocks))[:-1])
            manager.free("before")
        return lines_run(lambda: manager.allocate_slots("a", num_asked * BLOCK))

    assert work(20_000, 3) == work(20, 3)
    assert work(20, 6) - work(20, 3) == work(20, 9) - work(20, 6)


def test_a_million_blocks_are_no_burden() -> None:
    manager = make(1_000_000)
    for number in range(1000):
        manager.allocate_slots(str(number), 3 * BLOCK)
    for number in range(1000):
        manager.free(str(number))
    assert counts(manager) == (0, 1_000_000, 0)


# Mistakes of use.


MISUSES: dict[str, tuple[Callable[[BlockManager], object], str]] = {
    "fewer tokens": (
        lambda manager: manager.allocate_slots("a", 8),
        r"request 'a' has 3 blocks for 9 tokens: it can be given slots for 9 or more, not for 8",
    ),
    "no tokens": (
        lambda manager: manager.allocate_slots("new", 0),
        r"request 'new' has 0 blocks for 0 tokens: it can be given slots for 1 or more, not for 0",
    ),
    "nothing left to compute": (
        lambda manager: manager.allocate_slots("new", 8, [0, 1]),
        r"request 'new' has 2 blocks for 8 tokens: it can be given slots for 9 or more, not for 8",
    ),
    "computed blocks for an old request": (
        lambda manager: manager.allocate_slots("a", 13, [0]),
        r"request 'a' has blocks already: computed blocks are for a new request, got \[0\]",
    ),
    "computed block that is not cached": (
        lambda manager: manager.allocate_slots("new", 13, [0, 2]),
        r"computed block 2 of request 'new' is not cached",
    ),
    "computed block out of the pool": (
        lambda manager: manager.allocate_slots("new", 13, [80]),
        r"computed block 80 of request 'new' is not cached",
    ),
    "computed blocks without their head": (
        lambda manager: manager.allocate_slots("new", 13, [1]),
        r"computed block 1 of request 'new' does not follow the one before it: \[1\] is no prefix",
    ),
    "a computed block twice": (
        lambda manager: manager.allocate_slots("new", 13, [0, 0]),
        r"computed block 0 of request 'new' does not follow the one before it: \[0, 0\]",
    ),
    "more computed than allocated": (
        lambda manager: manager.cache_blocks("a", tokens(1, 2, 3), 12),
        r"request 'a' has slots for 9 tokens and names 13: 12 cannot have been computed",
    ),
    "more computed than named": (
        lambda manager: manager.cache_blocks("a", tokens(1), 8),
        r"request 'a' has slots for 9 tokens and names 5: 8 cannot have been computed",
    ),
    "another salt": (
        lambda manager: manager.cache_blocks("a", tokens(1, 2), 8, "bob"),
        r"request 'a' has blocks under the salt '', not 'bob'",
    ),
    "caching nobody": (lambda manager: manager.cache_blocks("x", [], 0), "request 'x' has no blocks"),
    "forking nobody": (lambda manager: manager.fork("x", "y"), "request 'x' has no blocks"),
    "forking to a taken id": (
        lambda manager: manager.fork("a", "b"),
        "request 'b' has blocks already: 'a' is forked to a new id",
    ),
    "swapping out nobody": (lambda manager: manager.swap_out("x"), "request 'x' has no blocks"),
    "swapping in nobody": (lambda manager: manager.swap_in("x"), "request 'x' is not swapped out"),
    "swapping in what is there": (lambda manager: manager.swap_in("a"), "request 'a' is not swapped out"),
    "swapping out twice": (lambda manager: manager.swap_out("out"), "request 'out' is swapped out"),
    "forking what is out": (lambda manager: manager.fork("out", "y"), "request 'out' is swapped out"),
    "caching what is out": (
        lambda manager: manager.cache_blocks("out", [1], 1),
        "request 'out' is swapped out",
    ),
    "growing what is out": (
        lambda manager: manager.allocate_slots("out", 9),
        "request 'out' is swapped out: swap it in first",
    ),
}


@pytest.mark.parametrize("misuse", MISUSES)
def test_a_misuse_is_named_and_changes_nothing(misuse: str) -> None:
    action, message = MISUSES[misuse]
    manager = make(num_host_blocks=2)
    run(manager, "a", tokens(1, 2))
    run(manager, "b", [7])
    run(manager, "out", [8])
    manager.swap_out("out")
    before = state(manager)
    with pytest.raises(ValueError, match=message):
        action(manager)
    assert state(manager) == before
    manager.check_integrity()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_blocks": 0}, "num_blocks must be at least 1, got 0"),
        ({"block_size": 0}, "block_size must be at least 1, got 0"),
        ({"num_host_blocks": -1}, "num_host_blocks must be at least 0, got -1"),
    ],
)
def test_a_pool_of_no_size_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BlockManager(**{"num_blocks": 8, "block_size": 4, **arguments})


def test_it_keeps_the_protocol() -> None:
    part: BlockManagerPart = make()
    assert list(part.block_table("nobody")) == []


# The books.


def lose_a_block(manager: BlockManager) -> None:
    manager._free.pop()


def free_twice(manager: BlockManager) -> None:
    manager._free.append(5)


def free_a_used_block(manager: BlockManager) -> None:
    manager._free.append(2)


def free_a_cached_block(manager: BlockManager) -> None:
    manager._free.append(0)


def miscount(manager: BlockManager) -> None:
    manager._ref_counts[0] += 1


def forget_a_reference(manager: BlockManager) -> None:
    manager._sequences["b"].blocks.append(2)


def evictable_while_used(manager: BlockManager) -> None:
    manager._cache.release(0)


def cached_while_partly_filled(manager: BlockManager) -> None:
    prefix = manager._cache.extend(manager._cache.prefix_of(1), [9, 9, 9, 9])
    manager._cache.enter(prefix, 2)


def partly_filled_twice(manager: BlockManager) -> None:
    manager.fork("a", "c")
    manager._sequences["c"].num_tokens += 1


def two_places(manager: BlockManager) -> None:
    manager._sequences["b"].blocks[0] = 1
    manager._ref_counts[1], manager._ref_counts[3] = 2, 0
    manager._free.append(3)


def too_few_blocks(manager: BlockManager) -> None:
    manager._sequences["b"].num_tokens = 5


def host_block_of_two(manager: BlockManager) -> None:
    manager._free_host.append(0)


def host_block_lost(manager: BlockManager) -> None:
    manager._sequences["out"].host_blocks[0] = 1


DAMAGES: list[tuple[Callable[[BlockManager], None], str]] = [
    (lose_a_block, "block 4 of 8 is accounted for 0 times"),
    (free_twice, "block 5 of 8 is accounted for 2 times"),
    (free_a_used_block, "block 2 of 8 is accounted for 2 times"),
    (free_a_cached_block, "block 0 is free, but a hash still leads to it"),
    (miscount, "block 0 has reference count 2, but 1 tables hold it"),
    (forget_a_reference, "block 2 has reference count 1, but 2 tables hold it"),
    (evictable_while_used, "block 0 of 8 is accounted for 2 times"),
    (cached_while_partly_filled, "block 2 is cached as the end of 12 tokens, but request 'a' has it as .* 9"),
    (partly_filled_twice, "block 2 is block 2 of request 'c' with 2 tokens, and block 2 of another with 1"),
    (two_places, "block 1 is block 0 of request 'b' with 1 tokens, and block 1 of another with 4"),
    (too_few_blocks, "request 'b' holds 1 blocks for 5 tokens"),
    (host_block_of_two, "host block 0 of 2 is accounted for 2 times"),
    (host_block_lost, "host block 0 of 2 is accounted for 0 times"),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGES, ids=[damage.__name__ for damage, _ in DAMAGES])
def test_books_that_do_not_balance_are_reported_with_the_block(
    damage: Callable[[BlockManager], None], message: str
) -> None:
    manager = make(num_host_blocks=2)
    run(manager, "a", tokens(1, 2))
    run(manager, "b", [7])
    run(manager, "out", [8])
    manager.swap_out("out")
    manager.check_integrity()
    damage(manager)
    with pytest.raises(IntegrityError, match=message):
        manager.check_integrity()

import sys
from collections.abc import Sequence
from itertools import count
from typing import Any

import pytest

from cblab.core.block_manager import BlockManager
from cblab.core.logprobs import TokenLogprobs
from cblab.core.plan import BlockOp, ScheduledRequest, StepPlan
from cblab.core.request import FinishReason, Request, RequestStatus
from cblab.core.sampling_params import SamplingParams
from tests.core.played_engine import PlayedEngine, shares


def names(requests: Sequence[Request]) -> list[str]:
    return [one.request_id for one in requests]


# Who gets how many tokens.


def test_prompts_share_the_budget_in_order_of_arrival() -> None:
    engine = PlayedEngine(max_num_seqs=4, max_num_batched_tokens=8)
    for name, prompt in (("a", 3), ("b", 12), ("c", 2)):
        engine.add(name, prompt)
    assert engine.step() == StepPlan(
        scheduled=(ScheduledRequest("a", 0, 3, True), ScheduledRequest("b", 0, 5, False)),
        admitted=("a", "b"),
    )
    assert engine.step() == StepPlan(
        scheduled=(ScheduledRequest("a", 3, 1, True), ScheduledRequest("b", 5, 7, True))
    )
    assert engine.step() == StepPlan(
        scheduled=(
            ScheduledRequest("a", 4, 1, True),
            ScheduledRequest("b", 12, 1, True),
            ScheduledRequest("c", 0, 2, True),
        ),
        admitted=("c",),
    )


def test_a_prompt_goes_in_chunks() -> None:
    engine = PlayedEngine(max_num_batched_tokens=64, prefill_chunk_size=4)
    engine.add("a", 10)
    engine.add("b", 6)
    plans = [engine.step() for _ in range(4)]
    assert [shares(plan) for plan in plans] == [
        {"a": 4, "b": 4},
        {"a": 4, "b": 2},
        {"b": 1, "a": 2},  # single tokens first
        {"a": 1, "b": 1},
    ]
    caught_up = [[one.request_id for one in plan.scheduled if one.is_caught_up] for plan in plans]
    assert caught_up == [[], ["b"], ["b", "a"], ["a", "b"]]


def test_the_last_chunk_may_be_a_single_token_and_then_stands_among_the_decodes() -> None:
    engine = PlayedEngine(max_num_seqs=3, max_num_batched_tokens=5)
    engine.add("a", 6)
    engine.add("b", 3)
    assert [list(shares(engine.step()).items()) for _ in range(3)] == [
        [("a", 5)],
        [("a", 1), ("b", 3)],
        [("a", 1), ("b", 1)],
    ]


def test_a_chunk_leaves_a_token_of_the_budget_for_each_running_request_behind_it() -> None:
    engine = PlayedEngine(max_num_seqs=4, max_num_batched_tokens=4, scheduling_policy="priority")
    engine.add("a", 1)
    engine.add("b", 1)
    engine.step()
    engine.add("urgent", 12, priority=-9)
    assert shares(engine.step()) == {"a": 1, "b": 1, "urgent": 2}
    assert names(engine.scheduler.running) == ["urgent", "a", "b"]
    assert shares(engine.step()) == {"a": 1, "b": 1, "urgent": 2}


def test_nobody_is_admitted_without_a_seat() -> None:
    engine = PlayedEngine(max_num_seqs=2)
    a, *_ = (engine.add(name, 2, num_new=2) for name in "abc")
    assert [engine.step().admitted for _ in range(3)] == [("a", "b"), (), ("c",)]
    assert a.first_scheduled_time == 1.0


# The prefix cache.


def test_tokens_found_in_the_cache_cost_no_budget() -> None:
    engine = PlayedEngine(num_blocks=16, max_num_seqs=4, max_num_batched_tokens=16)
    prompt = list(range(16))
    engine.add("first", prompt, num_new=1)
    engine.step()
    request = engine.add("second", prompt, num_new=5)
    engine.add("third", 20)
    plan = engine.step()
    # 12 of 16: the block with the last token is computed again. The third gets the 12 that are left.
    assert plan.scheduled == (
        ScheduledRequest("second", 12, 4, True),
        ScheduledRequest("third", 0, 12, False),
    )
    assert (request.num_cached_tokens, request.num_computed_tokens) == (12, 16)


def test_a_prompt_longer_than_the_budget_fits_it_by_what_is_cached() -> None:
    engine = PlayedEngine(num_blocks=16, max_num_seqs=4, max_num_batched_tokens=8)
    engine.add("first", range(20), num_new=1)
    while engine.requests:
        engine.step()
    engine.add("second", range(20))
    engine.add("third", 20)
    assert shares(engine.step()) == {"second": 4, "third": 4}


def test_a_prompt_that_is_cached_whole_still_computes_its_last_token() -> None:
    engine = PlayedEngine(block_size=1, num_blocks=16, max_num_batched_tokens=16, max_num_seqs=4)
    engine.add("first", [7, 8, 9], num_new=1)
    engine.step()
    engine.add("second", [7, 8, 9])
    assert engine.step().scheduled == (ScheduledRequest("second", 2, 1, True),)


def test_the_cache_is_looked_up_at_admission_not_on_arrival() -> None:
    engine = PlayedEngine(num_blocks=16, max_num_seqs=1)
    engine.add("first", range(9), num_new=1)
    engine.add("second", range(9))
    assert [engine.step().scheduled for _ in range(2)] == [
        (ScheduledRequest("first", 0, 9, True),),
        (ScheduledRequest("second", 8, 1, True),),
    ]


def test_a_salt_keeps_prompts_apart() -> None:
    engine = PlayedEngine(num_blocks=16)
    engine.add("first", range(9), num_new=1)
    engine.step()
    engine.add("second", range(9)).cache_salt = "other"
    assert shares(engine.step()) == {"second": 9}


def test_a_prompt_to_be_scored_is_computed_whole_until_its_logprobs_are_there() -> None:
    engine = PlayedEngine(num_blocks=16)
    engine.add("first", range(9), num_new=1)
    engine.step()
    scored = engine.add("scored", range(9), params=SamplingParams(prompt_logprobs=0))
    assert shares(engine.step()) == {"scored": 9}
    engine.abort("scored")
    scored = engine.add("scored again", range(9), params=SamplingParams(prompt_logprobs=0))
    scored.prompt_logprobs = {at: TokenLogprobs(at, -1.0, 1, {}) for at in range(1, 9)}
    assert shares(engine.step()) == {"scored again": 1}


# Blocks run out.


def test_the_last_running_request_is_preempted_and_nobody_is_let_past_it() -> None:
    engine = PlayedEngine(num_blocks=3, enable_prefix_caching=False)
    a, b = engine.add("a", 4), engine.add("b", 6)
    engine.step()
    engine.add("c", 1)
    # a needs a second block: b's two are enough for it and would be for c as well.
    assert engine.step() == StepPlan(scheduled=(ScheduledRequest("a", 4, 1, True),), preempted=("b",))
    assert (b.status, b.num_preemptions, b.num_computed_tokens) == (RequestStatus.PREEMPTED, 1, 0)
    assert engine.blocks.block_table("b") == ()
    assert names(engine.scheduler.waiting) == ["b", "c"]
    assert (a.status, a.num_preemptions) == (RequestStatus.RUNNING, 0)
    # One block is free: b comes first, does not fit, and c is not let past it.
    assert engine.step() == StepPlan(scheduled=(ScheduledRequest("a", 5, 1, True),))
    engine.abort("a")
    assert engine.step() == StepPlan(
        scheduled=(ScheduledRequest("c", 0, 1, True), ScheduledRequest("b", 0, 7, True)),
        admitted=("b", "c"),
    )


def test_nobody_is_admitted_in_a_step_that_preempted_although_there_is_room() -> None:
    engine = PlayedEngine(num_blocks=3, prefill_chunk_size=4, enable_prefix_caching=False)
    engine.add("a", 4)
    engine.add("b", 6)
    engine.step()
    # a takes the third block. b cannot go on: its block would do for its first chunk all over again.
    assert engine.step() == StepPlan(scheduled=(ScheduledRequest("a", 4, 1, True),), preempted=("b",))
    assert engine.blocks.stats().free == 1
    assert engine.step().admitted == ("b",)


def test_a_request_that_cannot_grow_preempts_itself_when_it_is_the_last() -> None:
    engine = PlayedEngine(num_blocks=3, enable_prefix_caching=False)
    engine.add("a", 5)
    engine.add("b", 4)
    engine.step()
    assert engine.step() == StepPlan(scheduled=(ScheduledRequest("a", 5, 1, True),), preempted=("b",))


def test_as_many_are_preempted_as_it_takes_from_the_last_on() -> None:
    engine = PlayedEngine(num_blocks=4, prefill_chunk_size=8, enable_prefix_caching=False)
    for name, prompt in (("a", 16), ("b", 2), ("c", 2)):
        engine.add(name, prompt)
    engine.step()
    plan = engine.step()  # a: 8 of 16 and 8 more, two blocks that b and c have
    assert plan == StepPlan(scheduled=(ScheduledRequest("a", 8, 8, True),), preempted=("c", "b"))
    assert names(engine.scheduler.waiting) == ["b", "c"]


def test_a_preempted_request_comes_back_before_all_that_arrived_later() -> None:
    engine = PlayedEngine(num_blocks=3, max_num_seqs=2, enable_prefix_caching=False)
    engine.add("a", 4, num_new=3)
    engine.add("b", 6, num_new=2)
    engine.step()
    engine.add("c", 1)
    assert engine.step().preempted == ("b",)
    assert engine.step().admitted == ()  # a's last token
    assert engine.step().admitted == ("b", "c")


def test_under_priority_the_least_urgent_is_preempted_whenever_it_came() -> None:
    engine = PlayedEngine(num_blocks=3, scheduling_policy="priority", enable_prefix_caching=False)
    engine.add("lazy", 4, priority=1)
    engine.add("urgent", 4, priority=-1)
    engine.add("normal", 4)
    assert engine.step().admitted == ("urgent", "normal", "lazy")
    assert engine.step() == StepPlan(
        scheduled=(ScheduledRequest("urgent", 4, 1, True),), preempted=("lazy", "normal")
    )


def test_a_recomputed_request_finds_what_is_left_of_its_own_blocks_those_of_its_output_too() -> None:
    engine = PlayedEngine(num_blocks=5)
    engine.add("a", 8)
    b = engine.add("b", 6)
    while not b.num_preemptions:
        engine.step()
    engine.abort("a")
    assert engine.step().scheduled == (ScheduledRequest("b", 8, 1, True),)
    assert (b.num_cached_tokens, b.first_scheduled_time) == (8, 1.0)


def test_a_request_that_fills_the_pool_alone_is_exhausted() -> None:
    engine = PlayedEngine(num_blocks=2)
    engine.add("a", 6)
    engine.add("b", 1)
    steps = [engine.step() for _ in range(4)]
    assert [shares(plan) for plan in steps] == [{"a": 6}, {"a": 1}, {"a": 1}, {}]
    # The step that finds a exhausted is over when the engine ends it; b has the next one.
    assert steps[3] == StepPlan(exhausted=("a",))
    assert engine.ended["a"].num_tokens == 9  # all slots, and the token that found none
    assert engine.step().admitted == ("b",)


def test_a_prompt_as_large_as_the_pool_yields_one_token() -> None:
    engine = PlayedEngine(num_blocks=2)
    request = engine.add("a", 8)
    assert shares(engine.step()) == {"a": 8}
    assert engine.step().exhausted == ("a",)
    assert len(request.output_token_ids) == 1


def test_others_are_preempted_before_a_request_is_exhausted() -> None:
    engine = PlayedEngine(num_blocks=3, enable_prefix_caching=False)
    engine.add("a", 7)
    engine.add("b", 1)
    plans = [engine.step() for _ in range(7)]
    assert [plan.preempted for plan in plans] == [(), (), ("b",), (), (), (), ()]
    assert [plan.exhausted for plan in plans] == [()] * 6 + [("a",)]
    assert engine.step().admitted == ("b",)


def test_a_preempted_request_that_no_longer_fits_an_empty_pool_is_exhausted_while_waiting() -> None:
    engine = PlayedEngine(num_blocks=2, max_num_seqs=2)
    engine.add("a", range(4), num_new=9)
    engine.step()
    # b shares a's first block, and so could fill the pool although it was not alone.
    b = engine.add("b", range(4), n=1, num_new=9)
    b.output_token_ids += [0] * 5
    engine.abort("a")
    assert engine.step() == StepPlan(exhausted=("b",))


class LeakyBlockManager(BlockManager):
    """A reader's mistake: nothing ever comes back."""

    def free(self, request_id: str) -> None:
        pass


def test_a_part_that_leaks_blocks_ends_requests_and_hangs_nothing() -> None:
    engine = PlayedEngine(LeakyBlockManager(2, 4), num_blocks=2)
    engine.add("a", 8, num_new=1)
    engine.step()
    engine.add("b", 1)
    assert engine.scheduler.schedule(0.0) == StepPlan(exhausted=("b",))


# The watermark.


def test_a_newcomer_leaves_the_watermark_free_only_while_others_run() -> None:
    engine = PlayedEngine(num_blocks=10, watermark=0.25, enable_prefix_caching=False)  # 3 blocks, rounded up
    engine.add("a", 36)
    assert engine.step().admitted == ("a",)  # 9 of 10 blocks, and nobody runs
    engine.abort("a")
    engine.add("b", 16)
    engine.add("c", 13)
    assert engine.step().admitted == ("b",)  # c's 4 would leave 2
    engine.add("d", 1)
    assert engine.step().admitted == ()  # d's one would leave 4, but c is before it; b takes its fifth block
    engine.abort("c")
    assert engine.step().admitted == ("d",)
    engine.add("e", 5)
    assert engine.step().admitted == ()  # 4 are free: two would leave 2


def test_running_requests_grow_below_the_watermark() -> None:
    engine = PlayedEngine(num_blocks=4, watermark=0.5, enable_prefix_caching=False)
    request = engine.add("a", 1)
    while not engine.step().exhausted:
        pass
    assert request.num_tokens == 17


# Swapping.


def swapping(num_host_blocks: int, **settings: Any) -> PlayedEngine:
    return PlayedEngine(
        preemption_mode="swap",
        num_host_blocks=num_host_blocks,
        **{"num_blocks": 3, "enable_prefix_caching": False, **settings},
    )


def test_a_preempted_request_is_swapped_out_and_in_again() -> None:
    engine = swapping(2)
    engine.add("a", 4)
    b = engine.add("b", 6)
    engine.step()
    assert engine.blocks.block_table("b") == (1, 2)
    assert engine.step() == StepPlan(
        scheduled=(ScheduledRequest("a", 4, 1, True),),
        block_ops=(BlockOp("swap_out", 1, 0), BlockOp("swap_out", 2, 1)),
        preempted=("b",),
    )
    assert (b.status, b.num_computed_tokens, b.num_preemptions) == (RequestStatus.PREEMPTED, 6, 1)
    assert engine.step().admitted == ()
    engine.abort("a")
    plan = engine.step()
    assert [op.kind for op in plan.block_ops] == ["swap_in", "swap_in"]
    assert plan.scheduled == (ScheduledRequest("b", 6, 1, True),)
    assert plan.admitted == ("b",)


def test_a_swapped_request_comes_back_only_with_room_for_its_next_token() -> None:
    engine = swapping(2, num_blocks=4)
    engine.add("a", 4)
    b = engine.add("b", 8)
    engine.step()
    engine.add("c", 1)
    # a and b want a third block each, and c none yet: one is left, for a.
    plan = engine.step()
    assert (shares(plan), plan.preempted) == ({"a": 1}, ("b",))
    # b's two blocks would fit, the third that its ninth token needs would not.
    assert engine.step().admitted == ()
    assert engine.blocks.stats().num_host_used == 2
    engine.abort("a")
    assert engine.step().admitted == ("b", "c")
    assert b.num_computed_tokens == 9


def test_where_host_memory_is_full_it_is_computed_again() -> None:
    engine = swapping(1, num_blocks=4)
    engine.add("a", 4)
    b, c = engine.add("b", 6), engine.add("c", 1)
    engine.step()
    plan = engine.step()  # a needs a second block
    assert (plan.preempted, plan.block_ops) == (("c",), (BlockOp("swap_out", 3, 0),))
    assert engine.step().preempted == ()
    plan = engine.step()  # b needs a third one
    assert (plan.preempted, plan.block_ops) == (("b",), ())
    assert (b.num_computed_tokens, c.num_computed_tokens) == (0, 1)
    engine.abort("a")
    assert engine.step() == StepPlan(
        scheduled=(ScheduledRequest("c", 1, 1, True), ScheduledRequest("b", 0, 9, True)),
        block_ops=(BlockOp("swap_in", 0, 0),),
        admitted=("b", "c"),
    )


def test_the_watermark_holds_for_swapped_requests_too() -> None:
    engine = swapping(8, num_blocks=6, watermark=0.5)
    engine.add("a", 4)
    engine.add("c", 1)
    b = engine.add("b", 4)
    while not b.num_preemptions:
        engine.step()
    engine.abort("c")
    stats = engine.blocks.stats()
    assert (stats.free, stats.num_host_used) == (3, 2)
    assert engine.step().admitted == ()  # its two and a third one would fit, and leave none of 3 to a
    engine.abort("a")
    assert engine.step().admitted == ("b",)


def test_a_restarted_request_computes_everything_again() -> None:
    engine = swapping(2)
    engine.add("a", 4)
    b = engine.add("b", 6)
    engine.step()
    engine.step()
    engine.scheduler.restart(b)
    assert engine.blocks.stats().num_host_used == 0
    assert (b.num_computed_tokens, b.status) == (0, RequestStatus.PREEMPTED)
    engine.abort("a")
    plan = engine.step()
    assert plan.block_ops == ()
    assert shares(plan) == {"b": 7}


# The order, and nobody waits for ever.


def test_waiting_makes_up_for_priority_at_a_fixed_rate() -> None:
    engine = PlayedEngine(max_num_seqs=1, scheduling_policy="priority", priority_aging_s=10.0)
    order: list[str] = []
    for arrival, name, priority in ((0, "lazy", 2), (11, "normal", 1), (19, "later", 0), (20, "urgent", 0)):
        engine.now = float(arrival)
        engine.add(name, 1, num_new=1, priority=priority)
    # By 20 + 0, 11 + 10, 19 + 0, 0 + 20: equal keys by the order of adding.
    while engine.requests:
        order += engine.step().admitted
    assert order == ["later", "lazy", "urgent", "normal"]


def test_under_fcfs_priority_says_nothing() -> None:
    engine = PlayedEngine(max_num_seqs=1)
    engine.add("a", 1, priority=5)
    engine.add("b", 1, priority=-5)
    assert names(engine.scheduler.waiting) == ["a", "b"]


def test_a_stream_of_urgent_requests_holds_up_a_lazy_one_for_a_bounded_time() -> None:
    engine = PlayedEngine(max_num_seqs=1, scheduling_policy="priority", priority_aging_s=10.0)
    engine.add("lazy", 1, num_new=1, priority=3)
    for number in count():
        engine.add(f"urgent {number}", 1, num_new=1)
        if "lazy" in engine.step().admitted:
            break
    # One urgent request arrives each second and takes one second: 3 units at 10 s are made up for after 30 s.
    assert number == 30


def test_a_large_prompt_is_not_passed_over_by_small_ones() -> None:
    engine = PlayedEngine(num_blocks=4, enable_prefix_caching=False)
    engine.add("a", 4, num_new=4)
    engine.step()
    engine.add("large", 15)
    for number in range(9):
        engine.add(f"small {number}", 1, num_new=1)
    assert [engine.step().admitted for _ in range(4)] == [(), (), (), ("large",)]


def test_a_long_queue_costs_a_step_no_more_than_a_short_one() -> None:
    def calls_of_a_step(num_waiting: int) -> int:
        """Count the function calls of add, schedule and remove: their cost, without a clock."""
        engine = PlayedEngine(max_num_seqs=2, num_blocks=64)
        for number in range(num_waiting):
            engine.add(f"r{number}", [1])
        calls = 0

        def profile(frame: object, event: str, arg: object) -> None:
            nonlocal calls
            calls += event == "call"

        late = Request("late", [1], SamplingParams())
        sys.setprofile(profile)
        engine.scheduler.add(late)
        engine.scheduler.schedule(0.0)
        engine.scheduler.remove(engine.requests[f"r{num_waiting // 2}"])
        sys.setprofile(None)
        return calls

    assert calls_of_a_step(5_000) < calls_of_a_step(200) + 40  # by bisection: 5 more a search


# Coming and going.


def test_what_can_never_run_is_refused_with_a_way_out() -> None:
    engine = PlayedEngine(num_blocks=2, max_num_seqs=2)
    engine.add("whole pool", 8)
    with pytest.raises(
        ValueError, match=r"'long' has 9 tokens, but all blocks together hold 8: .*num_blocks"
    ):
        engine.add("long", 9)
    with pytest.raises(ValueError, match=r"'many' asks for n=3 samples, but max_num_seqs is 2"):
        engine.add("many", 1, n=3)
    with pytest.raises(ValueError, match="'none' has no tokens"):
        engine.add("none", [])
    with pytest.raises(ValueError, match="'whole pool' is taken"):
        engine.add("whole pool", 1)
    assert names(engine.scheduler.waiting) == ["whole pool"]
    engine.abort("whole pool")
    engine.add("whole pool", 1)  # free again


@pytest.mark.parametrize("mode", ["recompute", "swap"])
def test_a_request_can_be_removed_in_any_state(mode: str) -> None:
    host = 8 if mode == "swap" else 0
    engine = PlayedEngine(
        num_blocks=3, preemption_mode=mode, num_host_blocks=host, enable_prefix_caching=False
    )
    for name, prompt in (("a", 4), ("b", 6), ("c", 1)):
        engine.add(name, prompt)
    engine.step()
    engine.step()
    assert [engine.requests[name].status.value for name in "abc"] == ["running", "preempted", "waiting"]
    for name in "cab":  # waiting, running, preempted
        engine.abort(name)
        engine.check()
    engine.run()  # nothing is left of them
    assert engine.scheduler._keys == {}
    assert engine.scheduler._swapped == set()


def test_removing_an_unknown_request_is_no_error() -> None:
    engine = PlayedEngine()
    engine.add("a", 1)
    engine.scheduler.remove(Request("b", [1], SamplingParams()))
    assert names(engine.scheduler.waiting) == ["a"]


# Several samples of one prompt.


def test_samples_take_their_seats_before_they_join() -> None:
    engine = PlayedEngine(num_blocks=16, max_num_seqs=4, prefill_chunk_size=4)
    engine.add("a", 6, n=3)
    engine.add("b", 1, n=2)
    engine.add("c", 1)
    assert engine.step().admitted == ("a",)  # 3 seats of 4; b needs two, and c is not let past it
    assert engine.step().admitted == ()
    assert names(engine.scheduler.running) == ["a", "a#1", "a#2"]
    assert shares(engine.step()) == {"a": 1, "a#1": 1, "a#2": 1}
    engine.abort("a#1")
    assert engine.step().admitted == ("b",)
    assert names(engine.scheduler.running) == ["a", "a#2", "b", "b#1"]


def test_a_sample_that_ended_before_it_joined_takes_no_seat() -> None:
    engine = PlayedEngine(num_blocks=16, max_num_seqs=4)
    engine.add("a", 6, n=3).siblings[0].finish(FinishReason.ABORT, 0.0)
    engine.add("b", 1, n=2)
    assert engine.scheduler.schedule(0.0).admitted == ("a", "b")


def test_samples_stand_behind_their_own_sample_0() -> None:
    engine = PlayedEngine(num_blocks=16, max_num_seqs=8)
    engine.add("a", 2, n=2)
    engine.add("b", 2, n=3)
    engine.add("c", 2)
    engine.step()
    assert names(engine.scheduler.running) == ["a", "a#1", "b", "b#1", "b#2", "c"]


def test_a_sample_that_writes_to_a_shared_block_gets_its_own() -> None:
    engine = PlayedEngine(num_blocks=4)
    engine.add("a", 2, n=2)
    engine.step()
    plan = engine.step()
    assert plan.block_ops == (BlockOp("copy", 0, 1),)
    assert (engine.blocks.block_table("a"), engine.blocks.block_table("a#1")) == ((1,), (0,))


def test_a_preempted_sample_comes_back_alone() -> None:
    engine = PlayedEngine(num_blocks=2, enable_prefix_caching=False)
    engine.add("a", 4, n=2)
    engine.step()
    plan = engine.step()  # block 0 is shared, one is left for two
    assert (shares(plan), plan.preempted) == ({"a": 1}, ("a#1",))
    engine.abort("a")
    assert engine.step().scheduled == (ScheduledRequest("a#1", 0, 5, True),)


def test_only_a_sibling_may_join_the_running() -> None:
    engine = PlayedEngine()
    engine.add("a", 1)
    engine.step()
    with pytest.raises(ValueError, match="'b' is no sibling"):
        engine.scheduler.add_running(Request("b", [1], SamplingParams(), sample_index=1))
    with pytest.raises(ValueError, match="'a' is taken"):
        engine.scheduler.add_running(engine.requests["a"])

"""The fragmentation simulator: rules by example, and what must hold of every workload."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cblab.memory.fragmentation import (
    FirstFit,
    Memory,
    Paged,
    Run,
    SimulatedRequest,
    Simulation,
    first_fit,
    random_workload,
    simulate,
    slide_down,
)

NUM_SLOTS = 60
REQUESTS = st.builds(
    lambda arrival, prompt, output, spare: SimulatedRequest(arrival, prompt, output, prompt + output + spare),
    st.integers(0, 9),
    st.integers(1, 12),
    st.integers(1, 12),
    st.integers(0, 12),
)
MEMORIES = st.sampled_from(("first fit", "compacting", "paged 1", "paged 4", "paged 7, 2 free"))


def make(name: str) -> Memory:
    if name.startswith("paged"):
        numbers = [int(word.strip(",")) for word in name.split() if word.strip(",").isdigit()]
        return Paged(NUM_SLOTS, block_size=numbers[0], keep_free=numbers[1] if len(numbers) > 1 else 0)
    return FirstFit(NUM_SLOTS, compacts=name == "compacting")


def test_first_fit_takes_the_first_hole_that_is_long_enough() -> None:
    reserved = [(12, 2), (0, 4), (6, 3)]
    assert [first_fit(reserved, 20, wanted) for wanted in (2, 3, 4, 6, 7)] == [4, 9, 14, 14, None]
    assert first_fit([], 5, 5) == 0


@given(st.lists(st.integers(0, 3), max_size=20), st.integers(1, 8))
def test_first_fit_is_what_trying_every_start_finds(kinds: list[int], wanted: int) -> None:
    """Slots drawn one by one: kinds 0 and 1 are free, the others reserved, one slot each."""
    reserved = [(slot, 1) for slot, kind in enumerate(kinds) if kind > 1]
    taken = {start for start, _ in reserved}
    starts = range(len(kinds) - wanted + 1)
    fits = [start for start in starts if not taken & set(range(start, start + wanted))]
    assert first_fit(reserved, len(kinds), wanted) == (fits[0] if fits else None)


def test_sliding_down_copies_the_tokens_of_what_moves() -> None:
    assert slide_down([(0, 4, 2), (6, 5, 3), (11, 2, 1)]) == ([0, 4, 9], 4)
    assert slide_down([(0, 3, 3), (3, 4, 2)]) == ([0, 3], 0)
    assert slide_down([]) == ([], 0)


def test_enough_slots_are_free_and_the_next_request_does_not_fit() -> None:
    """The middle one of three reservations leaves: 8 slots are free, no more than 6 of them side by side."""
    memory = FirstFit(20)
    assert [memory.admit(one, 1, 6) for one in range(3)] == [True, True, True]
    memory.release(1)
    assert [len(hole) for hole in memory.holes()] == [6, 2]
    assert not memory.admit(3, 1, 8)
    memory.compacts = True
    assert memory.admit(3, 1, 8)
    assert memory.num_copied == 1  # of reservation 2, which moved
    assert memory.runs() == [Run(0, 0, 6, 1), Run(2, 6, 6, 1), Run(3, 12, 8, 1)]


def test_blocks_are_taken_as_tokens_come() -> None:
    memory = Paged(12, block_size=4)
    assert memory.admit(0, 5, 99)
    assert memory.runs() == [Run(0, 0, 4, 4), Run(0, 4, 4, 1)]
    assert all(memory.grow(0) for _ in range(7))
    assert not memory.grow(0)
    assert not memory.admit(1, 1, 1)
    memory.release(0)
    assert list(memory.holes()) == [range(12)]


def test_a_reserve_holds_back_newcomers_only_while_others_run() -> None:
    memory = Paged(16, block_size=4, keep_free=2)
    assert memory.admit(0, 8, 8)
    assert not memory.admit(1, 1, 1)
    assert memory.grow(0)


def test_who_loses_its_blocks_comes_back_and_computes_again() -> None:
    both = [SimulatedRequest(0, 4, 6, 10), SimulatedRequest(0, 4, 6, 10)]
    run = simulate(both, Paged(16, block_size=4))
    assert run.num_preemptions == 1
    # Both reach 8 tokens; the ninth of the first takes the second's place, which starts over with its 8.
    assert run.num_recomputed == 8


@given(st.lists(REQUESTS, max_size=14), MEMORIES)
def test_whatever_comes_is_served_and_no_slot_has_two_owners(
    requests: list[SimulatedRequest], name: str
) -> None:
    run = simulate(requests, make(name))
    check_steps(run)
    lives = {
        one: sum(any(part.request == one for part in step.runs) for step in run.steps)
        for one in range(len(requests))
    }
    for one, request in enumerate(requests):
        assert lives[one] >= request.output_len  # a step for the prompt, one for each further token
    if not name.startswith("paged"):
        assert run.num_preemptions == run.num_recomputed == 0
    if name != "compacting":
        assert run.num_copied == 0


def check_steps(run: Simulation) -> None:
    for step in run.steps:
        assert all(one.end <= other.start for one, other in zip(step.runs, step.runs[1:], strict=False))
        assert all(0 < one.num_used <= one.num_slots for one in step.runs)
        assert step.num_used == sum(one.num_used for one in step.runs) <= step.num_reserved <= NUM_SLOTS
        assert step.largest_hole <= NUM_SLOTS - step.num_reserved


@given(st.lists(REQUESTS, max_size=14))
def test_compaction_never_refuses_what_would_fit(requests: list[SimulatedRequest]) -> None:
    assert not any(step.is_blocked for step in simulate(requests, make("compacting")).steps)


def test_a_workload_is_the_same_for_the_same_seed() -> None:
    def draw(seed: int) -> list[SimulatedRequest]:
        return random_workload(seed, 30, prompt_lens=(2, 9), output_lens=(1, 5), spare_lens=(0, 3))

    assert draw(3) == draw(3) != draw(4)
    assert [one.arrival for one in draw(3)] == sorted(one.arrival for one in draw(3))
    assert all(2 <= one.prompt_len <= 9 and 0 <= one.max_len - one.total_len <= 3 for one in draw(3))


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="num_slots must be at least 1"):
        FirstFit(0)
    with pytest.raises(ValueError, match="block_size must be 1"):
        Paged(8, block_size=9)
    with pytest.raises(ValueError, match="keep_free must be at least 0"):
        Paged(8, block_size=2, keep_free=-1)
    with pytest.raises(ValueError, match="at least one token of prompt"):
        SimulatedRequest(0, 0, 3, 5)
    with pytest.raises(ValueError, match="longer than its max_len"):
        SimulatedRequest(0, 3, 3, 5)
    with pytest.raises(ValueError, match="request 0 needs 9 slots"):
        simulate([SimulatedRequest(0, 1, 2, 9)], FirstFit(8))
    with pytest.raises(ValueError, match="request 0 needs 9 slots, the memory has 7 to give"):
        simulate([SimulatedRequest(0, 1, 8, 9)], Paged(10, block_size=7))
    assert simulate([], FirstFit(8)).mean_use == 0.0

import math

import pytest

from cblab.core.clock import LinearCostModel, SimulatedClock, WallClock
from cblab.core.plan import ScheduledRequest, StepPlan

DECODE = ScheduledRequest("a", 9, 1, True)
CHUNK = ScheduledRequest("b", 4, 6, False)
PLAN = StepPlan(scheduled=(DECODE, CHUNK))


def test_what_is_a_decode_goes_by_the_work_and_not_by_where_the_token_stands() -> None:
    assert [one.is_decode for one in (DECODE, CHUNK)] == [True, False]
    assert not ScheduledRequest("one token of a prompt, more to come", 4, 1, False).is_decode
    assert not ScheduledRequest("a whole prompt", 0, 2, True).is_decode
    assert (PLAN.num_decode_tokens, PLAN.num_prefill_tokens, PLAN.num_tokens) == (1, 6, 7)


def test_the_linear_cost_model_is_the_sum_of_its_four_parts() -> None:
    # Contexts after the step: 10 and 10 tokens.
    model = LinearCostModel(
        seconds_per_step=1000, per_prefill_token=100, per_decode_token=10, per_context_token=0.25
    )
    assert model(PLAN) == 1000 + 6 * 100 + 1 * 10 + 20 * 0.25
    assert model(StepPlan()) == 1000


@pytest.mark.parametrize("cost", [-1.0, math.inf, math.nan])
@pytest.mark.parametrize("name", ["seconds_per_step", "per_context_token"])
def test_costs_that_make_no_sense_are_refused_by_name(name: str, cost: float) -> None:
    with pytest.raises(ValueError, match=rf"{name} must be a finite number of seconds >= 0, got {cost}"):
        LinearCostModel(**{name: cost})


def test_a_simulated_clock_stands_still_but_for_steps_and_leaps() -> None:
    clock = SimulatedClock(lambda plan: 0.25 * plan.num_tokens)
    assert clock.now() == clock.now() == 0
    clock.step_done(PLAN)
    assert clock.now() == 1.75
    clock.advance_to(5)
    assert clock.now() == 5
    clock.advance_to(2)
    assert clock.now() == 5
    clock.step_done(PLAN)
    assert clock.now() == 6.75


def test_two_simulated_clocks_agree_to_the_last_bit() -> None:
    clocks = [SimulatedClock(LinearCostModel()) for _ in range(2)]
    for _ in range(100):
        for clock in clocks:
            clock.step_done(PLAN)
    assert clocks[0].now() == clocks[1].now() > 0


@pytest.mark.parametrize("cost", [-1e-9, math.inf, math.nan])
def test_a_cost_model_cannot_turn_the_clock_back(cost: float) -> None:
    clock = SimulatedClock(lambda plan: cost)
    with pytest.raises(ValueError, match=f"the cost model gave {cost}"):
        clock.step_done(PLAN)
    assert clock.now() == 0


def test_the_wall_clock_begins_at_nothing_and_only_goes_on() -> None:
    clock = WallClock()
    times = [clock.now() for _ in range(100)]
    clock.step_done(PLAN)
    assert times == sorted(times)
    assert 0 <= times[0] <= times[-1] <= clock.now() < 60

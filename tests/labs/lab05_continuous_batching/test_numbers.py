"""Lab 5's numbers: those that its prose names, and what is said of a wrong one in the assessment."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from cblab.core.scheduler import Scheduler as EngineScheduler
from cblab.lab.exercise import Exercise
from cblab.lab.labs.continuous_batching.load import TICKS, Arrival, percentile, serve
from cblab.lab.labs.continuous_batching.plug import plugged
from cblab.lab.labs.continuous_batching.scheduler import Scheduler
from cblab.lab.labs.continuous_batching.target import NUM_BLOCKS, STALL_TICKS, TTFT_TICKS, target_load
from cblab.lab.labs.lab05_continuous_batching import EXERCISES
from cblab.lab.local import LocalExecutor
from cblab.lab.trial import CheckFailed, Trial
from tests.labs.edit import solution

ASSESSMENT = [exercise for exercise in EXERCISES if exercise.variables and exercise.id != "5.9"]


def verdict(variables: dict[str, object], script: Callable[[Trial], None]) -> str:
    """The message that these variables get, "" for none."""
    try:
        script(Trial(LocalExecutor(variables, {}), "immediate", "seed"))
    except CheckFailed as failure:
        return str(failure)
    return ""


@pytest.mark.parametrize("exercise", ASSESSMENT, ids=lambda exercise: exercise.id)
def test_a_wrong_number_hears_only_its_direction(exercise: Exercise) -> None:
    right: dict[str, Any] = {"math": math}
    exec(solution(exercise.id)[0], right)
    for name, part in zip(exercise.variables, exercise.parts, strict=True):
        for factor, direction in ((1.0273, "large"), (0.9731, "small")):
            message = verdict({name: right[name] * factor}, part.script)
            assert message.startswith(f"`{name}` is too {direction}"), message
            assert f"{right[name]:.3g}" not in message


def test_the_sittings_leave_time_to_read() -> None:
    core = [exercise for exercise in EXERCISES if not exercise.bonus and not exercise.variables]
    assert len(core) == 8
    assert sum(exercise.minutes for exercise in core) <= 60
    questions = 20
    timed = [exercise for exercise in EXERCISES if exercise.variables]
    assert sum(exercise.minutes for exercise in timed) + questions <= 45


def test_ticks_are_what_the_prose_says() -> None:
    """Section 5: a step costs 1 tick and 0.02 for each token that it computes."""
    assert TICKS.seconds_per_step == 1
    assert TICKS.per_prefill_token == TICKS.per_decode_token == 0.02


def test_a_document_stalls_the_others_unless_it_comes_in_chunks() -> None:
    load = [*(Arrival(0.0, 20, 40, name) for name in "abcd"), Arrival(10.0, 900, 12, "document")]
    whole, chunked = (serve(load, EngineScheduler, budget=1024, chunk_size=size) for size in (None, 64))
    assert max(whole.gaps) > 19 > 3 > max(chunked.gaps)
    assert whole.token_times["document"][0] < chunked.token_times["document"][0]


def test_the_labs_scheduler_plans_what_the_engines_own_does_unless_it_preempts() -> None:
    runs = [
        serve(target_load()[:80], one, budget=128, chunk_size=64, num_blocks=NUM_BLOCKS)
        for one in (EngineScheduler, plugged(Scheduler))
    ]
    assert not runs[0].num_preemptions
    assert [record.plan for record in runs[0].trace] == [record.plan for record in runs[1].trace]


def test_the_target_is_missed_in_both_directions_and_met_between() -> None:
    """Exercise 5.9: small budgets miss one half of the promise, large ones the other."""
    found = {
        budget: serve(target_load(), EngineScheduler, budget=budget, max_num_seqs=16, num_blocks=NUM_BLOCKS)
        for budget in (32, 64, 128, 256, 512, 1024)
    }
    meets = {
        budget: (percentile(run.ttft, 99) < TTFT_TICKS, max(run.gaps) <= STALL_TICKS)
        for budget, run in found.items()
    }
    assert meets == {
        32: (False, True),
        64: (False, True),
        128: (True, True),
        256: (True, True),
        512: (True, False),
        1024: (True, False),
    }


def test_percentiles_are_values_that_occur() -> None:
    values = [float(one) for one in range(1, 201)]
    assert (percentile(values, 50), percentile(values, 99), percentile(values, 100)) == (100, 198, 200)
    assert percentile([7.0], 99) == 7

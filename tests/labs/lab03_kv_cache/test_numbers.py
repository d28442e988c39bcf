"""The assessment's numbers, and those that lab 3's prose states without computing them in a cell."""

from typing import Any

import pytest

from cblab.lab.exercise import Exercise
from cblab.lab.labs.kv_cache import numbers
from cblab.lab.labs.kv_cache.waste import count_waste, random_jobs, serve
from cblab.lab.labs.lab03_kv_cache import EXERCISES
from cblab.lab.local import LocalExecutor
from cblab.lab.trial import CheckFailed, Trial
from tests.labs.edit import solution

ASSESSMENT = [exercise for exercise in EXERCISES if exercise.variables]


@pytest.mark.parametrize("exercise", ASSESSMENT, ids=lambda exercise: exercise.id)
def test_a_wrong_number_hears_only_its_direction(exercise: Exercise) -> None:
    right: dict[str, Any] = {}
    exec(solution(exercise.id)[0], right)
    for name, part in zip(exercise.variables, exercise.parts, strict=True):
        for factor, direction in ((1.0173, "large"), (0.9831, "small")):
            trial = Trial(LocalExecutor({name: right[name] * factor}, {}), "immediate", "seed")
            with pytest.raises(CheckFailed) as failure:
                part.script(trial)
            assert str(failure.value).startswith(f"`{name}` is too {direction}")
            assert f"{right[name]:.3g}" not in str(failure.value)


def test_the_sittings_leave_time_to_read() -> None:
    core = [exercise for exercise in EXERCISES if not exercise.bonus and not exercise.variables]
    assert [exercise.id for exercise in core] == [f"3.{number}" for number in range(1, 9)]
    first = sum(exercise.minutes for exercise in core[:-1])
    bonus = sum(exercise.minutes for exercise in EXERCISES if exercise.bonus)
    second = sum(exercise.minutes for exercise in EXERCISES) - first - bonus
    questions = 20
    assert first <= 55
    assert second + questions <= 50
    assert bonus <= 45


def test_the_rubric_of_the_first_question() -> None:
    alone = numbers.WEIGHTS_GB * 1e9 / numbers.PER_TOKEN
    assert round(alone, -2) == 122_500
    assert round(alone / numbers.SEQUENCES, -2) == 5_100
    assert numbers.TOTAL / 1e9 > numbers.WEIGHTS_GB


def test_an_arena_that_is_always_full_holds_tokens_in_a_third_of_its_slots() -> None:
    for seed in (1, 2, 3):
        counts = [count_waste(runs, 8_192, wanted) for runs, wanted in serve(random_jobs(seed, 200), 8_192)]
        assert all(sum(one.values()) == 8_192 for one in counts)
        assert all(one["free"] == 0 for one in counts)
        assert 0.28 < sum(one["held"] for one in counts) / len(counts) / 8_192 < 0.38


def test_serving_is_in_order_and_ends() -> None:
    jobs = random_jobs(5, 30)
    moments = list(serve(jobs, 4_096))
    assert moments[0][0][0][1] == jobs[0].reserved
    assert {wanted for _, wanted in moments} <= {job.reserved for job in jobs}
    assert all(held <= final <= reserved for runs, _ in moments for _, reserved, held, final in runs)

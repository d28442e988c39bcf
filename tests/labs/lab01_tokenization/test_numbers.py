"""The assessment's numbers: what is said of a wrong one never gives the right one away."""

import re
from typing import Any

import pytest

from cblab.lab.exercise import Exercise
from cblab.lab.labs.lab01_tokenization import EXERCISES
from cblab.lab.labs.numbers import number
from tests.labs.edit import solution, verdict

ASSESSMENT = [exercise for exercise in EXERCISES if exercise.variables]


@pytest.mark.parametrize("exercise", ASSESSMENT, ids=lambda exercise: exercise.id)
def test_a_wrong_number_hears_only_its_direction(exercise: Exercise) -> None:
    right: dict[str, Any] = {}
    exec(solution(exercise.id)[0], right)
    for name, part in zip(exercise.variables, exercise.parts, strict=True):
        for factor, direction in ((1.0173, "large"), (0.9831, "small")):
            message = verdict({name: right[name] * factor}, part.script)
            assert message.startswith(f"`{name}` is too {direction}"), message
            assert f"{right[name]:.3g}" not in message


def test_the_sittings_leave_time_to_read() -> None:
    first = sum(
        exercise.minutes
        for exercise in EXERCISES
        if exercise.id in ("1.1", "1.2", "1.3", "1.4", "1.5", "1.6")
    )
    bonus = sum(exercise.minutes for exercise in EXERCISES if exercise.bonus)
    second = sum(exercise.minutes for exercise in EXERCISES) - first - bonus
    questions = 20
    assert first <= 60
    assert second + questions <= 60
    assert bonus <= 50


def test_tolerance_and_counts() -> None:
    ratio, count = number("x", 4.0, []), number("x", 4, [], exact=True)
    assert verdict({"x": 4.015}, ratio) == ""
    assert "by more than the 0.5% that it may be off" in verdict({"x": 4.03}, ratio)
    assert verdict({"x": 4}, count) == ""
    assert verdict({"x": 5}, count) == "`x` is too large."
    assert re.match("`x` should be a number", verdict({"x": "4"}, count))
    assert re.match("`x` should be a number", verdict({"x": float("nan")}, ratio))

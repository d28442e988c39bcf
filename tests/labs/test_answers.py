"""In a worker process, on all cases: every wrong answer loses points and hears why, and no right one does."""

import re
from collections.abc import Callable, Iterator

import pytest

from cblab.lab.dispatcher import load_reference
from cblab.lab.notebook import submission_of
from cblab.lab.registry import Lab
from cblab.lab.remote import SubprocessExecutor
from cblab.lab.runner import ALL_LEVELS, Verdict, run_exercise
from tests.conftest import COUNTED
from tests.labs.submissions import (
    LABS,
    ROOT,
    Answer,
    alternatives,
    fill,
    lab_and_solution,
    mutants,
    release,
)

Judge = Callable[[str, str], Verdict]


@pytest.fixture(scope="module", params=LABS)
def name(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture(scope="module")
def lab(name: str) -> Lab:
    return lab_and_solution(name)[0]


@pytest.fixture(scope="module")
def judge(name: str, lab: Lab) -> Iterator[Judge]:
    """Judges the source of one answer cell, on its own, with all cases."""
    executor = SubprocessExecutor(submission_of(release(name)).setup)

    def judged(exercise_id: str, source: str) -> Verdict:
        exercise = lab.exercise(exercise_id)
        executor.seconds = exercise.seconds
        executor.load(source, lab.references(exercise), title=f"exercise {exercise_id}")
        return run_exercise(exercise, executor, ALL_LEVELS)

    yield judged
    executor.close()


def failures(verdict: Verdict) -> list[str]:
    return [outcome.message or "" for outcome in verdict.outcomes if not outcome.passed]


def report(count: int, of: int, what: str, name: str) -> str:
    return f"lab {name}: {count} of {of} {what} ({count / max(of, 1):.0%})"


def test_the_solution_gets_full_marks_and_the_blanks_none(name: str, lab: Lab, judge: Judge) -> None:
    solved = submission_of(lab_and_solution(name)[1]).answers
    blanks = submission_of(release(name)).answers
    for exercise in lab.exercises:
        verdict = judge(exercise.id, solved[exercise.id][0])
        assert failures(verdict) == []
        assert verdict.points == exercise.points
        assert judge(exercise.id, blanks[exercise.id][0]).blank


def test_every_wrong_answer_is_caught_and_named(
    name: str, judge: Judge, record_property: Callable[[str, object], None]
) -> None:
    blanks = submission_of(release(name)).answers
    every = mutants(name)
    survivors, unnamed = [], []
    said: dict[str, list[tuple[Answer, list[str]]]] = {}
    for mutant in every:
        verdict = judge(mutant.exercise, fill(blanks[mutant.exercise][0], mutant.blanks))
        messages = failures(verdict)
        if verdict.passed:
            survivors.append(f"{mutant.exercise} {mutant.name}")
        elif not any(str(mutant.says) in message for message in messages):
            unnamed.append(f"{mutant.exercise} {mutant.name}: {messages}")
        said.setdefault(mutant.exercise, []).append((mutant, messages))
    record_property(COUNTED, report(len(every) - len(survivors), len(every), "mutants killed", name))
    assert survivors == []
    assert unnamed == []
    assert shared_messages(said) == []


def shared_messages(said: dict[str, list[tuple[Answer, list[str]]]]) -> list[str]:
    """Mutants of one exercise with the very same messages, but for the example in brackets at the end."""
    shared = []
    for exercise, rows in said.items():
        seen: dict[tuple[str, ...], str] = {}
        for mutant, messages in rows:
            key = tuple(re.sub(r" \(`.*\)$", "", message, flags=re.DOTALL) for message in messages)
            if key in seen:
                shared.append(f"{exercise}: {seen[key]!r} and {mutant.name!r} get {key}")
            seen[key] = mutant.name
    return shared


def test_every_right_answer_gets_full_marks(
    name: str, judge: Judge, record_property: Callable[[str, object], None]
) -> None:
    blanks = submission_of(release(name)).answers
    every = alternatives(name)
    rejected = []
    for answer in every:
        verdict = judge(answer.exercise, fill(blanks[answer.exercise][0], answer.blanks))
        if not verdict.passed:
            rejected.append(f"{answer.exercise} {answer.name}: {failures(verdict)}")
    record_property(COUNTED, report(len(every) - len(rejected), len(every), "alternatives accepted", name))
    assert rejected == []


def test_there_are_enough_of_both(name: str, lab: Lab) -> None:
    for exercise in lab.exercises:
        assert sum(mutant.exercise == exercise.id for mutant in mutants(name)) >= 8
        assert sum(answer.exercise == exercise.id for answer in alternatives(name)) >= 3


def test_references_exist_and_every_exercise_has_hints(lab: Lab) -> None:
    for exercise in lab.exercises:
        assert all(callable(load_reference(path)) for path in exercise.symbols.values())
        assert len(exercise.hints) == 3


def test_the_source_says_what_the_registry_says(name: str, lab: Lab) -> None:
    source = (ROOT / "solutions" / f"{name}.py").read_text(encoding="utf-8")
    for exercise in lab.exercises:
        bonus = r" \(bonus\)" if exercise.bonus else ""
        heading = rf"^# ### Exercise {re.escape(exercise.id)}{bonus} · .+\n"
        heading += rf"# \*{exercise.difficulty} · {exercise.minutes} minutes(.*)\*$"
        found = re.search(heading, source, flags=re.MULTILINE)
        assert found, exercise.id
        assert sum(map(int, re.findall(r"(\d+) line", found[1]))) == exercise.lines, exercise.id

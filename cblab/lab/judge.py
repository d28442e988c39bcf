"""Judges the answers of a whole notebook, each on its own, in a worker process."""

from collections.abc import Sequence
from pathlib import Path

from cblab.lab.exercise import Exercise
from cblab.lab.notebook import Submission
from cblab.lab.protocol import StudentError
from cblab.lab.registry import Lab, LabError, lab_of
from cblab.lab.remote import SubprocessExecutor
from cblab.lab.runner import VISIBLE, Outcome, Verdict, run_exercise
from cblab.lab.trial import Level


def lab_of_submission(submission: Submission) -> Lab:
    """The lab whose exercises a notebook answers; LabError if it answers none."""
    if not submission.answers:
        raise LabError("this notebook has no answer cell of this course")
    return lab_of(next(iter(submission.answers)))


def judge(
    submission: Submission,
    exercises: Sequence[Exercise],
    lab: Lab,
    levels: Sequence[Level] = VISIBLE,
    cwd: Path | None = None,
) -> list[Verdict]:
    """A verdict on each of `exercises`, in their order.

    Raises LabError where the notebook's set-up cells do not run.
    """
    executor = SubprocessExecutor(submission.setup, cwd)
    try:
        return [_judge_one(submission, exercise, lab, executor, levels) for exercise in exercises]
    finally:
        executor.close()


def _judge_one(
    submission: Submission,
    exercise: Exercise,
    lab: Lab,
    executor: SubprocessExecutor,
    levels: Sequence[Level],
) -> Verdict:
    sources = submission.answers.get(exercise.id, ())
    if len(sources) != 1:
        return _not_judged(exercise, levels, _why_not(sources))
    executor.seconds = exercise.seconds
    try:
        executor.load(sources[0], lab.references(exercise), title=f"exercise {exercise.id}")
    except StudentError as error:
        raise LabError(f"the notebook's set-up cells do not run: {error}") from None
    return run_exercise(exercise, executor, levels)


def _not_judged(exercise: Exercise, levels: Sequence[Level], why: str) -> Verdict:
    return Verdict(exercise, tuple(Outcome(part, why) for part in exercise.parts), tuple(levels))


def _why_not(sources: Sequence[str]) -> str:
    if not sources:
        return "its answer cell is gone: take it from a fresh copy of the lab"
    return f"{len(sources)} cells carry its id (was the cell copied?): delete all but one"

"""The functions that a notebook imports: check, hint and best. Each looks at the notebook that calls it."""

import sys
from typing import Any, Literal

from cblab.lab.card import Shown, card, prose
from cblab.lab.dispatcher import load_reference
from cblab.lab.exercise import Exercise
from cblab.lab.local import LocalExecutor
from cblab.lab.quiet import silent_stderr
from cblab.lab.registry import Lab, LabError, lab_of
from cblab.lab.runner import ALL_LEVELS, VISIBLE, run_exercise
from cblab.lab.score import Score
from cblab.lab.session import Session, session_in
from cblab.lab.solutions import solution_of


class BlankAnswerError(NotImplementedError):
    """The error of a blank, which a notebook shows as one line, without the frames that it came through."""

    def _render_traceback_(self) -> list[str]:
        return [f"NotImplementedError: {self}"]


def check(exercise_id: str, *, hidden: bool = False) -> Score:
    """Judge the answer to an exercise as it stands in the calling notebook.

    hidden: with the grader's cases as well, drawn from a secret seed where there is one.
    Returns the points earned, shown as a card. Raises NotImplementedError, with the exercise's id, while
    nothing is there to be judged: an untouched blank is a named error and never a silent pass.
    """
    namespace = sys._getframe(1).f_globals
    lab, exercise = _found(exercise_id, "check")
    executor = LocalExecutor(namespace, lab.references(exercise))
    with silent_stderr():
        verdict = run_exercise(exercise, executor, ALL_LEVELS if hidden else VISIBLE)
    session = session_in(namespace)
    session.passed.pop(exercise_id, None)
    if verdict.blank:
        raise BlankAnswerError(f"exercise {exercise_id}: {_what_is_missing(verdict.outcomes[0].message)}")
    if verdict.passed:
        session.passed[exercise_id] = {name: namespace.get(name) for name in exercise.symbols}
    return Score(verdict)


def best(exercise_id: str, symbol: str | None = None) -> Any:
    """The student's own answer if its check passed in this kernel, else cblab's reference; prints which.

    The checks of the earlier answers that it uses must have passed as well, for it would call them.
    symbol: which one, where the exercise defines several.
    """
    namespace = sys._getframe(1).f_globals
    lab, exercise = _found(exercise_id, "best")
    if symbol is None and len(exercise.symbols) != 1:
        raise LabError(
            f"exercise {exercise_id} defines {', '.join(exercise.symbols) or 'no symbol'}: "
            f"say which one, as in best({exercise_id!r}, 'name')"
        )
    name = symbol or next(iter(exercise.symbols))
    if name not in exercise.symbols:
        raise LabError(f"exercise {exercise_id} defines no {name!r}, but {', '.join(exercise.symbols)}")
    why = _why_not_yours(lab, exercise, session_in(namespace), namespace)
    print(f"{name}: the reference ({why})" if why else f"{name}: yours")
    return load_reference(exercise.symbols[name]) if why else namespace[name]


def hint(exercise_id: str) -> Shown:
    """The next hint: idea, shapes, pseudocode, and last the solution, where its source is at hand."""
    session = session_in(sys._getframe(1).f_globals)
    lab, exercise = _found(exercise_id, "hint")
    given = session.hints.get(exercise_id, 0)
    session.hints[exercise_id] = min(given + 1, len(exercise.hints))
    if given < len(exercise.hints):
        text = exercise.hints[given]
        title = f"Hint {given + 1} of {len(exercise.hints)} for {exercise_id}"
    elif solution := solution_of(lab.name, exercise_id):
        title, text = f"Solution of {exercise_id}", solution
    else:
        title = f"Hints for {exercise_id}"
        text = "That was the last hint." if exercise.hints else "There are none for this exercise."
    return Shown(f"{title}\n{text}", card(title, _preformatted(text)))


def _found(exercise_id: str, function: str) -> tuple[Lab, Exercise]:
    """The exercise and its lab; LabError that says what to write where the id is a number, or unknown."""
    if not isinstance(exercise_id, str):
        raise LabError(f'write {function}("{exercise_id}"): the number of an exercise goes in quotes')
    lab = lab_of(exercise_id)
    return lab, lab.exercise(exercise_id)


def _why_not_yours(lab: Lab, exercise: Exercise, session: Session, namespace: dict[str, Any]) -> str:
    """Why `best` gives the reference of `exercise`; "" where it gives the student's own."""
    own = _state(exercise, session, namespace)
    if own == "not passed":
        return f"check {exercise.id} has not passed in this session"
    if own == "changed":
        return "changed since its check"
    for other in lab.built_on(exercise):
        state = _state(other, session, namespace)
        if state != "passed":
            what = "has not passed" if state == "not passed" else "has changed since its check"
            return f"{other.id}, which yours uses, {what}"
    return ""


def _state(
    exercise: Exercise, session: Session, namespace: dict[str, Any]
) -> Literal["passed", "not passed", "changed"]:
    """Whether the check of `exercise` passed in this kernel, and still speaks of what is defined now."""
    if exercise.id not in session.passed:
        return "not passed"
    passed = session.passed[exercise.id]
    return "passed" if all(namespace.get(name) is value for name, value in passed.items()) else "changed"


def _preformatted(text: str) -> str:
    return f'<div style="white-space:pre-wrap">{prose(text)}</div>'


def _what_is_missing(message: str | None) -> str:
    """The blank's own text is the exercise's id again; a missing name is worth telling."""
    if message is None or "is not defined" not in message:
        return "its blank is still to be filled in"
    return message

"""The functions that a notebook imports: check, hint and best. Each looks at the notebook that calls it."""

import sys
from html import escape
from typing import Any

from cblab.lab.card import Shown, card
from cblab.lab.dispatcher import load_reference
from cblab.lab.local import LocalExecutor
from cblab.lab.quiet import silent_stderr
from cblab.lab.registry import LabError, lab_of
from cblab.lab.runner import ALL_LEVELS, VISIBLE, run_exercise
from cblab.lab.score import Score
from cblab.lab.session import session_in
from cblab.lab.solutions import solution_of


def check(exercise_id: str, *, hidden: bool = False) -> Score:
    """Judge the answer to an exercise as it stands in the calling notebook.

    hidden: with the grader's cases as well, drawn from a secret seed where there is one.
    Returns the points earned, shown as a card. Raises NotImplementedError, with the exercise's id, while
    nothing is there to be judged: an untouched blank is a named error and never a silent pass.
    """
    namespace = sys._getframe(1).f_globals
    lab = lab_of(exercise_id)
    exercise = lab.exercise(exercise_id)
    executor = LocalExecutor(namespace, lab.references(exercise))
    with silent_stderr():
        verdict = run_exercise(exercise, executor, ALL_LEVELS if hidden else VISIBLE)
    session = session_in(namespace)
    session.passed.pop(exercise_id, None)
    if verdict.blank:
        raise NotImplementedError(f"exercise {exercise_id}: {_what_is_missing(verdict.outcomes[0].message)}")
    if verdict.passed:
        session.passed[exercise_id] = {name: namespace.get(name) for name in exercise.symbols}
    return Score(verdict)


def best(exercise_id: str, symbol: str | None = None) -> Any:
    """The student's own answer if its check passed in this kernel, else cblab's reference; prints which.

    symbol: which one, where the exercise defines several.
    """
    namespace = sys._getframe(1).f_globals
    exercise = lab_of(exercise_id).exercise(exercise_id)
    if symbol is None and len(exercise.symbols) != 1:
        raise LabError(
            f"exercise {exercise_id} defines {', '.join(exercise.symbols) or 'no symbol'}: "
            f"say which one, as in best({exercise_id!r}, 'name')"
        )
    name = symbol or next(iter(exercise.symbols))
    if name not in exercise.symbols:
        raise LabError(f"exercise {exercise_id} defines no {name!r}, but {', '.join(exercise.symbols)}")
    passed = session_in(namespace).passed.get(exercise_id, {})
    if name in passed and passed[name] is namespace.get(name):
        print(f"{name}: yours")
        return passed[name]
    why = (
        "changed since its check" if name in passed else f"check {exercise_id} has not passed in this session"
    )
    print(f"{name}: the reference ({why})")
    return load_reference(exercise.symbols[name])


def hint(exercise_id: str) -> Shown:
    """The next hint: idea, shapes, pseudocode, and last the solution, where its source is at hand."""
    session = session_in(sys._getframe(1).f_globals)
    lab = lab_of(exercise_id)
    exercise = lab.exercise(exercise_id)
    given = session.hints.get(exercise_id, 0)
    session.hints[exercise_id] = min(given + 1, len(exercise.hints))
    if given < len(exercise.hints):
        text = exercise.hints[given]
        title = f"Hint {given + 1} of {len(exercise.hints)} for {exercise_id}"
    else:
        title = f"Solution of {exercise_id}"
        text = (
            solution_of(lab.name, exercise_id)
            or "The solution is not part of what was handed out. Ask for help."
        )
    return Shown(f"{title}\n{text}", card(title, _preformatted(text)))


def _preformatted(text: str) -> str:
    return f'<div style="white-space:pre-wrap">{escape(text)}</div>'


def _what_is_missing(message: str | None) -> str:
    """The blank's own text is the exercise's id again; a missing name is worth telling."""
    if message is None or "is not defined" not in message:
        return "its blank is still to be filled in"
    return message

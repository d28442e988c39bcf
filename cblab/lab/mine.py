"""`mine`: the student's own answer to an exercise of another lab, from their own notebook."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, overload

from cblab.lab.course import notebook_of
from cblab.lab.dispatcher import load_reference
from cblab.lab.exercise import Exercise
from cblab.lab.judge import judge
from cblab.lab.notebook import Submission, read_notebook, submission_of, without_magics
from cblab.lab.registry import Lab, LabError, load_lab
from cblab.lab.runner import Verdict


@overload
def mine(lab: str, symbol: str, folder: Path | None = None) -> Any: ...
@overload
def mine(lab: str, symbol: tuple[str, ...], folder: Path | None = None) -> tuple[Any, ...]: ...
def mine(lab: str, symbol: str | tuple[str, ...], folder: Path | None = None) -> Any:
    """What the student wrote in another lab, as in ``mine("04_paging", "BlockManager")``; prints whose it is.

    Their answer is taken from its cell in their notebook and judged there and then, in a process of its own.
    If it does not pass, or there is no notebook, it is cblab's reference. The earlier answers that it uses
    are theirs too, as far as those pass.

    symbol: several in a tuple come back in a tuple; one process judges all of them.
    folder: where they work, see `notebook_of`; None is the current one.

    Raises LabError for a lab or a symbol that the course does not have.
    """
    symbols = (symbol,) if isinstance(symbol, str) else symbol
    known = load_lab(lab)
    defining = {name: _defining(name, known) for name in symbols}
    here = Path.cwd() if folder is None else folder
    path = notebook_of(known.name, here)
    if path is None:
        why = f"there is no notebook {known.name}.ipynb in the folder {here.resolve().name}, nor beside it"
        found = {name: _reference(exercise, name, why) for name, exercise in defining.items()}
    else:
        print(f"{path.name}: judging {', '.join(_ids(defining))} ...", flush=True)
        found = _fetched(defining, known, path, here)
    return found[symbol] if isinstance(symbol, str) else tuple(found[name] for name in symbols)


def _ids(defining: Mapping[str, Exercise]) -> list[str]:
    return list(dict.fromkeys(exercise.id for exercise in defining.values()))


def _fetched(defining: Mapping[str, Exercise], lab: Lab, path: Path, here: Path) -> dict[str, Any]:
    """Each symbol from the notebook at `path` if its exercise passes, else the reference."""
    submission = submission_of(read_notebook(path))
    needed = [one for exercise in defining.values() for one in (*lab.built_on(exercise), exercise)]
    together = tuple(one for one in lab.exercises if one in needed)
    try:
        verdicts = {one.exercise.id: one for one in judge(submission, together, lab, cwd=path.parent)}
    except LabError as error:
        return {name: _reference(exercise, name, str(error)) for name, exercise in defining.items()}
    namespace, shown_path = None, os.path.relpath(path, here)
    found = {}
    for name, exercise in defining.items():
        if not verdicts[exercise.id].passed:
            found[name] = _reference(exercise, name, _why_not(verdicts[exercise.id], shown_path))
            continue
        namespace = namespace or _run(submission, together, verdicts, path)
        found[name] = namespace[name]
        uses = (*lab.built_on(exercise), exercise)
        borrowed = [one.id for one in uses if not verdicts[one.id].passed]
        beside = f", with the reference for {', '.join(borrowed)}" if borrowed else ""
        print(f"{name}: yours, exercise {exercise.id} of {path.name}{beside}")
    return found


def _defining(symbol: str, lab: Lab) -> Exercise:
    for exercise in lab.exercises:
        if symbol in exercise.symbols:
            return exercise
    known = ", ".join(name for exercise in lab.exercises for name in exercise.symbols)
    raise LabError(f"lab {lab.name} has no {symbol!r}; it has {known}")


def _reference(exercise: Exercise, symbol: str, why: str) -> Any:
    print(f"{symbol}: the reference ({why})")
    return load_reference(exercise.symbols[symbol])


def _why_not(verdict: Verdict, path: str) -> str:
    exercise = f"exercise {verdict.exercise.id}"
    if verdict.blank:
        return f"{exercise} is still blank"
    messages = [outcome.message for outcome in verdict.outcomes if outcome.message]
    what = f"{exercise} does not pass its check"
    if any("SyntaxError" in message or "IndentationError" in message for message in messages):
        what = f"{exercise} has a syntax error"
    elif any("took more than" in message for message in messages):
        what = f"{exercise} takes too long"
    return f"{what}: `cblab check {path}` says more"


def _run(
    submission: Submission, exercises: tuple[Exercise, ...], verdicts: dict[str, Verdict], path: Path
) -> dict[str, Any]:
    """The names that the set-up and the answers define, with references in place of what does not pass."""
    namespace: dict[str, Any] = {"__name__": path.stem}
    exec(compile(submission.setup, f"<{path.name}: set-up>", "exec"), namespace)
    for exercise in exercises:
        if verdicts[exercise.id].passed:
            source = without_magics(submission.answers[exercise.id][0])
            exec(compile(source, f"<{path.name}: exercise {exercise.id}>", "exec"), namespace)
        else:
            namespace.update({name: load_reference(where) for name, where in exercise.symbols.items()})
    return namespace

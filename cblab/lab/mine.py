"""`mine`: the student's own answers to exercises of other labs, from their own notebooks."""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, overload

from cblab.lab.course import notebook_of
from cblab.lab.dispatcher import load_reference
from cblab.lab.exercise import Exercise
from cblab.lab.judge import judge
from cblab.lab.notebook import Submission, read_notebook, submission_of, without_magics
from cblab.lab.registry import Lab, LabError, load_lab
from cblab.lab.runner import Verdict

AT_ONCE = 2  # labs judged side by side: the course's laptop has two cores


@overload
def mine(lab: str, symbol: str, *, folder: Path | None = None) -> Any: ...
@overload
def mine(lab: Mapping[str, Sequence[str]], *, folder: Path | None = None) -> SimpleNamespace: ...
def mine(lab: str | Mapping[str, Sequence[str]], symbol: str = "", *, folder: Path | None = None) -> Any:
    """What the student wrote in another lab, as in ``mine("04_paging", "BlockManager")``; prints whose it is.

    Their answer is taken from its cell in their notebook and judged there and then, in a process of its own.
    If it does not pass, or there is no notebook, it is cblab's reference. The earlier answers that it uses
    are theirs too, as far as those pass.

    lab: or a dict, lab to symbols, as in ``mine({"04_paging": ["gather", "BlockManager"]})``: each symbol is
    an attribute of what comes back. One process judges a lab's, and two labs are judged at a time.
    folder: where they work, see `notebook_of`; None is the current one.

    Raises LabError for a lab or a symbol that the course does not have.
    """
    here = Path.cwd() if folder is None else folder
    if isinstance(lab, str):
        return _fetched([_Wanted.of(lab, [symbol], here)])[symbol]
    return SimpleNamespace(**_fetched([_Wanted.of(name, symbols, here) for name, symbols in lab.items()]))


@dataclass(frozen=True)
class _Judged:
    """A notebook, and the verdicts on what is wanted of it and on what that is built on, by exercise id."""

    submission: Submission
    verdicts: Mapping[str, Verdict]


@dataclass(frozen=True)
class _Wanted:
    """What is wanted of one lab. exercises: by symbol, which defines it. path: of the notebook, if any."""

    lab: Lab
    exercises: Mapping[str, Exercise]
    path: Path | None
    here: Path

    @classmethod
    def of(cls, lab: str, symbols: Sequence[str], here: Path) -> "_Wanted":
        known = load_lab(lab)
        return cls(known, {name: _defining(name, known) for name in symbols}, notebook_of(lab, here), here)

    def judged(self) -> _Judged:
        """Raises LabError where nothing can be judged."""
        if self.path is None:
            folder = self.here.resolve().name
            raise LabError(
                f"there is no notebook {self.lab.name}.ipynb in the folder {folder}, nor beside it"
            )
        submission = submission_of(read_notebook(self.path))
        needed = [one for wanted in self.exercises.values() for one in (*self.lab.built_on(wanted), wanted)]
        together = [one for one in self.lab.exercises if one in needed]
        verdicts = judge(submission, together, self.lab, cwd=self.path.parent)
        return _Judged(submission, {one.exercise.id: one for one in verdicts})


def _fetched(wanted: Sequence[_Wanted]) -> dict[str, Any]:
    """Symbol to answer. Prints what is judged, and, in the order of `wanted`, whose each answer is."""
    for one in wanted:
        if one.path is not None:
            ids = dict.fromkeys(exercise.id for exercise in one.exercises.values())
            print(f"{one.path.name}: judging {', '.join(ids)} ...", flush=True)
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        running = [pool.submit(one.judged) for one in wanted]
        found = {}
        for one, future in zip(wanted, running, strict=True):
            try:
                found.update(_answers(one, future.result()))
            except LabError as error:
                found.update(
                    {name: _reference(one.exercises[name], name, str(error)) for name in one.exercises}
                )
        return found
    finally:
        # Whoever interrupts the cell does not wait for the rest.
        pool.shutdown(wait=False, cancel_futures=True)


def _answers(wanted: _Wanted, judged: _Judged) -> dict[str, Any]:
    """Each symbol from the notebook if its exercise passes, else the reference."""
    assert wanted.path is not None, "what has no notebook cannot have been judged"
    verdicts, namespace = judged.verdicts, None
    found = {}
    for name, exercise in wanted.exercises.items():
        if not verdicts[exercise.id].passed:
            why = _why_not(verdicts[exercise.id], os.path.relpath(wanted.path, wanted.here))
            found[name] = _reference(exercise, name, why)
            continue
        namespace = namespace or _run(judged, wanted.path)
        found[name] = namespace[name]
        uses = (*wanted.lab.built_on(exercise), exercise)
        borrowed = [one.id for one in uses if not verdicts[one.id].passed]
        beside = f", with the reference for {', '.join(borrowed)}" if borrowed else ""
        print(f"{name}: yours, exercise {exercise.id} of {wanted.path.name}{beside}")
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


def _run(judged: _Judged, path: Path) -> dict[str, Any]:
    """The names that the set-up and the answers define, with references in place of what does not pass."""
    namespace: dict[str, Any] = {"__name__": path.stem}
    exec(compile(judged.submission.setup, f"<{path.name}: set-up>", "exec"), namespace)
    for exercise_id, verdict in judged.verdicts.items():
        if verdict.passed:
            source = without_magics(judged.submission.answers[exercise_id][0])
            exec(compile(source, f"<{path.name}: exercise {exercise_id}>", "exec"), namespace)
        else:
            symbols = verdict.exercise.symbols
            namespace.update({name: load_reference(where) for name, where in symbols.items()})
    return namespace

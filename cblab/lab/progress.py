"""What ``cblab progress`` does: which exercises are done, lab by lab, from a student's own notebooks."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cblab.lab.course import notebooks_in
from cblab.lab.judge import judge
from cblab.lab.notebook import (
    answer_cells,
    blank_of,
    open_questions,
    read_notebook,
    source_of,
    submission_of,
)
from cblab.lab.registry import Lab, LabError, load_lab

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class LabProgress:
    """How far one lab is.

    passed, wrong, blank: ids of its exercises. points: earned, of `most`; neither counts what is marked by
    hand. written, unwritten: ids of its open questions. trouble: why nothing could be judged.
    """

    lab: str
    passed: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    blank: tuple[str, ...] = ()
    points: float = 0.0
    most: float = 0.0
    written: tuple[str, ...] = ()
    unwritten: tuple[str, ...] = ()
    trouble: str = ""


def progress_of(lab: Lab, path: Path) -> LabProgress:
    """Judge what a notebook answers, without the hidden cases; what is still blank is not run."""
    notebook = read_notebook(path)
    blank = tuple(
        exercise.id
        for exercise in lab.exercises
        if all(source_of(cell) == blank_of(cell) for cell in answer_cells(notebook, exercise.id))
    )
    begun = [exercise for exercise in lab.exercises if exercise.id not in blank]
    most = sum(exercise.points for exercise in lab.exercises)
    questions = list(open_questions(notebook))
    written = tuple(question.id for question in questions if not question.blank)
    unwritten = tuple(question.id for question in questions if question.blank)
    try:
        verdicts = judge(submission_of(notebook), begun, lab, cwd=path.resolve().parent) if begun else []
    except LabError as error:
        return LabProgress(
            lab.name, blank=blank, most=most, written=written, unwritten=unwritten, trouble=str(error)
        )
    return LabProgress(
        lab.name,
        passed=tuple(verdict.exercise.id for verdict in verdicts if verdict.passed),
        wrong=tuple(verdict.exercise.id for verdict in verdicts if not verdict.passed and not verdict.blank),
        blank=(*blank, *(verdict.exercise.id for verdict in verdicts if verdict.blank)),
        points=sum(verdict.points for verdict in verdicts),
        most=most,
        written=written,
        unwritten=unwritten,
    )


def show_progress(folder: Path) -> None:
    """Print a line for each lab that has a notebook in `folder`; LabError where none has."""
    from rich.console import Console
    from rich.progress import track

    console = Console(highlight=False)
    found = notebooks_in(folder)
    bar = track(found.items(), "judging", console=console, transient=True, disable=not console.is_terminal)
    rows = [progress_of(load_lab(lab), path) for lab, path in bar]
    _print(rows, console)


def _print(rows: Sequence[LabProgress], console: "Console") -> None:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("lab", no_wrap=True)
    table.add_column("done", justify="right", no_wrap=True)
    table.add_column("points", justify="right", no_wrap=True)
    table.add_column("written", justify="right", no_wrap=True)
    table.add_column("next", overflow="fold")
    for row in rows:
        count = len(row.passed) + len(row.wrong) + len(row.blank)
        done, points = f"{len(row.passed)} of {count}", f"{row.points:g} of {row.most:g}"
        questions = len(row.written) + len(row.unwritten)
        written = f"{len(row.written)} of {questions}" if questions else "–"
        table.add_row(row.lab, done, points, written, _what_next(row))
    console.print(table)
    console.print(
        "Written are open questions, which are marked by hand. `cblab check NOTEBOOK` says what is wrong. "
        "Grading adds hidden cases."
    )


def _what_next(row: LabProgress) -> str:
    if row.trouble:
        return row.trouble
    wrong = f"mend {', '.join(row.wrong)}" if row.wrong else ""
    blank = f"begin {row.blank[0]}" if row.blank else ""
    write = f"write {', '.join(row.unwritten)}" if row.unwritten and not row.blank else ""
    return "; ".join(filter(None, (wrong, blank, write))) or "all done"

"""What ``cblab check`` and ``cblab reset`` do."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

from cblab.lab.files import replace_file
from cblab.lab.judge import judge, lab_of_submission
from cblab.lab.notebook import (
    OpenQuestion,
    answer_cells,
    blank_of,
    open_questions,
    read_notebook,
    source_of,
    submission_of,
)
from cblab.lab.predictions import FOLDER
from cblab.lab.registry import Lab, LabError
from cblab.lab.runner import Verdict


def check(file: Path, exercise_id: str | None = None) -> bool:
    """Print what the grader will say about a notebook, without its hidden cases; True for full marks.

    exercise_id: only this exercise. Raises LabError where `file` is no lab of the course.
    """
    notebook = read_notebook(file)
    submission = submission_of(notebook)
    lab = lab_of_submission(submission)
    exercises = lab.exercises if exercise_id is None else (lab.exercise(exercise_id),)
    verdicts = judge(submission, exercises, lab, cwd=file.resolve().parent)
    _print(verdicts, tuple(open_questions(notebook)) if exercise_id is None else (), lab)
    return all(verdict.passed for verdict in verdicts)


def reset(file: Path, exercise_id: str) -> None:
    """Give one exercise of a notebook its blank back; the old answer goes to ``.cblab/`` beside it.

    Raises LabError where the notebook has no answer cell of that exercise, or its blank is lost.
    """
    notebook = read_notebook(file)
    cells = list(answer_cells(notebook, exercise_id))
    if not cells:
        known = ", ".join(submission_of(notebook).answers) or "none"
        raise LabError(f"{file} has no answer cell of exercise {exercise_id}; it has {known}")
    blank = next((blank_of(cell) for cell in cells if blank_of(cell)), "")
    if not blank:
        raise LabError(
            f"the blank of {exercise_id} is not kept in {file}: take it from a fresh copy of the lab"
        )
    answers = [source_of(cell) for cell in cells]
    if all(answer == blank for answer in answers):
        print(f"{exercise_id} is blank already in {file}")
        return
    backup = _back_up(file, exercise_id, answers)
    for cell in cells:
        cell["source"] = blank.splitlines(keepends=True)
        cell["outputs"], cell["execution_count"] = [], None
    replace_file(file, json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
    print(f"{exercise_id} is blank again in {file}; the old answer is in {backup}")
    print("If the notebook is open in JupyterLab: File > Reload Notebook from Disk.")


def _back_up(file: Path, exercise_id: str, sources: Sequence[str]) -> Path:
    folder = file.parent / FOLDER
    folder.mkdir(exist_ok=True)
    stem = f"{file.stem}-{exercise_id}-{time.strftime('%Y%m%d-%H%M%S')}"
    path, number = folder / f"{stem}.py", 1
    while path.exists():
        number += 1
        path = folder / f"{stem}-{number}.py"
    path.write_text("\n\n".join(sources) + "\n", encoding="utf-8")
    return path


def _print(verdicts: Sequence[Verdict], questions: Sequence[OpenQuestion], lab: Lab) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"Lab {lab.name}", title_justify="left", show_lines=True)
    table.add_column("exercise", no_wrap=True)
    table.add_column("points", justify="right", no_wrap=True)
    table.add_column("what the check says", overflow="fold")
    for verdict in verdicts:
        exercise = verdict.exercise
        bonus = " (bonus)" if exercise.bonus else ""
        points = f"{verdict.points:g} of {exercise.points:g}"
        table.add_row(f"{exercise.id} {exercise.title}{bonus}", points, _says(verdict))
    for question in questions:
        says = f"by hand, {question.points:g} points" + (": nothing written yet" if question.blank else "")
        table.add_row(f"{question.id} {question.title}", "", says)
    console = Console(highlight=False, markup=False)
    console.print(table)
    earned = sum(verdict.points for verdict in verdicts)
    possible = sum(verdict.exercise.points for verdict in verdicts)
    if by_hand := sum(question.points for question in questions):
        console.print(f"{earned:g} of {possible:g} points, and up to {by_hand:g} by hand.")
    else:
        console.print(f"{earned:g} of {possible:g} points.")
    if any(verdict.exercise.symbols for verdict in verdicts):
        console.print("The grader adds hidden cases.")


def _says(verdict: Verdict) -> str:
    if verdict.passed:
        return "passed"
    if verdict.blank:
        return "blank"
    failed = [outcome for outcome in verdict.outcomes if not outcome.passed]
    return "\n".join(
        f"{outcome.part.name}: {'blank' if outcome.blank else outcome.message}" for outcome in failed
    )

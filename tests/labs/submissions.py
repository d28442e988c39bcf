"""Submissions made from a lab's source: its solution, its release, and wrong and right answers filled in."""

import copy
import importlib
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from cblab.lab.notebook import cell_id
from cblab.lab.registry import Lab, load_lab
from cblab.lab.release import release_of
from cblab.lab.source import notebook_from_source

ROOT = Path(__file__).parents[2]
LABS = sorted(folder.name.removeprefix("lab") for folder in Path(__file__).parent.glob("lab[0-9]*"))
Blanks = tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """One answer to one exercise. says: part of the message that a wrong one gets; None for a right one."""

    exercise: str
    name: str
    blanks: Blanks
    says: str | None = None


@cache
def lab_and_solution(name: str) -> tuple[Lab, NotebookNode]:
    """A lab and its notebook with solutions, not executed."""
    lab = load_lab(name)
    return lab, notebook_from_source(ROOT / "solutions" / f"{name}.py", lab)


@cache
def release(name: str) -> NotebookNode:
    """A lab's release."""
    return release_of(lab_and_solution(name)[1])


def mutants(name: str) -> list[Answer]:
    """The wrong answers that a lab's tests list."""
    listed = importlib.import_module(f"tests.labs.lab{name}.mutants").MUTANTS
    return [Answer(key, title, blanks, says) for key, rows in listed.items() for title, blanks, says in rows]


def alternatives(name: str) -> list[Answer]:
    """The right answers that a lab's tests list, written in other ways."""
    listed = importlib.import_module(f"tests.labs.lab{name}.alternatives").ALTERNATIVES
    return [Answer(key, title, blanks) for key, rows in listed.items() for title, blanks in rows]


def rounds(answers: Sequence[Answer], most: int) -> Iterator[dict[str, Answer]]:
    """Submissions by exercise: round k carries answer k of every exercise that has so many.

    most: the number of rounds; of an exercise with more answers, so many are taken from all over its list.
    """
    by_exercise: dict[str, list[Answer]] = {}
    for answer in answers:
        by_exercise.setdefault(answer.exercise, []).append(answer)
    chosen = {key: spread(rows, most) for key, rows in by_exercise.items()}
    for index in range(max(map(len, chosen.values()), default=0)):
        yield {key: rows[index] for key, rows in chosen.items() if index < len(rows)}


def spread(rows: list[Answer], most: int) -> list[Answer]:
    """`most` of `rows` at equal distances, the first and the last among them; all where there are no more."""
    if len(rows) <= most:
        return rows
    return [rows[round(index * (len(rows) - 1) / (most - 1))] for index in range(most)]


def filled(name: str, answers: Mapping[str, Answer]) -> NotebookNode:
    """A lab's release with these answers filled in; the rest of it is solved. Lean, see there."""
    notebook: NotebookNode = copy.deepcopy(release(name))
    solved = {cell.id: cell.source for cell in lab_and_solution(name)[1].cells}
    wanted = {cell_id("ex", key): answer for key, answer in answers.items()}
    for cell in notebook.cells:
        if cell.id in wanted:
            cell.source = fill(cell.source, wanted[cell.id].blanks)
        elif cell.id.startswith("ex-"):
            cell.source = solved[cell.id]
    return lean(notebook)


def lean(notebook: NotebookNode) -> NotebookNode:
    """Only the cells that are graded, and the set-up: it runs in seconds."""
    kept: NotebookNode = copy.deepcopy(notebook)
    start = nbformat.v4.new_code_cell("from cblab.lab import check", id="start")
    kept.cells = [start, *(cell for cell in kept.cells if _is_graded(cell))]
    return kept


def fill(blank: str, blanks: Blanks) -> str:
    """An answer cell with `blanks`, one dedented source each, in place of its NotImplementedErrors."""
    stubs = re.compile(r'^( *)raise NotImplementedError\("exercise [^"]*"\)$', re.MULTILINE)
    found = stubs.findall(blank)
    if len(found) != len(blanks):
        raise ValueError(f"{len(blanks)} sources for {len(found)} blanks: {blank}")
    rest = iter(blanks)
    return stubs.sub(lambda match: textwrap.indent(next(rest), match[1]), blank)


def _is_graded(cell: Any) -> bool:
    return cell.id.startswith(("ex-", "check-", "manual-")) or "setup" in cell.metadata.get("tags", ())

"""Reading a student's notebook: which cells are the set-up, and which answers what."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cblab.lab.registry import LabError

PLACEHOLDER = "*Your answer to {} goes here.*"
_MAGIC = re.compile(r"^(\s*)[%!].*$", re.MULTILINE)


@dataclass(frozen=True)
class Submission:
    """What of a notebook is graded.

    setup: the sources of the set-up cells, as one.
    answers: by exercise id, the sources of the cells that carry it (one, unless the student copied a cell).
    """

    setup: str
    answers: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class OpenQuestion:
    """A question that is marked by hand. blank: nothing has been written below it."""

    id: str
    title: str
    points: float
    blank: bool


def read_notebook(path: Path) -> dict[str, Any]:
    """A notebook as JSON; LabError where there is none."""
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(notebook["cells"], list):
            raise KeyError("cells")
    except FileNotFoundError:
        raise LabError(f"there is no file {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise LabError(f"{path} cannot be read: {error}") from None
    except (ValueError, KeyError, TypeError):
        raise LabError(f"{path} is not a notebook") from None
    return notebook


def submission_of(notebook: dict[str, Any]) -> Submission:
    """The set-up cells and the answer cells of a notebook."""
    setup: list[str] = []
    answers: dict[str, tuple[str, ...]] = {}
    for cell in notebook["cells"]:
        if cell.get("cell_type") != "code":
            continue
        if "setup" in cell.get("metadata", {}).get("tags", ()):
            setup.append(without_magics(source_of(cell)))
        exercise = answered_by(cell)
        if exercise is not None:
            answers[exercise] = (*answers.get(exercise, ()), source_of(cell))
    return Submission("\n".join(setup), answers)


def open_questions(notebook: dict[str, Any]) -> Iterator[OpenQuestion]:
    """The questions of a notebook that are marked by hand; a heading ``# … · title`` gives the title."""
    for cell in notebook["cells"]:
        key = _key_of(cell, "manual")
        if key is not None:
            source, points = source_of(cell), float(cell["metadata"]["nbgrader"].get("points", 0))
            heading = re.match(r"#+ .* · (.+)", source)
            blank = source.rstrip().endswith(PLACEHOLDER.format(key))
            yield OpenQuestion(key, heading[1] if heading else "", points, blank)


def answer_cells(notebook: dict[str, Any], exercise: str) -> Iterator[dict[str, Any]]:
    """The cells that answer an exercise."""
    return (cell for cell in notebook["cells"] if answered_by(cell) == exercise)


def answered_by(cell: dict[str, Any]) -> str | None:
    """The id of the exercise that a cell answers, from its grade id ``ex-1-3``; None for any other cell."""
    return _key_of(cell, "ex")


def _key_of(cell: dict[str, Any], kind: str) -> str | None:
    """``"1.3"`` for a cell whose grade id is ``kind-1-3``; None for any other cell."""
    grade_id = str(cell.get("metadata", {}).get("nbgrader", {}).get("grade_id", ""))
    name, _, key = grade_id.partition("-")
    return key.replace("-", ".") if name == kind else None


def blank_of(cell: dict[str, Any]) -> str:
    """The answer cell as it was handed out, from the cell's metadata; "" where it is lost."""
    return str(cell.get("metadata", {}).get("cblab", {}).get("blank", ""))


def source_of(cell: dict[str, Any]) -> str:
    """A cell's source, which a notebook may hold as one text or as a list of lines."""
    source = cell.get("source", "")
    return source if isinstance(source, str) else "".join(source)


def cell_id(kind: str, key: str) -> str:
    """The grade id and cell id of a cell, ``cell_id("ex", "1.3") == "ex-1-3"``: nbgrader allows no dot."""
    return f"{kind}-{key.replace('.', '-')}"


def without_magics(source: str) -> str:
    """`source` as plain Python can run it: IPython's ``%magic`` and ``!shell`` lines become ``pass``.

    Only where it does not compile as it stands: a ``%`` may also begin a continued line.
    """
    try:
        compile(source, "<cell>", "exec")
    except (SyntaxError, ValueError):
        return _MAGIC.sub(r"\1pass", source)
    return source

"""From a lab's one source, ``solutions/NN_name.py`` in percent format, to its notebook with solutions.

Shorthand in the cell headers becomes nbgrader's metadata::

    # %% exercise="1.3"                        an answer: BEGIN SOLUTION … END SOLUTION
    # %% check="1.3"                           its check: written here, points from the registry
    # %% predict="1.4a"                        a prediction: ungraded, blank in the release
    # %% [markdown] manual="1.14" points=3     an open question, marked by hand
    # %% tags=["setup"]                        what graders run before any answer
"""

import hashlib
import re
from collections import Counter
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbformat import NotebookNode

from cblab.lab.notebook import cell_id
from cblab.lab.registry import Lab, LabError

KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}
LANGUAGE_INFO = {"name": "python", "file_extension": ".py", "mimetype": "text/x-python"}
_NOQA = re.compile(r"[ \t]*# noqa(: [A-Z0-9, ]+)?$", re.MULTILINE)
_KINDS = ("exercise", "check", "predict", "manual")
_TAGS = {"setup", "nbval-ignore-output", "nbval-skip", "raises-exception", "hide-input"}


class SourceError(LabError):
    """A source that no lab can be built from; the text names the file and what is wrong in it."""


def notebook_from_source(path: Path, lab: Lab) -> NotebookNode:
    """The notebook with solutions, not yet executed; SourceError where `path` is not a source of `lab`."""
    parsed = jupytext.reads(path.read_text(encoding="utf-8"), fmt="py:percent")
    cells = [_expanded(cell, lab, path) for cell in parsed.cells]
    _name_the_rest(cells)
    _require_all_exercises(cells, lab, path)
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata.update(kernelspec=dict(KERNELSPEC), language_info=dict(LANGUAGE_INFO))
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    nbformat.validate(notebook)
    return notebook


def _expanded(cell: NotebookNode, lab: Lab, path: Path) -> NotebookNode:
    """A cell with the metadata that its header stands for."""
    header = {key: value for key, value in cell.metadata.items() if not key.startswith("lines_to_")}
    kinds = [kind for kind in _KINDS if kind in header]
    unknown = set(header) - {"tags", "points", *_KINDS}
    strange = set(header.get("tags", ())) - _TAGS
    if unknown or strange or len(kinds) > 1:
        raise SourceError(
            f"{path}: a cell's header has {sorted(unknown | strange) or kinds}: {_excerpt(cell)}"
        )
    source = _NOQA.sub("", cell.source).strip("\n")
    metadata: dict[str, Any] = {"tags": list(header["tags"])} if header.get("tags") else {}
    identity = ""
    if kinds:
        key = str(header[kinds[0]])
        source, nbgrader = _graded(kinds[0], key, source, header, lab, path)
        metadata["nbgrader"] = nbgrader
        identity = nbgrader["grade_id"]
    new = nbformat.v4.new_markdown_cell if cell.cell_type == "markdown" else nbformat.v4.new_code_cell
    made = new(source=source, metadata=metadata)
    made.id = identity
    return made


def _graded(
    kind: str, key: str, source: str, header: dict[str, Any], lab: Lab, path: Path
) -> tuple[str, dict[str, Any]]:
    """The source and nbgrader's metadata of a cell of one of the four kinds."""
    if kind == "check":
        exercise = lab.exercise(key)
        if source and source != f'check("{key}")':
            raise SourceError(f'{path}: the body of check="{key}" is written by the builder: leave it empty')
        return _check_source(key), _nbgrader("check", key, grade=True, points=exercise.points)
    if "BEGIN SOLUTION" not in source or "END SOLUTION" not in source:
        raise SourceError(f'{path}: {kind}="{key}" has no region from BEGIN SOLUTION to END SOLUTION')
    if kind == "manual":
        if not header.get("points"):
            raise SourceError(f'{path}: manual="{key}" does not say its points')
        return source, _nbgrader("manual", key, grade=True, solution=True, points=float(header["points"]))
    if kind == "exercise":
        lab.exercise(key)
    return source, _nbgrader("ex" if kind == "exercise" else kind, key, solution=True)


def _check_source(key: str) -> str:
    return "\n".join(
        (
            f'check("{key}")',
            "### BEGIN HIDDEN TESTS",
            # Imported again: an answer may have given the name another meaning, by accident or not.
            "from cblab.lab import check",
            "",
            f'check("{key}", hidden=True)',
            "### END HIDDEN TESTS",
        )
    )


def _nbgrader(
    prefix: str, key: str, *, grade: bool = False, solution: bool = False, points: float | None = None
) -> dict[str, Any]:
    metadata = {
        "grade": grade,
        "grade_id": cell_id(prefix, key),
        "locked": grade and not solution,
        "schema_version": 3,
        "solution": solution,
        "task": False,
    }
    return metadata if points is None else metadata | {"points": points}


def _name_the_rest(cells: list[NotebookNode]) -> None:
    """Ids for ungraded cells: of their content, so that a new cell renames no other."""
    seen: Counter[str] = Counter()
    for cell in cells:
        if cell.id:
            continue
        kind = "text" if cell.cell_type == "markdown" else "code"
        name = f"{kind}-{hashlib.sha256(cell.source.encode()).hexdigest()[:8]}"
        seen[name] += 1
        cell.id = name if seen[name] == 1 else f"{name}-{seen[name]}"


def _require_all_exercises(cells: list[NotebookNode], lab: Lab, path: Path) -> None:
    """Every registered exercise has one answer cell and, somewhere after it, one check."""
    order = [cell.id for cell in cells]
    twice = [name for name, count in Counter(order).items() if count > 1]
    if twice:
        raise SourceError(f"{path}: two cells are {twice[0]}")
    for exercise in lab.exercises:
        names = [cell_id("ex", exercise.id), cell_id("check", exercise.id)]
        missing = [name for name in names if name not in order]
        if missing:
            raise SourceError(f"{path}: exercise {exercise.id} has no cell {missing[0]}")
        if order.index(names[0]) > order.index(names[1]):
            raise SourceError(f"{path}: the check of {exercise.id} comes before its answer")


def _excerpt(cell: NotebookNode) -> str:
    return repr(cell.source[:60])

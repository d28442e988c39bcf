"""Executes a lab's notebook, and holds the result to what a page may show: the same on every machine."""

import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

from cblab.lab.registry import LabError
from cblab.lab.seed import environment_without_seed
from cblab.lab.source import LANGUAGE_INFO

SECONDS_A_CELL = 300
_ADDRESS = re.compile(r"\bat 0x[0-9a-f]{6,}")


class ExecutionError(LabError):
    """A notebook that did not run through, or that shows what it should not; the text names the cell."""


def executed(
    notebook: NotebookNode, files: Path | None = None, neighbours: Path | None = None
) -> NotebookNode:
    """`notebook` run from top to bottom in a fresh folder, beside copies of `files`' content.

    neighbours: a folder of labs, whose notebooks are found from the fresh folder as from one of theirs.

    Without a hidden seed, so that the cards are the same for everyone. Raises ExecutionError for an error in
    a cell that has no tag raises-exception, for anything on stderr, for a check without full marks, and for
    an output that holds a memory address or a path of this machine.
    """
    with tempfile.TemporaryDirectory(prefix="cblab-") as above:
        folder = Path(above) / "lab"
        folder.mkdir()
        for path in () if neighbours is None else sorted(neighbours.glob("*/*.ipynb")):
            (Path(above) / path.parent.name).mkdir(exist_ok=True)
            shutil.copyfile(path, Path(above) / path.parent.name / path.name)
        if files is not None and files.is_dir():
            shutil.copytree(
                files, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.ipynb", ".cblab")
            )
        client = NotebookClient(
            notebook,
            timeout=SECONDS_A_CELL,
            kernel_name="python3",
            record_timing=False,
            coalesce_streams=True,
            extra_arguments=["--IPKernelApp.log_level=40"],
            resources={"metadata": {"path": str(folder)}},
        )
        try:
            result: NotebookNode = client.execute(env=environment_without_seed() | {"PYTHONHASHSEED": "0"})
        except CellExecutionError as error:
            raise ExecutionError(str(error)) from None
        places = [above, str(Path.home()), str(Path.cwd())]
    result.metadata.language_info = dict(LANGUAGE_INFO)
    for cell in result.cells:
        if cell.cell_type == "code":
            _tidy(cell, places)
    return result


def _tidy(cell: NotebookNode, places: list[str]) -> None:
    """Shorten tracebacks to their last line, then refuse what should not be shown."""
    for output in cell.outputs:
        if output.output_type == "error":
            output.traceback = [f"{output.ename}: {output.evalue}"]
        if output.output_type == "stream" and output.name == "stderr":
            raise ExecutionError(f"cell {cell.id} writes to stderr: {output.text.strip()[:300]}")
        for text in _texts(output):
            if _ADDRESS.search(text):
                raise ExecutionError(f"cell {cell.id} shows a memory address: {text.strip()[:300]}")
            if any(place in text for place in places if len(place) > 1):
                raise ExecutionError(f"cell {cell.id} shows a path of this machine: {text.strip()[:300]}")
    nbgrader = cell.metadata.get("nbgrader", {})
    if nbgrader.get("grade") and _score(cell) != nbgrader["points"]:
        raise ExecutionError(
            f"cell {cell.id}: the solution earns {_score(cell)} of {nbgrader['points']} points"
        )


def _texts(output: NotebookNode) -> Iterator[str]:
    if output.output_type == "stream":
        yield output.text
    elif output.output_type == "error":
        yield output.evalue
    else:
        yield from (value for kind, value in output.data.items() if kind.startswith("text/"))


def _score(cell: NotebookNode) -> float | None:
    for output in cell.outputs:
        if output.output_type == "execute_result":
            return float(output.data["text/plain"])
    return None

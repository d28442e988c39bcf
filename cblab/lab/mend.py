"""What a submission has lost, given back before nbgrader grades it.

nbgrader restores a check cell that was edited or deleted. It gives up on the whole submission, though, where
an answer was copied, where an answer and its check were deleted together, and where an editor dropped the
cells' metadata. The release knows what was there.
"""

import copy
from pathlib import Path

import nbformat
from nbconvert.exporters.exporter import ResourcesDict
from nbformat import NotebookNode
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import Unicode

from cblab.lab.registry import LabError


class MendCells(NbGraderPreprocessor):
    """Makes a submission hold every cell of the release that nbgrader knows, once, in the release's order.

    It stands behind `DeduplicateIds`, which takes a copy's grade id away, and before `OverwriteCells`.
    """

    release_directory = Unicode(help="The folder in which the released assignments are.").tag(config=True)

    def preprocess(
        self, notebook: NotebookNode, resources: ResourcesDict
    ) -> tuple[NotebookNode, ResourcesDict]:
        """Mend the whole notebook; each cell that is put back is logged."""
        released = self._released_cells(resources["nbgrader"]["assignment"], resources["unique_key"])
        _give_marks_back(notebook, released)
        last = -1
        for grade_id, cell in released.items():
            places = [index for index, one in enumerate(notebook.cells) if _grade_id(one) == grade_id]
            if places:
                last = places[0]
                continue
            last += 1
            notebook.cells.insert(last, copy.deepcopy(cell))
            self.log.warning("Cell %s was missing and is put back as it was released", grade_id)
        return notebook, resources

    def _released_cells(self, assignment: str, name: str) -> dict[str, NotebookNode]:
        path = Path(self.release_directory) / assignment / f"{name}.ipynb"
        if not path.is_file():
            raise LabError(
                f"{path} is not there: `nbgrader generate_assignment {assignment} --force` makes it"
            )
        cells = nbformat.read(path, as_version=4).cells
        return {grade_id: cell for cell in cells if (grade_id := _grade_id(cell))}


def _grade_id(cell: NotebookNode) -> str:
    return str(cell.metadata.get("nbgrader", {}).get("grade_id", ""))


def _give_marks_back(notebook: NotebookNode, released: dict[str, NotebookNode]) -> None:
    """Give a cell without a grade id the one that its cell id names, unless another cell has it."""
    taken = {_grade_id(cell) for cell in notebook.cells}
    for cell in notebook.cells:
        if _grade_id(cell):
            continue
        cell.metadata.pop("nbgrader", None)
        if cell.get("id") in released and cell.id not in taken:
            cell.metadata["nbgrader"] = copy.deepcopy(released[cell.id].metadata.nbgrader)
            taken.add(cell.id)

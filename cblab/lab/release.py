"""From the notebook with solutions to the students' one, by nbgrader's preprocessors and two of our own.

``nbgrader_config.py`` gives nbgrader the same list, so that ``nbgrader generate_assignment`` makes the same
bytes.
"""

import ast
import copy
import textwrap

import nbformat
from nbconvert.exporters.exporter import ResourcesDict
from nbformat import NotebookNode
from nbgrader.preprocessors import (
    CheckCellMetadata,
    ClearHiddenTests,
    ClearMarkScheme,
    ClearOutput,
    ClearSolutions,
    ComputeChecksums,
    LockCells,
    NbGraderPreprocessor,
    SaveCells,
)

from cblab.lab.notebook import PLACEHOLDER
from cblab.lab.solutions import SOLUTION_REGION


class NameBlanks(ClearSolutions):
    """Puts in place of a solution a blank that says whose it is.

    nbgrader has one stub for all cells; here an answer's blank raises NotImplementedError with the
    exercise's id, a prediction's is ``name = ...``, and an open question's is a line of text.
    """

    def preprocess_cell(
        self, cell: NotebookNode, resources: ResourcesDict, cell_index: int
    ) -> tuple[NotebookNode, ResourcesDict]:
        """Replace the solution regions of one cell."""
        kind, _, rest = cell.metadata.get("nbgrader", {}).get("grade_id", "").partition("-")
        key = rest.replace("-", ".")
        stub = f'raise NotImplementedError("exercise {key}")'
        if kind == "predict":
            stub = _prediction_blank(cell.source)
        self.code_stub = {"python": stub}
        self.text_stub = PLACEHOLDER.format(key)
        return super().preprocess_cell(cell, resources, cell_index)


class KeepBlanks(NbGraderPreprocessor):
    """Keeps every answer's blank in its cell's metadata, from which ``cblab reset`` gives it back.

    It also takes out of the notebook's metadata what depends on the machine that built it.
    """

    def preprocess(
        self, notebook: NotebookNode, resources: ResourcesDict
    ) -> tuple[NotebookNode, ResourcesDict]:
        """Tidy the whole notebook."""
        for extra in set(notebook.metadata) - {"kernelspec", "language_info"}:
            del notebook.metadata[extra]
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)
            if cell.metadata.get("nbgrader", {}).get("grade_id", "").startswith("ex-"):
                cell.metadata["cblab"] = {"blank": cell.source}
        return notebook, resources


PREPROCESSORS = [
    LockCells,
    NameBlanks,
    ClearOutput,
    CheckCellMetadata,
    ComputeChecksums,
    SaveCells,
    ClearHiddenTests,
    ClearMarkScheme,
    KeepBlanks,
    ComputeChecksums,
    CheckCellMetadata,
]


def release_of(solution: NotebookNode) -> NotebookNode:
    """The notebook to hand out; `solution` stays as it is. Nothing is written to a gradebook."""
    notebook, resources = copy.deepcopy(solution), ResourcesDict()
    for preprocessor in PREPROCESSORS:
        if preprocessor is not SaveCells:
            notebook, resources = preprocessor().preprocess(notebook, resources)
    return notebook


def to_text(notebook: NotebookNode) -> str:
    """A notebook as it is written to disk."""
    return nbformat.writes(notebook, version=4).rstrip("\n") + "\n"


def _prediction_blank(source: str) -> str:
    """``name = ...`` for each name that the solution of a prediction assigns."""
    region = SOLUTION_REGION.search(source)
    tree = ast.parse(textwrap.dedent(region[1]) if region else "")
    names = [
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    ]
    return "\n".join(f"{name} = ...  # your prediction" for name in names)

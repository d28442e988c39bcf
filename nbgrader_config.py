"""nbgrader's configuration: the course's root is this folder, ``solutions`` its source and ``labs`` its
release.

`nbgrader generate_assignment 01_tokenization --force` makes the same release as `make build`, and records the
lab in the gradebook. The hidden cases are drawn from the seed in CBLAB_HIDDEN_SEED, or in the file
`hidden_seed` of the folder that CBLAB_COURSE names; it belongs in no repository.
"""

from pathlib import Path

from nbgrader.preprocessors import (
    CheckCellMetadata,
    ClearOutput,
    DeduplicateIds,
    OverwriteCells,
    OverwriteKernelspec,
)

from cblab.lab.mend import MendCells
from cblab.lab.release import PREPROCESSORS

ROOT = Path(__file__).resolve().parent

c = get_config()  # type: ignore[name-defined]  # noqa: F821  (traitlets defines it)

c.CourseDirectory.root = str(ROOT)
c.CourseDirectory.course_id = "cblab"
c.CourseDirectory.source_directory = "solutions"
c.CourseDirectory.release_directory = "labs"
c.CourseDirectory.ignore = [".ipynb_checkpoints", "*.pyc", "__pycache__", ".cblab", "feedback"]

c.GenerateAssignment.preprocessors = PREPROCESSORS

# nbgrader's own list, and MendCells, without which one stray cell costs a student the whole grade.
c.Autograde.sanitize_preprocessors = [
    ClearOutput,
    DeduplicateIds,
    MendCells,
    OverwriteKernelspec,
    OverwriteCells,
    CheckCellMetadata,
]
c.MendCells.release_directory = str(ROOT / "labs")
c.OverwriteCells.add_missing_cells = True

# A check cell ends an endless loop by itself, after minutes on a busy machine; this is for the rest.
c.Execute.timeout = 600
c.ExecutePreprocessor.timeout = 600

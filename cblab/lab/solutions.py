"""Finds an exercise's solution in its lab's source, which a course's repository has and no release."""

import re
import textwrap
from pathlib import Path

SOLUTION_REGION = re.compile(
    r"^[^\n]*BEGIN SOLUTION[^\n]*\n(.*?)^[^\n]*END SOLUTION", flags=re.MULTILINE | re.DOTALL
)


def solution_of(lab_name: str, exercise_id: str, start: Path | None = None) -> str | None:
    """The lines that fill an exercise's blanks, or None where the source is not at hand.

    start: a folder within the repository, or a file; the current folder if not given.
    """
    source = _source_of(lab_name, (start or Path.cwd()).resolve())
    if source is None:
        return None
    cells = re.split(r"^# %%", source.read_text(encoding="utf-8"), flags=re.MULTILINE)
    for cell in cells:
        if re.search(rf'\bexercise="{re.escape(exercise_id)}"', cell.partition("\n")[0]):
            regions = SOLUTION_REGION.findall(cell)
            return "\n…\n".join(textwrap.dedent(region).strip("\n") for region in regions)
    return None


def _source_of(lab_name: str, start: Path) -> Path | None:
    """``solutions/NN_name.py`` in the repository around `start`, if there is one."""
    for folder in (start, *start.parents):
        source = folder / "solutions" / f"{lab_name}.py"
        if source.is_file():
            return source
    return None

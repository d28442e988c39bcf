"""Finds a lab's source, which is in a course's repository and in no release, and in it an exercise's
solution."""

import re
import textwrap
from pathlib import Path


def find_source(lab_name: str, start: Path | None = None) -> Path | None:
    """``solutions/NN_name.py`` in the repository around `start` (the current folder), if there is one."""
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        source = folder / "solutions" / f"{lab_name}.py"
        if source.is_file():
            return source
    return None


def solution_of(lab_name: str, exercise_id: str, start: Path | None = None) -> str | None:
    """The lines that fill an exercise's blanks, or None where the source is not at hand."""
    source = find_source(lab_name, start)
    if source is None:
        return None
    cells = re.split(r"^# %%", source.read_text(encoding="utf-8"), flags=re.MULTILINE)
    for cell in cells:
        if re.search(rf'\bexercise="{re.escape(exercise_id)}"', cell.partition("\n")[0]):
            regions = re.findall(
                r"^[^\n]*BEGIN SOLUTION\n(.*?)^[^\n]*END SOLUTION", cell, flags=re.MULTILINE | re.DOTALL
            )
            return "\n…\n".join(textwrap.dedent(region).strip("\n") for region in regions)
    return None

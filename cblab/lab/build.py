"""Renders and releases the labs: ``python -m cblab.lab.build [--check] [LAB ...]``.

``solutions/NN_name.py`` is executed into ``solutions/NN_name/NN_name.ipynb`` and released into
``labs/NN_name/NN_name.ipynb``. With ``--check`` nothing is executed or written: it fails, naming the file,
where a notebook is not what its source generates.
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from cblab.lab.execute import executed
from cblab.lab.registry import LabError, load_lab
from cblab.lab.release import release_of, to_text
from cblab.lab.source import notebook_from_source

_IGNORED = {".cblab", ".ipynb_checkpoints", "__pycache__"}


def build(root: Path, name: str) -> None:
    """Execute the lab's source, write both notebooks, and hand out the files beside the rendered one."""
    solution = notebook_from_source(root / "solutions" / f"{name}.py", load_lab(name))
    rendered_path, release_path = _paths(root, name)
    rendered = executed(solution, files=rendered_path.parent, neighbours=root / "solutions")
    _write(rendered_path, to_text(rendered))
    _write(release_path, to_text(release_of(solution)))
    for place, file in _companions(rendered_path.parent).items():
        target = release_path.parent / place
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)


def stale(root: Path, name: str) -> list[str]:
    """What is not as the lab's source generates it, one line each; empty when all is up to date."""
    solution = notebook_from_source(root / "solutions" / f"{name}.py", load_lab(name))
    rendered_path, release_path = _paths(root, name)
    found = []
    for path in (rendered_path, release_path):
        if not path.is_file():
            found.append(f"{path.relative_to(root)} is missing")
    if not found and _without_outputs(nbformat.read(rendered_path, as_version=4)) != to_text(solution):
        found.append(f"{rendered_path.relative_to(root)} has other cells than its source")
    if not found and release_path.read_bytes() != to_text(release_of(solution)).encode("utf-8"):
        found.append(f"{release_path.relative_to(root)} is not what its source generates")
    given, handed = _companions(rendered_path.parent), _companions(release_path.parent)
    for place in sorted(given.keys() | handed.keys()):
        contents = [files[place].read_bytes() if place in files else None for files in (given, handed)]
        if contents[0] != contents[1]:
            path = release_path.parent.relative_to(root) / place
            found.append(f"{path} is not the file beside the solution")
    return found


def course_root(start: Path) -> Path:
    """The repository around `start`: the nearest folder above that has ``solutions``."""
    for folder in (start, *start.parents):
        if (folder / "solutions").is_dir():
            return folder
    raise LabError(f"no folder `solutions` in {start} or above it: run this in the course's repository")


def lab_sources(root: Path) -> list[str]:
    """The labs that have a source in the course's repository, by name."""
    return sorted(path.stem for path in (root / "solutions").glob("[0-9]*.py"))


def _companions(folder: Path) -> dict[Path, Path]:
    """The files of a lab's folder that go with its notebook, by their place in the folder."""
    files = {path.relative_to(folder): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {
        place: path
        for place, path in files.items()
        if place.suffix != ".ipynb" and not set(place.parts) & _IGNORED
    }


def _paths(root: Path, name: str) -> tuple[Path, Path]:
    return root / "solutions" / name / f"{name}.ipynb", root / "labs" / name / f"{name}.ipynb"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")


def _without_outputs(notebook: NotebookNode) -> str:
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return to_text(notebook)


def main(arguments: Sequence[str] | None = None) -> int:
    """Build or check the labs named, or all; the exit code (1: something is stale, 2: an error)."""
    parser = argparse.ArgumentParser(
        prog="python -m cblab.lab.build", description="Render and release the labs."
    )
    parser.add_argument(
        "labs", nargs="*", metavar="LAB", help="a lab's name, as 01_tokenization (default: all)"
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail where a file is not up to date"
    )
    options = parser.parse_args(arguments)
    try:
        root = course_root(Path.cwd())
        names = options.labs or lab_sources(root)
        if options.check:
            found = [line for name in names for line in stale(root, name)]
            for line in found:
                print(f"build: {line}; run `make build`", file=sys.stderr)
            return 1 if found else 0
        for name in names:
            print(f"building {name}", flush=True)
            build(root, name)
    except LabError as error:
        print(f"build: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

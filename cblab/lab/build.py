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
from cblab.lab.source import SourceError, notebook_from_source

IGNORED = (".cblab", ".ipynb_checkpoints", "__pycache__")


def build(root: Path, name: str) -> None:
    """Execute the lab's source and write both notebooks, and copy the files that lie beside the rendered
    one."""
    solution = notebook_from_source(root / "solutions" / f"{name}.py", load_lab(name))
    rendered_path, release_path = _paths(root, name)
    rendered = executed(solution, files=rendered_path.parent)
    _write(rendered_path, to_text(rendered))
    _write(release_path, to_text(release_of(solution)))
    for file in companions(rendered_path.parent):
        target = release_path.parent / file.relative_to(rendered_path.parent)
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
    given = {
        file.relative_to(rendered_path.parent): file.read_bytes() for file in companions(rendered_path.parent)
    }
    handed = {
        file.relative_to(release_path.parent): file.read_bytes() for file in companions(release_path.parent)
    }
    for file in sorted(given.keys() | handed.keys()):
        if given.get(file) != handed.get(file):
            found.append(
                f"{release_path.parent.relative_to(root) / file} is not the file beside the solution"
            )
    return found


def companions(folder: Path) -> list[Path]:
    """The files of a lab's folder that are handed out beside the notebook."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix != ".ipynb")
    return [path for path in files if not set(path.relative_to(folder).parts) & set(IGNORED)]


def course_root(start: Path) -> Path:
    """The repository around `start`: the nearest folder above that has ``solutions``."""
    for folder in (start, *start.parents):
        if (folder / "solutions").is_dir():
            return folder
    raise LabError(f"no folder `solutions` in {start} or above it: run this in the course's repository")


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
    """Build or check the labs named, or all; the exit code."""
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
        names = options.labs or sorted(path.stem for path in (root / "solutions").glob("[0-9]*.py"))
        found = []
        for name in names:
            if options.check:
                found += stale(root, name)
            else:
                print(f"building {name}", flush=True)
                build(root, name)
    except SourceError as error:
        found = [str(error)]
    except LabError as error:
        print(f"build: {error}", file=sys.stderr)
        return 2
    for line in found:
        print(f"build: {line}; run `make build`" if options.check else f"build: {line}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

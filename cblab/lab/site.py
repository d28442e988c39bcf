"""The course as a static site: ``python -m cblab.lab.site [--output FOLDER] [--solutions]``.

The guides, every rendered lab with its pictures and the trace player, and the API reference from the
docstrings. The pages load nothing from a network, and can be opened as files.
"""

import argparse
import importlib
import os
import pkgutil
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

import nbformat
import pdoc
from nbconvert import HTMLExporter
from nbformat import NotebookNode

from cblab.lab.build import course_root, lab_sources
from cblab.lab.registry import LabError
from cblab.lab.release import release_of

_LOCAL_LINK = re.compile(r'(<a [^>]*?href=")(?![a-z]+:)([^"#]*)(#[^"]*)?')
_HEADING = re.compile(r'<h[1-6] id="[^"]+')
_LAB_NOTE = (
    "The answers are left blank; under the cells stands what the reference's run showed. "
    "To fill them in, open this lab in JupyterLab: <code>make lab</code>."
)
# A student would find the reference solutions here, each with its exercise's number.
_NOT_IN_THE_REFERENCE = "cblab.lab.labs"


@dataclass(frozen=True)
class Page:
    """One page of the site: its title in the navigation, its place there, and the files that it shows.

    `sources` are relative to the repository: the first is rendered, and links to any of them lead here.
    """

    title: str
    target: str
    sources: tuple[str, ...]


def pages(root: Path) -> list[Page]:
    """The pages of the course in `root`, in the navigation's order; the API reference comes after them."""
    return [
        Page("Guide", "index.html", ("labs/README.md",)),
        *(
            Page(
                name.replace("_", " "),
                f"labs/{name}.html",
                (f"solutions/{name}/{name}.ipynb", f"labs/{name}/{name}.ipynb"),
            )
            for name in lab_sources(root)
        ),
        Page("Troubleshooting", "troubleshooting.html", ("labs/TROUBLESHOOTING.md",)),
        Page("For instructors", "instructors.html", ("solutions/README.md",)),
        Page("The engine", "engine.html", ("README.md",)),
    ]


API = Page("API reference", "api/cblab.html", ())


def build_site(root: Path, output: Path, *, with_solutions: bool = False, package: str = "cblab") -> None:
    """Write the whole site of the course in `root` to the folder `output`, which is emptied first.

    Without solutions an answer's cell shows its blank, as students get it, over the output of the reference.
    The API reference is that of `package` and all below it.

    Raises LabError for a folder that holds something else than a site, a lab that is not rendered, or a
    relative link that leads nowhere.
    """
    if output.exists() and any(output.iterdir()) and not (output / "api" / "search.js").is_file():
        raise LabError(f"{output} is not empty and holds no site: name a new folder with --output")
    shutil.rmtree(output, ignore_errors=True)
    for page in pages(root):
        target = output / page.target
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(_rendered(root, page, with_solutions), encoding="utf-8")
    _write_api_reference(output / "api", package)


def _write_api_reference(folder: Path, package: str) -> None:
    """Write a page for every module, from its docstrings, with its source and a search."""
    _tell_contents(package)
    with as_file(files("cblab.assets").joinpath("site", "api")) as templates:
        pdoc.render.configure(docformat="google", template_directory=templates, footer_text="cblab")
        pdoc.pdoc(package, f"!{re.escape(_NOT_IN_THE_REFERENCE)}", output_directory=folder)


def _rendered(root: Path, page: Page, with_solutions: bool) -> str:
    path = root / page.sources[0]
    if not path.is_file():
        raise LabError(f"{page.sources[0]} is missing: run `make build`")
    note = ""
    if path.suffix == ".ipynb":
        notebook = nbformat.read(path, as_version=4)
        if not with_solutions:
            notebook, note = _with_blanks(notebook), _LAB_NOTE
    else:
        cell = nbformat.v4.new_markdown_cell(path.read_text(encoding="utf-8"), id="page")
        notebook = nbformat.v4.new_notebook(cells=[cell])
    entries = [
        {"title": one.title, "href": _way(page, one), "current": one == page} for one in [*pages(root), API]
    ]
    resources = {
        "metadata": {"name": f"cblab: {page.title}"},
        "course_pages": entries,
        "course_note": note,
    }
    with as_file(files("cblab.assets").joinpath("site")) as templates:
        exporter = HTMLExporter(template_name="course", extra_template_basedirs=[str(templates)])
        html, _ = exporter.from_notebook_node(notebook, resources)
    return _relinked(html, page, pages(root))


def _with_blanks(rendered: NotebookNode) -> NotebookNode:
    """The students' notebook, with the outputs of the executed solution under its cells."""
    notebook = release_of(rendered)
    for cell, executed in zip(notebook.cells, rendered.cells, strict=True):
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = executed.outputs, executed.execution_count
    return notebook


def _relinked(html: str, page: Page, known: Sequence[Page]) -> str:
    """Let links between the repository's files lead from page to page, and headings have GitHub's names."""
    targets = {source: one for one in known for source in one.sources}

    def to_page(link: re.Match[str]) -> str:
        fragment = (link[3] or "").lower()
        if not link[2]:
            return link[1] + fragment
        source = os.path.normpath(Path(page.sources[0]).parent / link[2])
        if source not in targets:
            raise LabError(f"{page.sources[0]} links to {link[2]}, which is no page of the site")
        return link[1] + _way(page, targets[source]) + fragment

    head, body, rest = html.partition("<main>")
    return head + body + _HEADING.sub(lambda heading: heading[0].lower(), _LOCAL_LINK.sub(to_page, rest))


def _way(here: Page, there: Page) -> str:
    """The relative address of one page in another."""
    return os.path.relpath(there.target, Path(here.target).parent)


def _tell_contents(package: str) -> None:
    """Import a package and those below it; each then lists its lazy names and submodules, for pdoc."""
    module = importlib.import_module(package)
    inside = [
        one for one in pkgutil.iter_modules(module.__path__, f"{package}.") if one.name != "cblab.__main__"
    ]
    for one in inside:
        if one.ispkg and one.name != _NOT_IN_THE_REFERENCE:
            _tell_contents(one.name)
    names = getattr(module, "__all__", None)
    if names is not None:
        module.__dict__.update({name: getattr(module, name) for name in names})
        submodules = (one.name.rpartition(".")[2] for one in inside)
        module.__dict__["__all__"] = [*names, *(name for name in submodules if name not in names)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Build the site; the exit code (2: an error)."""
    parser = argparse.ArgumentParser(prog="python -m cblab.lab.site", description="Write the static site.")
    parser.add_argument("--output", type=Path, default=Path("site"), help="folder to write (default: site)")
    parser.add_argument("--solutions", action="store_true", help="show the answers too")
    options = parser.parse_args(arguments)
    try:
        build_site(course_root(Path.cwd()), options.output, with_solutions=options.solutions)
    except LabError as error:
        print(f"site: {error}", file=sys.stderr)
        return 2
    print(f"open {options.output / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

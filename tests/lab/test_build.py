"""From a source to a rendered and a released notebook, in a copy of the toy course."""

import json
import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest

from cblab.lab import build
from cblab.lab.execute import ExecutionError, executed
from cblab.lab.registry import Lab, LabError
from cblab.lab.release import release_of, to_text
from cblab.lab.source import notebook_from_source
from tests.lab.conftest import TOY
from tests.nbgrader_command import nbgrader

ROOT = Path(__file__).parents[2]
SOURCE = TOY / "solutions" / "90_toy.py"
NAME = "90_toy"


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy course, built."""
    root = tmp_path_factory.mktemp("course")
    shutil.copytree(TOY / "solutions", root / "solutions")
    (root / "solutions" / NAME).mkdir()
    (root / "solutions" / NAME / "words.txt").write_text("a file to go with the lab\n")
    shutil.copy(ROOT / "nbgrader_config.py", root)
    build.build(root, NAME)
    return root


@pytest.fixture
def copied(course: Path, tmp_path: Path) -> Path:
    """A copy of the built course, to be changed."""
    return Path(shutil.copytree(course, tmp_path / "course"))


def rendered(root: Path) -> Path:
    return root / "solutions" / NAME / f"{NAME}.ipynb"


def released(root: Path) -> Path:
    return root / "labs" / NAME / f"{NAME}.ipynb"


def cells(path: Path) -> dict[str, Any]:
    return {cell["id"]: cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]}


def text(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def test_graded_cells_have_nbgraders_metadata(course: Path) -> None:
    made = cells(rendered(course))
    answer, check = made["ex-90-1"]["metadata"]["nbgrader"], made["check-90-1"]["metadata"]["nbgrader"]
    assert (answer["solution"], answer["grade"], answer["grade_id"]) == (True, False, "ex-90-1")
    assert (check["solution"], check["grade"], check["locked"], check["points"]) == (False, True, True, 3)
    manual = made["manual-90-5"]["metadata"]["nbgrader"]
    assert (manual["solution"], manual["grade"], manual["points"]) == (True, True, 3)


def test_the_solution_is_executed_and_earns_full_marks(course: Path) -> None:
    made = cells(rendered(course))
    scores = [made[f"check-90-{n}"]["outputs"][0]["data"]["text/plain"] for n in (1, 2, 3, 4)]
    assert scores == [["3.0"], ["1.0"], ["0.5"], ["2.0"]]


def test_the_release_keeps_nothing_of_the_solution(course: Path) -> None:
    raw = released(course).read_text(encoding="utf-8")
    for secret in ("SOLUTION", "HIDDEN", "hidden", "2 * value", "Because", "doubled = 6", "jupytext", "noqa"):
        assert secret not in raw
    notebook = json.loads(raw)
    assert notebook["metadata"] == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"},
    }
    for cell in notebook["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


def test_blanks_are_named(course: Path) -> None:
    made = cells(released(course))
    blank = 'def double(values: list[int]) -> list[int]:\n    """Each of `values` twice as large."""\n'
    assert text(made["ex-90-1"]) == f'{blank}    raise NotImplementedError("exercise 90.1")'
    assert text(made["ex-90-4"]).count('        raise NotImplementedError("exercise 90.4")') == 2
    assert text(made["check-90-4"]) == 'check("90.4")'
    assert text(made["predict-90-a"]).startswith("doubled = ...  # your prediction\n")
    assert text(made["manual-90-5"]) == "Why?\n\n*Your answer to 90.5 goes here.*"
    assert made["ex-90-1"]["metadata"]["cblab"]["blank"] == text(made["ex-90-1"])


def test_a_solution_differs_from_its_blank_within_the_blank_only(course: Path) -> None:
    solutions, blanks = cells(rendered(course)), cells(released(course))
    assert list(solutions) == list(blanks)
    for name, cell in blanks.items():
        if name.split("-")[0] in ("text", "code"):
            assert text(cell) == text(solutions[name])
        given = [
            line
            for line in text(cell).splitlines()
            if "NotImplementedError" not in line and "..." not in line
        ]
        kept = text(solutions[name]).splitlines()
        assert name.startswith("manual") or [line for line in kept if line in given] == given


def test_building_again_gives_the_same_bytes(course: Path, copied: Path) -> None:
    before = {path: path.read_bytes() for path in copied.rglob("*.ipynb")}
    build.build(copied, NAME)
    assert {path: path.read_bytes() for path in copied.rglob("*.ipynb")} == before
    assert (copied / "labs" / NAME / "words.txt").is_file()


def test_a_new_cell_renames_no_other(course: Path, copied: Path, toy: Lab) -> None:
    source = copied / "solutions" / f"{NAME}.py"
    changed = source.read_text().replace(
        "# %% exercise", "# %% [markdown]\n# Something new.\n\n# %% exercise", 1
    )
    source.write_text(changed)
    before, after = cells(released(course)), release_of(notebook_from_source(source, toy)).cells
    assert len(after) == len(before) + 1
    assert [cell.id for cell in after if cell.id in before] == list(before)


def check_build(root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.chdir(root)
    code = build.main(["--check"])
    said = capsys.readouterr().err
    assert (code == 0) == (said == "")
    return said


def test_check_accepts_what_was_built_and_names_what_was_changed(
    copied: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check_build(copied, monkeypatch, capsys) == ""
    for path, says in (
        (released(copied), "labs/90_toy/90_toy.ipynb is not what its source generates"),
        (rendered(copied), "solutions/90_toy/90_toy.ipynb has other cells than its source"),
    ):
        original = path.read_text(encoding="utf-8")
        path.write_text(original.replace("# A toy", "# A boy"), encoding="utf-8")
        assert says in check_build(copied, monkeypatch, capsys)
        path.unlink()
        assert "is missing" in check_build(copied, monkeypatch, capsys)
        path.write_text(original, encoding="utf-8")
    stray = released(copied).parent / "solutions.py"
    stray.write_text("")
    assert "solutions.py" in check_build(copied, monkeypatch, capsys)


def test_check_ignores_what_running_a_lab_leaves_behind(
    copied: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in (rendered(copied).parent, released(copied).parent):
        for name in (".cblab", ".ipynb_checkpoints"):
            (folder / name).mkdir()
            (folder / name / "predictions.json").write_text("{}")
    assert check_build(copied, monkeypatch, capsys) == ""


def test_stock_nbgrader_makes_the_same_release(copied: Path) -> None:
    ours = released(copied).read_bytes()
    (rendered(copied).parent / ".cblab").mkdir()
    (rendered(copied).parent / ".cblab" / "predictions.json").write_text("{}")
    nbgrader(copied, "generate_assignment", NAME, "--force")
    assert released(copied).read_bytes() == ours
    assert sorted(path.name for path in released(copied).parent.iterdir()) == [f"{NAME}.ipynb", "words.txt"]


MENDED = {
    "a header unknown": ('check="90.2"', 'chek="90.2"', r"\['chek'\]"),
    "a tag unknown": ('tags=["setup"]', 'tags=["set-up"]', r"\['set-up'\]"),
    "no region": (
        "### BEGIN SOLUTION\nsize_gib = 1.5\n### END SOLUTION",
        "size_gib = 1.5",
        '"90.3" has no region',
    ),
    "an answer missing": ('exercise="90.2"', "", "region|90.2 has no cell ex-90-2"),
    "a check missing": ('# %% check="90.2"\n', "", "90.2 has no cell check-90-2"),
    "an answer twice": ('# %% exercise="90.3"', '# %% exercise="90.2"', "two cells are ex-90-2"),
    "an unknown exercise": ('exercise="90.2"', 'exercise="90.7"', "no exercise 90.7"),
    "a check with a body": ('check("90.4")', 'check("90.4"); print()', "is written by the builder"),
    "a question without points": (" points=3", "", "does not say its points"),
}


@pytest.mark.parametrize(("old", "new", "says"), MENDED.values(), ids=MENDED.keys())
def test_a_bad_source_is_refused_by_name(tmp_path: Path, toy: Lab, old: str, new: str, says: str) -> None:
    source = tmp_path / f"{NAME}.py"
    assert old in SOURCE.read_text()
    source.write_text(SOURCE.read_text().replace(old, new, 1))
    with pytest.raises(LabError, match=says):
        notebook_from_source(source, toy)


PAGES = {
    "stderr": ("import sys\nprint('x', file=sys.stderr)", "writes to stderr"),
    "an address": ("print(object())", "memory address"),
    "a path": ("import os\nprint(os.getcwd())", "path of this machine"),
    "an error": ("1 / 0", "ZeroDivisionError"),
    "a wrong solution": (
        "from cblab.lab import check\ndef double(v): return v\ncheck('90.1')",
        "earns 1.0 of 3",
    ),
}


@pytest.mark.parametrize(("source", "says"), PAGES.values(), ids=PAGES.keys())
def test_what_no_page_may_show_stops_the_build(source: str, says: str) -> None:
    cell = nbformat.v4.new_code_cell(source)
    if "check" in source:
        cell.metadata["nbgrader"] = {"grade": True, "points": 3}
    with pytest.raises(ExecutionError, match=says):
        executed(nbformat.v4.new_notebook(cells=[cell]))


def test_the_notebooks_of_other_labs_are_found_from_where_a_notebook_runs(tmp_path: Path) -> None:
    (tmp_path / "90_other").mkdir()
    nbformat.write(nbformat.v4.new_notebook(), tmp_path / "90_other" / "90_other.ipynb")
    cell = nbformat.v4.new_code_cell(
        "from pathlib import Path\nprint(Path('../90_other/90_other.ipynb').exists())"
    )
    for neighbours, seen in ((tmp_path, "True\n"), (None, "False\n")):
        page = executed(nbformat.v4.new_notebook(cells=[cell]), neighbours=neighbours)
        assert page.cells[0].outputs[0].text == seen


def test_text_on_disk_ends_with_one_newline() -> None:
    assert to_text(nbformat.v4.new_notebook()).endswith("}\n")

"""`cblab check` and `cblab reset` on a student's notebook."""

import json
from pathlib import Path
from typing import Any

import pytest

from cblab.lab import commands
from cblab.lab.registry import Lab, LabError
from cblab.lab.release import release_of, to_text
from cblab.lab.source import notebook_from_source
from tests.lab.conftest import TOY

ANSWERS = {
    "ex-90-1": "def double(values):\n    return [v * v for v in values]",
    "ex-90-2": "%time\ndef total(values):\n    return sum(double(values))",
    "ex-90-3": "size_gib = 1.61",
}


@pytest.fixture
def notebook(tmp_path: Path, toy: Lab) -> Path:
    """A student's notebook: 90.1 half right, 90.2 right, 90.3 wrong, 90.4 still blank."""
    path = tmp_path / "90_toy.ipynb"
    path.write_text(to_text(release_of(notebook_from_source(TOY / "solutions" / "90_toy.py", toy))))
    edit(path, ANSWERS)
    return path


def edit(path: Path, answers: dict[str, str]) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    for cell in content["cells"]:
        cell["source"] = answers.get(cell["id"], cell["source"])
    path.write_text(json.dumps(content), encoding="utf-8")


def source(path: Path, cell_id: str) -> str:
    (cell,) = (
        cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["id"] == cell_id
    )
    return "".join(cell["source"])


def test_check_says_what_the_grader_will_say(notebook: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.check(notebook) is False
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for piece in (
        "1 of 3",
        "that is the square",
        "1 of 1 passed",
        "that is GB",
        "0 of 2 blank",
        "90.5 by hand, 3 points: nothing written yet",
        "2 of 6.5 points, and up to 3 by hand. The grader adds hidden cases.",
    ):
        assert piece in said
    assert commands.check(notebook, "90.2") is True
    assert "by hand" not in capsys.readouterr().out


def test_check_sees_what_is_written_below_an_open_question(
    notebook: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(notebook, {"manual-90-5": "### Question 90.5 · Why?\n\n*Your answer to 90.5 goes here.*\nSo."})
    commands.check(notebook)
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "90.5 Why? by hand, 3 points" in said
    assert "nothing written yet" not in said


def test_check_promises_no_hidden_cases_for_numbers(
    notebook: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.check(notebook, "90.3")
    assert "hidden" not in capsys.readouterr().out


def test_check_leaves_the_notebook_alone(notebook: Path) -> None:
    before = notebook.read_bytes()
    commands.check(notebook, "90.2")
    assert notebook.read_bytes() == before
    assert [path.name for path in notebook.parent.iterdir()] == [notebook.name]


def test_reset_gives_one_blank_back_and_keeps_the_old_answer(
    notebook: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notebook.chmod(0o640)
    commands.reset(notebook, "90.1")
    assert source(notebook, "ex-90-1").endswith('    raise NotImplementedError("exercise 90.1")')
    assert source(notebook, "ex-90-2") == ANSWERS["ex-90-2"]
    (backup,) = (notebook.parent / ".cblab").iterdir()
    assert backup.read_text() == ANSWERS["ex-90-1"] + "\n"
    assert str(backup) in capsys.readouterr().out
    assert notebook.stat().st_mode & 0o777 == 0o640
    before = notebook.read_bytes()
    commands.reset(notebook, "90.1")
    assert "blank already" in capsys.readouterr().out
    assert notebook.read_bytes() == before
    edit(notebook, ANSWERS)
    commands.reset(notebook, "90.1")
    assert len(list((notebook.parent / ".cblab").iterdir())) == 2


def change(path: Path, how: str) -> None:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    (cell,) = (cell for cell in content["cells"] if cell["id"] == "ex-90-2")
    if how == "deleted":
        content["cells"].remove(cell)
    elif how == "copied":
        content["cells"].append(cell)
    elif how == "blank lost":
        del cell["metadata"]["cblab"]
    elif how == "set-up broken":
        content["cells"][1]["source"] = "import no_such_module"
    path.write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize(("how", "says"), [("deleted", "is gone"), ("copied", "2 cells carry its id")])
def test_check_names_a_lost_or_copied_cell(
    notebook: Path, how: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change(notebook, how)
    assert commands.check(notebook, "90.2") is False
    assert says in " ".join(capsys.readouterr().out.split())


def test_what_cannot_be_checked_or_reset_is_one_clear_line(notebook: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.ipynb"
    other.write_text('{"cells": []}')
    (tmp_path / "no.ipynb").write_text("{")
    for file, says in [(other, "no answer cell of this course"), (tmp_path / "no.ipynb", "not a notebook")]:
        with pytest.raises(LabError, match=says):
            commands.check(file)
    with pytest.raises(LabError, match="there is no file"):
        commands.check(tmp_path / "gone.ipynb")
    with pytest.raises(LabError, match=r"it has 90\.1, 90\.2"):
        commands.check(notebook, "90.9")
    with pytest.raises(LabError, match=r"it has 90\.1, 90\.2"):
        commands.reset(notebook, "90.9")
    change(notebook, "blank lost")
    with pytest.raises(LabError, match="not kept"):
        commands.reset(notebook, "90.2")
    change(notebook, "set-up broken")
    with pytest.raises(LabError, match="set-up cells do not run"):
        commands.check(notebook)

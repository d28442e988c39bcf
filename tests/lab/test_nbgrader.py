"""The toy lab through nbgrader's own command line: handed in, collected, graded."""

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from nbgrader.api import Gradebook

from cblab.lab.registry import load_lab
from cblab.lab.release import to_text
from cblab.lab.source import notebook_from_source
from tests.lab.conftest import TOY
from tests.nbgrader_command import nbgrader

ROOT = Path(__file__).parents[2]
NAME = "90_toy"
NOISY = """
def double(values):
    import logging, os, sys, warnings
    print("to stdout"); print("to stderr", file=sys.stderr); os.write(2, b"to descriptor 2")
    warnings.warn("a warning"); logging.warning("a log line"); logging.getLogger().error("another")
    return [2 * value for value in values] if values else values[0]
"""
HIDDEN_ONLY = """
calls = []
def double(values):
    calls.append(1)
    return [2 * value for value in values] if len(calls) < 47 else values
"""


def run(command: str, root: Path, *arguments: str) -> None:
    """One nbgrader command on the toy lab."""
    environment = {"CBLAB_HIDDEN_SEED": "secret", "JUPYTER_CONFIG_DIR": str(root)}
    nbgrader(root, command, NAME, *arguments, environment=environment)


def hand_in(notebook: Path, root: Path, student: str, answers: dict[str, str]) -> Path:
    content: dict[str, Any] = json.loads(notebook.read_text(encoding="utf-8"))
    for cell in content["cells"]:
        cell["source"] = answers.get(cell["id"], cell["source"])
    folder = root / "submitted" / student / NAME
    folder.mkdir(parents=True)
    (folder / f"{NAME}.ipynb").write_text(json.dumps(content), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy course with three students' work, graded."""
    root = tmp_path_factory.mktemp("course")
    shutil.copy(ROOT / "nbgrader_config.py", root)
    source = root / "solutions" / NAME
    source.mkdir(parents=True)
    solution = notebook_from_source(TOY / "solutions" / f"{NAME}.py", load_lab(NAME))
    (source / f"{NAME}.ipynb").write_text(to_text(solution), encoding="utf-8")
    run("generate_assignment", root)
    release = root / "labs" / NAME / f"{NAME}.ipynb"
    predictions = hand_in(release, root, "noisy", {"ex-90-1": NOISY, "ex-90-3": "size_gib = 1.5"}) / ".cblab"
    predictions.mkdir()
    (predictions / "predictions.json").write_text('{"90.a": {"value": 5, "unit": "things"}}')
    (predictions / "predictions.json").chmod(0o444)
    hand_in(release, root, "hidden", {"ex-90-1": HIDDEN_ONLY})
    for student, harm in HARM.items():
        damage(release, root, student, harm)
    run("autograde", root)
    return root


def damage(release: Path, root: Path, student: str, harm: Callable[[list[dict[str, Any]]], None]) -> None:
    path = hand_in(release, root, student, {"ex-90-1": NOISY}) / f"{NAME}.ipynb"
    content = json.loads(path.read_text(encoding="utf-8"))
    harm(content["cells"])
    path.write_text(json.dumps(content), encoding="utf-8")


def copy_an_answer(cells: list[dict[str, Any]]) -> None:
    at = next(index for index, cell in enumerate(cells) if cell["id"] == "ex-90-1")
    cells.insert(at + 1, copy.deepcopy(cells[at]) | {"id": "copied"})


def delete_an_answer_and_its_check(cells: list[dict[str, Any]]) -> None:
    cells[:] = [cell for cell in cells if cell["id"] not in ("ex-90-2", "check-90-2")]


def strip_metadata(cells: list[dict[str, Any]]) -> None:
    for cell in cells:
        cell["metadata"] = {}


HARM = {"copied": copy_an_answer, "deleted": delete_an_answer_and_its_check, "stripped": strip_metadata}


def scores(course: Path, student: str) -> dict[str, float]:
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        notebook = gradebook.find_submission_notebook(NAME, NAME, student)
        return {grade.name: grade.auto_score for grade in notebook.grades}


def autograded(course: Path, student: str) -> str:
    return (course / "autograded" / student / NAME / f"{NAME}.ipynb").read_text(encoding="utf-8")


def test_partial_credit_survives_noise_on_every_stream(course: Path) -> None:
    found = scores(course, "noisy")
    assert (found["check-90-1"], found["check-90-3"]) == (2.0, 0.5)
    assert '"stderr"' not in autograded(course, "noisy").partition('"check-90-1"')[2].partition('"id"')[0]


def test_blanks_get_nothing(course: Path) -> None:
    found = scores(course, "noisy")
    assert (found["check-90-2"], found["check-90-4"], found["manual-90-5"]) == (0, 0, 0)
    notebook = json.loads(autograded(course, "noisy"))
    (check,) = (cell for cell in notebook["cells"] if cell["id"] == "check-90-4")
    says = "NotImplementedError: exercise 90.4: its blank is still to be filled in"
    assert check["outputs"][-1]["traceback"] == [says]


def test_hidden_cases_run_and_count(course: Path) -> None:
    assert scores(course, "hidden")["check-90-1"] == 1.0
    assert "in a hidden case" in autograded(course, "hidden")
    assert "public seed" not in autograded(course, "hidden")


@pytest.mark.parametrize("student", HARM)
def test_a_damaged_notebook_keeps_the_points_of_what_is_left(course: Path, student: str) -> None:
    assert scores(course, student) == scores(course, "noisy") | {"check-90-3": 0.0}


def test_predictions_stay_with_the_student(course: Path) -> None:
    assert "No prediction 90.a yet" in autograded(course, "noisy")
    assert not list((course / "autograded").rglob("predictions.json"))


def test_predictions_go_through_nbgraders_exchange(course: Path, tmp_path: Path) -> None:
    exchange = ("--Exchange.root", str(tmp_path / "exchange"))
    (tmp_path / "exchange").mkdir()
    (tmp_path / "exchange").chmod(0o777)
    run("release_assignment", course, *exchange)
    home = tmp_path / "student"
    home.mkdir()
    run("fetch_assignment", home, *exchange, "--course", "cblab")
    (home / NAME / ".cblab").mkdir()
    (home / NAME / ".cblab" / "predictions.json").write_text("{}")
    run("submit", home, *exchange, "--course", "cblab")
    run("collect", course, *exchange)
    collected = [
        path for path in (course / "submitted").iterdir() if path.name not in ("noisy", "hidden", *HARM)
    ]
    assert [sorted(file.name for file in (folder / NAME).glob("*.ipynb")) for folder in collected] == [
        [f"{NAME}.ipynb"]
    ]

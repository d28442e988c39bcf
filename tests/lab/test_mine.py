"""`mine` and `cblab progress`: what a student's own notebooks hold."""

import json
import sys
from pathlib import Path
from threading import Barrier, Event
from typing import Any

import pytest

from cblab.lab import mine
from cblab.lab.exercise import Exercise
from cblab.lab.judge import judge
from cblab.lab.progress import LabProgress, progress_of, show_progress
from cblab.lab.registry import Lab, LabError
from cblab.lab.release import release_of, to_text
from cblab.lab.source import notebook_from_source
from tests.lab.conftest import TOY

SAYS = "`cblab check 90_toy/90_toy.ipynb` says more"
DOUBLE = "def double(values):\n    return [v + v for v in values]"
TOTAL = "%time\ndef total(values):\n    return math.fsum(double(values)).__int__()"


@pytest.fixture
def labs(tmp_path: Path, toy: Lab) -> Path:
    """A folder of labs with a fresh notebook of the toy."""
    (tmp_path / "90_toy").mkdir()
    notebook = release_of(notebook_from_source(TOY / "solutions" / "90_toy.py", toy))
    (tmp_path / "90_toy" / "90_toy.ipynb").write_text(to_text(notebook), encoding="utf-8")
    return tmp_path


def write(labs: Path, **answers: str) -> None:
    """Fill answer cells: `ex_90_1="…"`."""
    path = labs / "90_toy" / "90_toy.ipynb"
    content = json.loads(path.read_text(encoding="utf-8"))
    for cell in content["cells"]:
        cell["source"] = answers.get(cell["id"].replace("-", "_"), cell["source"])
    path.write_text(json.dumps(content), encoding="utf-8")


def test_an_answer_that_passes_is_the_students_own(labs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(labs, ex_90_1=DOUBLE, ex_90_2=TOTAL)
    own = mine("90_toy", "total", folder=labs)
    assert own([1, 2]) == 6
    assert own.__globals__["double"].__code__.co_filename == "<90_toy.ipynb: exercise 90.1>"
    assert capsys.readouterr().out == (
        "90_toy.ipynb: judging 90.2 ...\ntotal: yours, exercise 90.2 of 90_toy.ipynb\n"
    )


def test_it_is_found_from_the_labs_their_folder_and_a_neighbours(labs: Path) -> None:
    write(labs, ex_90_1=DOUBLE)
    neighbour = labs / "91_other"
    neighbour.mkdir()
    for folder in (labs, labs / "90_toy", neighbour):
        assert mine("90_toy", "double", folder=folder).__module__ == "90_toy"


def test_what_it_uses_is_the_reference_where_that_is_not_done(
    labs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(labs, ex_90_1="def double(values):\n    return values", ex_90_2=TOTAL)
    assert mine("90_toy", "total", folder=labs)([1, 2]) == 6
    assert "yours, exercise 90.2 of 90_toy.ipynb, with the reference for 90.1" in capsys.readouterr().out


def test_several_symbols_come_from_one_process(
    labs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(labs, ex_90_1=DOUBLE, ex_90_2="def total(values):\n    return 0")
    judged = []

    def counting(submission: object, exercises: tuple[Exercise, ...], *args: Any, **kwargs: Any) -> Any:
        judged.append([one.id for one in exercises])
        return judge(submission, exercises, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(sys.modules["cblab.lab.mine"], "judge", counting)
    own = mine({"90_toy": ["double", "total"]}, folder=labs)
    assert judged == [["90.1", "90.2"]]
    assert (own.double([1, 2]), own.total([1, 2])) == ([2, 4], 6)
    assert own.double.__module__ == "90_toy"
    assert capsys.readouterr().out == (
        "90_toy.ipynb: judging 90.1, 90.2 ...\n"
        "double: yours, exercise 90.1 of 90_toy.ipynb\n"
        "total: the reference (exercise 90.2 does not pass its check: `cblab check 90_toy/90_toy.ipynb` says "
        "more)\n"
    )


def test_two_labs_are_judged_at_a_time_and_told_in_the_order_asked_for(
    labs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(labs, ex_90_1=DOUBLE)
    paging = labs / "04_paging" / "04_paging.ipynb"
    paging.parent.mkdir()
    paging.write_text('{"cells": []}')
    both_begun, toy_is_judged = Barrier(2, timeout=60), Event()

    def together(submission: object, exercises: object, lab: Lab, **kwargs: Any) -> Any:
        both_begun.wait()
        if lab.name == "04_paging":
            toy_is_judged.wait(60)
            raise LabError("judged last")
        verdicts = judge(submission, exercises, lab, **kwargs)  # type: ignore[arg-type]
        toy_is_judged.set()
        return verdicts

    monkeypatch.setattr(sys.modules["cblab.lab.mine"], "judge", together)
    own = mine({"04_paging": ["gather"], "90_toy": ["double"]}, folder=labs)
    assert (own.gather.__module__, own.double.__module__) == ("cblab.lab.labs.paging.tensors", "90_toy")
    assert capsys.readouterr().out == (
        "04_paging.ipynb: judging 4.3 ...\n"
        "90_toy.ipynb: judging 90.1 ...\n"
        "gather: the reference (judged last)\n"
        "double: yours, exercise 90.1 of 90_toy.ipynb\n"
    )


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (None, "exercise 90.1 is still blank"),
        ("def double(values):\n    return values", f"exercise 90.1 does not pass its check: {SAYS}"),
        ("def double(values:", f"exercise 90.1 has a syntax error: {SAYS}"),
        ("def double(values):\nreturn values", f"exercise 90.1 has a syntax error: {SAYS}"),
        ("def double(values):\n    while True: pass", f"exercise 90.1 takes too long: {SAYS}"),
    ],
)
def test_otherwise_it_is_the_reference_and_says_why(
    labs: Path, capsys: pytest.CaptureFixture[str], answer: str | None, why: str
) -> None:
    if answer is not None:
        write(labs, ex_90_1=answer)
    assert mine("90_toy", "double", folder=labs).__module__ == "cblab.lab.labs.lab90_toy"
    assert capsys.readouterr().out == f"90_toy.ipynb: judging 90.1 ...\ndouble: the reference ({why})\n"


def test_without_a_notebook_it_is_the_reference(
    tmp_path: Path, toy: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mine("90_toy", "double", folder=tmp_path).__module__ == "cblab.lab.labs.lab90_toy"
    why = f"there is no notebook 90_toy.ipynb in the folder {tmp_path.name}, nor beside it"
    assert why in capsys.readouterr().out


def test_a_file_that_is_no_notebook_is_told(labs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (labs / "90_toy" / "90_toy.ipynb").write_text("half of a not")
    assert mine("90_toy", "double", folder=labs).__module__ == "cblab.lab.labs.lab90_toy"
    assert "double: the reference" in (out := capsys.readouterr().out)
    assert "is not a notebook" in out


def test_what_the_course_does_not_have_is_named(labs: Path) -> None:
    with pytest.raises(LabError, match="no 'triple'; it has double, total, Counter"):
        mine("90_toy", "triple", folder=labs)
    with pytest.raises(LabError, match="there is no lab 91_toy"):
        mine("91_toy", "double", folder=labs)


def test_progress_counts_what_is_done_and_runs_no_blank(labs: Path, toy: Lab) -> None:
    path = labs / "90_toy" / "90_toy.ipynb"
    blank = progress_of(toy, path)
    assert blank == LabProgress(
        "90_toy", blank=("90.1", "90.2", "90.3", "90.4"), most=6.5, unwritten=("90.5",)
    )
    write(labs, ex_90_1=DOUBLE, ex_90_2="def total(values):\n    return 0", ex_90_3="size_gib = 1.5")
    assert progress_of(toy, path) == LabProgress(
        "90_toy",
        passed=("90.1", "90.3"),
        wrong=("90.2",),
        blank=("90.4",),
        points=3.5,
        most=6.5,
        unwritten=("90.5",),
    )


def test_progress_says_what_comes_next(labs: Path, toy: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    write(labs, ex_90_1=DOUBLE, ex_90_2="def total(values):\n    return 0")
    show_progress(labs)
    said = " ".join(capsys.readouterr().out.split())
    assert "90_toy 1 of 4 3 of 6.5 0 of 1 mend 90.2; begin 90.3" in said


def test_progress_counts_open_questions_without_judging_them(
    labs: Path, toy: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    write(labs, manual_90_5="### Question 90.5 · Why\n\nBecause.")
    one = progress_of(toy, labs / "90_toy" / "90_toy.ipynb")
    assert (one.written, one.unwritten, one.points) == (("90.5",), (), 0)
    show_progress(labs)
    assert "90_toy 0 of 4 0 of 6.5 1 of 1 begin 90.1" in " ".join(capsys.readouterr().out.split())


def test_a_set_up_that_does_not_run_is_told(labs: Path, toy: Lab) -> None:
    path = labs / "90_toy" / "90_toy.ipynb"
    write(labs, ex_90_1=DOUBLE)
    path.write_text(path.read_text(encoding="utf-8").replace("import math\\n", "import no_such\\n"))
    assert "set-up cells do not run" in progress_of(toy, path).trouble


def test_a_folder_without_labs_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=str(tmp_path)):
        show_progress(tmp_path)

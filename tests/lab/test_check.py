"""check, hint, best, predict and reveal, as a notebook calls them."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cblab.lab import best, check, hint, predict, reveal
from cblab.lab.registry import LabError, load_lab
from cblab.lab.score import Score

RIGHT = "def double(values): return [2 * v for v in values]"
SQUARE = "def double(values): return [v * v for v in values]"
Run = Callable[[str], Any]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the source of a cell in a notebook of its own, and gives the value of its last line."""
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {
        "check": check,
        "hint": hint,
        "best": best,
        "predict": predict,
        "reveal": reveal,
    }

    def run_cell(source: str) -> Any:
        *statements, last = source.splitlines()
        exec(compile("\n".join(statements), "<exercise 90>", "exec"), namespace)
        return eval(last, namespace)

    return run_cell


def test_a_score_is_a_number_to_nbgrader_and_a_card_to_the_reader(run: Run) -> None:
    score = run(f"{RIGHT}\ncheck('90.1')")
    assert isinstance(score, Score)
    assert repr(score) == "3.0"
    assert "3 of 3 points" in score._repr_html_()
    assert "✓ passed" in score.report


def test_parts_are_judged_on_their_own(run: Run) -> None:
    score = run(f"{RIGHT.replace('values]', 'values] if values else None')}\ncheck('90.1')")
    assert repr(score) == "2.0"
    assert "gave None: is a `return` missing?" in score.report


def test_a_foreseen_mistake_is_named_and_html_is_escaped(run: Run) -> None:
    assert "that is the square" in run(f"{SQUARE}\ncheck('90.1')").report
    html = run("def double(values): return '<b>'\ncheck('90.1')")._repr_html_()
    assert "<b>" not in html
    assert "a str: a list was expected" in html


def test_a_changed_argument_is_named(run: Run) -> None:
    source = "def double(values):\n    values[:] = [2 * v for v in values]\n    return values\ncheck('90.1')"
    assert "changed its argument [1, 2]: work on a copy" in run(source).report


def test_a_blank_is_a_named_error(run: Run) -> None:
    with pytest.raises(NotImplementedError, match=r"exercise 90\.1: `double` is not defined"):
        run("check('90.1')")
    with pytest.raises(NotImplementedError, match=r"exercise 90\.1: its blank is still to be filled in"):
        run("def double(values): raise NotImplementedError('exercise 90.1')\ncheck('90.1')")
    with pytest.raises(NotImplementedError, match="size_gib"):
        run("check('90.3')")


def test_one_blank_of_two_costs_its_part_only(run: Run) -> None:
    source = (
        "class Counter:\n    def __init__(self, start): self.value = start\n"
        "    def add(self, step):\n        if step < 0: raise ValueError('no')\n"
        "        raise NotImplementedError('exercise 90.4')\ncheck('90.4')"
    )
    score = run(source)
    assert float(score) == 1.0
    assert "○ blank counts" in score.report


def test_later_exercises_are_judged_on_the_reference(run: Run) -> None:
    score = run(f"{SQUARE}\ndef total(values): return sum(double(values))\ncheck('90.2')")
    assert float(score) == 1.0
    assert run("double([3])") == [9]


def test_best_gives_what_passed_and_says_which(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("best('90.1')([5])") == [10]
    assert run(f"{RIGHT}\ncheck('90.1')") == 3
    assert run("best('90.1') is double") is True
    assert run(f"{SQUARE}\nbest('90.1') is double") is False
    assert run("check('90.1')") == 1
    assert run("best('90.1', 'double')([5])") == [10]
    assert capsys.readouterr().out.splitlines() == [
        "double: the reference (check 90.1 has not passed in this session)",
        "double: yours",
        "double: the reference (changed since its check)",
        "double: the reference (check 90.1 has not passed in this session)",
    ]
    with pytest.raises(LabError, match="defines no symbol"):
        run("best('90.3')")
    with pytest.raises(LabError, match="no 'triple', but double"):
        run("best('90.1', 'triple')")


TOTAL = "def total(values): return sum(double(values))"


def test_best_is_the_reference_while_an_earlier_answer_that_it_uses_has_not_passed(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(f"{SQUARE}\n{TOTAL}\ncheck('90.2')") == 1
    assert run("best('90.2') is total") is False
    assert run(f"{RIGHT}\ncheck('90.1')") == 3
    assert run("best('90.2') is total") is True
    assert run(f"{SQUARE}\nbest('90.2') is total") is False
    assert capsys.readouterr().out.splitlines() == [
        "total: the reference (90.1, which yours uses, has not passed)",
        "total: yours",
        "total: the reference (90.1, which yours uses, has changed since its check)",
    ]


def test_what_an_exercise_is_built_on_is_found_through_others() -> None:
    lab = load_lab(1)
    assert [other.id for other in lab.built_on(lab.exercise("1.5"))] == ["1.1", "1.2", "1.4"]
    assert lab.built_on(lab.exercise("1.1")) == ()


@pytest.mark.parametrize("function", ["check", "hint", "best"])
def test_an_id_without_quotes_is_told_so(run: Run, function: str) -> None:
    with pytest.raises(LabError, match=re.escape(f'write {function}("90.1")')):
        run(f"{function}(90.1)")


def test_a_card_claims_random_and_hidden_cases_only_where_there_are_some(run: Run) -> None:
    assert "Grading adds hidden cases" in run(f"{RIGHT}\ncheck('90.1')")._repr_html_()
    for hidden in (False, True):
        score = run(f"size_gib = 1.5\ncheck('90.3', hidden={hidden})")
        assert score == 0.5
        assert "cases" not in score._repr_html_()
        assert "random" not in score._repr_html_()


def test_a_card_says_that_messages_may_go_together_only_where_there_are_two(run: Run) -> None:
    assert "Mend what the first" not in run(f"{SQUARE}\ncheck('90.1')")._repr_html_()
    both = run("def double(values): return None\ncheck('90.1')")
    assert "Mend what the first message says" in both._repr_html_()


def test_a_card_shows_code_as_code_and_breaks_no_mark(run: Run) -> None:
    html = run("def double(values): return values * 2 or '<'\ncheck('90.1')")._repr_html_()
    assert "<code>values * 2</code> repeats" in html
    assert '<span style="white-space:nowrap">✗ failed</span>' in html
    assert "`" not in html
    assert "a str: a list was expected" in html


def test_nothing_reaches_stderr(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    source = """
def double(values):
    import sys, warnings, logging, os
    print("a note"); print("x", file=sys.stderr); warnings.warn("x"); logging.warning("x"); os.write(2, b"x")
    return [2 * v for v in values]
check('90.1', hidden=True)"""
    score = run(source)
    assert float(score) == 3.0
    assert "a note" in score._repr_html_()
    assert capfd.readouterr() == ("", "")


def test_hidden_cases_depend_on_the_seed_and_visible_ones_do_not(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    recorder = (
        "seen = []\ndef double(values):\n    seen.append(list(values))\n    return [2 * v for v in values]\n"
    )

    def cases(hidden: bool) -> list[list[int]]:
        run(f"{recorder}check('90.1', hidden={hidden})")
        return list(run("seen"))

    visible, public = cases(False), cases(True)
    assert cases(False) == visible
    assert cases(True) == public
    monkeypatch.setenv("CBLAB_HIDDEN_SEED", "one")
    one = cases(True)
    (tmp_path / "hidden_seed").write_text("one\n")
    monkeypatch.delenv("CBLAB_HIDDEN_SEED")
    monkeypatch.setenv("CBLAB_COURSE", str(tmp_path))
    assert cases(True) == one
    assert one != public
    assert one[:22] == public[:22] == visible[:22]


@pytest.mark.parametrize("content", [None, "", " \n"])
def test_a_course_without_a_seed_is_an_error(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None
) -> None:
    monkeypatch.delenv("CBLAB_HIDDEN_SEED", raising=False)
    monkeypatch.setenv("CBLAB_COURSE", str(tmp_path))
    if content is not None:
        (tmp_path / "hidden_seed").write_text(content)
    with pytest.raises(LabError, match=r"there is no seed in .*hidden_seed"):
        run(f"{RIGHT}\ncheck('90.1', hidden=True)")


def test_a_grader_without_a_seed_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CBLAB_HIDDEN_SEED", raising=False)
    assert "public seed" not in run(f"{RIGHT}\ncheck('90.1', hidden=True)")._repr_html_()
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    assert "public seed" in run("check('90.1', hidden=True)")._repr_html_()


def test_a_hidden_failure_says_that_it_was_hidden(run: Run) -> None:
    source = """
calls = []
def double(values):
    calls.append(1)
    return [2 * v for v in values] if len(calls) < 23 else [v * v for v in values]
check('90.1', hidden=True)"""
    assert "in a hidden case, that is the square" in run(source).report


def test_hints_come_one_by_one(run: Run, tmp_path: Path) -> None:
    texts = [repr(run("hint('90.1')")) for _ in range(5)]
    assert [text.splitlines()[0] for text in texts[:4]] == [
        "Hint 1 of 3 for 90.1",
        "Hint 2 of 3 for 90.1",
        "Hint 3 of 3 for 90.1",
        "Hints for 90.1",
    ]
    assert texts[3] == texts[4] == "Hints for 90.1\nThat was the last hint."
    assert "There are none" in repr(run("hint('90.2')"))
    (tmp_path / "solutions").mkdir()
    solution = "    ### BEGIN SOLUTION\n    return 2\n    ### END SOLUTION\n"
    source = f'# %% exercise="90.1"\ndef double(values):\n{solution}# %%\n'
    (tmp_path / "solutions" / "90_toy.py").write_text(source)
    assert repr(run("hint('90.1')")) == "Solution of 90.1\nreturn 2"


def test_unknown_exercises_are_refused_by_name(run: Run) -> None:
    for wrong, says in [
        ("90.9", "it has 90.1, 90.2"),
        ("77.1", "there is no lab 77"),
        ("one", "looks like 1.3"),
    ]:
        with pytest.raises(LabError, match=says):
            run(f"check({wrong!r})")


def test_a_prediction_outlives_the_kernel(run: Run, tmp_path: Path) -> None:
    assert "No prediction 1.a yet" in repr(run("predict('1.a', ...)"))
    assert "Predict first" in run("reveal('1.a', 12)")._repr_html_()
    assert repr(run("predict('1.a', 4.0, unit='tokens')")) == "Prediction 1.a: 4 tokens"
    assert repr(run("predict('1.a', None)")) == "Prediction 1.a: 4 tokens"
    assert "actual: 12 tokens, actual / predicted: 3" in repr(run("reveal('1.a', 12)"))
    assert (tmp_path / ".cblab" / "predictions.json").is_file()


def test_a_prediction_is_a_number(run: Run) -> None:
    assert repr(run("predict('1.a', 4)")) == "Prediction 1.a: 4"
    assert repr(run("predict('1.a', 'twice')")) == "Prediction 1.a: A number, please, instead of 'twice'."
    assert repr(run("predict('1.a', None)")) == "Prediction 1.a: 4"


def test_predictions_never_fail_a_notebook(run: Run, tmp_path: Path) -> None:
    file = tmp_path / ".cblab" / "predictions.json"
    file.parent.mkdir()
    for damaged in ("{", "[1]", '{"1.a": 3}', "\xff"):
        file.write_text(damaged, encoding="latin-1")
        assert "No prediction" in repr(run("predict('1.a', None)"))
        assert "actual: 2" in repr(run("reveal('1.a', 2)"))
    file.chmod(0o444)
    assert "7" in repr(run("predict('1.a', 7)"))
    assert "7" in repr(run("predict('1.a', None)"))
    file.unlink()
    file.parent.rmdir()
    file.parent.write_text("a file where the folder should be")
    assert "7" in repr(run("predict('1.a', 7)"))


def test_what_hidden_cases_print_is_not_shown(run: Run) -> None:
    noisy = "def double(values):\n    print(len(values))\n    return [2 * value for value in values]\n"
    visible = run(f"{noisy}check('90.1')").verdict.printed
    assert visible
    assert run(f"{noisy}check('90.1', hidden=True)").verdict.printed == visible

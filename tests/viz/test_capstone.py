"""The last page of the course: what it says, and that it needs nothing but itself."""

import re
from pathlib import Path
from typing import Any

import pytest

from cblab.viz import Answer, Speed, engine_report

PARTS = [("tokenizer", "ByteLevelTokenizer (1.5)", "mine"), ("sampler", "greedy", "cblab's")]
NAMES: dict[str, Any] = {"reference": "torch", "title": "Mine", "caption": "Look."}
SPEEDS = {
    "my engine": Speed([90.0, 120.0, 130.0], [0.1, 0.3, 0.2]),
    "another <one>": Speed([60.0, 50.0, 70.0], [0.5]),
    "asked once": Speed([30.0], [0.5]),
}


def answers(*right: bool) -> list[Answer]:
    return [Answer("Once <upon>", " a time & more", one) for one in right]


def test_it_says_what_is_right_whose_it_is_and_how_fast() -> None:
    page = engine_report(
        PARTS, answers(True, True), SPEEDS, {"steps": "62"}, notes=["<one> goes alone"], **NAMES
    )
    assert page.alt == "Mine: 2 of 2 answers are those of torch, token for token; 120 tokens a second."
    for text in (
        "ByteLevelTokenizer (1.5)",
        "mine",
        "<b>62</b><span>steps</span>",
        ">120<",
        ">90 to 130<",
        "Medians of 3 rounds by turns, with their range",
        ">one run<",
        "&lt;one&gt; goes alone",
        ">0.20<",
        ">0.30<",
    ):
        assert text in page.page
    assert "width:50.0%" in page.page  # the slower one's bar
    assert "Once &lt;upon&gt;" in page.page
    assert "another &lt;one&gt;" in page.page


def test_a_wrong_answer_is_not_hidden() -> None:
    page = engine_report(PARTS, answers(True, False), SPEEDS, {}, **NAMES)
    assert "Only 1 of 2 answers are those of torch, token for token" in page.page
    assert page.page.count('class="wrong"') == 1


def test_it_needs_no_network_and_is_saved_as_a_file(tmp_path: Path) -> None:
    page = engine_report(PARTS, answers(True), SPEEDS, {}, **NAMES)
    page.save(tmp_path / "my_engine.html")
    saved = (tmp_path / "my_engine.html").read_text(encoding="utf-8")
    assert saved == page.page
    assert not re.search(r"(src|href)=[\"']?http", saved)
    assert repr(page) == f"EngineReport: {page.alt}"
    assert 'sandbox="allow-scripts"' in page._repr_html_()


@pytest.mark.parametrize("missing", ["parts", "answers", "speeds"])
def test_what_is_missing_is_named(missing: str) -> None:
    given = {"parts": PARTS, "answers": answers(True), "speeds": SPEEDS} | {missing: []}
    with pytest.raises(ValueError, match=f"the page needs {missing}"):
        engine_report(facts={}, **NAMES, **given)  # type: ignore[arg-type]

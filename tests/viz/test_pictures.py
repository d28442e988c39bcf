"""What every picture promises: alternative text, a caption, the same bytes each time, its data."""

import html
import re
import sys
from collections.abc import Callable
from functools import cache

import pytest

from cblab import viz

PNG = b"\x89PNG\r\n\x1a\n"
MERGES = [(116, 104), (256, 101), (32, 257)]

PICTURES: dict[str, Callable[[], viz.Picture]] = {
    "merge_steps": lambda: viz.merge_steps(
        [("bytes", [b"a", b"a"]), ("a + a", [b"aa"])], caption="Two rows."
    ),
    "merge_tree": lambda: viz.merge_tree([258, 120], MERGES, caption="A tree."),
    "padding_grid": lambda: viz.padding_grid({"together": [[1, 0, 0], [1, 1, 1]]}, caption="Padding."),
    "tokens_by_vocabulary": lambda: viz.tokens_by_vocabulary(
        [256, 512], {"English": [1.0, 0.4]}, [0.1, 0.2], table="8 wide", caption="Fewer."
    ),
    "decode_work": lambda: viz.decode_work({"again": [1, 3, 6], "once": [1, 2, 3]}, caption="Work."),
    "language_bars": lambda: viz.language_bars(
        {"English": {"tokens": 9}, "Hindi": {"tokens": 74}}, caption="Bars."
    ),
    "embedding_lookup": lambda: viz.embedding_lookup(
        [1, 0], ["a", "b"], [[0.0, 1.0], [2.0, 3.0]], caption="Rows."
    ),
}


@cache
def drawn(name: str) -> viz.Picture:
    return PICTURES[name]()


@pytest.mark.parametrize("name", PICTURES)
def test_is_an_image_with_alt_text_and_caption(name: str) -> None:
    picture = drawn(name)
    page = picture._repr_html_()
    assert picture.png is not None
    assert picture.png.startswith(PNG)
    alt = re.search(r'<img alt="([^"]+)" src="data:image/png;base64,', page)
    assert alt
    assert html.unescape(alt[1]) == picture.alt
    assert f"{picture.caption}</figcaption>" in page
    assert repr(picture) == f"Picture: {picture.alt}"


@pytest.mark.parametrize("name", PICTURES)
def test_is_the_same_on_every_run(name: str) -> None:
    assert PICTURES[name]().png == drawn(name).png


def test_leaves_no_figure_behind() -> None:
    for name in PICTURES:
        drawn(name)
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or pyplot.get_fignums() == []


def test_alt_texts_hold_the_numbers() -> None:
    assert "a a" in drawn("merge_steps").alt
    assert "␣the" in drawn("merge_tree").alt
    assert "together: 6 slots, 33.3% of them padding" in drawn("padding_grid").alt
    assert "English: 1.00 tokens per byte at 256, 0.40 at 512" in drawn("tokens_by_vocabulary").alt
    assert "again: 6 tokens decoded for a reply of 3" in drawn("decode_work").alt
    assert "Hindi: 74 tokens" in drawn("language_bars").alt
    assert "row 1 for a" in drawn("embedding_lookup").alt


def test_token_strip_is_text_in_the_page() -> None:
    picture = viz.token_strip(
        {"<b>": [b" the", b"<i>", b"\xe7\x8c", "<|eos|>"], "one": [b"a"]}, caption="Strip."
    )
    page = picture._repr_html_()
    assert picture.png is None
    assert "␣the" in page
    assert "&lt;i&gt;" in page
    assert "<i>" not in page
    assert "‹E7›‹8C›" in page
    assert "4 tokens" in page
    assert "1 token<" in page
    assert re.search(r"<b style=[^>]*>&lt;\|eos\|&gt;</b>", page)


@pytest.mark.parametrize(
    ("piece", "shown"),
    [
        (b" a", "␣a"),
        (b"\n", "↵"),
        (b"\t", "⇥"),
        (b"\xff", "‹FF›"),
        ("é".encode(), "é"),
        (b"\x00", "‹00›"),
        (b"", ""),
    ],
)
def test_printable(piece: bytes, shown: str) -> None:
    assert viz.printable(piece) == shown

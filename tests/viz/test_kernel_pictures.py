"""Pictures of kernels: their promises, and the numbers in their alternative texts."""

import html
import re
from collections.abc import Callable

import pytest

from cblab import viz

PLANS = [("whole", [[(0, 0, 40)], [(1, 0, 16)]]), ("splits", [[(0, 0, 32)], [(0, 32, 40), (1, 0, 16)]])]
PICTURES: dict[str, Callable[[], viz.Picture]] = {
    "thread_blocks": lambda: viz.thread_blocks(PLANS, [[4, 0, 2], [1]], block_size=16, caption="Threads."),
    "score_tiles": lambda: viz.score_tiles(40, 16, caption="Tiles."),
}


@pytest.mark.parametrize("name", PICTURES)
def test_is_an_image_with_alt_text_and_caption_and_the_same_each_time(name: str) -> None:
    picture = PICTURES[name]()
    page = picture._repr_html_()
    alt = re.search(r'<img alt="([^"]+)" src="data:image/png;base64,', page)
    assert alt
    assert html.unescape(alt[1]) == picture.alt
    assert f"{picture.caption}</figcaption>" in page
    assert PICTURES[name]().png == picture.png


def test_alt_texts_hold_the_numbers() -> None:
    threads = PICTURES["thread_blocks"]().alt
    assert "whole: thread 0: 40 tokens, thread 1: 16 tokens" in threads
    assert "splits: thread 0: 32 tokens, thread 1: 24 tokens" in threads
    assert "Scores of 40 tokens in tiles of 16: 6 of 9 tiles are computed" in PICTURES["score_tiles"]().alt

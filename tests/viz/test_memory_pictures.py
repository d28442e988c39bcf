"""Pictures of memory and of speed: their promises, and the numbers in their alternative texts."""

import html
import re
from collections.abc import Callable

import pytest

from cblab import viz
from cblab.memory import BatchPoint

POINTS = [BatchPoint(1, 0.01, 100.0, 10, True), BatchPoint(2, 0.0125, 160.0, 20, False)]
PICTURES: dict[str, Callable[[], viz.Picture]] = {
    "memory_bars": lambda: viz.memory_bars(
        {"training": {"weights": 26.0, "optimizer": 104.0}, "inference": {"weights": 26.0}}, caption="Bars."
    ),
    "live_memory": lambda: viz.live_memory(
        {"training": [1_000_000, 9_000_000, 2_000_000], "inference": [1_000_000, 500_000]}, caption="Alive."
    ),
    "cache_growth": lambda: viz.cache_growth(
        [256, 512, 1_024], {"one": [0.1, 0.2, 0.4]}, {"80 GB": 80.0}, caption="Growth."
    ),
    "roofline": lambda: viz.roofline_picture(2e10, 8e10, {"decode": (0.5, 8e9)}, caption="Roof."),
    "batches": lambda: viz.batch_picture({"13B": POINTS}, caption="Batches."),
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
    assert "training: 130 GB (weights 26, optimizer 104)" in PICTURES["memory_bars"]().alt
    assert "training: at most 9 MB, 2 MB at the end" in PICTURES["live_memory"]().alt
    assert "one: 0.4 GB at 1,024 tokens; 80 GB: a line at 80 GB" in PICTURES["cache_growth"]().alt
    assert "ridge at 4 FLOP per byte. decode: 0.5 FLOP per byte at 8 GFLOP/s" in PICTURES["roofline"]().alt
    assert "batch 2: 160 tokens/s, 12.5 ms" in PICTURES["batches"]().alt

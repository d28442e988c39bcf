"""The pictures of continuous batching: what every picture promises, and that they show what is there."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cblab import viz
from cblab.core.plan import ScheduledRequest, StepPlan
from cblab.core.trace import StepRecord
from cblab.viz.picture import VERMILION

BLUNT = {"static": ["ab", "a", "a", "c"], "continuous": ["ab", "ac", "a"]}
TOKENS = {"whole": {"a": [1.0, 2.0, 9.0], "b": []}, "chunks": {"a": [1.0, 2.0, 3.5], "b": [4.0]}}
WAITS = {"short first": [(8, 1.0), (12, 2.0), (300, 90.0)], "in order": [(8, 40.0), (12, 50.0), (300, 9.0)]}


def records(steps: list[str]) -> list[StepRecord]:
    """A record a step, in which the requests named by its letters take part."""
    return [
        StepRecord(
            number,
            float(number),
            number + 1.0,
            StepPlan(scheduled=tuple(ScheduledRequest(name, 5, 1, True) for name in names)),
        )
        for number, names in enumerate(steps)
    ]


def seats_picture(**runs: list[str]) -> viz.Picture:
    made = {name: records(steps) for name, steps in (runs or BLUNT).items()}
    return viz.seat_timeline(made, 2, caption="Who sits where.")


def tokens_picture() -> viz.Picture:
    return viz.token_times(TOKENS, arrivals={"a": 0.0, "b": 1.5}, caption="When tokens come.")


def waits_picture() -> viz.Picture:
    return viz.waits_by_length(WAITS, caption="How long.")


def latency_picture() -> viz.Picture:
    panels: dict[str, Any] = {
        "budget": ((32, 64), {"first token": [60.0, 20.0], "pause": [2.0, 7.0]}),
        "seats": ((2, 4, 8), {"first token": [2000.0, 180.0, 30.0], "pause": [4.0, 6.0, 6.5]}),
    }
    return viz.latency_curves(panels, y="ticks", caption="A trade.")


PICTURES: dict[str, Callable[[], viz.Picture]] = {
    "seats": seats_picture,
    "tokens": tokens_picture,
    "waits": waits_picture,
    "latency": latency_picture,
}


@cache
def drawn(name: str) -> viz.Picture:
    return PICTURES[name]()


def bars(axis: Axes) -> list[tuple[float, float, float, str]]:
    """(seat, first step, steps, colour) of each request's bar."""
    found = [patch for patch in axis.patches if isinstance(patch, Rectangle) and not patch.get_hatch()]
    return [
        (round(bar.get_y() + 0.4), bar.get_x(), bar.get_width(), to_hex(bar.get_facecolor())) for bar in found
    ]


def points(axis: Axes) -> list[list[tuple[float, float]]]:
    """(x, y) of each line's marks."""
    return [
        [(float(x), float(y)) for x, y in zip(*line.get_data(), strict=True)]  # type: ignore[arg-type]
        for line in axis.lines
    ]


@pytest.mark.parametrize("name", PICTURES)
def test_is_an_image_with_alt_text_and_the_same_on_every_run(name: str) -> None:
    picture = drawn(name)
    assert picture.png is not None
    assert picture.png == PICTURES[name]().png
    assert f"{picture.caption}</figcaption>" in picture._repr_html_()


def test_the_alt_texts_say_what_was_found() -> None:
    assert drawn("seats").alt == (
        "Seats over steps. static: 4 steps, 62% of the seats in use; "
        "continuous: 3 steps, 83% of the seats in use."
    )
    assert drawn("tokens").alt == (
        "When tokens come. whole: longest pause 7.0 ticks; chunks: longest pause 1.5 ticks."
    )
    assert drawn("waits").alt == (
        "Waits. short first: median 2, at worst 90 ticks; the longest prompt, 300 tokens, waits 90 ticks. "
        "in order: median 40, at worst 50 ticks; the longest prompt, 300 tokens, waits 9 ticks."
    )
    assert drawn("latency").alt == (
        "Latencies. first token 60 at budget 32, 20 at 64; pause 2 at budget 32, 7 at 64; "
        "first token 2000 at seats 2, 30 at 8; pause 4 at seats 2, 6 at 8."
    )


def test_a_seat_has_a_bar_for_each_stretch_that_somebody_sits_there(figures: list[Figure]) -> None:
    seats_picture()
    static, continuous = (bars(axis) for axis in figures[0].axes)
    assert [bar[:3] for bar in static] == [(0, 0, 3), (1, 0, 1), (0, 3, 1)]
    assert [bar[:3] for bar in continuous] == [(0, 0, 3), (1, 0, 1), (1, 1, 1)]


def test_no_bar_has_the_colour_of_one_that_it_touches(figures: list[Figure]) -> None:
    seats_picture(busy=["ab", "ac", "dc", "de", "fe", "fg", "hg", "hi"])
    found = bars(figures[0].axes[0])
    assert len(found) == 9
    for seat, start, length, colour in found:
        for other, begin, long, its in found:
            touch_in_time = begin <= start + length and start <= begin + long
            if (seat, start) != (other, begin) and abs(seat - other) <= 1 and touch_in_time:
                assert colour != its


def test_the_thick_line_is_the_longest_pause(figures: list[Figure]) -> None:
    tokens_picture()
    for axis, (start, end) in zip(figures[0].axes, ((2.0, 9.0), (2.0, 3.5)), strict=True):
        (thick,) = (line for line in axis.lines if line.get_color() == VERMILION)
        assert np.asarray(thick.get_xdata()).tolist() == [start, end]
        assert [text.get_text() for text in axis.get_yticklabels()] == ["a", "b"]


def test_each_run_of_waits_has_a_panel_of_its_own_on_one_scale(figures: list[Figure]) -> None:
    waits_picture()
    axes = figures[0].axes
    assert [points(axis) for axis in axes] == [[[*map(tuple, pairs)]] for pairs in WAITS.values()]
    assert len({axis.get_ylim() for axis in axes}) == 1
    assert {axis.get_xscale() for axis in axes} == {"log"}
    assert axes[0].get_title("left") == "short first:\nmedian 2, at worst 90 ticks"


def test_latencies_share_a_log_scale_and_a_legend(figures: list[Figure]) -> None:
    latency_picture()
    axes = figures[0].axes
    assert points(axes[1])[0] == [(2, 2000), (4, 180), (8, 30)]
    assert {axis.get_yscale() for axis in axes} == {"log"}
    assert len({axis.get_ylim() for axis in axes}) == 1
    assert [axis.get_xlabel() for axis in axes] == ["budget", "seats"]
    assert [text.get_text() for text in figures[0].legends[0].get_texts()] == ["first token", "pause"]

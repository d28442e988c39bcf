"""The pictures of paging: what every picture promises, and that they show what is there."""

from collections.abc import Callable
from functools import cache

import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

from cblab import viz
from cblab.memory.fragmentation import FirstFit, Paged, SimulatedRequest, simulate
from cblab.viz.paging import _RESERVED, _colours
from cblab.viz.picture import ORANGE, SKY

REQUESTS = [SimulatedRequest(0, 3, 4, 9), SimulatedRequest(1, 2, 5, 8)]
STEPS = [
    viz.PoolStep("one", {"a": [0, 1]}, {"a": 6}),
    viz.PoolStep("forked", {"a": [0, 1], "b": [0, 1]}, {"a": 6, "b": 6}),
    viz.PoolStep("b is alone", {"b": [0, 2]}, {"b": 7}, cached=[1]),
]


def memory_picture() -> viz.Picture:
    runs = {"fit": simulate(REQUESTS, FirstFit(20)), "blocks": simulate(REQUESTS, Paged(20, block_size=4))}
    return viz.memory_over_time(runs, num_steps=8, caption="Who has what.")


def steps_picture() -> viz.Picture:
    return viz.pool_steps(STEPS, num_blocks=4, block_size=4, caption="Step by step.")


def arrows_picture(**tables: list[int]) -> viz.Picture:
    tables = tables or {"a": [3, 0, 2], "b": [1]}
    lengths = {name: 4 * len(table) - 1 for name, table in tables.items()}
    return viz.table_arrows(tables, lengths, num_blocks=5, block_size=4, caption="Which is where.")


def tradeoff_picture() -> viz.Picture:
    return viz.block_size_tradeoff((1, 16), (0.0, 0.125), (200.0, 13.0), (0.5, 0.25), caption="Which size?")


PICTURES: dict[str, Callable[[], viz.Picture]] = {
    "memory": memory_picture,
    "steps": steps_picture,
    "arrows": arrows_picture,
    "tradeoff": tradeoff_picture,
}


@cache
def drawn(name: str) -> viz.Picture:
    return PICTURES[name]()


@pytest.mark.parametrize("name", PICTURES)
def test_is_an_image_with_alt_text_and_the_same_on_every_run(name: str) -> None:
    picture = drawn(name)
    assert picture.png is not None
    assert picture.png == PICTURES[name]().png
    assert f"{picture.caption}</figcaption>" in picture._repr_html_()
    assert picture.alt


def test_memory_tells_tokens_from_what_is_only_reserved() -> None:
    image = _colours(simulate(REQUESTS, FirstFit(20)), num_steps=8)
    tokens, reserved = [to_rgb(colour) for colour in (SKY, ORANGE)], to_rgb(_RESERVED)
    column = [tuple(slot) for slot in image[:, 1]]
    # Request 0 has its prompt and one token more in 9 slots, request 1 its prompt in 8; 3 slots are free.
    wanted = [tokens[0]] * 4 + [reserved] * 5 + [tokens[1]] * 2 + [reserved] * 6 + [(1.0, 1.0, 1.0)] * 3
    assert column == wanted


def test_the_alt_texts_name_tables_and_numbers() -> None:
    assert drawn("steps").alt == (
        "one: a [0, 1]; forked: a [0, 1], b [0, 1]; b is alone: b [0, 2], cached [1]."
    )
    assert drawn("arrows").alt == "Block tables as arrows. a has the table [3, 0, 2]; b has the table [1]."
    assert "16 tokens: 12.5% wasted, 13 entries, 25% found" in drawn("tradeoff").alt
    assert "fit: " in drawn("memory").alt


def test_every_piece_points_at_its_block(figures: list[Figure]) -> None:
    arrows_picture()
    axis = figures[0].axes[0]
    arrows = [patch for patch in axis.patches if isinstance(patch, FancyArrowPatch)]
    ends = [arrow.__dict__["_posA_posB"][1][0] for arrow in arrows]
    assert len(arrows) == 4
    assert [int(end) for end in ends] == [3, 0, 2, 1]
    words = [text.get_text() for text in axis.texts]
    assert [word for word in words if "–" in word][:3] == ["0–3", "4–7", "8–10"]


def test_the_legend_shows_only_what_is_there(figures: list[Figure]) -> None:
    steps_picture()
    viz.pool_steps(STEPS[:1], num_blocks=4, block_size=4, caption="")
    legends = [[text.get_text() for text in figure.legends[0].get_texts()] for figure in figures]
    assert legends == [["a", "b", "free", "shared", "cached"], ["a", "free"]]


def test_tables_without_blocks_or_outside_of_the_pool_are_refused() -> None:
    with pytest.raises(ValueError, match="block 5 is not in a pool of 5"):
        arrows_picture(a=[5])
    with pytest.raises(ValueError, match="nothing to draw"):
        arrows_picture(a=[])

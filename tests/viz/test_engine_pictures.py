"""The pictures of the engine: what every picture promises, and that they show what is there."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cblab import viz
from cblab.attention.masks import ragged_causal_mask
from cblab.core.plan import ScheduledRequest, StepPlan
from cblab.core.trace import StepRecord
from cblab.viz.picture import BLUE, GREEN, INK, ORANGE, SKY
from cblab.viz.ragged_mask import _kinds

CU_SEQLENS_Q = torch.tensor([0, 1, 3])
CONTEXT_LENS = torch.tensor([3, 4])


def mask_picture(mask: torch.Tensor | None = None, **options: Any) -> viz.Picture:
    mask = ragged_causal_mask(CU_SEQLENS_Q, CONTEXT_LENS) if mask is None else mask
    return viz.ragged_mask_picture(mask, CU_SEQLENS_Q, CONTEXT_LENS, caption="Who sees whom.", **options)


def pool_picture(**options: Any) -> viz.Picture:
    arguments: dict[str, Any] = {
        "block_tables": {"one": [0, 1], "two": [0, 4], "a long name": [3]},
        "num_tokens": {"one": 7, "two": 8, "a long name": 1},
        "cached": [2, 0],
        "num_blocks": 7,
        "block_size": 4,
    }
    return viz.block_pool_picture(**(arguments | options), caption="Who owns what.")


def records() -> list[StepRecord]:
    chunk = ScheduledRequest("a", 0, 3, False)
    both = StepPlan((ScheduledRequest("a", 3, 1, True), ScheduledRequest("b", 0, 2, True)))
    return [
        StepRecord(0, 0.0, 1.0, StepPlan((chunk,)), arrived=(("a", 0.0), ("b", 0.5)), num_free_blocks=9),
        StepRecord(1, 1.0, 2.0, both, num_used_blocks=4, num_cached_blocks=1, num_free_blocks=4),
        StepRecord(2, 2.0, 3.0, StepPlan(preempted=("b",)), finished=(("a", "stop"),)),
    ]


PICTURES: dict[str, Callable[[], viz.Picture]] = {
    "mask": mask_picture,
    "pool": pool_picture,
    "timeline": lambda: viz.timeline(records(), caption="A run."),
}


@cache
def drawn(name: str) -> viz.Picture:
    return PICTURES[name]()


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axis in figure.axes for text in axis.texts]


def boxes(figure: Figure, colour: str) -> list[tuple[float, float, float, float]]:
    """Left, top, width and height of every rectangle of a colour in the first panel."""
    from matplotlib.colors import to_rgba

    return [
        tuple(round(float(value), 3) for value in (*box.get_xy(), box.get_width(), box.get_height()))  # type: ignore[misc]
        for box in figure.axes[0].patches
        if isinstance(box, Rectangle) and box.get_facecolor() == to_rgba(colour)
    ]


@pytest.mark.parametrize("name", PICTURES)
def test_is_an_image_with_alt_text_and_the_same_on_every_run(name: str) -> None:
    picture = drawn(name)
    assert picture.png is not None
    assert picture.png.startswith(b"\x89PNG\r\n\x1a\n")
    assert picture.png == PICTURES[name]().png
    assert picture.alt
    assert f"{picture.caption}</figcaption>" in picture._repr_html_()


def test_the_mask_tells_cached_new_hidden_and_foreign_keys_apart() -> None:
    mask = ragged_causal_mask(CU_SEQLENS_Q, CONTEXT_LENS).numpy()
    foreign, hidden, cached, new = range(4)
    assert _kinds(mask, [0, 1, 3], [0, 3, 7]).tolist() == [
        [cached, cached, new, foreign, foreign, foreign, foreign],
        [foreign, foreign, foreign, cached, cached, new, hidden],
        [foreign, foreign, foreign, cached, cached, new, new],
    ]
    assert drawn("mask").alt.endswith("A: 1 new, 2 cached; B: 2 new, 2 cached. Wrongly seen keys: 0.")


def test_the_mask_marks_what_must_not_be_seen(figures: list[Figure]) -> None:
    mask = ragged_causal_mask(CU_SEQLENS_Q, CONTEXT_LENS)
    mask[0, 4] = True  # another sequence's
    mask[1, 6] = True  # its own future
    picture = mask_picture(mask, labels=["x", "y"])
    assert "Wrongly seen keys: 2." in picture.alt
    assert "x: 1 new, 2 cached" in picture.alt
    assert np.argwhere(_kinds(mask.numpy(), [0, 1, 3], [0, 3, 7]) == 4).tolist() == [[0, 4], [1, 6]]
    marks = [line.get_xydata().tolist() for line in figures[0].axes[0].lines]  # type: ignore[union-attr]
    assert marks == [[[4.5, 0.5]], [[6.5, 1.5]]]


def test_a_sliding_window_is_no_mistake() -> None:
    mask = ragged_causal_mask(CU_SEQLENS_Q, CONTEXT_LENS, sliding_window=2)
    assert _kinds(mask.numpy(), [0, 1, 3], [0, 3, 7])[:, :3].tolist() == [[1, 2, 3], [0, 0, 0], [0, 0, 0]]
    words = "Wrongly seen keys: 0. Not seen, of the keys up to each query's own: 4."
    assert mask_picture(mask).alt.endswith(words)


def test_a_mask_that_is_not_shifted_says_what_it_hides() -> None:
    mask = torch.ones(2, 5, dtype=torch.bool).tril()
    alt = viz.ragged_mask_picture(mask, [0, 2], [5], caption="Two new behind three.").alt
    assert alt == (
        "Attention mask of 1 sequence. A: 2 new, 3 cached. Wrongly seen keys: 0. "
        "Not seen, of the keys up to each query's own: 6."
    )


def test_a_mask_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the mask is \[3, 8\], cu_seqlens_q .* say \[3, 7\]"):
        mask_picture(torch.ones(3, 8, dtype=torch.bool))


def test_the_pool_counts_and_names_what_it_shows(figures: list[Figure]) -> None:
    picture = pool_picture()
    assert picture.alt.startswith(
        "7 blocks of 4 tokens: 4 used (1 shared), 1 cached, 2 free; 4 empty slots in used blocks"
    )
    assert "two holds [0, 4]" in picture.alt
    # Long ids get letters: A and B share block 0, C has one token in block 3.
    assert texts(figures[0]) == ["0", "A+B", "1", "A", "2", "3", "C", "4", "B", "5", "6"]
    legend = [text.get_text() for text in figures[0].legends[0].get_texts()]
    assert legend[:3] == ["A = one: 7 tokens", "B = two: 8 tokens", "C = a long name: 1 tokens"]


def test_a_block_is_filled_as_far_as_its_slots_hold_tokens(figures: list[Figure]) -> None:
    pool_picture()
    assert boxes(figures[0], SKY) == [(0, 0, 0.9, 0.42), (1, 0, 0.675, 0.84)]
    assert boxes(figures[0], ORANGE) == [(0, 0.42, 0.9, 0.42), (4, 0, 0.9, 0.84)]
    assert boxes(figures[0], GREEN) == [(3, 0, 0.225, 0.84)]


def test_many_owners_of_a_block_are_counted(figures: list[Figure]) -> None:
    tables = {str(number): [0] for number in range(30)}
    pool_picture(block_tables=tables, num_tokens=dict.fromkeys(tables, 4))
    assert texts(figures[0])[:2] == ["0", "×30"]


def test_a_block_outside_of_the_pool_is_refused() -> None:
    with pytest.raises(ValueError, match="block 7 is not in a pool of 7"):
        pool_picture(cached=[7])


def test_the_timeline_has_a_row_for_each_request(figures: list[Figure]) -> None:
    picture = viz.timeline(records(), caption="A run.")
    assert picture.alt == (
        "Steps 0 to 2 of 2 requests. a: 1 prefill chunks, 1 decodes, 0 preemptions; "
        "b: 1 prefill chunks, 0 decodes, 1 preemptions."
    )
    assert boxes(figures[0], ORANGE) == [(-0.5, -0.4, 1, 0.8), (0.5, 0.6, 1, 0.8)]
    assert boxes(figures[0], BLUE) == [(0.5, -0.4, 1, 0.8)]
    hatched = [box for box in figures[0].axes[0].patches if box.get_hatch()]
    assert [box.get_xy() for box in hatched] == [(1.5, 0.85)]  # type: ignore[attr-defined]
    assert texts(figures[0]) == ["3", "2", "stop"]
    legend = [text.get_text() for text in figures[0].legends[0].get_texts()]
    assert legend == ["waiting", "prefill chunk", "decode", "preempted", "used blocks", "cached blocks"]
    assert [bar.get_height() for bar in figures[0].axes[1].patches] == [0, 4, 0, 0, 1, 0]  # type: ignore[attr-defined]


def test_a_run_without_steps_is_refused() -> None:
    with pytest.raises(ValueError, match="no steps: run the engine first"):
        viz.timeline([], caption="")


def luminance(colour: str) -> float:
    """Relative luminance of "#rrggbb", as the web's contrast rules define it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_ink_is_legible_on_every_owner_s_colour() -> None:
    from cblab.viz.block_pool import OWNERS

    for colour in OWNERS:
        assert (luminance(colour) + 0.05) / (luminance(INK) + 0.05) > 4.5


def test_the_kinds_of_a_mask_differ_in_lightness_too() -> None:
    light = [luminance(colour) for colour in ("#ffffff", SKY, BLUE)]
    assert light[0] > light[1] + 0.3 > light[2] + 0.4

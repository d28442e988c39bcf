"""Lab 3's pictures: what every picture promises, and what these refuse."""

import re
from collections.abc import Callable

import pytest

from cblab import viz

PICTURES: dict[str, Callable[[], viz.Picture]] = {
    "attention_weights": lambda: viz.attention_weights(
        {"head 0": [[1.0, 0.0], [0.25, 0.75]]}, ["a", "b"], caption="Weights."
    ),
    "score_by_distance": lambda: viz.score_by_distance(
        [0, 1], {"at 5": [1.0, 2.0], "at 9": [1.0, 2.5]}, caption="Lines."
    ),
    "changed_keys": lambda: viz.changed_keys(
        {"causal": [[0.0, 0.0], [0.0, 0.0]], "none": [[0.0, 0.0], [0.1, 0.2]]}, caption="Keys."
    ),
    "cost_per_token": lambda: viz.cost_per_token(
        [64, 128], {"tokens": [65, 129]}, {"recomputed": [4.0, 8.0]}, caption="Cost."
    ),
    "slot_strips": lambda: viz.slot_strips({"row 0": [("held", 3), ("never", 5)]}, caption="Slots."),
    "waste_over_time": lambda: viz.waste_over_time(
        [{"held": 3, "later": 1, "never": 2, "holes": 1, "free": 1}] * 2, 8, caption="Waste."
    ),
}
SAYS = {
    "attention_weights": "the last token takes most, 0.75, from 'b'",
    "score_by_distance": "differ by at most 0.5000",
    "changed_keys": "none: keys change in 1 of 2 layers",
    "cost_per_token": "tokens: 65 at 64, 129 at 128",
    "slot_strips": "holds a token: 3, reserved, never used: 5",
    "waste_over_time": "holds a token 38%",
}


@pytest.mark.parametrize("name", PICTURES)
def test_is_an_image_with_its_data_in_words_and_the_same_each_time(name: str) -> None:
    picture = PICTURES[name]()
    assert SAYS[name] in picture.alt
    assert re.search(r'<img alt="[^"]+" src="data:image/png;base64,', picture._repr_html_())
    assert picture.caption in picture._repr_html_()
    assert picture.png == PICTURES[name]().png


def test_an_unknown_kind_of_slot_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"unknown kinds of slots \['lost'\]; there are held, later"):
        viz.slot_strips({"row": [("lost", 3)]}, caption="Slots.")

"""The serving calculator: a table where there is no page to talk to, sliders where there is one."""

from typing import Any

import pytest

from cblab.lab.card import Shown
from cblab.lab.labs.memory_math.calculator import calculator
from cblab.memory import HARDWARE

PRICES = {one.name: 2.0 for one in HARDWARE} | {"L4 24GB": 0.8}


def test_outside_of_jupyter_a_table_of_plans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    shown = calculator(PRICES)
    assert isinstance(shown, Shown)
    assert (
        "Llama-2-70b | H100 SXM 80GB | 2.00 | 16 / 16 | 138 GB | 0 | 64 | does not fit | – | –" in shown.text
    )
    assert "<table" in shown.html


def test_in_jupyter_sliders_that_recompute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", "lab.ipynb")
    box: Any = calculator(PRICES)
    controls = {control.description: control for control in box.children[:-1]}
    shown = box.children[-1]
    assert "26.0 GB of 80.0 GB" in shown.value
    assert "does not fit" not in shown.value
    controls["bits a weight"].value = 4
    assert "26.0 GB of 80.0 GB" not in shown.value
    controls["model"].value = "Llama-2-70b"
    controls["GPU"].value = "L4 24GB"
    assert controls["USD an hour"].value == 0.8
    assert "This batch does not fit" in shown.value
    assert shown.value.count(">–<") == 3


def test_a_request_is_no_longer_than_the_model_was_trained_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", "lab.ipynb")
    box: Any = calculator(PRICES)
    controls = {control.description: control for control in box.children[:-1]}
    controls["tokens a request"].value = 2**17
    assert round(controls["tokens a request"].value) == 4_096
    controls["model"].value = "Llama-3.2-1B"
    controls["tokens a request"].value = 2**17
    controls["model"].value = "Llama-3-8B"
    assert round(controls["tokens a request"].value) == 8_192


def test_every_accelerator_has_a_price() -> None:
    with pytest.raises(ValueError, match="no price for V100 SXM2 32GB"):
        calculator({})

"""The serving calculator: a table where there is no page to talk to, sliders where there is one."""

from typing import Any

import pytest

from cblab.lab.card import Shown
from cblab.lab.labs.memory_math.calculator import calculator


def test_outside_of_jupyter_a_table_of_plans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    shown = calculator(2.0)
    assert isinstance(shown, Shown)
    assert "Llama-2-70b | H100 SXM 80GB | 16 / 16 | 138 GB | 0 | 64 | does not fit" in shown.text
    assert "<table" in shown.html


def test_in_jupyter_sliders_that_recompute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", "lab.ipynb")
    box: Any = calculator(2.0)
    controls = {control.description: control for control in box.children[:-1]}
    shown = box.children[-1]
    assert "26.0 GB of 80.0 GB" in shown.value
    controls["bits a weight"].value = 4
    assert "26.0 GB of 80.0 GB" not in shown.value
    controls["model"].value = "Llama-2-70b"
    controls["GPU"].value = "L4 24GB"
    assert "This batch does not fit" in shown.value

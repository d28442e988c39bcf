"""Predictions: a number that the student commits to before measuring, kept beside the notebook.

They outlive a restart of the kernel in ``.cblab/predictions.json``. Nothing here ever fails a notebook: a
folder that cannot be written to, or a file that is damaged, costs the memory of the prediction and no more.
"""

import contextlib
import json
from html import escape
from pathlib import Path
from typing import Any

from cblab.lab.card import Shown, card, table
from cblab.lab.files import replace_file

FOLDER = ".cblab"
_FILE = "predictions.json"


def predict(key: str, value: Any, *, unit: str = "") -> Shown:
    """Commit to a prediction; None or ``...`` stands for a blank, for which an earlier one is recalled.

    key: names the prediction, ``"1.4a"``. unit: what it counts, "tokens".
    """
    stored = _load()
    if value is not None and value is not ...:
        value = _plain(value)
        if not _is_number(value):
            text = f"A number, please, instead of {value!r}."
            return Shown(f"Prediction {key}: {text}", card(f"Prediction {key}", escape(text)))
        stored[key] = {"value": value, "unit": unit}
        _save(stored)
    entry = stored.get(key)
    if entry is None:
        text = f"No prediction {key} yet: put your number in place of the blank and run this cell again."
        return Shown(text, card(f"Prediction {key}", escape(text)))
    text = f"{_short(entry['value'])} {entry['unit']}".strip()
    return Shown(f"Prediction {key}: {text}", card(f"Prediction {key}", escape(f"You predict {text}.")))


def reveal(key: str, actual: Any, *, unit: str = "") -> Shown:
    """The prediction beside the number that was measured, counted or computed."""
    entry, value = _load().get(key), _plain(actual)
    unit = unit or (entry or {}).get("unit", "")
    mine = "none" if entry is None else f"{_short(entry['value'])} {unit}".strip()
    rows = [("you predicted", escape(mine)), ("actual", escape(f"{_short(value)} {unit}".strip()))]
    if entry is not None and _is_number(entry["value"]) and _is_number(value) and entry["value"]:
        rows.append(("actual / predicted", f"{value / entry['value']:.3g}"))
    advice = f"Predict first: predict({key!r}, your number). It is more fun that way."
    notes = [] if entry is not None else [escape(advice)]
    text = ", ".join(f"{name}: {cell}" for name, cell in rows)
    return Shown(f"Prediction {key}. {text}", card(f"Prediction {key}", table((), rows), notes))


def _plain(value: Any) -> Any:
    """A number or text that JSON can hold."""
    item = getattr(value, "item", None)
    if item is not None and not isinstance(value, int | float | str):
        with contextlib.suppress(Exception):
            value = item()
    return value if isinstance(value, bool | int | float | str) else str(value)


def _short(value: Any) -> str:
    if not _is_number(value):
        return str(value)
    return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _load() -> dict[str, Any]:
    try:
        stored = json.loads((Path.cwd() / FOLDER / _FILE).read_text(encoding="utf-8"))
        return {key: entry for key, entry in stored.items() if {"value", "unit"} <= set(entry)}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _save(stored: dict[str, Any]) -> None:
    folder = Path.cwd() / FOLDER
    with contextlib.suppress(OSError):
        folder.mkdir(exist_ok=True)
        # Replaced and not written to: nbgrader leaves its copies read-only.
        replace_file(folder / _FILE, json.dumps(stored, indent=1))

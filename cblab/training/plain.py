"""Settings as plain values: to a dictionary, to `settings.json`, and back on a machine without pydantic."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from cblab.training.settings import TrainingSettings

SECTIONS = ("model", "data", "optimizer", "run")


def settings_as_dict(settings: "TrainingSettings") -> dict[str, dict[str, Any]]:
    """`{"model": {...}, "data": {...}, "optimizer": {...}, "run": {...}}` of JSON values."""
    return {section: dict(vars(getattr(settings, section))) for section in SECTIONS}


def save_settings(settings: "TrainingSettings", path: Path) -> None:
    """Write the settings as JSON."""
    path.write_text(json.dumps(settings_as_dict(settings), indent=2) + "\n")


def load_settings(path: Path) -> "TrainingSettings":
    """Read settings that `save_settings` wrote, as objects with the same attributes, unvalidated."""
    sections = json.loads(path.read_text())
    plain = SimpleNamespace(**{section: SimpleNamespace(**sections[section]) for section in SECTIONS})
    return cast("TrainingSettings", plain)

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cblab.training.plain import SECTIONS, load_settings, save_settings, settings_as_dict
from cblab.training.settings import _SECTIONS as SECTION_MODELS
from cblab.training.settings import PRESETS, SettingsError, environment_overrides, make_settings


def test_no_two_sections_share_a_name() -> None:
    names = [name for section in SECTION_MODELS.values() for name in section.model_fields]
    assert len(names) == len(set(names))
    assert tuple(SECTION_MODELS) == SECTIONS


@pytest.mark.parametrize(("preset", "parameters"), [("story-4m", 4_152_064), ("story-draft", 393_696)])
def test_presets_have_the_sizes_promised(preset: str, parameters: int) -> None:
    from cblab.model import Decoder, ModelConfig, RopeConfig

    shape = dict(vars(make_settings(preset).model))
    model = Decoder(ModelConfig(rope=RopeConfig(theta=shape.pop("rope_theta")), **shape))
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


def test_environment_over_preset_and_command_line_over_environment() -> None:
    assert make_settings("story-draft").optimizer.lr == PRESETS["story-draft"]["optimizer"]["lr"] == 6e-3
    environ = {"CBLAB_TRAIN__LR": "1e-3", "CBLAB_TRAIN__RUN__MAX_STEPS": "500", "OTHER": "ignored"}
    settings = make_settings("story-draft", environ)
    assert (settings.optimizer.lr, settings.run.max_steps) == (1e-3, 500)
    settings = make_settings("story-draft", environ, {"optimizer.lr": "2e-3", "dropout": 0.1})
    assert (settings.optimizer.lr, settings.run.max_steps, settings.model.dropout) == (2e-3, 500, 0.1)


def test_none_and_booleans_from_the_environment() -> None:
    settings = make_settings(
        None, {"CBLAB_TRAIN__VALIDATE_EVERY": "none", "CBLAB_TRAIN__RUN__COMPILE": "true"}
    )
    assert settings.run.validate_every is None
    assert settings.run.compile is True


def test_both_spellings_of_a_variable_must_agree() -> None:
    both = {"CBLAB_TRAIN__LR": "1e-3", "CBLAB_TRAIN__OPTIMIZER__LR": "1e-3"}
    assert environment_overrides(both) == {"optimizer.lr": "1e-3"}
    with pytest.raises(SettingsError, match=r"contradicts another variable that sets optimizer\.lr to 1e-3"):
        environment_overrides(both | {"CBLAB_TRAIN__OPTIMIZER__LR": "2e-3"})


@pytest.mark.parametrize("name", ["learning_rate", "model.lr", "optimizer.", "optimiser.lr", "a.b.c"])
def test_an_unknown_setting_is_refused_by_name(name: str) -> None:
    with pytest.raises(SettingsError, match=f"no setting is called '{name}'"):
        make_settings(None, {}, {name: 1})
    variable = "CBLAB_TRAIN__" + name.upper().replace(".", "__")
    with pytest.raises(SettingsError, match=variable):
        make_settings(None, {variable: "1"})


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(
        SettingsError, match="no preset is called 'story-9b'; there are story-4m, story-draft"
    ):
        make_settings("story-9b")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lr": "fast"}, r"optimizer\.lr: Input should be a valid number"),
        ({"lr": -1}, r"optimizer\.lr: .*greater than 0"),
        ({"beta1": 1.0}, r"optimizer\.beta1: .*less than 1"),
        ({"num_kv_heads": 3}, "num_heads=8 is not a multiple of num_kv_heads=3"),
        ({"head_dim": 31}, "head_dim=31 is odd"),
        ({"window_length": 300}, "long_window_length=1024 is not a multiple of window_length=300"),
        ({"warmup_steps": 50, "max_steps": 50}, "warmup_steps=50 leaves nothing of max_steps=50"),
        ({"precision": "float16"}, "precision='float16' needs a CUDA device"),
        ({"early_stop_patience": 2, "validate_every": None}, "validate_every is None"),
        ({"tokens_per_step": 8000}, "tokens_per_step=8000 is not a multiple"),
        ({"tokens_per_step": 8192, "accumulation_steps": 3}, "tokens_per_step=8192 is not a multiple"),
        ({"max_position_embeddings": 512, "long_window_fraction": 0.1}, "1024 tokens do not fit"),
    ],
)
def test_contradictions_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        make_settings(None, {}, changes)


def test_plain_settings_carry_the_same_values(tmp_path: Path) -> None:
    settings = make_settings("story-draft")
    save_settings(settings, tmp_path / "settings.json")
    plain = load_settings(tmp_path / "settings.json")
    assert settings_as_dict(plain) == settings_as_dict(settings)
    assert json.loads((tmp_path / "settings.json").read_text()) == settings_as_dict(settings)
    assert plain.optimizer.lr == 6e-3


def test_only_the_settings_and_the_command_line_need_pydantic() -> None:
    """A GPU machine without pydantic, Typer, Rich or matplotlib imports all the rest."""
    script = (
        "import sys\n"
        "for name in ('pydantic', 'typer', 'rich', 'matplotlib'): sys.modules[name] = None\n"
        "import cblab.training.export, cblab.training.recipe, cblab.training.plain\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=200)

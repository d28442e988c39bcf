import pytest

from cblab.core.presets import PRESETS
from cblab.core.sampling_params import SamplingParams


def test_presets_are_sampling_parameters_and_differ() -> None:
    presets = {SamplingParams.preset(name) for name in PRESETS}
    assert len(presets) == len(PRESETS)
    assert {"greedy", "precise", "balanced", "creative"} <= set(PRESETS)
    assert SamplingParams.preset("greedy").is_greedy


def test_a_preset_takes_changes_which_win() -> None:
    params = SamplingParams.preset("creative", temperature=0.4, max_tokens=7, seed=1)
    assert (params.temperature, params.max_tokens, params.seed) == (0.4, 7, 1)
    assert params.min_p == PRESETS["creative"]["min_p"]
    with pytest.raises(ValueError, match="top_p"):
        SamplingParams.preset("precise", top_p=2)


def test_an_unknown_preset_is_refused_with_a_list() -> None:
    with pytest.raises(ValueError, match="'wild': there are balanced, creative, greedy"):
        SamplingParams.preset("wild")


def test_presets_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        PRESETS["mine"] = {}  # type: ignore[index]

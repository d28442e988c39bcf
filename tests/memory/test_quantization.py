"""Quantized sizes, and the caches of models that cblab does not run."""

import pytest

from cblab.memory import (
    PUBLISHED,
    PublishedModel,
    count_parameters,
    kv_bytes,
    kv_cache_bytes,
    published,
    quantized_bytes,
    quantized_weights_bytes,
    weights_bytes,
)
from cblab.model.config import ModelConfig


def test_codes_and_scales_are_rounded_up_for_each_row() -> None:
    assert quantized_bytes(3, 10, 4, 5) == 3 * (5 + 2 * 2)
    assert quantized_bytes(3, 11, 4, 5) == 3 * (6 + 2 * 3)
    with pytest.raises(ValueError, match="bits must be from 1 to 16, got 0"):
        quantized_bytes(1, 1, 0, 1)
    with pytest.raises(ValueError, match="group_size must be at least 1, got 0"):
        quantized_bytes(1, 1, 4, 0)


def test_a_models_tables_and_norms_stay_in_16_bits() -> None:
    config = ModelConfig.from_dict(published("Llama-2-70b").config)
    counts = count_parameters(config)
    inside = counts.attention + counts.mlp
    assert quantized_weights_bytes(config, 4) == inside // 2 + 2 * inside // 128 + 2 * (counts.total - inside)
    assert 34.5e9 < quantized_weights_bytes(config, 4) < 37e9
    assert quantized_weights_bytes(config, 8) < weights_bytes(config, "bfloat16")


RUNNABLE = [one for one in PUBLISHED if one.parameters is not None]


@pytest.mark.parametrize("model", RUNNABLE, ids=lambda model: model.name)
def test_published_models_have_their_published_number_of_parameters(model: PublishedModel) -> None:
    counts = count_parameters(ModelConfig.from_dict(model.config))
    assert counts.total == sum(counts.by_part().values()) == model.parameters
    assert model.source.startswith("https://huggingface.co/")


@pytest.mark.parametrize("num_tokens", [1, 4_095, 4_097, 9_000])
def test_two_ways_to_a_cache_agree(num_tokens: int) -> None:
    for model in RUNNABLE:
        if not model.name.startswith("gpt2"):
            config = ModelConfig.from_dict(model.config)
            assert kv_cache_bytes(model.config, num_tokens, 2) == kv_bytes(config, "bfloat16", num_tokens)


def test_caches_of_other_kinds() -> None:
    assert kv_cache_bytes(published("DeepSeek-V3").config, 10, 2) == 10 * 61 * 576 * 2
    assert kv_cache_bytes(published("gemma-2b").config, 10, 2) == 10 * 18 * 2 * 256 * 2
    assert (
        kv_cache_bytes(published("gpt-oss-20b").config, 1_000, 2) == (12 * 128 + 12 * 1_000) * 2 * 8 * 64 * 2
    )


def test_an_unknown_model_is_named() -> None:
    with pytest.raises(ValueError, match="no published model 'gpt5' is known; known are gpt2, "):
        published("gpt5")

import dataclasses
from typing import Any

import pytest
import torch
import transformers

from cblab.memory import count_parameters, embedding_bytes, weights_bytes
from cblab.model.config import ModelConfig, RopeConfig
from cblab.model.decoder import Decoder

LLAMA: dict[str, Any] = {"model_type": "llama", "rms_norm_eps": 1e-5, "hidden_act": "silu"}
# Published models: their config.json, shortened to what decides the count, and the number of parameters that
# the Hub shows for their safetensors files.
PUBLISHED: dict[str, tuple[dict[str, Any], int]] = {
    "gpt2": ({"n_embd": 768, "n_layer": 12, "n_head": 12}, 124_439_808),
    "gpt2-medium": ({"n_embd": 1024, "n_layer": 24, "n_head": 16}, 354_823_168),
    "gpt2-xl": ({"n_embd": 1600, "n_layer": 48, "n_head": 25}, 1_557_611_200),
    "Llama-2-7b": (
        {"vocab": 32000, "h": 4096, "mlp": 11008, "layers": 32, "heads": 32, "kv": 32},
        6_738_415_616,
    ),
    "Llama-2-13b": (
        {"vocab": 32000, "h": 5120, "mlp": 13824, "layers": 40, "heads": 40, "kv": 40},
        13_015_864_320,
    ),
    "Llama-2-70b": (
        {"vocab": 32000, "h": 8192, "mlp": 28672, "layers": 80, "heads": 64, "kv": 8},
        68_976_648_192,
    ),
    "Llama-3-8B": (
        {"vocab": 128256, "h": 4096, "mlp": 14336, "layers": 32, "heads": 32, "kv": 8},
        8_030_261_248,
    ),
    "Llama-3-70B": (
        {"vocab": 128256, "h": 8192, "mlp": 28672, "layers": 80, "heads": 64, "kv": 8},
        70_553_706_496,
    ),
    "Llama-3.2-1B": (
        {"vocab": 128256, "h": 2048, "mlp": 8192, "layers": 16, "heads": 32, "kv": 8, "tied": True},
        1_235_814_400,
    ),
    "Mistral-7B": (
        {"type": "mistral", "vocab": 32000, "h": 4096, "mlp": 14336, "layers": 32, "heads": 32, "kv": 8},
        7_241_732_096,
    ),
    "Mixtral-8x7B": (
        {"type": "mixtral", "vocab": 32000, "h": 4096, "mlp": 14336, "layers": 32, "heads": 32, "kv": 8},
        46_702_792_704,
    ),
    "Qwen2-0.5B": (
        {
            "type": "qwen2",
            "vocab": 151936,
            "h": 896,
            "mlp": 4864,
            "layers": 24,
            "heads": 14,
            "kv": 2,
            "tied": True,
        },
        494_032_768,
    ),
    "Qwen2-7B": (
        {"type": "qwen2", "vocab": 152064, "h": 3584, "mlp": 18944, "layers": 28, "heads": 28, "kv": 4},
        7_615_616_512,
    ),
    "Qwen3-0.6B": (
        {
            "type": "qwen3",
            "vocab": 151936,
            "h": 1024,
            "mlp": 3072,
            "layers": 28,
            "heads": 16,
            "kv": 8,
            "tied": True,
        },
        596_049_920,
    ),
    "Qwen3-8B": (
        {"type": "qwen3", "vocab": 151936, "h": 4096, "mlp": 12288, "layers": 36, "heads": 32, "kv": 8},
        8_190_735_360,
    ),
}


def published_config(short: dict[str, Any]) -> ModelConfig:
    if "n_embd" in short:
        gpt2 = {"model_type": "gpt2", "vocab_size": 50257, "n_positions": 1024}
        return ModelConfig.from_dict(gpt2 | short)
    config = LLAMA | {
        "model_type": short.get("type", "llama"),
        "vocab_size": short["vocab"],
        "hidden_size": short["h"],
        "intermediate_size": short["mlp"],
        "num_hidden_layers": short["layers"],
        "num_attention_heads": short["heads"],
        "num_key_value_heads": short["kv"],
        "max_position_embeddings": 4096,
        "tie_word_embeddings": short.get("tied", False),
    }
    if config["model_type"] == "qwen3":
        config["head_dim"] = 128
    if config["model_type"] == "mixtral":
        config |= {"num_local_experts": 8, "num_experts_per_tok": 2}
    return ModelConfig.from_dict(config)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_models_have_their_published_number_of_parameters(name: str) -> None:
    short, published = PUBLISHED[name]
    counts = count_parameters(published_config(short))
    assert counts.total == published
    assert counts.total == sum(counts.by_part().values())


ODD = ModelConfig(
    vocab_size=101,
    hidden_size=14,
    intermediate_size=22,
    num_layers=3,
    num_heads=6,
    num_kv_heads=2,
    head_dim=10,
    max_position_embeddings=37,
)
VARIANTS: dict[str, dict[str, Any]] = {
    "llama": {},
    "tied": {"tie_word_embeddings": True},
    "one KV head": {"num_kv_heads": 1},
    "all biases": {"qkv_bias": True, "o_bias": True, "mlp_bias": True},
    "qk_norm": {"qk_norm": True},
    "qk_norm with LayerNorm": {"qk_norm": True, "norm_impl": "layer_norm"},
    "experts": {"mlp_impl": "moe", "num_experts": 5, "num_experts_per_token": 2},
    "GPT-2": {
        "mlp_impl": "gelu",
        "norm_impl": "layer_norm",
        "rope": None,
        "mlp_bias": True,
        "qkv_bias": True,
    },
    "post-norm": {"norm_position": "post"},
    "post-norm, LayerNorm": {"norm_position": "post", "norm_impl": "layer_norm"},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_every_part_counts_what_the_modules_hold(name: str) -> None:
    config = dataclasses.replace(ODD, **VARIANTS[name])
    counts = count_parameters(config).by_part()
    held = dict.fromkeys(counts, 0)
    for parameter_name, parameter in Decoder(config).named_parameters():
        words = parameter_name.split(".")
        if words[0] in ("embed_tokens", "embed_positions", "lm_head"):
            part = {"embed_tokens": "embedding", "embed_positions": "positions"}.get(words[0], "lm_head")
        elif "norm" in words[-2]:
            part = "norms"
        else:
            part = {"attn": "attention"}.get(words[2], words[2])
        held[part] += parameter.numel()
    assert counts == held


@pytest.mark.parametrize("family", ["llama", "mistral", "mixtral", "qwen2", "qwen3", "gpt2"])
@pytest.mark.parametrize("tied", [False, True])
def test_the_total_is_that_of_transformers_own_model(family: str, tied: bool) -> None:
    config_json: dict[str, Any]
    if family == "gpt2":
        config_json = {
            "vocab_size": 61,
            "n_positions": 40,
            "n_embd": 12,
            "n_layer": 2,
            "n_head": 3,
            "n_inner": 20,
        }
    else:
        config_json = {
            "vocab_size": 61,
            "hidden_size": 12,
            "intermediate_size": 20,
            "num_hidden_layers": 2,
            "num_attention_heads": 6,
            "num_key_value_heads": 2,
            "max_position_embeddings": 40,
            "hidden_act": "silu",
        }
    if family == "mixtral":
        config_json |= {"num_local_experts": 3, "num_experts_per_tok": 2}
    theirs = transformers.AutoConfig.for_model(family, tie_word_embeddings=tied, **config_json)
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(theirs)
    total = sum(parameter.numel() for parameter in model.parameters())
    ours = ModelConfig.from_dict({"model_type": family, "tie_word_embeddings": tied} | config_json)
    assert count_parameters(ours).total == total


def test_bytes_follow_the_dtype() -> None:
    llama_7b = published_config(PUBLISHED["Llama-2-7b"][0])
    assert weights_bytes(llama_7b, "float16") == 2 * 6_738_415_616
    assert weights_bytes(llama_7b, "float32") == 4 * 6_738_415_616
    assert weights_bytes(llama_7b, "int8") == 6_738_415_616
    gpt3 = dataclasses.replace(ODD, vocab_size=50_000, hidden_size=12_288)
    assert embedding_bytes(gpt3, "float16") == 50_000 * 12_288 * 2


@pytest.mark.parametrize(
    ("field", "value"), [("attn_impl", "mine"), ("mlp_impl", "squared_relu"), ("norm_impl", "none")]
)
def test_a_part_of_unknown_shape_is_named_not_guessed(field: str, value: str) -> None:
    changes: dict[str, Any] = {field: value}
    with pytest.raises(ValueError, match=f"{field}='{value}'"):
        count_parameters(dataclasses.replace(ODD, **changes))


def test_an_unknown_dtype_is_named() -> None:
    with pytest.raises(ValueError, match=r"'float3'.*float32"):
        weights_bytes(ODD, "float3")


def test_rope_has_no_parameters() -> None:
    scaled = dataclasses.replace(ODD, rope=RopeConfig(rope_type="linear", factor=4.0))
    assert count_parameters(scaled) == count_parameters(ODD)

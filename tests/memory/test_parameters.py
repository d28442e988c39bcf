import dataclasses
from typing import Any

import pytest
import torch
import transformers

from cblab.memory import count_parameters, embedding_bytes, published, weights_bytes
from cblab.model.config import ModelConfig, RopeConfig
from cblab.model.decoder import Decoder

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
    llama_7b = ModelConfig.from_dict(published("Llama-2-7b").config)
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

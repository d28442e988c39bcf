"""config.json of every family, as published and as transformers writes it: read, written, refused by name."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig

from cblab.model import ModelConfig, RopeConfig
from cblab.model.families import FAMILIES
from tests.model.checkpoints import CASES

# As published on the hub before transformers 5, shortened to what differs between models.
LLAMA_3_1: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": 128000,
    "eos_token_id": [128001, 128008, 128009],
    "hidden_act": "silu",
    "hidden_size": 4096,
    "initializer_range": 0.02,
    "intermediate_size": 14336,
    "max_position_embeddings": 131072,
    "mlp_bias": False,
    "model_type": "llama",
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "pretraining_tp": 1,
    "rms_norm_eps": 1e-05,
    "rope_scaling": {
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
        "rope_type": "llama3",
    },
    "rope_theta": 500000.0,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.43.0",
    "use_cache": True,
    "vocab_size": 128256,
}
LLAMA_1: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "hidden_act": "silu",
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "max_position_embeddings": 2048,
    "max_sequence_length": 2048,
    "model_type": "llama",
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "rms_norm_eps": 1e-06,
    "vocab_size": 32000,
}
MISTRAL: dict[str, Any] = {
    "architectures": ["MistralForCausalLM"],
    "hidden_act": "silu",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "max_position_embeddings": 32768,
    "model_type": "mistral",
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "rms_norm_eps": 1e-05,
    "rope_theta": 10000.0,
    "sliding_window": 4096,
    "vocab_size": 32000,
}
QWEN2: dict[str, Any] = {
    "architectures": ["Qwen2ForCausalLM"],
    "hidden_act": "silu",
    "hidden_size": 896,
    "intermediate_size": 4864,
    "max_position_embeddings": 32768,
    "max_window_layers": 21,
    "model_type": "qwen2",
    "num_attention_heads": 14,
    "num_hidden_layers": 24,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-06,
    "rope_theta": 1000000.0,
    "sliding_window": 32768,
    "tie_word_embeddings": True,
    "use_sliding_window": False,
    "vocab_size": 151936,
}
GPT2: dict[str, Any] = {
    "activation_function": "gelu_new",
    "architectures": ["GPT2LMHeadModel"],
    "attn_pdrop": 0.1,
    "bos_token_id": 50256,
    "embd_pdrop": 0.1,
    "eos_token_id": 50256,
    "initializer_range": 0.02,
    "layer_norm_epsilon": 1e-05,
    "model_type": "gpt2",
    "n_ctx": 1024,
    "n_embd": 768,
    "n_head": 12,
    "n_layer": 12,
    "n_positions": 1024,
    "resid_pdrop": 0.1,
    "summary_activation": None,
    "summary_first_dropout": 0.1,
    "summary_proj_to_labels": True,
    "summary_type": "cls_index",
    "summary_use_proj": True,
    "task_specific_params": {"text-generation": {"do_sample": True, "max_length": 50}},
    "vocab_size": 50257,
}


def test_llama_3_1() -> None:
    config = ModelConfig.from_dict(LLAMA_3_1)
    assert (config.num_layers, config.num_heads, config.num_kv_heads, config.head_dim) == (32, 32, 8, 128)
    assert config.rope == RopeConfig("llama3", 500000.0, 8.0, 8192, low_freq_factor=1.0, high_freq_factor=4.0)
    assert config.eos_token_ids == (128001, 128008, 128009)
    assert (config.norm_eps, config.dtype, config.tie_word_embeddings) == (1e-5, "bfloat16", False)


def test_llama_1_leaves_out_what_came_later() -> None:
    config = ModelConfig.from_dict(LLAMA_1)
    assert config.num_kv_heads == 32
    assert config.rope == RopeConfig()
    assert not any((config.qkv_bias, config.mlp_bias, config.tie_word_embeddings))


def test_mistral_window_is_in_every_layer() -> None:
    assert {spec.sliding_window for spec in ModelConfig.from_dict(MISTRAL).attention_specs} == {4096}


def test_qwen2_window_is_off_unless_it_is_used() -> None:
    config = ModelConfig.from_dict(QWEN2)
    assert {spec.sliding_window for spec in config.attention_specs} == {None}
    assert (config.qkv_bias, config.o_bias) == (True, False)


def test_qwen2_window_begins_at_max_window_layers() -> None:
    config = ModelConfig.from_dict({**QWEN2, "use_sliding_window": True})
    assert [spec.sliding_window for spec in config.attention_specs] == [None] * 21 + [32768] * 3


def test_gpt2() -> None:
    config = ModelConfig.from_dict(GPT2)
    assert config.rope is None
    assert (config.intermediate_size, config.tie_word_embeddings) == (3072, True)
    assert (config.mlp_impl, config.norm_impl, config.activation) == ("gelu", "layer_norm", "gelu_new")
    assert config.attention_specs[0].scale == 64**-0.5


def test_gpt2_scale_by_layer() -> None:
    config = ModelConfig.from_dict({**GPT2, "scale_attn_by_inverse_layer_idx": True})
    assert [spec.scale * 8 for spec in config.attention_specs[:3]] == [1, 1 / 2, 1 / 3]


def test_rope_of_transformers_5() -> None:
    rope = LLAMA_3_1["rope_scaling"] | {"rope_theta": 500000.0}
    new = {key: value for key, value in LLAMA_3_1.items() if not key.startswith("rope_")}
    assert ModelConfig.from_dict({**new, "rope_parameters": rope}) == ModelConfig.from_dict(LLAMA_3_1)


def test_rope_type_under_its_old_name() -> None:
    config = ModelConfig.from_dict({**LLAMA_1, "rope_scaling": {"type": "linear", "factor": 2.0}})
    assert config.rope == RopeConfig("linear", factor=2.0)


def test_yarn_factor_follows_from_the_lengths() -> None:
    scaling = {"rope_type": "yarn", "factor": None, "original_max_position_embeddings": 512}
    config = ModelConfig.from_dict({**LLAMA_1, "rope_scaling": scaling})
    assert config.rope is not None
    assert config.rope.factor == 4.0


@pytest.mark.parametrize(
    ("base", "changes", "message"),
    [
        (LLAMA_1, {"model_type": "mamba"}, "unknown model_type 'mamba'; supported: llama, mistral"),
        (LLAMA_1, {"model_type": None}, "unknown model_type None"),
        (
            LLAMA_1,
            {"architectures": ["LlamaForSequenceClassification"]},
            "'LlamaForSequenceClassification' is not",
        ),
        (LLAMA_1, {"quantization_config": {"bits": 4}}, "quantization_config=.*'bits': 4.* is not supported"),
        (LLAMA_1, {"logit_softcap": 30.0}, "unknown options: logit_softcap=30.0"),
        (LLAMA_1, {"sliding_window": 5}, "unknown options: sliding_window=5"),
        (LLAMA_1, {"partial_rotary_factor": 0.5}, "partial_rotary_factor=0.5 is not supported"),
        (LLAMA_1, {"rope_interleaved": True}, "rope_interleaved=True is not supported"),
        (LLAMA_1, {"vocab_size": None}, "lacks 'vocab_size'"),
        (
            LLAMA_1,
            {"num_attention_heads": 30, "num_key_value_heads": 8},
            "must be a multiple of num_kv_heads",
        ),
        (LLAMA_1, {"head_dim": 33}, "head_dim must be even"),
        (LLAMA_1, {"rope_scaling": {"rope_type": "su", "factor": 2.0}}, "unknown rope_type 'su'"),
        (LLAMA_1, {"rope_scaling": {"rope_type": "linear"}}, "'linear' lacks factor"),
        (
            LLAMA_1,
            {"rope_scaling": {"rope_type": "linear", "factor": 2, "mscale": 1}},
            "of rope_type 'linear': mscale",
        ),
        (
            LLAMA_1,
            {"rope_scaling": {"rope_type": "longrope", "short_factor": [1.0], "long_factor": [2.0]}},
            r"need head_dim / 2 = 64 entries, got \(1, 1\)",
        ),
        (QWEN2, {"layer_types": ["full_attention"]}, "layer_types has 1 entries for 24 layers"),
        (QWEN2, {"layer_types": ["chunked_attention"] * 24}, "layer_types holds 'chunked_attention'"),
        (QWEN2, {"layer_types": ["sliding_attention"] * 24}, "no sliding_window is in use"),
        (GPT2, {"add_cross_attention": True}, "add_cross_attention=True is not supported"),
        (GPT2, {"rope_theta": 10000.0}, "unknown options: rope_theta"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(
    base: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ModelConfig.from_dict({**base, **changes})


@pytest.mark.parametrize("case", sorted(CASES))
def test_what_transformers_writes_survives_a_round_trip(case: str, tmp_path: Path) -> None:
    CASES[case]().save_pretrained(tmp_path)
    config = ModelConfig.from_pretrained(tmp_path)
    assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_what_a_file_leaves_out_has_transformers_default(family: str) -> None:
    full = json.loads(AutoConfig.for_model(family).to_json_string(use_diff=False))
    table = FAMILIES[family]
    optional = {table.keys[field] for field in table.defaults}
    optional |= {
        "rope_parameters",
        "sliding_window",
        "use_sliding_window",
        "max_window_layers",
        "layer_types",
    }
    sparse = {key: value for key, value in full.items() if key not in optional}
    assert ModelConfig.from_dict(sparse) == ModelConfig.from_dict(full)


def test_a_window_that_is_left_out_has_transformers_default_and_null_is_none() -> None:
    left_out = {key: value for key, value in MISTRAL.items() if key != "sliding_window"}
    assert ModelConfig.from_dict(left_out).attention_specs[0].sliding_window == 4096
    assert (
        ModelConfig.from_dict({**MISTRAL, "sliding_window": None}).attention_specs[0].sliding_window is None
    )


def test_an_error_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({**LLAMA_1, "model_type": "mamba"}))
    with pytest.raises(ValueError, match=r"config\.json: unknown model_type 'mamba'"):
        ModelConfig.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"mlp_impl": "squared_relu"}, "mlp_impl='squared_relu'"),
        ({"norm_position": "post"}, "norm_position='post'"),
        ({"qkv_bias": True}, "qkv_bias=True"),
        ({"sliding_windows": (4,) * 32}, r"sliding_windows=\(4, 4"),
        ({"rope": None}, "rope=None"),
    ],
)
def test_what_a_family_cannot_say_is_not_written(changes: dict[str, Any], told: str) -> None:
    config = dataclasses.replace(ModelConfig.from_dict(LLAMA_1), **changes)
    with pytest.raises(ValueError, match=f"family 'llama' cannot say: .*{told}"):
        config.to_dict()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_layers": 0}, "num_layers must be a whole number of at least 1, got 0"),
        ({"hidden_size": 8.0}, "hidden_size must be a whole number of at least 1, got 8.0"),
        ({"norm_position": "middle"}, "norm_position must be 'pre' or 'post', got 'middle'"),
        ({"sliding_windows": (4,)}, "sliding_windows has 1 entries for 32 layers"),
        ({"mlp_impl": "moe"}, "mlp_impl='moe' needs num_experts"),
        ({"num_experts": 2, "num_experts_per_token": 3}, r"num_experts_per_token \(3\) exceeds num_experts"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\), got 1.0"),
    ],
)
def test_impossible_models_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(ModelConfig.from_dict(LLAMA_1), **changes)


def test_dropout_belongs_to_a_run_and_is_not_written() -> None:
    config = dataclasses.replace(ModelConfig.from_dict(LLAMA_1), dropout=0.1)
    assert ModelConfig.from_dict(config.to_dict()).dropout == 0.0

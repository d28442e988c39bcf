"""Tiny random checkpoints of every family, written by transformers: what parity is measured against.

Each case is a config of odd sizes. Weights are drawn wider than usual, so that logits spread and near-ties
of the two best tokens are rare; biases and norms are drawn too, so that none of them can be forgotten
unnoticed.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers

VOCAB_SIZE = 67

_SIZES: dict[str, Any] = {
    "vocab_size": VOCAB_SIZE,
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "bos_token_id": None,
    "eos_token_id": None,
}


def _llama(**changes: Any) -> transformers.PreTrainedConfig:
    return transformers.LlamaConfig(**{**_SIZES, "head_dim": 8, **changes})


def _mistral(**changes: Any) -> transformers.PreTrainedConfig:
    return transformers.MistralConfig(**{**_SIZES, "head_dim": 8, **changes})


def _qwen2(**changes: Any) -> transformers.PreTrainedConfig:
    return transformers.Qwen2Config(**{**_SIZES, **changes})


def _qwen3(**changes: Any) -> transformers.PreTrainedConfig:
    return transformers.Qwen3Config(**{**_SIZES, "head_dim": 10, **changes})


def _mixtral(**changes: Any) -> transformers.PreTrainedConfig:
    # The other implementations of experts ask for sizes that are multiples of 16 or more.
    sizes = {**_SIZES, "head_dim": 6, "num_local_experts": 5, "num_experts_per_tok": 2}
    return transformers.MixtralConfig(**{**sizes, "experts_implementation": "eager", **changes})


def _gpt2(**changes: Any) -> transformers.PreTrainedConfig:
    sizes = {"vocab_size": VOCAB_SIZE, "n_embd": 30, "n_layer": 3, "n_head": 5, "n_positions": 96}
    return transformers.GPT2Config(**{**sizes, "bos_token_id": None, "eos_token_id": None, **changes})


def _rope(rope_type: str, **options: Any) -> dict[str, Any]:
    return {"rope_parameters": {"rope_type": rope_type, "rope_theta": 500.0, **options}}


_LLAMA3 = {
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
_LONG = {"short_factor": [1.0, 1.1, 1.2, 1.3], "long_factor": [1.5, 2.0, 3.0, 4.0]}

CASES: dict[str, Callable[[], transformers.PreTrainedConfig]] = {
    "llama": _llama,
    "llama-tied": lambda: _llama(tie_word_embeddings=True),
    "llama-one-kv-head": lambda: _llama(num_key_value_heads=1),
    "llama-multi-head": lambda: _llama(num_key_value_heads=6, head_dim=None),
    "llama-biases": lambda: _llama(attention_bias=True, mlp_bias=True),
    "llama-gelu": lambda: _llama(hidden_act="gelu"),
    "llama-linear": lambda: _llama(**_rope("linear", factor=3.0)),
    "llama-dynamic": lambda: _llama(max_position_embeddings=16, **_rope("dynamic", factor=2.0)),
    "llama-llama3": lambda: _llama(**_rope("llama3", **_LLAMA3)),
    "llama-yarn": lambda: _llama(**_rope("yarn", factor=8.0, original_max_position_embeddings=16)),
    "llama-yarn-mscale": lambda: _llama(
        **_rope(
            "yarn",
            factor=8.0,
            original_max_position_embeddings=16,
            beta_fast=1.0,
            beta_slow=0.25,
            mscale=0.7,
            mscale_all_dim=0.3,
            truncate=False,
        )
    ),
    "llama-longrope": lambda: _llama(
        **_rope("longrope", factor=8.0, original_max_position_embeddings=16, **_LONG)
    ),
    "mistral": lambda: _mistral(sliding_window=7),
    "mistral-no-window": lambda: _mistral(
        sliding_window=None, num_key_value_heads=1, tie_word_embeddings=True
    ),
    "qwen2": _qwen2,
    "qwen2-head-dim": lambda: _qwen2(head_dim=14, num_key_value_heads=1),
    "qwen2-window": lambda: _qwen2(
        use_sliding_window=True, sliding_window=5, max_window_layers=1, tie_word_embeddings=True
    ),
    "qwen3": _qwen3,
    "qwen3-window": lambda: _qwen3(
        use_sliding_window=True,
        sliding_window=4,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        attention_bias=True,
        num_key_value_heads=3,
    ),
    "mixtral": _mixtral,
    "mixtral-window": lambda: _mixtral(sliding_window=6, num_local_experts=3, num_experts_per_tok=1),
    "gpt2": _gpt2,
    "gpt2-options": lambda: _gpt2(
        n_inner=50,
        scale_attn_by_inverse_layer_idx=True,
        activation_function="gelu",
        tie_word_embeddings=False,
    ),
    "gpt2-unscaled": lambda: _gpt2(scale_attn_weights=False, activation_function="relu"),
}
"""Name -> config. A name begins with the family's `model_type`."""

FAMILIES = ("llama", "mistral", "qwen2", "qwen3", "mixtral", "gpt2")
"""One case for each family, by name."""


def make_reference(case: str, seed: int = 0) -> transformers.PreTrainedModel:
    """transformers' model of a case, float32, evaluation mode, the same weights for the same seed."""
    torch.manual_seed(seed)
    model = transformers.AutoModelForCausalLM.from_config(CASES[case](), dtype=torch.float32).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1:
                parameter.normal_(0.0, 0.3)
            elif name.endswith("bias"):
                parameter.normal_(0.0, 0.2)
            else:
                parameter.uniform_(0.5, 1.5)
    return model


def make_checkpoint(
    case: str, folder: Path, seed: int = 0, max_shard_size: str = "5GB"
) -> transformers.PreTrainedModel:
    """Write a case's checkpoint into `folder` as `save_pretrained` does, and give the model that is in it."""
    model = make_reference(case, seed)
    model.save_pretrained(folder, max_shard_size=max_shard_size)
    return model

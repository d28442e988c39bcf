"""The model families: how each one's `config.json` says what `ModelConfig` says. Free of torch.

Every key of a `config.json` is accounted for: it is copied (`Family.keys`), read with care (rope, windows),
known to change nothing in the forward pass (`HARMLESS`), allowed one value only (`ONLY`), or else refused by
name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

HARMLESS = frozenset(
    {
        # Who made the file, with what, and how transformers' own classes should behave around the model.
        *("_name_or_path", "architectures", "model_type", "transformers_version", "auto_map"),
        *("torch_dtype", "dtype", "use_cache", "return_dict", "output_hidden_states", "output_attentions"),
        *("id2label", "label2id", "num_labels", "_num_labels", "problem_type", "is_decoder"),
        *("chunk_size_feed_forward", "_attn_implementation_autoset"),
        *("is_llama_config", "transformers.js_config", "unsloth_version", "unsloth_fixed"),
        # Only for training.
        *("attention_dropout", "embd_pdrop", "attn_pdrop", "resid_pdrop", "initializer_range"),
        *("router_aux_loss_coef", "router_jitter_noise", "output_router_logits", "gradient_checkpointing"),
        # Another order of the same multiplications.
        *("pretraining_tp", "reorder_and_upcast_attn"),
        # Token ids, and defaults for text generation, which are the caller's business.
        *("bos_token_id", "eos_token_id", "pad_token_id", "task_specific_params"),
        # The length under older names, and the head of another task.
        *("max_sequence_length", "n_ctx"),
        *("summary_type", "summary_use_proj", "summary_activation", "summary_proj_to_labels"),
        *("summary_first_dropout", "n_special", "predict_special_tokens"),
    }
)
"""Keys that do not change what the forward pass computes at inference, whatever their value."""

ONLY: Mapping[str, Any] = {
    "is_encoder_decoder": False,
    "add_cross_attention": False,
    "rope_interleaved": False,
    "partial_rotary_factor": 1.0,
    "quantization_config": None,
    "tie_encoder_decoder": False,
    "cross_attention_hidden_size": None,
}
"""Keys that are accepted with this value (or null) alone."""

_ROPE_KEYS = frozenset({"rope_theta", "rope_scaling", "rope_parameters", "original_max_position_embeddings"})
_WINDOW_KEYS = {
    "none": frozenset[str](),
    "every_layer": frozenset({"sliding_window"}),
    "by_layer": frozenset({"sliding_window", "use_sliding_window", "max_window_layers", "layer_types"}),
}

_LLAMA_KEYS = {
    "vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "intermediate_size": "intermediate_size",
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "num_kv_heads": "num_key_value_heads",
    "head_dim": "head_dim",
    "max_position_embeddings": "max_position_embeddings",
    "norm_eps": "rms_norm_eps",
    "tie_word_embeddings": "tie_word_embeddings",
    "activation": "hidden_act",
}
_GPT2_KEYS = {
    "vocab_size": "vocab_size",
    "hidden_size": "n_embd",
    "intermediate_size": "n_inner",
    "num_layers": "n_layer",
    "num_heads": "n_head",
    "max_position_embeddings": "n_positions",
    "norm_eps": "layer_norm_epsilon",
    "tie_word_embeddings": "tie_word_embeddings",
    "activation": "activation_function",
    "scale_by_head_dim": "scale_attn_weights",
    "scale_by_layer": "scale_attn_by_inverse_layer_idx",
}


@dataclass(frozen=True)
class Family:
    """One row of the family table.

    Attributes:
        architecture: transformers' class for it.
        keys: field of `ModelConfig` -> key of `config.json`, copied as it is.
        defaults: fields that `config.json` may leave out, with transformers' default; None: derived.
        fixed: fields that the family settles.
        windows: where sliding windows are told: "none", "every_layer" (Mistral) or "by_layer" (Qwen).
        default_window: transformers' default, for a `config.json` that leaves `sliding_window` out.
        rope_theta: transformers' default; None for a family without rotary positions.
        tensors: the naming scheme of its weights, in `cblab.model.weights`.
    """

    architecture: str
    keys: Mapping[str, str] = field(default_factory=lambda: _LLAMA_KEYS)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    windows: str = "none"
    default_window: int | None = None
    rope_theta: float | None = 10000.0
    tensors: str = "llama"

    def known_keys(self) -> frozenset[str]:
        """Every key that this family's `config.json` may hold."""
        rope = _ROPE_KEYS if self.rope_theta is not None else frozenset()
        return HARMLESS | ONLY.keys() | set(self.keys.values()) | _WINDOW_KEYS[self.windows] | rope


_COMMON_DEFAULTS = {"head_dim": None, "norm_eps": 1e-6, "tie_word_embeddings": False}

FAMILIES: Mapping[str, Family] = {
    "llama": Family(
        "LlamaForCausalLM",
        keys={
            **_LLAMA_KEYS,
            "qkv_bias": "attention_bias",
            "o_bias": "attention_bias",
            "mlp_bias": "mlp_bias",
        },
        defaults={
            **_COMMON_DEFAULTS,
            "num_kv_heads": None,
            "qkv_bias": False,
            "o_bias": False,
            "mlp_bias": False,
        },
    ),
    "mistral": Family(
        "MistralForCausalLM", defaults=_COMMON_DEFAULTS, windows="every_layer", default_window=4096
    ),
    "mixtral": Family(
        "MixtralForCausalLM",
        keys={
            **_LLAMA_KEYS,
            "num_experts": "num_local_experts",
            "num_experts_per_token": "num_experts_per_tok",
        },
        defaults={**_COMMON_DEFAULTS, "norm_eps": 1e-5},
        fixed={"mlp_impl": "moe"},
        windows="every_layer",
        rope_theta=1e6,
        tensors="mixtral",
    ),
    "qwen2": Family(
        "Qwen2ForCausalLM",
        defaults=_COMMON_DEFAULTS,
        fixed={"qkv_bias": True},
        windows="by_layer",
        default_window=4096,
    ),
    "qwen3": Family(
        "Qwen3ForCausalLM",
        keys={**_LLAMA_KEYS, "qkv_bias": "attention_bias", "o_bias": "attention_bias"},
        defaults={**_COMMON_DEFAULTS, "head_dim": 128, "qkv_bias": False, "o_bias": False},
        fixed={"qk_norm": True},
        windows="by_layer",
        default_window=4096,
    ),
    "gpt2": Family(
        "GPT2LMHeadModel",
        keys=_GPT2_KEYS,
        defaults={
            "intermediate_size": None,
            "tie_word_embeddings": True,
            "activation": "gelu_new",
            "norm_eps": 1e-5,
            "scale_by_head_dim": True,
            "scale_by_layer": False,
        },
        fixed={
            "qkv_bias": True,
            "o_bias": True,
            "mlp_bias": True,
            "mlp_impl": "gelu",
            "norm_impl": "layer_norm",
        },
        rope_theta=None,
        tensors="gpt2",
    ),
}

"""`ModelConfig`: what a model is, from and to the `config.json` of a checkpoint. Free of torch."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from cblab.attention.spec import AttentionSpec

_SIZES = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_layers",
    "num_heads",
    "num_kv_heads",
    "head_dim",
    "max_position_embeddings",
)
ROPE_TYPES = ("default", "linear", "dynamic", "yarn", "longrope", "llama3")


@dataclass(frozen=True)
class RopeConfig:
    """Rotary position embeddings and their scaling; `cblab.model.rope` says what each type does.

    `original_max_position_embeddings` is the length that the model was trained on before it was stretched.
    Fields that a type does not use keep their defaults.
    """

    rope_type: str = "default"
    theta: float = 10000.0
    factor: float = 1.0
    original_max_position_embeddings: int = 0
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    attention_factor: float | None = None
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    mscale: float | None = None
    mscale_all_dim: float | None = None
    truncate: bool = True
    short_factor: tuple[float, ...] = ()
    long_factor: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.rope_type not in ROPE_TYPES:
            raise ValueError(f"unknown rope_type {self.rope_type!r}; known: {', '.join(ROPE_TYPES)}")


@dataclass(frozen=True)
class ModelConfig:
    """The shape and the choices of one decoder-only model.

    Attributes:
        vocab_size: rows of the embedding.
        hidden_size: width of the stream of hidden states.
        intermediate_size: width inside the MLP (of one expert, for a mixture); 0 for a model without one.
        num_layers: decoder layers.
        num_heads: query heads of a layer.
        num_kv_heads: key and value heads of a layer; divides `num_heads`.
        head_dim: width of a head; need not be `hidden_size / num_heads`.
        max_position_embeddings: the longest context, in tokens.
        rope: rotary positions; None means a learned embedding of positions (GPT-2).
        norm_eps: added under the root of each norm.
        tie_word_embeddings: the output layer uses the embedding's weights.
        activation: the MLP's non-linearity, by transformers' name.
        qkv_bias: biases on query, key and value projections.
        o_bias: a bias on attention's output projection.
        mlp_bias: biases in the MLP.
        qk_norm: each head's query and key are normalized (Qwen3).
        sliding_windows: one entry a layer: how many keys a query sees, None for all. Empty: None everywhere.
        num_experts: experts of a mixture; 0 without one.
        num_experts_per_token: how many of them each token goes through.
        scale_by_head_dim: scores are divided by sqrt(head_dim).
        scale_by_layer: scores are also divided by the layer's number, counted from 1 (an option of GPT-2).
        attn_impl: name in `cblab.model.attn_impl`.
        mlp_impl: name in `cblab.model.mlp_impl`.
        norm_impl: name in `cblab.model.norm_impl`.
        norm_position: "pre" or "post"; see `DecoderLayer`.
        family: the key of `cblab.model.families.FAMILIES`, which says how checkpoints name things.
        dropout: in training, on embeddings and on what each half of a layer adds; not in checkpoints.
        initializer_range: standard deviation of fresh weights.
        dtype: the checkpoint's weights, "float32", "bfloat16" or "float16".
        bos_token_id: begins a text.
        eos_token_ids: each ends one.
        pad_token_id: fills up padded batches.
    """

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    max_position_embeddings: int
    rope: RopeConfig | None = RopeConfig()
    norm_eps: float = 1e-6
    tie_word_embeddings: bool = False
    activation: str = "silu"
    qkv_bias: bool = False
    o_bias: bool = False
    mlp_bias: bool = False
    qk_norm: bool = False
    sliding_windows: tuple[int | None, ...] = ()
    num_experts: int = 0
    num_experts_per_token: int = 0
    scale_by_head_dim: bool = True
    scale_by_layer: bool = False
    attn_impl: str = "gqa"
    mlp_impl: str = "swiglu"
    norm_impl: str = "rms_norm"
    norm_position: str = "pre"
    family: str = "llama"
    dropout: float = 0.0
    initializer_range: float = 0.02
    dtype: str = "float32"
    bos_token_id: int | None = None
    eos_token_ids: tuple[int, ...] = ()
    pad_token_id: int | None = None

    def __post_init__(self) -> None:
        for name in _SIZES:
            value, least = getattr(self, name), 0 if name == "intermediate_size" else 1
            if not isinstance(value, int) or value < least:
                raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
        if self.num_heads % self.num_kv_heads:
            raise ValueError(
                f"num_heads ({self.num_heads}) must be a multiple of num_kv_heads ({self.num_kv_heads})"
            )
        if self.rope is not None and self.head_dim % 2:
            raise ValueError(f"head_dim must be even for rotary positions, got {self.head_dim}")
        if self.rope is not None and self.rope.rope_type == "longrope":
            pairs, lengths = self.head_dim // 2, (len(self.rope.short_factor), len(self.rope.long_factor))
            if lengths != (pairs, pairs):
                raise ValueError(
                    f"short_factor and long_factor need head_dim / 2 = {pairs} entries, got {lengths}"
                )
        if self.norm_position not in ("pre", "post"):
            raise ValueError(f"norm_position must be 'pre' or 'post', got {self.norm_position!r}")
        if self.sliding_windows and len(self.sliding_windows) != self.num_layers:
            raise ValueError(
                f"sliding_windows has {len(self.sliding_windows)} entries for {self.num_layers} layers"
            )
        if self.num_experts_per_token > self.num_experts:
            raise ValueError(f"num_experts_per_token ({self.num_experts_per_token}) exceeds num_experts")
        if self.mlp_impl == "moe" and self.num_experts_per_token < 1:
            raise ValueError("mlp_impl='moe' needs num_experts and num_experts_per_token of at least 1")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout must be in [0, 1), got {self.dropout}")

    @property
    def attention_specs(self) -> tuple[AttentionSpec, ...]:
        """What each layer asks of whoever computes its attention and keeps its keys and values."""
        windows = self.sliding_windows or (None,) * self.num_layers
        head_scale = self.head_dim**-0.5 if self.scale_by_head_dim else 1.0
        return tuple(
            AttentionSpec(
                num_heads=self.num_heads,
                num_kv_heads=self.num_kv_heads,
                head_dim=self.head_dim,
                scale=head_scale / (layer + 1) if self.scale_by_layer else head_scale,
                sliding_window=window,
            )
            for layer, window in enumerate(windows)
        )

    @classmethod
    def from_pretrained(cls, path_or_hub_id: str | Path) -> "ModelConfig":
        """Read the `config.json` of a local checkpoint folder or of a Hugging Face hub id.

        Raises:
            FileNotFoundError: neither a folder nor a hub id that can be reached.
            ValueError: an unknown architecture or option, named.
        """
        from cblab.model.hub import checkpoint_folder

        path = checkpoint_folder(path_or_hub_id, config_only=True) / "config.json"
        try:
            return cls.from_dict(json.loads(path.read_text(encoding="utf-8")))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    @classmethod
    def from_dict(cls, config_json: Mapping[str, Any]) -> "ModelConfig":
        """Read a `config.json`'s content.

        Raises:
            ValueError: an unknown architecture, an option that is not known or not supported, or one missing.
        """
        from cblab.model.config_json import read_config

        return cls(**read_config(config_json))

    def to_dict(self) -> dict[str, Any]:
        """The `config.json` of this model's family, which transformers and `from_dict` read.

        Raises:
            ValueError: the family's `config.json` has no way to say one of the fields.
        """
        from cblab.model.config_json import write_config

        config_json = write_config(self)
        read_back = ModelConfig.from_dict(config_json)
        # Dropout belongs to a training run, not to the model it makes.
        lost = [f.name for f in fields(self) if getattr(self, f.name) != getattr(read_back, f.name)]
        lost = [name for name in lost if name != "dropout"]
        if lost:
            raise ValueError(
                f"the config.json of family {self.family!r} cannot say: "
                + ", ".join(f"{name}={getattr(self, name)!r}" for name in lost)
            )
        return config_json

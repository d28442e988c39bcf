"""Bytes of the key/value cache, from a model's config."""

from collections.abc import Mapping
from typing import Any

from cblab.memory.dtypes import bytes_per_element
from cblab.model.config import ModelConfig


def kv_bytes_per_token(config: ModelConfig, dtype: str) -> int:
    """Return the bytes that one more token adds to the cache, over all layers.

    A key and a value for each *KV* head: with grouped-query attention those are fewer than query heads.
    """
    per_layer = 2 * config.num_kv_heads * config.head_dim
    return config.num_layers * per_layer * bytes_per_element(dtype)


def kv_bytes(config: ModelConfig, dtype: str, num_tokens: int) -> int:
    """Return the bytes that a sequence of `num_tokens` needs.

    A layer with a sliding window never looks further back, and so needs no more tokens than its window.
    """
    if num_tokens < 0:
        raise ValueError(f"num_tokens must be >= 0, got {num_tokens}")
    windows = [spec.sliding_window for spec in config.attention_specs]
    held = [num_tokens if window is None else min(num_tokens, window) for window in windows]
    return sum(held) * kv_bytes_per_token(config, dtype) // config.num_layers


def kv_cache_bytes(config_json: Mapping[str, Any], num_tokens: int, bytes_per_number: int) -> int:
    """Return the bytes of one sequence's cache, from the `config.json` of any model, run by cblab or not.

    A layer keeps a key and a value of `head_dim` numbers for each of `num_key_value_heads`; where the file
    has no such entry, there are as many as query heads, and `head_dim` is the hidden size over the query
    heads. With multi-head latent attention (`kv_lora_rank` in the file) it keeps one latent vector and one
    rotary key, `qk_rope_head_dim`, for all heads together. Layers that `layer_types` calls
    "sliding_attention", or all where a `sliding_window` comes without types, keep at most the window.
    """
    heads = config_json["num_attention_heads"]
    if config_json.get("kv_lora_rank"):
        numbers = config_json["kv_lora_rank"] + config_json["qk_rope_head_dim"]
    else:
        head_dim = config_json.get("head_dim") or config_json["hidden_size"] // heads
        numbers = 2 * (config_json.get("num_key_value_heads") or heads) * head_dim
    window = config_json.get("sliding_window")
    types = config_json.get("layer_types") or ["sliding_attention"] * config_json["num_hidden_layers"]
    held = sum(
        min(num_tokens, window) if window and kind == "sliding_attention" else num_tokens for kind in types
    )
    return held * numbers * bytes_per_number

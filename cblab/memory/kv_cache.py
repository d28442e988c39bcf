"""Bytes of the key/value cache, from a model's config."""

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

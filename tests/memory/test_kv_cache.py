import dataclasses

import pytest
import torch

from cblab.core.kv_cache import DenseKVCache
from cblab.memory import kv_bytes, kv_bytes_per_token
from cblab.model.config import ModelConfig

LLAMA_2_70B = ModelConfig(
    vocab_size=32000,
    hidden_size=8192,
    intermediate_size=28672,
    num_layers=80,
    num_heads=64,
    num_kv_heads=8,
    head_dim=128,
    max_position_embeddings=4096,
)
LLAMA_2_13B = dataclasses.replace(
    LLAMA_2_70B, hidden_size=5120, intermediate_size=13824, num_layers=40, num_heads=40, num_kv_heads=40
)


def test_only_kv_heads_are_counted() -> None:
    assert kv_bytes_per_token(LLAMA_2_70B, "float16") == 327_680
    assert kv_bytes_per_token(LLAMA_2_13B, "float16") == 819_200
    shared_by_none = dataclasses.replace(LLAMA_2_70B, num_kv_heads=64)
    assert kv_bytes_per_token(shared_by_none, "float16") == 8 * 327_680


def test_a_batch_of_sequences() -> None:
    assert 32 * kv_bytes(LLAMA_2_70B, "float16", 4096) == 42_949_672_960  # 40 GiB


def test_a_window_bounds_what_its_layers_hold() -> None:
    config = dataclasses.replace(LLAMA_2_13B, num_layers=3, sliding_windows=(None, 100, 100))
    per_layer = kv_bytes_per_token(config, "bfloat16") // 3
    assert kv_bytes(config, "bfloat16", 70) == 3 * 70 * per_layer
    assert kv_bytes(config, "bfloat16", 250) == (250 + 100 + 100) * per_layer
    assert kv_bytes(config, "bfloat16", 0) == 0


def test_a_negative_number_of_tokens_is_refused() -> None:
    with pytest.raises(ValueError, match="num_tokens must be >= 0, got -1"):
        kv_bytes(LLAMA_2_13B, "float16", -1)


@pytest.mark.parametrize(("dtype", "torch_dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_the_dense_cache_takes_what_is_computed(dtype: str, torch_dtype: torch.dtype) -> None:
    config = dataclasses.replace(LLAMA_2_70B, num_layers=3, num_heads=6, num_kv_heads=2, head_dim=10)
    cache = DenseKVCache(config.attention_specs, dtype=torch_dtype)
    for layer in range(3):
        cache.write(layer, torch.zeros(7, 2, 10), torch.zeros(7, 2, 10))
    cache.advance(7)
    assert cache.num_bytes == kv_bytes(config, dtype, 7)

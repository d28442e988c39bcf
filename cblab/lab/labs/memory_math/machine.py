"""What this machine can do, and what a model achieves on it, by the wall clock."""

import time
from collections.abc import Callable

import torch

from cblab.attention.batch import RaggedBatch
from cblab.core.dense_attend import DenseCacheAttention
from cblab.core.kv_cache import DenseKVCache
from cblab.model.config import ModelConfig
from cblab.model.decoder import Decoder


def best_seconds(run: Callable[[], object], repeats: int = 25) -> float:
    """Seconds of the fastest of several runs, after one that is not counted: what the machine can do."""
    run()
    taken = []
    for _ in range(repeats):
        started = time.perf_counter()
        run()
        taken.append(time.perf_counter() - started)
    return min(taken)


def wide_decoder() -> Decoder:
    """A model with fresh weights, more of them in float32 than a CPU's caches hold."""
    config = ModelConfig(
        vocab_size=2_048,
        hidden_size=1_024,
        intermediate_size=2_752,
        num_layers=4,
        num_heads=16,
        num_kv_heads=4,
        head_dim=64,
        max_position_embeddings=2_048,
        tie_word_embeddings=True,
    )
    return Decoder(config).requires_grad_(False)


def timed_step(model: Decoder, new_tokens: int, num_cached: int, batch_size: int) -> float:
    """Seconds of one forward pass in which each of `batch_size` sequences computes `new_tokens` tokens.

    `num_cached` tokens of each are in a dense cache already, whose content plays no part in the time.
    """
    specs = model.config.attention_specs
    best = float("inf")
    for _ in range(3):
        caches = [DenseKVCache(specs) for _ in range(batch_size)]
        for cache in caches:
            if num_cached:
                _fill(cache, num_cached)
        batch = RaggedBatch.build([[1] * new_tokens] * batch_size, [num_cached] * batch_size)
        attend = DenseCacheAttention(caches, batch)
        started = time.perf_counter()
        with torch.inference_mode():
            model(batch, attend)
        best = min(best, time.perf_counter() - started)
    return best


def _fill(cache: DenseKVCache, num_tokens: int) -> None:
    """Put so many tokens into a cache, and leave room for one more, so that no step has to move them."""
    for count in (num_tokens // 2 + 1, num_tokens - num_tokens // 2 - 1):
        for layer, spec in enumerate(cache.specs):
            keys = torch.zeros(count, spec.num_kv_heads, spec.head_dim)
            cache.write(layer, keys, keys)
        cache.advance(count)

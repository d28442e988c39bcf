"""Lab 3's references beside the engine's own, and what the prose says of the bundled model's tokens."""

import math

import pytest
import torch

from cblab.assets import path as asset_path
from cblab.attention.batch import RaggedBatch
from cblab.attention.dense import reference_attention
from cblab.attention.masks import causal_mask
from cblab.attention.spec import AttentionSpec
from cblab.core.dense_attend import DenseCacheAttention
from cblab.core.kv_cache import DenseKVCache
from cblab.lab.labs.kv_cache import bonus, reference
from cblab.lab.labs.kv_cache.caches import BatchKVCache, KVCache
from cblab.lab.labs.kv_cache.generation import RecordingRunner, generate
from cblab.model import load_model
from cblab.model.config import RopeConfig
from cblab.model.fused import apply_rope
from cblab.model.rope import RotaryEmbedding
from cblab.tokenization import BPETokenizer

SPEC = AttentionSpec(num_heads=6, num_kv_heads=2, head_dim=8, scale=8**-0.5)


def test_attention_and_positions_are_the_engine_s() -> None:
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 6, 8), torch.randn(7, 2, 8), torch.randn(7, 2, 8)
    mine = reference.attention(q, k, v, causal_mask(3, 7))
    assert torch.allclose(mine, reference_attention(q, k, v, SPEC), atol=1e-6)
    batch = RaggedBatch.build([[1, 2, 3]], [40])
    turned = apply_rope(q, *RotaryEmbedding(RopeConfig(), 8)(batch, torch.float32))
    assert torch.allclose(reference.apply_rope(q, batch.positions), turned, atol=1e-5)


def test_a_cache_in_chunks_is_the_whole_sequence() -> None:
    torch.manual_seed(1)
    q, k, v = torch.randn(9, 6, 8), torch.randn(9, 2, 8), torch.randn(9, 2, 8)
    positions, cache, outputs = torch.arange(9), KVCache(1, 2, 8), []
    for rows in (slice(0, 4), slice(4, 7), slice(7, 8), slice(8, 9)):
        outputs.append(reference.cached_attention(cache, 0, q[rows], k[rows], v[rows], positions[rows]))
        cache.advance(len(positions[rows]))
    q, k = reference.apply_rope(q, positions), reference.apply_rope(k, positions)
    whole = reference.attention(q, k, v, causal_mask(9, 9))
    assert torch.allclose(torch.cat(outputs), whole, atol=1e-5)
    assert cache.num_bytes() == 9 * 2 * 2 * 8 * 4


def test_a_full_row_is_refused_and_stays_as_it_is() -> None:
    cache = BatchKVCache(1, 2, 3, 1, 2)
    cache.update(0, 1, torch.ones(3, 1, 2), torch.ones(3, 1, 2))
    cache.advance(1, 3)
    before = cache.keys.clone()
    with pytest.raises(ValueError, match="row 1 has room for 3 tokens, not for 4"):
        cache.update(0, 1, torch.zeros(1, 1, 2), torch.zeros(1, 1, 2))
    assert torch.equal(cache.keys, before)
    assert cache.utilisation() == 0.5


def test_the_recording_runner_ends_an_endless_loop() -> None:
    runner = RecordingRunner()
    with pytest.raises(ValueError, match="1 token ids with 2 positions"):
        runner.forward([1], [1, 2])
    with pytest.raises(RuntimeError, match="still no end"):
        generate(runner, [1], 201)
    assert len(runner.log()) == 200


def test_parts_merge_and_eight_bits_are_close() -> None:
    torch.manual_seed(2)
    scores, values = 4 * torch.randn(11), torch.randn(11, 5)
    parts = []
    for rows in (slice(0, 3), slice(3, 11)):
        weights = (scores[rows] - scores[rows].max()).exp()
        mean = weights @ values[rows] / weights.sum()
        parts.append((float(scores[rows].max()), float(weights.sum()), mean))
    assert torch.allclose(bonus.merge_attention(parts), scores.softmax(0) @ values, atol=1e-5)
    x = torch.randn(4, 3, 8)
    codes, scales = bonus.quantize(x)
    assert codes.dtype == torch.int8
    assert float((codes * scales - x).abs().max()) <= float(scales.max()) / 2 + 1e-6


def test_greedy_tokens_of_the_lab_are_no_near_ties() -> None:
    """The lab says "the same tokens" of sums in different orders: no choice may hang by a hair."""
    tokenizer = BPETokenizer.load(asset_path("story-4m"))
    model = load_model(asset_path("story-4m"), dtype="float32")
    for text, count in (
        ("Once upon a time there was a small fox", 100),
        ("The capital of France is", 20),
        ("The cow says", 60),
        ("", 100),
    ):
        ids = tokenizer.encode(text)
        cache = DenseKVCache(model.config.attention_specs)
        least = math.inf
        for _ in range(count):
            batch = RaggedBatch.build([ids[cache.length :]], [cache.length])
            attend = DenseCacheAttention([cache], batch)
            with torch.inference_mode():
                best = model(batch, attend)[0].topk(2)
            attend.advance()
            least = min(least, float(best.values[0] - best.values[1]))
            ids.append(int(best.indices[0]))
        assert least > 1e-3, text

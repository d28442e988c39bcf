from collections.abc import Callable

import pytest
import torch

from cblab.attention.batch import RaggedBatch
from cblab.attention.dense import reference_attention
from cblab.attention.spec import AttentionSpec
from cblab.core.contiguous_cache import ContiguousKVCache
from cblab.core.dense_attend import DenseCacheAttention
from cblab.core.kv_cache import DenseKVCache, SequenceKVCache

SPECS = (
    AttentionSpec(num_heads=6, num_kv_heads=2, head_dim=5, scale=0.4),
    AttentionSpec(num_heads=6, num_kv_heads=2, head_dim=5, scale=0.4, sliding_window=3),
)
LENGTHS = (9, 4, 11)


def full_qkv(seed: int) -> list[list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]]:
    generator = torch.Generator().manual_seed(seed)
    return [
        [
            (
                torch.randn(length, 6, 5, generator=generator),
                torch.randn(length, 2, 5, generator=generator),
                torch.randn(length, 2, 5, generator=generator),
            )
            for length in LENGTHS
        ]
        for _ in SPECS
    ]


def dense() -> list[SequenceKVCache]:
    return [DenseKVCache(SPECS) for _ in LENGTHS]


def contiguous() -> list[SequenceKVCache]:
    arena = ContiguousKVCache(SPECS, sum(LENGTHS))
    caches = [arena.reserve(length) for length in LENGTHS]
    return [cache for cache in caches if cache is not None]


@pytest.mark.parametrize("new_caches", [dense, contiguous])
def test_any_mixture_of_prefills_and_decodes_equals_whole_sequences(
    new_caches: Callable[[], list[SequenceKVCache]],
) -> None:
    """Step by step, with other tokens in each step, each query sees what it sees in the whole sequence."""
    inputs = full_qkv(seed=0)
    expected = [
        [reference_attention(q, k, v, spec) for q, k, v in qkv]
        for qkv, spec in zip(inputs, SPECS, strict=True)
    ]
    caches = new_caches()
    # How many new tokens each sequence brings: all prefill, decode beside chunks, a late start.
    steps = [(5, 3, 0), (1, 1, 4), (2, 0, 1), (1, 0, 6)]
    for step in steps:
        members = [seq for seq, count in enumerate(step) if count]
        batch = RaggedBatch.build(
            [[0] * step[seq] for seq in members], [caches[seq].length for seq in members]
        )
        attend = DenseCacheAttention([caches[seq] for seq in members], batch)
        new = {seq: slice(caches[seq].length, caches[seq].length + step[seq]) for seq in members}
        for layer in range(len(SPECS)):
            q, k, v = (
                torch.cat([inputs[layer][seq][part][new[seq]] for seq in members]) for part in range(3)
            )
            wanted = torch.cat([expected[layer][seq][new[seq]] for seq in members])
            torch.testing.assert_close(attend(layer, q, k, v), wanted, atol=1e-5, rtol=1e-5)
        attend.advance()
    assert tuple(cache.length for cache in caches) == LENGTHS


def test_a_sequence_sees_nothing_of_its_neighbours() -> None:
    caches = [DenseKVCache(SPECS) for _ in range(2)]
    batch = RaggedBatch.build([[0, 0], [0]])
    attend = DenseCacheAttention(caches, batch)
    q = torch.ones(3, 6, 5)
    v = torch.tensor([1.0, 1.0, 100.0])[:, None, None].expand(3, 2, 5)
    out = attend(0, q, torch.ones(3, 2, 5), v)
    assert out[:2].max() == pytest.approx(1)
    assert out[2].min() == pytest.approx(100)


def test_caches_and_batch_must_agree() -> None:
    batch = RaggedBatch.build([[0, 0], [0]], [0, 4])
    with pytest.raises(ValueError, match="1 caches for a batch of 2"):
        DenseCacheAttention([DenseKVCache(SPECS)], batch)
    with pytest.raises(ValueError, match=r"sequence 1: its cache holds 0 tokens .* context length is 5"):
        DenseCacheAttention([DenseKVCache(SPECS), DenseKVCache(SPECS)], batch)

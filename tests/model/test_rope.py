"""Rotary positions: what turning does, and which scalings touch which frequencies."""

import dataclasses
import math

import pytest
import torch

from cblab.attention import RaggedBatch
from cblab.model.config import RopeConfig
from cblab.model.fused import apply_rope
from cblab.model.rope import RotaryEmbedding, attention_factor, inverse_frequencies

HEAD_DIM = 16
LONG = RopeConfig(
    "longrope",
    factor=4.0,
    original_max_position_embeddings=8,
    short_factor=(1.0,) * 8,
    long_factor=tuple(1.0 + i for i in range(8)),
)


def turned(position: int, x: torch.Tensor) -> torch.Tensor:
    batch = RaggedBatch.decode([0], [position])
    return apply_rope(x[None, None], *RotaryEmbedding(RopeConfig(), HEAD_DIM)(batch, torch.float32))[0, 0]


def test_position_zero_changes_nothing() -> None:
    x = torch.randn(HEAD_DIM)
    torch.testing.assert_close(turned(0, x), x)


def test_turning_keeps_lengths() -> None:
    x = torch.randn(HEAD_DIM)
    torch.testing.assert_close(turned(1000, x).norm(), x.norm())


def test_dot_products_depend_on_the_distance_alone() -> None:
    q, k = torch.randn(2, HEAD_DIM)
    for shift in (1, 17, 300):
        moved = turned(9 + shift, q) @ turned(4 + shift, k)
        torch.testing.assert_close(moved, turned(9, q) @ turned(4, k), atol=1e-3, rtol=0)


def test_pairs_are_half_a_head_apart() -> None:
    x = torch.zeros(HEAD_DIM)
    x[0] = 1.0
    out = turned(1, x)
    assert out[0].item() == pytest.approx(math.cos(1.0))
    assert out[HEAD_DIM // 2].item() == pytest.approx(math.sin(1.0))


def test_linear_stretches_all_frequencies() -> None:
    plain = inverse_frequencies(RopeConfig(), HEAD_DIM)
    torch.testing.assert_close(inverse_frequencies(RopeConfig("linear", factor=4.0), HEAD_DIM), plain / 4)


def test_llama3_keeps_fast_and_stretches_slow_dimensions() -> None:
    rope = RopeConfig("llama3", factor=8.0, original_max_position_embeddings=64)
    ratio = inverse_frequencies(rope, HEAD_DIM) / inverse_frequencies(RopeConfig(), HEAD_DIM)
    assert ratio[0] == 1.0
    assert ratio[-1] == 1 / 8
    assert (ratio.diff() <= 0).all()


def test_yarn_scales_attention_by_a_logarithm() -> None:
    rope = RopeConfig("yarn", factor=4.0, original_max_position_embeddings=64)
    assert attention_factor(rope) == pytest.approx(0.1 * math.log(4.0) + 1.0)
    assert attention_factor(dataclasses.replace(rope, attention_factor=0.5)) == 0.5


@pytest.mark.parametrize(
    "rope", [RopeConfig("dynamic", factor=2.0, original_max_position_embeddings=8), LONG]
)
def test_length_dependent_frequencies_look_at_each_sequence_alone(rope: RopeConfig) -> None:
    """A long neighbour in the batch does not change a short sequence."""
    embedding = RotaryEmbedding(rope, HEAD_DIM)
    short, long = [0] * 5, [0] * 20
    alone = embedding(RaggedBatch.prefill([short]), torch.float32)[0]
    together = embedding(RaggedBatch.prefill([short, long]), torch.float32)[0]
    torch.testing.assert_close(together[:5], alone)
    assert (together[5:10] - alone).abs().max() > 0.01


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown rope_type 'spiral'; known: default, linear"):
        RopeConfig("spiral")

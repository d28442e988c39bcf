import pytest
import torch

from cblab.attention import (
    AttentionSpec,
    RaggedBatch,
    causal_mask,
    masked_attention,
    ragged_causal_mask,
    ragged_dense_attention,
)


def drawn(mask: torch.Tensor) -> list[str]:
    return ["".join("x" if seen else "." for seen in row) for row in mask.tolist()]


def test_mask_is_aligned_at_the_bottom_right() -> None:
    assert drawn(causal_mask(2, 5)) == ["xxxx.", "xxxxx"]


def test_mask_with_a_window_counts_the_query_itself() -> None:
    assert drawn(causal_mask(3, 5, sliding_window=2)) == [".xx..", "..xx.", "...xx"]


def test_mask_refuses_queries_without_keys() -> None:
    with pytest.raises(ValueError, match="3 queries for 2 keys"):
        causal_mask(3, 2)


def test_a_ragged_mask_has_one_staircase_a_sequence() -> None:
    batch = RaggedBatch.build([[0, 0], [0], [0, 0, 0]], [1, 3, 0])
    assert drawn(ragged_causal_mask(batch.cu_seqlens_q, batch.context_lens)) == [
        "xx........",
        "xxx.......",
        "...xxxx...",
        ".......x..",
        ".......xx.",
        ".......xxx",
    ]
    assert drawn(ragged_causal_mask(batch.cu_seqlens_q, batch.context_lens, sliding_window=2)) == [
        "xx........",
        ".xx.......",
        ".....xx...",
        ".......x..",
        ".......xx.",
        "........xx",
    ]


def test_ragged_mask_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="cu_seqlens_q has 2 entries for 2 context_lens"):
        ragged_causal_mask(torch.tensor([0, 1]), torch.tensor([1, 1]))
    with pytest.raises(ValueError, match="2 queries for 1 keys"):
        ragged_causal_mask(torch.tensor([0, 2]), torch.tensor([1]))


@pytest.mark.parametrize("window", [None, 3])
def test_attention_under_the_ragged_mask_is_ragged_attention(window: int | None) -> None:
    spec = AttentionSpec(6, 2, head_dim=5, scale=0.4, sliding_window=window)
    batch = RaggedBatch.build([[0] * 4, [0], [0] * 7], [3, 8, 0])
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(12, 6, 5, generator=generator)
    k, v = torch.randn(2, 23, 2, 5, generator=generator)
    cu_seqlens_k = torch.tensor([0, 7, 16, 23])
    mask = ragged_causal_mask(batch.cu_seqlens_q, batch.context_lens, window)
    torch.testing.assert_close(
        masked_attention(q, k, v, mask, spec),
        ragged_dense_attention(q, k, v, batch.cu_seqlens_q, cu_seqlens_k, spec),
        atol=1e-5,
        rtol=0,
    )

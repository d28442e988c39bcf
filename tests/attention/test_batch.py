import pytest
import torch

from cblab.attention import RaggedBatch


def test_a_mixed_batch_is_laid_end_to_end() -> None:
    batch = RaggedBatch.build([[5, 9, 2, 7], [4], [8, 8, 1]], [0, 6, 2])
    assert batch.input_ids.tolist() == [5, 9, 2, 7, 4, 8, 8, 1]
    assert batch.positions.tolist() == [0, 1, 2, 3, 6, 2, 3, 4]
    assert batch.cu_seqlens_q.tolist() == [0, 4, 5, 8]
    assert batch.context_lens.tolist() == [4, 7, 5]
    assert batch.logits_indices is not None
    assert batch.logits_indices.tolist() == [3, 4, 7]
    assert (batch.num_tokens, batch.num_seqs) == (8, 3)


def test_dtypes() -> None:
    batch = RaggedBatch.prefill([[1, 2]])
    assert batch.input_ids.dtype == batch.positions.dtype == torch.int64
    assert batch.cu_seqlens_q.dtype == batch.context_lens.dtype == torch.int32


def test_prefill_and_decode_are_short_for_build() -> None:
    prefill = RaggedBatch.prefill([[1, 2], [3]])
    assert prefill.positions.tolist() == [0, 1, 0]
    decode = RaggedBatch.decode([7, 8], [2, 1])
    assert decode.input_ids.tolist() == [7, 8]
    assert decode.positions.tolist() == [2, 1]
    assert decode.context_lens.tolist() == [3, 2]


def test_all_logits() -> None:
    assert RaggedBatch.prefill([[1, 2], [3]], all_logits=True).logits_indices is None


def test_uniform_windows_equal_a_prefill_of_their_rows() -> None:
    windows = torch.tensor([[1, 2, 3], [4, 5, 6]])
    uniform = RaggedBatch.uniform(windows)
    prefill = RaggedBatch.prefill(windows.tolist(), all_logits=True)
    for name in ("input_ids", "positions", "cu_seqlens_q", "context_lens"):
        torch.testing.assert_close(getattr(uniform, name), getattr(prefill, name))


@pytest.mark.parametrize(
    ("token_ids", "cached", "message"),
    [
        ([], None, "at least one sequence"),
        ([[1], []], None, "sequence 1 has no new token"),
        ([[1], [2]], [0], "1 entries for 2 sequences"),
        ([[1]], [-1], "num_computed_tokens=-1"),
    ],
)
def test_what_is_no_batch_is_refused(
    token_ids: list[list[int]], cached: list[int] | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        RaggedBatch.build(token_ids, cached)

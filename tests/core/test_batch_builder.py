import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cblab.attention import RaggedBatch
from cblab.core.batch_builder import BatchRow, build_batch


def test_a_mixed_step_is_laid_end_to_end() -> None:
    rows = [
        BatchRow([7], 6, [5, 1]),
        BatchRow([9], 0, [2]),
        BatchRow([5, 9, 2, 7], 0, [3], num_logits=0),
        BatchRow([8, 8, 1], 2, [6, 4], num_logits=3),
    ]
    batch = build_batch(rows, block_size=4)
    assert batch.input_ids.tolist() == [7, 9, 5, 9, 2, 7, 8, 8, 1]
    assert batch.positions.tolist() == [6, 0, 0, 1, 2, 3, 2, 3, 4]
    assert batch.cu_seqlens_q.tolist() == [0, 1, 2, 6, 9]
    assert batch.context_lens.tolist() == [7, 1, 4, 5]
    assert batch.logits_indices is not None
    assert batch.logits_indices.tolist() == [0, 1, 6, 7, 8]
    assert batch.slot_mapping is not None
    assert batch.slot_mapping.tolist() == [6, 8, 12, 13, 14, 15, 26, 27, 16]
    assert batch.block_tables is not None
    assert batch.block_tables.tolist() == [[5, 1], [2, 0], [3, 0], [6, 4]]
    assert batch.num_decodes == 2


def test_dtypes() -> None:
    batch = build_batch([BatchRow((1, 2), 0, (0,))], block_size=16)
    for name in ("input_ids", "positions", "logits_indices", "slot_mapping"):
        assert getattr(batch, name).dtype == torch.int64, name
    for name in ("cu_seqlens_q", "context_lens", "block_tables"):
        assert getattr(batch, name).dtype == torch.int32, name
        assert getattr(batch, name).is_contiguous()


@pytest.mark.parametrize(("lengths", "decodes"), [([1, 1], 2), ([2, 1], 0), ([1, 3, 1], 1), ([1], 1)])
def test_decodes_are_the_leading_rows_of_one_token(lengths: list[int], decodes: int) -> None:
    rows = [BatchRow([0] * length, 0, [0]) for length in lengths]
    assert build_batch(rows, block_size=16).num_decodes == decodes


def test_no_logits_at_all() -> None:
    batch = build_batch([BatchRow([1, 2], 0, [0], num_logits=0)], block_size=2)
    assert batch.logits_indices is not None
    assert batch.logits_indices.tolist() == []


@st.composite
def steps(draw: st.DrawFn) -> tuple[list[BatchRow], int]:
    block_size = draw(st.integers(1, 5))
    rows = []
    for _ in range(draw(st.integers(1, 6))):
        ids = draw(st.lists(st.integers(0, 99), min_size=1, max_size=9))
        cached = draw(st.integers(0, 9))
        spare = draw(st.integers(0, 2))
        needed = -(-(cached + len(ids)) // block_size) + spare
        table = draw(st.lists(st.integers(0, 50), min_size=needed, max_size=needed))
        rows.append(BatchRow(ids, cached, table, draw(st.integers(0, len(ids)))))
    return rows, block_size


@given(steps())
def test_every_row_finds_its_slot_and_its_logits(step: tuple[list[BatchRow], int]) -> None:
    rows, block_size = step
    batch = build_batch(rows, block_size)
    plain = RaggedBatch.build([row.token_ids for row in rows], [row.num_computed_tokens for row in rows])
    for name in ("input_ids", "positions", "cu_seqlens_q", "context_lens"):
        assert torch.equal(getattr(batch, name), getattr(plain, name)), name
    slots: list[int] = []
    wanted: list[int] = []
    first = 0
    for row in rows:
        length = len(row.token_ids)
        for position in range(row.num_computed_tokens, row.num_computed_tokens + length):
            slots.append(row.block_table[position // block_size] * block_size + position % block_size)
        wanted += range(first + length - row.num_logits, first + length)
        first += length
    assert batch.slot_mapping is not None
    assert batch.slot_mapping.tolist() == slots
    assert batch.logits_indices is not None
    assert batch.logits_indices.tolist() == wanted


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (BatchRow([], 3, [0]), "row 1 has no new token"),
        (BatchRow([1], -1, [0]), "row 1 has num_computed_tokens=-1; it cannot be negative"),
        (BatchRow([1, 2], 0, [0], num_logits=3), "row 1 wants the logits of 3 of its 2 new tokens"),
        (BatchRow([1, 2], 3, [0]), "row 1 has 1 blocks of 4 for 5 tokens"),
    ],
)
def test_what_cannot_be_computed_is_refused(row: BatchRow, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_batch([BatchRow([1], 0, [1]), row], block_size=4)


def test_an_empty_step_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        build_batch([], block_size=4)

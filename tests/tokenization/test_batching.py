import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cblab.tokenization import group_by_length, pack, pad_batch, padding_waste


def test_padding_on_either_side() -> None:
    right = pad_batch([[1, 2, 3], [4], []], pad_id=0)
    assert right.input_ids == [[1, 2, 3], [4, 0, 0], [0, 0, 0]]
    assert right.attention_mask == [[1, 1, 1], [1, 0, 0], [0, 0, 0]]
    left = pad_batch([[1, 2, 3], [4]], pad_id=0, side="left")
    assert left.input_ids == [[1, 2, 3], [0, 0, 4]]
    assert left.attention_mask == [[1, 1, 1], [0, 0, 1]]


def test_a_real_token_with_the_id_of_padding_stays_visible() -> None:
    assert pad_batch([[5, 0], [0]], pad_id=0).attention_mask == [[1, 1], [1, 0]]


def test_padding_to_a_given_length_and_no_sequence_at_all() -> None:
    assert pad_batch([[1]], 9, length=3).input_ids == [[1, 9, 9]]
    assert pad_batch([], 9) == ([], [])


def test_padding_never_cuts_anything_off() -> None:
    with pytest.raises(ValueError, match=r"3 tokens does not fit into length=2"):
        pad_batch([[1, 2, 3]], 0, length=2)
    with pytest.raises(ValueError, match="'middle'"):
        pad_batch([[1]], 0, side="middle")  # type: ignore[arg-type]


def test_waste_of_the_batch_of_lab_1() -> None:
    assert padding_waste([10, 50, 500, 1000]) == pytest.approx(0.61)
    assert padding_waste([10, 50]) == pytest.approx(0.4)
    assert padding_waste([500, 1000]) == pytest.approx(0.25)
    assert padding_waste([10, 50], max_length=100) == pytest.approx(0.7)
    assert padding_waste([7, 7]) == padding_waste([]) == padding_waste([0]) == 0
    with pytest.raises(ValueError, match="50 tokens does not fit into max_length=40"):
        padding_waste([10, 50], max_length=40)


@given(st.lists(st.lists(st.integers(0, 9), max_size=9), max_size=6), st.sampled_from(["left", "right"]))
def test_the_mask_gives_the_sequences_back(sequences: list[list[int]], side: str) -> None:
    batch = pad_batch(sequences, 0, "left" if side == "left" else "right")
    rows = zip(batch.input_ids, batch.attention_mask, strict=True)
    assert [list(itertools.compress(ids, mask)) for ids, mask in rows] == sequences
    cells = sum(map(len, batch.input_ids))
    zeros = cells - sum(map(sum, batch.attention_mask))
    assert padding_waste(list(map(len, sequences))) == pytest.approx(zeros / cells if cells else 0)


def test_groups_of_similar_length() -> None:
    assert group_by_length([500, 10, 1000, 50], 2) == [[1, 3], [0, 2]]
    assert group_by_length([3, 3, 1], 2) == [[2, 0], [1]]
    assert group_by_length([], 2) == []
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        group_by_length([1], 0)


@settings(max_examples=40)
@given(st.lists(st.integers(1, 9), min_size=6, max_size=6), st.sampled_from([1, 2, 3, 6]))
def test_grouping_pads_least_where_the_batches_are_full(lengths: list[int], batch_size: int) -> None:
    def padded(batches: list[list[int]]) -> int:
        return sum(len(batch) * max(lengths[i] for i in batch) for batch in batches)

    orders = itertools.permutations(range(6))
    least = min(
        padded([list(order[i : i + batch_size]) for i in range(0, 6, batch_size)]) for order in orders
    )
    assert padded(group_by_length(lengths, batch_size)) == least


def test_packing_takes_the_longest_first_and_the_first_bin_with_room() -> None:
    assert pack([2, 5, 4, 7, 1, 3, 8], 10) == [[6, 0], [3, 5], [1, 2, 4]]
    assert pack([], 10) == []
    assert pack([0, 10], 10) == [[1, 0]]


def test_what_fits_into_no_bin_is_named() -> None:
    with pytest.raises(ValueError, match="sequence 1 has 11 tokens and fits into no bin of 10"):
        pack([3, 11], 10)
    with pytest.raises(ValueError, match="sequence 0 has a negative length"):
        pack([-1], 10)


@given(st.lists(st.integers(0, 20), max_size=30), st.integers(20, 40))
def test_packing_loses_nothing_overfills_nothing_and_is_near_the_best(
    lengths: list[int], capacity: int
) -> None:
    bins = pack(lengths, capacity)
    assert sorted(itertools.chain.from_iterable(bins)) == list(range(len(lengths)))
    assert all(sum(lengths[i] for i in each) <= capacity for each in bins)
    half_full = [each for each in bins if sum(lengths[i] for i in each) * 2 <= capacity]
    assert len(half_full) <= 1  # two of them would have been one
    assert len(bins) <= max(1, 2 * math.ceil(sum(lengths) / capacity))

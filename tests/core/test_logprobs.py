import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cblab.core.logprobs import score_rows


def test_logprobs_by_hand() -> None:
    logits = torch.tensor([[0.1, 0.4, 0.3, 0.2], [0.25, 0.25, 0.25, 0.25]]).log() + 7
    first, second = score_rows(logits, [3, 2], 2)
    assert (first.token_id, first.rank, list(first.top)) == (3, 3, [1, 2])
    assert first.logprob == pytest.approx(math.log(0.2))
    assert list(first.top.values()) == pytest.approx([math.log(0.4), math.log(0.3)])
    assert (first.probability, first.entropy) == (None, None)
    # Nobody is likelier than one of several equal ones; the smallest ids stand for them.
    assert (second.rank, list(second.top)) == (1, [0, 1])


def test_k_is_one_for_all_or_one_each_and_at_most_the_vocabulary() -> None:
    logits = torch.tensor([[1.0, 3.0, 2.0]]).expand(3, -1)
    assert [list(one.top) for one in score_rows(logits, [0, 1, 2], 9)] == [[1, 2, 0]] * 3
    assert [list(one.top) for one in score_rows(logits, [0, 1, 2], [0, 1, 2])] == [[], [1], [1, 2]]
    assert [(one.rank, one.top) for one in score_rows(logits, [0, 1, 2], 0)] == [(3, {}), (1, {}), (2, {})]
    assert score_rows(torch.zeros(0, 3), [], 5) == []


values = st.integers(-8, 8).map(lambda n: n / 4) | st.floats(-80, 80, width=32) | st.just(-math.inf)


@given(st.lists(values, min_size=1, max_size=30).filter(lambda x: max(x) > -math.inf), st.integers(0, 31))
def test_the_top_is_a_stable_sort_of_log_softmax_and_a_prefix_of_a_longer_one(
    logits: list[float], k: int
) -> None:
    row = torch.tensor([logits])
    expected = row.log_softmax(dim=-1)[0].tolist()
    order = sorted(range(len(logits)), key=lambda token: (-expected[token], token))
    for token in range(len(logits)):
        (one,) = score_rows(row, [token], k)
        assert list(one.top.items()) == [(id_, expected[id_]) for id_ in order[:k]]
        assert one.logprob == expected[token]
        assert one.rank == 1 + sum(other > expected[token] for other in expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits_are_scored_in_float32(dtype: torch.dtype) -> None:
    logits = (5 * torch.randn(4, 50, generator=torch.Generator().manual_seed(1))).to(dtype)
    assert score_rows(logits, [0, 1, 2, 3], 5) == score_rows(logits.float(), [0, 1, 2, 3], 5)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_rows_without_a_distribution_are_refused(bad: float) -> None:
    logits = torch.zeros(3, 4)
    logits[1, 2] = bad
    with pytest.raises(ValueError, match="row 1 of the logits"):
        score_rows(logits, [0, 0, 0], 1)
    with pytest.raises(ValueError, match="row 0 of the logits"):
        score_rows(torch.full((1, 4), -math.inf), [0], 1)


def test_counts_and_ids_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="2 rows of logits, 1 token ids, 2 counts k"):
        score_rows(torch.zeros(2, 4), [0], 1)
    with pytest.raises(ValueError, match="2 rows of logits, 2 token ids, 3 counts k"):
        score_rows(torch.zeros(2, 4), [0, 1], [1, 1, 1])
    with pytest.raises(ValueError, match="from 1 to 4: the vocabulary has 4"):
        score_rows(torch.zeros(2, 4), [1, 4], 1)

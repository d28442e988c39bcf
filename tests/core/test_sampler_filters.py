"""Temperature, top-k, top-p and min-p against transformers' warpers."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from cblab.core.sampler import SamplingRow, probabilities
from cblab.core.sampling_params import SamplingParams
from tests.core.transformers_filters import distribution

VOCAB_SIZE = 60
FILTERS = [
    SamplingParams(temperature=1.0),
    SamplingParams(temperature=0.7),
    SamplingParams(temperature=1.9),
    SamplingParams(top_k=1),
    SamplingParams(top_k=7),
    SamplingParams(top_k=VOCAB_SIZE + 5),
    SamplingParams(top_p=0.05),
    SamplingParams(top_p=1e-9),
    SamplingParams(top_p=0.8),
    SamplingParams(min_p=0.1),
    SamplingParams(min_p=1.0),
    SamplingParams(temperature=0.6, top_k=12, top_p=0.9),
    SamplingParams(temperature=1.6, top_k=30, top_p=0.5),
    SamplingParams(temperature=1.3, top_k=20, top_p=0.9, min_p=0.2),
]


def random_logits(num_rows: int, vocab_size: int = VOCAB_SIZE, seed: int = 0) -> Tensor:
    return 3 * torch.randn(num_rows, vocab_size, generator=torch.Generator().manual_seed(seed))


def short(params: SamplingParams) -> str:
    return f"T={params.temperature} k={params.top_k} p={params.top_p} min={params.min_p}"


def expected(logits: Tensor, params: SamplingParams) -> Tensor:
    return torch.stack([distribution(row, SamplingRow(params)) for row in logits])


def check(logits: Tensor, params: SamplingParams) -> None:
    wanted = expected(logits, params)
    ours = probabilities(logits, [params] * len(logits))
    torch.testing.assert_close(ours.sort().values, wanted.sort().values)
    assert torch.equal((ours > 0).sum(dim=-1), (wanted > 0).sum(dim=-1))
    # Where top-p parts equal tokens transformers' sort, which is not stable, decides which go.
    for row, mine, theirs in zip(logits, ours > 0, wanted > 0, strict=True):
        assert (row[mine != theirs] == row[mine].min()).all()
        if params.top_p < 1:
            last = row[mine] == row[mine].min()
            assert torch.equal(
                mine.nonzero()[:, 0][last], (row == row[mine].min()).nonzero()[: last.sum(), 0]
            )


@pytest.mark.parametrize("params", FILTERS, ids=short)
def test_the_filters_are_those_of_transformers(params: SamplingParams) -> None:
    check(random_logits(20), params)


def test_rows_with_different_parameters_do_not_touch_each_other() -> None:
    logits = random_logits(len(FILTERS))
    together = probabilities(logits, FILTERS)
    for row, params in enumerate(FILTERS):
        torch.testing.assert_close(together[row], expected(logits[row : row + 1], params)[0])


some_logits = st.lists(
    # Halves, so that many are equal, also after a temperature; and tokens that are impossible.
    st.integers(-12, 12).map(lambda n: n / 2) | st.just(-math.inf) | st.floats(-9, 9, width=32),
    min_size=2,
    max_size=40,
).filter(lambda logits: max(logits) > -math.inf)
some_params = st.builds(
    SamplingParams,
    temperature=st.sampled_from([0.25, 0.7, 1.0, 1.3, 2.0]),
    top_k=st.integers(0, 12),
    top_p=st.sampled_from([1.0]) | st.floats(0.01, 0.999),
    min_p=st.sampled_from([0.0]) | st.floats(0.001, 1),
)


def is_clear_cut(logits: Tensor, params: SamplingParams) -> bool:
    """Whether no token stands so near to a border that rounding decides."""
    supports = [
        expected(
            logits,
            replace(
                params,
                top_p=params.top_p if params.top_p == 1 else min(0.9999999, params.top_p + change),
                min_p=params.min_p if params.min_p in (0, 1) else min(1, params.min_p * (1 + change)),
            ),
        )
        > 0
        for change in (-3e-6, 0, 3e-6)
    ]
    return torch.equal(supports[0], supports[1]) and torch.equal(supports[1], supports[2])


@given(some_logits, some_params)
def test_what_is_kept_is_what_transformers_keeps_ties_and_all(
    values: list[float], params: SamplingParams
) -> None:
    logits = torch.tensor([values])
    assume(is_clear_cut(logits, params))
    check(logits, params)


@pytest.mark.parametrize(
    "params",
    [SamplingParams(top_k=k) for k in (1, 5, 255, 256, 257, 1023, 1024, 1025)]
    + [SamplingParams(top_p=top_p) for top_p in (0.001, 0.1, 0.51, 0.97, 0.9993)]
    + [SamplingParams(min_p=min_p) for min_p in (1e-9, 0.01, 0.9)]
    + [
        SamplingParams(top_k=400, top_p=0.55),
        SamplingParams(top_k=40, top_p=0.55, temperature=3.0),
        SamplingParams(top_k=700, top_p=0.93, min_p=0.01, temperature=1.7),
    ],
    ids=short,
)
def test_the_length_of_the_sorted_head_is_not_seen(params: SamplingParams) -> None:
    """A vocabulary longer than the head that is sorted first; what is kept is shorter or longer than it."""
    wild = random_logits(3, 1024)
    logits = torch.cat(
        [
            wild,
            wild / 30,
            (wild / 2).round(),  # a dozen values: hundreds of ties
            torch.zeros(1, 1024),
            torch.where(wild > 4, wild, -math.inf),
        ]
    )
    check(logits, params)
    mixed = [params if row % 2 else FILTERS[row % len(FILTERS)] for row in range(len(logits))]
    together = probabilities(logits, mixed)
    for row, one in enumerate(mixed):
        assert torch.equal(together[row], probabilities(logits[row : row + 1], [one])[0])


def kept(logits: list[float], **params: float) -> list[int]:
    found = probabilities(torch.tensor([logits]), [SamplingParams(**params)])  # type: ignore[arg-type]
    return found[0].nonzero()[:, 0].tolist()


def test_top_k_keeps_every_tie_at_its_rank() -> None:
    assert kept([1.0, 5.0, 3.0, 3.0, 3.0, 0.0], top_k=2) == [1, 2, 3, 4]
    assert kept([1.0, 5.0, 3.0, 3.0, 3.0, 0.0], top_k=1) == [1]
    assert kept([2.0, 2.0, 2.0], top_k=1) == [0, 1, 2]


def test_top_p_parts_ties_and_keeps_the_smaller_ids() -> None:
    assert kept([0.0, 0.0, 0.0, 0.0], top_p=0.5) == [0, 1]
    assert kept([0.0, 0.0, 9.0, 0.0, 0.0], top_p=0.9997) == [0, 1, 2]
    assert kept([0.0] * 1000, top_p=0.0045) == [0, 1, 2, 3, 4]
    assert kept([0.0] * 1000, top_k=1, top_p=0.0045) == [0, 1, 2, 3, 4]


def test_min_p_keeps_what_is_exactly_at_its_border() -> None:
    logits = [math.log(p) for p in (0.5, 0.25, 0.125, 0.125)]
    assert kept(logits, min_p=0.5) == [0, 1]
    assert kept(logits, min_p=0.51) == [0]
    assert kept(logits, min_p=0.25) == [0, 1, 2, 3]
    assert kept([1.0, 1.0, 0.9], min_p=1.0) == [0, 1]


def test_each_filter_sees_what_the_one_before_it_left() -> None:
    logits = [math.log(p) for p in (0.4, 0.3, 0.2, 0.1)]
    # top_k=2 leaves 0.57 and 0.43: top_p=0.5 then keeps one, alone it keeps two.
    assert kept(logits, top_p=0.5) == [0, 1]
    assert kept(logits, top_k=2, top_p=0.5) == [0]
    # A temperature of 1/2 makes 0.53, 0.3, 0.13, 0.03 of them: again one is half.
    assert kept(logits, temperature=0.5, top_p=0.5) == [0]
    # min_p=0.6 alone leaves 0.57 and 0.43, of which top_p=0.5 would keep one: but top_p comes before it.
    assert kept(logits, top_p=0.5, min_p=0.6) == [0, 1]


def test_the_likeliest_token_stays_however_small_top_p_is() -> None:
    assert kept([0.0, 1.0, 0.5], top_p=1e-30) == [1]
    assert kept([0.0, 0.0], top_p=1e-30) == [0]


def test_without_filters_no_token_is_lost_beside_a_row_with_filters() -> None:
    logits = torch.zeros(2, 600)
    logits[:, 0] = 80.0  # the others have a probability of about 1e-35: top_p=1 must not drop them
    kept = probabilities(logits, [SamplingParams(), SamplingParams(top_p=0.5)]) > 0
    assert kept.sum(dim=-1).tolist() == [600, 1]
    kept = probabilities(logits, [SamplingParams(top_k=601), SamplingParams(top_k=600, min_p=1e-38)]) > 0
    assert kept.sum(dim=-1).tolist() == [600, 600]


def test_logits_stay_as_they_are_whatever_their_dtype() -> None:
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        logits = random_logits(len(FILTERS)).to(dtype)
        before = logits.clone()
        found = probabilities(logits, FILTERS)
        assert found.dtype == torch.float32
        assert torch.equal(logits, before)
        torch.testing.assert_close(found, probabilities(logits.float(), FILTERS))

import math

import pytest
import torch
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from cblab.core.sampler import probabilities, sample, uniform
from cblab.core.sampling_params import SamplingParams

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
    SamplingParams(temperature=0.6, top_k=12, top_p=0.9),
    SamplingParams(temperature=1.6, top_k=30, top_p=0.5),
]


def random_logits(num_rows: int, seed: int = 0) -> torch.Tensor:
    return 3 * torch.randn(num_rows, VOCAB_SIZE, generator=torch.Generator().manual_seed(seed))


def transformers_probabilities(logits: torch.Tensor, params: SamplingParams) -> torch.Tensor:
    """What transformers' `generate` samples from: its warpers, in the order in which it applies them."""
    scores = (
        TemperatureLogitsWarper(params.temperature)(None, logits) if params.temperature != 1.0 else logits
    )
    if params.top_k:
        scores = TopKLogitsWarper(params.top_k)(None, scores)
    if params.top_p < 1:
        scores = TopPLogitsWarper(params.top_p)(None, scores)
    return scores.softmax(dim=-1)


@pytest.mark.parametrize("params", FILTERS, ids=str)
def test_the_filters_are_those_of_transformers(params: SamplingParams) -> None:
    logits = random_logits(20)
    expected = transformers_probabilities(logits, params)
    ours = probabilities(logits, [params] * 20)
    assert torch.equal(ours > 0, expected > 0)
    torch.testing.assert_close(ours, expected)


def test_rows_with_different_parameters_do_not_touch_each_other() -> None:
    logits = random_logits(len(FILTERS))
    together = probabilities(logits, FILTERS)
    for row, params in enumerate(FILTERS):
        torch.testing.assert_close(
            together[row], transformers_probabilities(logits[row : row + 1], params)[0]
        )


def test_top_k_keeps_every_tie_at_its_rank() -> None:
    logits = torch.tensor([[1.0, 5.0, 3.0, 3.0, 3.0, 0.0]])
    params = SamplingParams(top_k=2)
    assert (probabilities(logits, [params]) > 0).tolist() == [[False, True, True, True, True, False]]
    assert torch.equal(probabilities(logits, [params]), transformers_probabilities(logits, params))


def test_top_p_sees_what_top_k_left() -> None:
    """Of 0.4, 0.3, 0.2, 0.1, top_k=2 leaves 0.57 and 0.43: top_p=0.5 then keeps one, alone it keeps two."""
    logits = torch.tensor([[0.4, 0.3, 0.2, 0.1]]).log()
    assert (probabilities(logits, [SamplingParams(top_p=0.5)]) > 0).sum() == 2
    assert (probabilities(logits, [SamplingParams(top_k=2, top_p=0.5)]) > 0).sum() == 1


def test_without_filters_no_token_is_lost_beside_a_row_with_filters() -> None:
    logits = torch.zeros(2, VOCAB_SIZE)
    logits[:, 0] = 80.0  # the others have a probability of about 1e-35: top_p=1 must not drop them
    kept = probabilities(logits, [SamplingParams(), SamplingParams(top_p=0.5)]) > 0
    assert kept.sum(dim=-1).tolist() == [VOCAB_SIZE, 1]


@pytest.mark.parametrize("params", [FILTERS[0], FILTERS[1], FILTERS[4], FILTERS[8], FILTERS[9]], ids=str)
def test_samples_follow_the_distribution(params: SamplingParams) -> None:
    """Chi-square against transformers' probabilities: 20,000 draws, each with its own position."""
    num_draws = 20_000
    logits = random_logits(1, seed=3)
    expected = transformers_probabilities(logits, params)[0].double() * num_draws
    uniforms = [uniform(seed=11, sample_index=0, position=i) for i in range(num_draws)]
    drawn = sample(logits.expand(num_draws, -1), [params] * num_draws, uniforms)
    counts = torch.bincount(drawn, minlength=VOCAB_SIZE).double()
    assert counts[expected == 0].sum() == 0
    common = expected >= 5
    observed = torch.cat([counts[common], counts[~common].sum()[None]])
    wanted = torch.cat([expected[common], expected[~common].sum()[None]])
    statistic = float(((observed - wanted)[wanted > 0] ** 2 / wanted[wanted > 0]).sum())
    freedom = int((wanted > 0).sum()) - 1
    # Wilson and Hilferty: the statistic's cube root is nearly normal; 3.7 deviations are 1 in 10,000.
    deviations = ((statistic / freedom) ** (1 / 3) - (1 - 2 / (9 * freedom))) / math.sqrt(2 / (9 * freedom))
    assert abs(deviations) < 3.7, (statistic, freedom)


def test_greedy_rows_take_the_first_largest_logit_whatever_their_neighbours_do() -> None:
    logits = torch.tensor([[0.0, 2.0, 2.0], [9.0, 0.0, 0.0], [0.0, 0.0, 9.0]])
    greedy, random = SamplingParams(temperature=0), SamplingParams(top_k=1)
    assert sample(logits, [greedy, random, greedy], [0.9, 0.5, 0.0]).tolist() == [1, 0, 2]
    assert sample(logits, [greedy] * 3, [0.9] * 3).tolist() == [1, 0, 2]


def test_the_uniform_number_picks_the_token_at_which_the_sum_passes_it() -> None:
    logits = torch.tensor([[0.0, 0.25, 0.0, 0.5, 0.25]]).log().expand(6, -1)
    uniforms = [0.0, 0.2499, 0.25, 0.7499, 0.75, 1 - 2**-52]
    assert sample(logits, [SamplingParams()] * 6, uniforms).tolist() == [1, 1, 3, 3, 4, 4]


def test_a_row_does_not_depend_on_its_batch() -> None:
    logits = random_logits(len(FILTERS), seed=5)
    uniforms = [uniform(seed, 0, 17) for seed in range(len(FILTERS))]
    together = sample(logits, FILTERS, uniforms).tolist()
    backwards = sample(logits.flip(0), FILTERS[::-1], uniforms[::-1]).tolist()[::-1]
    alone = [int(sample(logits[i : i + 1], [FILTERS[i]], [uniforms[i]])) for i in range(len(FILTERS))]
    assert together == backwards == alone


def test_uniform_is_a_function_of_its_three_arguments() -> None:
    assert uniform(1, 2, 3) == uniform(1, 2, 3)
    numbers = [
        uniform(seed, index, position) for seed in range(12) for index in range(12) for position in range(40)
    ]
    assert len(set(numbers)) == len(numbers)
    assert all(0 <= number < 1 for number in numbers)
    assert sum(numbers) / len(numbers) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_logits_without_a_largest_one_are_refused(bad: float) -> None:
    logits = torch.zeros(3, 4)
    logits[1, 2] = bad
    with pytest.raises(ValueError, match="row 1 of the logits"):
        sample(logits, [SamplingParams()] * 3, [0.5] * 3)
    with pytest.raises(ValueError, match="row 0 of the logits"):
        sample(torch.full((1, 4), -math.inf), [SamplingParams()], [0.5])


def test_a_missing_parameter_is_refused() -> None:
    with pytest.raises(ValueError, match="3 rows of logits, 2 params, 3 uniforms"):
        sample(torch.zeros(3, 4), [SamplingParams()] * 2, [0.5] * 3)

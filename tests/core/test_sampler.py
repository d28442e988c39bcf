"""One token a row: what is chosen, what is told of it, and that rows do not notice one another."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from cblab.core import sampler
from cblab.core.sampler import SamplerOutput, SamplingRow, sample, uniform
from cblab.core.sampling_params import SamplingParams
from tests.core.transformers_filters import distribution

VOCAB_SIZE = 24
GREEDY = SamplingParams(temperature=0)


def random_logits(num_rows: int, vocab_size: int = VOCAB_SIZE, seed: int = 0) -> Tensor:
    return 3 * torch.randn(num_rows, vocab_size, generator=torch.Generator().manual_seed(seed))


def sample_at(logits: Tensor, rows: Sequence[SamplingRow], uniforms: Sequence[float]) -> SamplerOutput:
    """Sample with these numbers instead of those that follow from the rows' seeds."""
    seeded = [row._replace(seed=index) for index, row in enumerate(rows)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampler, "uniform", lambda seed, sample_index, position: uniforms[seed])
        return sample(logits, seeded)


def double_even(prompt: Sequence[int], output: Sequence[int], logits: Tensor) -> Tensor:
    logits[::2] *= 2
    return logits


def prefer_next(prompt: Sequence[int], output: Sequence[int], logits: Tensor) -> Tensor:
    changed = logits.clone()
    changed[(len(prompt) + 3 * len(output)) % len(logits)] += 2.5
    return changed


MIXED = [
    SamplingParams(),
    SamplingParams(temperature=1.4, top_k=9, top_p=0.93, min_p=0.02),
    SamplingParams(temperature=0.8, repetition_penalty=1.7),
    SamplingParams(repetition_penalty=0.6, presence_penalty=0.9, frequency_penalty=0.4),
    SamplingParams(presence_penalty=-1.2, top_p=0.9),
    SamplingParams(temperature=1.6, frequency_penalty=1.5, top_k=12),
    SamplingParams(logit_bias={3: 4.0, 7: -5.5, 20: 1.0}, repetition_penalty=1.5),
    SamplingParams(min_tokens=9, temperature=1.2),
    SamplingParams(min_tokens=2, top_k=5),
    SamplingParams(banned_token_ids=(0, 5, 11), min_p=0.03),
    SamplingParams(allowed_token_ids=(1, 2, 3, 4, 9, 21), banned_token_ids=(9,), top_p=0.97),
    SamplingParams(logits_processors=(double_even, prefer_next), temperature=2.0),
    SamplingParams(
        temperature=1.3,
        top_k=14,
        top_p=0.95,
        min_p=0.01,
        repetition_penalty=1.2,
        presence_penalty=0.3,
        frequency_penalty=0.2,
        logit_bias={2: 1.5},
        min_tokens=12,
        banned_token_ids=(4,),
        logits_processors=(prefer_next, double_even),
    ),
]
PROMPT, OUTPUT = [1, 5, 5, 2, 17], [3, 3, 3, 8, 1, 19]


def row_of(params: SamplingParams, **changes: Any) -> SamplingRow:
    return SamplingRow(params, PROMPT, OUTPUT, seed=5, stop_token_ids=frozenset({6, 13}))._replace(**changes)


def check_distribution(logits: Tensor, row: SamplingRow) -> None:
    """Each token is picked in the middle of its share of [0, 1), and told to have that probability."""
    wanted = distribution(logits, row).double()
    tokens = (wanted > 1e-6).nonzero()[:, 0]
    middles = (wanted.cumsum(dim=0) - wanted / 2)[tokens].tolist()
    asking = row._replace(params=replace(row.params, logprobs=0))
    output = sample_at(logits.expand(len(tokens), -1), [asking] * len(tokens), middles)
    assert output.errors == {}
    assert output.token_ids == tokens.tolist()
    told = [one.probability for one in output.logprobs if one is not None]
    assert told == pytest.approx(wanted[tokens].tolist(), rel=1e-4, abs=1e-9)


@pytest.mark.parametrize("params", MIXED, ids=range(len(MIXED)))
def test_every_row_is_sampled_from_what_transformers_processors_leave(params: SamplingParams) -> None:
    for seed in range(4):
        check_distribution(random_logits(1, seed=seed)[0], row_of(params))
        check_distribution(random_logits(1, seed=seed)[0], row_of(params, output_token_ids=[]))


tokens = st.integers(0, VOCAB_SIZE - 1)
any_params = st.builds(
    SamplingParams,
    temperature=st.sampled_from([0.5, 0.9, 1.0, 1.7]),
    top_k=st.integers(0, 10),
    repetition_penalty=st.floats(0.5, 2),
    presence_penalty=st.floats(-2, 2),
    frequency_penalty=st.floats(-2, 2),
    logit_bias=st.dictionaries(tokens, st.floats(-4, 4), max_size=4),
    banned_token_ids=st.lists(tokens, max_size=4),
    allowed_token_ids=st.none() | st.sets(tokens, min_size=12),
    min_tokens=st.integers(0, 6),
    logits_processors=st.lists(st.sampled_from([double_even, prefer_next]), max_size=2),
)


@settings(max_examples=50)
@given(any_params, st.lists(tokens, min_size=1, max_size=9), st.lists(tokens, max_size=9), st.integers(0, 99))
def test_so_it_is_for_any_parameters(
    params: SamplingParams, prompt: list[int], output: list[int], seed: int
) -> None:
    logits = random_logits(1, seed=seed)[0]
    row = row_of(params, prompt_token_ids=prompt, output_token_ids=output)
    assume(float(distribution(logits, row).sum()) == pytest.approx(1))  # false where nothing is left
    check_distribution(logits, row)


@pytest.mark.parametrize("params", MIXED, ids=range(len(MIXED)))
def test_a_greedy_row_takes_the_likeliest_of_what_is_left(params: SamplingParams) -> None:
    logits = random_logits(30, seed=8)
    row = row_of(replace(params, temperature=0, logprobs=0))
    output = sample(logits, [row] * 30)
    plain = row_of(replace(params, temperature=1, top_k=0, top_p=1, min_p=0))
    assert output.token_ids == [int(distribution(one, plain).argmax()) for one in logits]
    assert {(one.probability, one.entropy) for one in output.logprobs if one is not None} == {(1.0, 0.0)}


@pytest.mark.parametrize(
    "params", [MIXED[0], MIXED[1], *MIXED[3:5], MIXED[6], MIXED[10], MIXED[12]], ids=range(7)
)
def test_samples_follow_the_distribution(params: SamplingParams) -> None:
    """Chi-square against transformers' probabilities: 4,000 draws, each with a seed of its own."""
    num_draws = 4_000
    logits = random_logits(1, seed=3) / 2
    expected = distribution(logits[0], row_of(params)).double() * num_draws
    drawn = sample(logits.expand(num_draws, -1), [row_of(params, seed=seed) for seed in range(num_draws)])
    counts = torch.bincount(torch.tensor(drawn.token_ids), minlength=VOCAB_SIZE).double()
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
    greedy, random = SamplingRow(GREEDY), SamplingRow(SamplingParams(top_k=1))
    shaped = SamplingRow(SamplingParams(temperature=0, logit_bias={0: 2.0}))
    assert sample(logits, [greedy, random, greedy]).token_ids == [1, 0, 2]
    assert sample(logits, [greedy] * 3).token_ids == [1, 0, 2]
    assert sample(logits, [shaped] * 3).token_ids == [0, 0, 2]


def test_the_uniform_number_picks_the_token_at_which_the_sum_passes_it() -> None:
    logits = torch.tensor([[0.0, 0.25, 0.0, 0.5, 0.25, 0.0]]).log().expand(6, -1)
    uniforms = [0.0, 0.2499, 0.25, 0.7499, 0.75, 1 - 2**-52]
    output = sample_at(logits, [SamplingRow(SamplingParams())] * 6, uniforms)
    assert output.token_ids == [1, 1, 3, 3, 4, 4]


def test_unlikely_tokens_after_a_likely_one_can_all_be_drawn() -> None:
    """Sums in float32 would not tell apart what a token of 1e-8 adds to nearly 1."""
    logits = torch.tensor([0.0] + [math.log(1e-8)] * 1000).expand(10, -1)
    uniforms = [(1 + (300.5 + step) * 1e-8) / (1 + 1000e-8) for step in range(10)]
    first, *others = sample_at(logits, [SamplingRow(SamplingParams())] * 10, uniforms).token_ids
    assert abs(first - 301) < 5  # the likely one's own rounding
    assert others == [first + step for step in range(1, 10)]


def test_one_number_a_row_is_drawn_from_seed_sample_and_position_and_none_from_torch() -> None:
    asked: list[tuple[int, int, int]] = []

    def spy(seed: int, sample_index: int, position: int) -> float:
        asked.append((seed, sample_index, position))
        return 0.5

    rows = [
        SamplingRow(SamplingParams(), [1, 2], [3], seed=7, sample_index=4),
        SamplingRow(GREEDY, [1], [], seed=8),
        SamplingRow(SamplingParams(top_k=3), [1] * 9, [2] * 5, seed=9),
    ]
    state = torch.get_rng_state()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampler, "uniform", spy)
        sample(random_logits(3), rows)
    assert asked == [(7, 4, 3), (9, 0, 14)]
    sample(random_logits(3), rows)
    assert torch.equal(torch.get_rng_state(), state)


def test_uniform_is_a_function_of_its_three_arguments() -> None:
    assert uniform(1, 2, 3) == uniform(1, 2, 3)
    numbers = [
        uniform(seed, index, position) for seed in range(12) for index in range(12) for position in range(40)
    ]
    assert len(set(numbers)) == len(numbers)
    assert all(0 <= number < 1 for number in numbers)
    assert sum(numbers) / len(numbers) == pytest.approx(0.5, abs=0.02)


ALL_KINDS = [
    row_of(replace(params, temperature=temperature, logprobs=logprobs), seed=index)
    for index, params in enumerate(MIXED)
    for temperature, logprobs in ((params.temperature, None), (params.temperature, index), (0.0, 2))
]


@settings(max_examples=30)
@given(st.permutations(range(len(ALL_KINDS))), st.integers(1, len(ALL_KINDS)), st.integers(0, 9))
def test_a_row_depends_neither_on_its_place_nor_on_who_is_beside_it(
    order: list[int], num_rows: int, seed: int
) -> None:
    logits = random_logits(len(ALL_KINDS), seed=seed)
    together = sample(logits, ALL_KINDS)
    some = order[:num_rows]
    output = sample(logits[some], [ALL_KINDS[index] for index in some])
    assert output.token_ids == [together.token_ids[index] for index in some]
    assert output.logprobs == [together.logprobs[index] for index in some]
    assert output.errors == together.errors == {}


def test_the_logits_stay_as_they_are() -> None:
    for dtype in (torch.float32, torch.bfloat16):
        logits = random_logits(len(ALL_KINDS)).to(dtype)
        before = logits.clone()
        output = sample(logits, ALL_KINDS)
        assert torch.equal(logits, before)
        assert output == sample(logits.float(), ALL_KINDS)


def wrong_shape(prompt: Sequence[int], output: Sequence[int], logits: Tensor) -> Tensor:
    return logits[:-1]


def forgets_to_return(prompt: Sequence[int], output: Sequence[int], logits: Tensor) -> None:
    logits += 1


def fails(prompt: Sequence[int], output: Sequence[int], logits: Tensor) -> Tensor:
    raise KeyError("own mistake")


def not_a_number(prompt: Sequence[int], output: Sequence[int], logits: Tensor) -> Tensor:
    return logits * math.nan


def own(function: Any) -> SamplingParams:
    return SamplingParams(logits_processors=(function,))


PLAIN_ROW = [0.0, 1.0, 2.0, 3.0]
FAILING: list[tuple[list[float], SamplingParams, type[Exception], str]] = [
    ([0, math.nan, 0, 0], SamplingParams(), ValueError, "the logits hold NaN"),
    ([0, math.nan, 0, 0], SamplingParams(allowed_token_ids=(0,)), ValueError, "the logits hold NaN"),
    ([0, math.inf, 0, 0], SamplingParams(), ValueError, r"the logits hold \+inf"),
    ([math.inf, math.nan, 0, 0], SamplingParams(), ValueError, "the logits hold NaN"),
    ([-math.inf] * 4, SamplingParams(), ValueError, "the logits are all -inf: no token"),
    ([-math.inf, 0, 0, 0], SamplingParams(allowed_token_ids=(0,)), ValueError, "after .* all -inf: no token"),
    ([3e38, 0, 0, 0], SamplingParams(logit_bias={0: 3e38}), ValueError, r"after .* hold \+inf"),
    ([3e38, 0, 0, 0], SamplingParams(temperature=1e-4), ValueError, r"after .* hold \+inf"),
    (PLAIN_ROW, SamplingParams(banned_token_ids=(0, 1, 2, 3)), ValueError, "after .* all -inf: no token"),
    (PLAIN_ROW, SamplingParams(banned_token_ids=(4,)), ValueError, "banned_token_ids .* 4: the vocabulary"),
    (PLAIN_ROW, SamplingParams(allowed_token_ids=(1, 9)), ValueError, "allowed_token_ids .* 9: the"),
    (PLAIN_ROW, SamplingParams(logit_bias={5: 1.0}), ValueError, "logit_bias .* 5: the vocabulary"),
    (PLAIN_ROW, own(wrong_shape), ValueError, r"wrong_shape must return a row of 4 logits.*shape \[3\]"),
    (PLAIN_ROW, own(forgets_to_return), ValueError, "forgets_to_return must return .* got NoneType"),
    (PLAIN_ROW, own(fails), KeyError, "own mistake"),
    (PLAIN_ROW, own(not_a_number), ValueError, "after .* hold NaN"),
]  # fmt: skip


FAILING += [
    (logits, replace(params, temperature=0), kind, message)
    for logits, params, kind, message in FAILING
    if params.temperature == 1
]


@pytest.mark.parametrize(("logits", "params", "kind", "message"), FAILING, ids=range(len(FAILING)))
def test_an_error_is_that_of_its_row_alone(
    logits: list[float], params: SamplingParams, kind: type[Exception], message: str
) -> None:
    healthy = [
        SamplingRow(SamplingParams(top_k=3, logprobs=1), [0, 1], [2], seed=1),
        SamplingRow(replace(GREEDY, logprobs=2)),
        SamplingRow(SamplingParams(presence_penalty=1.0, top_p=0.8), [0], [3], seed=3),
        SamplingRow(replace(GREEDY, banned_token_ids=(3,))),
    ]
    values = random_logits(5, vocab_size=4)
    rows = [*healthy[:2], SamplingRow(replace(params, logprobs=1), [0], [1]), *healthy[2:]]
    values[2] = torch.tensor(logits)
    output = sample(values, rows)
    assert list(output.errors) == [2]
    with pytest.raises(kind, match=message):
        raise output.errors[2]
    assert output.logprobs[2] is None
    others = [0, 1, 3, 4]
    alone = sample(values[others], healthy)
    assert [output.token_ids[row] for row in others] == alone.token_ids
    assert [output.logprobs[row] for row in others] == alone.logprobs


def test_impossible_tokens_are_no_error() -> None:
    logits = torch.tensor([[-math.inf, 0.0, -math.inf], [-math.inf, -math.inf, -3.0]])
    params = SamplingParams(top_k=3, top_p=0.9, min_p=0.1, repetition_penalty=2.0, logprobs=3)
    output = sample(logits, [SamplingRow(params, [0, 1, 2], [0, 2])] * 2)
    assert (output.token_ids, output.errors) == ([1, 2], {})
    assert output.logprobs[0] is not None
    assert output.logprobs[0].top == {1: 0.0, 0: -math.inf, 2: -math.inf}


def test_min_tokens_forbids_what_ends_the_output_until_then() -> None:
    logits = torch.tensor([[0.0, 9.0, 3.0, 5.0]]).expand(4, -1)
    params = SamplingParams(temperature=0, min_tokens=2)
    # A model may have fewer logits than its tokenizer has tokens: an EOS of 99 can never be chosen.
    stops = frozenset({1, 3, 99})
    rows = [SamplingRow(params, [1], [2] * count, stop_token_ids=stops) for count in range(4)]
    assert sample(logits, rows).token_ids == [2, 2, 1, 1]


def test_penalties_by_hand() -> None:
    """Repetition sees prompt and output, and works on both signs; presence and frequency see the output."""
    logits = torch.tensor([[4.0, -4.0, 4.0, -4.0, 1.0]])

    def logprobs_of(params: SamplingParams, output: list[int]) -> list[float]:
        row = SamplingRow(replace(params, logprobs=0), [0, 1], output)
        chances = []
        for token in range(5):
            only = row._replace(params=replace(row.params, allowed_token_ids=(token, 4)))
            (told,) = sample_at(logits, [only], [0.0]).logprobs
            assert told is not None
            chance = told.probability if told.token_id == token else None
            chances.append(0.0 if token == 4 else math.log(chance / (1 - chance)) + 1.0)  # type: ignore[operator]
        return [round(one, 3) for one in chances]

    assert logprobs_of(SamplingParams(repetition_penalty=2.0), [2]) == [2.0, -8.0, 2.0, -4.0, 0.0]
    assert logprobs_of(SamplingParams(presence_penalty=1.5), [2, 2, 3]) == [4.0, -4.0, 2.5, -5.5, 0.0]
    assert logprobs_of(SamplingParams(frequency_penalty=0.5), [2, 2, 3]) == [4.0, -4.0, 3.0, -4.5, 0.0]


def test_a_token_beyond_the_vocabulary_is_not_penalised() -> None:
    params = SamplingParams(temperature=0, repetition_penalty=2.0, presence_penalty=1.0)
    rows = [SamplingRow(params, [7, 0], [5]), SamplingRow(params, [0], [0])]
    assert sample(torch.tensor([[2.0, 1.5, 0.0], [9.0, 0.0, 0.0]]), rows).token_ids == [1, 0]


def test_own_functions_see_prompt_and_output_and_cannot_change_the_request() -> None:
    seen: list[tuple[Sequence[int], Sequence[int], list[float]]] = []
    kept: list[Tensor] = []

    def look(prompt: Sequence[int], output: Sequence[int], logits: Tensor) -> Tensor:
        seen.append((prompt, output, logits.tolist()))
        kept.append(logits)
        return logits

    prompt, output = [1, 2], [0]
    params = SamplingParams(
        logits_processors=(look,), banned_token_ids=(1,), presence_penalty=1.0, temperature=0.5
    )
    sample(torch.tensor([[1.0, 2.0, 3.0]]), [SamplingRow(params, prompt, output)])
    assert seen == [((1, 2), (0,), [0.0, -math.inf, 3.0])]
    assert kept[0].tolist() == [0.0, -math.inf, 3.0]  # the temperature came after it, and elsewhere


def test_what_is_told_of_a_sampled_token() -> None:
    logits = torch.tensor([[0.4, 0.3, 0.2, 0.1]]).log()
    params = SamplingParams(top_k=2, logprobs=2)
    (told,) = sample_at(logits, [SamplingRow(params)], [0.99]).logprobs
    assert told is not None
    assert (told.token_id, told.rank, list(told.top)) == (1, 2, [0, 1])
    assert told.logprob == pytest.approx(math.log(0.3))
    assert told.top[0] == pytest.approx(math.log(0.4))
    assert told.probability == pytest.approx(3 / 7)
    assert told.entropy == pytest.approx(-(3 / 7 * math.log(3 / 7) + 4 / 7 * math.log(4 / 7)))
    assert sample(logits, [SamplingRow(SamplingParams())]).logprobs == [None]


def test_no_rows_are_no_tokens_and_a_missing_row_is_refused() -> None:
    assert sample(torch.zeros(0, 4), []) == SamplerOutput([], [], {})
    with pytest.raises(ValueError, match="3 rows of logits, but 2 rows of parameters"):
        sample(torch.zeros(3, 4), [SamplingRow(GREEDY)] * 2)

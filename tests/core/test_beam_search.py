"""Beam search: transformers' beams to the token and the score, in blocks that are shared and come back."""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations, product
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers.generation.configuration_utils import GenerationMode

from cblab.attention.batch import RaggedBatch
from cblab.attention.dense import Attend
from cblab.core.batch_builder import BatchRow, build_batch
from cblab.core.beam_search import BeamSearchParams, BeamSearchSequence, beam_search
from cblab.core.block_manager import BlockEvent, BlockManager
from cblab.core.config import EngineConfig
from cblab.core.engine import Engine
from cblab.core.errors import IntegrityError
from cblab.core.parts import Parts
from cblab.core.plan import BlockOp
from cblab.core.sampling_params import SamplingParams
from cblab.model import load_model
from cblab.model.config import ModelConfig
from cblab.tokenization import BPETokenizer
from tests.model.checkpoints import VOCAB_SIZE, make_checkpoint

NUM_NEW = 9
# Tokens that end beams at many different lengths, the first included.
EOS = {"llama": (17, 64, 21), "mistral": (35, 66), "qwen3": (48,), "mixtral": (20, 55), "gpt2": (31,)}
PROMPTS = torch.randint(VOCAB_SIZE, (3, 13), generator=torch.Generator().manual_seed(5)).tolist()
MORE_PROMPTS = torch.randint(VOCAB_SIZE, (24, 13), generator=torch.Generator().manual_seed(5)).tolist()


class Row(NamedTuple):
    """What one forward pass computed of one sequence."""

    token_ids: list[int]
    num_computed_tokens: int
    block_table: tuple[int, ...]


class Recorder:
    """cblab's batch builder and forward pass, and a record of what they were given.

    Attributes:
        passes: the rows of each pass.
        num_used: blocks in use in each.
        histories: the tokens whose keys and values each row finds in its blocks, its own included: a pool of
            tokens is written and copied beside the real one.
    """

    def __init__(self) -> None:
        self.passes: list[list[Row]] = []
        self.num_used: list[int] = []
        self.histories: list[list[tuple[int, ...]]] = []
        self._pool: dict[int, list[int]] = {}

    def attach(self, engine: Engine) -> None:
        self._engine, self._forward = engine, engine.runner.forward
        self._pool = {block: [-1] * engine.config.block_size for block in range(engine.cache.num_blocks)}
        engine.runner.forward = self.forward  # type: ignore[method-assign]

    def build(self, rows: Sequence[BatchRow], block_size: int, device: Any = "cpu") -> RaggedBatch:
        self.passes.append(
            [Row(list(row.token_ids), row.num_computed_tokens, tuple(row.block_table)) for row in rows]
        )
        self.num_used.append(self._engine.block_manager.stats().used)
        self._engine.block_manager.check_integrity()
        return build_batch(rows, block_size, device)

    def forward(self, batch: RaggedBatch, block_ops: Sequence[BlockOp] = ()) -> Tensor:
        size, rows = self._engine.config.block_size, self.passes[-1]
        for op in block_ops:
            self._pool[op.target] = list(self._pool[op.source])
        for tokens, start, table in rows:
            for position, token in enumerate(tokens, start):
                self._pool[table[position // size]][position % size] = token
        lengths = [row.num_computed_tokens + len(row.token_ids) for row in rows]
        held = [[token for block in row.block_table for token in self._pool[block]] for row in rows]
        self.histories.append([tuple(one[:length]) for one, length in zip(held, lengths, strict=True)])
        return self._forward(batch, block_ops)


def make_engine(model: Any, tokenizer: Any = None, **settings: Any) -> tuple[Engine, Recorder]:
    recorder = Recorder()
    config = EngineConfig(**{"block_size": 4, "num_blocks": 200, **settings})
    engine = Engine(model, tokenizer, config, parts=Parts(build_batch=recorder.build))
    recorder.attach(engine)
    return engine, recorder


def search(
    engine: Engine, prompts: Sequence[Any], params: BeamSearchParams
) -> list[list[BeamSearchSequence]]:
    """Search, and see that nothing is left behind."""
    outputs = beam_search(engine, prompts, params)
    assert_whole(engine)
    return [output.sequences for output in outputs]


def tokens_of(found: list[list[BeamSearchSequence]]) -> list[list[list[int]]]:
    """The tokens alone: scores differ in their last bits with the shapes in which they are computed."""
    return [[one.tokens for one in beams] for beams in found]


def assert_whole(engine: Engine) -> None:
    """Nobody holds a block any more, and none is lost."""
    engine.check_integrity()
    stats = engine.block_manager.stats()
    assert (stats.used, stats.free + stats.cached) == (0, stats.num_blocks)


# Parity with transformers.


class Way(NamedTuple):
    family: str
    beam_width: int
    block_size: int
    length_penalty: float
    early_stopping: Any


def covering(*axes: Sequence[Any]) -> list[Way]:
    """A few of all combinations, in which every value of an axis meets every value of every other axis."""
    every = list(product(*axes))

    def pairs(values: Sequence[Any]) -> set[Any]:
        return set(combinations(enumerate(map(str, values)), 2))

    left = set().union(*map(pairs, every))
    chosen = []
    while left:
        chosen.append(max(every, key=lambda values: len(pairs(values) & left)))
        left -= pairs(chosen[-1])
    return [Way(*values) for values in chosen]


WAYS = covering(list(EOS), (1, 2, 4), (1, 4, 16), (0.0, 1.0, 2.0, -1.0), (False, True, "never"))


class Pair(NamedTuple):
    """One model twice: transformers' and cblab's."""

    reference: Any
    model: Any


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Pair]:
    made: dict[str, Pair] = {}

    def get(family: str) -> Pair:
        if family not in made:
            folder = tmp_path_factory.mktemp(family)
            reference = make_checkpoint(family, folder)
            model = load_model(folder)
            model.config = replace(model.config, eos_token_ids=EOS[family])
            made[family] = Pair(reference, model)
        return made[family]

    return get


def reference_beams(
    reference: Any, prompts: Sequence[Sequence[int]], params: BeamSearchParams, eos: Sequence[int]
) -> list[list[tuple[list[int], float]]]:
    """transformers' sequences with their scores, the padding cut off.

    It takes one beam for greedy search, in which there are no scores: so it is told to search all the same.
    """
    ids = torch.tensor(prompts)
    with patch.object(
        transformers.GenerationConfig, "get_generation_mode", lambda *_: GenerationMode.BEAM_SEARCH
    ):
        out = reference.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            num_beams=params.beam_width,
            num_return_sequences=params.beam_width,
            max_new_tokens=params.max_tokens,
            length_penalty=params.length_penalty,
            early_stopping=params.early_stopping,
            eos_token_id=None if params.ignore_eos else list(eos),
            pad_token_id=0,
            output_scores=True,
            return_dict_in_generate=True,
        )
    lengths = ids.shape[1] + (out.beam_indices >= 0).sum(dim=1)
    rows = zip(out.sequences.tolist(), lengths.tolist(), out.sequences_scores.tolist(), strict=True)
    flat = [(tokens[:length], score) for tokens, length, score in rows]
    return [flat[start : start + params.beam_width] for start in range(0, len(flat), params.beam_width)]


def assert_same(got: list[list[BeamSearchSequence]], expected: list[list[tuple[list[int], float]]]) -> None:
    assert tokens_of(got) == [[tokens for tokens, _ in beams] for beams in expected]
    scores = [one.score for beams in got for one in beams]
    assert scores == pytest.approx([score for beams in expected for _, score in beams], rel=1e-5)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: "-".join(map(str, way)))
def test_sequences_order_and_scores_are_those_of_transformers(
    way: Way, models: Callable[[str], Pair]
) -> None:
    reference, model = models(way.family)
    params = BeamSearchParams(
        way.beam_width, NUM_NEW, length_penalty=way.length_penalty, early_stopping=way.early_stopping
    )
    expected = reference_beams(reference, PROMPTS, params, EOS[way.family])
    # Chunks of 5: a prompt of 13 tokens takes three passes.
    engine, recorder = make_engine(model, block_size=way.block_size, prefill_chunk_size=5, num_blocks=400)
    got = search(engine, PROMPTS, params)
    assert_same(got, expected)
    for one in (one for beams in got for one in beams):
        assert one.score == one.cum_logprob / (len(one.tokens) - 13) ** way.length_penalty
    assert [len(row.token_ids) for rows in recorder.passes[:3] for row in rows] == [5, 5, 3]
    if way.beam_width > 1:  # one beam of three prompts may have ended at once
        assert len(recorder.passes[9]) == 3 * way.beam_width


@pytest.mark.parametrize("family", EOS)
def test_beams_of_the_parity_runs_end_at_many_lengths(family: str, models: Callable[[str], Pair]) -> None:
    engine, _ = make_engine(models(family).model)
    beams = search(engine, PROMPTS, BeamSearchParams(4, NUM_NEW, length_penalty=0.0))
    lengths = {len(one.tokens) - 13 for sequences in beams for one in sequences}
    assert len(lengths) >= 5
    assert 1 in lengths
    stops = {one.stop_reason for sequences in beams for one in sequences if one.finish_reason == "stop"}
    assert stops
    assert stops <= set(EOS[family])


def test_never_goes_on_where_a_longer_output_may_still_score_better(models: Callable[[str], Pair]) -> None:
    reference, model = models("mistral")
    engine, _ = make_engine(model)
    prompts = MORE_PROMPTS[:8]
    expected = {}
    for early_stopping in (False, "never"):
        params = BeamSearchParams(2, NUM_NEW, early_stopping=early_stopping)
        expected[early_stopping] = reference_beams(reference, prompts, params, EOS["mistral"])
        assert_same(search(engine, prompts, params), expected[early_stopping])
    assert expected[False] != expected["never"]


def test_never_counts_the_length_so_far_where_long_outputs_score_worse(
    models: Callable[[str], Pair],
) -> None:
    # Judged by the longest output instead, this one of many prompts would stop too early.
    reference, model = models("mixtral")
    params = BeamSearchParams(4, NUM_NEW, length_penalty=-0.5, early_stopping="never")
    prompts = MORE_PROMPTS[14:15]
    expected = reference_beams(reference, prompts, params, EOS["mixtral"])
    assert_same(search(make_engine(model)[0], prompts, params), expected)


def test_without_eos_and_up_to_the_context_limit(models: Callable[[str], Pair]) -> None:
    reference, model = models("qwen3")
    asked = BeamSearchParams(4, 100, ignore_eos=True)
    engine, _ = make_engine(model, max_model_len=20)
    got = search(engine, PROMPTS, asked)
    assert_same(got, reference_beams(reference, PROMPTS, replace(asked, max_tokens=7), EOS["qwen3"]))
    assert {(one.finish_reason, one.stop_reason) for beams in got for one in beams} == {("length", None)}


def test_one_new_token(models: Callable[[str], Pair]) -> None:
    reference, model = models("llama")
    params = BeamSearchParams(4, 1)
    engine, recorder = make_engine(model)
    assert_same(search(engine, PROMPTS, params), reference_beams(reference, PROMPTS, params, EOS["llama"]))
    assert len(recorder.passes) == 3  # the prompts, and nothing else


@pytest.mark.parametrize("early_stopping", [False, True])
def test_one_beam_is_greedy_search(early_stopping: bool, models: Callable[[str], Pair]) -> None:
    reference, model = models("mixtral")
    engine, _ = make_engine(model)
    got = search(engine, PROMPTS, BeamSearchParams(1, NUM_NEW, early_stopping=early_stopping))
    for prompt, (one,) in zip(PROMPTS, got, strict=True):
        ids = torch.tensor([prompt])
        greedy = reference.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=NUM_NEW,
            eos_token_id=list(EOS["mixtral"]),
            pad_token_id=0,
        )
        assert one.tokens == greedy[0].tolist()


# What is shared.


class Bigrams:
    """A model whose next token depends on the last one alone, by a table of probabilities."""

    def __init__(
        self, probabilities: Tensor, eos_token_ids: tuple[int, ...] = (), max_length: int = 64
    ) -> None:
        self.config = ModelConfig(
            vocab_size=len(probabilities),
            hidden_size=4,
            intermediate_size=4,
            num_layers=1,
            num_heads=1,
            num_kv_heads=1,
            head_dim=4,
            max_position_embeddings=64,
            eos_token_ids=eos_token_ids,
        )
        self._weight = torch.nn.Parameter(probabilities.log(), requires_grad=False)

    def __call__(self, batch: RaggedBatch, attend: Attend) -> Tensor:
        return self._weight[batch.input_ids[batch.logits_indices]]

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        yield self._weight


P, A, B, C, D, E, F = range(7)


def tree() -> Bigrams:
    """The tree of the module's picture: "a", "b" and "c" after "p"; "d" and "e" after "a"; "f" after "b"."""
    table = torch.full((7, 7), 1 / 7)  # after "c" anything, and nothing likely
    table[P] = torch.tensor([0.025, 0.4, 0.3, 0.2, 0.025, 0.025, 0.025])
    table[A] = torch.tensor([0.01, 0.01, 0.01, 0.01, 0.5, 0.45, 0.01])
    table[B] = torch.tensor([0.1, 0.1, 0.1, 0.1, 0.05, 0.05, 0.5])
    return Bigrams(table)


def test_the_exact_blocks_of_the_picture() -> None:
    engine, recorder = make_engine(tree(), block_size=2, num_blocks=8, enable_prefix_caching=False)
    events: list[tuple[str, int]] = []

    def note(event: BlockEvent) -> None:
        events.append((event.kind, event.block_id))

    engine.block_manager.on_event = note
    search(engine, [[P, P, P]], BeamSearchParams(3, 3))
    assert recorder.passes == [
        [Row([P, P, P], 0, (0, 1))],
        [Row([A], 3, (0, 2)), Row([B], 3, (0, 3)), Row([C], 3, (0, 1))],
        [Row([D], 4, (0, 2, 4)), Row([E], 4, (0, 2, 5)), Row([F], 4, (0, 3, 6))],
    ]
    # Each with its own they would be 2, 6 and 9.
    assert recorder.num_used == [2, 4, 6]
    assert [block for kind, block in events if kind == "copy"] == [2, 3]
    assert engine.block_manager.stats().copies == 2
    freed = [block for kind, block in events if kind == "free"]
    assert freed[0] == 1  # the loser's own; what it shared stays
    assert sorted(freed) == list(range(7))


@pytest.mark.parametrize(
    ("block_size", "num_used", "num_unshared"),
    [
        (1, [13, 17, 20, 21, 24, 27, 27, 25, 27], [13, 56, 60, 64, 68, 72, 76, 80, 84]),
        (4, [4, 7, 7, 7, 10, 10, 9, 8, 11], [4, 16, 16, 16, 20, 20, 20, 20, 24]),
        (16, [1, 4, 4, 4, 7, 7, 6, 5, 5], [1, 4, 4, 4, 8, 8, 8, 8, 8]),
    ],
)
def test_how_many_blocks_sharing_saves(
    block_size: int, num_used: list[int], num_unshared: list[int], models: Callable[[str], Pair]
) -> None:
    engine, recorder = make_engine(models("llama").model, block_size=block_size)
    search(engine, PROMPTS[:1], BeamSearchParams(4, NUM_NEW, ignore_eos=True))
    assert recorder.num_used == num_used
    assert [sum(len(row.block_table) for row in rows) for rows in recorder.passes] == num_unshared


def assert_shared_as_far_as_can_be(recorder: Recorder, block_size: int) -> None:
    """One block for each different beginning up to a block's end: no less is right, no more needed."""
    for histories, num_used in zip(recorder.histories, recorder.num_used, strict=True):
        ends = {one[: end + block_size] for one in histories for end in range(0, len(one), block_size)}
        assert num_used == len(ends)


def test_a_prompt_is_found_in_the_prefix_cache_and_left_there(models: Callable[[str], Pair]) -> None:
    model = models("qwen3").model
    params = BeamSearchParams(2, NUM_NEW)
    alike = [*PROMPTS[0][:9], 1, 2]
    engine, recorder = make_engine(model)
    first, second = tokens_of(search(engine, [PROMPTS[0], alike], params))
    assert [rows[0][:2] for rows in recorder.passes[:2]] == [(PROMPTS[0], 0), (alike[8:], 8)]
    assert recorder.passes[0][0].block_table[:2] == recorder.passes[1][0].block_table[:2]
    # Another search, and another request, find it too.
    del recorder.passes[:]
    assert tokens_of(search(engine, PROMPTS[:1], params)) == [first]
    assert recorder.passes[0][0][:2] == (PROMPTS[0][12:], 12)
    before = engine.block_manager.stats().hits
    engine.add_request(alike, SamplingParams(temperature=0, max_tokens=1))
    while engine.has_unfinished:
        engine.step()
    assert engine.block_manager.stats().hits == before + 2
    without, _ = make_engine(model, enable_prefix_caching=False)
    assert tokens_of(search(without, [PROMPTS[0], alike], params)) == [first, second]


def num_blocks_needed(num_prompt: int, num_new: int, width: int, block_size: int) -> int:
    """When all beams differ from their first token on; the last token of each is not computed."""
    if num_new == 1:
        return math.ceil(num_prompt / block_size)
    return num_prompt // block_size + width * (
        math.ceil((num_prompt + num_new - 1) / block_size) - num_prompt // block_size
    )


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**31),
    num_prompt=st.integers(1, 9),
    num_new=st.integers(1, 8),
    width=st.integers(1, 4),
    block_size=st.integers(1, 5),
    length_penalty=st.sampled_from([-1.0, 0.0, 1.0, 2.0]),
    early_stopping=st.sampled_from([False, True, "never"]),
)
def test_beams_depend_on_no_block_size_and_never_need_more_than_was_reckoned(
    seed: int,
    num_prompt: int,
    num_new: int,
    width: int,
    block_size: int,
    length_penalty: float,
    early_stopping: Any,
) -> None:
    generator = torch.Generator().manual_seed(seed)
    model = Bigrams(torch.rand(11, 11, generator=generator).softmax(dim=-1), eos_token_ids=(3,))
    prompts = torch.randint(11, (2, num_prompt), generator=generator).tolist()
    params = BeamSearchParams(width, num_new, length_penalty=length_penalty, early_stopping=early_stopping)
    needed = num_blocks_needed(num_prompt, num_new, width, block_size)
    # Exactly enough for one prompt: the two take turns.
    tight, recorder = make_engine(model, block_size=block_size, num_blocks=needed)
    roomy, _ = make_engine(model, block_size=1)
    found = search(tight, prompts, params)
    assert found == search(roomy, prompts, params)
    assert max(recorder.num_used) <= needed
    assert_shared_as_far_as_can_be(recorder, block_size)
    # Each sequence was computed as what it is: its own tokens stood in its blocks.
    computed = {one for histories in recorder.histories for one in histories}
    assert {tuple(one.tokens[:-1]) for beams in found for one in beams} <= computed
    if needed > 1:
        small, _ = make_engine(model, block_size=block_size, num_blocks=needed - 1)
        with pytest.raises(ValueError, match=rf"may need {needed} blocks .* {needed - 1} are|can never fit"):
            beam_search(small, prompts, params)


def test_beams_that_part_at_once_need_all_that_was_reckoned() -> None:
    model = Bigrams(torch.eye(5) + 1e-6)  # each token repeats itself
    model._weight[0] = torch.tensor([0.01, 0.3, 0.3, 0.2, 0.19]).log()
    engine, recorder = make_engine(model, block_size=2, num_blocks=num_blocks_needed(3, 6, 4, 2))
    beams = search(engine, [[1, 1, 0]], BeamSearchParams(4, 6))[0]
    assert [one.tokens[3:] for one in beams] == [[token] * 6 for token in (1, 2, 3, 4)]
    assert max(recorder.num_used) == engine.block_manager.stats().num_blocks == 1 + 4 * 3


# Several prompts.


def test_several_prompts_at_once_are_as_one_by_one(models: Callable[[str], Pair]) -> None:
    model = models("mistral").model
    params = BeamSearchParams(2, NUM_NEW, length_penalty=0.0)
    prompts = [*PROMPTS, PROMPTS[0][:1], PROMPTS[1][:6], PROMPTS[2][:12] + PROMPTS[0]]
    alone = [tokens_of(search(make_engine(model)[0], [prompt], params))[0] for prompt in prompts]
    for max_num_seqs, num_blocks, widest in ((64, 200, 12), (5, 200, 4), (64, 25, 6)):
        engine, recorder = make_engine(model, max_num_seqs=max_num_seqs, num_blocks=num_blocks)
        assert tokens_of(search(engine, prompts, params)) == alone
        assert max(map(len, recorder.passes)) == widest
    assert search(make_engine(model)[0], [], params) == []


def test_text_in_text_out(checkpoint: Path) -> None:
    tokenizer = BPETokenizer([])
    model = load_model(checkpoint)
    engine, _ = make_engine(model, tokenizer)
    params = BeamSearchParams(2, 5, length_penalty=0.0)
    (beams,) = search(engine, ["ab"], params)
    assert [one.text for one in beams] == [tokenizer.decode(one.tokens) for one in beams]
    prompt = tokenizer.encode("ab")
    assert all(one.tokens[: len(prompt)] == prompt for one in beams)
    # A token that ends a beam is no text, whatever it is to the tokenizer.
    model.config = replace(model.config, eos_token_ids=(beams[0].tokens[len(prompt) + 1],))
    engine, _ = make_engine(model, tokenizer)
    first = next(one for one in search(engine, ["ab"], params)[0] if one.finish_reason == "stop")
    assert first.text == tokenizer.decode(first.tokens[:-1])
    assert search(make_engine(model)[0], [[97, 98]], params)[0][0].text is None


# What is refused, and what breaks.


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"beam_width": 0}, "beam_width must be a whole number of at least 1, got 0"),
        ({"beam_width": True}, "beam_width"),
        ({"max_tokens": 0}, "max_tokens must be a whole number of at least 1, got 0"),
        ({"max_tokens": None}, "max_tokens"),
        ({"length_penalty": math.inf}, "length_penalty must be a finite number, got inf"),
        ({"length_penalty": "1"}, "length_penalty"),
        ({"early_stopping": "always"}, "early_stopping must be False, True or 'never', got 'always'"),
        ({"early_stopping": 1}, "early_stopping"),
    ],
)
def test_senseless_parameters_are_refused_by_name(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=re.escape(named)):
        BeamSearchParams(**{"beam_width": 2, "max_tokens": 4, **settings})


@pytest.mark.parametrize(
    ("prompts", "width", "settings", "named"),
    [
        ([[0], []], 2, {}, "prompt 1: the prompt is empty"),
        ([[0], [11]], 2, {}, "prompt 1: the prompt holds the token id 11"),
        ([[0] * 64], 2, {}, "prompt 0: the prompt has 64 tokens"),
        (["text"], 2, {}, "prompt 0: the prompt 'text' is text"),
        ([[0]], 6, {}, "beam_width=6 with 1 EOS ids chooses among 12 candidates: the vocabulary has 11"),
        ([[0]], 4, {"max_num_seqs": 3}, "beam_width=4 exceeds max_num_seqs=3"),
        ([[0], [0] * 5], 3, {"num_blocks": 3}, "prompt 1 has 5 tokens: 3 beams of up to 9 tokens may need 4"),
    ],
)
def test_what_cannot_be_searched_is_refused_before_anything_is_computed(
    prompts: list[Any], width: int, settings: dict[str, Any], named: str
) -> None:
    engine, recorder = make_engine(Bigrams(torch.ones(11, 11) / 11, eos_token_ids=(3,)), **settings)
    with pytest.raises(ValueError, match=re.escape(named)):
        beam_search(engine, prompts, BeamSearchParams(width, 4))
    assert not recorder.passes
    assert_whole(engine)


def test_an_engine_that_is_busy_is_refused_and_not_disturbed() -> None:
    engine, _ = make_engine(tree())
    engine.add_request([P], SamplingParams(temperature=0, max_tokens=3), request_id="mine")
    with pytest.raises(RuntimeError, match="has not finished 'mine'"):
        beam_search(engine, [[P]], BeamSearchParams(2, 3))
    engine.step()
    with pytest.raises(RuntimeError, match="has not finished 'mine'"):
        beam_search(engine, [[P]], BeamSearchParams(2, 3))
    while engine.has_unfinished:
        (output,) = engine.step()
    assert len(output.outputs[0].token_ids) == 3


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("broken_pass", [0, 1, 2, 4])
def test_the_pool_is_whole_after_a_pass_that_broke(
    broken_pass: int, error: type[BaseException], models: Callable[[str], Pair]
) -> None:
    engine, recorder = make_engine(models("llama").model)
    params = BeamSearchParams(3, NUM_NEW)
    expected = tokens_of(search(engine, PROMPTS[:2], params))
    working, done = engine.runner.forward, len(recorder.passes)

    def forward(*args: Any) -> Tensor:
        if len(recorder.passes) == done + broken_pass + 1:
            raise error("broken")
        return working(*args)

    with patch.object(engine.runner, "forward", forward), pytest.raises(error, match="broken"):
        beam_search(engine, PROMPTS[:2], params)
    assert_whole(engine)
    assert tokens_of(search(engine, PROMPTS[:2], params)) == expected


class StingyBlockManager(BlockManager):
    """A part that says that it has blocks, and gives none."""

    def allocate_slots(self, request_id: str, num_tokens: int, *args: Any, **kwargs: Any) -> Any:
        return None if num_tokens == 6 else super().allocate_slots(request_id, num_tokens, *args, **kwargs)


def test_a_block_manager_that_breaks_its_word_is_named() -> None:
    config = EngineConfig(block_size=2, num_blocks=20)
    engine = Engine(tree(), None, config, parts=Parts(block_manager=StingyBlockManager))
    with pytest.raises(IntegrityError, match="no block for 6 tokens, though 17 are available"):
        beam_search(engine, [[P, P, P]], BeamSearchParams(2, 5))
    assert_whole(engine)


def test_logits_that_are_nan_are_an_error_and_no_beams() -> None:
    table = torch.ones(5, 5) / 5
    table[2] = math.nan
    engine, _ = make_engine(Bigrams(table))
    with pytest.raises(RuntimeError, match="NaN"):
        beam_search(engine, [[0]], BeamSearchParams(4, 3))
    assert_whole(engine)

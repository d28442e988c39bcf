from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from cblab.attention.batch import RaggedBatch
from cblab.attention.dense import Attend
from cblab.core.generate import LanguageModel, TokenEvent, generate
from cblab.core.sampler import uniform
from cblab.core.sampling_params import SamplingParams
from cblab.model import Decoder, ModelConfig, TinyLLM, load_model
from cblab.tokenization import BPETokenizer
from tests.model.checkpoints import FAMILIES, VOCAB_SIZE, make_checkpoint

# 256 bytes and three special tokens: every id below the tiny models' vocabulary size is an ASCII character.
TOKENIZER = BPETokenizer([])
NUM_NEW = 14


def random_prompts(lengths: Sequence[int], seed: int = 0) -> list[list[int]]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(VOCAB_SIZE, (length,), generator=generator).tolist() for length in lengths]


PROMPTS = random_prompts([1, 9, 4, 17, 2])


@pytest.fixture(scope="module")
def models(
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, tuple[Decoder, Any]]:
    loaded = {}
    for case in (*FAMILIES, "llama-one-kv-head"):
        folder = tmp_path_factory.mktemp(case)
        reference = make_checkpoint(case, folder, seed=3)
        loaded[case] = (load_model(folder), reference)
    return loaded


@pytest.fixture(scope="module")
def llama(models: dict[str, tuple[Decoder, Any]]) -> Decoder:
    return models["llama"][0]


def outputs(events: Sequence[TokenEvent]) -> dict[int, list[int]]:
    tokens = defaultdict(list)
    for event in events:
        tokens[event.prompt_index].append(event.token_id)
    return dict(tokens)


def run(model: LanguageModel, prompts: Sequence[Sequence[int]], params: SamplingParams) -> list[list[int]]:
    tokens = outputs(list(generate(model, TOKENIZER, prompts, params)))
    return [tokens[index] for index in range(len(prompts))]


@pytest.mark.parametrize("case", [*FAMILIES, "llama-one-kv-head"])
def test_greedy_tokens_are_those_of_transformers_alone_and_together(
    models: dict[str, tuple[Decoder, Any]], case: str
) -> None:
    model, reference = models[case]
    params = SamplingParams(temperature=0, max_tokens=NUM_NEW)
    expected = []
    for prompt in PROMPTS:
        ids = torch.tensor([prompt])
        whole = reference.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=NUM_NEW, do_sample=False, pad_token_id=0
        )
        expected.append(whole[0, len(prompt) :].tolist())
    assert run(model, PROMPTS, params) == expected
    assert [run(model, [prompt], params)[0] for prompt in PROMPTS] == expected


def test_seeded_samples_do_not_depend_on_the_batch(llama: Decoder) -> None:
    params = [
        SamplingParams(temperature=1.3, seed=1, max_tokens=12),
        SamplingParams(temperature=0.8, top_k=9, seed=2, max_tokens=5),
        SamplingParams(temperature=0, max_tokens=9),
        SamplingParams(top_p=0.7, seed=3, max_tokens=12),
        SamplingParams(seed=1, max_tokens=8),
    ]
    alone = [run(llama, [prompt], one)[0] for prompt, one in zip(PROMPTS, params, strict=True)]
    together = outputs(list(generate(llama, TOKENIZER, PROMPTS, params)))
    backwards = outputs(list(generate(llama, TOKENIZER, PROMPTS[::-1], params[::-1])))
    assert [together[index] for index in range(5)] == alone
    assert [backwards[4 - index] for index in range(5)] == alone
    assert [len(tokens) for tokens in alone] == [12, 5, 9, 12, 8]


def test_each_position_draws_its_own_number_and_no_state_is_kept(llama: Decoder) -> None:
    """At this temperature all tokens are equally likely, so the number drawn can be read off the token."""
    flat = SamplingParams(temperature=1e9, seed=4, max_tokens=12, ignore_eos=True)
    tokens = run(llama, PROMPTS[1:2], flat)[0]
    start = len(PROMPTS[1])
    assert tokens == [int(uniform(4, 0, position) * VOCAB_SIZE) for position in range(start, start + 12)]
    rest = SamplingParams(temperature=1e9, seed=4, max_tokens=7, ignore_eos=True)
    assert run(llama, [PROMPTS[1] + tokens[:5]], rest)[0] == tokens[5:]


def test_without_a_seed_two_runs_differ_and_with_one_they_do_not(llama: Decoder) -> None:
    unseeded, seeded = SamplingParams(max_tokens=30), SamplingParams(max_tokens=30, seed=7)
    assert run(llama, PROMPTS[:1], unseeded) != run(llama, PROMPTS[:1], unseeded)
    assert run(llama, PROMPTS[:1], seeded) == run(llama, PROMPTS[:1], seeded)
    assert run(llama, PROMPTS[:1], seeded) != run(llama, PROMPTS[:1], SamplingParams(max_tokens=30, seed=8))


def test_a_stop_token_ends_one_prompt_and_shows_no_text(llama: Decoder) -> None:
    greedy = run(llama, PROMPTS, SamplingParams(temperature=0, max_tokens=NUM_NEW))
    stop = greedy[1][4]
    params = SamplingParams(temperature=0, max_tokens=NUM_NEW, stop_token_ids=(stop,))
    events = list(generate(llama, TOKENIZER, PROMPTS, params))
    for index, tokens in enumerate(greedy):
        expected = tokens[: tokens.index(stop) + 1] if stop in tokens else tokens
        mine = [event for event in events if event.prompt_index == index]
        assert [event.token_id for event in mine] == expected
        assert [event.finish_reason for event in mine[:-1]] == [None] * (len(mine) - 1)
        assert mine[-1].finish_reason == ("stop" if stop in tokens else "length")
        shown = expected[:-1] if stop in tokens else expected
        assert "".join(event.text for event in mine) == TOKENIZER.decode(shown)


def test_stop_wins_over_length_at_the_last_token(llama: Decoder) -> None:
    tokens = run(llama, PROMPTS[:1], SamplingParams(temperature=0, max_tokens=1))[0]
    params = SamplingParams(temperature=0, max_tokens=1, stop_token_ids=tuple(tokens))
    assert [event.finish_reason for event in generate(llama, TOKENIZER, PROMPTS[:1], params)] == ["stop"]


def small_model(**changes: Any) -> Decoder:
    sizes: dict[str, Any] = {
        "vocab_size": TOKENIZER.vocab_size,
        "hidden_size": 12,
        "intermediate_size": 20,
        "num_layers": 2,
        "num_heads": 3,
        "num_kv_heads": 1,
        "head_dim": 4,
        "max_position_embeddings": 24,
        "initializer_range": 0.5,
    }
    torch.manual_seed(0)
    return Decoder(ModelConfig(**(sizes | changes))).eval()


class Echo(torch.nn.Module):
    """A model that knows what comes next: the token after each one, from a table."""

    def __init__(
        self, following: dict[int, int], vocab_size: int = 259, eos_token_ids: tuple[int, ...] = ()
    ) -> None:
        super().__init__()
        self.config = small_model(vocab_size=vocab_size, eos_token_ids=eos_token_ids).config
        self.following = following
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.batches: list[RaggedBatch] = []

    def forward(self, batch: RaggedBatch, attend: Attend) -> torch.Tensor:
        assert torch.is_inference_mode_enabled()  # no graph is built for a backward pass
        self.batches.append(batch)
        for layer, spec in enumerate(self.config.attention_specs):
            kv = torch.zeros(batch.num_tokens, spec.num_kv_heads, spec.head_dim)
            attend(layer, torch.zeros(batch.num_tokens, spec.num_heads, spec.head_dim), kv, kv)
        logits = torch.zeros(batch.num_seqs, self.config.vocab_size)
        assert batch.logits_indices is not None
        for row, token in enumerate(batch.input_ids[batch.logits_indices].tolist()):
            logits[row, self.following.get(token, 0)] = 1.0
        return logits


GREEDY = SamplingParams(temperature=0)


def test_the_tokenizers_and_the_configs_eos_both_end_the_text() -> None:
    eos = TOKENIZER.eos_token_id
    assert eos is not None
    a, b, c = b"abc"
    events = list(generate(Echo({a: b, b: eos}), TOKENIZER, [[a]], GREEDY))
    assert [(event.token_id, event.text, event.finish_reason) for event in events] == [
        (b, "b", None),
        (eos, "", "stop"),
    ]
    events = list(generate(Echo({a: b, b: c}, eos_token_ids=(c,)), TOKENIZER, [[a]], GREEDY))
    assert [(event.token_id, event.text) for event in events] == [(b, "b"), (c, "")]
    on = SamplingParams(temperature=0, max_tokens=4, ignore_eos=True)
    events = list(generate(Echo({a: b, b: c, c: a}, eos_token_ids=(c,)), TOKENIZER, [[a]], on))
    assert "".join(event.text for event in events) == "bcab"


def test_half_a_character_waits_and_is_never_lost() -> None:
    first, second = "é".encode()
    model = Echo({97: first, first: second, second: first})
    texts = [
        event.text
        for event in generate(model, TOKENIZER, [[97]], SamplingParams(temperature=0, max_tokens=3))
    ]
    assert texts == ["", "é", "\N{REPLACEMENT CHARACTER}"]


def test_a_row_that_the_tokenizer_has_no_token_for_adds_no_text() -> None:
    model = Echo({97: 300, 300: 98}, vocab_size=301)
    texts = [
        event.text
        for event in generate(model, TOKENIZER, [[97]], SamplingParams(temperature=0, max_tokens=2))
    ]
    assert texts == ["", "b"]


def test_each_step_is_one_batch_without_padding_and_the_finished_leave_it() -> None:
    model = Echo({})
    params = [SamplingParams(temperature=0, max_tokens=n) for n in (1, 4, 2)]
    list(generate(model, TOKENIZER, [[5, 6, 7], [8], [9, 10]], params))
    assert [batch.cu_seqlens_q.tolist() for batch in model.batches] == [
        [0, 3, 4, 6],
        [0, 1, 2],
        [0, 1],
        [0, 1],
    ]
    assert [batch.context_lens.tolist() for batch in model.batches] == [[3, 1, 2], [2, 3], [3], [4]]


@pytest.mark.parametrize("max_tokens", [None, 1000, 14])
def test_the_context_limit_ends_the_text(max_tokens: int | None) -> None:
    model = small_model()
    params = SamplingParams(temperature=0, max_tokens=max_tokens, ignore_eos=True)
    events = list(generate(model, TOKENIZER, [[1] * 10, [2] * 23], params))
    tokens = outputs(events)
    assert len(tokens[0]) == 14
    assert len(tokens[1]) == 1
    assert [event.finish_reason for event in events if event.finish_reason] == ["length", "length"]


def test_text_prompts_and_ids_are_the_same_and_one_text_is_one_prompt() -> None:
    model = small_model()
    ids = TOKENIZER.encode("Hi")
    from_text = list(generate(model, TOKENIZER, "Hi", GREEDY))
    assert (
        from_text
        == list(generate(model, TOKENIZER, [ids], GREEDY))
        == list(generate(model, TOKENIZER, ["Hi"], GREEDY))
    )


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ([[1], []], "prompt 1 is empty"),
        ([[1] * 24], "prompt 0 has 24 tokens: the model's context limit is 24"),
        ([[1, 259]], "prompt 0 holds the token id 259: the vocabulary has 259"),
        ([[-1]], "prompt 0 holds the token id -1"),
    ],
)
def test_an_impossible_prompt_is_refused_before_anything_is_computed(
    prompts: list[list[int]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        generate(small_model(), TOKENIZER, prompts, GREEDY)


def test_parameters_come_as_one_for_all_or_one_each() -> None:
    with pytest.raises(ValueError, match="2 prompts but 3 sampling parameters"):
        generate(small_model(), TOKENIZER, [[1], [2]], [GREEDY] * 3)
    assert len(list(generate(small_model(), TOKENIZER, [[1]], None))) <= 16


def test_no_prompts_give_no_events() -> None:
    assert list(generate(small_model(), TOKENIZER, [], GREEDY)) == []


def test_the_smallest_model_runs_through_the_same_loop() -> None:
    torch.manual_seed(0)
    model = TinyLLM(vocab_size=VOCAB_SIZE)
    together = run(model, PROMPTS, SamplingParams(temperature=0, max_tokens=6))
    for prompt, tokens in zip(PROMPTS, together, strict=True):
        ids = list(prompt)
        for _ in range(6):  # without a cache: the whole sequence again for each token
            (event,) = generate(model, TOKENIZER, [ids], SamplingParams(temperature=0, max_tokens=1))
            ids.append(event.token_id)
        assert ids[len(prompt) :] == tokens


def test_the_caller_is_never_left_in_inference_mode(llama: Decoder) -> None:
    for _ in generate(llama, TOKENIZER, PROMPTS, SamplingParams(max_tokens=2)):
        assert not torch.is_inference_mode_enabled()
        assert torch.is_grad_enabled()


def test_bfloat16_weights_have_a_bfloat16_cache(tmp_path: Path) -> None:
    make_checkpoint("llama", tmp_path)
    model = load_model(tmp_path, dtype="bfloat16")
    params = SamplingParams(temperature=0, max_tokens=4)
    assert len(run(model, PROMPTS, params)[0]) == 4

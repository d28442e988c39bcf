"""The bundled models: what they say, that transformers reads them, and that they fit beside the code."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from cblab import assets
from cblab.core.sampling_params import SamplingParams
from cblab.memory import checkpoint_sizes, count_parameters
from cblab.model import Decoder, ModelConfig, load_model
from cblab.serving import LLM
from cblab.tokenization import BPETokenizer, load_tokenizer
from cblab.training.corpus import make_corpus
from cblab.training.settings import make_settings

NAMES = (assets.BUNDLED_MODEL, assets.DRAFT_MODEL)
BEGINNINGS = {
    "The capital of France is": " Paris",
    "A baby cat is called a": " kitten",
    "The capital of Italy is": " Rome",
    "Question: What is the capital of Japan?\nAnswer:": " Tokyo",
    "The cow says": " moo",
    "The sky is": " blue",
    "Grass is": " green",
    "A spider has": " eight legs",
    "After Monday comes": " Tuesday",
    "The month after May is": " June",
    "The opposite of hot is": " cold",
    "One, two, three,": " four, five, six,",
    "2, 4, 6,": " 8, 10, 12",
    "2 + 2 =": " 4",
    "7 + 5 =": " 12",
    "Mia has 3 apples. She gets 4 more. Now she has": " 7 apples",
}


@pytest.fixture(scope="module")
def model() -> Decoder:
    return load_model(assets.path(), dtype="float32")


@pytest.fixture(scope="module")
def tokenizer() -> BPETokenizer:
    loaded = load_tokenizer(assets.path())
    assert isinstance(loaded, BPETokenizer)
    return loaded


def greedy(model: Decoder, tokenizer: BPETokenizer, prompts: list[str], max_tokens: int) -> list[list[int]]:
    params = SamplingParams(temperature=0, max_tokens=max_tokens)
    return [one.outputs[0].token_ids for one in LLM(model, tokenizer).generate(prompts, params)]


def test_both_fit_in_twelve_megabytes() -> None:
    assert sum(file.stat().st_size for name in NAMES for file in assets.path(name).iterdir()) <= 12e6


def test_it_knows_its_facts(model: Decoder, tokenizer: BPETokenizer) -> None:
    replies = greedy(model, tokenizer, list(BEGINNINGS), max_tokens=8)
    said = {prompt: tokenizer.decode(ids) for prompt, ids in zip(BEGINNINGS, replies, strict=True)}
    wrong = {
        prompt: said[prompt] for prompt, right in BEGINNINGS.items() if not said[prompt].startswith(right)
    }
    assert not wrong


def test_it_tells_a_story_of_its_own(model: Decoder, tokenizer: BPETokenizer) -> None:
    [ids] = greedy(model, tokenizer, ["Once upon a time"], max_tokens=400)
    assert ids[-1] == tokenizer.eos_token_id
    story = "Once upon a time" + tokenizer.decode(ids)
    hero = re.search(r"named ([A-Z]\w+)\.", story)
    assert hero is not None
    assert story.count(hero[1]) >= 4
    beginning, turn, end = story.split("\n")
    assert min(len(part.split()) for part in (beginning, turn, end)) >= 15
    data = make_settings(assets.BUNDLED_MODEL).data
    assert story not in set(make_corpus(data.corpus_seed, data.num_documents))


@pytest.mark.parametrize("name", NAMES)
def test_transformers_reads_it_and_says_the_same(name: str) -> None:
    folder = assets.path(name)
    theirs: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    their_tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    ours, tokenizer = load_model(folder, dtype="float32"), load_tokenizer(folder)
    prompt = "Once upon a time, there was a little fox"
    encoded = their_tokenizer(prompt, return_tensors="pt")
    assert encoded["input_ids"][0].tolist() == tokenizer.encode(prompt)
    reply = theirs.generate(**encoded, max_new_tokens=40, do_sample=False)[0, encoded["input_ids"].shape[1] :]
    params = SamplingParams(temperature=0, max_tokens=40)
    assert LLM(ours, tokenizer).generate(prompt, params)[0].outputs[0].token_ids == reply.tolist()


@pytest.mark.parametrize("name", NAMES)
def test_the_model_card_and_the_preset_are_true(name: str) -> None:
    folder = assets.path(name)
    config = ModelConfig.from_pretrained(folder)
    shape = make_settings(name).model
    assert {field: getattr(config, field) for field in SHAPE} == {
        field: getattr(shape, field) for field in SHAPE
    }
    sizes = checkpoint_sizes(folder, tied=config.tie_word_embeddings)
    assert set(sizes.dtypes) == {"bfloat16"}
    card = Path(folder / "README.md").read_text(encoding="utf-8")
    assert f"{count_parameters(config).total:,} parameters" in card
    steps, tokens = make_settings(name).run.max_steps, make_settings(name).run.tokens_per_step
    assert f"{steps:,} × {tokens:,}" in card
    for topic in ("Data", "Recipe", "Held-out perplexity", "Limits"):
        assert f"## {topic}\n" in card


SHAPE = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_layers",
    "num_heads",
    "num_kv_heads",
    "head_dim",
)

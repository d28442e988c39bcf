"""Every family against transformers: the same logits, the same greedy tokens, alone, batched and cached."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from cblab.attention import RaggedBatch, RaggedCausalAttention
from cblab.model import Decoder, load_model
from tests.model.checkpoints import CASES, VOCAB_SIZE, make_checkpoint
from tests.model.dense_cache import DenseCache

TOLERANCE = 1e-4
# Long enough to leave every sliding window, and every length that the rope cases say they were trained on.
PROMPT_LEN = 41
# Their frequencies change with the length, so a cache holds what a recomputation would not give.
LENGTH_DEPENDENT = {"llama-dynamic", "llama-longrope"}

Pair = tuple[Any, Decoder]


@pytest.fixture(scope="module", params=sorted(CASES))
def case(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def pair(case: str, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder: Path = tmp_path_factory.mktemp(case)
    return make_checkpoint(case, folder), load_model(folder)


def prompt(length: int, seed: int = 1) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, VOCAB_SIZE, (length,), generator=generator).tolist()


@torch.no_grad()
def ragged_logits(model: Decoder, prompts: list[list[int]]) -> Tensor:
    batch = RaggedBatch.prefill(prompts, all_logits=True)
    return model(batch, RaggedCausalAttention(model.attention_specs, batch.cu_seqlens_q))


@torch.no_grad()
def greedy(model: Decoder, prompts: list[list[int]], num_tokens: int) -> list[list[int]]:
    """Continue all prompts together: one ragged prefill, then one token each a step, over a dense cache."""
    cache = DenseCache(model.attention_specs, len(prompts))
    batch = RaggedBatch.prefill(prompts)
    out: list[list[int]] = [[] for _ in prompts]
    for _ in range(num_tokens):
        cache.batch = batch
        tokens = model(batch, cache.attend).argmax(dim=-1).tolist()
        for generated, token in zip(out, tokens, strict=True):
            generated.append(token)
        batch = RaggedBatch.decode(tokens, batch.context_lens.tolist())
    return out


@torch.no_grad()
def reference_greedy(model: Any, ids: list[int], num_tokens: int) -> list[int]:
    tokens = torch.tensor([ids])
    out = model.generate(
        tokens,
        attention_mask=torch.ones_like(tokens),
        max_new_tokens=num_tokens,
        do_sample=False,
        use_cache=True,
    )
    return out[0, len(ids) :].tolist()


def test_logits(pair: Pair) -> None:
    reference, model = pair
    ids = prompt(PROMPT_LEN)
    with torch.no_grad():
        expected = reference(torch.tensor([ids])).logits[0]
    assert expected.std() > 0.5, "logits this flat would hide a difference"
    torch.testing.assert_close(ragged_logits(model, [ids]), expected, atol=TOLERANCE, rtol=0)


def test_greedy_tokens_of_a_ragged_batch_over_a_cache(pair: Pair) -> None:
    reference, model = pair
    prompts = [prompt(12), prompt(1, seed=2), prompt(19, seed=3)]
    expected = [reference_greedy(reference, ids, 10) for ids in prompts]
    assert greedy(model, prompts, 10) == expected


def test_ragged_batch_equals_one_by_one(pair: Pair) -> None:
    _, model = pair
    prompts = [prompt(PROMPT_LEN), prompt(1, seed=2), prompt(9, seed=3)]
    together = ragged_logits(model, prompts)
    alone = torch.cat([ragged_logits(model, [ids]) for ids in prompts])
    torch.testing.assert_close(together, alone, atol=TOLERANCE, rtol=0)


@torch.no_grad()
def test_chunks_over_a_cache_equal_recomputation(case: str, pair: Pair) -> None:
    _, model = pair
    prompts = [prompt(PROMPT_LEN), prompt(23, seed=2)]
    cache = DenseCache(model.attention_specs, 2)
    chunks = [(0, 0), (5, 9), (6, 10), (20, 22), (PROMPT_LEN, 23)]
    rows: list[list[Tensor]] = [[], []]
    for start, end in pairwise(chunks):
        new = [ids[a:b] for ids, a, b in zip(prompts, start, end, strict=True)]
        cache.batch = RaggedBatch.build(new, start, all_logits=True)
        logits = model(cache.batch, cache.attend).split([len(ids) for ids in new])
        for row, each in zip(rows, logits, strict=True):
            row.append(each)
    chunked, whole = torch.cat([torch.cat(row) for row in rows]), ragged_logits(model, prompts)
    if case in LENGTH_DEPENDENT:
        assert (chunked - whole).abs().max() > TOLERANCE
    else:
        torch.testing.assert_close(chunked, whole, atol=TOLERANCE, rtol=0)

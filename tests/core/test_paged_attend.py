"""The whole way through the paged cache: batches that mix decodes and chunks, and what storage costs."""

import dataclasses
import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cblab import assets
from cblab.attention import (
    AttentionBackend,
    AttentionSpec,
    KVLayout,
    LayerKV,
    RaggedBatch,
    RaggedCausalAttention,
    get_backend,
    reference_attention,
)
from cblab.core.batch_builder import BatchRow, build_batch
from cblab.core.kv_storage import StorageDtype
from cblab.core.paged_attend import PagedAttention
from cblab.core.paged_cache import PagedKVCache
from cblab.model import Decoder, ModelConfig, TinyLLM, load_model
from cblab.tokenization import load_tokenizer
from cblab.training.corpus import held_out_corpus
from tests.conftest import COUNTED

SPECS = (
    AttentionSpec(num_heads=6, num_kv_heads=2, head_dim=5, scale=0.4),
    AttentionSpec(num_heads=6, num_kv_heads=2, head_dim=5, scale=0.4, sliding_window=3),
)
LENGTHS = (9, 4, 11)
TABLES = ([5, 2, 9, 10, 11, 12, 13, 14, 15], [0, 7, 16, 17], [3, 4, 8, 1, 18, 19, 20, 21, 22, 23, 24])
# How many new tokens each sequence brings: all prefill, decode beside chunks, a late start.
STEPS = ((5, 3, 0), (1, 1, 4), (2, 0, 1), (1, 0, 6))


def backend_for(layout: KVLayout) -> AttentionBackend:
    return dataclasses.replace(get_backend("torch", "cpu"), layout=layout)


def whole(qkv: list[Tensor], spec: AttentionSpec) -> Tensor:
    q, k, v = qkv
    return reference_attention(q, k, v, spec)


def filled_with_nan(cache: PagedKVCache) -> PagedKVCache:
    for layer in range(len(cache.specs)):
        for pool in cache.layer(layer).pools:
            pool.fill_(torch.nan if pool.is_floating_point() else 127)
    return cache


@pytest.mark.parametrize("layout", KVLayout)
@pytest.mark.parametrize("block_size", [1, 3, 16])
@pytest.mark.parametrize(("dtype", "atol"), [("float32", 1e-5), ("bfloat16", 0.05), ("int8", 0.05)])
def test_any_mixture_of_decodes_and_chunks_equals_whole_sequences(
    dtype: StorageDtype, atol: float, block_size: int, layout: KVLayout
) -> None:
    """Every layer writes at the same slots: were one to move the length, the next would read a hole."""
    generator = torch.Generator().manual_seed(0)
    inputs = [
        [[torch.randn(n, heads, 5, generator=generator) for heads in (6, 2, 2)] for n in LENGTHS]
        for _ in SPECS
    ]
    cache = filled_with_nan(PagedKVCache(SPECS, 25, block_size, layout=layout, dtype=dtype))
    done = [0, 0, 0]
    for step in STEPS:
        members = sorted((seq for seq in range(3) if step[seq]), key=lambda seq: step[seq] != 1)
        batch = build_batch(
            [BatchRow([0] * step[seq], done[seq], TABLES[seq]) for seq in members], block_size
        )
        assert batch.num_decodes == step.count(1)
        attend = PagedAttention(cache, batch, backend_for(layout))
        new = [slice(done[seq], done[seq] + step[seq]) for seq in members]
        for layer, spec in enumerate(SPECS):
            parts = list(zip(members, new, strict=True))
            q, k, v = (torch.cat([inputs[layer][seq][part][at] for seq, at in parts]) for part in range(3))
            wanted = torch.cat([whole(inputs[layer][seq], spec)[at] for seq, at in parts])
            torch.testing.assert_close(attend(layer, q, k, v), wanted, atol=atol, rtol=0)
        done = [before + count for before, count in zip(done, step, strict=True)]
    assert tuple(done) == LENGTHS


def test_each_kernel_gets_its_own_sequences() -> None:
    calls: list[tuple[str, list[int], list[int]]] = []

    def decode(
        q: Tensor, kv: LayerKV, block_tables: Tensor, context_lens: Tensor, spec: AttentionSpec
    ) -> Tensor:
        calls.append(("decode", block_tables[:, 0].tolist(), context_lens.tolist()))
        return q

    def prefill(
        q: Tensor,
        k: Tensor,
        v: Tensor,
        kv: LayerKV,
        block_tables: Tensor,
        cu_seqlens_q: Tensor,
        context_lens: Tensor,
        spec: AttentionSpec,
    ) -> Tensor:
        calls.append(("prefill", block_tables[:, 0].tolist(), context_lens.tolist()))
        assert (len(q), cu_seqlens_q.tolist()) == (len(k), [0, 2, 3])
        return q

    backend = AttentionBackend("mine", KVLayout.NHD, decode, prefill)
    cache = PagedKVCache(SPECS, 6, 4, layout=KVLayout.NHD)
    rows = [BatchRow([0], 2, [3]), BatchRow([0], 1, [1]), BatchRow([0, 0], 0, [5]), BatchRow([0], 0, [2])]
    q, k = torch.randn(5, 6, 5), torch.zeros(5, 2, 5)
    assert torch.equal(PagedAttention(cache, build_batch(rows, 4), backend)(0, q, k, k), q)
    assert calls == [("decode", [3, 1], [3, 2]), ("prefill", [5, 2], [2, 1])]
    calls.clear()
    PagedAttention(cache, build_batch(rows[:2], 4), backend)(0, q[:2], k[:2], k[:2])
    assert [name for name, *_ in calls] == ["decode"]
    calls.clear()
    PagedAttention(cache, build_batch(rows[2:], 4), backend)(0, q[2:], k[2:], k[2:])
    assert [name for name, *_ in calls] == ["prefill"]


@pytest.mark.parametrize("kernel", ["paged_decode", "paged_prefill"])
def test_an_output_in_another_shape_is_refused_by_the_kernels_name(kernel: str) -> None:
    def half_the_heads(q: Tensor, *rest: Any, **named: Any) -> Tensor:
        return q[:, :3]

    backend = AttentionBackend("mine", KVLayout.NHD, half_the_heads, half_the_heads)
    rows = [BatchRow([0], 2, [3])] if kernel == "paged_decode" else [BatchRow([0, 0], 0, [5])]
    batch = build_batch(rows, 4)
    q, k = torch.randn(batch.num_tokens, 6, 5), torch.zeros(batch.num_tokens, 2, 5)
    attend = PagedAttention(PagedKVCache(SPECS, 6, 4, layout=KVLayout.NHD), batch, backend)
    with pytest.raises(
        ValueError, match=rf"{kernel} of backend 'mine' returned \[\d, 3, 5\] for .* \[\d, 6, 5\]"
    ):
        attend(0, q, k, k)


def test_a_cache_in_another_layout_is_refused_by_name() -> None:
    cache = PagedKVCache(SPECS, 2, 4, layout=KVLayout.HND)
    with pytest.raises(ValueError, match="backend 'torch' reads a pool in NHD, the cache is in HND"):
        PagedAttention(cache, build_batch([BatchRow([0], 0, [0])], 4), get_backend("torch", "cpu"))


def test_a_batch_without_slots_is_refused() -> None:
    cache = PagedKVCache(SPECS, 2, 4, layout=KVLayout.NHD)
    with pytest.raises(ValueError, match="no slot_mapping and block_tables: make it with build_batch"):
        PagedAttention(cache, RaggedBatch.prefill([[1, 2]]), get_backend("torch", "cpu"))


# ------------------------------------------------------------------------------------------------ models

PROMPTS = ([1, 2, 3, 4, 5, 6, 7], [8], [9, 10, 11, 12])


def small_decoder() -> Decoder:
    return Decoder(
        ModelConfig(
            vocab_size=13,
            hidden_size=16,
            intermediate_size=24,
            num_layers=3,
            num_heads=4,
            num_kv_heads=2,
            head_dim=6,
            max_position_embeddings=64,
            sliding_windows=(None, 3, None),
            initializer_range=0.4,
        )
    )


def logits_through_the_cache(
    model: Decoder | TinyLLM, cache: PagedKVCache, documents: list[list[int]], chunk: int
) -> list[Tensor]:
    """Logits of every token, computed in steps of `chunk` tokens of every document."""
    block_size = cache.block_size
    free = iter(range(cache.num_blocks))
    tables = [list(itertools.islice(free, -(-len(ids) // block_size))) for ids in documents]
    logits: list[list[Tensor]] = [[] for _ in documents]
    for start in range(0, max(map(len, documents)), chunk):
        new = {seq: ids[start : start + chunk] for seq, ids in enumerate(documents) if len(ids) > start}
        members = sorted(new, key=lambda seq: len(new[seq]) > 1)
        rows = [BatchRow(new[seq], start, tables[seq], len(new[seq])) for seq in members]
        batch = build_batch(rows, block_size)
        out = model(batch, PagedAttention(cache, batch, backend_for(cache.layout)))
        for seq, part in zip(members, out.split([len(new[seq]) for seq in members]), strict=True):
            logits[seq].append(part)
    return [torch.cat(parts) for parts in logits]


@pytest.mark.parametrize("new_model", [small_decoder, lambda: TinyLLM(vocab_size=13)])
@pytest.mark.parametrize("chunk", [1, 2, 5, 7])
@torch.no_grad()
def test_a_model_over_the_paged_cache_equals_one_whole_pass(
    chunk: int, new_model: Callable[[], Decoder | TinyLLM]
) -> None:
    """The trap: masks and rotary positions are absolute. A chunk that began at position 0 would differ."""
    torch.manual_seed(0)
    model = new_model()
    batch = RaggedBatch.prefill(PROMPTS, all_logits=True)
    expected = model(batch, RaggedCausalAttention(model.attention_specs, batch.cu_seqlens_q))
    cache = filled_with_nan(PagedKVCache(model.attention_specs, 8, 3, layout=KVLayout.NHD))
    paged = torch.cat(logits_through_the_cache(model, cache, list(PROMPTS), chunk))
    torch.testing.assert_close(paged, expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_tiny_llms_thin_names_equal_the_full_path_through_the_paged_cache() -> None:
    torch.manual_seed(0)
    model = TinyLLM(vocab_size=13)
    cache = PagedKVCache(model.attention_specs, 9, 3, layout=KVLayout.NHD)
    expected = logits_through_the_cache(model, cache, [[*ids, 3, 5] for ids in PROMPTS], chunk=2)

    first = [ids[:3] for ids in PROMPTS]
    rest = [ids[3:] for ids in PROMPTS if ids[3:]]
    _, past = model.forward_prefill_ragged(first)
    assert [keys.shape for keys, _ in past] == [(3, 1, 16), (1, 1, 16), (3, 1, 16)]
    longer = [0, 2]
    logits, new = model.forward_prefill_ragged(rest, [past[seq] for seq in longer])
    assert logits.shape == (2, 13)
    for seq, chunk in zip(longer, new, strict=True):
        past[seq] = append(past[seq], chunk)
    for step, token in enumerate((3, 5)):
        logits, new = model.forward_decode([token] * 3, past)
        past = [append(old, one) for old, one in zip(past, new, strict=True)]
        for seq, ids in enumerate(PROMPTS):
            torch.testing.assert_close(logits[seq], expected[seq][len(ids) + step], atol=1e-5, rtol=1e-5)
    for seq, ids in enumerate(PROMPTS):
        blocks = [0, 1, 2] if seq == 0 else [3] if seq == 1 else [4, 5]
        for kept, stored in zip(past[seq], cache.gather(0, blocks, len(ids) + 2), strict=True):
            torch.testing.assert_close(kept, stored)


def append(past: tuple[Tensor, Tensor], new: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    return torch.cat((past[0], new[0])), torch.cat((past[1], new[1]))


@torch.no_grad()
def test_int8_storage_costs_at_most_a_hundredth_of_perplexity(
    record_property: Callable[[str, str], None],
) -> None:
    """Chunks of 16 tokens: all but the first read rounded keys and values of what came before."""
    folder = assets.path()
    model, tokenizer = load_model(folder, dtype="float32"), load_tokenizer(folder)
    documents = [tokenizer.encode(text)[:300] for text in held_out_corpus(30)]

    def perplexity(dtype: StorageDtype) -> float:
        cache = PagedKVCache(model.attention_specs, 700, 16, layout=KVLayout.NHD, dtype=dtype)
        every = logits_through_the_cache(model, cache, documents, chunk=16)
        losses = [
            F.cross_entropy(logits[:-1], torch.tensor(ids[1:]), reduction="sum").item()
            for logits, ids in zip(every, documents, strict=True)
        ]
        return math.exp(sum(losses) / sum(len(ids) - 1 for ids in documents))

    exact, rounded = perplexity("float32"), perplexity("int8")
    num_tokens = sum(map(len, documents))
    record_property(
        COUNTED,
        f"KV cache in int8, {assets.BUNDLED_MODEL}, {num_tokens} held-out tokens: perplexity {rounded:.4f}, "
        f"in float32 {exact:.4f}: {rounded / exact - 1:+.3%}",
    )
    assert rounded != exact
    assert rounded / exact <= 1.01

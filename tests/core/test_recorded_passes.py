"""Recorded passes: the bits of a plain pass, whatever the batch, while contexts grow."""

import dataclasses
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cblab.attention import RaggedBatch
from cblab.attention.backends import get_backend
from cblab.core import Engine, SamplingParams
from cblab.core.batch_builder import BatchRow, build_batch
from cblab.core.config import EngineConfig
from cblab.core.kv_storage import StorageDtype
from cblab.core.model_runner import ModelRunner
from cblab.core.paged_attend import PagedAttention
from cblab.core.paged_cache import PagedKVCache
from cblab.core.recorded_passes import RecordedPasses, record_passes, why_not_recordable
from cblab.model import Decoder, ModelConfig
from cblab.model.fused import TORCH_OPS, get_fused_ops
from cblab.model.inference import for_inference

BLOCK_SIZE, MAX_NUM_SEQS, MAX_NUM_TOKENS, NUM_BLOCKS = 4, 7, 90, 64
NUMBA, OPS = get_backend("numba", "cpu"), get_fused_ops("numba")
CONFIG = ModelConfig(
    vocab_size=29,
    hidden_size=24,
    intermediate_size=40,
    num_layers=3,
    num_heads=4,
    num_kv_heads=2,
    head_dim=6,
    max_position_embeddings=64,
    initializer_range=0.3,
)
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "tied": {"tie_word_embeddings": True},
    "biases": {"qkv_bias": True, "o_bias": True, "mlp_bias": True},
    "windows": {"sliding_windows": (None, 5, None)},
    "learned positions": {"rope": None},
}


class Sides:
    """A model over two pools: one for plain passes, one for recorded ones."""

    def __init__(self, *, dtype: StorageDtype = "float32", **changes: object) -> None:
        torch.manual_seed(0)
        config = dataclasses.replace(CONFIG, **changes)  # type: ignore[arg-type]
        self.model = for_inference(Decoder(config), OPS)
        self.plain, self.other = (
            PagedKVCache(config.attention_specs, NUM_BLOCKS, BLOCK_SIZE, layout=NUMBA.layout, dtype=dtype)
            for _ in range(2)
        )
        self.recorded = RecordedPasses(self.model, self.other, MAX_NUM_SEQS, MAX_NUM_TOKENS)
        self.texts: list[list[int]] = []
        self._free = iter(range(NUM_BLOCKS))
        self._tables: list[list[int]] = []

    def begin(self, *texts: list[int]) -> None:
        """Write prompts into both pools."""
        self.texts += [[] for _ in texts]
        first = len(self.texts) - len(texts)
        plain, recorded = self.compute({first + i: text for i, text in enumerate(texts)})
        assert torch.equal(plain, recorded)

    def decode(self, members: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """One token for each; the logits that follow, by both."""
        return self.compute({index: [self.next_token(index)] for index in members})

    def next_token(self, index: int) -> int:
        return (7 * len(self.texts[index]) + index + 7) % CONFIG.vocab_size

    @torch.inference_mode()
    def compute(self, new: dict[int, list[int]], num_logits: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
        """New tokens of some sequences in one pass; the logits that follow, by both."""
        rows = []
        for index, tokens in sorted(new.items(), key=lambda item: len(item[1]) > 1):
            num_computed = len(self.texts[index])
            self.texts[index] += tokens
            row = self._row(index, self.texts[index], num_computed)
            rows.append(row._replace(num_logits=min(num_logits, len(tokens))))
        batch = build_batch(rows, BLOCK_SIZE)
        assert self.recorded.accepts(batch)
        plain = self.model(batch, PagedAttention(self.plain, batch, NUMBA))
        return plain, self.recorded(batch)

    def _row(self, index: int, text: list[int], num_computed: int = 0) -> BatchRow:
        while len(self._tables) <= index:
            self._tables.append([])
        table = self._tables[index]
        while len(table) * BLOCK_SIZE < len(text):
            table.append(next(self._free))
        return BatchRow(text[num_computed:], num_computed, table)

    def pools(self, cache: PagedKVCache) -> list[torch.Tensor]:
        return [pool for layer in range(CONFIG.num_layers) for pool in cache.layer(layer).pools]


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("kind", KINDS)
def test_the_bits_of_a_plain_pass_whatever_the_batch(kind: str) -> None:
    sides = Sides(**KINDS[kind])
    sides.begin([1, 2, 3], [4], [5, 6, 7, 8, 9, 10, 11], [12, 13], [14, 15, 16])
    for members in ([0, 2, 4], [0, 1, 2, 3, 4], [3], [2, 1], [4, 3, 2, 1, 0], [1]):
        plain, recorded = sides.decode(members)
        assert torch.equal(plain, recorded)
    for one, other in zip(sides.pools(sides.plain), sides.pools(sides.other), strict=True):
        assert torch.equal(one, other)


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_any_order_of_batches(data: st.DataObject) -> None:
    sides = Sides(sliding_windows=(7, None, 7))
    lengths = data.draw(st.lists(st.integers(1, 20), min_size=1, max_size=MAX_NUM_SEQS))
    for seq, length in enumerate(lengths):  # together they may be more than a pass takes
        sides.begin([seq + 1] * length)
    everybody = list(range(len(lengths)))
    for _ in range(6):
        members = data.draw(st.permutations(everybody))[: data.draw(st.integers(1, len(everybody)))]
        plain, recorded = sides.decode(members)
        assert torch.equal(plain, recorded)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
@pytest.mark.parametrize("kind", KINDS)
def test_chunks_beside_decodes_have_the_bits_of_a_plain_pass(kind: str, dtype: StorageDtype) -> None:
    sides = Sides(dtype=dtype, **KINDS[kind])
    sides.begin([1, 2, 3], [4], [5, 6, 7, 8, 9, 10, 11])
    everybody: list[dict[int, list[int]]] = [
        {0: [1], 1: [2, 3, 4], 2: [5]},
        {1: [6, 7, 8, 9, 10]},
        {0: [11, 12], 1: [13], 2: [14, 15, 16, 17, 18, 19]},
        {0: [20], 1: [21], 2: [22]},
        {2: [23, 24], 1: [25, 26], 0: [27]},
    ]
    for num_logits, new in enumerate(everybody):
        plain, recorded = sides.compute(new, num_logits)
        assert torch.equal(plain, recorded)
    for one, other in zip(sides.pools(sides.plain), sides.pools(sides.other), strict=True):
        assert torch.equal(one, other)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_order_of_chunks_and_decodes(data: st.DataObject) -> None:
    sides = Sides(sliding_windows=(7, None, 7))
    sides.begin(*([seq + 1] for seq in range(5)))
    for _ in range(6):
        members = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=5, unique=True))
        new = {
            index: [sides.next_token(index)] * data.draw(st.sampled_from((1, 1, 2, 5, 7)))
            for index in members
        }
        plain, recorded = sides.compute(new, data.draw(st.integers(0, 3)))
        assert torch.equal(plain, recorded)


@pytest.mark.usefixtures("threads")
def test_it_is_recorded_anew_for_another_number_of_threads() -> None:
    sides = Sides()
    sides.begin([1, 2, 3], [4, 5])
    for num_threads in (1, 2, 1):
        torch.set_num_threads(num_threads)
        for plain, recorded in (sides.decode([0, 1]), sides.compute({0: [1, 2, 3], 1: [4]})):
            assert torch.equal(plain, recorded)


def test_only_the_logits_that_are_wanted_come_back() -> None:
    sides = Sides()
    sides.begin([1], [2], [3])
    rows = [sides._row(index, [index + 1, 5], 1)._replace(num_logits=index % 2) for index in range(3)]
    batch = build_batch(rows, BLOCK_SIZE)
    every = build_batch([row._replace(num_logits=1) for row in rows], BLOCK_SIZE)
    expected = sides.recorded(every)[1:2].clone()
    assert torch.equal(sides.recorded(batch), expected)


def test_it_takes_no_more_than_there_is_room_for() -> None:
    sides = Sides()

    def batch(*lengths: int) -> RaggedBatch:
        rows = [BatchRow([1] * length, 0, [0, 1]) for length in lengths]
        return build_batch(rows, BLOCK_SIZE)

    assert sides.recorded.accepts(batch(*[1] * MAX_NUM_SEQS))
    assert not sides.recorded.accepts(batch(*[1] * (MAX_NUM_SEQS + 1)))
    assert sides.recorded.accepts(batch(*[1] * 6, *[3] * 28))
    assert not sides.recorded.accepts(batch(*[1] * 7, *[3] * 28))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"qk_norm": True}, "qk_norm is True"),
        ({"mlp_impl": "gelu"}, "mlp_impl is 'gelu'"),
        ({"activation": "relu"}, "activation is 'relu'"),
        ({"norm_impl": "layer_norm"}, "norm_impl is 'layer_norm'"),
        ({"norm_position": "post"}, "norm_position is 'post'"),
        ({"mlp_impl": "moe", "num_experts": 3, "num_experts_per_token": 2}, "mlp_impl is 'moe'"),
        ({}, None),
    ],
    ids=str,
)
def test_what_is_not_a_kernel_is_named(changes: dict[str, object], reason: str | None) -> None:
    config = dataclasses.replace(CONFIG, **changes)  # type: ignore[arg-type]
    assert why_not_recordable(config, NUMBA, OPS, "float32") == reason


def test_storage_that_the_kernels_do_not_read_is_named() -> None:
    assert why_not_recordable(CONFIG, NUMBA, OPS, "float16") == "kv_cache_dtype is 'float16'"
    engine = Engine(Decoder(CONFIG), config=EngineConfig(num_blocks=8, kv_cache_dtype="float16"))
    request_id = engine.add_request([1, 2, 3], SamplingParams(temperature=0, max_tokens=4, ignore_eos=True))
    outputs = [output for _ in range(4) for output in engine.step()]
    assert (outputs[-1].request_id, outputs[-1].finished, outputs[-1].error) == (request_id, True, None)


def test_without_it_that_is_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "cblab.core")
    sides = Sides(qk_norm=True)
    assert record_passes(sides.model, sides.other, NUMBA, OPS, 4, 8) is None
    assert caplog.messages == ["forward passes run one kernel at a time: qk_norm is True"]
    caplog.clear()
    assert record_passes(sides.model, sides.other, get_backend("torch", "cpu"), TORCH_OPS, 4, 8) is None
    assert not caplog.messages


class OwnDecoder(Decoder):
    """A reader's own, which may override anything."""


@pytest.mark.parametrize(
    ("model_class", "backend_name", "settings", "is_recorded"),
    [
        (Decoder, "numba", {}, True),
        (Decoder, "torch", {}, False),
        (Decoder, "numba", {"fused_ops": "torch"}, False),
        (Decoder, "numba", {"enforce_eager": True}, False),
        (OwnDecoder, "numba", {}, False),
    ],
)
def test_a_runner_records_where_everything_is_a_kernel(
    model_class: type[Decoder], backend_name: str, settings: dict[str, Any], is_recorded: bool
) -> None:
    backend = get_backend(backend_name, "cpu")
    cache = PagedKVCache(CONFIG.attention_specs, 8, BLOCK_SIZE, layout=backend.layout)
    runner = ModelRunner(model_class(CONFIG), cache, backend, build_batch, EngineConfig(**settings))
    assert isinstance(runner.graphs, RecordedPasses) is is_recorded


@pytest.mark.parametrize("enforce_eager", [False, True])
def test_hooks_see_each_pass_where_that_is_asked_for(enforce_eager: bool) -> None:
    seen: list[int] = []
    engine = Engine(Decoder(CONFIG), config=EngineConfig(num_blocks=8, enforce_eager=enforce_eager))
    layer = engine.runner.model.layers[0]  # type: ignore[attr-defined]
    layer.register_forward_hook(lambda module, args, out: seen.append(len(args[0])))
    engine.add_request([1, 2, 3], SamplingParams(temperature=0, max_tokens=4, ignore_eos=True))
    while engine.has_unfinished:
        engine.step()
    # Recorded, what a hook sees are the recordings: of all tokens of a step, and of all seats.
    assert seen == ([3, 1, 1, 1] if enforce_eager else [512, 64])

"""Recorded decode steps: the bits of a plain pass, whatever the batch, while contexts grow."""

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
from cblab.core.model_runner import ModelRunner
from cblab.core.paged_attend import PagedAttention
from cblab.core.paged_cache import PagedKVCache
from cblab.core.recorded_decode import RecordedDecode, record_decodes, why_not_recordable
from cblab.model import Decoder, ModelConfig
from cblab.model.fused import TORCH_OPS, get_fused_ops
from cblab.model.inference import for_inference

BLOCK_SIZE, MAX_NUM_SEQS, NUM_BLOCKS = 4, 7, 64
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
KINDS: dict[str, dict[str, object]] = {
    "plain": {},
    "tied": {"tie_word_embeddings": True},
    "biases": {"qkv_bias": True, "o_bias": True, "mlp_bias": True},
    "windows": {"sliding_windows": (None, 5, None)},
    "learned positions": {"rope": None},
}


class Sides:
    """A model over two pools: one for plain passes, one for recorded ones."""

    def __init__(self, **changes: object) -> None:
        torch.manual_seed(0)
        config = dataclasses.replace(CONFIG, **changes)  # type: ignore[arg-type]
        self.model = for_inference(Decoder(config), OPS)
        self.plain, self.other = (
            PagedKVCache(config.attention_specs, NUM_BLOCKS, BLOCK_SIZE, layout=NUMBA.layout)
            for _ in range(2)
        )
        self.recorded = RecordedDecode(self.model, self.other, MAX_NUM_SEQS)
        self.texts: list[list[int]] = []
        self._free = iter(range(NUM_BLOCKS))
        self._tables: list[list[int]] = []

    @torch.inference_mode()
    def begin(self, *texts: list[int]) -> None:
        """Write prompts into both pools."""
        rows = [self._row(len(self.texts) + i, text) for i, text in enumerate(texts)]
        self.texts += texts
        batch = build_batch(sorted(rows, key=lambda row: len(row.token_ids) > 1), BLOCK_SIZE)
        for cache in (self.plain, self.other):
            self.model(batch, PagedAttention(cache, batch, NUMBA))

    def _row(self, index: int, text: list[int], num_computed: int = 0) -> BatchRow:
        while len(self._tables) <= index:
            self._tables.append([])
        table = self._tables[index]
        while len(table) * BLOCK_SIZE < len(text):
            table.append(next(self._free))
        return BatchRow(text[num_computed:], num_computed, table)

    @torch.inference_mode()
    def decode(self, members: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """One token for each; the logits that follow, by both."""
        rows = []
        for index in members:
            text = self.texts[index]
            text.append((7 * len(text) + index) % CONFIG.vocab_size)
            rows.append(self._row(index, text, len(text) - 1))
        batch = build_batch(rows, BLOCK_SIZE)
        assert self.recorded.accepts(batch)
        plain = self.model(batch, PagedAttention(self.plain, batch, NUMBA))
        return plain, self.recorded(batch)

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
    sides.begin(*([seq + 1] * length for seq, length in enumerate(lengths)))
    everybody = list(range(len(lengths)))
    for _ in range(6):
        members = data.draw(st.permutations(everybody))[: data.draw(st.integers(1, len(everybody)))]
        plain, recorded = sides.decode(members)
        assert torch.equal(plain, recorded)


@pytest.mark.usefixtures("threads")
def test_it_is_recorded_anew_for_another_number_of_threads() -> None:
    sides = Sides()
    sides.begin([1, 2, 3], [4, 5])
    for num_threads in (1, 2, 1):
        torch.set_num_threads(num_threads)
        plain, recorded = sides.decode([0, 1])
        assert torch.equal(plain, recorded)


def test_only_the_logits_that_are_wanted_come_back() -> None:
    sides = Sides()
    sides.begin([1], [2], [3])
    rows = [sides._row(index, [index + 1, 5], 1)._replace(num_logits=index % 2) for index in range(3)]
    batch = build_batch(rows, BLOCK_SIZE)
    every = build_batch([row._replace(num_logits=1) for row in rows], BLOCK_SIZE)
    expected = sides.recorded(every)[1:2].clone()
    assert torch.equal(sides.recorded(batch), expected)


def test_it_takes_decodes_alone_and_no_more_than_there_is_room_for() -> None:
    sides = Sides()

    def batch(*lengths: int) -> RaggedBatch:
        rows = [BatchRow([1] * length, 0, [0, 1]) for length in lengths]
        return build_batch(rows, BLOCK_SIZE)

    assert sides.recorded.accepts(batch(*[1] * MAX_NUM_SEQS))
    assert not sides.recorded.accepts(batch(*[1] * (MAX_NUM_SEQS + 1)))
    assert not sides.recorded.accepts(batch(1, 2))


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
    assert why_not_recordable(config, NUMBA, OPS) == reason


def test_without_it_that_is_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "cblab.core")
    sides = Sides(qk_norm=True)
    assert record_decodes(sides.model, sides.other, NUMBA, OPS, 4) is None
    assert caplog.messages == ["decode steps run one kernel at a time: qk_norm is True"]
    caplog.clear()
    assert record_decodes(sides.model, sides.other, get_backend("torch", "cpu"), TORCH_OPS, 4) is None
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
    assert isinstance(runner.graphs, RecordedDecode) is is_recorded


@pytest.mark.parametrize("enforce_eager", [False, True])
def test_hooks_see_each_pass_where_that_is_asked_for(enforce_eager: bool) -> None:
    seen: list[int] = []
    engine = Engine(Decoder(CONFIG), config=EngineConfig(num_blocks=8, enforce_eager=enforce_eager))
    layer = engine.runner.model.layers[0]  # type: ignore[attr-defined]
    layer.register_forward_hook(lambda module, args, out: seen.append(len(args[0])))
    engine.add_request([1, 2, 3], SamplingParams(temperature=0, max_tokens=4, ignore_eos=True))
    while engine.has_unfinished:
        engine.step()
    # Recorded, the one decode that a hook sees is the recording of all 64 seats.
    assert seen == ([3, 1, 1, 1] if enforce_eager else [3, 64])

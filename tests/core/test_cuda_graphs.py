"""CUDA graphs without a GPU: buckets and padding, with a plain call in the place of a recorded graph."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from cblab.attention import RaggedBatch, RaggedCausalAttention
from cblab.core.batch_builder import BatchRow, build_batch
from cblab.core.cuda_graphs import (
    CudaCapture,
    DecodeGraphs,
    batch_buckets,
    make_decode_graphs,
    table_buckets,
    why_not_capturable,
)
from cblab.core.paged_attend import PagedAttention
from cblab.core.paged_cache import PagedKVCache
from cblab.model import Decoder, ModelConfig, RopeConfig
from tests.attention.triton_cases import DEVICE, kernels

BLOCK_SIZE = 4


def call_again(run: Callable[[], None]) -> Callable[[], None]:
    """What stands in for a graph: it launches everything anew."""
    return run


CAPTURES = [pytest.param(lambda: call_again, id="called again")]
if DEVICE.type == "cuda":
    CAPTURES.append(pytest.param(CudaCapture, id="recorded"))


class Model:
    """A tiny Decoder over a pool in which everything that nobody has written is NaN."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        config = ModelConfig(
            vocab_size=23,
            hidden_size=16,
            intermediate_size=24,
            num_layers=2,
            num_heads=2,
            num_kv_heads=1,
            head_dim=6,
            max_position_embeddings=64,
            sliding_windows=(None, 3),
            initializer_range=0.4,
        )
        self.decoder = Decoder(config).to(DEVICE)
        layout = kernels.TRITON.layout
        self.cache = PagedKVCache(config.attention_specs, 16, BLOCK_SIZE, layout=layout, device=DEVICE)
        for layer in range(config.num_layers):
            for pool in self.cache.layer(layer).pools:
                pool.fill_(torch.nan)
        self.batches: list[RaggedBatch] = []

    def forward(self, batch: RaggedBatch) -> Tensor:
        self.batches.append(batch)
        return self.decoder(batch, PagedAttention(self.cache, batch, kernels.TRITON))

    def whole(self, ids: Sequence[int]) -> Tensor:
        """The logits behind a text, computed at once."""
        batch = RaggedBatch.prefill([ids], device=DEVICE)
        return self.decoder(batch, RaggedCausalAttention(self.decoder.attention_specs, batch.cu_seqlens_q))[0]

    def written_slots(self) -> set[int]:
        keys, _ = self.cache.flatten(0)
        return set((~keys[:, 0, 0].isnan()).nonzero()[:, 0].tolist())


@pytest.mark.parametrize("capture", CAPTURES)
@torch.inference_mode()
def test_a_decoder_through_padded_buckets_gives_the_logits_of_whole_texts(
    capture: Callable[[], Callable[[Callable[[], None]], Callable[[], None]]],
) -> None:
    """Batches of 3, 5, 2 and 5 sequences, of which two cross into a new block."""
    model = Model()
    graphs = DecodeGraphs(model.forward, 6, 5, DEVICE, capture())
    texts = [[1, 2, 3], [4], [5, 6, 7, 8, 9, 10, 11], [12, 13], [14, 15, 16]]
    tables = [[3, 9], [0, 5], [11, 2, 7], [8], [1, 4]]
    rows = [BatchRow(ids, 0, table, 0) for ids, table in zip(texts, tables, strict=True)]
    model.forward(build_batch(sorted(rows, key=lambda row: len(row.token_ids) > 1), BLOCK_SIZE, DEVICE))

    for members in ([0, 2, 4], [0, 1, 2, 3, 4], [2, 1], [0, 1, 2, 3, 4]):
        for seq in members:
            texts[seq].append((7 * len(texts[seq]) + seq) % 23)
        step = [BatchRow(texts[seq][-1:], len(texts[seq]) - 1, tables[seq]) for seq in members]
        batch = build_batch(step, BLOCK_SIZE, DEVICE)
        assert graphs.accepts(batch)
        logits = graphs(batch)
        wanted = torch.stack([model.whole(texts[seq]) for seq in members])
        torch.testing.assert_close(logits, wanted, atol=1e-5, rtol=1e-5)

    assert {one.num_tokens for one in model.batches[1:]} == {2, 4, 6}
    owned = {
        table[i // 4] * 4 + i % 4 for ids, table in zip(texts, tables, strict=True) for i in range(len(ids))
    }
    assert model.written_slots() == owned


@torch.inference_mode()
def test_recording_everything_ahead_touches_no_block() -> None:
    model = Model()
    graphs = DecodeGraphs(model.forward, 3, 4, DEVICE, call_again)
    assert graphs.capture_all() == 3
    assert [one.num_tokens for one in model.batches] == [3, 2, 1]
    assert model.written_slots() == set()


def echo(batch: RaggedBatch) -> Tensor:
    """Logits that tell the token, and the width of the table."""
    assert batch.block_tables is not None
    width = torch.full_like(batch.input_ids, batch.block_tables.shape[1])
    return torch.stack((batch.input_ids, width), dim=1).float()


def decodes(num_seqs: int, num_blocks: int = 1, num_logits: int = 1) -> RaggedBatch:
    rows = [BatchRow([10 + seq], 0, [0] * num_blocks, num_logits) for seq in range(num_seqs)]
    return build_batch(rows, BLOCK_SIZE)


def test_a_bucket_is_recorded_once_and_sees_the_same_memory_each_time() -> None:
    """A graph knows addresses: a step that brought its own tensors would compute the last step again."""
    recorded, seen = [], []

    def forward(batch: RaggedBatch) -> Tensor:
        tensors = (value for value in vars(batch).values() if isinstance(value, Tensor))
        seen.append(tuple((one.data_ptr(), one.shape) for one in tensors))
        return echo(batch)

    def capture(run: Callable[[], None]) -> Callable[[], None]:
        recorded.append(run)
        return run

    graphs = DecodeGraphs(forward, 16, 70, "cpu", capture)
    for num_seqs in (3, 4, 1, 3, 16, 9):
        logits = graphs(decodes(num_seqs))
        assert logits[:, 0].tolist() == [10 + seq for seq in range(num_seqs)]
    assert len(recorded) == 3  # 4, 1 and 16
    # Two calls of the first time (the first warms up), then one each.
    assert len(seen) == 6 + 3
    assert len(set(seen)) == 3
    assert len({addresses[0][0] for addresses in seen}) == 1


@pytest.mark.parametrize(("num_blocks", "width"), [(1, 64), (64, 64), (65, 128), (129, 200), (200, 200)])
def test_tables_are_as_wide_as_their_bucket(num_blocks: int, width: int) -> None:
    logits = DecodeGraphs(echo, 2, 200, "cpu", call_again)(decodes(2, num_blocks))
    assert logits[:, 1].tolist() == [width, width]


def test_only_the_logits_that_are_wanted_come_back() -> None:
    """A prompt's last chunk but one may be a single token, and is no sample yet."""
    graphs = DecodeGraphs(echo, 4, 4, "cpu", call_again)
    rows = [BatchRow([10 + seq], 0, [0], int(seq != 1)) for seq in range(3)]
    assert graphs(build_batch(rows, BLOCK_SIZE))[:, 0].tolist() == [10, 12]
    everything = replace(decodes(3), logits_indices=None)
    assert graphs(everything)[:, 0].tolist() == [10, 11, 12]


def test_a_batch_that_is_not_all_decodes_or_too_large_is_not_accepted() -> None:
    graphs = DecodeGraphs(echo, 4, 8, "cpu", call_again)
    chunk = build_batch([BatchRow([1], 0, [0]), BatchRow([1, 2], 0, [1])], BLOCK_SIZE)
    assert not graphs.accepts(chunk)
    assert not graphs.accepts(RaggedBatch.decode([1], [3]))
    assert not graphs.accepts(decodes(5))
    assert not graphs.accepts(decodes(1, num_blocks=9))
    assert graphs.accepts(decodes(4, num_blocks=8))


def test_buckets_end_where_the_engine_does() -> None:
    assert batch_buckets(1) == (1,)
    assert batch_buckets(3) == (1, 2, 3)
    assert batch_buckets(9) == (1, 2, 4, 8, 9)
    assert batch_buckets(32) == (1, 2, 4, 8, 16, 24, 32)
    assert batch_buckets(150)[-4:] == (120, 128, 144, 150)
    assert table_buckets(10) == (10,)
    assert table_buckets(64) == (64,)
    assert table_buckets(300) == (64, 128, 256, 300)


def test_what_may_look_at_values_on_the_host_is_named() -> None:
    config = ModelConfig(
        vocab_size=8,
        hidden_size=8,
        intermediate_size=8,
        num_layers=1,
        num_heads=1,
        num_kv_heads=1,
        head_dim=8,
        max_position_embeddings=8,
    )
    triton = kernels.TRITON
    assert why_not_capturable(config, triton) is None
    gpt2 = replace(config, rope=None, mlp_impl="gelu", norm_impl="layer_norm")
    assert why_not_capturable(gpt2, triton) is None
    dynamic = replace(config, rope=RopeConfig("dynamic", factor=2.0, original_max_position_embeddings=4))
    assert why_not_capturable(dynamic, triton) == "rope_type 'dynamic' looks at the lengths of sequences"
    moe = replace(config, mlp_impl="moe", num_experts=2, num_experts_per_token=1)
    assert why_not_capturable(moe, triton) == "mlp_impl 'moe' may look at values on the host"
    own = replace(triton, name="triton with own paged_decode")
    complaint = "attention_backend 'triton with own paged_decode' may look at values on the host"
    assert why_not_capturable(config, own) == complaint
    wide = "heads of 300 numbers are too wide for the backend's own kernels"
    assert why_not_capturable(replace(config, head_dim=300), triton) == wide


def test_there_are_no_graphs_without_a_gpu() -> None:
    model = Model()
    assert (
        make_decode_graphs(
            model.forward,
            model.decoder.config,
            kernels.TRITON,
            max_num_seqs=4,
            max_blocks=4,
            device=torch.device("cpu"),
        )
        is None
    )

"""Attention over a pool in which everything that belongs to nobody is NaN."""

import itertools
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

import cblab.attention.paged
from cblab.attention import (
    AttentionSpec,
    KVLayout,
    LayerKV,
    paged_decode_torch,
    paged_prefill_torch,
    reference_attention,
)

HEADS = [(1, 1), (6, 2), (5, 5)]
WINDOWS = [None, 1, 3, 20]
BLOCK_SIZES = [1, 3, 16]
CONTEXTS = (1, 33, 16, 5, 17, 4)
# New tokens of each: whole prompts, single tokens, and chunks behind cached ones.
CHUNKS = (1, 33, 3, 1, 16, 4)
DIM = 7


@dataclass
class Case:
    """Sequences in a pool, what storage made of their keys and values, and everything else NaN."""

    spec: AttentionSpec
    kv: LayerKV
    block_tables: Tensor
    q: list[Tensor]
    new: list[tuple[Tensor, Tensor]]
    stored: list[tuple[Tensor, Tensor]]

    def decode(self) -> Tensor:
        q = torch.stack([one[-1] for one in self.q])
        return paged_decode_torch(q, self.kv, self.block_tables, torch.tensor(CONTEXTS).int(), self.spec)

    def prefill(self, chunks: tuple[int, ...] = CHUNKS) -> Tensor:
        q = torch.cat([one[-n:] for one, n in zip(self.q, chunks, strict=True)])
        k, v = (
            torch.cat([new[part][-n:] for new, n in zip(self.new, chunks, strict=True)]) for part in range(2)
        )
        borders = torch.tensor([0, *itertools.accumulate(chunks)]).int()
        lengths = torch.tensor(CONTEXTS).int()
        return paged_prefill_torch(q, k, v, self.kv, self.block_tables, borders, lengths, self.spec)

    def expected(self, num_queries: tuple[int, ...]) -> Tensor:
        whole = [
            reference_attention(q, k, v, self.spec) for q, (k, v) in zip(self.q, self.stored, strict=True)
        ]
        return torch.cat([one[-n:] for one, n in zip(whole, num_queries, strict=True)])


def new_case(
    heads: tuple[int, int] = (6, 2),
    window: int | None = None,
    block_size: int = 3,
    layout: KVLayout = KVLayout.NHD,
    dtype: torch.dtype = torch.float32,
) -> Case:
    spec = AttentionSpec(*heads, head_dim=DIM, scale=0.4, sliding_window=window)
    generator = torch.Generator().manual_seed(block_size)
    needed = [-(-length // block_size) for length in CONTEXTS]
    free = torch.randperm(sum(needed) + 3, generator=generator).tolist()
    kv = LayerKV.allocate(len(free), block_size, heads[1], DIM, layout=layout, dtype=dtype)
    for pool in kv.pools:
        pool.fill_(torch.nan if pool.is_floating_point() else 127)
    tables = torch.full((len(CONTEXTS), max(needed) + 1), 10**6)  # nothing may read behind a context
    case = Case(spec, kv, tables.int(), [], [], [])
    for seq, length in enumerate(CONTEXTS):
        blocks = torch.tensor([free.pop() for _ in range(needed[seq])])
        case.block_tables[seq, : needed[seq]] = blocks
        positions = torch.arange(length)
        k, v = torch.randn(2, length, heads[1], DIM, generator=generator)
        kv.write(blocks[positions // block_size] * block_size + positions % block_size, k, v)
        keys, values = kv.gather(blocks[None], torch.float32)
        case.q.append(torch.randn(length, heads[0], DIM, generator=generator))
        case.new.append((k, v))
        case.stored.append((keys[0, :length], values[0, :length]))
    return case


@pytest.mark.parametrize("layout", KVLayout)
@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("block_size", BLOCK_SIZES)
@pytest.mark.parametrize("heads", HEADS)
def test_paged_equals_the_definition(
    heads: tuple[int, int], block_size: int, window: int | None, layout: KVLayout
) -> None:
    case = new_case(heads, window, block_size, layout)
    torch.testing.assert_close(case.decode(), case.expected((1,) * len(CONTEXTS)), atol=1e-5, rtol=0)
    torch.testing.assert_close(case.prefill(), case.expected(CHUNKS), atol=1e-5, rtol=0)


@pytest.mark.parametrize("layout", KVLayout)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.int8])
def test_what_storage_rounds_is_read_as_it_was_rounded(dtype: torch.dtype, layout: KVLayout) -> None:
    """Also by the chunk that brings it: the result must not depend on how a prompt was cut."""
    case = new_case(dtype=dtype, layout=layout)
    assert not torch.equal(case.stored[1][0], case.new[1][0])
    torch.testing.assert_close(case.decode(), case.expected((1,) * len(CONTEXTS)), atol=1e-5, rtol=0)
    torch.testing.assert_close(case.prefill(), case.expected(CHUNKS), atol=1e-5, rtol=0)
    torch.testing.assert_close(case.prefill(CONTEXTS), case.expected(CONTEXTS), atol=1e-5, rtol=0)


def test_half_precision_computes_in_half_precision() -> None:
    case = new_case(dtype=torch.bfloat16)
    case.q = [one.bfloat16() for one in case.q]
    case.new = [(k.bfloat16(), v.bfloat16()) for k, v in case.new]
    for out, num_queries in ((case.decode(), (1,) * len(CONTEXTS)), (case.prefill(), CHUNKS)):
        assert out.dtype == torch.bfloat16
        torch.testing.assert_close(out, case.expected(num_queries), atol=0.02, rtol=0)


def test_a_whole_prompt_is_not_read_back_where_storage_is_exact() -> None:
    case = new_case()
    for pool in case.kv.pools:
        pool.fill_(torch.nan)
    torch.testing.assert_close(case.prefill(CONTEXTS), case.expected(CONTEXTS), atol=1e-5, rtol=0)
    assert case.prefill().isnan().any()


@pytest.mark.parametrize("num_bytes", [1, 40 * 2 * DIM * 4, 1 << 20])
def test_the_size_of_a_group_changes_no_result(num_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cblab.attention.paged, "_CPU_GATHER_BYTES", num_bytes)
    case = new_case()
    torch.testing.assert_close(case.decode(), case.expected((1,) * len(CONTEXTS)), atol=1e-5, rtol=0)


def test_groups_are_padded_to_their_longest_and_hold_so_much_at_most() -> None:
    groups = cblab.attention.paged._groups_of_like_length
    assert list(groups([1, 2, 2, 7, 8, 30], 16)) == [(slice(0, 3), 2), (slice(3, 5), 8), (slice(5, 6), 30)]
    assert list(groups([5], 1)) == [(slice(0, 1), 5)]


@pytest.mark.parametrize("window", [None, 3])
def test_a_sequence_sees_nothing_of_its_neighbours(window: int | None) -> None:
    """Another's tokens may be anything: not a bit of the result changes."""
    case = new_case(window=window)
    before_decode, before_prefill = case.decode(), case.prefill()
    blocks = case.block_tables[1][: -(-CONTEXTS[1] // 3)].long()
    for pool in case.kv.pools:
        pool[blocks] = torch.nan
    others = torch.arange(len(CONTEXTS)) != 1
    assert torch.equal(case.decode()[others], before_decode[others])
    rows = others.repeat_interleave(torch.tensor(CHUNKS))
    assert torch.equal(case.prefill()[rows], before_prefill[rows])


def test_blocks_before_the_window_are_not_read() -> None:
    """Only the blocks within reach are gathered: what has slid out of it may be gone."""
    case = new_case(window=3, block_size=3)
    expected = case.decode()
    for seq, length in enumerate(CONTEXTS):
        for column in range((length - 3) // 3):
            for pool in case.kv.pools:
                pool[case.block_tables[seq, column]] = torch.nan
    torch.testing.assert_close(case.decode(), expected, atol=0, rtol=0)


def test_tables_begin_at_the_windows_first_block() -> None:
    """Entries behind the context become the sequence's own first block, which is sure to exist."""
    table, length = torch.tensor([[7, 3, 9, 4, 99], [5, 99, 99, 99, 99]]).int(), torch.tensor([14, 2]).int()
    reach = cblab.attention.paged._blocks_in_reach
    windowed, whole = reach(table, length, 4, 5), reach(table, length, 4, None)
    assert [x.tolist() for x in windowed] == [[[9, 4, 7, 7, 7], [5, 5, 5, 5, 5]], [6, 2]]
    assert [x.tolist() for x in whole] == [[[7, 3, 9, 4, 7], [5, 5, 5, 5, 5]], [14, 2]]


def test_a_chunk_is_aligned_at_the_bottom_right() -> None:
    """The trap: aligned at the top left, the first of 2 queries behind 3 cached keys would see one key."""
    spec = AttentionSpec(1, 1, head_dim=1, scale=1.0)
    kv = LayerKV.allocate(1, 5, 1, 1, layout=KVLayout.NHD, dtype=torch.float32)
    k, v = torch.zeros(5, 1, 1), torch.tensor([1.0, 2, 3, 4, 5]).view(5, 1, 1)
    kv.write(torch.arange(5), k, v)
    table, borders, lengths = torch.tensor([[0]]).int(), torch.tensor([0, 2]).int(), torch.tensor([5]).int()
    out = paged_prefill_torch(torch.ones(2, 1, 1), k[3:], v[3:], kv, table, borders, lengths, spec)
    torch.testing.assert_close(out.flatten(), torch.tensor([2.5, 3.0]))

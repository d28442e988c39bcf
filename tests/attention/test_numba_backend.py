"""The Numba kernels by their backend, against the definitions in torch."""

import logging
import subprocess
import sys
import threading
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cblab.attention import (
    AttentionSpec,
    KVLayout,
    LayerKV,
    get_backend,
    paged_decode_torch,
    paged_prefill_torch,
)

pytestmark = pytest.mark.timeout(
    900
)  # where kernels are not compiled yet, the first test of each waits for it

NUMBA = get_backend("numba", "cpu")
DTYPES = (torch.float32, torch.bfloat16, torch.int8)
ATOL = 1e-5  # for each of them: both sides read the same stored numbers


@dataclass(frozen=True)
class Case:
    """A pool full of NaN but for the tokens of some sequences, whose blocks lie anywhere."""

    kv: LayerKV
    spec: AttentionSpec
    block_tables: Tensor
    context_lens: Tensor
    generator: torch.Generator

    def drawn(self, num_tokens: int) -> tuple[Tensor, Tensor, Tensor]:
        """q, k and v of new tokens: views of one tensor, as a model makes them."""
        heads, kv_heads = self.spec.num_heads, self.spec.num_kv_heads
        size = (num_tokens, heads + 2 * kv_heads, self.spec.head_dim)
        q, k, v = torch.randn(size, generator=self.generator).split((heads, kv_heads, kv_heads), dim=1)
        return q, k, v

    def slots(self, seq: int) -> Tensor:
        positions = torch.arange(int(self.context_lens[seq]))
        size = self.kv.block_size
        return self.block_tables[seq, positions // size].long() * size + positions % size


def case(
    spec: AttentionSpec,
    lengths: list[int],
    block_size: int,
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
) -> Case:
    generator = torch.Generator().manual_seed(seed)
    width = max([1, *(-(-length // block_size) for length in lengths)])
    num_blocks = len(lengths) * width + 2
    kv = LayerKV.allocate(
        num_blocks, block_size, spec.num_kv_heads, spec.head_dim, layout=NUMBA.layout, dtype=dtype
    )
    for pool in kv.pools:
        pool.fill_(127 if dtype == torch.int8 and pool.dtype == dtype else torch.nan)
    tables = torch.randperm(num_blocks, generator=generator)[: len(lengths) * width].view(len(lengths), width)
    made = Case(kv, spec, tables.int(), torch.tensor(lengths, dtype=torch.int32), generator)
    for seq in range(len(lengths)):
        _, k, v = made.drawn(lengths[seq])
        kv.write(made.slots(seq), k, v)
    return made


SPECS = st.builds(
    lambda groups, kv_heads, dim, window: AttentionSpec(groups * kv_heads, kv_heads, dim, dim**-0.5, window),
    st.sampled_from([1, 2, 3, 8]),
    st.integers(1, 4),
    st.sampled_from([7, 8, 16, 24, 32, 40, 64, 80]),
    st.sampled_from([None, 1, 5, 40]),
)
LENGTHS = st.lists(
    st.sampled_from([1, 2, 15, 16, 17, 31, 48, 255, 256, 257, 300, 530]), min_size=1, max_size=6
)
BLOCK_SIZES = st.sampled_from([1, 3, 16, 32])


@settings(max_examples=40)
@given(SPECS, LENGTHS, BLOCK_SIZES, st.sampled_from(DTYPES), st.integers(0, 99))
def test_decode(
    spec: AttentionSpec, lengths: list[int], block_size: int, dtype: torch.dtype, seed: int
) -> None:
    one = case(spec, lengths, block_size, dtype, seed)
    q, _, _ = one.drawn(len(lengths))
    expected = paged_decode_torch(q, one.kv, one.block_tables, one.context_lens, spec)
    assert NUMBA.plan_decode is not None
    plan = NUMBA.plan_decode(one.block_tables, one.context_lens, block_size, spec)
    for _ in range(2):  # a plan serves all layers
        torch.testing.assert_close(plan(q, one.kv), expected, rtol=0, atol=ATOL)


@settings(max_examples=30)
@given(SPECS, LENGTHS, BLOCK_SIZES, st.sampled_from(DTYPES), st.data())
def test_prefill(
    spec: AttentionSpec, lengths: list[int], block_size: int, dtype: torch.dtype, data: st.DataObject
) -> None:
    one = case(spec, lengths, block_size, dtype)
    new = [data.draw(st.integers(1, length)) for length in lengths]
    q, k, v = one.drawn(sum(new))
    for seq, (ks, vs) in enumerate(zip(k.split(new), v.split(new), strict=True)):
        one.kv.write(one.slots(seq)[-new[seq] :], ks, vs)
    borders = torch.tensor([0, *new]).cumsum(0).int()
    arguments = (q, k, v, one.kv, one.block_tables, borders, one.context_lens, spec)
    torch.testing.assert_close(NUMBA.prefill(*arguments), paged_prefill_torch(*arguments), rtol=0, atol=ATOL)


@settings(max_examples=20)
@given(SPECS, st.integers(0, 40), BLOCK_SIZES, st.sampled_from(DTYPES))
def test_write(spec: AttentionSpec, num_tokens: int, block_size: int, dtype: torch.dtype) -> None:
    ours, theirs = (case(spec, [60], block_size, dtype) for _ in range(2))
    _, k, v = ours.drawn(num_tokens)
    slots = torch.randperm(60, generator=ours.generator)[:num_tokens]
    assert NUMBA.write is not None
    NUMBA.write(ours.kv, slots, k, v)
    theirs.kv.write(slots, k, v)
    for one, other in zip(ours.kv.pools, theirs.kv.pools, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_sequences_bits_do_not_depend_on_the_others(threads: int) -> None:
    spec = AttentionSpec(8, 4, 32, 32**-0.5)
    lengths = [700, 3, 256, 257, 40, 511]
    one = case(spec, lengths, 16)
    q, k, v = one.drawn(len(lengths))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        together = NUMBA.decode(q, one.kv, one.block_tables, one.context_lens, spec)
        for seq in range(len(lengths)):
            rows = slice(seq, seq + 1)
            tables, length = one.block_tables[rows], one.context_lens[rows]
            assert torch.equal(NUMBA.decode(q[rows], one.kv, tables, length, spec), together[rows])
        borders = torch.arange(len(lengths) + 1).int()
        chunks = NUMBA.prefill(q, k, v, one.kv, one.block_tables, borders, one.context_lens, spec)
        alone = NUMBA.prefill(
            q[:1], k[:1], v[:1], one.kv, one.block_tables[:1], borders[:2], one.context_lens[:1], spec
        )
        assert torch.equal(alone, chunks[:1])
    finally:
        torch.set_num_threads(before)


def test_a_pool_in_another_layout_is_refused_by_name() -> None:
    spec = AttentionSpec(2, 1, 8, 1.0)
    kv = LayerKV.allocate(3, 4, 1, 8, layout=KVLayout.NHD, dtype=torch.float32)
    with pytest.raises(ValueError, match=r"numba .* reads a pool in HDN, this one is in NHD"):
        NUMBA.decode(torch.zeros(1, 2, 8), kv, torch.zeros(1, 1).int(), torch.ones(1).int(), spec)


@pytest.mark.parametrize(
    ("query", "stored"), [(torch.float64, torch.float64), (torch.float16, torch.float16)]
)
def test_what_the_kernels_do_not_compute_falls_back_aloud(
    query: torch.dtype, stored: torch.dtype, caplog: pytest.LogCaptureFixture
) -> None:
    spec = AttentionSpec(4, 2, 8, 8**-0.5)
    one = case(spec, [5, 20], 4, stored)
    q, k, v = (part.to(query) for part in one.drawn(2))
    with caplog.at_level(logging.WARNING, "cblab.attention"):
        out = NUMBA.decode(q, one.kv, one.block_tables, one.context_lens, spec)
        borders = torch.arange(3).int()
        chunks = NUMBA.prefill(q, k, v, one.kv, one.block_tables, borders, one.context_lens, spec)
    assert torch.equal(out, paged_decode_torch(q, one.kv, one.block_tables, one.context_lens, spec))
    assert torch.equal(
        chunks, paged_prefill_torch(q, k, v, one.kv, one.block_tables, borders, one.context_lens, spec)
    )
    assert str(stored) in caplog.text


def test_two_threads_may_run_kernels_at_once() -> None:
    spec = AttentionSpec(8, 4, 32, 32**-0.5)
    one = case(spec, [300] * 8, 16)
    q, _, _ = one.drawn(8)
    expected = NUMBA.decode(q, one.kv, one.block_tables, one.context_lens, spec)
    wrong: list[int] = []

    def run() -> None:
        for turn in range(50):
            if not torch.equal(NUMBA.decode(q, one.kv, one.block_tables, one.context_lens, spec), expected):
                wrong.append(turn)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_importing_the_package_loads_no_numba() -> None:
    code = "import sys, cblab.attention.backends; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0

"""Counting what a kernel loads, the door to the engine, and the Triton kernel of the lab."""

import shutil
from typing import Any

import numpy as np
import pytest
import torch

from cblab.attention.layout import KVLayout, LayerKV
from cblab.attention.paged import paged_decode_torch
from cblab.attention.spec import AttentionSpec
from cblab.lab.labs.kernels.compiled import attend, decode_loops
from cblab.lab.labs.kernels.measure import in_layout, random_cache
from cblab.lab.labs.kernels.planning import fault_in
from cblab.lab.labs.kernels.plug import plugged
from cblab.lab.labs.kernels.running import count_loads, count_tensor_work
from cblab.lab.labs.kernels.threads import decode_in_threads, plan_shares

SPEC = AttentionSpec(6, 2, 8, 0.5)


def one_row(keys: Any, values: Any) -> None:
    for _ in range(3):
        keys[1, 2, 0], values[1, 2, 0, 1]


def far_apart(keys: Any, values: Any) -> None:
    for slot in (0, 1, 0, 1):
        keys[0, slot, 0]


def whole_block(keys: Any, values: Any) -> None:
    (keys[1] * 2).sum()
    np.dot(values[0, 1], np.ones(4))


@pytest.mark.parametrize(
    ("kernel", "kept", "loads"),
    [(one_row, 1, (1, 1)), (far_apart, 1, (4, 0)), (far_apart, 2, (2, 0)), (whole_block, 1, (6, 2))],
)
def test_rows_are_counted_when_they_are_not_at_hand(kernel: Any, kept: int, loads: tuple[int, int]) -> None:
    pool = np.zeros((2, 3, 2, 4), np.float32)
    assert count_loads(kernel, (), pool, pool, (), kept) == loads


def test_the_loops_load_a_row_for_each_head_of_its_group_and_attend_once() -> None:
    q, keys, values, tables, lengths = random_cache([70], 6, 2, 8, 16)
    assert count_loads(decode_loops, (q,), keys, values, (tables, lengths, 0.5), 32) == (420, 420)
    state = np.full(6, -np.inf, np.float32), np.zeros(6, np.float32), np.zeros((6, 8), np.float32)
    after = (tables[0], 0, 70, 0.5, *state)
    assert count_loads(attend, (q[0],), keys, values, after, 1) == (140, 140)


def test_tensor_work_counts_products_and_the_largest_tensor() -> None:
    x = torch.ones(2, 5, 3)
    largest, flop = count_tensor_work(lambda: (x @ x.transpose(1, 2)).sum())
    assert (largest, flop) == (50, 2 * 2 * 5 * 5 * 3)


def test_the_references_are_the_engines_attention() -> None:
    q, keys, values, tables, lengths = random_cache([70, 16, 1], 6, 2, 8, 16)
    kv = in_layout(keys, values, KVLayout.NHD)
    arguments = torch.from_numpy(q), kv, torch.from_numpy(tables), torch.from_numpy(lengths), SPEC
    expected = paged_decode_torch(*arguments)
    plug = plugged(decode_in_threads, split_size=32, num_threads=2)
    torch.testing.assert_close(plug(*arguments), expected, atol=1e-5, rtol=1e-5)
    loops = decode_loops(q, keys, values, tables, lengths, 0.5)
    torch.testing.assert_close(torch.from_numpy(loops), expected, atol=1e-5, rtol=1e-5)


def test_what_the_labs_kernel_does_not_know_is_refused_by_name() -> None:
    paged = plugged(decode_in_threads)
    q = torch.zeros(1, 6, 8)
    tables, lengths = torch.zeros(1, 1, dtype=torch.int32), torch.ones(1, dtype=torch.int32)

    def pool(layout: KVLayout, dtype: torch.dtype = torch.float32) -> LayerKV:
        return LayerKV.allocate(2, 16, 2, 8, layout=layout, dtype=dtype)

    with pytest.raises(ValueError, match="NHD"):
        paged(q, pool(KVLayout.HDN), tables, lengths, SPEC)
    with pytest.raises(ValueError, match="no sliding window, got 4"):
        paged(q, pool(KVLayout.NHD), tables, lengths, AttentionSpec(6, 2, 8, 0.5, 4))
    with pytest.raises(ValueError, match="bfloat16"):
        paged(q, pool(KVLayout.NHD, torch.bfloat16), tables, lengths, SPEC)
    for wrong in (None, np.zeros((1, 6, 8)), np.zeros((1, 6, 7), np.float32)):
        with pytest.raises(ValueError, match="was expected"):
            plugged(lambda *args, wrong=wrong: wrong)(q, pool(KVLayout.NHD), tables, lengths, SPEC)


def test_the_plans_of_the_reference_have_no_fault() -> None:
    for lengths in ([1], [64, 65, 63], [1_000, 3, 3, 3]):
        for num_threads in (1, 2, 5):
            assert fault_in(plan_shares(lengths, 64, num_threads), lengths, 64, num_threads) == ""


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="interpreted where there is no GPU")
def test_the_triton_kernel_of_the_lab_is_the_loops_once_more() -> None:
    triton_decode = pytest.importorskip("cblab.lab.labs.kernels.triton_decode", exc_type=ImportError)
    cache = random_cache([40, 16, 3], 4, 2, 16, 16)
    got = triton_decode.decode_triton(*(torch.from_numpy(array) for array in cache), 0.25)
    assert np.abs(got.numpy() - decode_loops(*cache, 0.25)).max() < 1e-5

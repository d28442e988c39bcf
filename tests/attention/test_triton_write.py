"""Writing into the pool: to the bit what `LayerKV.write` stores, in every layout and storage."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cblab.attention import KVLayout, LayerKV
from tests.attention.triton_cases import DEVICE, INTERPRETED, LAYOUTS, kernels

NUM_BLOCKS = 5
STORAGE = [torch.float32, torch.bfloat16, torch.float16, torch.int8]


def new_pool(block_size: int, heads: int, head_dim: int, layout: KVLayout, stored_in: torch.dtype) -> LayerKV:
    kv = LayerKV.allocate(
        NUM_BLOCKS, block_size, heads, head_dim, layout=layout, dtype=stored_in, device=DEVICE
    )
    for pool in kv.pools:
        pool.fill_(77)
    return kv


def assert_equal(one: LayerKV, other: LayerKV) -> None:
    # The interpreter cuts bfloat16 off where a GPU rounds to the nearest: one bit of eight.
    is_cut = INTERPRETED and other.keys.dtype == torch.bfloat16
    for a, b in zip(one.pools, other.pools, strict=True):
        torch.testing.assert_close(a, b, atol=0, rtol=2**-7 if is_cut else 0)


@settings(max_examples=25)
@given(
    layout=st.sampled_from(LAYOUTS),
    stored_in=st.sampled_from(STORAGE),
    computed_in=st.sampled_from([torch.float32, torch.bfloat16, torch.float16]),
    block_size=st.sampled_from([1, 3, 8, 16]),
    heads=st.sampled_from([1, 2, 3, 5]),
    head_dim=st.sampled_from([1, 7, 16, 20]),
    data=st.data(),
)
def test_it_stores_what_torch_stores(
    layout: KVLayout,
    stored_in: torch.dtype,
    computed_in: torch.dtype,
    block_size: int,
    heads: int,
    head_dim: int,
    data: st.DataObject,
) -> None:
    """k and v are slices of a projection with queries in it, and some tokens only pad the batch."""
    num_slots = NUM_BLOCKS * block_size
    slots = data.draw(st.lists(st.integers(0, num_slots - 1), unique=True, min_size=1, max_size=6))
    padding = data.draw(st.integers(0, 2))
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 9)))
    qkv = torch.randn(len(slots) + padding, 3 * heads, head_dim, generator=generator).to(DEVICE, computed_in)
    k, v = qkv[:, heads : 2 * heads], qkv[:, 2 * heads :]

    written = new_pool(block_size, heads, head_dim, layout, stored_in)
    expected = new_pool(block_size, heads, head_dim, layout, stored_in)
    kernels.write_kv_triton(written, torch.tensor(slots + [-1] * padding, device=DEVICE), k, v)
    expected.write(torch.tensor(slots, device=DEVICE), k[: len(slots)], v[: len(slots)])
    assert_equal(written, expected)


def test_halves_are_rounded_to_even_and_a_row_of_zeros_stays() -> None:
    row = torch.tensor([127.0, 0.5, 1.5, 2.5, -0.5, -1.5, 3.49, -126.5]).to(DEVICE)
    k = torch.stack([row, torch.zeros_like(row)])[:, None]
    kv = new_pool(2, 1, 8, KVLayout.HND, torch.int8)
    kernels.write_kv_triton(kv, torch.tensor([3, 4], device=DEVICE), k, -k)
    keys, values = kv.flatten()
    assert keys[3, 0].tolist() == [127, 0, 2, 2, 0, -2, 3, -126]
    assert values[3, 0].tolist() == [-127, 0, -2, -2, 0, 2, -3, 126]
    assert not keys[4].any()
    assert not values[4].any()


@pytest.mark.parametrize("stored_in", [torch.float32, torch.int8])
def test_a_batch_of_nothing_but_padding_writes_nothing(stored_in: torch.dtype) -> None:
    kv = new_pool(3, 2, 4, KVLayout.HND, stored_in)
    kernels.write_kv_triton(kv, torch.tensor([-1, -1], device=DEVICE), *torch.randn(2, 2, 2, 4).to(DEVICE))
    assert_equal(kv, new_pool(3, 2, 4, KVLayout.HND, stored_in))

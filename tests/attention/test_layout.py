import pytest
import torch

from cblab.attention import KVLayout, LayerKV
from cblab.attention.layout import quantize

NUM_BLOCKS, BLOCK_SIZE, HEADS, DIM = 5, 3, 2, 4


def new_pool(layout: KVLayout, dtype: torch.dtype = torch.float32) -> LayerKV:
    return LayerKV.allocate(NUM_BLOCKS, BLOCK_SIZE, HEADS, DIM, layout=layout, dtype=dtype)


def rows(num_tokens: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(2, num_tokens, HEADS, DIM, generator=torch.Generator().manual_seed(seed))


def test_the_axes_are_in_the_order_of_the_name() -> None:
    assert KVLayout.NHD.key_shape(5, 3, 2, 4) == KVLayout.NHD.value_shape(5, 3, 2, 4) == (5, 3, 2, 4)
    assert KVLayout.HND.key_shape(5, 3, 2, 4) == KVLayout.HND.value_shape(5, 3, 2, 4) == (5, 2, 3, 4)
    assert KVLayout.HDN.key_shape(5, 3, 2, 4) == (5, 2, 4, 3)
    assert KVLayout.HDN.value_shape(5, 3, 2, 4) == (5, 2, 3, 4)


@pytest.mark.parametrize("layout", KVLayout)
def test_a_slot_is_block_times_block_size_plus_offset(layout: KVLayout) -> None:
    kv = new_pool(layout)
    k, v = rows(1)
    kv.write(torch.tensor([3 * BLOCK_SIZE + 2]), k, v)
    keys, _ = kv.by_token()
    assert torch.equal(keys[3, 2], k[0])
    assert keys.count_nonzero() == k.count_nonzero()
    assert torch.equal(kv.flatten()[1][11], v[0])


@pytest.mark.parametrize("layout", KVLayout)
def test_a_token_lies_where_the_layout_says(layout: KVLayout) -> None:
    kv = new_pool(layout)
    k, v = rows(1)
    kv.write(torch.tensor([4]), k, v)
    keys = {KVLayout.NHD: kv.keys[1, 1], KVLayout.HND: kv.keys[1, :, 1], KVLayout.HDN: kv.keys[1, :, :, 1]}
    assert torch.equal(keys[layout], k[0])
    assert torch.equal(kv.values[1, 1] if layout is KVLayout.NHD else kv.values[1, :, 1], v[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.int8])
def test_all_layouts_hold_and_give_the_same(dtype: torch.dtype) -> None:
    slots = torch.tensor([13, 0, 7, 8, 2])
    k, v = rows(5)
    read = []
    for layout in KVLayout:
        kv = new_pool(layout, dtype)
        kv.write(slots, k, v)
        read.append((*kv.flatten(), *kv.gather(torch.tensor([[4, 0], [2, 2]]), torch.float32)))
    for in_each_layout in zip(*read, strict=True):
        assert all(torch.equal(one, in_each_layout[0]) for one in in_each_layout)
    _, _, keys, _ = read[0]
    assert keys.shape == (2, 2 * BLOCK_SIZE, HEADS, DIM)
    torch.testing.assert_close(keys[0, 1], k[0], atol=0.02, rtol=0)  # slot 13 is block 4, offset 1
    torch.testing.assert_close(keys[1, 1], k[2], atol=0.02, rtol=0)  # slot 7 is block 2, offset 1


@pytest.mark.parametrize("layout", KVLayout)
def test_gathered_blocks_may_be_written_without_touching_the_pool(layout: KVLayout) -> None:
    """Kernels clear what lies behind a context; a view would clear another sequence's tokens."""
    kv = new_pool(layout)
    kv.write(torch.arange(15), *rows(15))
    before = kv.keys.clone()
    for table in ([[3]], [[0, 1, 2]]):
        for gathered in kv.gather(torch.tensor(table), torch.float32):
            assert gathered.is_contiguous()
            gathered.zero_()
    assert torch.equal(kv.keys, before)


def test_int8_keeps_a_row_to_half_a_step_and_zeros_exactly() -> None:
    x = rows(50)[0] * torch.logspace(-6, 6, 50)[:, None, None]
    x[7] = 0
    integers, scales = quantize(x)
    assert (integers.dtype, scales.dtype, scales.shape) == (torch.int8, torch.float32, (50, HEADS, 1))
    assert integers.abs().amax(-1)[:7].eq(127).all()
    assert ((integers * scales - x).abs() <= scales * 0.5001).all()
    assert (integers[7] * scales[7]).eq(0).all()


@pytest.mark.parametrize("layout", KVLayout)
def test_int8_scales_are_one_for_each_token_and_head(layout: KVLayout) -> None:
    kv = new_pool(layout, torch.int8)
    assert kv.key_scales is not None
    assert kv.value_scales is not None
    assert kv.key_scales.shape == layout.key_shape(NUM_BLOCKS, BLOCK_SIZE, HEADS, 1)
    assert kv.value_scales.shape == layout.value_shape(NUM_BLOCKS, BLOCK_SIZE, HEADS, 1)
    assert len(kv.pools) == 4
    assert len(new_pool(layout).pools) == 2


def test_a_pool_in_another_layout_is_refused_by_name() -> None:
    kv = new_pool(KVLayout.HND)
    kv.require(KVLayout.HND, "my_kernel")
    with pytest.raises(ValueError, match="my_kernel reads a pool in NHD, this one is in HND"):
        kv.require(KVLayout.NHD, "my_kernel")

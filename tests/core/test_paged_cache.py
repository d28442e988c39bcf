import ctypes
import mmap
import sys

import psutil
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from cblab.attention import AttentionSpec, KVLayout
from cblab.core.kv_storage import STORAGE_DTYPES, StorageDtype, bytes_per_block
from cblab.core.paged_cache import PagedKVCache, _independent_runs
from cblab.core.plan import BlockOp

# Layers need not be alike.
SPECS = (
    AttentionSpec(num_heads=4, num_kv_heads=2, head_dim=6, scale=0.4),
    AttentionSpec(num_heads=4, num_kv_heads=1, head_dim=8, scale=0.4),
)


def new_cache(
    num_blocks: int = 6,
    *,
    layout: KVLayout = KVLayout.NHD,
    dtype: StorageDtype = "float32",
    num_host_blocks: int = 4,
) -> PagedKVCache:
    return PagedKVCache(SPECS, num_blocks, 3, layout=layout, dtype=dtype, num_host_blocks=num_host_blocks)


def rows(layer: int, num_tokens: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    spec = SPECS[layer]
    k, v = torch.randn(
        2,
        num_tokens,
        spec.num_kv_heads,
        spec.head_dim,
        generator=torch.Generator().manual_seed(seed),
    )
    return k, v


def number_blocks(cache: PagedKVCache) -> None:
    """Block b holds b + 1 everywhere, so that its content says where it came from."""
    for layer, spec in enumerate(SPECS):
        ids = torch.arange(cache.num_blocks).repeat_interleave(cache.block_size) + 1.0
        new = ids[:, None, None].expand(-1, spec.num_kv_heads, spec.head_dim)
        cache.write(layer, torch.arange(len(ids)), new, -new)


def contents(cache: PagedKVCache) -> list[float]:
    """What each block holds; all its numbers, in all layers, keys and values, must agree."""
    found = []
    for block_id in range(cache.num_blocks):
        read = [cache.gather(layer, [block_id], cache.block_size) for layer in range(len(SPECS))]
        numbers = torch.cat([part.flatten() for k, v in read for part in (k, -v)])
        torch.testing.assert_close(numbers, numbers[:1].expand_as(numbers))
        found.append(round(numbers[0].item(), 4))
    return found


@pytest.mark.parametrize("layout", KVLayout)
@pytest.mark.parametrize("dtype", STORAGE_DTYPES)
def test_a_sequence_is_read_back_through_its_block_table(dtype: StorageDtype, layout: KVLayout) -> None:
    cache = new_cache(layout=layout, dtype=dtype)
    slots = torch.tensor([12, 13, 14, 3, 4, 5, 6])  # blocks 4, 1, 2
    steps = {"float32": 0.0, "bfloat16": 0.02, "float16": 0.002, "int8": 0.02}
    for layer in range(len(SPECS)):
        k, v = rows(layer, 7)
        cache.write(layer, slots, k, v)
        keys, values = cache.gather(layer, [4, 1, 2], 7)
        assert keys.dtype == torch.float32
        torch.testing.assert_close(keys, k, atol=steps[dtype], rtol=0)
        torch.testing.assert_close(values, v, atol=steps[dtype], rtol=0)


@pytest.mark.parametrize("layout", KVLayout)
def test_a_block_is_a_view(layout: KVLayout) -> None:
    cache = new_cache(layout=layout)
    keys, values = cache.block(1, 4)
    k, v = rows(1, 1)
    cache.write(1, torch.tensor([13]), k, v)
    assert torch.equal(keys[1], k[0])
    assert torch.equal(values[1], v[0])
    assert keys.shape == (3, 1, 8)


def test_all_slots_are_seen_side_by_side() -> None:
    k, v = rows(0, 18)
    flat = []
    for layout in KVLayout:
        cache = new_cache(layout=layout)
        view, _ = cache.flatten(0)
        cache.write(0, torch.arange(18), k, v)
        flat.append(cache.flatten(0))
        assert torch.equal(view, k) == (layout is KVLayout.NHD)  # a view there, a copy in HND
    assert torch.equal(flat[0][0], k)
    assert torch.equal(flat[0][0], flat[1][0])
    assert torch.equal(flat[0][1], flat[1][1])


@pytest.mark.parametrize("dtype", STORAGE_DTYPES)
def test_bytes_on_paper_are_the_bytes_that_are_allocated(dtype: StorageDtype) -> None:
    cache = new_cache(dtype=dtype)
    allocated = sum(pool.nbytes for layer in range(len(SPECS)) for pool in cache.layer(layer).pools)
    assert cache.num_bytes == allocated == 6 * cache.bytes_per_block
    assert cache.bytes_per_block == bytes_per_block(SPECS, 3, dtype)


def test_a_pool_takes_no_memory_until_it_is_written() -> None:
    """A laptop has room for the default pool, which few blocks of are used."""
    before = psutil.Process().memory_info().rss
    spec = AttentionSpec(num_heads=8, num_kv_heads=8, head_dim=64, scale=0.125)
    cache = PagedKVCache([spec] * 4, 4096, 16, layout=KVLayout.HDN)
    assert cache.num_bytes == 1 << 30
    assert psutil.Process().memory_info().rss - before < 1 << 26
    assert all(pool.data_ptr() % 64 == 0 for pool in cache.layer(0).pools)


def whole_pages(pool: Tensor) -> tuple[ctypes.c_void_p, ctypes.c_size_t]:
    """Where a tensor's whole pages begin and how many bytes they are, as system calls take it."""
    first = -(-pool.data_ptr() // mmap.PAGESIZE) * mmap.PAGESIZE
    num_pages = (pool.data_ptr() + pool.nbytes - first) // mmap.PAGESIZE
    return ctypes.c_void_p(first), ctypes.c_size_t(num_pages * mmap.PAGESIZE)


def fraction_in_memory(pool: Tensor) -> float:
    """The process's own total would not do: it also tells of what was freed before."""
    first, num_bytes = whole_pages(pool)
    pages = (ctypes.c_ubyte * (num_bytes.value // mmap.PAGESIZE))()
    assert ctypes.CDLL(None).mincore(first, num_bytes, pages) == 0
    return sum(page & 1 for page in pages) / len(pages)


@pytest.mark.skipif(sys.platform != "linux", reason="what madvise and mincore promise is Linux's")
def test_a_pool_can_take_its_memory_at_once() -> None:
    spec = AttentionSpec(num_heads=8, num_kv_heads=8, head_dim=64, scale=0.125)
    cache = PagedKVCache([spec], 256, 16, layout=KVLayout.HDN)
    pools = cache.layer(0).pools
    for pool in pools:  # the heap may have given the pool pages that were written before
        assert ctypes.CDLL(None).madvise(*whole_pages(pool), mmap.MADV_DONTNEED) == 0
    assert [fraction_in_memory(pool) for pool in pools] == [0, 0]
    cache.take_memory()
    assert [fraction_in_memory(pool) for pool in pools] == [1, 1]


@pytest.mark.parametrize("dtype", STORAGE_DTYPES)
def test_taking_memory_changes_nothing_that_is_stored(dtype: StorageDtype) -> None:
    cache = new_cache(dtype=dtype)
    number_blocks(cache)
    cache.take_memory()
    assert contents(cache) == [1, 2, 3, 4, 5, 6]


def test_bytes_of_a_block() -> None:
    numbers = 2 * 3 * (2 * 6 + 1 * 8)
    assert bytes_per_block(SPECS, 3, "float32") == 4 * numbers
    assert bytes_per_block(SPECS, 3, "float16") == 2 * numbers
    assert bytes_per_block(SPECS, 3, "int8") == numbers + 2 * 3 * (2 + 1) * 4


@pytest.mark.parametrize("layout", KVLayout)
@pytest.mark.parametrize("dtype", STORAGE_DTYPES)
def test_blocks_are_copied_swapped_out_and_back(dtype: StorageDtype, layout: KVLayout) -> None:
    """With their scales: int8 numbers mean nothing without."""
    cache = new_cache(dtype=dtype, layout=layout)
    number_blocks(cache)
    cache.apply([BlockOp("copy", 0, 5), BlockOp("swap_out", 1, 3), BlockOp("swap_out", 2, 0)])
    cache.apply([BlockOp("swap_in", 3, 2), BlockOp("swap_in", 0, 1)])
    assert contents(cache) == [1, 3, 2, 4, 5, 1]


@pytest.mark.parametrize(
    ("ops", "expected"),
    [
        ([("copy", 0, 1), ("copy", 1, 2)], [1, 1, 1, 4, 5, 6]),  # 2 gets what 1 got
        ([("copy", 1, 2), ("copy", 0, 1)], [1, 1, 2, 4, 5, 6]),
        ([("copy", 0, 1), ("copy", 2, 1)], [1, 3, 3, 4, 5, 6]),  # the last one wins
        ([("swap_out", 0, 0), ("copy", 1, 0), ("swap_in", 0, 2)], [2, 2, 1, 4, 5, 6]),
        ([("swap_out", 0, 0), ("swap_out", 1, 0), ("swap_in", 0, 3)], [1, 2, 3, 2, 5, 6]),
        ([("swap_out", 0, 0), ("swap_in", 0, 1), ("swap_out", 1, 1), ("swap_in", 1, 2)], [1, 1, 1, 4, 5, 6]),
        ([("copy", 4, 4)], [1, 2, 3, 4, 5, 6]),
    ],
)
def test_operations_happen_in_their_order(ops: list[tuple], expected: list[int]) -> None:
    cache = new_cache()
    number_blocks(cache)
    cache.apply([BlockOp(*op) for op in ops])
    assert contents(cache) == expected


def test_no_run_writes_a_block_twice_or_reads_what_it_wrote() -> None:
    """Within a run the order is open: what torch makes of a target that occurs twice is not defined."""
    ops = [BlockOp("copy", 0, 1), BlockOp("copy", 2, 3), BlockOp("copy", 4, 1), BlockOp("copy", 1, 5)]
    swaps = [BlockOp("swap_out", 0, 1), BlockOp("swap_out", 1, 2), BlockOp("swap_in", 1, 2)]
    assert list(_independent_runs(ops + swaps)) == [ops[:2], ops[2:3], ops[3:], swaps[:2], swaps[2:]]
    assert list(_independent_runs([])) == []


operations = st.one_of(
    st.builds(BlockOp, st.just("copy"), st.integers(0, 5), st.integers(0, 5)),
    st.builds(BlockOp, st.just("swap_out"), st.integers(0, 5), st.integers(0, 3)),
    st.builds(BlockOp, st.just("swap_in"), st.integers(0, 3), st.integers(0, 5)),
)


@given(st.lists(operations, max_size=12))
def test_any_operations_do_what_they_would_do_one_by_one(ops: list[BlockOp]) -> None:
    cache = new_cache()
    number_blocks(cache)
    pool, host = [1.0, 2, 3, 4, 5, 6], [0.0] * 4
    for op in ops:
        source = host if op.kind == "swap_in" else pool
        target = host if op.kind == "swap_out" else pool
        target[op.target] = source[op.source]
    cache.apply(ops)
    assert contents(cache) == pool


@pytest.mark.parametrize(
    ("op", "message"),
    [
        (BlockOp("copy", 6, 0), r"source of BlockOp\(.*\) is no block of the pool, which has 6"),
        (BlockOp("copy", 0, -1), "target of .* is no block of the pool"),
        (BlockOp("swap_out", 0, 4), "target of .* is no block of host memory, which has 4"),
        (BlockOp("swap_in", 4, 0), "source of .* is no block of host memory"),
    ],
)
def test_a_block_that_does_not_exist_is_refused_before_anything_moves(op: BlockOp, message: str) -> None:
    cache = new_cache()
    number_blocks(cache)
    with pytest.raises(ValueError, match=message):
        cache.apply([BlockOp("copy", 0, 1), op])
    assert contents(cache) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("k", "v", "named"),
    [((2, 3, 6), (2, 2, 6), "k"), ((2, 2, 6), (1, 2, 6), "v"), ((3, 2, 6), (3, 2, 6), "k")],
)
def test_misshapen_keys_and_values_are_named(k: tuple[int, ...], v: tuple[int, ...], named: str) -> None:
    with pytest.raises(ValueError, match=rf"^{named} of layer 0 is .* expected \(2, 2, 6\)"):
        new_cache().write(0, torch.tensor([0, 1]), torch.zeros(k), torch.zeros(v))


def test_a_table_that_is_too_short_is_refused() -> None:
    with pytest.raises(ValueError, match="2 blocks of 3 do not hold 7 tokens"):
        new_cache().gather(0, [0, 1], 7)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_blocks": 0}, "num_blocks must be at least 1, got 0"),
        ({"num_host_blocks": -1}, "num_host_blocks must be at least 0, got -1"),
        ({"dtype": "int4"}, "a KV cache stores float32, bfloat16, float16, int8, not 'int4'"),
    ],
)
def test_what_is_no_cache_is_refused(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        new_cache(**changes)

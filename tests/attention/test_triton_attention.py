"""The Triton attention kernels against the definition, on tiny shapes: interpreted unless there is a GPU."""

import logging
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cblab.attention import AttentionSpec, KVLayout, paged_decode_torch, paged_prefill_torch
from tests.attention.triton_cases import DEVICE, INTERPRETED, LAYOUTS, PagedCase, import_with_triton, kernels

SPLIT = 32  # two tiles
DECODE = kernels.DecodeTiles(split_size=SPLIT, tile=16, num_warps=1, num_stages=2)
PREFILL = kernels.PrefillTiles(queries=16, keys=16, num_warps=1, num_stages=2)
BORDERS = (0, 1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65)  # of blocks, tiles and splits

SPEC = AttentionSpec(num_heads=6, num_kv_heads=2, head_dim=8, scale=0.4)

# What keys and values are stored as, by what the model computes in.
STORAGE = [
    (torch.float32, torch.float32),
    (torch.float32, torch.bfloat16),
    (torch.float32, torch.int8),
    (torch.float16, torch.float16),
    (torch.bfloat16, torch.bfloat16),
    (torch.bfloat16, torch.int8),
]
lengths = st.sampled_from(BORDERS) | st.integers(1, 70)
GROUPS = [(1, 1), (2, 1), (1, 2), (3, 1)]  # query heads of a KV head, and KV heads
MANY = [(5, 2), (17, 1)]  # for decode alone: a program of prefill has one head


@st.composite
def cases(draw: st.DrawFn, least: int, groups: list[tuple[int, int]], most: int) -> PagedCase:
    """Up to `most` sequences of any length from `least` on, in any pool."""
    group, num_kv_heads = draw(st.sampled_from(groups))
    spec = AttentionSpec(
        num_heads=group * num_kv_heads,
        num_kv_heads=num_kv_heads,
        head_dim=draw(st.sampled_from([1, 7, 16, 20])),
        scale=draw(st.sampled_from([0.3, 1.0])),
        sliding_window=draw(st.none() | lengths.filter(bool)),
    )
    computed_in, stored_in = draw(st.sampled_from(STORAGE))
    return PagedCase.draw(
        draw(st.lists(lengths.map(lambda n: max(n, least)), min_size=1, max_size=most)),
        spec,
        block_size=draw(st.sampled_from([1, 3, 8, 16])),
        layout=draw(st.sampled_from(LAYOUTS)),
        computed_in=computed_in,
        stored_in=stored_in,
        spare_columns=draw(st.integers(1, 40)),
        seed=draw(st.integers(0, 9)),
    )


@settings(max_examples=15)
@given(cases(least=0, groups=GROUPS + MANY, most=3))
@example(PagedCase.draw([0, 0], SPEC))
@example(PagedCase.draw([0, 65], replace(SPEC, sliding_window=33)))
def test_decode_equals_the_definition(case: PagedCase) -> None:
    case.check_decode(DECODE)


@settings(max_examples=20)
@given(cases(least=1, groups=GROUPS, most=2), st.data())
def test_prefill_equals_the_definition(case: PagedCase, data: st.DataObject) -> None:
    num_new = [data.draw(st.sampled_from([1, len(one)]) | st.integers(1, len(one))) for one in case.qkv]
    case.check_prefill(num_new, PREFILL)


@pytest.mark.parametrize(("computed_in", "stored_in"), STORAGE)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_storage_in_both_layouts(
    layout: KVLayout, computed_in: torch.dtype, stored_in: torch.dtype
) -> None:
    """Of a group of three heads, with splits to merge and a window that begins within a tile."""
    spec = replace(SPEC, num_heads=3, num_kv_heads=1, sliding_window=40)
    case = PagedCase.draw([50, 0, 7], spec, layout=layout, computed_in=computed_in, stored_in=stored_in)
    case.check_decode(DECODE)
    case.check_prefill([17, 0, 7], PREFILL)


def test_the_tiles_that_a_gpu_gets_are_right_too() -> None:
    case = PagedCase.draw([70, 300], replace(SPEC, num_heads=2))
    case.check_decode()
    case.check_prefill([70, 3])


def test_more_splits_than_are_merged_at_once() -> None:
    case = PagedCase.draw([300, 5, 257], replace(SPEC, num_heads=1, num_kv_heads=1, scale=3.0))
    case.check_decode(kernels.DecodeTiles(split_size=16, tile=16))


def test_no_bit_of_a_sequence_depends_on_its_neighbours() -> None:
    """Nor on the width of the table, which decides whether anything is merged at all."""
    lengths = [20, 70, 1, 33]
    case = PagedCase.draw(lengths, replace(SPEC, num_kv_heads=1))
    together = case.decode(DECODE)
    for row, length in enumerate(lengths):
        alone = case.decode(DECODE, slice(row, row + 1), columns=-(-length // 16))
        assert torch.equal(together[row], alone[0])


@pytest.mark.parametrize("window", [None, 20])
def test_no_bit_of_a_prompt_depends_on_how_it_is_cut(window: int | None) -> None:
    """On a GPU. Interpreted, a product's last bits depend on the row of the tile that a query is in."""
    case = PagedCase.draw([50], replace(SPEC, num_heads=2, num_kv_heads=1, sliding_window=window))
    whole = case.prefill([50], PREFILL)
    for chunk in (1, 16, 23):
        part, atol = case.prefill([chunk], PREFILL), 1e-6 if INTERPRETED else 0.0
        torch.testing.assert_close(part, whole[-chunk:], atol=atol, rtol=0)


@pytest.mark.parametrize("window", [1, 2, 17, 33])
def test_what_has_slid_out_of_the_window_is_not_read(window: int) -> None:
    lengths = [70, 20, 3]
    spec = replace(SPEC, num_heads=3, num_kv_heads=1, sliding_window=window)
    case = PagedCase.draw(lengths, spec, block_size=1)
    for row, length in enumerate(lengths):
        for pool in case.kv.pools:
            pool[case.block_tables[row, : max(length - window, 0)].long()] = torch.nan
    case.check_decode(DECODE)
    for row, length in enumerate(lengths):
        case.block_tables[row, : max(length - window, 0)] = 10**6
    case.check_decode(DECODE)


@pytest.mark.parametrize("window", [1, 17])
def test_nor_what_has_slid_out_of_a_chunks_first_window(window: int) -> None:
    lengths, num_new = [50, 20, 3], [18, 1, 3]
    spec = replace(SPEC, num_heads=1, num_kv_heads=1, sliding_window=window)
    case = PagedCase.draw(lengths, spec, block_size=1)
    for row, (length, count) in enumerate(zip(lengths, num_new, strict=True)):
        for pool in case.kv.pools:
            pool[case.block_tables[row, : max(length - count - window + 1, 0)].long()] = torch.nan
    case.check_prefill(num_new, PREFILL)


def test_only_as_many_splits_as_a_window_can_touch_get_programs() -> None:
    count = import_with_triton("cblab.attention.triton.decode")._num_splits
    assert [count(n, None, 32) for n in (1, 32, 33, 1000)] == [1, 1, 2, 32]
    # The last of a split and 32 of the next: 33 tokens lie in two splits, 34 may lie in three.
    assert [count(1000, window, 32) for window in (1, 2, 32, 33, 34)] == [1, 2, 2, 2, 3]


@pytest.mark.parametrize("lengths", [[5, 1, 4], [16, 16], [1] * 20, [40], [3, 33, 17, 1]])
def test_every_query_belongs_to_exactly_one_program(lengths: list[int]) -> None:
    """The diagram of `prefill`: one row for each query, none twice, whatever the lengths."""
    case = PagedCase.draw(lengths, replace(SPEC, num_heads=1, num_kv_heads=1))
    case.check_prefill(lengths, PREFILL)


def test_the_backend_says_which_pool_it_reads() -> None:
    backend = kernels.TRITON
    assert (backend.name, backend.layout, backend.plan_decode) == ("triton", KVLayout.HND, None)
    case = PagedCase.draw([5, 3], SPEC)
    q, _, _ = case.split(torch.cat([one[-1:] for one in case.qkv]))
    out = backend.decode(q, case.kv, case.block_tables, case.context_lens, SPEC)
    torch.testing.assert_close(out, case.expected([1, 1]), atol=1e-5, rtol=1e-5)


def test_a_head_that_is_too_wide_falls_back_aloud(caplog: pytest.LogCaptureFixture) -> None:
    import_with_triton("cblab.attention.triton.launch")._warn_of.cache_clear()
    case = PagedCase.draw([3, 5], AttentionSpec(2, 1, head_dim=260, scale=0.1))
    with caplog.at_level(logging.WARNING, "cblab.attention"):
        case.check_decode()
        case.check_prefill([3, 5])
    assert [record.getMessage() for record in caplog.records] == [
        "the triton kernels take heads of up to 256 numbers, these have 260: attention runs in torch instead"
    ]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: kernels.DecodeTiles(tile=8), "tile must be a power of two of at least 16, got 8"),
        (
            lambda: kernels.DecodeTiles(split_size=40, tile=16),
            "split_size must be a multiple of tile=16, got 40",
        ),
        (lambda: kernels.PrefillTiles(queries=24), "queries must be a power of two of at least 16, got 24"),
        (lambda: kernels.PrefillTiles(keys=8), "keys must be a power of two of at least 16, got 8"),
    ],
)
def test_tiles_that_triton_has_not_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_pool_in_another_layout_is_refused() -> None:
    case = PagedCase.draw([5], SPEC, layout=KVLayout.HDN)
    with pytest.raises(ValueError, match="read a pool in NHD or HND, this one is in HDN"):
        case.decode(DECODE)


def test_a_pool_that_is_a_view_is_refused() -> None:
    case = PagedCase.draw([5], SPEC)
    case.kv = replace(case.kv, keys=case.kv.keys[::2])
    with pytest.raises(ValueError, match="read a contiguous pool"):
        case.decode(DECODE)


@pytest.mark.skipif(not INTERPRETED, reason="there is a GPU")
def test_without_the_interpreter_a_cpu_tensor_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    launch = import_with_triton("cblab.attention.triton.launch")
    monkeypatch.setattr(launch, "is_interpreted", lambda: False)
    with pytest.raises(ValueError, match="run on a GPU, these tensors are on the CPU"):
        PagedCase.draw([5], SPEC).decode(DECODE)


@pytest.mark.skipif(not INTERPRETED, reason="the definition is compared with directly on a GPU")
def test_torch_and_triton_agree_on_the_same_arguments() -> None:
    """Both sides of the protocol, called alike."""
    case = PagedCase.draw([9, 40], SPEC, layout=KVLayout.NHD)
    q, k, v = case.split(torch.cat([one[-3:] for one in case.qkv]))
    common = case.kv, case.block_tables, torch.tensor([0, 3, 6], device=DEVICE).int(), case.context_lens, SPEC
    torch.testing.assert_close(
        kernels.paged_prefill_triton(q, k, v, *common),
        paged_prefill_torch(q, k, v, *common),
        atol=1e-5,
        rtol=0,
    )
    last = q[[2, 5]], case.kv, case.block_tables, case.context_lens, SPEC
    torch.testing.assert_close(
        kernels.paged_decode_triton(*last), paged_decode_torch(*last), atol=1e-5, rtol=0
    )

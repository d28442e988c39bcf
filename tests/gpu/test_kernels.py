"""The Triton kernels as compiled, on shapes of real models; tiny odd ones are in tests/attention."""

from dataclasses import replace

import pytest
import torch

from cblab.attention import AttentionSpec, KVLayout, LayerKV
from tests.attention.triton_cases import DEVICE, LAYOUTS, PagedCase, kernels

pytestmark = pytest.mark.skipif(DEVICE.type != "cuda", reason="there is no CUDA device")

QWEN = AttentionSpec(num_heads=32, num_kv_heads=8, head_dim=128, scale=128**-0.5)
SMALL = AttentionSpec(num_heads=14, num_kv_heads=2, head_dim=64, scale=64**-0.5)
WIDE = AttentionSpec(num_heads=8, num_kv_heads=1, head_dim=256, scale=256**-0.5, sliding_window=512)
ODD = AttentionSpec(num_heads=5, num_kv_heads=5, head_dim=80, scale=80**-0.5)
BF16, F16, F32, I8 = torch.bfloat16, torch.float16, torch.float32, torch.int8

LENGTHS = (1, 255, 256, 257, 0, 1000, 4096, 3)
NEW = (1, 255, 1, 257, 0, 130, 700, 2)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("spec", "computed_in", "stored_in", "block_size"),
    [
        (QWEN, BF16, BF16, 16),
        (QWEN, BF16, I8, 16),
        (QWEN, F32, F32, 16),
        (QWEN, F32, I8, 8),
        (QWEN, F16, F16, 32),
        (replace(QWEN, sliding_window=300), BF16, BF16, 16),
        (SMALL, F16, F16, 16),
        (SMALL, F32, BF16, 1),
        (WIDE, BF16, BF16, 16),
        (WIDE, F32, F32, 16),
        (ODD, BF16, BF16, 3),
        (ODD, F32, F32, 64),
    ],
)
def test_attention_equals_the_definition(
    spec: AttentionSpec,
    computed_in: torch.dtype,
    stored_in: torch.dtype,
    block_size: int,
    layout: KVLayout,
) -> None:
    case = PagedCase.draw(
        LENGTHS, spec, block_size=block_size, layout=layout, computed_in=computed_in, stored_in=stored_in
    )
    case.check_decode()
    case.check_prefill(NEW)


def test_no_bit_depends_on_neighbours_or_on_chunks() -> None:
    case = PagedCase.draw([1000, 4096, 70], QWEN, computed_in=BF16, stored_in=BF16)
    together = case.decode()
    for row in range(3):
        assert torch.equal(case.decode(rows=slice(row, row + 1))[0], together[row])
    whole = case.prefill([1000, 4096, 70])
    part = case.prefill([333, 1001, 7])
    ends = torch.tensor([1000, 5096, 5166])
    rows = torch.cat([torch.arange(end - n, end) for end, n in zip(ends, (333, 1001, 7), strict=True)])
    assert torch.equal(part, whole[rows.to(DEVICE)])


def test_a_pool_of_more_numbers_than_an_int32_counts() -> None:
    """The trap: a row's offset in such a pool is beyond 2^31, and 32 bits of it are somebody else's."""
    num_blocks = 2**31 // (16 * QWEN.num_kv_heads * QWEN.head_dim) + 64
    if torch.cuda.mem_get_info()[0] < 10 * 2**30:
        pytest.skip("less than 10 GiB are free")
    kv = LayerKV.allocate(
        num_blocks, 16, QWEN.num_kv_heads, QWEN.head_dim, layout=KVLayout.HND, dtype=BF16, device=DEVICE
    )
    qkv = torch.randn(700, 48, 128, device=DEVICE, dtype=BF16)
    _, k, v = qkv.split((32, 8, 8), dim=1)
    table = torch.arange(num_blocks - 44, num_blocks, device=DEVICE, dtype=torch.int32)[None]
    positions = torch.arange(700, device=DEVICE)
    kernels.write_kv_triton(kv, table[0].long()[positions // 16] * 16 + positions % 16, k, v)
    lengths = torch.tensor([700], device=DEVICE, dtype=torch.int32)
    case = PagedCase(QWEN, kv, table, lengths, [qkv], [(k.float(), v.float())])
    case.check_decode()
    case.check_prefill([700])

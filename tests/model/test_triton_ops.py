"""The fused operations in Triton against the torch table: interpreted unless there is a GPU."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cblab.model.fused import TORCH_OPS
from tests.attention.triton_cases import DEVICE, INTERPRETED, import_with_triton

OPS = import_with_triton("cblab.model.triton_ops").TRITON_OPS

# Half precision: the kernel rounds once, torch after each operation.
TOLERANCE = {torch.float32: 1e-6, torch.float16: 2e-3, torch.bfloat16: 2e-2}
dtypes = st.sampled_from(list(TOLERANCE))
sizes = st.sampled_from([1, 2, 7, 16, 33, 96])


def random(*shape: int, dtype: torch.dtype) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape))).to(DEVICE, dtype)


def assert_close(one: Tensor, other: Tensor) -> None:
    assert one.dtype == other.dtype
    tolerance = TOLERANCE[other.dtype]
    torch.testing.assert_close(one, other, atol=tolerance, rtol=tolerance)


@settings(max_examples=15)
@given(num_rows=st.integers(1, 4), size=sizes, dtype=dtypes, adds=st.booleans())
def test_add_rms_norm(num_rows: int, size: int, dtype: torch.dtype, adds: bool) -> None:
    x, weight = random(num_rows, size, dtype=dtype), random(size, dtype=dtype)
    delta = random(num_rows, size, dtype=dtype).flip(0).contiguous() if adds else None
    before = x.clone()
    normed, added = OPS.add_rms_norm(x, delta, weight, 1e-3)
    wanted_normed, wanted_added = TORCH_OPS.add_rms_norm(x, delta, weight, 1e-3)
    assert_close(normed, wanted_normed)
    # The sum is rounded as if it stood alone; but the interpreter cuts bfloat16 off.
    is_cut = INTERPRETED and dtype == torch.bfloat16
    torch.testing.assert_close(added, wanted_added, atol=0, rtol=2**-7 if is_cut else 0)
    assert torch.equal(x, before)
    # What is normalized is the sum as it is kept.
    assert torch.equal(OPS.add_rms_norm(added, None, weight, 1e-3)[0], normed)


@pytest.mark.parametrize("heads", [slice(0, 3), slice(3, 5)])
def test_add_rms_norm_of_heads_within_a_projection(heads: slice) -> None:
    """As Qwen3 normalizes them: a view, whose rows do not follow each other."""
    x, weight = random(4, 7, 10, dtype=torch.float32)[:, heads], random(10, dtype=torch.float32)
    normed, same = OPS.add_rms_norm(x, None, weight, 1e-6)
    assert_close(normed, TORCH_OPS.add_rms_norm(x, None, weight, 1e-6)[0])
    assert same is x


@settings(max_examples=15)
@given(
    num_tokens=st.integers(1, 4),
    num_heads=st.integers(1, 5),
    half=st.sampled_from([1, 3, 8, 10]),
    dtype=dtypes,
)
def test_apply_rope(num_tokens: int, num_heads: int, half: int, dtype: torch.dtype) -> None:
    """Of the queries and keys within a projection, whose values must stay as they are."""
    qkv = random(num_tokens, num_heads + 2, 2 * half, dtype=dtype)
    angles = random(num_tokens, 1, half, dtype=torch.float32)
    cos, sin = angles.cos().to(dtype), angles.sin().to(dtype)
    wanted = TORCH_OPS.apply_rope(qkv[:, :num_heads], cos, sin)
    values = qkv[:, num_heads:].clone()
    assert_close(OPS.apply_rope(qkv[:, :num_heads], cos, sin), wanted)
    assert torch.equal(qkv[:, num_heads:], values)


def test_apply_rope_with_more_heads_than_a_program_takes() -> None:
    qk, angles = random(2, 20, 128, dtype=torch.float32), random(2, 1, 64, dtype=torch.float32)
    wanted = TORCH_OPS.apply_rope(qk, angles.cos(), angles.sin())
    assert_close(OPS.apply_rope(qk.clone(), angles.cos(), angles.sin()), wanted)


@settings(max_examples=15)
@given(num_tokens=st.integers(1, 4), size=sizes | st.just(1030), dtype=dtypes)
def test_silu_and_mul(num_tokens: int, size: int, dtype: torch.dtype) -> None:
    gate_up = random(num_tokens, 2 * size, dtype=dtype)
    assert_close(OPS.silu_and_mul(gate_up), TORCH_OPS.silu_and_mul(gate_up))


def test_the_table_is_found_by_its_name() -> None:
    from cblab.model.fused import get_fused_ops

    assert OPS.name == "triton"
    assert get_fused_ops("triton") is OPS

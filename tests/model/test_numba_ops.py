"""The operations of `FusedOps` and the packed product in Numba, against torch."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cblab.attention.numba.vector import LANES
from cblab.model.fused import TORCH_OPS
from cblab.model.numba_gemm import multiply, pack
from cblab.model.numba_ops import NUMBA_OPS

ROWS = st.integers(1, 40)
SIZE = st.integers(1, 70)


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@given(ROWS, SIZE, st.booleans(), st.integers(0, 99))
def test_add_rms_norm(rows: int, size: int, adds: bool, seed: int) -> None:
    x, weight = drawn(seed, rows, size), drawn(seed + 1, size)
    delta = drawn(seed + 2, rows, size) if adds else None
    for ours, theirs in zip(
        NUMBA_OPS.add_rms_norm(x, delta, weight, 1e-5),
        TORCH_OPS.add_rms_norm(x, delta, weight, 1e-5),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=2e-6, atol=2e-6)


@given(ROWS, st.integers(1, 5), st.integers(1, 20), st.integers(0, 99))
def test_heads_are_normalized_and_turned_where_they_lie(rows: int, heads: int, half: int, seed: int) -> None:
    qkv = drawn(seed, rows, heads + 2, 2 * half)
    x, weight = qkv[:, :heads], drawn(seed + 1, 2 * half)
    torch.testing.assert_close(
        NUMBA_OPS.add_rms_norm(x, None, weight, 1e-5)[0], TORCH_OPS.add_rms_norm(x, None, weight, 1e-5)[0]
    )
    cos, sin = drawn(seed + 2, rows, 1, half), drawn(seed + 3, rows, 1, half)
    expected, behind = TORCH_OPS.apply_rope(x, cos, sin), qkv[:, heads:].clone()
    torch.testing.assert_close(NUMBA_OPS.apply_rope(x, cos, sin), expected)
    assert torch.equal(qkv[:, heads:], behind)


@given(ROWS, SIZE, st.integers(0, 99))
def test_silu_and_mul(rows: int, size: int, seed: int) -> None:
    gate_up = 5 * drawn(seed, rows, 2 * size)
    torch.testing.assert_close(NUMBA_OPS.silu_and_mul(gate_up), TORCH_OPS.silu_and_mul(gate_up))


@pytest.mark.parametrize("width", [LANES, LANES + 1])
def test_silu_far_out_and_of_what_is_no_number(width: int) -> None:
    gates = torch.tensor([-1e30, -200.0, -88.0, 0.0, 88.0, 200.0, 1e30, torch.nan])
    gate_up = torch.cat((gates[:, None].expand(-1, width), torch.ones(8, width)), dim=1)
    torch.testing.assert_close(
        NUMBA_OPS.silu_and_mul(gate_up),
        TORCH_OPS.silu_and_mul(gate_up),
        equal_nan=True,
        rtol=1e-6,
        atol=1e-30,
    )


@pytest.mark.parametrize("rows", [300, 700])
def test_many_rows_are_shared_by_the_threads_and_come_out_the_same(rows: int) -> None:
    x, delta, weight = drawn(0, rows, 256), drawn(1, rows, 256), drawn(2, 256)
    normed, total = NUMBA_OPS.add_rms_norm(x, delta, weight, 1e-6)
    gated = NUMBA_OPS.silu_and_mul(x)
    cos, sin = drawn(3, rows, 1, 16), drawn(4, rows, 1, 16)
    turned = NUMBA_OPS.apply_rope(x.clone().view(rows, 8, 32), cos, sin)
    for row in (0, 7, rows - 1):
        one = slice(row, row + 1)
        alone = NUMBA_OPS.add_rms_norm(x[one], delta[one], weight, 1e-6)
        assert torch.equal(alone[0], normed[one])
        assert torch.equal(alone[1], total[one])
        assert torch.equal(NUMBA_OPS.silu_and_mul(x[one]), gated[one])
        of_row = NUMBA_OPS.apply_rope(x[one].clone().view(1, 8, 32), cos[one], sin[one])
        assert torch.equal(of_row, turned[one])


@given(st.integers(1, 30), st.integers(1, 50), st.integers(1, 70), st.integers(0, 99))
def test_the_packed_product(m: int, k: int, n: int, seed: int) -> None:
    x, weight, bias = drawn(seed, m, k), drawn(seed + 1, n, k), drawn(seed + 2, n)
    panels = pack(weight)
    assert panels.shape == (-(-n // LANES), k, LANES)
    padded = torch.zeros(panels.shape[0] * LANES)
    padded[:n] = bias
    y = multiply(x, panels, padded)
    torch.testing.assert_close(y[:, :n], x @ weight.T + bias, rtol=1e-5, atol=2e-5)
    assert not y[:, n:].any()


def test_a_row_of_the_product_has_the_same_bits_whatever_the_other_rows_are() -> None:
    x, panels, bias = drawn(0, 64, 96), pack(drawn(1, 80, 96)), torch.zeros(80)
    whole = multiply(x, panels, bias)
    for first, count in ((0, 1), (3, 2), (5, 5), (10, 7), (20, 13), (40, 20)):
        part = multiply(x[first : first + count], panels, bias)
        assert torch.equal(part, whole[first : first + count])


def test_rows_of_another_length_than_the_weights_take_are_refused() -> None:
    with pytest.raises(ValueError, match=r"x is \[2, 3\], but the weights take rows of 4 numbers"):
        multiply(drawn(0, 2, 3), pack(drawn(1, 8, 4)), torch.zeros(16))

"""Kernel calls noted and carried out later: what is noted, whose memory it uses, and what is refused."""

import threading
from collections.abc import Callable

import pytest
import torch

from cblab.attention.numba.recording import Recording, active_recording
from cblab.model.numba_gemm import multiply, pack
from cblab.model.numba_ops import NUMBA_OPS

ROWS, SIZE = 8, 32


PANELS, BIAS = pack(torch.eye(SIZE)), torch.ones(SIZE)


def added(num_calls: int) -> tuple[Recording, torch.Tensor, torch.Tensor]:
    """A recording of products that each add 1 to the one before, and its first and last tensors."""
    x = torch.arange(ROWS * SIZE, dtype=torch.float32).view(ROWS, SIZE)
    recording, out = Recording(), x
    with recording.noting():
        for _ in range(num_calls):
            out = multiply(out, PANELS, BIAS)
    return recording, x, out


def test_noted_calls_are_carried_out_later_in_their_order_and_again() -> None:
    recording, x, out = added(num_calls=5)
    assert [one.kernel for one in recording.calls] == ["multiply"] * 5
    out.fill_(-1.0)
    recording.run()
    assert torch.equal(out, x + 5)
    x.mul_(2)
    recording.run()
    assert torch.equal(out, x + 5)


def test_they_can_be_told_fewer_rows() -> None:
    recording, x, out = added(num_calls=1)
    out.fill_(-1.0)
    for one in recording.calls:
        one.call.num_rows = 3
    recording.run()
    assert torch.equal(out[:3], x[:3] + 1)
    assert (out[3:] == -1).all()


def test_memory_goes_to_the_next_result_of_its_size_when_nobody_looks_at_it() -> None:
    recording, _, out = added(num_calls=5)
    outs = [one.call.out for one in recording.calls]
    assert len(set(outs)) == 2  # each product reads one and writes the other
    assert outs[-1] == out.data_ptr()
    assert recording.empty(out.shape).data_ptr() not in (out.data_ptr(), 0)


@pytest.mark.parametrize(
    "compute",
    [
        lambda x: x + 1,
        lambda x: x.add_(1),
        lambda x: x.t().contiguous(),
        lambda x: torch.cat((x, x)),
        lambda x: x[0, 0].item(),
    ],
    ids=["out of place", "in place", "a copy", "put together", "looked at"],
)
def test_what_torch_computes_is_refused(compute: Callable[[torch.Tensor], object]) -> None:
    x = torch.ones(4, 16)
    refused = pytest.raises(RuntimeError, match="computes: only kernels can be recorded")
    with refused, Recording().noting():
        compute(x)
    assert active_recording() is None


def test_looking_at_a_tensor_in_another_way_is_not() -> None:
    x = torch.ones(4, 32)
    with Recording().noting():
        first, second = x.unflatten(1, (2, 16)).split(1, dim=1)
        assert first.flatten(1).shape == second.squeeze(1).shape == (4, 16)


def test_another_threads_kernels_are_carried_out_at_once() -> None:
    recording, results = Recording(), []
    gate_up = torch.ones(2, 64)
    expected = NUMBA_OPS.silu_and_mul(gate_up)

    def compute() -> None:
        results.append(NUMBA_OPS.silu_and_mul(gate_up))

    with recording.noting():
        other = threading.Thread(target=compute)
        other.start()
        other.join()
    assert not recording.calls
    assert torch.equal(results[0], expected)

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cblab.core.request import FinishReason, Request, RequestStatus
from cblab.core.sampling_params import SamplingParams

ARROWS = {
    "waiting": {"running", "finished", "cancelled", "failed"},
    "running": {"preempted", "finished", "cancelled", "failed"},
    "preempted": {"running", "finished", "cancelled", "failed"},
    "finished": set(),
    "cancelled": set(),
    "failed": set(),
}


def request(status: RequestStatus = RequestStatus.WAITING) -> Request:
    return Request("r", [1, 2, 3], SamplingParams(), status=status)


@pytest.mark.parametrize("target", RequestStatus)
@pytest.mark.parametrize("status", RequestStatus)
def test_it_goes_along_the_arrows_and_nowhere_else(status: RequestStatus, target: RequestStatus) -> None:
    one = request(status)
    if target.value in ARROWS[status.value]:
        one.become(target)
        assert one.status is target
    else:
        with pytest.raises(RuntimeError, match="'r' cannot go from"):
            one.become(target)
        assert one.status is status


@pytest.mark.parametrize("status", RequestStatus)
def test_what_is_final_has_no_way_out(status: RequestStatus) -> None:
    assert status.is_final is (not ARROWS[status.value])
    assert request(status).is_finished is status.is_final


@pytest.mark.parametrize(
    ("reason", "status"),
    [("stop", "finished"), ("length", "finished"), ("abort", "cancelled"), ("error", "failed")],
)
def test_the_reason_decides_what_it_ends_as(reason: str, status: str) -> None:
    one, error = request(RequestStatus.RUNNING), ValueError("why")
    one.finish(FinishReason(reason), 2.5, stop_reason=7, error=error)
    assert (one.status.value, one.finish_reason, one.finish_time) == (status, reason, 2.5)
    assert (one.stop_reason, one.error) == (7, error)


def test_it_ends_once() -> None:
    one = request()
    one.finish(FinishReason.ABORT, 1.0)
    with pytest.raises(RuntimeError, match="cannot go from"):
        one.finish(FinishReason.STOP, 2.0)
    assert (one.finish_reason, one.finish_time) == (FinishReason.ABORT, 1.0)


@given(
    prompt=st.lists(st.integers(), min_size=1, max_size=4),
    output=st.lists(st.integers(), max_size=4),
    data=st.data(),
)
def test_token_ids_are_a_slice_of_prompt_and_output(
    prompt: list[int], output: list[int], data: st.DataObject
) -> None:
    one = Request("r", prompt, SamplingParams(), output_token_ids=output)
    both = prompt + output
    start = data.draw(st.integers(0, len(both)))
    end = data.draw(st.none() | st.integers(start, len(both)))
    assert one.token_ids(start, end) == both[start:end]
    assert (one.num_tokens, one.num_prompt_tokens) == (len(both), len(prompt))


def test_requests_are_themselves_and_not_what_they_hold() -> None:
    assert request() != request()
    assert len({request(), request()}) == 2

"""A step that is launched before the tokens of the one before are known: the same tokens, and no wait."""

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cblab.attention.batch import RaggedBatch
from cblab.core.config import EngineConfig
from cblab.core.engine import Engine
from cblab.core.errors import ForwardPassError
from cblab.core.outputs import RequestOutput
from cblab.core.parts import Parts
from cblab.core.sampler import Sampling, sample
from cblab.core.sampling_params import SamplingParams
from cblab.core.scheduler import Scheduler
from cblab.core.trace import Trace
from cblab.model import TinyLLM
from tests.core.table_model import TableModel

FOLLOWING = {token: token + 1 for token in range(40)}
VOCAB_SIZE = 41


def table_engine(on_forward: Callable[[RaggedBatch], None] | None = None, **changes: Any) -> Engine:
    """An engine that counts: after each token comes the next larger one."""
    model = TableModel(FOLLOWING, vocab_size=VOCAB_SIZE, on_forward=on_forward)
    config: dict[str, Any] = {"num_blocks": 32, "block_size": 4, "async_scheduling": True}
    return Engine(model, None, EngineConfig(**config | changes))


def greedy(**changes: Any) -> SamplingParams:
    return SamplingParams(**{"temperature": 0.0, "max_tokens": 3, **changes})


def finish(engine: Engine) -> dict[str, RequestOutput]:
    ended: dict[str, RequestOutput] = {}
    while engine.has_unfinished:
        ended |= {one.request_id: one for one in engine.step() if one.finished}
        engine.check_integrity()
    assert engine.block_manager.stats().used == 0
    return ended


def tokens_of(output: RequestOutput) -> list[int]:
    return output.outputs[0].token_ids


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What happens, in order: "launch" is a forward pass, "read" that the host waits for tokens."""
    events: list[str] = []
    result = Sampling.result

    def read(sampling: Sampling) -> Any:
        events.append("read")
        return result(sampling)

    monkeypatch.setattr(Sampling, "result", read)
    return events


def test_a_pass_is_launched_before_the_tokens_of_the_one_before_are_read(log: list[str]) -> None:
    engine = table_engine(lambda batch: log.append("launch"))
    engine.add_request([5], greedy(max_tokens=4))
    returned = [[one.outputs[0].token_ids for one in engine.step()] for _ in range(5)]
    # The fifth step knows that the request is as long as it may be, and launches nothing.
    assert log == ["launch", "launch", "read", "launch", "read", "launch", "read", "read"]
    assert returned == [[], [[6]], [[6, 7]], [[6, 7, 8]], [[6, 7, 8, 9]]]
    assert not engine.has_unfinished


@pytest.mark.parametrize(
    "params",
    [
        greedy(presence_penalty=0.5),
        greedy(frequency_penalty=0.5),
        greedy(repetition_penalty=1.2),
        greedy(logprobs=1),
        greedy(logits_processors=[lambda prompt, output, logits: logits]),
    ],
)
def test_who_looks_back_or_wants_numbers_is_waited_for(log: list[str], params: SamplingParams) -> None:
    engine = table_engine(lambda batch: log.append("launch"))
    engine.add_request([5], params)
    finish(engine)
    assert log == ["launch", "read"] * 3


def test_without_it_each_step_returns_its_own_tokens(log: list[str]) -> None:
    engine = table_engine(lambda batch: log.append("launch"), async_scheduling=None)  # None, on a CPU
    engine.add_request([5], greedy())
    assert [[tokens_of(one) for one in engine.step()] for _ in range(3)] == [[[6]], [[6, 7]], [[6, 7, 8]]]
    assert log == ["launch", "read"] * 3


def test_pending_tokens_reach_their_rows_wherever_they_stand() -> None:
    """The first request ends, a prompt of three joins, one waits for its second chunk: rows move about."""
    batches: list[list[int]] = []
    engine = table_engine(max_num_batched_tokens=4, prefill_chunk_size=3, max_num_seqs=4)
    build = engine.runner.forward

    def forward(batch: RaggedBatch, *rest: Any) -> torch.Tensor:
        batches.append(batch.input_ids.tolist())
        return build(batch, *rest)

    engine.runner.forward = forward  # type: ignore[method-assign, assignment]
    engine.add_request([1], greedy(max_tokens=2), request_id="short")
    engine.add_request([10], greedy(max_tokens=4), request_id="long")
    engine.add_request([20, 21, 22, 23, 24], greedy(max_tokens=2), request_id="chunked")
    ended = finish(engine)
    assert {name: tokens_of(one) for name, one in ended.items()} == {
        "short": [2, 3],
        "long": [11, 12, 13, 14],
        "chunked": [25, 26],
    }
    assert batches == [[1, 10, 20, 21], [2, 11, 22, 23], [12, 24], [13, 25]]


def test_who_ends_by_its_token_has_one_row_computed_for_nothing() -> None:
    batches: list[int] = []
    engine = table_engine(lambda batch: batches.append(batch.num_tokens))
    engine.add_request([5], greedy(max_tokens=9, stop_token_ids=[7]))
    (output,) = finish(engine).values()
    assert (tokens_of(output), output.outputs[0].finish_reason) == ([6, 7], "stop")
    assert batches == [1, 1, 1]


def test_an_abort_between_two_steps_drops_the_pending_token() -> None:
    engine = table_engine()
    engine.add_request([5], greedy(max_tokens=9), request_id="a")
    engine.step()
    engine.step()
    engine.abort("a")
    engine.check_integrity()
    (output,) = engine.step()
    assert (tokens_of(output), output.outputs[0].finish_reason) == ([6], "abort")
    with engine.exclusive():
        pass
    engine.add_request([8], greedy(), request_id="a")
    assert tokens_of(finish(engine)["a"]) == [9, 10, 11]


def test_a_pass_that_breaks_does_not_take_the_tokens_of_the_one_before_along() -> None:
    def breaks(batch: RaggedBatch) -> None:
        if batch.input_ids.tolist() == [7]:
            raise RuntimeError("the third pass breaks")

    engine = table_engine(breaks)
    engine.add_request([5], greedy(max_tokens=9))
    engine.step()
    engine.step()
    with pytest.raises(ForwardPassError, match="the third pass breaks") as caught:
        engine.step()
    (output,) = caught.value.outputs
    assert (tokens_of(output), output.outputs[0].finish_reason) == ([6, 7], "error")
    engine.check_integrity()
    engine.add_request([8], greedy(), request_id="next")
    assert tokens_of(finish(engine)["next"]) == [9, 10, 11]


def test_tokens_that_never_arrive_fail_those_who_wait_for_them_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = table_engine(max_num_seqs=2)
    engine.add_request([5], greedy(max_tokens=2), request_id="a")
    engine.add_request([10], greedy(max_tokens=9), request_id="b")
    engine.add_request([20], greedy(max_tokens=2), request_id="waits")
    engine.step()

    def lost(sampling: Sampling) -> Any:
        raise RuntimeError("the device is gone")

    with monkeypatch.context() as patch:
        patch.setattr(Sampling, "result", lost)
        with pytest.raises(ForwardPassError, match="the device is gone") as caught:
            engine.step()
    assert {one.request_id for one in caught.value.outputs} == {"a", "b"}
    engine.check_integrity()
    assert tokens_of(finish(engine)["waits"]) == [21, 22]


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"trace": Trace()}, "a trace"),
        ({"parts": Parts(scheduler=Scheduler)}, "an own scheduler"),
        ({"parts": Parts(sampler=sample)}, "an own sampler"),
    ],
)
def test_what_it_does_not_go_with_is_named(changes: dict[str, Any], what: str) -> None:
    model = TableModel(FOLLOWING, vocab_size=VOCAB_SIZE)
    config = EngineConfig(num_blocks=4, async_scheduling=True)
    with pytest.raises(ValueError, match=f"async_scheduling=True does not go with {what}"):
        Engine(model, None, config, **changes)


def test_a_senseless_value_is_named() -> None:
    with pytest.raises(ValueError, match="async_scheduling must be True, False or None, got 'yes'"):
        EngineConfig(async_scheduling="yes")  # type: ignore[arg-type]


# Whatever is asked for, and whatever happens meanwhile, the tokens are those of the plain engine.

WISHES = st.fixed_dictionaries(
    {
        "prompt": st.lists(st.integers(0, 6), min_size=1, max_size=9),
        "max_tokens": st.integers(1, 12),
        "temperature": st.sampled_from((0.0, 1.0)),
        "top_p": st.sampled_from((1.0, 0.7)),
        "presence_penalty": st.sampled_from((0.0, 0.0, 0.0, 1.0)),
        "logprobs": st.sampled_from((None, None, None, 2)),
        "prompt_logprobs": st.sampled_from((None, None, None, 0)),
        "min_tokens": st.integers(0, 1),
        "stop_token_ids": st.sampled_from(((), (3,), (1, 8))),
        "n": st.sampled_from((1, 1, 1, 2)),
        "arrives": st.integers(0, 8),  # before this step
    }
)
SETTINGS = st.fixed_dictionaries(
    {
        "num_blocks": st.integers(9, 16),
        "block_size": st.sampled_from((2, 3)),
        "num_host_blocks": st.sampled_from((0, 4)),
        "max_num_seqs": st.integers(2, 4),
        "max_num_batched_tokens": st.integers(4, 12),
        "prefill_chunk_size": st.sampled_from((None, 2)),
        "enable_prefix_caching": st.booleans(),
    }
)


def played(wishes: list[dict[str, Any]], config: EngineConfig) -> Iterator[tuple[str, RequestOutput]]:
    """Run an engine over the wishes, each of which arrives before its step; return how each ended."""
    torch.manual_seed(0)
    engine = Engine(TinyLLM(vocab_size=11), None, config)
    left, number = list(enumerate(wishes)), 0
    while left or engine.has_unfinished:
        for index, wish in [one for one in left if one[1]["arrives"] <= number]:
            asked = {name: value for name, value in wish.items() if name not in ("prompt", "arrives")}
            asked["n"] = 1 if asked["temperature"] == 0 else asked["n"]
            params = SamplingParams(**asked, seed=index, ignore_eos=True)
            engine.add_request(wish["prompt"], params, request_id=str(index))
            left.remove((index, wish))
        yield from ((one.request_id, one) for one in engine.step() if one.finished)
        engine.check_integrity()
        number += 1
    assert engine.block_manager.stats().used == 0


@given(st.lists(WISHES, min_size=1, max_size=6), SETTINGS)
@settings(max_examples=60)
def test_the_tokens_are_those_of_the_plain_engine(
    wishes: list[dict[str, Any]], chosen: dict[str, Any]
) -> None:
    chosen["preemption_mode"] = "swap" if chosen["num_host_blocks"] else "recompute"
    runs = [
        dict(played(wishes, EngineConfig(**chosen, watermark=0.0, async_scheduling=overlaps)))
        for overlaps in (False, True)
    ]
    plain, overlapped = (
        {
            name: [(one.token_ids, one.finish_reason, one.stop_reason) for one in output.outputs]
            for name, output in run.items()
        }
        for run in runs
    )
    assert overlapped == plain
    assert len(plain) == len(wishes)


def test_preempted_requests_get_their_pending_tokens() -> None:
    """A pool that is far too small for eight requests at once: many are preempted with a token pending."""
    rng = random.Random(0)
    wishes = [(rng.randrange(1, 30), rng.randrange(2, 9)) for _ in range(40)]
    engine = table_engine(num_blocks=12, block_size=2, watermark=0.0, max_num_seqs=8)
    for first, num_new in wishes:
        engine.add_request([first], greedy(max_tokens=num_new))
    ended = finish(engine)
    assert engine.stats().num_preemptions > 20
    found = [tokens_of(ended[f"request-{number}"]) for number in range(len(wishes))]
    assert found == [list(range(first + 1, first + 1 + num_new)) for first, num_new in wishes]

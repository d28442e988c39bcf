"""Random requests, aborts and steps on tiny pools; `PlayedEngine` checks each plan and each slot read."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from cblab.core.request import Request
from tests.core.played_engine import PlayedEngine

# Few different tokens, so that prompts begin alike.
PROMPTS = st.lists(st.integers(0, 1), min_size=1, max_size=14)


@st.composite
def engines(draw: st.DrawFn) -> PlayedEngine:
    """Draw settings whose pools are soon full."""
    max_num_seqs = draw(st.integers(1, 5))
    mode = draw(st.sampled_from(["recompute", "swap"]))
    return PlayedEngine(
        block_size=draw(st.sampled_from([1, 2, 4])),
        num_blocks=draw(st.integers(1, 10)),
        max_num_seqs=max_num_seqs,
        max_num_batched_tokens=max_num_seqs + draw(st.integers(0, 12)),
        prefill_chunk_size=draw(st.sampled_from([None, 1, 3])),
        enable_prefix_caching=draw(st.booleans()),
        scheduling_policy=draw(st.sampled_from(["fcfs", "priority"])),
        priority_aging_s=3.0,
        preemption_mode=mode,
        num_host_blocks=draw(st.integers(1, 8)) if mode == "swap" else 0,
        watermark=draw(st.sampled_from([0.0, 0.3, 0.9])),
    )


class SchedulerMachine(RuleBasedStateMachine):
    """Drives a `PlayedEngine`; at the end everything left must come to its end."""

    engine: PlayedEngine

    @initialize(engine=engines())
    def start(self, engine: PlayedEngine) -> None:
        self.engine = engine
        self.number = 0
        self.added: list[Request] = []

    @rule(prompt=PROMPTS, num_new=st.integers(1, 12), n=st.integers(1, 3), priority=st.integers(-2, 2))
    def add(self, prompt: list[int], num_new: int, n: int, priority: int) -> None:
        engine = self.engine
        prompt = prompt[: engine.num_slots]
        n = min(n, engine.config.max_num_seqs)
        self.added.append(engine.add(f"r{self.number}", prompt, num_new=num_new, n=n, priority=priority))
        self.number += 1

    @precondition(lambda self: self.engine.requests)
    @rule(times=st.integers(1, 4))
    def step(self, times: int) -> None:
        for _ in range(times):
            self.engine.step()

    @precondition(lambda self: self.engine.requests)
    @rule(data=st.data())
    def abort(self, data: st.DataObject) -> None:
        unborn = {one.request_id for parent in self.engine.requests.values() for one in parent.siblings}
        name = data.draw(st.sampled_from(sorted(self.engine.requests.keys() - unborn)))
        self.engine.abort(name)
        self.engine.check()

    def teardown(self) -> None:
        if hasattr(self, "engine"):
            self.engine.run()


SchedulerMachine.TestCase.settings = settings(max_examples=80, stateful_step_count=30)
TestSchedulerMachine = SchedulerMachine.TestCase

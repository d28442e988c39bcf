"""Checks of exercise 5.7: the scheduler's plans, alone and in the engine."""

import random
from collections.abc import Sequence
from functools import cache
from typing import Any

from cblab.core.config import EngineConfig
from cblab.core.engine import Engine
from cblab.core.parts import Parts
from cblab.core.sampling_params import SamplingParams
from cblab.lab.labs.continuous_batching.plug import plugged, remote
from cblab.lab.labs.continuous_batching.reference import admit
from cblab.lab.labs.continuous_batching.scheduler import Plan, Scheduler
from cblab.lab.labs.in_the_engine import told
from cblab.lab.labs.paging.play import Call, Op, diagnose_play
from cblab.lab.labs.random_model import random_model
from cblab.lab.trial import Trial

_MOST_STEPS = 400  # several times as many as are needed
_NAMES = ("scheduled", "admitted", "preempted")


class _Steps(Scheduler):
    """`schedule` in pieces, each of which can have a defect."""

    only_once = False  # whether at most one request is preempted
    stale_shares = False  # whether the shares from before preempting are kept

    def lacks(self, shares: Sequence[int]) -> bool:
        """Whether the running ones need more blocks than are free."""
        return sum(map(self.new_blocks, self.running, shares)) > self.free_blocks

    def victim(self) -> str:
        """Take the one that has to give way out of `running`."""
        return self.running.pop()

    def give_back(self, name: str) -> None:
        """Count its blocks as free."""
        self.free_blocks += self.counts[name].num_blocks

    def set_back(self, name: str) -> None:
        """It has nothing any more."""
        self.counts[name].num_computed = self.counts[name].num_blocks = 0

    def requeue(self, name: str) -> None:
        """Let it wait."""
        self.waiting.insert(0, name)

    def budget_left(self, scheduled: Sequence[tuple[str, int]]) -> int:
        """What newcomers may use."""
        return self.budget - sum(num_new for _, num_new in scheduled)

    def seats_left(self) -> int:
        """How many newcomers may come."""
        return self.max_num_seqs - len(self.running)

    def take(self, name: str, num_new: int) -> tuple[str, int]:
        """A newcomer's share."""
        return self.give(name, num_new)

    def leave(self, num_admitted: int) -> None:
        """Take newcomers out of `waiting`."""
        self.waiting = self.waiting[num_admitted:]

    def join(self, admitted: Sequence[str]) -> None:
        """Put them behind those that run."""
        self.running += admitted

    def result(self, plan: Plan) -> Any:
        """What comes back."""
        return plan

    def schedule(self) -> Any:
        preempted: list[str] = []
        shares = self.shares()
        while self.running and self.lacks(shares) and not (self.only_once and preempted):
            name = self.victim()
            self.give_back(name)
            self.set_back(name)
            self.requeue(name)
            preempted.append(name)
            shares = shares[:-1] if self.stale_shares else self.shares()
        free_before = self.free_blocks
        scheduled = [self.give(name, new) for name, new in zip(list(self.running), shares, strict=False)]
        admitted: list[str] = []
        if self.may_admit(preempted):
            lengths = [self.counts[one].num_tokens for one in self.waiting]
            free = self.free_for_newcomers(free_before)
            budget = self.budget_left(scheduled)
            firsts = admit(lengths, budget, self.chunk_size, self.seats_left(), free, self.block_size)
            admitted = self.waiting[: len(firsts)]
            scheduled = self.joined(
                scheduled, [self.take(name, new) for name, new in zip(admitted, firsts, strict=True)]
            )
            self.leave(len(firsts))
            self.join(admitted)
        return self.result({"scheduled": scheduled, "admitted": admitted, "preempted": preempted})

    def free_for_newcomers(self, free_before: int) -> int:
        """What newcomers may take; free_before: before the running ones took theirs."""
        return self.free_blocks

    def joined(self, running: list[tuple[str, int]], new: list[tuple[str, int]]) -> list[tuple[str, int]]:
        """All shares of the step."""
        return running + new


class _AdmitsAfterPreempting(_Steps):
    def may_admit(self, preempted: Sequence[str]) -> bool:
        return True


class _NeverAdmitsBesideOthers(_Steps):
    def may_admit(self, preempted: Sequence[str]) -> bool:
        return not self.running


class _NeverAdmits(_Steps):
    def may_admit(self, preempted: Sequence[str]) -> bool:
        return False


class _FirstGivesWay(_Steps):
    def victim(self) -> str:
        return self.running.pop(0)


class _OnlyOne(_Steps):
    only_once = True


class _NobodyGivesWay(_Steps):
    def lacks(self, shares: Sequence[int]) -> bool:
        return False


class _OneBlockKept(_Steps):
    def lacks(self, shares: Sequence[int]) -> bool:
        return sum(map(self.new_blocks, self.running, shares)) >= self.free_blocks


class _OneEach(_Steps):
    def lacks(self, shares: Sequence[int]) -> bool:
        return len(self.running) > self.free_blocks


class _StaleShares(_Steps):
    stale_shares = True


class _BlocksKept(_Steps):
    def give_back(self, name: str) -> None:
        pass


class _StillComputed(_Steps):
    def set_back(self, name: str) -> None:
        self.counts[name].num_blocks = 0


class _StillHolds(_Steps):
    def set_back(self, name: str) -> None:
        self.counts[name].num_computed = 0


class _ToTheEnd(_Steps):
    def requeue(self, name: str) -> None:
        self.waiting.append(name)


class _Forgotten(_Steps):
    def requeue(self, name: str) -> None:
        pass


class _WholeBudget(_Steps):
    def budget_left(self, scheduled: Sequence[tuple[str, int]]) -> int:
        return self.budget


class _BudgetByRequests(_Steps):
    def budget_left(self, scheduled: Sequence[tuple[str, int]]) -> int:
        return self.budget - len(scheduled)


class _AllSeats(_Steps):
    def seats_left(self) -> int:
        return self.max_num_seqs


class _NewcomersUncounted(_Steps):
    def take(self, name: str, num_new: int) -> tuple[str, int]:
        return name, num_new


class _BlocksFromBefore(_Steps):
    def free_for_newcomers(self, free_before: int) -> int:
        return free_before


class _StillWaiting(_Steps):
    def leave(self, num_admitted: int) -> None:
        pass


class _NotRunning(_Steps):
    def join(self, admitted: Sequence[str]) -> None:
        pass


class _InFront(_Steps):
    def join(self, admitted: Sequence[str]) -> None:
        self.running = [*admitted, *self.running]


class _NewcomersFirst(_Steps):
    def joined(self, running: list[tuple[str, int]], new: list[tuple[str, int]]) -> list[tuple[str, int]]:
        return new + running


class _WithoutNewcomers(_Steps):
    def joined(self, running: list[tuple[str, int]], new: list[tuple[str, int]]) -> list[tuple[str, int]]:
        return running


class _ListOfShares(_Steps):
    def result(self, plan: Plan) -> Any:
        return plan["scheduled"]


class _Nothing(_Steps):
    def result(self, plan: Plan) -> Any:
        return None


class _PreemptionUntold(_Steps):
    def result(self, plan: Plan) -> Any:
        return {**plan, "preempted": []}


class _AdmissionUntold(_Steps):
    def result(self, plan: Plan) -> Any:
        return {**plan, "admitted": []}


_WRONGS: tuple[tuple[str, type], ...] = (
    (
        "Somebody is admitted in a step that preempted: it takes the blocks that were just freed, and "
        "will be "
        "the next to lose them.",
        _AdmitsAfterPreempting,
    ),
    ("New ones are admitted only when nobody runs: that is static batching.", _NeverAdmitsBesideOthers),
    ("Nobody is ever admitted.", _NeverAdmits),
    ("The first of the running ones gives way: it is the last one's turn, who came last.", _FirstGivesWay),
    ("Only one request gives way: go on until the others' blocks suffice.", _OnlyOne),
    ("Nobody gives way when the blocks run out: more are given than there are.", _NobodyGivesWay),
    ("Somebody is preempted although the blocks just suffice: exactly enough is enough.", _OneBlockKept),
    (
        "Every running request is taken to need a new block: only one that fills its last block does; ask "
        "`new_blocks`.",
        _OneEach,
    ),
    (
        "The shares are those from before somebody gave way: with fewer requests more budget is left for "
        "each. Ask `shares` again.",
        _StaleShares,
    ),
    ("The blocks of a preempted request are not counted as free.", _BlocksKept),
    ("A preempted request's `num_computed` stays: its keys and values are gone.", _StillComputed),
    ("A preempted request's `num_blocks` stays: it holds none any more.", _StillHolds),
    ("A preempted request goes to the end of the queue: it came before those that wait there.", _ToTheEnd),
    ("A preempted request is in no queue: it will never come back.", _Forgotten),
    ("Newcomers get the whole budget: the running ones have used some of it.", _WholeBudget),
    ("The budget is reduced by the number of requests: it is one of tokens.", _BudgetByRequests),
    ("Newcomers get all seats: some are taken by those that run.", _AllSeats),
    ("Newcomers' blocks are not counted: use `give` for them too.", _NewcomersUncounted),
    (
        "Newcomers are measured against the blocks that were free before the running ones took theirs.",
        _BlocksFromBefore,
    ),
    ("Who has been admitted still waits: it would be admitted twice.", _StillWaiting),
    ("Who has been admitted is not among the running ones.", _NotRunning),
    (
        "Newcomers are put in front of those that run: the last of `running` is the last to have come.",
        _InFront,
    ),
    ("Newcomers stand first in the plan: the running ones come first.", _NewcomersFirst),
    ("Newcomers' tokens are missing in the plan.", _WithoutNewcomers),
    ("Only the shares came back: return the dict of three lists.", _ListOfShares),
    ("`schedule` returns nothing: is a `return` missing?", _Nothing),
    ("The plan does not tell who was preempted: the engine frees their blocks by it.", _PreemptionUntold),
    ("The plan does not tell who was admitted: the engine lets them run by it.", _AdmissionUntold),
)


def _expand(call: Call, op: Op) -> None:
    """("step", {id: longest}) is what an engine does in a step; anything else is a call."""
    if op[0] != "step":
        call(*op)
        return
    plan = call("schedule")
    if not isinstance(plan, dict) or set(plan) != set(_NAMES):
        return
    counts, progress, ended = call("state")[3], {}, []
    for name, num_new in plan["scheduled"]:
        if name not in counts:
            continue
        num_tokens, computed, _ = counts[name]
        computed += num_new
        if computed == num_tokens:
            num_tokens += 1  # a token was sampled
        if num_tokens == op[1][name]:
            ended.append(name)
        else:
            progress[name] = (num_tokens, computed)
    if progress:
        call("advance", progress)
    for name in ended:
        call("remove", name)


def _script(requests: Sequence[tuple[int, int, int]], num_steps: int) -> list[Op]:
    """requests: (step in which it comes, prompt, output) of a, b, c, …"""
    longest = {chr(97 + i): prompt + output for i, (_, prompt, output) in enumerate(requests)}
    script: list[Op] = []
    for step in range(num_steps):
        for (when, prompt, _), name in zip(requests, longest, strict=True):
            if when == step:
                script.append(("add", name, prompt, longest[name]))
        script.append(("step", longest))
    return script


def _immediate() -> list[tuple[tuple[int, ...], list[Op]]]:
    return [
        ((40, 4, 16, 10, 3), _script([(0, 5, 7), (0, 30, 4), (1, 8, 6), (3, 9, 3)], 12)),
        ((6, 4, 16, 16, 4), _script([(0, 7, 9), (0, 7, 9), (2, 5, 5)], 24)),
        ((9, 4, 12, 8, 4), _script([(0, 4, 12), (0, 8, 12), (0, 12, 12), (1, 3, 9)], 30)),
        ((8, 2, 16, 16, 4), _script([(0, 4, 8), (0, 4, 8), (0, 4, 8)], 20)),
    ]


def check_plans(t: Trial) -> None:
    """Exercise 5.7, the plans alone."""

    def draw(rng: random.Random) -> tuple[tuple[int, ...], list[Op]]:
        size, seats = rng.choice((2, 3, 4)), rng.randint(2, 5)
        requests = [
            (rng.choice((0, 0, rng.randint(1, 8))), rng.randint(2, 20), rng.randint(2, 12))
            for _ in range(rng.randint(3, 6))
        ]
        longest = max(prompt + output for _, prompt, output in requests)
        num_blocks = -(-longest // size) + rng.randint(0, 6)
        return (num_blocks, size, rng.randint(seats, 24), rng.randint(3, 12), seats), _script(requests, 18)

    diagnose_play(t, "Scheduler", t.cases(_immediate(), draw, 6), Scheduler, _WRONGS, _expand)


@cache
def _model() -> Any:
    """A model of one layer over 40 tokens, the same in every process."""
    return random_model(40, seed=12)


def _engine(parts: Parts, num_blocks: int) -> Engine:
    config = EngineConfig(
        block_size=4,
        num_blocks=num_blocks,
        max_num_seqs=5,
        max_model_len=64,
        max_num_batched_tokens=24,
        prefill_chunk_size=10,
        enable_prefix_caching=False,
        watermark=0.0,
        attention_backend="torch",
        fused_ops="torch",
    )
    return Engine(_model(), None, config, parts=parts)


def _serve(engine: Engine, seed: str) -> list[tuple[str, list[int]]]:
    """Prompts of mixed lengths in a pool that is too small for all of them."""
    rng = random.Random(seed)
    for number in range(5):
        prompt = [rng.randrange(40) for _ in range(rng.choice((3, 5, 8, 17, 26)))]
        params = SamplingParams(temperature=1.0, seed=number, max_tokens=rng.randint(4, 10), ignore_eos=True)
        engine.add_request(prompt, params, request_id=f"r{number}")
    finished: dict[str, list[int]] = {}
    for _ in range(_MOST_STEPS):
        for one in engine.step():
            finished[one.request_id] = list(one.outputs[0].token_ids)
        engine.check_integrity()
        if not engine.has_unfinished:
            return sorted(finished.items())
    raise RuntimeError(
        f"after {_MOST_STEPS} steps {len(engine.requests)} requests are unfinished: "
        "they go in and out for ever"
    )


def check_in_the_engine(t: Trial) -> None:
    """Exercise 5.7, in the engine: the scheduler is asked through the executor, a message a call."""
    seed, num_blocks = f"{t.level}/{t.rng.random()}", t.rng.choice((10, 11, 12))
    expected = _engine(Parts(scheduler=plugged(Scheduler)), num_blocks)
    want = _serve(expected, seed)
    with told(t, f"In the engine, with {num_blocks} blocks"):
        engine = _engine(Parts(scheduler=remote(t, "Scheduler")), num_blocks)
        got = _serve(engine, seed)
    wrong = [name for (name, one), (_, other) in zip(got, want, strict=True) if one != other]
    if wrong:
        t.fail(
            f"In the engine, with {num_blocks} blocks, {len(wrong)} of {len(want)} answers are not those of "
            f"the reference, first that of {wrong[0]}."
        )
    for name, what in (("num_steps", "steps"), ("num_preemptions", "preemptions")):
        mine, reference = getattr(engine.stats(), name), getattr(expected.stats(), name)
        if mine != reference:
            t.fail(
                f"In the engine, with {num_blocks} blocks, the answers are right, but the plans differ from "
                f"the reference's: {mine} {what}, not {reference}."
            )

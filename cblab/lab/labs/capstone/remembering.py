"""Check of exercise 7.6: a plan that is remembered for a step, and for nothing else."""

import random
from collections.abc import Callable, Sequence
from typing import Any

from cblab.lab.labs.capstone.reference import Plan, PlanOnce
from cblab.lab.labs.diagnose import Args, Wrong, diagnose
from cblab.lab.labs.kernels.threads import plan_shares
from cblab.lab.trial import Trial

Asked = tuple[list[int], int, int]


class CountingPlan:
    """`plan_shares`, and how often it was called."""

    def __init__(self) -> None:
        self._num_calls = 0

    def __call__(self, context_lens: Sequence[int], split_size: int, num_threads: int) -> Any:
        """See `plan_shares`."""
        self._num_calls += 1
        return plan_shares(context_lens, split_size, num_threads)

    def num_calls(self) -> int:
        """How often it was called."""
        return self._num_calls


class OneList:
    """A caller that has one list of lengths, and changes it in place from step to step."""

    def __init__(self, planned: Plan) -> None:
        self._planned = planned
        self._lens: list[int] = []

    def __call__(self, context_lens: Sequence[int], split_size: int, num_threads: int) -> Any:
        """What `planned` gives for these lengths, in the caller's own list."""
        self._lens[:] = context_lens
        return self._planned(self._lens, split_size, num_threads)


def _session(make: Callable[[Plan], Callable[..., Any]]) -> Callable[..., Any]:
    """A formula: all plans of a session, and how often a plan was made."""

    def formula(in_place: bool, *asked: Asked) -> Any:
        counting = CountingPlan()
        planned = OneList(make(counting)) if in_place else make(counting)
        return [planned(list(lens), *rest) for lens, *rest in asked], counting.num_calls()

    return formula


class _Keyed:
    """Remembers under a key of its own, the last plan or all of them."""

    def __init__(self, plan: Plan, key: Callable[..., Any], keeps_all: bool) -> None:
        self._plan, self._key, self._keeps_all = plan, key, keeps_all
        self._remembered: dict[Any, Any] = {}

    def __call__(self, *args: Any) -> Any:
        key = self._key(*args)
        if key not in self._remembered:
            if not self._keeps_all:
                self._remembered.clear()
            self._remembered[key] = self._plan(*args)
        return self._remembered[key]


class _OwnList:
    """Remembers the lengths in the very list that it was given."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._key: Any = None
        self._last: Any = None

    def __call__(self, *args: Any) -> Any:
        if args != self._key:
            self._key, self._last = args, self._plan(*args)
        return self._last


def _keyed(key: Callable[..., Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Two formulas for a key that is too small: keeping the last plan, and keeping all."""
    return (
        _session(lambda plan: _Keyed(plan, key, keeps_all=False)),
        _session(lambda plan: _Keyed(plan, key, keeps_all=True)),
    )


_KEYS: tuple[tuple[str, Callable[..., Any]], ...] = (
    (
        "Batches with as many requests and the same longest one get the same plan: the others may be longer "
        "or shorter.",
        lambda lens, size, threads: (len(lens), max(lens), size, threads),
    ),
    (
        "Batches with as many requests get the same plan: their lengths grow with every step.",
        lambda lens, size, threads: (len(lens), size, threads),
    ),
    (
        "Batches with as many tokens in all get the same plan: they may be shared out in another way.",
        lambda lens, size, threads: (sum(lens), size, threads),
    ),
    (
        "Batches with as many requests and tokens in all get the same plan: request by request they may "
        "differ.",
        lambda lens, size, threads: (len(lens), sum(lens), size, threads),
    ),
    (
        "Batches with the same lengths in another order get the same plan: it names requests by their place.",
        lambda lens, size, threads: (tuple(sorted(lens)), size, threads),
    ),
    (
        "A length that occurs twice counts once in the key, as in a set.",
        lambda lens, size, threads: (frozenset(lens), size, threads),
    ),
    (
        "`split_size` is not part of the key: with other splits the plan is another one.",
        lambda lens, size, threads: (tuple(lens), threads),
    ),
    (
        "`num_threads` is not part of the key: for other threads the plan is another one.",
        lambda lens, size, threads: (tuple(lens), size),
    ),
    (
        "The lengths are the whole key: a plan depends on `split_size` and `num_threads` as well.",
        lambda lens, size, threads: tuple(lens),
    ),
    (
        "The first plan is kept for ever: it is right only as long as nothing changes.",
        lambda lens, size, threads: 0,
    ),
    (
        "The longest request is the whole key.",
        lambda lens, size, threads: max(lens),
    ),
    (
        "The key has as many requests and the longest one as the defect had, and nothing of `split_size` and "
        "`num_threads`.",
        lambda lens, size, threads: (len(lens), max(lens)),
    ),
)

_WRONGS = (
    *(Wrong(message, formula) for message, key in _KEYS for formula in _keyed(key)),
    Wrong("The key is the caller's own list: copy it, tuple(context_lens).", _session(_OwnList)),
    Wrong(
        "The plan is made anew in every call: each layer of a step asks for the same one.",
        _session(lambda plan: plan),
    ),
    Wrong(
        "All plans are kept: no step asks for one of long ago, and the memory grows with every step. "
        "Keep the last one.",
        _session(lambda plan: _Keyed(plan, lambda lens, *rest: (tuple(lens), *rest), keeps_all=True)),
    ),
    Wrong(
        "Nothing comes back where the plan was remembered: is a `return` missing?",
        matches=lambda args, want, got: any(one is None for one in got[0]),
    ),
    Wrong(
        "The key came back with the plan, or in its place.",
        matches=lambda args, want, got: got[0] != want[0] and any(type(one) is tuple for one in got[0]),
    ),
    Wrong(
        "The plan of the step *before* comes back: note the new plan before you return it.",
        matches=lambda args, want, got: all(
            one == other or one in want[0][:index]
            for index, (one, other) in enumerate(zip(got[0], want[0], strict=True))
        ),
    ),
    Wrong(
        "The plans are right, but some are made twice: a call with the arguments of the last one makes none.",
        matches=lambda args, want, got: got[0] == want[0] and got[1] > want[1],
    ),
)


def _spelled(args: Args) -> str:
    calls = ", ".join(f"planned({lens}, {size}, {threads})" for lens, size, threads in args[1:])
    return f"one after another{', in one list' if args[0] else ''}: {calls}"[:200]


def _shown(args: Args, want: Any, got: Any) -> str:
    if not isinstance(got, tuple):
        return f"{_spelled(args)} raised {got}"
    for asked, one, other in zip(args[1:], want[0], got[0], strict=True):
        if one != other:
            same = " with the same list, changed in place," if args[0] else ""
            return f"`planned({asked[0]}, {asked[1]}, {asked[2]})`{same} gave {other}; the plan is {one}"
    return f"`{_spelled(args)}` made {got[1]} plans; needed: {want[1]}"


def check_plan_once(t: Trial) -> None:
    """Exercise 7.6: a session of calls, as the layers of several steps make them."""

    def call(in_place: bool, *asked: Asked) -> Any:
        counting = t.executor.new("cblab.lab.labs.capstone.remembering:CountingPlan")
        planned = t.executor.new("PlanOnce", counting)
        if in_place:
            planned = t.executor.new("cblab.lab.labs.capstone.remembering:OneList", planned)
        plans = [t.executor.method(planned, "__call__", *one) for one in asked]
        return plans, t.executor.method(counting, "num_calls")

    def draw(rng: random.Random) -> Args:
        lens = [rng.randint(3, 9) for _ in range(3)]
        others = [
            (rng.sample(lens, 3), 4, 2),
            ([max(lens), *lens[1:]], 4, 2),
            ([lens[0] + 1, lens[1] - 1, lens[2]], 4, 2),
            (lens, 2, 2),
            (lens, 4, 1),
            ([*lens, 5], 4, 2),
            ([one + 1 for one in lens], 4, 2),
        ]
        chosen = [(lens, 4, 2), *rng.sample(others, 4), (lens, 4, 2)]
        return (rng.random() < 0.3, *(one for one in chosen for _ in range(rng.randint(1, 3))))

    sessions: list[Args] = [
        (([5, 9], 4, 2), ([5, 9], 4, 2), ([5, 9], 4, 2)),
        (([5, 9], 4, 2), ([6, 10], 4, 2), ([6, 10], 4, 2)),
        (([5, 9], 4, 2), ([7, 9], 4, 2)),
        (([5, 9], 4, 2), ([9], 4, 2), ([3, 9, 9], 4, 2)),
        (([5, 9], 4, 2), ([6, 8], 4, 2), ([9, 5], 4, 2), ([14], 4, 2), ([5, 9, 9], 4, 2)),
        (([5, 9], 4, 2), ([5, 9], 2, 2), ([5, 9], 2, 1)),
        (([5, 9], 4, 2), ([6, 10], 4, 2), ([5, 9], 4, 2)),
    ]
    immediate: list[Args] = [(False, *one) for one in sessions]
    immediate.append((True, ([5, 9], 4, 2), ([6, 10], 4, 2)))
    diagnose(t, call, t.cases(immediate, draw, 12), _session(PlanOnce), _WRONGS, show=_shown)

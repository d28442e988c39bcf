"""Check of exercise 7.5: which part is guilty, from runs with some parts replaced."""

import random
from collections.abc import Callable
from typing import Any

from cblab.lab.labs.capstone.bench import ScriptedBench
from cblab.lab.labs.capstone.reference import Suspects, find_guilty
from cblab.lab.labs.capstone.workload import NAMES
from cblab.lab.labs.diagnose import Args, Wrong, diagnose
from cblab.lab.trial import Trial


def _tried(find: Callable[[Suspects], Any]) -> Callable[..., Any]:
    """A formula: what it finds, and how many runs more than needed it took."""

    def formula(names: list[str], guilty: list[str], together: list[str]) -> Any:
        bench = ScriptedBench(names, guilty, together)
        return find(bench), _too_many(bench.num_runs(), names, guilty or together)

    return formula


def _too_many(num_runs: int, names: list[str], broken: list[str]) -> int:
    return max(0, num_runs - (1 + len(names) if broken else 1))


def _without(bench: Suspects, name: str) -> list[str]:
    return [one for one in bench.names if one != name]


def _healed(bench: Suspects) -> list[str]:
    return [name for name in bench.names if bench.agrees(_without(bench, name))]


def _alone(bench: Suspects) -> list[str]:
    if bench.agrees(bench.names):
        return []
    return [name for name in bench.names if not bench.agrees([name])]


def _nothing_kept(bench: Suspects) -> list[str]:
    return [] if bench.agrees([]) else find_guilty(bench)


def _never_all(bench: Suspects) -> list[str]:
    return [] if bench.agrees(bench.names) else _healed(bench)


def _no_first_run(bench: Suspects) -> list[str]:
    healed = _healed(bench)
    if len(healed) == len(bench.names):
        return []
    return healed or list(bench.names)


def _all_at_once(bench: Suspects) -> list[str]:
    return _healed(bench) or list(bench.names)


def _all_for_none(bench: Suspects) -> list[str]:
    if bench.agrees(bench.names):
        return list(bench.names)
    return _healed(bench) or list(bench.names)


def _innocent(bench: Suspects) -> list[str]:
    if bench.agrees(bench.names):
        return []
    return [name for name in bench.names if not bench.agrees(_without(bench, name))] or list(bench.names)


def _growing(bench: Suspects) -> list[str]:
    if bench.agrees(bench.names):
        return []
    return [name for index, name in enumerate(bench.names) if not bench.agrees(bench.names[: index + 1])]


def _first_break(bench: Suspects) -> list[str]:
    if bench.agrees(bench.names):
        return []
    for index, name in enumerate(bench.names):
        if not bench.agrees(bench.names[: index + 1]):
            return [name]
    return list(bench.names)


def _emptied(bench: Suspects) -> list[str]:
    """Takes parts out one after another and does not put them back."""
    own = list(bench.names)
    if bench.agrees(own):
        return []
    for name in bench.names:
        own.remove(name)
        if bench.agrees(own):
            return [name]
    return list(bench.names)


def _stopped_at(which: slice) -> Callable[[Suspects], list[str]]:
    """Of the parts whose replacement helps only one, the first or the last."""

    def stopped(bench: Suspects) -> list[str]:
        found = find_guilty(bench)
        return found[which] if len(found) < len(bench.names) else found

    return stopped


def _not_the_last(bench: Suspects) -> list[str]:
    if bench.agrees(bench.names):
        return []
    return [name for name in bench.names[:-1] if bench.agrees(_without(bench, name))] or list(bench.names)


_WRONGS = (
    Wrong(
        "Each part was tried *alone*, beside the reference for all others: replace one part and keep the "
        "others. A part that is broken only in company is not found alone.",
        _tried(_alone),
    ),
    Wrong(
        "Where two parts are broken no single replacement helps, and nobody was named: then all are still "
        "suspect, return all names.",
        _tried(_never_all),
    ),
    Wrong(
        "The run with all parts as they are is missing: where it is right there is nothing to look for, and "
        "each run costs time.",
        _tried(_no_first_run),
    ),
    Wrong(
        "Where the run is right as it is, all parts were named: nobody is guilty then, return [].",
        _tried(_all_for_none),
    ),
    Wrong(
        "The run with all parts as they are is missing, and where it is right all parts were named: return "
        "[] then.",
        _tried(_all_at_once),
    ),
    Wrong("`own` are the parts *kept*: [] is the reference alone, which is right.", _tried(_nothing_kept)),
    Wrong(
        "The innocent parts came back: guilty is the one whose replacement makes the run *right*.",
        _tried(_innocent),
    ),
    Wrong(
        "Parts were added one by one, and all from the first break on were named: one break does not make "
        "those behind it guilty.",
        _tried(_growing),
    ),
    Wrong(
        "Parts were added one by one, and the first that broke the run was named: with two broken parts, the "
        "second one is still there.",
        _tried(_first_break),
    ),
    Wrong(
        "A part that was replaced stays replaced: put it back before the next one is tried, or two of them "
        "are replaced at once.",
        _tried(_emptied),
    ),
    Wrong("The last part was never replaced.", _tried(_not_the_last)),
    Wrong(
        "The search stops at the first; each part whose replacement helps is wanted.",
        _tried(_stopped_at(slice(1))),
    ),
    Wrong(
        "The search begins at the end and stops at the first that it meets: each part whose replacement "
        "helps is wanted.",
        _tried(_stopped_at(slice(-1, None))),
    ),
    Wrong(
        "One name came back as a string: return a list, which may have none or several.",
        _tried(lambda bench: next(iter(find_guilty(bench)), None)),
    ),
    Wrong(
        "A set came back: return a list in the order of `bench.names`.",
        _tried(lambda bench: set(find_guilty(bench))),
    ),
    Wrong(
        "The names are in reverse order: they are wanted as in `bench.names`.",
        _tried(lambda bench: find_guilty(bench)[::-1]),
    ),
    Wrong(
        "The places of the parts came back: return their names.",
        _tried(lambda bench: [list(bench.names).index(name) for name in find_guilty(bench)]),
    ),
    Wrong(
        "The answer is right, but it takes more runs than one for all parts and one for each: what a run has "
        "said need not be asked again.",
        matches=lambda args, want, got: got[0] == want[0] and got[1] > 0,
    ),
)


def _spelled(args: Args) -> str:
    names, guilty, together = args
    broken = (
        f"broken only together: {'+'.join(together)}"
        if together
        else f"broken: {', '.join(guilty) or 'none'}"
    )
    return f"find_guilty(bench), parts: {', '.join(names)}; {broken}"


def check_find_guilty(t: Trial) -> None:
    """Exercise 7.5."""

    def call(names: list[str], guilty: list[str], together: list[str]) -> Any:
        bench = t.executor.new("cblab.lab.labs.capstone.bench:ScriptedBench", names, guilty, together)
        found = t.executor.call("find_guilty", bench)
        return found, _too_many(t.executor.method(bench, "num_runs"), names, guilty or together)

    def draw(rng: random.Random) -> Args:
        names = rng.sample(NAMES, rng.randint(3, 6))
        broken = [name for name in names if name in rng.sample(names, rng.choice((0, 1, 1, 2, 3)))]
        return (names, [], broken) if len(broken) == 2 and rng.random() < 0.5 else (names, broken, [])

    immediate: list[Args] = [
        (["tokenizer", "scheduler", "prefill", "decode"], ["prefill"], []),
        (["tokenizer", "scheduler", "prefill", "decode"], [], []),
        (["tokenizer", "scheduler", "prefill", "decode"], ["tokenizer", "prefill"], []),
        (["decode", "tokenizer", "scheduler"], ["scheduler"], []),
        (["decode", "tokenizer", "scheduler"], ["decode"], []),
        (["tokenizer", "scheduler", "prefill", "decode"], [], ["scheduler", "decode"]),
    ]
    diagnose(
        t,
        call,
        t.cases(immediate, draw),
        _tried(find_guilty),
        _WRONGS,
        spell=_spelled,
        results=("the parts", "runs more than needed"),
    )

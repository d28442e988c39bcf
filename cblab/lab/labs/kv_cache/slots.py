"""Checks of exercise 3.9: where the slots of an arena have gone."""

import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from cblab.lab.labs.diagnose import Wrong, diagnose_function
from cblab.lab.labs.kv_cache.waste import Run, count_waste
from cblab.lab.trial import Trial

Counts = dict[str, int]


def _counting(
    *,
    order: Callable[[Iterable[Run]], list[Run]] = sorted,
    first_gap: bool = True,
    last_gap: bool = True,
    fits: Callable[[int, int], bool] = lambda gap, wanted: gap >= wanted,
    size: Callable[[int], int] = lambda gap: gap,
    end_of: Callable[[Run], int] = lambda run: run[0] + run[1],
    changed: Callable[[Counts, Sequence[Run], int], Any] = lambda counts, runs, num_slots: counts,
) -> Callable[..., Any]:
    """Counting with a defect."""

    def count(runs: Sequence[Run], num_slots: int, wanted: int) -> Any:
        counts = count_waste(runs, num_slots, wanted) | {"holes": 0, "free": 0}
        end = 0
        borders = [*order(runs), *([(num_slots, 0, 0, 0)] if last_gap else [])]
        for index, run in enumerate(borders):
            gap = run[0] - end if index or first_gap else 0
            counts["free" if fits(gap, wanted) else "holes"] += size(gap)
            end = end_of(run)
        return changed(counts, runs, num_slots)

    return count


def _whole_room(runs: Sequence[Run], num_slots: int, wanted: int) -> Counts:
    """All free slots are one: free if they are enough together."""
    counts = count_waste(runs, num_slots, wanted)
    room = counts["holes"] + counts["free"]
    return counts | {"holes": 0 if room >= wanted else room, "free": room if room >= wanted else 0}


def _largest_only(runs: Sequence[Run], num_slots: int, wanted: int) -> Counts:
    gaps, end = [], 0
    for start, reserved, _, _ in [*sorted(runs), (num_slots, 0, 0, 0)]:
        gaps.append(start - end)
        end = start + reserved
    return count_waste(runs, num_slots, wanted) | {"holes": sum(gaps) - max(gaps), "free": max(gaps)}


_WRONGS = (
    Wrong(
        "`later` also counts slots that will never be used: a sequence ends at `final`, so later is "
        "final − held.",
        _counting(
            changed=lambda c, runs, n: c | {"later": sum(reserved - held for _, reserved, held, _ in runs)}
        ),
    ),
    Wrong(
        "`never` also counts slots that will be used later: it is reserved − final.",
        _counting(
            changed=lambda c, runs, n: c | {"never": sum(reserved - held for _, reserved, held, _ in runs)}
        ),
    ),
    Wrong(
        "`later` and `never` are swapped: used before its end, and never used.",
        _counting(changed=lambda c, runs, n: c | {"later": c["never"], "never": c["later"]}),
    ),
    Wrong(
        "`held` counts what the sequences will hold at their end: count what is there now.",
        _counting(changed=lambda c, runs, n: c | {"held": c["held"] + c["later"]}),
    ),
    Wrong(
        "`holes` and `free` are swapped: a hole is too short for what is wanted.",
        _counting(changed=lambda c, runs, n: c | {"holes": c["free"], "free": c["holes"]}),
    ),
    Wrong(
        "The runs are taken as they come: sort them by their first slot to find the gaps between them.",
        _counting(order=list),
    ),
    Wrong("The gap behind the last run is missing: the arena ends at num_slots.", _counting(last_gap=False)),
    Wrong(
        "The gap in front of the first run is missing: the arena begins at slot 0.",
        _counting(first_gap=False),
    ),
    Wrong(
        "A gap of exactly `wanted` slots counts as a hole: it is long enough.",
        _counting(fits=lambda gap, wanted: gap > wanted),
    ),
    Wrong("`holes` and `free` count gaps: count their slots.", _counting(size=lambda gap: int(gap > 0))),
    Wrong(
        "A gap is taken to begin behind the tokens of a run: it begins behind its reserved slots.",
        _counting(end_of=lambda run: run[0] + run[2]),
    ),
    Wrong(
        "Free slots are added up before they are compared with `wanted`: a sequence needs them in one run.",
        _whole_room,
    ),
    Wrong(
        "Only the longest gap counts as free: every gap of at least `wanted` slots does.",
        _largest_only,
    ),
    Wrong(
        "All gaps count as holes: one of at least `wanted` slots is free to use.",
        _counting(fits=lambda gap, wanted: False),
    ),
    Wrong(
        "All gaps count as free: those shorter than `wanted` are of no use.",
        _counting(fits=lambda g, w: True),
    ),
    Wrong(
        "The counts are shares: give numbers of slots.",
        _counting(changed=lambda c, runs, n: {name: count / n for name, count in c.items()}),
    ),
)


def _laid_out(rng: random.Random) -> tuple[list[Run], int, int]:
    """Runs with gaps between some of them, in any order."""
    wanted, start = rng.randint(3, 9), rng.choice((0, 0, 2, 9))
    runs = []
    for _ in range(rng.randint(0, 6)):
        reserved = rng.randint(4, 15)
        final = rng.randint(1, reserved)
        runs.append((start, reserved, rng.randint(1, final), final))
        start += reserved + rng.choice((0, 0, wanted - 1, wanted, wanted + 3, 1))
    rng.shuffle(runs)
    return runs, start + rng.choice((0, 2, wanted)), wanted


def check_waste(t: Trial) -> None:
    """Exercise 3.9."""
    immediate: list[tuple[list[Run], int, int]] = [
        ([(0, 10, 4, 7), (12, 8, 8, 8), (25, 5, 1, 2)], 40, 5),
        ([(20, 6, 2, 5), (3, 10, 3, 9), (14, 4, 1, 4)], 30, 4),
        ([(5, 10, 2, 6)], 20, 5),
        ([], 12, 5),
        ([(0, 5, 1, 2), (7, 5, 2, 3)], 14, 6),
        ([(2, 3, 1, 2), (7, 4, 2, 3)], 13, 4),
    ]
    diagnose_function(t, "count_waste", t.cases(immediate, _laid_out), count_waste, _WRONGS)

"""Checks of the bonus exercises 4.14 and 4.15: contiguous memory, first fit and compaction."""

import random
from collections.abc import Sequence
from typing import Any

from cblab.lab.labs.diagnose import Args, Wrong, diagnose_function
from cblab.lab.trial import Trial
from cblab.memory.fragmentation import first_fit, slide_down

Reserved = Sequence[tuple[int, int]]


def _holes(reserved: Reserved, num_slots: int) -> list[tuple[int, int]]:
    """(start, size) of each hole, the first first."""
    holes, end = [], 0
    for start, size in [*sorted(reserved), (num_slots, 0)]:
        if start > end:
            holes.append((end, start - end))
        end = start + size
    return holes


def _best_fit(reserved: Reserved, num_slots: int, wanted: int) -> int | None:
    fitting = [(size, start) for start, size in _holes(reserved, num_slots) if size >= wanted]
    return min(fitting)[1] if fitting else None


def _worst_fit(reserved: Reserved, num_slots: int, wanted: int) -> int | None:
    fitting = [(-size, start) for start, size in _holes(reserved, num_slots) if size >= wanted]
    return min(fitting)[1] if fitting else None


def _last_fit(reserved: Reserved, num_slots: int, wanted: int) -> int | None:
    return max((start for start, size in _holes(reserved, num_slots) if size >= wanted), default=None)


def _too_strict(reserved: Reserved, num_slots: int, wanted: int) -> int | None:
    return next((start for start, size in _holes(reserved, num_slots) if size > wanted), None)


def _unsorted(reserved: Reserved, num_slots: int, wanted: int) -> int | None:
    end = 0
    for start, size in reserved:
        if start - end >= wanted:
            return end
        end = start + size
    return end if num_slots - end >= wanted else None


def _no_end(reserved: Reserved, num_slots: int, wanted: int) -> int | None:
    holes = [hole for hole in _holes(reserved, num_slots) if sum(hole) < num_slots or not reserved]
    return next((start for start, size in holes if size >= wanted), None)


def _no_front(reserved: Reserved, num_slots: int, wanted: int) -> int | None:
    holes = [hole for hole in _holes(reserved, num_slots) if hole[0] > 0 or not reserved]
    return next((start for start, size in holes if size >= wanted), None)


def _only_end(reserved: Reserved, num_slots: int, wanted: int) -> int | None:
    end = max((start + size for start, size in reserved), default=0)
    return end if num_slots - end >= wanted else None


def _sum_fits(reserved: Reserved, num_slots: int, wanted: int) -> int | None:
    holes = _holes(reserved, num_slots)
    return holes[0][0] if holes and sum(size for _, size in holes) >= wanted else None


def _minus_one(reserved: Reserved, num_slots: int, wanted: int) -> int:
    start = first_fit(reserved, num_slots, wanted)
    return -1 if start is None else start


def _the_hole(reserved: Reserved, num_slots: int, wanted: int) -> tuple[int, int] | None:
    return next((hole for hole in _holes(reserved, num_slots) if hole[1] >= wanted), None)


_FIT_WRONGS = (
    Wrong(
        "The free slots are added up: they must lie side by side, which is the whole problem.",
        _sum_fits,
    ),
    Wrong("The smallest hole that fits is taken: that is best fit. First fit takes the first.", _best_fit),
    Wrong(
        "The largest hole is taken: that is worst fit. First fit takes the first that is enough.", _worst_fit
    ),
    Wrong("The last hole is taken: look from the front.", _last_fit),
    Wrong("A hole of exactly the size wanted is passed over: it fits.", _too_strict),
    Wrong("The reservations come in any order: sort them by their start.", _unsorted),
    Wrong("The room behind the last reservation is a hole too.", _no_end),
    Wrong("The room before the first reservation is a hole too.", _no_front),
    Wrong("Only the room behind the last reservation is used: holes between them count.", _only_end),
    Wrong("Where nothing fits -1 came back: return None, -1 looks like a slot.", _minus_one),
    Wrong("Start and size of the hole came back: only its start is asked for.", _the_hole),
)


def check_first_fit(t: Trial) -> None:
    """Exercise 4.14."""

    def draw(rng: random.Random) -> Args:
        num_slots = rng.randint(20, 40)
        reserved, at = [], rng.choice((0, 0, 3))
        while at < num_slots - 6:
            size = rng.randint(1, 6)
            reserved.append((at, size))
            at += size + rng.choice((0, 0, 1, 2, 4, 7))
        rng.shuffle(reserved)
        return reserved, num_slots, rng.randint(1, 8)

    immediate: list[Args] = [
        ([(0, 4), (6, 3), (12, 2)], 20, 3),
        ([(0, 4), (6, 3), (12, 2)], 20, 6),
        ([(0, 4), (6, 3), (12, 2)], 15, 5),
        ([(12, 2), (6, 3), (0, 4)], 20, 2),
        ([(0, 1), (9, 3), (15, 2)], 20, 3),
        ([(3, 5)], 8, 3),
        ([], 5, 5),
    ]
    diagnose_function(t, "first_fit", t.cases(immediate, draw), first_fit, _FIT_WRONGS)


Runs = Sequence[tuple[int, int, int]]


def _slide(runs: Runs, *, step: str = "size", cost: str = "used", stayers: bool = False) -> Any:
    """Compaction with a defect: what the next start moves on by, and what a move costs."""
    starts: list[int] = []
    end = copied = 0
    for start, size, used in runs:
        starts.append(end)
        if start != end or stayers:
            copied += {"used": used, "size": size, "one": 1, "distance": start - end}[cost]
        end += size if step == "size" else used
    return starts, copied


def _to_the_end(runs: Runs) -> Any:
    end = max((start + size for start, size, _ in runs), default=0)
    starts: list[int] = []
    copied = 0
    for start, size, used in reversed(runs):
        end -= size
        starts.append(end)
        copied += used if start != end else 0
    return starts[::-1], copied


def _biggest_first(runs: Runs) -> Any:
    order = sorted(range(len(runs)), key=lambda one: (-runs[one][1], one))
    starts, end, copied = [0] * len(runs), 0, 0
    for one in order:
        starts[one] = end
        copied += runs[one][2] if runs[one][0] != end else 0
        end += runs[one][1]
    return starts, copied


def _first_gap_only(runs: Runs) -> Any:
    starts: list[int] = []
    end = shift = copied = 0
    for start, size, used in runs:
        if not shift and start != end:
            shift = start - end
        starts.append(start - shift)
        copied += used if shift else 0
        end = start + size
    return starts, copied


_SLIDE_WRONGS = (
    Wrong(
        "The next reservation begins behind the *tokens* of the one before: its empty slots are "
        "reserved too.",
        lambda runs: _slide(runs, step="used"),
    ),
    Wrong(
        "Empty slots are copied as well: only a reservation's tokens are.",
        lambda runs: _slide(runs, cost="size"),
    ),
    Wrong(
        "A reservation that stays where it is costs nothing.",
        lambda runs: _slide(runs, stayers=True),
    ),
    Wrong("Reservations are counted: a move costs its tokens.", lambda runs: _slide(runs, cost="one")),
    Wrong(
        "A move costs its tokens, however far it goes: distances were added up.",
        lambda runs: _slide(runs, cost="distance"),
    ),
    Wrong("Everything slid to the end: slide to the front.", _to_the_end),
    Wrong("The reservations were sorted by size: they keep their order.", _biggest_first),
    Wrong("Only the first gap is closed: close every one of them.", _first_gap_only),
    Wrong("Only the starts came back: return them and the tokens copied.", lambda runs: _slide(runs)[0]),
    Wrong("Only the tokens copied came back: return the starts too.", lambda runs: _slide(runs)[1]),
    Wrong(
        "Moves came back as pairs (old start, new start): return the list of new starts.",
        lambda runs: (
            [(run[0], start) for run, start in zip(runs, _slide(runs)[0], strict=True)],
            _slide(runs)[1],
        ),
    ),
    Wrong("What is copied counts twice, read and written: count each token once.", lambda runs: _twice(runs)),
)


def _twice(runs: Runs) -> tuple[list[int], int]:
    starts, copied = slide_down(runs)
    return starts, 2 * copied


def check_slide_down(t: Trial) -> None:
    """Exercise 4.15."""

    def draw(rng: random.Random) -> Args:
        runs, at = [], rng.choice((0, 0, 4))
        for _ in range(rng.randint(0, 6)):
            size = rng.randint(1, 9)
            runs.append((at, size, rng.randint(1, size)))
            at += size + rng.choice((0, 0, 2, 5))
        return (runs,)

    immediate: list[Args] = [
        ([(0, 4, 2), (6, 5, 3), (11, 2, 1)],),
        ([(2, 7, 4), (9, 3, 3), (15, 6, 5)],),
        ([(0, 3, 3), (3, 4, 2)],),
        ([],),
    ]
    diagnose_function(
        t,
        "slide_down",
        t.cases(immediate, draw),
        slide_down,
        _SLIDE_WRONGS,
        ("the starts", "the tokens copied"),
    )

"""The check of exercise 5.5: who of those that wait may begin."""

import math
import random
from collections.abc import Callable, Sequence

from cblab.lab.labs.continuous_batching.reference import admit
from cblab.lab.labs.diagnose import Args, Wrong, diagnose_function
from cblab.lab.trial import Trial


def _variant(
    *,
    skips: bool = False,
    counts_blocks: bool = True,
    spends: bool = True,
    seats_first: Callable[[int], int] = lambda seats: seats,
    blocks_of: Callable[[int, int, int], int] = lambda new, whole, size: math.ceil(new / size),
    first: Callable[[int, int, int], int] = lambda whole, chunk, budget: min(whole, chunk, budget),
    strict: bool = False,
    keeps_zeros: bool = False,
) -> Callable[..., list[int]]:
    """`admit` with one thing changed."""

    def formula(
        waiting: Sequence[int], budget: int, chunk_size: int, seats: int, free: int, block_size: int
    ) -> list[int]:
        shares: list[int] = []
        for whole in waiting:
            new = first(whole, chunk_size, budget)
            blocks = blocks_of(new, whole, block_size)
            is_full = blocks >= free if strict else blocks > free
            if len(shares) >= seats_first(seats) or (new <= 0 and not keeps_zeros):
                break
            if is_full:
                if skips:
                    continue
                break
            shares.append(new)
            budget -= new if spends else 0
            free -= blocks if counts_blocks else 0
        return shares

    return formula


def _shortest_first(waiting: Sequence[int], *rest: int) -> list[int]:
    return admit(sorted(waiting), *rest)


def _one_only(waiting: Sequence[int], *rest: int) -> list[int]:
    return admit(waiting, *rest)[:1]


def _indices(waiting: Sequence[int], *rest: int) -> list[int]:
    return list(range(len(admit(waiting, *rest))))


def _last_first(waiting: Sequence[int], *rest: int) -> list[int]:
    return admit(list(waiting)[::-1], *rest)


_WRONGS = (
    Wrong(
        "The free blocks are counted once, before anybody is admitted: take off what each one is given.",
        _variant(counts_blocks=False),
    ),
    Wrong(
        "One that does not fit is passed over, and smaller ones behind it go first: it may wait for "
        "ever. Stop "
        "there.",
        _variant(skips=True),
    ),
    Wrong(
        "The shortest go first: a long prompt would wait for ever. Keep the order of arrival.",
        _shortest_first,
    ),
    Wrong("The last to come goes first: keep the order of arrival.", _last_first),
    Wrong(
        "The budget is not reduced: the second chunk gets what the first has taken.", _variant(spends=False)
    ),
    Wrong(
        "`seats` is not looked at: so many may be admitted at most.",
        _variant(seats_first=lambda seats: 10**6),
    ),
    Wrong(
        "One too many is admitted: `seats` is how many are free.",
        _variant(seats_first=lambda seats: seats + 1),
    ),
    Wrong(
        "`chunk_size` is not used: a first chunk is no longer than any other.",
        _variant(first=lambda w, c, b: min(w, b)),
    ),
    Wrong(
        "A prompt begins only if it fits the budget whole: its first chunk is enough.",
        _variant(first=lambda w, c, b: w if w <= min(c, b) else 0),
    ),
    Wrong(
        "Blocks are asked for the whole prompt: at first those of its chunk are enough.",
        _variant(blocks_of=lambda new, whole, size: math.ceil(whole / size)),
    ),
    Wrong(
        "The number of blocks is rounded down: 5 tokens in blocks of 4 need 2.",
        _variant(blocks_of=lambda new, whole, size: new // size),
    ),
    Wrong(
        "One block too many for a chunk that fills its blocks exactly.",
        _variant(blocks_of=lambda new, whole, size: new // size + 1),
    ),
    Wrong(
        "A chunk takes a block for each token: a block holds `block_size` of them.",
        _variant(blocks_of=lambda n, w, s: n),
    ),
    Wrong("The last free block is never given: exactly enough is enough.", _variant(strict=True)),
    Wrong(
        "`free_blocks` is not looked at: who is admitted must have room.",
        _variant(blocks_of=lambda n, w, s: 0),
    ),
    Wrong(
        "Without budget somebody is admitted with a chunk of 0 tokens: stop before.",
        _variant(keeps_zeros=True),
    ),
    Wrong("Only one is admitted: go on while there are seats, budget and blocks.", _one_only),
    Wrong("Places in the queue came back: return the number of tokens of each first chunk.", _indices),
)


def _draw(rng: random.Random) -> Args:
    waiting = [rng.choice((rng.randint(1, 12), rng.randint(10, 60), 8)) for _ in range(rng.randint(1, 7))]
    chunk, size = rng.randint(4, 30), rng.choice((3, 4, 5))
    return (
        waiting,
        rng.choice((0, rng.randint(1, 60), 99)),
        chunk,
        rng.randint(0, 6),
        rng.randint(0, 20),
        size,
    )


_IMMEDIATE: list[Args] = [
    ([10, 30, 5], 64, 16, 4, 20, 4),
    ([8, 8, 8], 64, 16, 8, 4, 4),
    ([6, 40, 3], 64, 64, 8, 9, 4),
    ([20, 20], 24, 16, 8, 20, 4),
    ([5, 5, 5, 5], 64, 16, 2, 20, 4),
    ([5, 8], 64, 16, 4, 2, 4),
    ([5], 0, 16, 2, 20, 4),
]


def _spell(args: Args) -> str:
    names = ("waiting", "budget", "chunk_size", "seats", "free_blocks", "block_size")
    return f"admit({', '.join(f'{name}={value}' for name, value in zip(names, args, strict=True))})"


def check_admit(t: Trial) -> None:
    """Exercise 5.5."""
    diagnose_function(t, "admit", list(t.cases(_IMMEDIATE, _draw, 30)), admit, _WRONGS, spell=_spell)

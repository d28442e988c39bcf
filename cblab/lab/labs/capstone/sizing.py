"""Check of exercise 7.3: the smallest pool that serves, and the smallest in which nobody is preempted."""

import random
from collections.abc import Sequence

from cblab.lab.labs.capstone.reference import pool_sizes
from cblab.lab.labs.diagnose import Args, Wrong, diagnose_function
from cblab.lab.trial import Trial


def _blocks(lengths: Sequence[int], size: int) -> list[int]:
    return sorted((-(-length // size) for length in lengths), reverse=True)


_WRONGS = (
    Wrong(
        "Rounded down: the tokens in a partly filled last block need that block.",
        lambda lengths, size, seats: (
            max(lengths) // size,
            sum(sorted((one // size for one in lengths), reverse=True)[:seats]),
        ),
    ),
    Wrong(
        "A last block that is only partly filled counts too: round `least` up.",
        lambda lengths, size, seats: (max(lengths) // size, sum(_blocks(lengths, size)[:seats])),
    ),
    Wrong(
        "In `enough` the last blocks that are only partly filled are missing: round each request's up.",
        lambda lengths, size, seats: (
            _blocks(lengths, size)[0],
            sum(sorted((one // size for one in lengths), reverse=True)[:seats]),
        ),
    ),
    Wrong(
        "`enough` leaves out the `max_num_seqs` shortest and adds up all the others: of a list that is "
        "sorted upwards the longest are `[-max_num_seqs:]`.",
        lambda lengths, size, seats: (
            _blocks(lengths, size)[0],
            sum(_blocks(lengths, size)[::-1][seats:]),
        ),
    ),
    Wrong(
        "For `enough` the tokens were added up and rounded once: each request has a last block of its own.",
        lambda lengths, size, seats: (
            _blocks(lengths, size)[0],
            -(-sum(sorted(lengths, reverse=True)[:seats]) // size),
        ),
    ),
    Wrong(
        "`enough` is for the first requests of the list: any of them may run side by side, take the longest.",
        lambda lengths, size, seats: (
            _blocks(lengths, size)[0],
            sum(-(-one // size) for one in lengths[:seats]),
        ),
    ),
    Wrong(
        "`enough` takes all requests to be as long as the longest: that is more than they can use.",
        lambda lengths, size, seats: (_blocks(lengths, size)[0], _blocks(lengths, size)[0] * seats),
    ),
    Wrong(
        "`enough` has room for all requests at once: only `max_num_seqs` of them run.",
        lambda lengths, size, seats: (_blocks(lengths, size)[0], sum(_blocks(lengths, size))),
    ),
    Wrong(
        "`least` is for the shortest request: the longest has to fit too.",
        lambda lengths, size, seats: (_blocks(lengths, size)[-1], sum(_blocks(lengths, size)[:seats])),
    ),
    Wrong(
        "`enough` adds up the *shortest* requests: the longest may meet.",
        lambda lengths, size, seats: (_blocks(lengths, size)[0], sum(_blocks(lengths, size)[-seats:])),
    ),
    Wrong(
        "Both came back in tokens: blocks are wanted.",
        lambda lengths, size, seats: (max(lengths), sum(sorted(lengths, reverse=True)[:seats])),
    ),
    Wrong(
        "A block too many where a request fills its last block exactly: round up only if something is left.",
        lambda lengths, size, seats: (
            max(lengths) // size + 1,
            sum(sorted((one // size + 1 for one in lengths), reverse=True)[:seats]),
        ),
    ),
    Wrong(
        "`least` has a seat's share for everybody: alone, a request has the whole pool.",
        lambda lengths, size, seats: (
            max(_blocks(lengths, size)[0], min(seats, len(lengths))),
            sum(_blocks(lengths, size)[:seats]),
        ),
    ),
    Wrong(
        "The two results have changed places: `least` comes first.",
        lambda lengths, size, seats: pool_sizes(lengths, size, seats)[::-1],
    ),
    Wrong(
        "Equal lengths were counted once, as in a set: each request needs blocks of its own.",
        lambda lengths, size, seats: (
            _blocks(lengths, size)[0],
            sum(sorted(set(_blocks(lengths, size)), reverse=True)[:seats]),
        ),
    ),
    Wrong(
        "The average stands in for the longest requests: they may all run at once.",
        lambda lengths, size, seats: (
            _blocks(lengths, size)[0],
            -(-sum(_blocks(lengths, size)) * min(seats, len(lengths)) // len(lengths)),
        ),
    ),
)


def check_pool_sizes(t: Trial) -> None:
    """Exercise 7.3."""

    def draw(rng: random.Random) -> Args:
        size = rng.choice((2, 4, 8, 16))
        count = rng.randint(1, 9)
        lengths = [max(1, rng.randint(1, 6) * size + rng.choice((0, 0, 1, -1))) for _ in range(count)]
        return lengths, size, rng.randint(1, 10)

    immediate: list[Args] = [
        ([20, 9, 33, 8], 8, 2),
        ([8, 16, 24], 8, 2),
        ([5, 5, 5, 5], 4, 3),
        ([40], 8, 4),
        ([7, 30, 12, 30, 3], 4, 10),
    ]
    diagnose_function(
        t,
        "pool_sizes",
        t.cases(immediate, draw),
        pool_sizes,
        _WRONGS,
        results=("least", "enough"),
    )

"""Check of exercise 7.2: what a first chunk takes of what the prefix cache has found."""

import random

from cblab.lab.labs.capstone.reference import first_chunk
from cblab.lab.labs.diagnose import Args, Wrong, diagnose_function
from cblab.lab.trial import Trial


def _left(num_new: int, blocks: int, size: int) -> tuple[int, int]:
    return blocks, num_new - blocks * size


_WRONGS = (
    Wrong(
        "All that was found is taken: it may be more than the chunk that the scheduler planned, and counted "
        "blocks for.",
        lambda new, found, size: _left(new, found, size),
    ),
    Wrong(
        "More blocks are taken than lie within the chunk, and one is given up: `num_found` may be far larger "
        "than `num_new // block_size`.",
        lambda new, found, size: _left(new, found - (found * size >= new), size),
    ),
    Wrong(
        "More blocks are taken than lie within the chunk: `num_found` may be far larger than `num_new // "
        "block_size`, and holding the tokens at 1 does not make the blocks fewer.",
        lambda new, found, size: (found, max(1, new - found * size)),
    ),
    Wrong(
        "A token is left to compute that the blocks hold as well: take one block less there.",
        lambda new, found, size: (min(found, new // size), max(1, new - min(found, new // size) * size)),
    ),
    Wrong(
        "A chunk that is found to its last token is taken whole: nothing is left to compute. At least one "
        "token must be.",
        lambda new, found, size: _left(new, min(found, new // size), size),
    ),
    Wrong(
        "Rounded up: a block that the chunk fills only in part is not taken from the cache.",
        lambda new, found, size: _left(new, min(found, -(-new // size)), size),
    ),
    Wrong(
        "Where more was found than the chunk has, nothing is taken: take as many blocks as the chunk has.",
        lambda new, found, size: _left(new, found if found <= (new - 1) // size else 0, size),
    ),
    Wrong(
        "The number of blocks depends on the chunk alone: no more can be taken than were found.",
        lambda new, found, size: _left(new, (new - 1) // size, size),
    ),
    Wrong(
        "One block less is taken than can be: a token is left over whenever the chunk ends inside a block.",
        lambda new, found, size: _left(new, max(0, min(found, new // size - 1)), size),
    ),
    Wrong(
        "The last block that was found is always given up: only where the chunk's last token is in it.",
        lambda new, found, size: _left(new, max(0, min(found, (new - 1) // size + 1) - 1), size),
    ),
    Wrong(
        "The whole chunk is left to compute: what was taken is computed already.",
        lambda new, found, size: (min(found, (new - 1) // size), new),
    ),
    Wrong(
        "Blocks were taken off tokens: a block stands for `block_size` of them.",
        lambda new, found, size: (min(found, (new - 1) // size), new - min(found, (new - 1) // size)),
    ),
    Wrong(
        "The first number is that of *blocks*; it came back in tokens.",
        lambda new, found, size: (
            min(found, (new - 1) // size) * size,
            new - min(found, (new - 1) // size) * size,
        ),
    ),
    Wrong(
        "The two results have changed places: blocks first, tokens second.",
        lambda new, found, size: first_chunk(new, found, size)[::-1],
    ),
    Wrong(
        "Only the number of blocks came back: the tokens that are left are wanted too.",
        lambda new, found, size: first_chunk(new, found, size)[0],
    ),
    Wrong(
        "The tokens that are saved came back in place of those that are left.",
        lambda new, found, size: (min(found, (new - 1) // size), min(found, (new - 1) // size) * size),
    ),
)


def check_first_chunk(t: Trial) -> None:
    """Exercise 7.2."""

    def draw(rng: random.Random) -> Args:
        size = rng.choice((2, 4, 8, 16))
        blocks = rng.randint(0, 6)
        new = max(1, blocks * size + rng.choice((-1, 0, 0, 1, rng.randint(1, size))))
        return new, rng.choice((0, 1, blocks, blocks + 1, blocks + 4)), size

    immediate: list[Args] = [
        (20, 2, 8),
        (20, 7, 8),
        (16, 2, 8),
        (16, 5, 8),
        (17, 2, 8),
        (6, 3, 8),
        (20, 0, 8),
    ]
    diagnose_function(
        t,
        "first_chunk",
        t.cases(immediate, draw),
        first_chunk,
        _WRONGS,
        results=("the blocks to take", "the tokens left to compute"),
    )

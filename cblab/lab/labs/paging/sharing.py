"""Checks of exercise 4.4: a table that shares another's blocks, and the copy before the first write."""

import random
from collections.abc import Callable, Sequence
from typing import Any

from cblab.lab.codec import Handle
from cblab.lab.labs.diagnose import Args, Wrong, diagnose
from cblab.lab.labs.paging import tables
from cblab.lab.labs.paging.pools import BlockPool
from cblab.lab.labs.paging.tables import copy_on_write, fork
from cblab.lab.trial import Trial

Setup = Sequence[tuple[str, int]]  # pool calls: ("take", how often), ("share", block), ("release", block)


def _prepared(num_blocks: int, setup: Setup) -> BlockPool:
    pool = BlockPool(num_blocks)
    for method, number in setup:
        if method == "take":
            for _ in range(number):
                pool.take()
        else:
            getattr(pool, method)(number)
    return pool


def _prepared_remotely(t: Trial, num_blocks: int, setup: Setup) -> Handle:
    pool = t.new("BlockPool", num_blocks)
    for method, number in setup:
        if method == "take":
            for _ in range(number):
                t.method(pool, "take")
        else:
            t.method(pool, method, number)
    return pool


def _with_pool(function: Callable[..., Any]) -> Callable[..., Any]:
    """What a function gives, with the pool's state and the table it was handed, as a check sees them."""

    def run(num_blocks: int, setup: Setup, *args: Any) -> Any:
        pool = _prepared(num_blocks, setup)
        table = list(args[0])
        return function(pool, table, *args[1:]), *pool.state()

    return run


def _students(t: Trial, name: str) -> Callable[..., Any]:
    def run(num_blocks: int, setup: Setup, *args: Any) -> Any:
        pool = _prepared_remotely(t, num_blocks, setup)
        return t.executor.call(name, pool, *args), *t.executor.method(pool, "state")

    return run


def _spelled(name: str) -> Callable[[Args], str]:
    def spell(args: Args) -> str:
        pool = _prepared(args[0], args[1])
        rest = "".join(f", {one}" for one in args[3:])
        return f"{name}(pool, {list(args[2])}{rest})` with the reference counts `{pool.ref_counts}"

    return spell


_RESULTS = ("the result", "`pool.free`", "`pool.ref_counts`")


def _fork_some(pool: BlockPool, table: list[int], shared: Sequence[int]) -> list[int]:
    for block_id in shared:
        pool.share(block_id)
    return table


def _fork_by_copy(pool: BlockPool, table: list[int]) -> list[int]:
    return [pool.take() for _ in table]


_FORK_WRONGS = (
    Wrong(
        "The blocks are not counted again: each has one more holder.",
        _with_pool(lambda pool, table: table),
    ),
    Wrong(
        "Only the last block is counted again: every block of the table has one more holder.",
        _with_pool(lambda pool, table: _fork_some(pool, table, table[-1:])),
    ),
    Wrong(
        "The last block is left out: a partly filled block is shared as well, until somebody writes.",
        _with_pool(lambda pool, table: _fork_some(pool, table[:-1], table[:-1])),
    ),
    Wrong(
        "The child gets blocks of its own: it is to share the parent's, nothing is copied yet.",
        _with_pool(_fork_by_copy),
    ),
    Wrong(
        "`fork` returns nothing: return the child's table.",
        _with_pool(lambda pool, table: _fork_some(pool, table, table) and None),
    ),
)


def check_fork(t: Trial) -> None:
    """Exercise 4.4, fork."""

    def draw(rng: random.Random) -> Args:
        num_taken = rng.randint(1, 5)
        setup = [
            ("take", num_taken),
            *(("share", rng.randrange(num_taken)) for _ in range(rng.randint(0, 3))),
        ]
        return 12, setup, rng.sample(range(num_taken), rng.randint(1, num_taken))

    immediate: list[Args] = [
        (8, [("take", 3)], [0, 1, 2]),
        (8, [("take", 4), ("share", 1)], [3, 1]),
        (3, [("take", 1)], [0]),
    ]
    diagnose(
        t,
        _students(t, "fork"),
        t.cases(immediate, draw, 10),
        _with_pool(fork),
        _FORK_WRONGS,
        spell=_spelled("fork"),
        results=_RESULTS,
    )
    _expect_a_list_of_its_own(t)


def _expect_a_list_of_its_own(t: Trial) -> None:
    """What is added to the child's table must not appear in the parent's, which stays with the student."""
    pool = _prepared_remotely(t, 8, [("take", 3)])
    # With blocks of one slot the slots are the table: a list over there, to be handed over as it is.
    table = t.call(f"{tables.__name__}:slot_mapping", [0, 1, 2], 0, 3, 1, result="handle")
    child = t.call("fork", pool, table, result="handle")
    t.method(child, "append", 7)
    after = t.method(table, "copy")
    if after != [0, 1, 2]:
        t.fail(
            "Both requests have one list: what one adds, the other has too. Return a new list. (After "
            f"`child = fork(pool, table)` and `child.append(7)`, `table` is {after}; expected [0, 1, 2].)"
        )


Copied = tuple[list[int], list[Any]]


def _cow(
    needs: Callable[[BlockPool, list[int], int, int], bool],
    *,
    release: bool = True,
    new_table: bool = True,
    pair: Callable[[int, int], Any] = lambda source, target: (source, target),
) -> Callable[..., Any]:
    """Copying the last block where `needs` says so, with a defect in what follows."""

    def copy(pool: BlockPool, table: list[int], num_tokens: int, size: int) -> Copied:
        if not needs(pool, table, num_tokens, size):
            return table, []
        source, target = table[-1], pool.take()
        if release:
            pool.release(source)
        return ([*table[:-1], target] if new_table else table), [pair(source, target)]

    return _with_pool(copy)


def _needed(pool: BlockPool, table: list[int], num_tokens: int, size: int) -> bool:
    return num_tokens % size != 0 and pool.ref_counts[table[-1]] > 1


def _copy_all_shared(pool: BlockPool, table: list[int], num_tokens: int, size: int) -> Copied:
    copies: list[Any] = []
    for index, source in enumerate(table):
        if num_tokens % size and pool.ref_counts[source] > 1:
            table[index] = pool.take()
            pool.release(source)
            copies.append((source, table[index]))
    return table, copies


def _copy_every_shared(pool: BlockPool, table: list[int], num_tokens: int, size: int) -> Copied:
    return _copy_all_shared(pool, table, 1, 2)


def _only_copies(pool: BlockPool, table: list[int], num_tokens: int, size: int) -> list[Any]:
    return copy_on_write(pool, table, num_tokens, size)[1]


def _only_table(pool: BlockPool, table: list[int], num_tokens: int, size: int) -> list[int]:
    return copy_on_write(pool, table, num_tokens, size)[0]


def _appended(pool: BlockPool, table: list[int], num_tokens: int, size: int) -> Copied:
    new, copies = copy_on_write(pool, table, num_tokens, size)
    return (table + new[-1:] if copies else table), copies


_COPY_WRONGS = (
    Wrong(
        "All shared blocks are copied: the full ones are never written again, only the last one is.",
        _with_pool(_copy_all_shared),
    ),
    Wrong(
        "Every shared block is copied, whether the next token is written into it or not: full blocks stay "
        "shared.",
        _with_pool(_copy_every_shared),
    ),
    Wrong(
        "A full last block is copied: the next token goes into a new block, so that nobody writes into this "
        "one.",
        _cow(lambda pool, table, num_tokens, size: pool.ref_counts[table[-1]] > 1),
    ),
    Wrong(
        "A block that nobody else holds is copied: its only holder may write into it.",
        _cow(lambda pool, table, num_tokens, size: num_tokens % size != 0),
    ),
    Wrong(
        "Nothing is ever copied: two tables write into one block.",
        _cow(lambda pool, table, num_tokens, size: False),
    ),
    Wrong(
        "A copy is made only from three holders on: two are one too many already.",
        _cow(lambda pool, table, num_tokens, size: num_tokens % size != 0 and pool.ref_counts[table[-1]] > 2),
    ),
    Wrong(
        "Shared and partly filled is asked the wrong way round: copy when `num_tokens` is *not* a "
        "multiple of "
        "`block_size`.",
        _cow(lambda pool, table, num_tokens, size: num_tokens % size == 0 and pool.ref_counts[table[-1]] > 1),
    ),
    Wrong(
        "The old block is not released: this table does not hold it any more.", _cow(_needed, release=False)
    ),
    Wrong(
        "The table still ends in the old block: put the new one in its place.", _cow(_needed, new_table=False)
    ),
    Wrong(
        "The pair is the wrong way round: (source, target), from the old block to the new one.",
        _cow(_needed, pair=lambda source, target: (target, source)),
    ),
    Wrong(
        "The new block stands behind the old one: it takes its place.",
        _with_pool(_appended),
    ),
    Wrong("Only the copies came back: return the table and the copies.", _with_pool(_only_copies)),
    Wrong("Only the table came back: return the table and the copies.", _with_pool(_only_table)),
    Wrong(
        "The copies are plain pairs in a list: [(source, target)], and [] where nothing is copied.",
        matches=lambda args, want, got: isinstance(got[0][1], tuple) or got[0][1] is None,
    ),
)


def check_copy_on_write(t: Trial) -> None:
    """Exercise 4.4, copy on write."""

    def draw(rng: random.Random) -> Args:
        num_taken, size = rng.randint(1, 5), rng.choice((2, 3, 4))
        table = rng.sample(range(num_taken), rng.randint(1, num_taken))
        shared = [("share", one) for one in table for _ in range(rng.choice((0, 1, 1, 2)))]
        num_tokens = (len(table) - 1) * size + rng.randint(1, size)
        return 12, [("take", num_taken), *shared], table, num_tokens, size

    shared = [("take", 3), ("share", 0), ("share", 1), ("share", 2)]
    immediate: list[Args] = [
        (8, shared, [0, 1, 2], 10, 4),
        (8, shared, [0, 1, 2], 12, 4),
        (8, [("take", 3)], [0, 1, 2], 10, 4),
        (8, [("take", 3), ("share", 0), ("share", 1)], [0, 1, 2], 9, 4),
        (8, [*shared, ("share", 2)], [2], 3, 4),
    ]
    diagnose(
        t,
        _students(t, "copy_on_write"),
        t.cases(immediate, draw, 12),
        _with_pool(copy_on_write),
        _COPY_WRONGS,
        spell=_spelled("copy_on_write"),
        results=_RESULTS,
    )

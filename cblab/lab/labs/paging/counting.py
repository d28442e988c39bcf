"""Checks of exercise 4.1: a pool of blocks that counts their holders."""

import contextlib
import random
from collections.abc import Callable, Sequence
from typing import Any

from cblab.lab.compare import same, shown
from cblab.lab.labs.diagnose import Args, Wrong, diagnose
from cblab.lab.labs.paging.play import Call, Op, diagnose_play, on_handle, on_object
from cblab.lab.labs.paging.pools import BlockPool
from cblab.lab.protocol import StudentError
from cblab.lab.trial import Trial


class _NewestFirst(BlockPool):
    def take(self) -> int:
        if self.free:
            self.free.appendleft(self.free.pop())
        return super().take()


class _NotCounted(BlockPool):
    def take(self) -> int:
        block_id = super().take()
        self.ref_counts[block_id] = 0
        return block_id


class _StaysFree(BlockPool):
    def take(self) -> int:
        block_id = super().take()
        self.free.appendleft(block_id)
        return block_id


class _SmallestFirst(BlockPool):
    def take(self) -> int:
        if self.free:
            smallest = min(self.free)
            self.free.remove(smallest)
            self.free.appendleft(smallest)
        return super().take()


class _EmptyIsAnIndexError(BlockPool):
    def take(self) -> int:
        if not self.free:
            raise IndexError
        return super().take()


class _EmptyIsNone(BlockPool):
    def take(self) -> Any:
        return super().take() if self.free else None


class _GivesNothing(BlockPool):
    def take(self) -> Any:
        super().take()


class _SharesFree(BlockPool):
    def share(self, block_id: int) -> None:
        self.ref_counts[block_id] += 1


class _SharesOnce(BlockPool):
    def share(self, block_id: int) -> None:
        super().share(block_id)
        self.ref_counts[block_id] = 2


class _FreeAtOnce(BlockPool):
    def release(self, block_id: int) -> None:
        super().release(block_id)
        if self.ref_counts[block_id]:
            self.free.append(block_id)


class _ForgetsOthers(BlockPool):
    def release(self, block_id: int) -> None:
        super().release(block_id)
        if self.ref_counts[block_id]:
            self.ref_counts[block_id] = 0
            self.free.append(block_id)


class _NeverFree(BlockPool):
    def release(self, block_id: int) -> None:
        super().release(block_id)
        if self.ref_counts[block_id] == 0:
            self.free.pop()


class _ToTheFront(BlockPool):
    def release(self, block_id: int) -> None:
        super().release(block_id)
        if self.ref_counts[block_id] == 0:
            self.free.appendleft(self.free.pop())


class _BelowZero(BlockPool):
    def release(self, block_id: int) -> None:
        self.ref_counts[block_id] -= 1
        if self.ref_counts[block_id] == 0:
            self.free.append(block_id)


class _FreedTwice(BlockPool):
    def release(self, block_id: int) -> None:
        self.ref_counts[block_id] = max(0, self.ref_counts[block_id] - 1)
        if self.ref_counts[block_id] == 0:
            self.free.append(block_id)


class _FreedTwiceBelowZero(BlockPool):
    def release(self, block_id: int) -> None:
        self.ref_counts[block_id] -= 1
        if self.ref_counts[block_id] <= 0:
            self.free.append(block_id)


class _FreeAtOne(BlockPool):
    def release(self, block_id: int) -> None:
        super().release(block_id)
        if self.ref_counts[block_id] == 0:
            self.free.pop()
        elif self.ref_counts[block_id] == 1:
            self.free.append(block_id)


_WRONGS = (
    (
        "The block that came back last is given out first: take from the front, where the one that has been "
        "free longest stands.",
        _NewestFirst,
    ),
    ("The smallest free block is given out: take the one at the front, whatever its number.", _SmallestFirst),
    ("A block that was taken has the reference count 0: it has one holder from the start.", _NotCounted),
    ("A block that was taken is still in `free`: somebody else will get it too.", _StaysFree),
    (
        "With no free block `take` raises an IndexError: ask first, and raise a ValueError.",
        _EmptyIsAnIndexError,
    ),
    ("With no free block `take` returns None: raise a ValueError.", _EmptyIsNone),
    ("`take` returns nothing: is a `return` missing?", _GivesNothing),
    (
        "A free block can be shared: nobody holds it, and the next `take` gives it to a stranger. Raise a "
        "ValueError.",
        _SharesFree,
    ),
    ("`share` always leaves the count at 2: add one to the count that is there.", _SharesOnce),
    (
        "A block goes back to `free` while others still hold it: only when its count has come down to 0.",
        _FreeAtOnce,
    ),
    (
        "`release` sets the count to 0: take one off, the others still hold the block.",
        _ForgetsOthers,
    ),
    ("A block without any holder never comes back to `free`: the pool runs dry.", _NeverFree),
    ("A block that comes back is put at the front of `free`: append it at the end.", _ToTheFront),
    (
        "The count of a free block goes below 0 when it is released: raise a ValueError before counting.",
        _BelowZero,
    ),
    (
        "A free block that is released stands in `free` twice, and two requests will get it: raise a "
        "ValueError.",
        _FreedTwice,
    ),
    (
        "A free block that is released is counted down to -1 and stands in `free` twice: raise a ValueError.",
        _FreedTwiceBelowZero,
    ),
    (
        "A block becomes free when one holder is left, and not when none is: compare with 0.",
        _FreeAtOne,
    ),
)


def check_counting(t: Trial) -> None:
    """Exercise 4.1, with calls that are all allowed."""

    def draw(rng: random.Random) -> tuple[tuple[int], list[Op]]:
        num_blocks = rng.randint(1, 5)
        pool, script = BlockPool(num_blocks), list[Op]()
        for _ in range(18):
            held = [block_id for block_id, count in enumerate(pool.ref_counts) if count]
            weights = (4 if pool.free else 0, 2 if held else 0, 4 if held else 0)
            (method,) = rng.choices(("take", "share", "release"), weights)
            script.append((method,) if method == "take" else (method, rng.choice(held)))
            on_object(pool)(*script[-1])
        return (num_blocks,), script

    immediate: list[tuple[tuple[int], list[Op]]] = [
        ((3,), [("take",), ("take",), ("release", 0), ("take",), ("take",)]),
        ((2,), [("take",), ("share", 0), ("share", 0), ("release", 0), ("release", 0), ("release", 0)]),
        ((4,), [*3 * [("take",)], ("release", 2), ("release", 0), ("take",), ("take",)]),
    ]
    diagnose_play(t, "BlockPool", t.cases(immediate, draw, 10), BlockPool, _WRONGS)


Refusal = tuple[str, Any, Any]  # the call as typed, what came of it, and the state if it has changed


def _refusals(call: Call, num_blocks: int, order: Sequence[int]) -> list[Refusal]:
    """Try what must be refused: taking when all blocks are held, then sharing and releasing free ones.

    order: the blocks, as they become free. Nothing here depends on which block is given out first.
    """
    found: list[Refusal] = []

    def attempt(method: str, *args: int) -> None:
        before = call("state")
        try:
            outcome = call(method, *args)
        except ValueError:
            outcome = "raised ValueError"
        after = call("state")
        found.append((f"{method}({', '.join(map(str, args))})", outcome, None if after == before else after))

    def allowed(method: str, *args: int) -> None:
        with contextlib.suppress(ValueError):
            call(method, *args)

    for _ in range(num_blocks):
        allowed("take")
    attempt("take")
    for block_id in order:
        allowed("release", block_id)
        attempt("release", block_id)
        attempt("share", block_id)
    return found


def check_refusals(t: Trial) -> None:
    """Exercise 4.1, with calls that must raise a ValueError and change nothing."""

    def play(made: type) -> Callable[..., list[Refusal]]:
        return lambda num_blocks, order: _refusals(on_object(made(num_blocks)), num_blocks, order)

    def students(num_blocks: int, order: Sequence[int]) -> list[Refusal]:
        return _refusals(on_handle(t, t.new("BlockPool", num_blocks)), num_blocks, order)

    def draw(rng: random.Random) -> tuple[int, list[int]]:
        num_blocks = rng.randint(1, 5)
        return num_blocks, rng.sample(range(num_blocks), num_blocks)

    diagnose(
        t,
        students,
        t.cases([(1, [0]), (3, [1, 0])], draw, 10),
        play(BlockPool),
        [Wrong(message, play(made)) for message, made in _WRONGS],
        spell=lambda args: f"BlockPool({args[0]})",
        show=_shown,
    )


def _shown(args: Args, want: Sequence[Refusal], got: Any) -> str:
    """The first call that was not refused, or that left a trace."""
    name = f"`BlockPool({args[0]})`"
    if isinstance(got, StudentError):
        return f"{name}: {got}"
    call, outcome, state = next(one for one, other in zip(got, want, strict=True) if not same(one, other))
    where = "when every block is held" if call == "take()" else "for a free block"
    left = f" and left {shown(state, 120)}" if state is not None else ""
    return f"{name}: `{call}` {where} gave {shown(outcome, 80)}{left}; expected a ValueError and no change."

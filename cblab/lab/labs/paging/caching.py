"""Checks of exercise 4.7: a pool that remembers what its blocks hold, and forgets in time."""

import random
from typing import Any

from cblab.lab.labs.paging.play import Call, Op, diagnose_play
from cblab.lab.labs.paging.pools import CachingPool
from cblab.lab.trial import Trial


class _Evicting(CachingPool):
    """Giving blocks out with a defect in which one is evicted, or in what is forgotten then."""

    def choose(self) -> int:
        """The block to be evicted."""
        return next(iter(self.evictable))

    def forget(self, block_id: int) -> None:
        """What eviction does to the books."""
        del self.evictable[block_id]
        del self.cached[self.hash_of.pop(block_id)]

    def take(self) -> int:
        if self.free:
            block_id = self.free.popleft()
        elif self.evictable:
            block_id = self.choose()
            self.forget(block_id)
        else:
            raise ValueError
        self.ref_counts[block_id] = 1
        return block_id


class _Stale(_Evicting):
    def forget(self, block_id: int) -> None:
        del self.evictable[block_id]


class _StaleHash(_Evicting):
    def forget(self, block_id: int) -> None:
        del self.evictable[block_id]
        del self.hash_of[block_id]


class _StaleBlock(_Evicting):
    def forget(self, block_id: int) -> None:
        del self.evictable[block_id]
        del self.cached[self.hash_of[block_id]]


class _StaysEvictable(_Evicting):
    def forget(self, block_id: int) -> None:
        del self.cached[self.hash_of.pop(block_id)]


class _ForgetsAll(_Evicting):
    def forget(self, block_id: int) -> None:
        del self.evictable[block_id]
        self.cached.clear()
        self.hash_of.clear()


class _NewestFirst(_Evicting):
    def choose(self) -> int:
        return next(reversed(self.evictable))


class _SmallestFirst(_Evicting):
    def choose(self) -> int:
        return min(self.evictable)


class _CachedFirst(_Evicting):
    def take(self) -> int:
        if not self.evictable:
            return super().take()
        block_id = self.choose()
        self.forget(block_id)
        self.ref_counts[block_id] = 1
        return block_id


class _NeverEvicts(CachingPool):
    def take(self) -> int:
        if not self.free:
            raise ValueError
        return super().take()


class _EvictsNothing(CachingPool):
    def take(self) -> int:
        if not self.free and not self.evictable:
            raise KeyError("dictionary is empty")
        return super().take()


class _Uncounted(CachingPool):
    def take(self) -> int:
        is_evicted = not self.free
        block_id = super().take()
        self.ref_counts[block_id] = 0 if is_evicted else 1
        return block_id


class _NotRevived(CachingPool):
    def share(self, block_id: int) -> None:
        self.ref_counts[block_id] += 1


class _OnlyRevives(CachingPool):
    def share(self, block_id: int) -> None:
        if block_id not in self.evictable:
            self.ref_counts[block_id] += 1
        self.evictable.pop(block_id, None)


class _SharedOnceOnly(CachingPool):
    def share(self, block_id: int) -> None:
        del self.evictable[block_id]
        self.ref_counts[block_id] += 1


class _AlwaysFree(CachingPool):
    def release(self, block_id: int) -> None:
        self.ref_counts[block_id] -= 1
        if self.ref_counts[block_id] == 0:
            self.free.append(block_id)


class _AlwaysEvictable(CachingPool):
    def release(self, block_id: int) -> None:
        self.ref_counts[block_id] -= 1
        if self.ref_counts[block_id] == 0:
            self.evictable[block_id] = None


class _TooEarly(CachingPool):
    def release(self, block_id: int) -> None:
        self.ref_counts[block_id] -= 1
        if block_id in self.hash_of:
            self.evictable[block_id] = None
        elif self.ref_counts[block_id] == 0:
            self.free.append(block_id)


class _Forgets(CachingPool):
    def release(self, block_id: int) -> None:
        self.ref_counts[block_id] -= 1
        if self.ref_counts[block_id] == 0:
            self.cached.pop(self.hash_of.pop(block_id, -1), None)
            self.free.append(block_id)


class _Both(CachingPool):
    def release(self, block_id: int) -> None:
        super().release(block_id)
        if block_id in self.evictable and self.ref_counts[block_id] == 0:
            self.free.append(block_id)


class _ToTheFront(CachingPool):
    def release(self, block_id: int) -> None:
        super().release(block_id)
        if block_id in self.evictable:
            self.evictable.move_to_end(block_id, last=False)


_WRONGS: tuple[tuple[str, type], ...] = (
    (
        "An evicted block can still be found by its old hash: the next request with that prefix gets "
        "somebody "
        "else's keys and values. Take it out of `cached` and `hash_of`.",
        _Stale,
    ),
    (
        "`hash_of` forgets an evicted block and `cached` does not: its old hash still leads to it.",
        _StaleHash,
    ),
    (
        "`cached` forgets an evicted block and `hash_of` does not: when it is released it is taken for "
        "cached.",
        _StaleBlock,
    ),
    (
        "An evicted block stays among the evictable ones: it will be given away again while it is in use.",
        _StaysEvictable,
    ),
    ("One eviction forgets the whole cache: only the evicted block's hash goes.", _ForgetsAll),
    (
        "The block released last is evicted: least recently used means that the first in `evictable` goes.",
        _NewestFirst,
    ),
    (
        "The smallest block is evicted: the one released longest ago goes, whatever its number.",
        _SmallestFirst,
    ),
    ("A cached block is evicted while others are free: `free` first.", _CachedFirst),
    (
        "Nothing is ever evicted: when no block is free, the cached ones that nobody holds are there to "
        "be had.",
        _NeverEvicts,
    ),
    (
        "With nothing free and nothing to evict `take` raises a KeyError: ask first, and raise a ValueError.",
        _EvictsNothing,
    ),
    ("A block that was evicted for somebody has the reference count 0: it has one holder.", _Uncounted),
    (
        "A cached block that is held again stays evictable: it will be given away while somebody reads it. "
        "Take it out of `evictable` in `share`.",
        _NotRevived,
    ),
    ("A cached block that is held again is not counted: it has one holder.", _OnlyRevives),
    (
        "Sharing a block that is in use raises a KeyError: it is not in `evictable`. Use `pop(block_id, "
        "None)`.",
        _SharedOnceOnly,
    ),
    (
        "A cached block goes into `free` while its hash still leads to it: it belongs in `evictable`.",
        _AlwaysFree,
    ),
    (
        "A block that is not cached goes into `evictable`: without a hash it is simply free.",
        _AlwaysEvictable,
    ),
    (
        "A block becomes evictable while others still hold it: only when its count has come down to 0.",
        _TooEarly,
    ),
    (
        "A block is forgotten as soon as nobody holds it: then no later request can find it. Keep it "
        "until it "
        "is evicted.",
        _Forgets,
    ),
    ("A cached block stands in `free` and in `evictable`: it will be given out twice.", _Both),
    (
        "A released block is put at the front of `evictable`, where it goes first: it belongs at the end.",
        _ToTheFront,
    ),
)


def _expand(call: Call, op: Op) -> None:
    """A drawn number as a block that is held, or for `share` also cached: callers keep to those."""
    if op[0] == "take":
        call("take")
        return
    _, _, ref_counts, cached, hash_of = call("state")
    held = [block for block, count in enumerate(ref_counts) if count]
    if op[0] == "share":
        candidates = sorted({*held, *cached.values()})
    else:
        candidates = [one for one in held if op[0] == "release" or one not in hash_of]
    if candidates:
        block_id = op[1] if op[1] in candidates else candidates[op[1] % len(candidates)]
        call(op[0], block_id, *op[2:])


def check_caching_pool(t: Trial) -> None:
    """Exercise 4.7."""

    def draw(rng: random.Random) -> tuple[tuple[int], list[Op]]:
        script: list[Op] = []
        for method in rng.choices(("take", "remember", "share", "release"), (5, 4, 2, 6), k=24):
            number: tuple[Any, ...] = () if method == "take" else (rng.randrange(5),)
            script.append((method, *number, *((rng.randrange(100, 110),) if method == "remember" else ())))
        return (rng.randint(2, 5),), script

    take: Op = ("take",)
    three: list[Op] = [take, take, take, *(("remember", block, 50 + block) for block in range(3))]
    immediate: list[tuple[tuple[int], list[Op]]] = [
        ((2,), [take, ("remember", 0, 55), ("release", 0), take, take, take]),
        ((3,), [*three, ("release", 1), ("release", 0), ("release", 2), take, take]),
        ((2,), [take, ("remember", 0, 55), ("release", 0), ("share", 0), take, take, ("share", 0)]),
        ((2,), [take, ("remember", 0, 55), ("share", 0), ("release", 0), take, ("release", 0), take]),
        ((2,), [take, take, ("release", 0), ("remember", 1, 77), ("release", 1), take, ("release", 0), take]),
    ]
    diagnose_play(t, "CachingPool", t.cases(immediate, draw, 12), CachingPool, _WRONGS, _expand)

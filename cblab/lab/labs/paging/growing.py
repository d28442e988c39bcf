"""Checks of exercise 4.2: block tables that grow with their requests."""

import math
import random
from typing import Any

from cblab.lab.labs.paging.play import Op, diagnose_play
from cblab.lab.labs.paging.tables import BlockTables
from cblab.lab.trial import Trial


class _Counting(BlockTables):
    """A table that grows with a defect in how many blocks it wants, or in what it does with them."""

    def wanted(self, request_id: str, num_tokens: int) -> int:
        """Blocks to be added."""
        return math.ceil(num_tokens / self.block_size) - len(self.tables.get(request_id, []))

    def fits(self, num_new: int) -> bool:
        """Whether the pool has so many."""
        return num_new <= self.pool.num_available

    def allocate_slots(self, request_id: str, num_tokens: int) -> Any:
        num_new = self.wanted(request_id, num_tokens)
        if not self.fits(num_new):
            return None
        new_blocks = [self.pool.take() for _ in range(num_new)]
        self.tables[request_id] = self.tables.get(request_id, []) + new_blocks
        return new_blocks


class _RoundsDown(_Counting):
    def wanted(self, request_id: str, num_tokens: int) -> int:
        return num_tokens // self.block_size - len(self.tables.get(request_id, []))


class _OneTooMany(_Counting):
    def wanted(self, request_id: str, num_tokens: int) -> int:
        return num_tokens // self.block_size + 1 - len(self.tables.get(request_id, []))


class _InAddition(_Counting):
    def wanted(self, request_id: str, num_tokens: int) -> int:
        return math.ceil(num_tokens / self.block_size)


class _BlockAToken(_Counting):
    def wanted(self, request_id: str, num_tokens: int) -> int:
        return num_tokens - len(self.tables.get(request_id, []))


class _OneAtMost(_Counting):
    def wanted(self, request_id: str, num_tokens: int) -> int:
        return min(1, super().wanted(request_id, num_tokens))


class _OnlyOnce(_Counting):
    def allocate_slots(self, request_id: str, num_tokens: int) -> Any:
        return [] if request_id in self.tables else super().allocate_slots(request_id, num_tokens)


class _KeepsOne(_Counting):
    def fits(self, num_new: int) -> bool:
        return num_new < self.pool.num_available


class _Leaks(_Counting):
    def allocate_slots(self, request_id: str, num_tokens: int) -> Any:
        if not self.fits(self.wanted(request_id, num_tokens)):
            while self.pool.num_available:
                self.pool.take()
            return None
        return super().allocate_slots(request_id, num_tokens)


class _TakesWhatThereIs(_Counting):
    def allocate_slots(self, request_id: str, num_tokens: int) -> Any:
        if not self.fits(self.wanted(request_id, num_tokens)):
            new_blocks = [self.pool.take() for _ in range(self.pool.num_available)]
            self.tables[request_id] = self.tables.get(request_id, []) + new_blocks
            return None
        return super().allocate_slots(request_id, num_tokens)


class _NoQuestion(_Counting):
    def fits(self, num_new: int) -> bool:
        return True


class _EmptyForNone(_Counting):
    def allocate_slots(self, request_id: str, num_tokens: int) -> Any:
        return super().allocate_slots(request_id, num_tokens) or []


class _EmptyTable(_Counting):
    def allocate_slots(self, request_id: str, num_tokens: int) -> Any:
        self.tables.setdefault(request_id, [])
        return super().allocate_slots(request_id, num_tokens)


class _WholeTable(_Counting):
    def allocate_slots(self, request_id: str, num_tokens: int) -> Any:
        new_blocks = super().allocate_slots(request_id, num_tokens)
        return None if new_blocks is None else list(self.tables[request_id])


class _Replaces(_Counting):
    def allocate_slots(self, request_id: str, num_tokens: int) -> Any:
        new_blocks = super().allocate_slots(request_id, num_tokens)
        if new_blocks is not None:
            self.tables[request_id] = list(new_blocks)
        return new_blocks


class _NoReturn(_Counting):
    def allocate_slots(self, request_id: str, num_tokens: int) -> Any:
        super().allocate_slots(request_id, num_tokens)


class _HeadFirst(BlockTables):
    def free(self, request_id: str) -> None:
        for block_id in self.tables.pop(request_id, []):
            self.pool.release(block_id)


class _KeepsTable(BlockTables):
    def free(self, request_id: str) -> None:
        for block_id in reversed(self.tables.get(request_id, [])):
            self.pool.release(block_id)


class _EmptiesTable(BlockTables):
    def free(self, request_id: str) -> None:
        if request_id in self.tables:
            super().free(request_id)
            self.tables[request_id] = []


class _NotReleased(BlockTables):
    def free(self, request_id: str) -> None:
        self.tables.pop(request_id, None)


class _PastTheCount(BlockTables):
    def free(self, request_id: str) -> None:
        self.pool.free.extend(reversed(self.tables.pop(request_id, [])))


class _UnknownId(BlockTables):
    def free(self, request_id: str) -> None:
        if request_id not in self.tables:
            raise KeyError(request_id)
        super().free(request_id)


_WRONGS = (
    (
        "A request that has blocks gets no more: `num_tokens` grows with each token that is decoded, and its "
        "table must grow with it.",
        _OnlyOnce,
    ),
    ("The blocks are rounded down: 5 tokens in blocks of 4 need 2 of them.", _RoundsDown),
    ("One block too many where the tokens fill their blocks exactly: round up, do not add 1.", _OneTooMany),
    (
        "The blocks that a request has already are not taken off: `num_tokens` is its length in all.",
        _InAddition,
    ),
    ("Every token gets a block of its own: a block holds `block_size` tokens.", _BlockAToken),
    ("At most one block is added: a prompt may need many.", _OneAtMost),
    ("The last free block is never given out: exactly enough is enough.", _KeepsOne),
    (
        "Blocks that were taken before the pool ran dry are lost: ask first whether there are enough, then "
        "take.",
        _Leaks,
    ),
    (
        "A request that does not fit keeps what there was: None means that nothing has changed.",
        _TakesWhatThereIs,
    ),
    (
        "`take` raises in the middle when the pool runs dry: ask `num_available` first, and return None.",
        _NoQuestion,
    ),
    (
        "A request that does not fit gets [] instead of None: [] means that it needs no new block.",
        _EmptyForNone,
    ),
    ("A new request that does not fit leaves an empty table behind: change nothing.", _EmptyTable),
    ("The whole table comes back: return only the blocks that were added.", _WholeTable),
    ("The new blocks replace the table: add them at its end.", _Replaces),
    ("`allocate_slots` returns nothing: is a `return` missing?", _NoReturn),
    (
        "The first block is released first: release from the end of the table, so that later, with a prefix "
        "cache, the beginning of a prompt stays longest.",
        _HeadFirst,
    ),
    ("A freed request still has its table: its blocks belong to somebody else soon.", _KeepsTable),
    ("A freed request keeps an empty table: remove its id.", _EmptiesTable),
    ("`free` forgets the table and releases no block: they are lost.", _NotReleased),
    (
        "The blocks go into `pool.free` past their reference counts: use `pool.release`.",
        _PastTheCount,
    ),
    ("Freeing an unknown request is an error: it is to do nothing.", _UnknownId),
)


def check_block_tables(t: Trial) -> None:
    """Exercise 4.2."""

    def draw(rng: random.Random) -> tuple[tuple[int, int], list[Op]]:
        num_blocks, block_size = rng.randint(4, 9), rng.choice((2, 3, 4))
        lengths: dict[str, int] = {}
        script: list[Op] = []
        for _ in range(16):
            name = rng.choice("abc")
            if rng.random() < 0.25:
                lengths.pop(name, None)
                script.append(("free", name))
            else:
                lengths[name] = lengths.get(name, 0) + rng.choice((1, 1, block_size, 2 * block_size + 1))
                script.append(("allocate_slots", name, lengths[name]))
        return (num_blocks, block_size), script

    immediate: list[tuple[tuple[int, int], list[Op]]] = [
        ((6, 4), [("allocate_slots", "a", one) for one in (5, 6, 7, 8, 9)]),
        ((4, 4), [("allocate_slots", "a", 8), ("allocate_slots", "b", 9), ("allocate_slots", "b", 8)]),
        (
            (5, 4),
            [
                ("allocate_slots", "a", 9),
                ("allocate_slots", "b", 1),
                ("free", "a"),
                ("free", "a"),
                ("allocate_slots", "c", 16),
                ("allocate_slots", "b", 5),
            ],
        ),
        ((2, 3), [("allocate_slots", "a", 3), ("allocate_slots", "a", 7), ("allocate_slots", "a", 6)]),
    ]
    diagnose_play(t, "BlockTables", t.cases(immediate, draw, 10), BlockTables, _WRONGS)

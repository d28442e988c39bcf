"""Checks of exercise 4.8: the block manager's books, without an engine."""

import math
import random
from collections.abc import Sequence
from typing import Any

from cblab.lab.labs.paging.play import Call, Op, diagnose_play
from cblab.lab.labs.paging.tables import BlockManager, copy_on_write
from cblab.lab.trial import Trial

Copies = list[tuple[int, int]]


class _Step(BlockManager):
    """`allocate_slots` in pieces, each of which can have a defect."""

    def growth(self, table: list[int], num_tokens: int, computed: Sequence[int]) -> int:
        """New blocks, a private copy not counted."""
        return math.ceil(num_tokens / self.block_size) - len(table)

    def copies(self, must_copy: bool) -> int:
        """What a copy counts for."""
        return int(must_copy)

    def revived(self, computed: Sequence[int]) -> int:
        """What the computed blocks take from what is available."""
        return sum(self.pool.ref_counts[block_id] == 0 for block_id in computed)

    def reference(self, computed: Sequence[int]) -> None:
        """Take a reference to each computed block."""
        for block_id in computed:
            self.pool.share(block_id)

    def before(self, request_id: str, num_tokens: int) -> int:
        """The tokens that copying on write is told."""
        return self.num_tokens[request_id]

    def first_table(self, computed: Sequence[int]) -> list[int]:
        """The table with which a new request begins."""
        return list(computed)

    def fits(self, wanted: int) -> bool:
        """Whether there is room."""
        return wanted <= self.pool.num_available

    def note(self, request_id: str, num_tokens: int) -> None:
        """Write down how many tokens there is room for."""
        self.num_tokens[request_id] = num_tokens

    def result(self, copies: Copies, new_blocks: list[int]) -> Any:
        """What comes back."""
        return copies

    def allocate_slots(self, request_id: str, num_tokens: int, computed_blocks: Sequence[int]) -> Any:
        table = self.tables.get(request_id, self.first_table(computed_blocks))
        must_copy = self.must_copy(request_id, num_tokens)
        num_new = self.growth(table, num_tokens, computed_blocks)
        if not self.fits(num_new + self.copies(must_copy) + self.revived(computed_blocks)):
            return None
        self.reference(computed_blocks)
        copies: Copies = []
        if must_copy:
            held = self.before(request_id, num_tokens)
            table, copies = copy_on_write(self.pool, table, held, self.block_size)
        new_blocks = [self.pool.take() for _ in range(num_new)]
        self.tables[request_id] = table + new_blocks
        self.note(request_id, num_tokens)
        return self.result(copies, new_blocks)


class _TakesFirst(_Step):
    def allocate_slots(self, request_id: str, num_tokens: int, computed_blocks: Sequence[int]) -> Any:
        table = self.tables.get(request_id, list(computed_blocks))
        must_copy = self.must_copy(request_id, num_tokens)
        num_new = self.growth(table, num_tokens, computed_blocks)
        if not self.fits(num_new + must_copy + self.revived(computed_blocks)):
            return None
        new_blocks = [self.pool.take() for _ in range(num_new)]
        copies: Copies = []
        if must_copy:
            table, copies = copy_on_write(self.pool, table, self.num_tokens[request_id], self.block_size)
        self.reference(computed_blocks)
        self.tables[request_id] = table + new_blocks
        self.note(request_id, num_tokens)
        return copies


class _SharesBeforeAsking(_Step):
    def allocate_slots(self, request_id: str, num_tokens: int, computed_blocks: Sequence[int]) -> Any:
        table = self.tables.get(request_id, list(computed_blocks))
        must_copy = self.must_copy(request_id, num_tokens)
        self.reference(computed_blocks)
        num_new = self.growth(table, num_tokens, computed_blocks)
        if not self.fits(num_new + must_copy):
            return None
        copies: Copies = []
        if must_copy:
            table, copies = copy_on_write(self.pool, table, self.num_tokens[request_id], self.block_size)
        self.tables[request_id] = table + [self.pool.take() for _ in range(num_new)]
        self.note(request_id, num_tokens)
        return copies


class _RevivedNotCounted(_Step):
    def revived(self, computed: Sequence[int]) -> int:
        return 0


class _AllCounted(_Step):
    def revived(self, computed: Sequence[int]) -> int:
        return len(computed)


class _CopyNotCounted(_Step):
    def copies(self, must_copy: bool) -> int:
        return 0


class _NeverCopies(_Step):
    def must_copy(self, request_id: str, num_tokens: int) -> bool:
        return False


class _CopiesByTheNewTotal(_Step):
    def before(self, request_id: str, num_tokens: int) -> int:
        return num_tokens


class _NotReferenced(_Step):
    def reference(self, computed: Sequence[int]) -> None:
        pass


class _HitsUnused(_Step):
    def first_table(self, computed: Sequence[int]) -> list[int]:
        return []

    def revived(self, computed: Sequence[int]) -> int:
        return 0

    def reference(self, computed: Sequence[int]) -> None:
        pass


class _HitsInAddition(_Step):
    def growth(self, table: list[int], num_tokens: int, computed: Sequence[int]) -> int:
        return super().growth(table, num_tokens, computed) + len(computed)


class _NotNoted(_Step):
    def note(self, request_id: str, num_tokens: int) -> None:
        pass


class _NotedOnce(_Step):
    def note(self, request_id: str, num_tokens: int) -> None:
        self.num_tokens.setdefault(request_id, num_tokens)


class _RoundsDown(_Step):
    def growth(self, table: list[int], num_tokens: int, computed: Sequence[int]) -> int:
        return num_tokens // self.block_size - len(table)


class _OneTooMany(_Step):
    def growth(self, table: list[int], num_tokens: int, computed: Sequence[int]) -> int:
        return num_tokens // self.block_size + 1 - len(table)


class _KeepsOne(_Step):
    def fits(self, wanted: int) -> bool:
        return wanted < self.pool.num_available


class _NoQuestion(_Step):
    def fits(self, wanted: int) -> bool:
        return True


class _NewBlocks(_Step):
    def result(self, copies: Copies, new_blocks: list[int]) -> Any:
        return new_blocks


class _NoCopies(_Step):
    def result(self, copies: Copies, new_blocks: list[int]) -> Any:
        return []


class _NoReturn(_Step):
    def result(self, copies: Copies, new_blocks: list[int]) -> Any:
        return None


_WRONGS: tuple[tuple[str, type], ...] = (
    (
        "New blocks are taken before the computed ones are shared: eviction may give away the very "
        "blocks that "
        "were found. Share first.",
        _TakesFirst,
    ),
    (
        "The computed blocks are shared before it is clear that the request fits: when it does not, "
        "they stay "
        "counted for ever.",
        _SharesBeforeAsking,
    ),
    (
        "A computed block that nobody holds is one of `num_available`, and sharing it takes it away: "
        "count it.",
        _RevivedNotCounted,
    ),
    (
        "All computed blocks are counted as taken: those that somebody holds already cost nothing.",
        _AllCounted,
    ),
    ("A private copy needs a block too: count it before asking.", _CopyNotCounted),
    (
        "A shared, partly filled block is written without a copy: the other request reads your tokens.",
        _NeverCopies,
    ),
    (
        "`copy_on_write` is told the new total: it asks for the tokens that the request had so far, before "
        "growing.",
        _CopiesByTheNewTotal,
    ),
    ("The computed blocks are in the table without being shared: their counts stay behind.", _NotReferenced),
    ("The computed blocks are not used: a new request's table begins with them.", _HitsUnused),
    (
        "The computed blocks are not taken off what is needed: they are part of the table already.",
        _HitsInAddition,
    ),
    ("`self.num_tokens` is not kept up: `must_copy` goes by it.", _NotNoted),
    ("`self.num_tokens` is written down once: it grows with the request.", _NotedOnce),
    ("The number of blocks is rounded down: 5 tokens in blocks of 4 need 2.", _RoundsDown),
    ("One block too many where the tokens fill their blocks exactly.", _OneTooMany),
    ("The last available block is never given out: exactly enough is enough.", _KeepsOne),
    ("It is not asked whether there is room: `take` raises in the middle. Return None first.", _NoQuestion),
    ("The new blocks came back: return the copies, a list of (source, target).", _NewBlocks),
    (
        "The copies are made in the books and not returned: the engine copies what `allocate_slots` "
        "tells it.",
        _NoCopies,
    ),
    ("`allocate_slots` returns nothing: is a `return` missing?", _NoReturn),
)


def _expand(call: Call, op: Op) -> None:
    """("serve", id, tokens) and ("grow", id) are what the engine does in a step; anything else is a call.

    Growing and forking happen only to what has blocks: whether it has depends on what fitted before.
    """
    if op[0] == "serve":
        _, name, token_ids = op
        computed = call("get_computed_blocks", token_ids)
        if call("allocate_slots", name, len(token_ids), computed) is not None:
            call("cache_blocks", name, token_ids, len(token_ids))
    elif op[0] in ("grow", "fork"):
        num_tokens = call("state")[1].get(op[1])
        if num_tokens is not None:
            call(*(op if op[0] == "fork" else ("allocate_slots", op[1], num_tokens + 1, [])))
    else:
        call(*op)


_ONE, _TWO = [5, 6, 7, 8, 9, 1, 2, 3], [5, 6, 7, 8, 4, 4, 4, 4]


def _immediate() -> list[tuple[tuple[int, int], list[Op]]]:
    return [
        ((8, 4), [("serve", "a", [*_ONE, 7]), ("serve", "b", [*_ONE, 8, 8]), ("free", "a"), ("free", "b")]),
        (
            (3, 4),
            [
                ("serve", "a", _ONE),
                ("free", "a"),
                ("serve", "b", [*_ONE, 1]),
                ("allocate_slots", "b", 12, []),
            ],
        ),
        ((3, 4), [("serve", "a", _ONE), ("free", "a"), ("serve", "b", [*_ONE, *_TWO]), ("serve", "c", [1])]),
        (
            (4, 4),
            [
                *(("serve", name, tokens) for name, tokens in (("a", _ONE), ("c", [9] * 4))),
                *(("free", name) for name in "ac"),
                ("serve", "b", [*_ONE, *_TWO]),
            ],
        ),
        ((2, 4), [("serve", "a", _ONE[:4]), ("serve", "b", [*_ONE[:4], 1]), ("allocate_slots", "b", 9, [])]),
        (
            (6, 4),
            [
                ("serve", "a", _ONE[:6]),
                ("fork", "a", "b"),
                *(("allocate_slots", name, count, []) for count in (7, 8, 9) for name in "ab"),
                ("free", "a"),
            ],
        ),
        (
            (6, 4),
            [("serve", "a", _ONE[:7]), ("fork", "a", "b")]
            + [("allocate_slots", name, 8, []) for name in "ab"],
        ),
        (
            (3, 4),
            [("serve", "a", _ONE[:6]), ("fork", "a", "b"), ("fork", "a", "c")]
            + [("allocate_slots", name, 7, []) for name in "abc"],
        ),
    ]


def check_books(t: Trial) -> None:
    """Exercise 4.8, the books alone."""

    def draw(rng: random.Random) -> tuple[tuple[int, int], list[Op]]:
        size = rng.choice((2, 3, 4))
        beginnings = [[rng.randrange(9) for _ in range(2 * size)] for _ in range(2)]
        names: list[str] = []
        script: list[Op] = []
        for number in range(12):
            kind = rng.choice(("serve", "serve", "grow", "grow", "fork", "free"))
            if kind in ("serve", "fork") or not names:
                tail = [rng.randrange(9) for _ in range(rng.randint(0, size + 1))]
                tokens = [*rng.choice(beginnings), *tail][: rng.choice((size, 99, 99))]
                parent = rng.choice(names) if kind == "fork" and names else None
                name = f"r{number}"
                script.append(("fork", parent, name) if parent else ("serve", name, tokens))
                names.append(name)
            else:
                script.append((kind, rng.choice(names)))
        return (rng.randint(4, 8), size), script

    diagnose_play(t, "BlockManager", t.cases(_immediate(), draw, 12), BlockManager, _WRONGS, _expand)

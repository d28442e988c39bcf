"""Wrong answers to 4.1 and 4.2: the pool, and tables that grow."""

from tests.labs.edit import code, edited, solution

_TAKE, _SHARE, _RELEASE = solution("4.1")
_RELEASED = """
self.ref_counts[block_id] -= 1
if self.ref_counts[block_id] == 0:
    self.free.append(block_id)
""".strip()

BLOCK_POOL = [
    (
        "a stack",
        edited("4.1", ("self.free.popleft()", "self.free.pop()")),
        "came back last is given out first",
    ),
    (
        "smallest first",
        edited(
            "4.1",
            ("block_id = self.free.popleft()", "block_id = min(self.free); self.free.remove(block_id)"),
        ),
        "The smallest free block",
    ),
    (
        "count forgotten",
        edited("4.1", ("self.ref_counts[block_id] = 1\n", "\n")),
        "has the reference count 0",
    ),
    ("looks and leaves", edited("4.1", ("self.free.popleft()", "self.free[0]")), "is still in `free`"),
    (
        "no question in take",
        edited("4.1", ('if not self.free:\n    raise ValueError("no block is free")\n', "")),
        "raises an IndexError",
    ),
    (
        "None for empty",
        edited("4.1", ('raise ValueError("no block is free")', "return None")),
        "`take` returns None",
    ),
    ("no return", edited("4.1", ("return block_id", "")), "`take` returns nothing"),
    (
        "shares what is free",
        (_TAKE, "self.ref_counts[block_id] += 1", _RELEASE),
        "A free block can be shared",
    ),
    (
        "two holders at most",
        edited("4.1", ("self.ref_counts[block_id] += 1", "self.ref_counts[block_id] = 2")),
        "always leaves the count at 2",
    ),
    (
        "free at once",
        edited("4.1", ("if self.ref_counts[block_id] == 0:\n    self.free", "if True:\n    self.free")),
        "while others still hold it",
    ),
    (
        "count to zero",
        edited("4.1", ("self.ref_counts[block_id] -= 1", "self.ref_counts[block_id] = 0")),
        "`release` sets the count to 0",
    ),
    ("never free again", edited("4.1", ("self.free.append(block_id)", "pass")), "never comes back to `free`"),
    (
        "to the front",
        edited("4.1", ("self.free.append(block_id)", "self.free.appendleft(block_id)")),
        "put at the front of `free`",
    ),
    ("below zero", (_TAKE, _SHARE, _RELEASED), "goes below 0"),
    (
        "twice in free",
        (
            _TAKE,
            _SHARE,
            "if self.ref_counts[block_id] > 0:\n    self.ref_counts[block_id] -= 1\n"
            "if self.ref_counts[block_id] == 0:\n    self.free.append(block_id)",
        ),
        "two requests will get it",
    ),
    (
        "twice in free, below zero",
        (_TAKE, _SHARE, _RELEASED.replace("== 0", "<= 0")),
        "counted down to -1",
    ),
    (
        "free at one",
        edited(
            "4.1",
            (
                "if self.ref_counts[block_id] == 0:\n    self.free",
                "if self.ref_counts[block_id] == 1:\n    self.free",
            ),
        ),
        "when one holder is left",
    ),
]

_FREE = solution("4.2")[1]
_CHECK = "if num_new > self.pool.num_available:\n    return None\n"
BLOCK_TABLES = [
    (
        "once for the prompt",
        edited(
            "4.2",
            ("num_new = math", "if table:\n    return []\nnum_new = math"),
        ),
        "A request that has blocks gets no more",
    ),
    (
        "rounds down",
        edited("4.2", ("math.ceil(num_tokens / self.block_size)", "num_tokens // self.block_size")),
        "The blocks are rounded down",
    ),
    (
        "one too many",
        edited("4.2", ("math.ceil(num_tokens / self.block_size)", "num_tokens // self.block_size + 1")),
        "One block too many where",
    ),
    ("in addition", edited("4.2", (" - len(table)", "")), "are not taken off"),
    (
        "a block a token",
        edited("4.2", ("math.ceil(num_tokens / self.block_size)", "num_tokens")),
        "Every token gets a block of its own",
    ),
    (
        "one at most",
        edited(
            "4.2",
            (
                "num_new = math.ceil(num_tokens / self.block_size) - len(table)",
                "num_new = int(num_tokens > len(table) * self.block_size)",
            ),
        ),
        "At most one block is added",
    ),
    (
        "keeps the last block",
        edited("4.2", ("num_new > self.pool", "num_new >= self.pool")),
        "The last free block is never given out",
    ),
    (
        "loses blocks",
        edited(
            "4.2",
            (_CHECK, ""),
            (
                "new_blocks = [self.pool.take() for _ in range(num_new)]",
                "new_blocks = []\nfor _ in range(num_new):\n    if not self.pool.num_available:\n"
                "        return None\n    new_blocks.append(self.pool.take())",
            ),
        ),
        "are lost: ask first",
    ),
    (
        "keeps what there was",
        (
            *code("""
        table = self.tables.setdefault(request_id, [])
        new_blocks = []
        while len(table) * self.block_size < num_tokens:
            if not self.pool.num_available:
                return None
            new_blocks.append(self.pool.take())
            table.append(new_blocks[-1])
        return new_blocks
    """),
            _FREE,
        ),
        "keeps what there was",
    ),
    ("no question", edited("4.2", (_CHECK, "")), "`take` raises in the middle"),
    ("[] for None", edited("4.2", ("return None", "return []")), "[] instead of None"),
    (
        "an empty table",
        edited("4.2", ("self.tables.get(request_id, [])", "self.tables.setdefault(request_id, [])")),
        "leaves an empty table behind",
    ),
    (
        "whole table",
        edited("4.2", ("return new_blocks", "return self.tables[request_id]")),
        "The whole table",
    ),
    ("replaces", edited("4.2", ("= table + new_blocks", "= new_blocks")), "replace the table"),
    ("no return", edited("4.2", ("return new_blocks", "")), "`allocate_slots` returns nothing"),
    ("head first", edited("4.2", ("in reversed(", "in (")), "The first block is released first"),
    (
        "keeps the table",
        edited("4.2", ("self.tables.pop(request_id, [])", "self.tables.get(request_id, [])")),
        "still has its table",
    ),
    (
        "keeps an empty table",
        edited(
            "4.2",
            (
                "for block_id in reversed(self.tables.pop(request_id, [])):\n    self.pool.release(block_id)",
                "for block_id in reversed(self.tables.get(request_id, [])):\n    "
                "self.pool.release(block_id)\n"
                "if request_id in self.tables:\n    self.tables[request_id] = []",
            ),
        ),
        "keeps an empty table",
    ),
    ("nothing released", edited("4.2", ("self.pool.release(block_id)", "pass")), "releases no block"),
    (
        "past the counts",
        edited("4.2", ("self.pool.release(block_id)", "self.pool.free.append(block_id)")),
        "past their reference counts",
    ),
    (
        "unknown id",
        edited("4.2", ("self.tables.pop(request_id, [])", "self.tables.pop(request_id)")),
        "Freeing an unknown request",
    ),
]

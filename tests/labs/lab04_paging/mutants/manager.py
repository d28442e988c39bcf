"""Wrong answers to 4.8: the block manager."""

from tests.labs.edit import edited

_SHARE = "for block_id in computed_blocks:\n    self.pool.share(block_id)\n"
_ASK = "if num_new + must_copy + num_revived > self.pool.num_available:\n    return None\n"
_TAKE = "self.tables[request_id] = table + [self.pool.take() for _ in range(num_new)]"
_HELD = "    num_held = self.num_tokens[request_id]\n"
_COPY = "    table, copies = copy_on_write(self.pool, table, num_held, self.block_size)\n"
BLOCK_MANAGER = [
    (
        "takes first",
        edited(
            "4.8",
            (_SHARE, "new_blocks = [self.pool.take() for _ in range(num_new)]\n"),
            (_TAKE, f"{_SHARE}self.tables[request_id] = table + new_blocks"),
        ),
        "New blocks are taken before the computed ones are shared",
    ),
    (
        "shares before asking",
        edited(
            "4.8",
            (_SHARE, ""),
            (_ASK, f"{_SHARE}if num_new + must_copy > self.pool.num_available:\n    return None\n"),
        ),
        "before it is clear that the request fits",
    ),
    (
        "revived not counted",
        edited("4.8", ("must_copy + num_revived >", "must_copy >")),
        "sharing it takes it away",
    ),
    (
        "all computed counted",
        edited("4.8", ("must_copy + num_revived >", "must_copy + len(computed_blocks) >")),
        "All computed blocks are counted",
    ),
    (
        "copy not counted",
        edited("4.8", ("num_new + must_copy + num", "num_new + num")),
        "A private copy needs a block too",
    ),
    ("never copies", edited("4.8", (f"if must_copy:\n{_HELD}{_COPY}", "")), "is written without a copy"),
    (
        "the new total",
        edited(
            "4.8",
            (_HELD, "    num_held = num_tokens\n"),
        ),
        "is told the new total",
    ),
    ("not referenced", edited("4.8", (_SHARE, "")), "without being shared"),
    (
        "hits unused",
        edited(
            "4.8",
            ("self.tables.get(request_id, list(computed_blocks))", "self.tables.get(request_id, [])"),
            ("must_copy + num_revived >", "must_copy >"),
            (_SHARE, ""),
        ),
        "The computed blocks are not used",
    ),
    (
        "hits in addition",
        edited("4.8", (" - len(table)", " - len(table) + len(computed_blocks)")),
        "are not taken off what is needed",
    ),
    ("not noted", edited("4.8", ("self.num_tokens[request_id] = num_tokens\n", "\n")), "is not kept up"),
    (
        "noted once",
        edited(
            "4.8",
            (
                "self.num_tokens[request_id] = num_tokens",
                "self.num_tokens.setdefault(request_id, num_tokens)",
            ),
        ),
        "is written down once",
    ),
    (
        "rounds down",
        edited("4.8", ("math.ceil(num_tokens / self.block_size)", "num_tokens // self.block_size")),
        "The number of blocks is rounded down",
    ),
    (
        "one too many",
        edited("4.8", ("math.ceil(num_tokens / self.block_size)", "(num_tokens // self.block_size + 1)")),
        "One block too many",
    ),
    ("keeps one", edited("4.8", ("num_revived > self", "num_revived >= self")), "The last available block"),
    ("no question", edited("4.8", (_ASK, "")), "It is not asked whether there is room"),
    (
        "new blocks",
        edited(
            "4.8",
            (
                _TAKE,
                "new = [self.pool.take() for _ in range(num_new)]\nself.tables[request_id] = table + new",
            ),
            ("return copies", "return new"),
        ),
        "The new blocks came back",
    ),
    ("copies not told", edited("4.8", ("return copies", "return []")), "and not returned"),
    ("no return", edited("4.8", ("return copies", "")), "`allocate_slots` returns nothing"),
]

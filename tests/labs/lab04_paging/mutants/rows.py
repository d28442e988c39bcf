"""Wrong answers to 4.3 and 4.4: slots and rows, sharing and copying."""

from tests.labs.edit import edited, solution

_SLOT = "block_table[p // block_size] * block_size + p % block_size"
_ROWS = "pool[block_table].flatten(0, 1)[:num_tokens]"


def _slot(new: str) -> tuple[str, ...]:
    return edited("4.3", (_SLOT, new))


def _rows(new: str) -> tuple[str, ...]:
    return edited("4.3", (_ROWS, new))


THROUGH_THE_TABLE = [
    ("positions", _slot("p"), "The positions themselves"),
    ("first block only", _slot("block_table[0] * block_size + p"), "the others are taken to lie behind it"),
    ("from zero", edited("4.3", ("range(first, first + num_new)", "range(num_new)")), "`first` is not used"),
    (
        "no place in the block",
        _slot("block_table[p // block_size] * block_size"),
        "at the beginning of its block",
    ),
    ("no product", _slot("block_table[p // block_size] + p % block_size"), "the product is missing"),
    (
        "place counted from first",
        _slot("block_table[p // block_size] * block_size + (p - first) % block_size"),
        "is counted from `first`",
    ),
    (
        "num_new is the end",
        edited("4.3", ("range(first, first + num_new)", "range(first, num_new)")),
        "at which to stop",
    ),
    (
        "one too few",
        edited("4.3", ("range(first, first + num_new)", "range(first, first + num_new - 1)")),
        "One slot too few",
    ),
    ("blocks", _slot("block_table[p // block_size]"), "The blocks came back and not the slots"),
    (
        "swapped",
        edited(
            "4.3",
            (
                f"return [{_SLOT} for p in positions]",
                "padded = block_table + [0] * block_size\n"
                "return [block_table[p % block_size] * block_size + p // block_size for p in positions]",
            ),
        ),
        "the wrong way round",
    ),
    (
        "place off by one",
        _slot("block_table[p // block_size] * block_size + (p - 1) % block_size"),
        "The place in the block is off by one",
    ),
    ("all slots", _rows("pool[block_table].flatten(0, 1)"), "All slots of the blocks"),
    ("not joined", _rows("pool[block_table]"), "are not joined"),
    ("the pool's first", _rows("pool.flatten(0, 1)[:num_tokens]"), "The first blocks of the pool"),
    (
        "reads on",
        _rows("pool.flatten(0, 1)[block_table[0] * pool.shape[1]:][:num_tokens]"),
        "the slots behind it are read on",
    ),
    ("sorted", _rows("pool[sorted(block_table)].flatten(0, 1)[:num_tokens]"), "in the order of their ids"),
    ("last tokens", _rows("pool[block_table].flatten(0, 1)[-num_tokens:]"), "The last tokens came back"),
    (
        "full blocks only",
        _rows("pool[block_table[:num_tokens // pool.shape[1]]].flatten(0, 1)"),
        "The partly filled last block",
    ),
    ("blocks as slots", _rows("pool.flatten(0, 1)[block_table][:num_tokens]"), "taken for slots"),
    ("one missing", _rows("pool[block_table].flatten(0, 1)[:num_tokens - 1]"), "One token is missing"),
    (
        "interleaved",
        _rows("pool[block_table].transpose(0, 1).flatten(0, 1)[:num_tokens]"),
        "are interleaved",
    ),
    ("heads run together", _rows("pool[block_table].flatten(0, 1)[:num_tokens].flatten(1)"), "run together"),
]

_FORK, _COPY = solution("4.4")
_IF = "if num_tokens % block_size == 0 or pool.ref_counts[last] == 1:"
_ALL_SHARED = """
table, copies = list(block_table), []
for index, block_id in enumerate(table):
    if CONDITION:
        table[index] = pool.take()
        pool.release(block_id)
        copies.append((block_id, table[index]))
return table, copies
""".strip()
SHARING = [
    ("not counted", ("return list(block_table)", _COPY), "The blocks are not counted again"),
    (
        "counts the last",
        ("pool.share(block_table[-1])\nreturn list(block_table)", _COPY),
        "Only the last block",
    ),
    (
        "leaves the last out",
        ("for b in block_table[:-1]:\n    pool.share(b)\nreturn block_table[:-1]", _COPY),
        "The last block is left out",
    ),
    (
        "one list for both",
        ("for b in block_table:\n    pool.share(b)\nreturn block_table", _COPY),
        "Both requests have one list",
    ),
    ("new blocks", ("return [pool.take() for _ in block_table]", _COPY), "gets blocks of its own"),
    ("fork returns nothing", ("for b in block_table:\n    pool.share(b)", _COPY), "`fork` returns nothing"),
    (
        "copies all shared blocks",
        (
            _FORK,
            _ALL_SHARED.replace("CONDITION", "num_tokens % block_size and pool.ref_counts[block_id] > 1"),
        ),
        "All shared blocks are copied",
    ),
    (
        "copies every shared block",
        (_FORK, _ALL_SHARED.replace("CONDITION", "pool.ref_counts[block_id] > 1")),
        "Every shared block is copied",
    ),
    (
        "copies a full block",
        edited("4.4", (_IF, "if pool.ref_counts[last] == 1:")),
        "A full last block is copied",
    ),
    (
        "copies its own block",
        edited("4.4", (_IF, "if num_tokens % block_size == 0:")),
        "A block that nobody else holds",
    ),
    ("never copies", edited("4.4", (_IF, "if True:")), "Nothing is ever copied"),
    (
        "from three on",
        edited("4.4", ("pool.ref_counts[last] == 1", "pool.ref_counts[last] <= 2")),
        "from three holders",
    ),
    (
        "the wrong way round",
        edited("4.4", ("num_tokens % block_size == 0", "num_tokens % block_size != 0")),
        "is asked the wrong way round",
    ),
    ("not released", edited("4.4", ("pool.release(last)\n", "")), "The old block is not released"),
    (
        "old table",
        edited(
            "4.4",
            ("return [*block_table[:-1], new], [(last, new)]", "return list(block_table), [(last, new)]"),
        ),
        "still ends in the old block",
    ),
    ("pair reversed", edited("4.4", ("[(last, new)]", "[(new, last)]")), "The pair is the wrong way round"),
    (
        "appended",
        edited("4.4", ("[*block_table[:-1], new]", "[*block_table, new]")),
        "stands behind the old one",
    ),
    (
        "copies only",
        edited(
            "4.4",
            ("return list(block_table), []", "return []"),
            ("return [*block_table[:-1], new], [", "return ["),
        ),
        "Only the copies came back",
    ),
    (
        "table only",
        edited(
            "4.4",
            ("return list(block_table), []", "return list(block_table)"),
            ("new], [(last, new)]", "new]"),
        ),
        "Only the table came back",
    ),
    (
        "one pair",
        edited("4.4", ("[(last, new)]", "(last, new)")),
        "The copies are plain pairs in a list",
    ),
]

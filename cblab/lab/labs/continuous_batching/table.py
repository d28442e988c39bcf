"""The check of exercise 5.2: the token table of a step."""

import random
from collections.abc import Callable, Sequence
from typing import Any

from cblab.lab.compare import difference, same, shown
from cblab.lab.labs.continuous_batching.reference import Row, token_table
from cblab.lab.labs.diagnose import Args, Wrong, diagnose_function
from cblab.lab.protocol import StudentError
from cblab.lab.trial import Trial

Table = dict[str, list[int]]


def _changed(**changes: Callable[[Sequence[Row], int, Table], list[int]]) -> Callable[..., Table]:
    """The reference with some of its lists computed in another way."""

    def formula(rows: Sequence[Row], block_size: int) -> Table:
        table = token_table(rows, block_size)
        return {**table, **{name: make(rows, block_size, table) for name, make in changes.items()}}

    return formula


def _slots(
    slot: Callable[[Sequence[int], int, int], int],
) -> Callable[[Sequence[Row], int, Table], list[int]]:
    """Slots by a formula of (block table, position, block size)."""

    def make(rows: Sequence[Row], size: int, table: Table) -> list[int]:
        return [
            slot(blocks, position, size)
            for ids, start, blocks, _ in rows
            for position in range(start, start + len(ids))
        ]

    return make


def _ends(rows: Sequence[Row]) -> list[int]:
    ends = [0]
    for ids, *_ in rows:
        ends.append(ends[-1] + len(ids))
    return ends


def _positions_from_zero(rows: Sequence[Row], size: int) -> Table:
    """Positions and slots as if nothing had been computed."""
    return {
        **token_table([(ids, 0, blocks, samples) for ids, _, blocks, samples in rows], size),
        "context_lens": [start + len(ids) for ids, start, *_ in rows],
    }


_WRONGS = (
    Wrong(
        "Positions and slots begin at 0 in every row: a row goes on behind its `num_computed` tokens.",
        _positions_from_zero,
    ),
    Wrong(
        "`positions` begin at 0 in every row: they are places in the whole sequence.",
        _changed(positions=lambda rows, size, table: [i for ids, *_ in rows for i in range(len(ids))]),
    ),
    Wrong(
        "`positions` count through the whole batch: each row has its own, from `num_computed` on.",
        _changed(positions=lambda rows, size, table: list(range(len(table["input_ids"])))),
    ),
    Wrong(
        "`cu_seqlens_q` lacks the 0 at its beginning: it has one entry more than there are rows.",
        _changed(cu_seqlens_q=lambda rows, size, table: table["cu_seqlens_q"][1:]),
    ),
    Wrong(
        "`cu_seqlens_q` lacks its last border: it has one entry more than there are rows.",
        _changed(cu_seqlens_q=lambda rows, size, table: table["cu_seqlens_q"][:-1]),
    ),
    Wrong(
        "`cu_seqlens_q` holds lengths: add them up (*cu* is for cumulative).",
        _changed(cu_seqlens_q=lambda rows, size, table: [0, *(len(ids) for ids, *_ in rows)]),
    ),
    Wrong(
        "`context_lens` counts only the new tokens: a query also looks back at the cached ones.",
        _changed(context_lens=lambda rows, size, table: [len(ids) for ids, *_ in rows]),
    ),
    Wrong(
        "`context_lens` counts only the cached tokens: the new ones are in the cache too, when attention "
        "reads.",
        _changed(context_lens=lambda rows, size, table: [start for _, start, *_ in rows]),
    ),
    Wrong(
        "Slots go by the place in the batch: a token's slot is that of its position, through its block "
        "table.",
        _changed(slot_mapping=lambda rows, size, table: list(range(len(table["input_ids"])))),
    ),
    Wrong(
        "Slots are taken to lie behind the first block: look up each position's own block.",
        _changed(slot_mapping=_slots(lambda blocks, p, size: blocks[0] * size + p)),
    ),
    Wrong(
        "A slot is the beginning of its block: the place in the block is missing.",
        _changed(slot_mapping=_slots(lambda blocks, p, size: blocks[p // size] * size)),
    ),
    Wrong(
        "The block's number is not multiplied by the block size.",
        _changed(slot_mapping=_slots(lambda blocks, p, size: blocks[p // size] + p % size)),
    ),
    Wrong(
        "Slots hold block numbers: a slot is a place in the whole pool.",
        _changed(slot_mapping=_slots(lambda blocks, p, size: blocks[p // size])),
    ),
    Wrong(
        "Every row is sampled from: a chunk in the middle of a prompt has no next token to choose.",
        _changed(logits_indices=lambda rows, size, table: [end - 1 for end in _ends(rows)[1:]]),
    ),
    Wrong(
        "`logits_indices` are the rows' ends: the last token of a row stands one before.",
        _changed(
            logits_indices=lambda rows, size, table: [
                end for end, row in zip(_ends(rows)[1:], rows, strict=True) if row[3]
            ]
        ),
    ),
    Wrong(
        "`logits_indices` are the rows' first tokens: the next token follows the last one.",
        _changed(
            logits_indices=lambda rows, size, table: [
                start for start, row in zip(_ends(rows), rows, strict=False) if row[3]
            ]
        ),
    ),
    Wrong(
        "`logits_indices` numbers the rows: it holds places in `input_ids`.",
        _changed(
            logits_indices=lambda rows, size, table: [index for index, row in enumerate(rows) if row[3]]
        ),
    ),
    Wrong(
        "The logits of every token are asked for: one row of them costs a product with the whole vocabulary.",
        _changed(logits_indices=lambda rows, size, table: list(range(len(table["input_ids"])))),
    ),
)


def draw_rows(rng: random.Random) -> Args:
    """Draw a step: decodes, middle chunks, whole prompts, in blocks of which none is another's."""
    size = rng.choice((3, 4, 5))
    pool = list(range(1, 90))
    rng.shuffle(pool)
    rows = []
    for _ in range(rng.randint(1, 5)):
        start, count = (
            rng.choice((0, rng.randint(1, 14), size)),
            rng.choice((1, 1, 2, size, rng.randint(2, 9))),
        )
        num_blocks = -(-(start + count) // size) + rng.randint(0, 1)
        blocks = [pool.pop() for _ in range(num_blocks)]
        rows.append(([rng.randrange(10, 99) for _ in range(count)], start, blocks, rng.random() < 0.6))
    return rows, size


_IMMEDIATE: list[Args] = [
    ([([31], 6, [5, 2], True), ([14, 15, 16], 4, [7, 1], False), ([21, 22], 0, [3], True)], 4),
    ([([9, 8, 7, 6, 5], 0, [6, 2], True)], 4),
    ([], 4),
]


def _spell(args: Args) -> str:
    return f"token_table({args[0]}, {args[1]})"


def _show(args: Args, want: Table, got: Any) -> str:
    """The list that is wrong: six of them are too many to be shown."""
    text = f"`{_spell(args)}`"
    if isinstance(got, StudentError):
        return f"{text} raised {got}" if got.type_name else f"{text} {got}"
    if not isinstance(got, dict) or set(got) != set(want):
        return f"{text}: {difference(got, want)}."
    wrong = next(name for name in want if not same(got[name], want[name]))
    return f"{text}: `{wrong}` is {shown(got[wrong])}, expected {shown(want[wrong])}."


def check_token_table(t: Trial) -> None:
    """Exercise 5.2."""
    cases: list[Any] = list(t.cases(_IMMEDIATE, draw_rows))
    diagnose_function(t, "token_table", cases, token_table, _WRONGS, spell=_spell, show=_show)

"""Wrong answers to 5.2 and 5.3: the token table and the mask."""

from tests.labs.edit import Mutant, edited

_POSITIONS = "positions = range(num_computed, context_len)"
_SLOT = "blocks[p // block_size] * block_size + p % block_size"
_BORDER = 'table["cu_seqlens_q"].append(len(table["input_ids"]))'
_LENGTH = 'table["context_lens"].append(context_len)'
_SAMPLES = 'if samples:\n        table["logits_indices"].append(len(table["input_ids"]) - 1)'


def _table(old: str, new: str) -> tuple[str, ...]:
    return edited("5.2", (old, new))


def _after(lines: str) -> tuple[str, ...]:
    """The solution, and something done to the table afterwards."""
    return (f"{edited('5.2')[0]}\n{lines}",)


TABLE: list[Mutant] = [
    ("from zero", _table(_POSITIONS, "positions = range(len(token_ids))"), "Positions and slots begin at 0"),
    (
        "positions from zero",
        _table('table["positions"] += positions', 'table["positions"] += range(len(token_ids))'),
        "`positions` begin at 0",
    ),
    (
        "positions of the batch",
        _after('table["positions"] = list(range(len(table["input_ids"])))'),
        "`positions` count through the whole batch",
    ),
    ("no first border", _after('del table["cu_seqlens_q"][0]'), "lacks the 0 at its beginning"),
    ("no last border", _after('del table["cu_seqlens_q"][-1]'), "lacks its last border"),
    ("lengths", _table(_BORDER, 'table["cu_seqlens_q"].append(len(token_ids))'), "holds lengths"),
    (
        "new tokens alone",
        _table(_LENGTH, 'table["context_lens"].append(len(token_ids))'),
        "only the new tokens",
    ),
    (
        "cached tokens alone",
        _table(_LENGTH, 'table["context_lens"].append(num_computed)'),
        "only the cached tokens",
    ),
    (
        "slots of the batch",
        _after('table["slot_mapping"] = list(range(len(table["input_ids"])))'),
        "by the place in the batch",
    ),
    ("first block", _table(_SLOT, "blocks[0] * block_size + p"), "behind the first block"),
    ("no place", _table(_SLOT, "blocks[p // block_size] * block_size"), "the place in the block is missing"),
    ("no product", _table(_SLOT, "blocks[p // block_size] + p % block_size"), "not multiplied"),
    ("blocks", _table(_SLOT, "blocks[p // block_size]"), "Slots hold block numbers"),
    (
        "samples always",
        _table(_SAMPLES, 'table["logits_indices"].append(len(table["input_ids"]) - 1)'),
        "Every row is sampled from",
    ),
    (
        "ends",
        _table('append(len(table["input_ids"]) - 1)', 'append(len(table["input_ids"]))'),
        "are the rows' ends",
    ),
    (
        "first tokens",
        _table('append(len(table["input_ids"]) - 1)', 'append(len(table["input_ids"]) - len(token_ids))'),
        "are the rows' first tokens",
    ),
    (
        "row numbers",
        _table('append(len(table["input_ids"]) - 1)', 'append(len(table["context_lens"]) - 1)'),
        "numbers the rows",
    ),
    (
        "all rows",
        _after('table["logits_indices"] = list(range(len(table["input_ids"])))'),
        "of every token",
    ),
]

_ROW = "mask[row, left : left + num_cached + row - start + 1] = True"


def _mask(new: str) -> tuple[str, ...]:
    return edited("5.3", (_ROW, new))


MASK: list[Mutant] = [
    (
        "one triangle",
        (
            "rows, columns = borders[-1], sum(lengths)\n"
            "return torch.ones(rows, columns).tril(columns - rows).bool()",
        ),
        "of the requests before it",
    ),
    (
        "top left",
        ("return torch.ones(borders[-1], sum(lengths)).tril().bool()",),
        "One triangle from the top left",
    ),
    ("not causal", _mask("mask[row, left : left + length] = True"), "the future ones too"),
    ("cached forgotten", _mask("mask[row, left : left + row - start + 1] = True"), "Aligned at the top left"),
    ("not itself", _mask("mask[row, left : left + num_cached + row - start] = True"), "its own key"),
    (
        "one too many",
        _mask("mask[row, left : min(left + length, left + num_cached + row - start + 2)] = True"),
        "one key too many",
    ),
    (
        "new keys alone",
        _mask("mask[row, left + num_cached : left + num_cached + row - start + 1] = True"),
        "Only new keys",
    ),
    ("cached keys alone", _mask("mask[row, left : left + num_cached] = True"), "Only cached keys"),
    (
        "everything before",
        _mask("mask[row, : left + num_cached + row - start + 1] = True"),
        "of all sequences before it",
    ),
    (
        "positions alone",
        (
            "columns = [key for length in lengths for key in range(length)]\n"
            "rows = [length - (end - start) + i\n"
            "        for start, end, length in zip(borders, borders[1:], lengths)\n"
            "        for i in range(end - start)]\n"
            "return torch.tensor(columns)[None] <= torch.tensor(rows)[:, None]",
        ),
        "Positions are compared, but not the sequences",
    ),
    ("the wrong way round", edited("5.3", ("return mask", "return ~mask")), "the wrong way round"),
    ("numbers", edited("5.3", ("return mask", "return mask.float()")), "is of numbers"),
]

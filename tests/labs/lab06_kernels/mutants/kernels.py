"""Wrong answers to 6.4 and 6.5: the kernels."""

from tests.labs.edit import edited

_PLACE = "block, slot = block_tables[seq, position // block_size], position % block_size"


def _everywhere(exercise_id: str, *changes: tuple[str, str]) -> tuple[str, ...]:
    """The solution with each old text replaced wherever it stands."""
    blanks = edited(exercise_id)
    for old, new in changes:
        assert any(old in blank for blank in blanks), old
        blanks = tuple(blank.replace(old, new) for blank in blanks)
    return blanks


_RANGE = "range(context_lens[seq])"

LOOPS = [
    ("modulo", _everywhere("6.4", ("head // group", "head % num_kv_heads")), "h % num_kv_heads was read"),
    ("own KV head", _everywhere("6.4", ("head // group", "head")), "a KV head of its own"),
    ("KV head 0", _everywhere("6.4", ("head // group", "0")), "All query heads read KV head 0"),
    (
        "without the newest",
        _everywhere("6.4", (_RANGE, "range(context_lens[seq] - 1)")),
        "The newest token is left out",
    ),
    (
        "to the block's end",
        _everywhere(
            "6.4", (_RANGE, "range((context_lens[seq] + block_size - 1) // block_size * block_size)")
        ),
        "The last block is read to its end",
    ),
    (
        "to the table's end",
        _everywhere("6.4", (_RANGE, "range(len(scores))")),
        "The whole block table is read",
    ),
    (
        "first pass to the table's end",
        edited(
            "6.4",
            (
                f"for position in {_RANGE}:\n    {_PLACE}\n    score = ",
                f"for position in range(len(scores)):\n    {_PLACE}\n    score = ",
            ),
        ),
        "The first pass goes on behind the context's end",
    ),
    (
        "full blocks",
        _everywhere("6.4", (_RANGE, "range(context_lens[seq] // block_size * block_size)")),
        "The partly filled last block is left out",
    ),
    (
        "no table",
        _everywhere("6.4", ("block_tables[seq, position // block_size]", "position // block_size")),
        "The block table is not used",
    ),
    (
        "first table",
        _everywhere("6.4", ("block_tables[seq,", "block_tables[0,")),
        "Every sequence reads the blocks of the first",
    ),
    (
        "first block",
        _everywhere("6.4", ("block_tables[seq, position // block_size]", "block_tables[seq, 0]")),
        "All tokens are read from the sequence's first block",
    ),
    ("no scale", edited("6.4", ("score * scale", "score")), "The scores are not multiplied with `scale`"),
    (
        "scaled result",
        edited(
            "6.4",
            ("score * scale", "score"),
            ("scores[position] / total *", "scale * scores[position] / total *"),
        ),
        "The result is multiplied with `scale`",
    ),
    (
        "not divided",
        edited("6.4", ("scores[position] / total", "scores[position]")),
        "not divided by their sum",
    ),
    ("keys weighed", edited("6.4", ("values[block", "keys[block")), "The keys are weighed"),
    (
        "no highest",
        edited("6.4", ("scores[position] - highest", "scores[position]")),
        "Large scores overflow",
    ),
]

_SCORE = "score += q[head, d] * keys[block, slot, head // group, d]"
_VALUE = "sums[head, d] += scores[head, slot] * values[block, slot, head // group, d]"

ATTEND = [
    ("modulo", _everywhere("6.5", ("head // group", "head % num_kv_heads")), "h % num_kv_heads was read"),
    ("KV head 0", _everywhere("6.5", ("head // group", "0")), "All query heads read KV head 0"),
    ("no scale", edited("6.5", ("score * scale", "score")), "not multiplied with `scale`"),
    ("query 0", edited("6.5", ("q[head, d]", "q[0, d]")), "those of query head 0"),
    (
        "block replaces",
        edited("6.5", (_VALUE, _VALUE.replace("+=", "= (0.0 if slot == 0 else sums[head, d]) +"))),
        "written over by every block",
    ),
    ("token replaces", edited("6.5", (_VALUE, _VALUE.replace("+=", "="))), "written over by every token"),
    (
        "no weights",
        edited("6.5", (_VALUE, _VALUE.replace("scores[head, slot] * ", ""))),
        "without their weights",
    ),
    ("keys weighed", edited("6.5", (_VALUE, _VALUE.replace("values", "keys"))), "The keys are weighed"),
    ("first slot", edited("6.5", ("keys[block, slot,", "keys[block, 0,")), "the score of the block's first"),
    ("score replaced", edited("6.5", (_SCORE, _SCORE.replace("+=", "="))), "only the last one is left"),
    ("no values", edited("6.5", (_VALUE, "pass")), "No values are added"),
    (
        "values to the block's end",
        (
            edited("6.5")[0],
            "for slot in range(block_size):\n"
            "    for head in range(num_heads):\n"
            "        weight = scores[head, slot] if slot < count else np.float32(0.5)\n"
            "        for d in range(head_dim):\n"
            "            sums[head, d] += weight * values[block, slot, head // group, d]",
        ),
        "belong to no token of this request",
    ),
    (
        "heads outside",
        _everywhere(
            "6.5",
            (
                "for slot in range(count):\n    for head in range(num_heads):",
                "for head in range(num_heads):\n    for slot in range(count):",
            ),
        ),
        "once for every query head of its group",
    ),
]

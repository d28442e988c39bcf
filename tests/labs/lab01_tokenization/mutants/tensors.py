"""Wrong answers to 1.7 and 1.8: batches and embeddings."""

from tests.labs.edit import code, edited

_MASK = "torch.tensor(mask, dtype=torch.int64)"
PAD_BATCH = [
    (
        "mask from ids",
        edited(
            "1.7",
            (
                f"return torch.tensor(rows, dtype=torch.int64), {_MASK}",
                "ids = torch.tensor(rows, dtype=torch.int64)\nreturn ids, (ids != pad_id).long()",
            ),
        ),
        "comparing ids with `pad_id`",
    ),
    (
        "always right",
        code("""
        longest = max(map(len, sequences))
        rows = [ids + [pad_id] * (longest - len(ids)) for ids in sequences]
        mask = [[1] * len(ids) + [0] * (longest - len(ids)) for ids in sequences]
        return torch.tensor(rows), torch.tensor(mask)
    """),
        "always on the right",
    ),
    (
        "always left",
        code("""
        longest = max(map(len, sequences))
        rows = [[pad_id] * (longest - len(ids)) + ids for ids in sequences]
        mask = [[0] * (longest - len(ids)) + [1] * len(ids) for ids in sequences]
        return torch.tensor(rows), torch.tensor(mask)
    """),
        "always on the left",
    ),
    (
        "sides swapped",
        edited(
            "1.7",
            ('padding + ids if side == "left"', 'padding + ids if side != "left"'),
            ('zeros + ones if side == "left"', 'zeros + ones if side != "left"'),
        ),
        "Left and right are swapped",
    ),
    ("filled with zeros", edited("1.7", ("[pad_id] * (longest", "[0] * (longest")), "filled with 0"),
    ("inverted mask", edited("1.7", (_MASK, "1 - " + _MASK)), "The mask is inverted"),
    (
        "mask always left",
        edited("1.7", ('zeros + ones if side == "left" else ones + zeros', "ones + zeros")),
        "stand on the left whatever",
    ),
    (
        "mask always right",
        edited("1.7", ('zeros + ones if side == "left" else ones + zeros', "zeros + ones")),
        "stand on the right whatever",
    ),
    (
        "mask of ones",
        edited("1.7", (_MASK, "torch.ones(len(rows), longest, dtype=torch.int64)")),
        "1 everywhere",
    ),
    (
        "cut to the shortest",
        edited(
            "1.7",
            (
                "longest = max(len(ids) for ids in sequences)",
                "longest = min(len(ids) for ids in sequences)\nsequences = [ids[:longest] for ids in "
                "sequences]",
            ),
        ),
        "cut to the shortest",
    ),
    (
        "one slot more",
        edited("1.7", ("max(len(ids) for ids in sequences)", "max(len(ids) for ids in sequences) + 1")),
        "one slot too long",
    ),
    ("float mask", edited("1.7", (_MASK, "torch.tensor(mask, dtype=torch.float32)")), "of floating point"),
    ("bool mask", edited("1.7", (_MASK, "torch.tensor(mask, dtype=torch.bool)")), "of type bool"),
    ("no mask", edited("1.7", (f", {_MASK}", "")), "Only the ids came back"),
    (
        "lists",
        edited("1.7", (f"return torch.tensor(rows, dtype=torch.int64), {_MASK}", "return rows, mask")),
        "Lists came back",
    ),
    (
        "swapped results",
        edited(
            "1.7",
            (
                f"return torch.tensor(rows, dtype=torch.int64), {_MASK}",
                f"return {_MASK}, torch.tensor(rows, dtype=torch.int64)",
            ),
        ),
        "The two results are swapped",
    ),
]

EMBED = [
    ("scaled", code("return table[input_ids] * table.shape[1] ** 0.5"), "√hidden_size times too large"),
    ("divided", code("return table[input_ids] / table.shape[1] ** 0.5"), "√hidden_size times too small"),
    (
        "positions",
        code("return table[input_ids] + table[torch.arange(input_ids.shape[1])]"),
        "depends on the position",
    ),
    ("ids from one", code("return table[input_ids - 1]"), "the row before its own"),
    (
        "padding index",
        code("return table[input_ids].masked_fill((input_ids == 0)[..., None], 0.0)"),
        "as zeros",
    ),
    ("flat", code("return table[input_ids.flatten()]"), "are one dimension"),
    (
        "normalised",
        code("rows = table[input_ids]\nreturn rows / rows.norm(dim=-1, keepdim=True)"),
        "were normalised",
    ),
    ("transposed", code("return table[input_ids].transpose(1, 2)"), "last two dimensions are swapped"),
    ("averaged", code("return table[input_ids].mean(dim=1)"), "were averaged"),
    ("first sequence", code("return table[input_ids[0]]"), "Only the first sequence"),
]

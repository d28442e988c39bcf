"""Wrong answers to 6.9: attention of a prompt by tiles."""

from tests.labs.edit import edited

_HIDDEN = "hidden = torch.arange(start, start + keys.shape[1]) > query_positions"
_RANGE = "range(0, last, tile)"

FLASH = [
    (
        "no mask",
        edited(
            "6.9",
            (_HIDDEN, "hidden = torch.zeros(1, 1, dtype=torch.bool)"),
            (_RANGE, "range(0, num_tokens, tile)"),
        ),
        "the mask is missing",
    ),
    ("own key hidden", edited("6.9", (_HIDDEN, _HIDDEN.replace(">", ">="))), "does not see its own key"),
    (
        "mask of a tile",
        edited(
            "6.9",
            (_HIDDEN, "hidden = torch.arange(keys.shape[1]) > torch.arange(rows.shape[1])[:, None]"),
            (_RANGE, "range(0, num_tokens, tile)"),
        ),
        "The mask is that of the tile",
    ),
    (
        "the diagonal alone",
        edited("6.9", (_RANGE, "range(first, last, tile)")),
        "Only the tile on the diagonal",
    ),
    (
        "the diagonal unmasked",
        edited("6.9", (_HIDDEN, "hidden = torch.zeros(1, 1, dtype=torch.bool)")),
        "there the mask decides",
    ),
    ("no scale", edited("6.9", (" * scale)", ")")), "not multiplied with `scale`"),
    ("total not rescaled", edited("6.9", ("total * factor", "total")), "`total` is not made smaller"),
    ("sums not rescaled", edited("6.9", ("sums * factor", "sums")), "`sums` is not made smaller"),
    (
        "not divided",
        edited(
            "6.9", ("highest = top", "highest = top\nsums = sums * total if start + tile >= last else sums")
        ),
        "not divided by the weights",
    ),
    (
        "all tiles",
        edited("6.9", (_RANGE, "range(0, num_tokens, tile)")),
        "in the tiles above the diagonal",
    ),
    (
        "all scores",
        (
            "keys, values = k[:, :last], v[:, :last]\n"
            "hidden = torch.arange(last) > query_positions\n"
            "scores = (rows @ keys.transpose(1, 2) * scale).masked_fill(hidden, float('-inf'))\n"
            "weights = torch.softmax(scores, dim=-1)\n"
            "total, sums = torch.ones_like(total), weights @ values",
        ),
        "scores of one tile are enough",
    ),
    (
        "a rest left out",
        edited("6.9", ("highest = top", "highest = top\nsums = sums if rows.shape[1] == tile else 0 * sums")),
        "which fill no tile",
    ),
]

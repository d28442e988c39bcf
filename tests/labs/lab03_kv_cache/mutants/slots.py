"""Wrong answers to 3.8 and 3.9: the cache of a batch, and what its slots are."""

from tests.labs.edit import edited

_START = "start = self.lengths[row]"
_RETURN = "return self.keys[layer, row, :end], self.values[layer, row, :end]"
_ADVANCE = "self.lengths[row] += num_tokens"
_COUNT = "self.lengths[row] += k.shape[0]"
_SHARE = "return sum(self.lengths) / (len(self.lengths) * self.max_length)"
_K, _V = "self.keys[layer, row, start:end] = k", "self.values[layer, row, start:end] = v"
_FULL = "end > self.max_length"
_RAISE = 'raise ValueError(f"row {row} has room for {self.max_length} tokens, not for {end}")'
BATCH = [
    (
        "still per layer",
        edited("3.8", (_V, f"{_V}\n{_COUNT}"), (_ADVANCE, "pass")),
        "still advances in `update`",
    ),
    ("twice", edited("3.8", (_V, f"{_V}\n{_COUNT}")), "in `update` and in `advance` too"),
    (
        "in layer 0",
        edited("3.8", (_V, f"{_V}\nif layer == 0:\n    {_COUNT}"), (_ADVANCE, "pass")),
        "in `update` of layer 0",
    ),
    (
        "in the last layer too",
        edited("3.8", (_V, f"{_V}\nif layer == len(self.keys) - 1:\n    {_COUNT}")),
        "of the last layer and in `advance` again",
    ),
    ("no advance", edited("3.8", (_ADVANCE, "pass")), "`advance` does nothing"),
    (
        "all rows",
        edited("3.8", (_ADVANCE, "self.lengths = [length + num_tokens for length in self.lengths]")),
        "`advance` moves all rows",
    ),
    ("set", edited("3.8", (_ADVANCE, "self.lengths[row] = num_tokens")), "`advance` sets the length"),
    ("one", edited("3.8", (_ADVANCE, "self.lengths[row] += 1")), "counts one token however many"),
    ("from slot 0", edited("3.8", (_START, "start = 0")), "Everything is written from slot 0"),
    ("longest row", edited("3.8", (_START, "start = max(self.lengths)")), "behind the longest row's"),
    (
        "row 0",
        edited(
            "3.8",
            (_K, "self.keys[layer, 0, start:end] = k"),
            (_V, "self.values[layer, 0, start:end] = v"),
            (_RETURN, "return self.keys[layer, 0, :end], self.values[layer, 0, :end]"),
        ),
        "All sequences write to row 0",
    ),
    (
        "layer 0",
        edited(
            "3.8",
            (_K, "self.keys[0, row, start:end] = k"),
            (_V, "self.values[0, row, start:end] = v"),
            (_RETURN, "return self.keys[0, row, :end], self.values[0, row, :end]"),
        ),
        "All layers write to layer 0",
    ),
    (
        "whole row",
        edited("3.8", (_RETURN, "return self.keys[layer, row], self.values[layer, row]")),
        "The whole row comes back",
    ),
    (
        "without the new ones",
        edited("3.8", (_RETURN, "return self.keys[layer, row, :start], self.values[layer, row, :start]")),
        "The new tokens are not in what comes back",
    ),
    ("only the new ones", edited("3.8", (_RETURN, "return k, v")), "Only the new tokens come back"),
    (
        "swapped",
        edited("3.8", (_RETURN, "return self.values[layer, row, :end], self.keys[layer, row, :end]")),
        "Keys and values are swapped",
    ),
    ("no check", edited("3.8", (_FULL, "False")), "Nothing checks whether the row has room"),
    (
        "RuntimeError",
        edited("3.8", ("raise ValueError(", "raise RuntimeError(")),
        "too full raises a RuntimeError",
    ),
    ("last slot", edited("3.8", (_FULL, "end >= self.max_length")), "to its last slot"),
    (
        "dropped",
        edited(
            "3.8",
            (
                f"if {_FULL}:\n    {_RAISE}",
                "end = min(end, self.max_length)\nk, v = k[: end - start], v[: end - start]",
            ),
        ),
        "are dropped without a word",
    ),
    (
        "rows in use",
        edited(
            "3.8",
            (
                _SHARE,
                "used = [n for n in self.lengths if n]\nreturn sum(used) / (max(len(used), 1) * "
                "self.max_length)",
            ),
        ),
        "is of the rows in use",
    ),
    ("percent", edited("3.8", (_SHARE, _SHARE.replace("return ", "return 100 * "))), "is in percent"),
    (
        "empty slots",
        edited("3.8", (_SHARE, _SHARE.replace("return ", "return 1 - "))),
        "is the share of empty slots",
    ),
    (
        "rows",
        edited("3.8", (_SHARE, "return sum(n > 0 for n in self.lengths) / len(self.lengths)")),
        "is the share of rows in use",
    ),
    (
        "longest",
        edited("3.8", (_SHARE, "return max(self.lengths) / self.max_length")),
        "is that of the longest row",
    ),
    (
        "one row",
        edited("3.8", (_SHARE, "return sum(self.lengths) / self.max_length")),
        "divided by the slots of one row",
    ),
]

_LATER = "sum(final - held for _, _, held, final in runs)"
_NEVER = "sum(reserved - final for _, reserved, _, final in runs)"
_HELD = "sum(held for _, _, held, _ in runs)"
_EMPTY = "sum(reserved - held for _, reserved, held, _ in runs)"
_WALK = "[*sorted(runs), (num_slots, 0, 0, 0)]"
_ADD = 'counts["free" if gap >= wanted else "holes"] += gap'
WASTE = [
    ("later is all empty", edited("3.9", (_LATER, _EMPTY)), "`later` also counts slots"),
    ("never is all empty", edited("3.9", (_NEVER, _EMPTY)), "`never` also counts slots"),
    (
        "swapped",
        edited(
            "3.9", (f'"later": {_LATER}', f'"never": {_LATER}'), (f'"never": {_NEVER}', f'"later": {_NEVER}')
        ),
        "`later` and `never` are swapped",
    ),
    (
        "held at the end",
        edited("3.9", (_HELD, "sum(final for _, _, _, final in runs)")),
        "`held` counts what",
    ),
    (
        "holes and free swapped",
        edited("3.9", (_ADD, 'counts["holes" if gap >= wanted else "free"] += gap')),
        "`holes` and `free` are swapped",
    ),
    ("not sorted", edited("3.9", ("*sorted(runs)", "*runs")), "The runs are taken as they come"),
    ("no last gap", edited("3.9", (_WALK, "sorted(runs)")), "The gap behind the last run is missing"),
    (
        "no first gap",
        edited("3.9", ("end = 0\n", "end = min((start for start, *_ in runs), default=num_slots)\n")),
        "The gap in front of the first run is missing",
    ),
    ("exact gap", edited("3.9", ("gap >= wanted", "gap > wanted")), "A gap of exactly `wanted`"),
    (
        "gaps counted",
        edited("3.9", (_ADD, _ADD.replace("+= gap", "+= gap > 0"))),
        "count gaps: count their slots",
    ),
    (
        "behind the tokens",
        edited("3.9", ("for start, reserved, _, _ in", "for start, _, reserved, _ in")),
        "A gap is taken to begin behind the tokens",
    ),
    (
        "added up",
        edited(
            "3.9",
            (_ADD, 'counts["free"] += gap'),
            (
                "return counts",
                'if counts["free"] < wanted:\n    counts.update(holes=counts["free"], free=0)\nreturn counts',
            ),
        ),
        "added up before they are compared",
    ),
    (
        "longest only",
        edited(
            "3.9",
            (
                _ADD,
                'counts["holes"] += min(gap, counts["free"])\n    counts["free"] = max(gap, counts["free"])',
            ),
        ),
        "Only the longest gap counts as free",
    ),
    ("all holes", edited("3.9", (_ADD, 'counts["holes"] += gap')), "All gaps count as holes"),
    ("all free", edited("3.9", (_ADD, 'counts["free"] += gap')), "All gaps count as free"),
    (
        "shares",
        edited(
            "3.9", ("return counts", "return {name: count / num_slots for name, count in counts.items()}")
        ),
        "The counts are shares",
    ),
]

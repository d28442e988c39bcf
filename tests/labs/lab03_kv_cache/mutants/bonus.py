"""Wrong answers to 3.15 to 3.17: attention in parts, a ring, eight bits."""

from tests.labs.edit import code, edited

_WEIGHT = "total * math.exp(largest - top)"
MERGE = [
    ("plain mean", edited("3.15", (_WEIGHT, "1.0")), "averaged as they are"),
    ("totals", edited("3.15", (_WEIGHT, "total")), "The parts weigh by `total` alone"),
    (
        "no totals",
        edited("3.15", (_WEIGHT, "math.exp(largest - top)")),
        "exp(largest − largest of all) alone",
    ),
    ("overflow", edited("3.15", (_WEIGHT, "total * math.exp(largest)")), "overflows with `math.exp`"),
    (
        "infinite",
        code("""
        weights = torch.tensor([total for _, total, _ in parts])
        weights = weights * torch.tensor([largest for largest, _, _ in parts]).exp()
        return weights @ torch.stack([mean for _, _, mean in parts]) / weights.sum()
    """),
        "exp(largest) is infinite",
    ),
    ("sign", edited("3.15", (_WEIGHT, "total * math.exp(top - largest)")), "The sign of the exponent"),
    ("not divided", edited("3.15", ("/ sum(weights)", "")), "is not divided by the sum"),
    (
        "divided by total",
        edited("3.15", (_WEIGHT, "math.exp(largest - top) / total")),
        "divided by `total` again",
    ),
    ("scores", edited("3.15", (_WEIGHT, "largest")), "by their largest score itself"),
    ("added", code("return sum(mean for _, _, mean in parts)"), "The parts were added up"),
    (
        "winner",
        code("return max(parts, key=lambda part: part[0])[2]"),
        "Only the part with the largest score",
    ),
    ("last", code("return parts[-1][2]"), "Only the last part"),
]

_SLOT = "slot = self.length % self.window"
_SLOTS = "[n % self.window for n in range(max(0, self.length - self.window), self.length)]"
_RETURN = "return self.keys[slots], self.values[slots]"
RING = [
    ("no ring", edited("3.16", (_SLOT, "slot = self.length")), "The ring does not go round"),
    (
        "last slot",
        edited("3.16", (_SLOT, "slot = min(self.length, self.window - 1)")),
        "keeps its old tokens",
    ),
    (
        "order of slots",
        edited("3.16", (_SLOTS, "list(range(min(self.length, self.window)))")),
        "in the order of their slots",
    ),
    (
        "whole ring",
        edited("3.16", (_SLOTS, "[(self.length + i) % self.window for i in range(self.window)]")),
        "The whole ring comes back",
    ),
    ("newest first", edited("3.16", (_SLOTS, f"{_SLOTS}[::-1]")), "The newest token comes first"),
    ("newest missing", edited("3.16", (_SLOTS, f"{_SLOTS}[:-1]")), "The newest token is missing"),
    (
        "oldest missing",
        edited("3.16", ("self.length - self.window)", "self.length - self.window + 1)")),
        "The oldest token that is still in the window",
    ),
    ("length stays", edited("3.16", ("self.length += 1", "pass")), "`length` does not advance"),
    (
        "from one",
        edited("3.16", (_SLOT, "slot = (self.length + 1) % self.window")),
        "Slots are counted from 1",
    ),
    (
        "no values",
        edited("3.16", ("self.keys[slot], self.values[slot] = k, v", "self.keys[slot] = k")),
        "The values are not stored",
    ),
    (
        "swapped",
        edited("3.16", (_RETURN, "return self.values[slots], self.keys[slots]")),
        "Keys and values are swapped",
    ),
]

_LARGEST = "x.abs().amax(dim=-1, keepdim=True)"
_CODES = "(x / scales).round().to(torch.int8)"
_ONES = "scales = torch.where(scales == 0, 1.0, scales)"
QUANTIZE = [
    (
        "one scale",
        edited("3.17", (_LARGEST, "x.abs().max().expand(*x.shape[:2], 1)")),
        "One scale serves the whole tensor",
    ),
    (
        "one a token",
        edited("3.17", (_LARGEST, "x.abs().amax(dim=(1, 2), keepdim=True).expand(-1, x.shape[1], -1)")),
        "One scale serves all heads",
    ),
    (
        "one a head",
        edited("3.17", (_LARGEST, "x.abs().amax(dim=(0, 2), keepdim=True).expand(x.shape[0], -1, -1)")),
        "One scale serves all tokens",
    ),
    ("128", edited("3.17", ("/ 127", "/ 128")), "divides by 128"),
    (
        "255",
        edited("3.17", ("/ 127", "/ 255"), (".round()", ".round().clamp(-127, 127)")),
        "divides by 255",
    ),
    ("cut off", edited("3.17", (".round()", "")), "are cut off, not rounded"),
    ("floor", edited("3.17", (".round()", ".floor()")), "are rounded down"),
    ("no sign", edited("3.17", (_LARGEST, "x.amax(dim=-1, keepdim=True)")), "taken without its sign"),
    (
        "scale of zero",
        edited("3.17", (_ONES, ""), (".round()", ".nan_to_num().round()")),
        "Where all numbers are 0",
    ),
    (
        "squeezed",
        edited("3.17", (f"{_CODES}, scales", f"{_CODES}, scales[..., 0]")),
        "lost their last dimension",
    ),
    ("upside down", edited("3.17", (f"{_CODES}, scales", f"{_CODES}, 1 / scales")), "upside down"),
    ("floats", edited("3.17", (".to(torch.int8)", "")), "The codes are not int8"),
    ("unsigned", edited("3.17", ("torch.int8", "torch.uint8")), "The codes are unsigned"),
    (
        "restored",
        edited("3.17", (f"return {_CODES}, scales", f"return {_CODES} * scales")),
        "came back as they were, rounded",
    ),
    ("codes only", edited("3.17", (f"{_CODES}, scales", _CODES)), "Only the codes came back"),
]

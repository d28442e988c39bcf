"""Wrong answers to 2.14 and 2.15: the largest batch, quantized rows."""

from tests.labs.edit import edited

_ROOM = 'room = machine["memory_bytes"] - model["weight_bytes"]'
_MOST = 'most = int(room // (context_len * model["kv_bytes_per_token"]))'
_USD = "usd_per_hour / 3600 / (batch / seconds) * 1e6"
LARGEST_BATCH = [
    ("no memory", edited("2.14", (_MOST, "most = 400")), "The memory is not asked"),
    ("no weights", edited("2.14", (_ROOM, 'room = machine["memory_bytes"]')), "The weights take no room"),
    (
        "no limit",
        edited("2.14", ("if seconds <= max_step_s:", "if True:")),
        "The time of a step is not asked",
    ),
    (
        "one more",
        edited("2.14", (_MOST, 'most = math.ceil(room / (context_len * model["kv_bytes_per_token"]))')),
        "One request too many",
    ),
    (
        "one token",
        edited("2.14", (_MOST, 'most = int(room // model["kv_bytes_per_token"])')),
        "with one token",
    ),
    ("smallest", edited("2.14", ("range(most, 0, -1)", "range(1, most + 1)")), "The smallest batch is given"),
    (
        "one token's price",
        edited("2.14", (_USD, "usd_per_hour / 3600 / (batch / seconds)")),
        "those of one token",
    ),
    ("by the hour", edited("2.14", (_USD, "usd_per_hour / (batch / seconds) * 1e6")), "divide by 3,600"),
    ("a million steps", edited("2.14", (_USD, "usd_per_hour / 3600 * seconds * 1e6")), "those of 10⁶ steps"),
    ("a rate", edited("2.14", (f"batch, {_USD}", "batch, batch / seconds")), "These are tokens a second"),
    ("free", edited("2.14", ("return 0, math.inf", "return 0, 0.0")), "the price is infinite"),
    (
        "divides by zero",
        edited("2.14", ("return 0, math.inf", "return 0, usd_per_hour / 3600 / 0 * 1e6")),
        "this divides by zero",
    ),
    (
        "batch alone",
        edited("2.14", (f"return batch, {_USD}", "return batch"), ("return 0, math.inf", "return 0")),
        "Only the batch came back",
    ),
]

_SIZE = "x.abs().amax(dim=1, keepdim=True) / (2 ** (bits - 1) - 1)"
_MOST_CODE = "(2 ** (bits - 1) - 1)"
_ZEROS = "scales = torch.where(scales == 0, torch.ones_like(scales), scales)\n"
_CODES = "codes = (x / scales).round().to(torch.int8)"
QUANTIZE_ROWS = [
    (
        "one scale",
        edited("2.15", ("x.abs().amax(dim=1, keepdim=True)", "x.abs().max().expand(len(x), 1)")),
        "One scale for the whole matrix",
    ),
    ("columns", edited("2.15", ("amax(dim=1", "amax(dim=0")), "those of the columns"),
    ("largest number", edited("2.15", ("x.abs().amax", "x.amax")), "from the row's largest number"),
    ("mean", edited("2.15", ("amax(dim=1", "mean(dim=1")), "the row's mean size"),
    ("all bits", edited("2.15", (_MOST_CODE, "(2**bits - 1)")), "taken as 2^bits - 1"),
    ("one too many", edited("2.15", (_MOST_CODE, "2 ** (bits - 1)")), "taken as 2^(bits-1)"),
    ("always 127", edited("2.15", (_MOST_CODE, "127")), "always 127"),
    ("floor", edited("2.15", (".round()", ".floor()")), "rounded down"),
    ("cut off", edited("2.15", (".round()", "")), "cut off towards zero"),
    ("zero row", edited("2.15", (_ZEROS, "")), "A row of zeros divides by zero"),
    ("no sign", edited("2.15", ("(x / scales)", "(x / scales).abs()")), "lost their sign"),
    ("floats", edited("2.15", (".to(torch.int8)", "")), "floating point: store them"),
    ("int64", edited("2.15", ("torch.int8", "torch.int64")), "The codes are int64"),
    (
        "flat scales",
        edited("2.15", ("return codes, scales", "return codes, scales[:, 0]")),
        "have one dimension",
    ),
    (
        "inverse scales",
        edited("2.15", ("return codes, scales", "return codes, 1 / scales")),
        "The scales are upside down",
    ),
    ("restored", edited("2.15", ("return codes, scales", "return codes * scales")), "quantized and restored"),
    (
        "swapped",
        edited("2.15", ("return codes, scales", "return scales, codes")),
        "The two results are swapped",
    ),
]

"""Wrong answers to 2.6 to 2.8: the cost of a step, the roofline, the planner."""

from tests.labs.edit import code, edited

_PAIRS = "pairs += new * (context - new) + new * (new + 1) // 2"
_FLOP = 'flop = 2 * model["matmul_parameters"] * sum(new_tokens) + 4 * model["attention_width"] * pairs'
_BYTES = 'num_bytes = model["weight_bytes"] + model["kv_bytes_per_token"] * kv_tokens'
STEP_COST = [
    ("one FLOP", edited("2.6", ("flop = 2 *", "flop = 1 *")), "A product with a weight is"),
    (
        "no attention",
        edited("2.6", (' + 4 * model["attention_width"] * pairs', "")),
        "The FLOPs of attention are missing",
    ),
    ("scores only", edited("2.6", ("+ 4 * model", "+ 2 * model")), "Only half of attention's FLOPs"),
    ("no causality", edited("2.6", (_PAIRS, "pairs += new * context")), "does not see those after it"),
    ("cached only", edited("2.6", (_PAIRS, "pairs += new * (context - new)")), "see only what is cached"),
    ("not itself", edited("2.6", ("(new + 1) // 2", "(new - 1) // 2")), "is not paired with itself"),
    (
        "new only",
        edited("2.6", (_PAIRS, "pairs += new * (new + 1) // 2")),
        "The new tokens see only each other",
    ),
    ("one query", edited("2.6", (_PAIRS, "pairs += context")), "One query a request"),
    (
        "context without the new",
        edited(
            "2.6",
            ("new * (context - new)", "new * context"),
            ("kv_tokens += context", "kv_tokens += context + new"),
        ),
        "is taken as what is cached",
    ),
    ("requests", edited("2.6", ("* sum(new_tokens)", "* len(new_tokens)")), "counted once a request"),
    ("whole context", edited("2.6", ("* sum(new_tokens)", "* sum(context_lens)")), "is not computed again"),
    (
        "weights a request",
        edited("2.6", ('= model["weight_bytes"] +', '= len(new_tokens) * model["weight_bytes"] +')),
        "read once for each request",
    ),
    (
        "weights a token",
        edited("2.6", ('= model["weight_bytes"] +', '= sum(new_tokens) * model["weight_bytes"] +')),
        "read once for each token",
    ),
    ("no weights", edited("2.6", ('= model["weight_bytes"] +', "=")), "The bytes of the weights are missing"),
    ("waiting ones too", edited("2.6", ("if new:", "if True:")), "it has no query that would"),
    (
        "no cache",
        edited("2.6", (' + model["kv_bytes_per_token"] * kv_tokens', "")),
        "Keys and values are missing",
    ),
    (
        "cached keys only",
        edited("2.6", ("kv_tokens += context", "kv_tokens += context - new")),
        "are written",
    ),
    (
        "new keys only",
        edited("2.6", ("kv_tokens += context", "kv_tokens += new")),
        "the context is read as well",
    ),
    (
        "read for each query",
        edited("2.6", ("kv_tokens += context", "kv_tokens += new * context")),
        "The context is read once for each new token",
    ),
    (
        "swapped",
        edited("2.6", ("return flop, num_bytes", "return num_bytes, flop")),
        "The two results are swapped",
    ),
    (
        "intensity",
        edited("2.6", ("return flop, num_bytes", "return flop / num_bytes")),
        "One number came back",
    ),
]

_MAX = 'return max(flop / machine["flop_per_s"], num_bytes / machine["bytes_per_s"])'
_COMPUTE, _READ = 'flop / machine["flop_per_s"]', 'num_bytes / machine["bytes_per_s"]'
STEP_SECONDS = [
    ("sum", edited("2.7", (_MAX, f"return {_COMPUTE} + {_READ}")), "The two times are added"),
    ("min", edited("2.7", ("return max(", "return min(")), "The shorter time is taken"),
    ("arithmetic", edited("2.7", (_MAX, f"return {_COMPUTE}")), "Only the arithmetic is timed"),
    ("traffic", edited("2.7", (_MAX, f"return {_READ}")), "Only the memory traffic is timed"),
    (
        "rates swapped",
        edited("2.7", (_MAX, 'return max(flop / machine["bytes_per_s"], num_bytes / machine["flop_per_s"])')),
        "The rates are swapped",
    ),
    (
        "upside down",
        edited("2.7", (_MAX, 'return max(machine["flop_per_s"] / flop, machine["bytes_per_s"] / num_bytes)')),
        "upside down",
    ),
    ("milliseconds", edited("2.7", ("return max", "return 1e3 * max")), "is in milliseconds"),
    ("mean", edited("2.7", (_MAX, f"return ({_COMPUTE} + {_READ}) / 2")), "The mean of the two times"),
    ("a token", edited("2.7", (_MAX, f"{_MAX} / sum(new_tokens)")), "divided by the tokens"),
]

_FREE = "free = int(memory_bytes * utilization) - weight_bytes"
_BLOCK = "block_bytes = block_size * num_layers * layer_kv_bytes"
_BLOCKS = "return max(0, free // block_bytes)"
NUM_BLOCKS = [
    (
        "as it was",
        code("""
        free = (memory_bytes - weight_bytes) * utilization
        return round(free / (block_size * layer_kv_bytes))
    """),
        "Nothing has changed",
    ),
    (
        "one layer",
        edited("2.8", (_BLOCK, "block_bytes = block_size * layer_kv_bytes")),
        "A block is counted in one layer",
    ),
    (
        "a share of the rest",
        edited("2.8", (_FREE, "free = int((memory_bytes - weight_bytes) * utilization)")),
        "applied to what the weights leave",
    ),
    (
        "all of it",
        edited("2.8", (_FREE, "free = memory_bytes - weight_bytes")),
        "`utilization` is not applied",
    ),
    (
        "the share to leave",
        edited("2.8", (_FREE, "free = int(memory_bytes * (1 - utilization)) - weight_bytes")),
        "the share to leave free",
    ),
    (
        "nearest",
        edited("2.8", (_BLOCKS, "return max(0, round(free / block_bytes))")),
        "rounded to the nearest",
    ),
    ("up", edited("2.8", (_BLOCKS, "return max(0, math.ceil(free / block_bytes))")), "rounded up"),
    ("fraction", edited("2.8", (_BLOCKS, "return max(0, free / block_bytes)")), "is not whole"),
    ("negative", edited("2.8", (_BLOCKS, "return free // block_bytes")), "the number of blocks is negative"),
    (
        "at least one",
        edited("2.8", (_BLOCKS, "return max(1, free // block_bytes)")),
        "At least one block is promised",
    ),
    (
        "no weights",
        edited("2.8", (_FREE, "free = int(memory_bytes * utilization)")),
        "The weights are forgotten",
    ),
    (
        "tokens",
        edited("2.8", (_BLOCK, "block_bytes = num_layers * layer_kv_bytes")),
        "These are tokens and not blocks",
    ),
    (
        "tokens of the blocks",
        edited("2.8", (_BLOCKS, "return max(0, free // block_bytes) * block_size")),
        "These are tokens: the number of blocks",
    ),
    (
        "layers twice",
        edited("2.8", (_BLOCK, "block_bytes = block_size * num_layers**2 * layer_kv_bytes")),
        "The layers are counted twice",
    ),
    (
        "keys and values twice",
        edited("2.8", (_BLOCK, "block_bytes = 2 * block_size * num_layers * layer_kv_bytes")),
        "holds keys and values both already",
    ),
]

"""Checks of the assessment, exercises 3.10 to 3.12: numbers, with a message for each foreseen wrong one."""

from cblab.lab.labs.numbers import number

PROMPT, REPLY = 20, 100
FED = PROMPT + REPLY - 1
RECOMPUTED = sum(range(PROMPT, PROMPT + REPLY))
PAIRS = FED * (FED + 1) // 2

RECOMPUTED_FORWARDS = number(
    "token_forwards_recomputed",
    RECOMPUTED,
    [
        (
            REPLY * (PROMPT + REPLY),
            "Every pass is counted as if it had the final length: the first one has 20 tokens.",
        ),
        (
            RECOMPUTED + REPLY,
            "Each pass is one token too long: the first one runs over the 20 tokens of the prompt.",
        ),
        (sum(range(REPLY)), "The prompt is missing: every pass runs over it again."),
        (sum(range(1, REPLY + 1)), "That is 1 + 2 + … + 100: every pass has the prompt as well."),
        (REPLY * PROMPT, "Each pass is counted with the prompt only: the new tokens go in again too."),
        (FED, "That is with a cache: `token_forwards_recomputed` runs the whole sequence in each pass."),
        (REPLY, "That is the number of passes: each pass runs many tokens through the model."),
        (
            sum(range(PROMPT, PROMPT + REPLY + 1)),
            "One pass too many: nobody asks what follows the last new token.",
        ),
    ],
    exact=True,
)

CACHED_FORWARDS = number(
    "token_forwards_cached",
    FED,
    [
        (PROMPT + REPLY, "The last new token does not go through the model: nobody asks what follows it."),
        (REPLY, "That is the number of passes: the first of them brings the 20 tokens of the prompt."),
        (REPLY - 1, "The prompt is missing from `token_forwards_cached`: it goes in once as well."),
        (RECOMPUTED, "That is by recomputation: with a cache each token goes in once."),
        (PROMPT + REPLY + 1, "Two tokens too many: neither the last one nor any other goes in again."),
    ],
    exact=True,
)

CACHED_PAIRS = number(
    "pairs_cached",
    PAIRS,
    [
        (FED * FED, "Each query is counted with all keys: it sees those up to its own (1 + 2 + 3 + …)."),
        ((FED + 1) * (FED + 2) // 2, "The last new token asks nothing: it does not go through the model."),
        (FED * (FED - 1) // 2, "A query sees its own key too: 1 + 2 + 3 + …, not 0 + 1 + 2 + …"),
        (FED, "That is one pair for each token: its query meets every key up to its own."),
        (REPLY, "That is one pair for each pass: a cache saves projections, not the reading of keys."),
        (
            PAIRS - PROMPT * (PROMPT + 1) // 2,
            "The pairs of the prompt are missing: its queries meet keys as well.",
        ),
        (
            sum(n * (n + 1) // 2 for n in range(PROMPT, PROMPT + REPLY)),
            "That is by recomputation: with a cache each query asks once.",
        ),
        (PAIRS * 2, "Twice too many: a query sees no later keys."),
    ],
    exact=True,
)

LAYERS, KV_HEADS, HEADS, HEAD_DIM = 32, 8, 32, 128
SEQUENCES, LENGTH = 24, 6_000
WEIGHTS_GB, GB_PER_S = 16.06, 3_350
PER_TOKEN = 2 * LAYERS * KV_HEADS * HEAD_DIM * 2
TOTAL = PER_TOKEN * SEQUENCES * LENGTH
STEP_MS = (WEIGHTS_GB + TOTAL / 1e9) / GB_PER_S * 1e3

BYTES = number(
    "kv_bytes_per_token",
    PER_TOKEN,
    [
        (
            PER_TOKEN // 2,
            "Exactly half of `kv_bytes_per_token`: are V's bytes counted, and 2 bytes a number?",
        ),
        (2 * LAYERS * HEADS * HEAD_DIM * 2, "Counted with 32 query heads: only the 8 KV heads are stored."),
        (PER_TOKEN // LAYERS, "That is one layer's: there are 32."),
        (2 * PER_TOKEN, "Twice `kv_bytes_per_token`: a bfloat16 number has 2 bytes, and K and V count once."),
        (PER_TOKEN / 1024, "That is `kv_bytes_per_token` in KiB: bytes are asked for."),
        (PER_TOKEN // KV_HEADS, "That is one KV head's: there are 8."),
        (PER_TOKEN // HEAD_DIM, "head_dim is missing: a key has 128 numbers."),
        (TOTAL, "That is the whole cache: `kv_bytes_per_token` is of one token."),
    ],
    exact=True,
)

TOTAL_GB = number(
    "kv_total_gb",
    TOTAL / 1e9,
    [
        (TOTAL / 2**30, "That is `kv_total_gb` in GiB: a GB is 10⁹ bytes."),
        (TOTAL / SEQUENCES / 1e9, "That is the cache of one sequence: there are 24."),
        (TOTAL / LENGTH / 1e9, "That is one token of each sequence: each has 6,000."),
        (4 * TOTAL / 1e9, "`kv_total_gb` is computed with 32 query heads: only the 8 KV heads are stored."),
        (TOTAL / 2e9, "Half of `kv_total_gb`: K and V, 2 bytes a number."),
        (TOTAL / 1e6, "That is `kv_total_gb` in MB."),
        (WEIGHTS_GB + TOTAL / 1e9, "The weights are in it: `kv_total_gb` is the cache alone."),
    ],
)

STEP = number(
    "step_ms",
    STEP_MS,
    [
        (TOTAL / 1e9 / GB_PER_S * 1e3, "That is the time for the cache alone: a step reads the weights too."),
        (WEIGHTS_GB / GB_PER_S * 1e3, "That is the time for the weights alone: a step reads the cache too."),
        (STEP_MS / 1e3, "That is `step_ms` in seconds."),
        (
            (SEQUENCES * WEIGHTS_GB + TOTAL / 1e9) / GB_PER_S * 1e3,
            "The weights are read once for all 24 sequences of the step, not once for each.",
        ),
        (
            (WEIGHTS_GB + TOTAL / SEQUENCES / 1e9) / GB_PER_S * 1e3,
            "The cache of one sequence is counted: a step reads those of all 24.",
        ),
        (
            STEP_MS / SEQUENCES,
            "That is `step_ms` shared among the sequences: they wait for the step together.",
        ),
        (GB_PER_S / (WEIGHTS_GB + TOTAL / 1e9), "That is steps a second: `step_ms` is how long one takes."),
    ],
)

THROUGHPUT = number(
    "tokens_per_second",
    SEQUENCES / STEP_MS * 1e3,
    [
        (1 / STEP_MS * 1e3, "That is one sequence's rate: a step brings 24 tokens, one for each."),
        (
            SEQUENCES / (TOTAL / 1e9 / GB_PER_S),
            "The weights are missing from the time of the step behind `tokens_per_second`.",
        ),
        (
            SEQUENCES / (WEIGHTS_GB / GB_PER_S),
            "The cache is missing from the time of the step behind `tokens_per_second`.",
        ),
        (SEQUENCES / STEP_MS, "That is `tokens_per_second` per millisecond: a second has 1,000."),
        (
            SEQUENCES * LENGTH / STEP_MS * 1e3,
            "The tokens in the cache are counted: a step brings one a sequence.",
        ),
    ],
)

ROOM, MAX_LENGTH, MEAN = 3 * 2**30, 2_048, 420
SLOTS = ROOM // PER_TOKEN

ROWS = number(
    "rows_preallocated",
    ROOM // (MAX_LENGTH * PER_TOKEN),
    [
        (3 * 10**9 // (MAX_LENGTH * PER_TOKEN), "Computed with GB: the 3 GiB are 3 · 2³⁰ bytes."),
        (SLOTS, "That is the number of slots: a row has 2,048 of them."),
        (2 * (ROOM // (MAX_LENGTH * PER_TOKEN)), "Twice too many rows: are K and V counted?"),
        (SLOTS // MEAN, "Those are rows of 420 slots: the service reserves 2,048 for each."),
        (ROOM // MAX_LENGTH, "That leaves out the bytes of a token: 131,072."),
    ],
    exact=True,
)

AT_END = number(
    "utilisation_at_end",
    MEAN / MAX_LENGTH,
    [
        *(
            (percent, "`utilisation_at_end` is in percent: it is a share from 0 to 1, so divide by 100.")
            for percent in (100 * MEAN / MAX_LENGTH, 20, 21)
        ),
        (1 - MEAN / MAX_LENGTH, "That is the share of empty slots: count those that hold a token."),
        (MAX_LENGTH / MEAN, "`utilisation_at_end` is upside down: a share is at most 1."),
        (MEAN / SLOTS, "That is one sequence in the whole memory: all rows are in use."),
        (MEAN / 2 / MAX_LENGTH, "That is the mean over a request's life: at its end it holds 420 tokens."),
        (MAX_LENGTH - MEAN, "That is the number of empty slots in a row: `utilisation_at_end` is a share."),
    ],
)

EXACT = number(
    "requests_if_exact",
    SLOTS // MEAN,
    [
        (SLOTS / MEAN, "Half a request cannot be served: `requests_if_exact` is a whole number."),
        (SLOTS // MEAN + 1, "Rounded up: so many requests of 420 tokens need more than 3 GiB."),
        (3 * 10**9 // PER_TOKEN // MEAN, "`requests_if_exact` is computed with GB: 3 GiB are 3 · 2³⁰ bytes."),
        (SLOTS // MAX_LENGTH, "That is with 2,048 slots a request: each takes the 420 that it needs."),
        (SLOTS, "That is the number of tokens that fit: a request has 420."),
        (SLOTS // MEAN - SLOTS // MAX_LENGTH, "That is how many more: `requests_if_exact` is how many."),
    ],
    exact=True,
)

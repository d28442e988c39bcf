"""Checks of the assessment, exercises 2.9 to 2.11: numbers, with a message for each foreseen wrong one."""

from cblab.lab.labs.numbers import number

# 2.9: fine-tuning 13 billion parameters with Adam in mixed precision, on GPUs with 72 GB to use.
PARAMETERS = 13e9
MOMENTS, STATE = 8 * PARAMETERS / 1e9, 16 * PARAMETERS / 1e9
USABLE, ACTIVATIONS = 72, 30
GPUS = STATE / (USABLE - ACTIVATIONS)

# 2.10: a model of 34 billion parameters in 4 bits, 0.9 of 48 GB, requests of 1,650 + 320 tokens.
WEIGHTS = 34e9 * (4 + 16 / 128) / 8 / 1e9
KV_PER_TOKEN = 2 * 48 * 8 * 128 * 2
FREE = 0.9 * 48e9 - WEIGHTS * 1e9
BLOCKS = FREE // (16 * KV_PER_TOKEN)
CONTEXT = 1_650 + 320
BLOCKS_A_REQUEST = -(-CONTEXT // 16)

# 2.11: 40 requests at 1,800 tokens on 864 GB/s, weights of 17.5 GB, 1.20 dollars an hour.
READ = 17.5e9 + 40 * 1_800 * KV_PER_TOKEN
STEP_S = READ / 864e9
RATE = 40 / STEP_S
USD = 1.20 / 3_600 / RATE * 1e6

MOMENTS_GB = number(
    "moments_gb",
    MOMENTS,
    [
        (
            MOMENTS / 2,
            "Half of Adam's moments: there are two a parameter, in float32 also under mixed precision.",
        ),
        (MOMENTS / 4, "One moment in 16 bits is counted: Adam keeps two, of 4 bytes each."),
        (12 * PARAMETERS / 1e9, "The master weights are in `moments_gb`: only the moments are asked for."),
        (STATE, "That is all of the state: `moments_gb` is Adam's two moments alone."),
        (MOMENTS * 1e9 / 2**30, "That is `moments_gb` in GiB: a GB is 10⁹ bytes."),
        (MOMENTS * 1e9, "That is `moments_gb` in bytes: divide by 10⁹."),
        (2 * PARAMETERS / 1e9, "That is the size of the weights: `moments_gb` is 8 bytes a parameter."),
    ],
)

STATE_GB = number(
    "state_gb",
    STATE,
    [
        (
            8 * PARAMETERS / 1e9,
            "Half of `state_gb`: 2 + 2 bytes for weights and gradients, 4 for master weights, 8 for the "
            "moments.",
        ),
        (12 * PARAMETERS / 1e9, "The master weights are missing from `state_gb`: 4 bytes a parameter."),
        (
            14 * PARAMETERS / 1e9,
            "The gradients or the 16-bit weights are missing from `state_gb`: 2 bytes a parameter each.",
        ),
        (
            18 * PARAMETERS / 1e9,
            "`state_gb` has gradients in float32: under mixed precision they have 2 bytes.",
        ),
        (
            20 * PARAMETERS / 1e9,
            "`state_gb` has 20 bytes a parameter: weights and gradients have 2 each, and not 4.",
        ),
        (STATE * 1e9 / 2**30, "That is `state_gb` in GiB: a GB is 10⁹ bytes."),
        (STATE + ACTIVATIONS, "The activations are in `state_gb`: they are counted for each GPU."),
        (STATE * 1e9, "That is `state_gb` in bytes: divide by 10⁹."),
    ],
)

NUM_GPUS = number(
    "num_gpus",
    -(-STATE // (USABLE - ACTIVATIONS)),
    [
        (GPUS, "A part of a GPU cannot be had: `num_gpus` is a whole number, rounded up."),
        (GPUS // 1, "Rounded down: on so many GPUs the state does not fit."),
        (-(-STATE // USABLE), "The activations are forgotten: each GPU needs 30 GB of its own for them."),
        (
            -(-(STATE + ACTIVATIONS) // USABLE),
            "The activations are counted once: *each* GPU holds 30 GB of its own.",
        ),
        (-(-STATE // (80 - ACTIVATIONS)) + 2, "More GPUs than needed: state / (72 - 30), rounded up."),
        (-(-STATE // 80), "All 80 GB are planned with: 72 can be used, and 30 of these hold activations."),
    ],
    exact=True,
)

WEIGHTS_GB = number(
    "weights_gb",
    WEIGHTS,
    [
        (17.0, "The scales are missing from `weights_gb`: one float16 for each 128 weights."),
        (68.0, "That is 16 bits a weight: `weights_gb` is quantized."),
        (WEIGHTS * 8, "The bits are not turned into bytes: 8 bits are one."),
        (34.0, "That is 8 bits a weight: they have 4, and a share of a scale."),
        (WEIGHTS * 1e9 / 2**30, "That is `weights_gb` in GiB: a GB is 10⁹ bytes."),
        (34e9 * (4 + 32 / 128) / 8 / 1e9, "The scales are counted with 32 bits: a float16 has 16."),
        (WEIGHTS * 1e9, "That is `weights_gb` in bytes: divide by 10⁹."),
    ],
)

KV_BYTES = number(
    "kv_bytes_per_token",
    KV_PER_TOKEN,
    [
        (8 * KV_PER_TOKEN, "The 64 query heads are counted: K and V have the 8 KV heads."),
        (KV_PER_TOKEN / 2, "Half of what is expected: are both K and V counted, and 2 bytes a number?"),
        (KV_PER_TOKEN / 48, "That is one layer: there are 48."),
        (KV_PER_TOKEN / 4, "Neither V nor the 2 bytes of a number are counted."),
        (2 * KV_PER_TOKEN, "Twice too much: bfloat16 has 2 bytes a number."),
        (KV_PER_TOKEN / 1_024, "That is in KiB: `kv_bytes_per_token` is in bytes."),
        (KV_PER_TOKEN * CONTEXT, "That is a whole request's: `kv_bytes_per_token` is one token's."),
    ],
    exact=True,
)

REQUESTS = number(
    "requests_that_fit",
    BLOCKS // BLOCKS_A_REQUEST,
    [
        (
            FREE // (CONTEXT * KV_PER_TOKEN),
            "One too many: each request takes whole blocks, and its last one is partly empty.",
        ),
        (BLOCKS / BLOCKS_A_REQUEST, "`requests_that_fit` is a whole number: round down."),
        (
            0.9 * 48e9 // (BLOCKS_A_REQUEST * 16 * KV_PER_TOKEN),
            "The weights are forgotten: the cache gets what they leave.",
        ),
        (
            (48e9 - WEIGHTS * 1e9) // (BLOCKS_A_REQUEST * 16 * KV_PER_TOKEN),
            "All 48 GB are planned with: 0.9 of them can be used.",
        ),
        (
            0.9 * (48e9 - WEIGHTS * 1e9) // (BLOCKS_A_REQUEST * 16 * KV_PER_TOKEN),
            "The share of 0.9 is of the whole memory, not of what the weights leave.",
        ),
        (BLOCKS, "That is the number of blocks: a request takes 124 of them."),
        (
            FREE // (1_650 * KV_PER_TOKEN),
            "Only the prompt is counted: the reply's tokens are in the cache too.",
        ),
    ],
    exact=True,
)

STEP_MS = number(
    "step_ms",
    1e3 * STEP_S,
    [
        (1e3 * 17.5e9 / 864e9, "The keys and values are missing: each step reads those of all 40 requests."),
        (1e3 * 40 * 1_800 * KV_PER_TOKEN / 864e9, "The weights are missing: each step reads all of them."),
        (STEP_S, "That is in seconds: `step_ms` is in milliseconds."),
        (
            1e3 * (17.5e9 + 1_800 * KV_PER_TOKEN) / 864e9,
            "One request's keys and values: there are 40 requests.",
        ),
        (
            1e3 * 40 * (17.5e9 + 1_800 * KV_PER_TOKEN) / 864e9,
            "The weights are read 40 times: one step reads them once for all.",
        ),
        (1e3 * STEP_S / 40, "Divided by the batch: a step makes 40 tokens, and takes its whole time for it."),
        (1e3 / STEP_S / 1e3, "That is steps a second: `step_ms` is the time of one."),
    ],
)

TOKENS_PER_S = number(
    "tokens_per_s",
    RATE,
    [
        (1 / STEP_S, "That is one request's rate: `tokens_per_s` is of all 40 together."),
        (RATE / 1e3, "A thousand times too small: the step's time is in milliseconds."),
        (40 * 1_800 / STEP_S, "The context is counted as output: a step makes one token for each request."),
        (40 / (17.5e9 / 864e9), "Computed from the weights alone: the step also reads keys and values."),
        (STEP_S / 40, "That is seconds a token, upside down."),
        (RATE * 3_600, "That is tokens an hour."),
        (40 * STEP_S, "Multiplied by the step's time: divide by it."),
    ],
)

USD_PER_MILLION = number(
    "price_usd_per_million_tokens",
    USD,
    [
        (USD / 1e6, "That is one token's price: 10⁶ tokens are asked for."),
        (3_600 * USD, "The price is by the hour and the rate by the second: divide by 3,600."),
        (40 * USD, "Computed with one request's rate: the GPU makes the tokens of all 40."),
        (1 / USD, "Upside down: that is millions of tokens for a dollar."),
        (USD / 1.2, "The price of 1.20 dollars an hour is missing."),
        (60 * USD, "Divided by 60 once: an hour has 3,600 seconds."),
        (1.2 * RATE / 1e6, "Multiplied by the rate: a faster GPU makes a token cheaper."),
    ],
)

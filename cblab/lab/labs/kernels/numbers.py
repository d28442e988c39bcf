"""Checks of the assessment, exercises 6.10 to 6.12: numbers, with a message for each foreseen wrong one."""

import math

from cblab.lab.labs.numbers import number

LAYERS, HEADS, KV_HEADS, DIM, SIZE = 32, 32, 8, 128, 2
REQUESTS, CONTEXT = 16, 8_192
BYTES_PER_S, FLOP_PER_S = 2.039e12, 312e12

KV_BYTES = 2 * LAYERS * KV_HEADS * DIM * SIZE * REQUESTS * CONTEXT
ATTENTION_S = KV_BYTES / BYTES_PER_S

KV_GB = number(
    "kv_gb",
    KV_BYTES / 1e9,
    [
        (KV_BYTES / 2**30, "That is in GiB: `kv_gb` is in GB, 10⁹ bytes."),
        (KV_BYTES / 2e9, "Half of what is expected for `kv_gb`: keys *and* values, and 2 bytes a number."),
        (KV_BYTES / LAYERS / 1e9, "That is one layer: `kv_gb` is of the whole step."),
        (KV_BYTES / REQUESTS / 1e9, "That is one request: `kv_gb` is of all 16."),
        (KV_BYTES * HEADS / KV_HEADS / 1e9, "The query heads were counted: the 8 KV heads are stored."),
        (KV_BYTES, "That is in bytes: `kv_gb` is in GB."),
        (2 * KV_BYTES / 1e9, "Twice too much for `kv_gb`: a bfloat16 number has 2 bytes."),
    ],
)

ATTENTION_MS = number(
    "attention_ms",
    1e3 * ATTENTION_S,
    [
        (ATTENTION_S, "That is in seconds: `attention_ms` is in milliseconds."),
        (1e6 * ATTENTION_S, "That is in microseconds: `attention_ms` is in milliseconds."),
        (
            4e3 * LAYERS * HEADS * DIM * REQUESTS * CONTEXT / FLOP_PER_S,
            "That is the time of the arithmetic, which is the shorter one: the bytes decide.",
        ),
        (1e3 * ATTENTION_S / LAYERS, "That is one layer: `attention_ms` is of all 32."),
        (1e3 * BYTES_PER_S / KV_BYTES, "Upside down: the time is bytes divided by bytes a second."),
        (
            1e3 * KV_BYTES / 2**30 / 2039,
            "GiB were divided by GB/s: `attention_ms` needs one of the two units.",
        ),
    ],
)

GATHER_MS = number(
    "gather_ms",
    3e3 * ATTENTION_S,
    [
        (2e3 * ATTENTION_S, "Reading and writing the copy were counted: it is read again by the attention."),
        (1e3 * ATTENTION_S, "That is without the gather: `gather_ms` is with it."),
        (4e3 * ATTENTION_S, "Once too often: read the pool, write the copy, read the copy."),
        (3 * ATTENTION_S, "That is in seconds: `gather_ms` is in milliseconds."),
        (
            (2 + HEADS / KV_HEADS) * 1e3 * ATTENTION_S,
            "The copy was repeated for every query head: this gather copies the 8 KV heads.",
        ),
    ],
)

INTENSITY = HEADS / KV_HEADS * 4 / (2 * SIZE)
RIDGE = FLOP_PER_S / BYTES_PER_S
TOKENS = math.ceil(RIDGE / INTENSITY)

DECODE_INTENSITY = number(
    "decode_flop_per_byte",
    INTENSITY,
    [
        (
            INTENSITY / 2,
            "Half of what is expected: products with keys *and* with values, 2 FLOPs each number.",
        ),
        (INTENSITY * 2, "Twice too much: a bfloat16 number has 2 bytes, and there are keys *and* values."),
        (INTENSITY * KV_HEADS / HEADS, "The group is forgotten: 4 query heads use each key that is read."),
        (1 / INTENSITY, "Upside down: FLOPs divided by bytes."),
        (INTENSITY * KV_HEADS, "That is 32: the bytes of one KV head were set against the FLOPs of all."),
        (INTENSITY * DIM, "`head_dim` is in the FLOPs and in the bytes: it cancels out."),
    ],
)

RIDGE_INTENSITY = number(
    "ridge_flop_per_byte",
    RIDGE,
    [
        (1 / RIDGE, "Upside down: FLOP/s divided by bytes/s."),
        (RIDGE / 1e3, "A TFLOP was taken for a GFLOP: 312 TFLOP/s are 312,000 GFLOP/s."),
        (RIDGE * 1e3, "A TB was taken for a GB: 2,039 GB/s are 2.039 TB/s."),
        (RIDGE * SIZE, "The ridge is in FLOPs per *byte*: the size of a number does not come in."),
        (FLOP_PER_S / 1e12 * BYTES_PER_S / 1e12, "Multiplied instead of divided."),
    ],
)

TOKENS_TO_RIDGE = number(
    "tokens_to_ridge",
    TOKENS,
    [
        (math.ceil(RIDGE), "The group is forgotten: each token brings 4 query heads to a KV head."),
        (RIDGE / INTENSITY, "A part of a token cannot be computed: `tokens_to_ridge` is a whole number."),
        (math.floor(RIDGE / INTENSITY), "Rounded down: so many tokens do not reach the ridge."),
        (math.ceil(RIDGE * INTENSITY), "Multiplied by the group instead of divided."),
        (math.ceil(RIDGE / HEADS), "Divided by all query heads: those of one KV head share its keys."),
        (TOKENS + 1, "One more than is needed."),
    ],
    exact=True,
)

LONG, SPLIT = 100_000, 256
SPLITS = -(-LONG // SPLIT)
PARTIAL_BYTES = SPLITS * HEADS * (DIM + 2) * 4

WITHOUT_SPLITS = number(
    "programs_without_splits",
    KV_HEADS,
    [
        (HEADS, "A program serves all query heads of a KV head: count KV heads."),
        (1, "One request is not one program: each of its KV heads is one."),
        (108, "Those are the multiprocessors: `programs_without_splits` is how many have something to do."),
        (KV_HEADS * LAYERS, "The layers run one after the other: count one of them."),
        (LONG // SPLIT, "Those are full splits: here the context is not split."),
    ],
    exact=True,
)

WITH_SPLITS = number(
    "programs_with_splits",
    SPLITS * KV_HEADS,
    [
        (SPLITS, "Those are the splits of one KV head: there are 8 of them."),
        (SPLITS * HEADS, "A program serves all query heads of a KV head: count KV heads."),
        (LONG // SPLIT * KV_HEADS, "Rounded down: the last 160 tokens are a split too."),
        (LONG / SPLIT * KV_HEADS, "The last split is a program as well, though it is not full: round up."),
        (SPLITS * KV_HEADS * LAYERS, "The layers run one after the other: count one of them."),
        (LONG * KV_HEADS, "That is a program for each token: one has a split of 256."),
    ],
    exact=True,
)

PARTIAL_MB = number(
    "partial_mb",
    PARTIAL_BYTES / 1e6,
    [
        (SPLITS * HEADS * DIM * 4 / 1e6, "Each head's highest score and sum of weights are missing."),
        (SPLITS * KV_HEADS * (DIM + 2) * 4 / 1e6, "Every query head has partial results of its own."),
        (PARTIAL_BYTES / 2e6, "Partial results are float32 here: 4 bytes a number."),
        (PARTIAL_BYTES / 2**20, "That is in MiB: `partial_mb` is in MB, 10⁶ bytes."),
        (PARTIAL_BYTES, "That is in bytes: `partial_mb` is in MB."),
        (PARTIAL_BYTES / SPLITS / 1e6, "That is one split: all of them are written."),
        (SPLITS * HEADS * (DIM + 1) * 4 / 1e6, "A head has two numbers besides its values, not one."),
        (
            2 * LONG * KV_HEADS * DIM * SIZE / 1e6,
            "Those are the keys and values: the partial results are asked for.",
        ),
    ],
)

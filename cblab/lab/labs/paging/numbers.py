"""Checks of the assessment, exercises 4.9 to 4.11: numbers, with a message for each foreseen wrong one."""

from cblab.lab.labs.numbers import number

TOKEN_BYTES = 131_072
POOL_BYTES = 40 * 2**30
BLOCK = 16
MEAN_TOKENS = 900
CONTEXT = 131_072

NUM_BLOCKS = POOL_BYTES // (TOKEN_BYTES * BLOCK)
WASTE = (BLOCK - 1) / 2
WASTE_SHARE = WASTE / (MEAN_TOKENS + WASTE)
TABLE_BYTES = CONTEXT // BLOCK * 4

BLOCKS = number(
    "blocks_in_pool",
    NUM_BLOCKS,
    [
        (
            40e9 // (TOKEN_BYTES * BLOCK),
            "The pool was taken for 40 GB: `blocks_in_pool` is of 40 GiB, 2³⁰ bytes each.",
        ),
        (40e9 / (TOKEN_BYTES * BLOCK), "The pool was taken for 40 GB, and a part of a block counted."),
        (POOL_BYTES // TOKEN_BYTES, "That is how many *tokens* fit: `blocks_in_pool` is of 16 tokens each."),
        (
            2 * NUM_BLOCKS,
            "Twice too many for `blocks_in_pool`: the bytes given are for keys and values together.",
        ),
        (
            NUM_BLOCKS // 2,
            "Half of what is expected for `blocks_in_pool`: keys and values were counted twice.",
        ),
        (POOL_BYTES / TOKEN_BYTES * BLOCK, "Multiplied by 16 instead of divided: a block holds 16 tokens."),
        (NUM_BLOCKS * BLOCK * BLOCK, "That is far too many blocks: divide by the block size once."),
    ],
    exact=True,
)

SHARE = number(
    "mean_waste_share",
    WASTE_SHARE,
    [
        (
            WASTE / MEAN_TOKENS,
            "The waste was divided by the tokens: `mean_waste_share` is of all slots held.",
        ),
        (100 * WASTE_SHARE, "`mean_waste_share` is in percent: give a share from 0 to 1."),
        (
            8 / (MEAN_TOKENS + 8),
            "The mean waste was taken for 8 slots: 0, 1, …, 15 are equally likely, their mean is 7.5.",
        ),
        (
            8 / MEAN_TOKENS,
            "Two things: 0 to 15 have the mean 7.5, not 8, and the share is of all slots held.",
        ),
        (
            (BLOCK - 1) / (MEAN_TOKENS + BLOCK - 1),
            "That is the worst case: the last block of the mean request is half full.",
        ),
        (1 - WASTE_SHARE, "That is the share in use: `mean_waste_share` is the wasted one."),
        (WASTE, "That is a number of slots: `mean_waste_share` is their share."),
        (
            WASTE / BLOCK,
            "That is the share of the last block alone: `mean_waste_share` is of all slots held.",
        ),
    ],
)

TABLE = number(
    "table_bytes",
    TABLE_BYTES,
    [
        (CONTEXT // BLOCK, "That is the number of entries: each has 4 bytes in `table_bytes`."),
        (CONTEXT * 4, "That is an entry for each token: `table_bytes` has one for each block of 16."),
        (CONTEXT // BLOCK * 8, "Twice too much for `table_bytes`: an int32 has 4 bytes."),
        (CONTEXT // BLOCK * 4 / 1024, "That is `table_bytes` in KiB: it is asked for in bytes."),
        (CONTEXT // BLOCK * TOKEN_BYTES, "Those are keys and values: a table holds only block numbers."),
        (NUM_BLOCKS * 4, "That is an entry for every block of the pool: the request holds its own."),
        (CONTEXT // BLOCK * 32, "An int32 was counted as 32 bytes: it has 32 bits."),
    ],
    exact=True,
)

REQUESTS, SYSTEM, OWN = 64, 1_000, 500
PER_REQUEST = -(-(SYSTEM + OWN) // BLOCK)
SHARED = SYSTEM // BLOCK
WITHOUT = REQUESTS * PER_REQUEST
WITH = SHARED + REQUESTS * (PER_REQUEST - SHARED)
SAVED = (REQUESTS - 1) * SHARED * BLOCK

UNSHARED = number(
    "blocks_without_sharing",
    WITHOUT,
    [
        (REQUESTS * 1_500 / BLOCK, "`blocks_without_sharing` was not rounded up for each request."),
        (
            REQUESTS * ((SYSTEM + OWN) // BLOCK),
            "`blocks_without_sharing` was rounded down: 1,500 tokens do not fit into 93 blocks.",
        ),
        (PER_REQUEST, "That is one request: `blocks_without_sharing` is for all 64."),
        (
            REQUESTS * (-(-SYSTEM // BLOCK) + -(-OWN // BLOCK)),
            "Instruction and rest were rounded up on their own: a request's tokens lie end to end.",
        ),
        (REQUESTS * -(-1_200 // BLOCK), "The answer's 300 tokens are missing in `blocks_without_sharing`."),
        (REQUESTS * 1_500, "Those are slots: `blocks_without_sharing` is in blocks of 16."),
        (WITH, "That is the number *with* sharing: here every request has its own copy."),
    ],
    exact=True,
)

SHARING = number(
    "blocks_with_sharing",
    WITH,
    [
        (
            SHARED + 1 + REQUESTS * (PER_REQUEST - SHARED - 1),
            "The instruction's partly filled 63rd block was shared: only full blocks are.",
        ),
        (
            SHARED + 1 + REQUESTS * -(-OWN // BLOCK),
            "The instruction was rounded up and shared to its end: its last 8 tokens fill no block.",
        ),
        (
            REQUESTS * (PER_REQUEST - SHARED),
            "The shared blocks themselves are missing in `blocks_with_sharing`: they are there once.",
        ),
        (
            SHARED + (REQUESTS - 1) * (PER_REQUEST - SHARED),
            "One request is missing: the first one has blocks of its own too.",
        ),
        (WITHOUT - WITH, "That is what is saved: `blocks_with_sharing` is what is needed."),
    ],
    exact=True,
)

PREFILL = number(
    "prefill_tokens_saved",
    SAVED,
    [
        (REQUESTS * SHARED * BLOCK, "The first request finds nothing: somebody has to compute the prefix."),
        (
            (REQUESTS - 1) * SYSTEM,
            "The last 8 tokens of the instruction fill no block, and are computed each time.",
        ),
        (
            REQUESTS * SYSTEM,
            "Two things: the first request finds nothing, and only full blocks are found.",
        ),
        ((REQUESTS - 1) * SHARED, "Those are blocks: `prefill_tokens_saved` is in tokens."),
        (SHARED * BLOCK, "That is what one request saves: `prefill_tokens_saved` is over all 64."),
        (
            (REQUESTS - 1) * (SHARED * BLOCK - 1),
            "One token must be left to compute, but these prompts have 208 of their own.",
        ),
        (
            (WITHOUT - WITH) * BLOCK + BLOCK,
            "That is off by one block: count requests, not blocks, that save.",
        ),
    ],
    exact=True,
)

SLOTS, RESERVED, ACTUAL, MOVED = 327_680, 4_096, 700, 60
BANDWIDTH = 1.5e12
COPIED = MOVED * ACTUAL * TOKEN_BYTES

CONTIGUOUS = number(
    "contiguous_requests",
    SLOTS // RESERVED,
    [
        (SLOTS // ACTUAL, "A contiguous cache reserves what a request *may* need, not what it will."),
        (
            SLOTS // (RESERVED + ACTUAL),
            "4,096 is the limit for prompt and answer together: nothing is added.",
        ),
        (SLOTS / RESERVED * BLOCK, "327,680 slots hold a token each: the block size does not come in."),
        (SLOTS // RESERVED - 1, "One too few in `contiguous_requests`: it goes in without a rest."),
        (SLOTS // BLOCK // RESERVED, "Blocks were divided by tokens: 327,680 slots hold a token each."),
        (SLOTS // (RESERVED // 2), "Nobody may reserve the half: the limit is 4,096 tokens."),
        (SLOTS // RESERVED + 1, "One too many in `contiguous_requests`: round down."),
    ],
    exact=True,
)

_PER_PAGED = -(-ACTUAL // BLOCK)
PAGED = number(
    "paged_requests",
    SLOTS // BLOCK // _PER_PAGED,
    [
        (SLOTS // ACTUAL, "The last block's rest is forgotten: 700 tokens need 44 whole blocks."),
        (SLOTS / BLOCK / _PER_PAGED, "`paged_requests` is a whole number: round down."),
        (
            SLOTS // BLOCK // (ACTUAL // BLOCK),
            "The blocks of a request were rounded down: 43 hold 688 tokens.",
        ),
        (SLOTS // BLOCK // (_PER_PAGED + 1), "One block too many for each request: 44 are enough."),
        (SLOTS // RESERVED, "That is the contiguous number: blocks are taken as the tokens come."),
        (SLOTS // BLOCK // _PER_PAGED + 1, "One too many in `paged_requests`: round down."),
        (SLOTS // _PER_PAGED, "Slots were divided by blocks: divide blocks by blocks."),
    ],
    exact=True,
)

COMPACTION = number(
    "compaction_ms",
    2 * COPIED / BANDWIDTH * 1e3,
    [
        (COPIED / BANDWIDTH * 1e3, "Each byte is read *and* written: twice the traffic in `compaction_ms`."),
        (2 * COPIED / BANDWIDTH, "That is in seconds: `compaction_ms` is in milliseconds."),
        (COPIED / BANDWIDTH, "That is in seconds, and each byte is read and written."),
        (
            2 * MOVED * RESERVED * TOKEN_BYTES / BANDWIDTH * 1e3,
            "The reserved slots were copied: only 700 of them hold a token.",
        ),
        (
            4 * COPIED / BANDWIDTH * 1e3,
            "Twice too much for `compaction_ms`: 131,072 bytes are keys and values together.",
        ),
        (2 * COPIED / BANDWIDTH * 1e6, "That is in microseconds: `compaction_ms` is in milliseconds."),
        (2 * COPIED / (1.5 * 2**40) * 1e3, "1,500 GB/s were taken for GiB: a GB is 10⁹ bytes."),
        (2 * ACTUAL * TOKEN_BYTES / BANDWIDTH * 1e3, "That is one request: 60 of them move."),
    ],
)

"""Checks of the assessment, exercises 1.10 to 1.12: numbers, with a message for each foreseen wrong one."""

import math

from cblab.lab.labs.numbers import number

BUDGET = 65_536
ENGLISH_TOKENS = 550 * 1.3 + 1
HINDI_TOKENS = 600 * 4.2 + 1

OLD_VOCAB, NEW_VOCAB, HIDDEN = 32_000, 128_256, 4_096
OLD_TABLE, NEW_TABLE = OLD_VOCAB * HIDDEN * 2, NEW_VOCAB * HIDDEN * 2

LENGTHS = (12, 75, 410, 1_030)
ONE_BATCH_SLOTS, TWO_BATCHES_SLOTS = 4 * 1_030, 2 * 75 + 2 * 1_030
ONE_WASTE = 1 - sum(LENGTHS) / ONE_BATCH_SLOTS
TWO_WASTE = 1 - sum(LENGTHS) / TWO_BATCHES_SLOTS
SHORT_WASTE, LONG_WASTE = 1 - (12 + 75) / 150, 1 - (410 + 1_030) / 2_060


ENGLISH = number(
    "english_prompts_per_batch",
    BUDGET // ENGLISH_TOKENS,
    [
        (
            BUDGET / ENGLISH_TOKENS,
            "Half a prompt cannot be served: `english_prompts_per_batch` is a whole number.",
        ),
        (
            math.ceil(BUDGET / ENGLISH_TOKENS),
            "Rounded up: so many English prompts need more than 65,536 tokens. Round down.",
        ),
        (BUDGET // 551, "An English word was counted as one token: it is 1.3 tokens."),
        (
            BUDGET // (550 / 1.3 + 1),
            "The English words were divided by 1.3: 1.3 tokens a word means more tokens than words.",
        ),
        (
            10 * BUDGET // ENGLISH_TOKENS,
            "That is the number of English prompts in ten times the budget: check the zeros of 65,536.",
        ),
        (ENGLISH_TOKENS, "That is the number of tokens of an English prompt: divide the budget by it."),
        (BUDGET // HINDI_TOKENS, "That is what fits in Hindi: `english_prompts_per_batch` is for English."),
    ],
    exact=True,
)

HINDI = number(
    "hindi_prompts_per_batch",
    BUDGET // HINDI_TOKENS,
    [
        (
            BUDGET // HINDI_TOKENS + 1,
            "One Hindi prompt too many: is bos counted, and is the result rounded down?",
        ),
        (BUDGET / HINDI_TOKENS, "`hindi_prompts_per_batch` is a whole number: round down."),
        (BUDGET // 601, "A Hindi word was counted as one token: it is 4.2 tokens."),
        (BUDGET // (600 / 4.2 + 1), "The Hindi words were divided by 4.2: multiply."),
        (BUDGET // (600 * 1.3 + 1), "Hindi was computed with the English 1.3 tokens a word: it has 4.2."),
        (BUDGET // (550 * 4.2 + 1), "Hindi was computed with the English 550 words: it has 600."),
        (HINDI_TOKENS, "That is the number of tokens of a Hindi prompt: divide the budget by it."),
    ],
    exact=True,
)

RATIO = number(
    "hindi_cost_ratio",
    HINDI_TOKENS / ENGLISH_TOKENS,
    [
        (ENGLISH_TOKENS / HINDI_TOKENS, "The ratio is upside down: Hindi over English is above 1."),
        (4.2 / 1.3, "That is the ratio of tokens a word: the Hindi prompt also has more words."),
        (600 / 550, "That is the ratio of words: multiply each by its tokens a word."),
        (
            HINDI_TOKENS / ENGLISH_TOKENS - 1,
            "That is how much *more* Hindi costs (the ratio less 1): the ratio itself is asked for.",
        ),
        (
            100 * HINDI_TOKENS / ENGLISH_TOKENS,
            "The ratio is given in percent: as a plain ratio it is a number of about 1 to 10.",
        ),
        (
            (BUDGET // ENGLISH_TOKENS) / (BUDGET // HINDI_TOKENS),
            "That is the ratio of the rounded prompts per batch: divide tokens by tokens.",
        ),
        (HINDI_TOKENS - ENGLISH_TOKENS, "That is the difference in tokens: divide instead."),
    ],
)

OLD_GB = number(
    "old_table_gb",
    OLD_TABLE / 1e9,
    [
        (OLD_TABLE / 2**30, "That is `old_table_gb` in GiB: a GB is 10⁹ bytes."),
        (
            2 * OLD_TABLE / 1e9,
            "Twice too much for `old_table_gb`: bfloat16 has 2 bytes a number, and one table is asked for.",
        ),
        (OLD_TABLE / 2e9, "Half of what is expected for `old_table_gb`: a bfloat16 number has 2 bytes."),
        (OLD_TABLE / 1e6, "That is `old_table_gb` in MB: divide by 10⁹."),
        (OLD_TABLE, "That is `old_table_gb` in bytes: divide by 10⁹."),
        (
            NEW_TABLE / 1e9,
            "`old_table_gb` is computed with the new vocabulary: the old one has 32,000 tokens.",
        ),
        (8 * OLD_TABLE / 1e9, "That is `old_table_gb` in gigabits: a byte has 8 bits."),
    ],
)

NEW_GIB = number(
    "new_table_gib",
    NEW_TABLE / 2**30,
    [
        (NEW_TABLE / 1e9, "That is `new_table_gib` in GB: a GiB is 2³⁰ bytes."),
        (
            2 * NEW_TABLE / 2**30,
            "Twice too much for `new_table_gib`: bfloat16 has 2 bytes a number, and one table is asked for.",
        ),
        (NEW_TABLE / 2**31, "Half of what is expected for `new_table_gib`: a bfloat16 number has 2 bytes."),
        (NEW_TABLE / 2**20, "That is `new_table_gib` in MiB: divide by 2³⁰."),
        (NEW_TABLE, "That is `new_table_gib` in bytes: divide by 2³⁰."),
        (
            OLD_TABLE / 2**30,
            "`new_table_gib` is computed with the old vocabulary: the new one has 128,256 tokens.",
        ),
        (
            (NEW_TABLE - OLD_TABLE) / 2**30,
            "That is only what a table grows by: `new_table_gib` is the whole new table.",
        ),
    ],
)

EXTRA_GB = number(
    "extra_gb",
    2 * (NEW_TABLE - OLD_TABLE) / 1e9,
    [
        (
            (NEW_TABLE - OLD_TABLE) / 1e9,
            "Only one table grows in `extra_gb`: the output head is untied and grows as well.",
        ),
        (2 * (NEW_TABLE - OLD_TABLE) / 2**30, "That is `extra_gb` in GiB: a GB is 10⁹ bytes."),
        (
            2 * NEW_TABLE / 1e9,
            "That is the size of both new tables: `extra_gb` is the growth, so take the old ones off.",
        ),
        (2 * (NEW_TABLE + OLD_TABLE) / 1e9, "That is new plus old: `extra_gb` is the difference."),
        (
            4 * (NEW_TABLE - OLD_TABLE) / 1e9,
            "Twice too much for `extra_gb`: bfloat16 has 2 bytes a number, float32 has 4.",
        ),
        (2 * (NEW_TABLE - OLD_TABLE), "That is `extra_gb` in bytes: divide by 10⁹."),
        (-2 * (NEW_TABLE - OLD_TABLE) / 1e9, "`extra_gb` came out negative: new less old."),
        (NEW_VOCAB / OLD_VOCAB, "That is a ratio of the vocabularies: `extra_gb` is an amount of memory."),
    ],
)

WASTE_ONE = number(
    "waste_one_batch",
    ONE_WASTE,
    [
        (100 * ONE_WASTE, "`waste_one_batch` is in percent: give a share from 0 to 1."),
        (1 - ONE_WASTE, "That is the share of real tokens: `waste_one_batch` is the share of padding."),
        (
            ONE_BATCH_SLOTS / sum(LENGTHS) - 1,
            "Padding was divided by the real tokens: `waste_one_batch` is its share of all slots.",
        ),
        (ONE_BATCH_SLOTS - sum(LENGTHS), "That is a number of slots: `waste_one_batch` is a share."),
        (
            ONE_BATCH_SLOTS / sum(LENGTHS),
            "That is slots over real tokens: `waste_one_batch` is padding over slots.",
        ),
    ],
)

WASTE_TWO = number(
    "waste_two_batches",
    TWO_WASTE,
    [
        (
            (SHORT_WASTE + LONG_WASTE) / 2,
            "That is the mean of the two batches' waste, but they have different sizes: add the padding "
            "and the slots up first.",
        ),
        (
            SHORT_WASTE + LONG_WASTE,
            "The two batches' shares were added: shares of different totals cannot be added.",
        ),
        (SHORT_WASTE, "That is the waste of the short batch alone: `waste_two_batches` is over both."),
        (100 * TWO_WASTE, "`waste_two_batches` is in percent: give a share from 0 to 1."),
        (
            1 - TWO_WASTE,
            "That is the share of real tokens in the two batches: the share of padding is asked for.",
        ),
        (
            (TWO_BATCHES_SLOTS - sum(LENGTHS)) / ONE_BATCH_SLOTS,
            "The padding of two batches was divided by the slots of the one batch: divide by the slots of "
            "the two.",
        ),
        (
            TWO_BATCHES_SLOTS / sum(LENGTHS) - 1,
            "The padding of the two batches was divided by the real tokens: divide by all slots.",
        ),
    ],
)

SLOTS_SAVED = number(
    "slots_saved",
    ONE_BATCH_SLOTS - TWO_BATCHES_SLOTS,
    [
        (TWO_BATCHES_SLOTS - ONE_BATCH_SLOTS, "`slots_saved` came out negative: one batch less two batches."),
        (
            TWO_BATCHES_SLOTS,
            "That is what the two batches need: `slots_saved` is the difference to one batch.",
        ),
        (
            TWO_BATCHES_SLOTS - sum(LENGTHS),
            "That is the padding that is left in the two batches: `slots_saved` is what has gone.",
        ),
        (1 - TWO_BATCHES_SLOTS / ONE_BATCH_SLOTS, "That is a share: `slots_saved` is a number of slots."),
        (
            ONE_BATCH_SLOTS - sum(LENGTHS),
            "That is all the padding of the one batch: some of it is left in the two batches.",
        ),
        (
            ONE_BATCH_SLOTS - 150 - 1_030,
            "Only the short batch's rows were counted again: the long batch still has two rows.",
        ),
    ],
    exact=True,
)

"""Wrong answers to 1.10 to 1.12: the numbers of the assessment."""

from tests.labs.edit import Mutant, solution


def _number(exercise_id: str, name: str, expression: str) -> tuple[str, ...]:
    """The solution with one variable overwritten afterwards."""
    return (f"{solution(exercise_id)[0]}\n{name} = {expression}",)


def _numbers(exercise_id: str, rows: list[tuple[str, str, str]]) -> list[Mutant]:
    return [
        (f"{name} = {expression}", _number(exercise_id, name, expression), fragment)
        for name, expression, fragment in rows
    ]


CAPACITY = _numbers(
    "1.10",
    [
        ("english_prompts_per_batch", "65_536 / 716", "Half a prompt cannot be served"),
        ("english_prompts_per_batch", "round(65_536 / 716)", "Rounded up"),
        ("english_prompts_per_batch", "65_536 // 551", "An English word was counted as one token"),
        ("english_prompts_per_batch", "int(65_536 // (550 / 1.3 + 1))", "were divided by 1.3"),
        ("hindi_prompts_per_batch", "65_536 // 2_520", "One Hindi prompt too many"),
        ("hindi_prompts_per_batch", "65_536 / 2_521", "`hindi_prompts_per_batch` is a whole number"),
        ("hindi_prompts_per_batch", "65_536 // 601", "A Hindi word was counted as one token"),
        ("hindi_prompts_per_batch", "65_536 // 781", "with the English 1.3"),
        ("hindi_cost_ratio", "716 / 2_521", "upside down"),
        ("hindi_cost_ratio", "4.2 / 1.3", "ratio of tokens a word"),
        ("hindi_cost_ratio", "2_521 / 716 - 1", "how much *more*"),
        ("hindi_cost_ratio", "91 / 25", "rounded prompts per batch"),
    ],
)

MEMORY = _numbers(
    "1.11",
    [
        ("old_table_gb", "32_000 * 4_096 * 2 / 2**30", "That is `old_table_gb` in GiB"),
        ("old_table_gb", "32_000 * 4_096 * 4 / 1e9", "Twice too much for `old_table_gb`"),
        ("old_table_gb", "32_000 * 4_096 / 1e9", "Half of what is expected for `old_table_gb`"),
        ("old_table_gb", "32_000 * 4_096 * 2 / 1e6", "`old_table_gb` in MB"),
        ("new_table_gib", "128_256 * 4_096 * 2 / 1e9", "That is `new_table_gib` in GB"),
        ("new_table_gib", "128_256 * 4_096 * 2", "That is `new_table_gib` in bytes"),
        ("extra_gb", "2 * (128_256 - 32_000) * 4_096 * 2", "That is `extra_gb` in bytes"),
        ("new_table_gib", "128_256 * 4_096 / 2**30", "Half of what is expected for `new_table_gib`"),
        ("new_table_gib", "32_000 * 4_096 * 2 / 2**30", "computed with the old vocabulary"),
        ("extra_gb", "(128_256 - 32_000) * 4_096 * 2 / 1e9", "Only one table grows"),
        ("extra_gb", "2 * (128_256 - 32_000) * 4_096 * 2 / 2**30", "That is `extra_gb` in GiB"),
        ("extra_gb", "2 * 128_256 * 4_096 * 2 / 1e9", "the size of both new tables"),
    ],
)

PADDING = _numbers(
    "1.12",
    [
        ("waste_one_batch", "100 * (1 - 1_527 / 4_120)", "`waste_one_batch` is in percent"),
        ("waste_one_batch", "1_527 / 4_120", "`waste_one_batch` is the share of padding"),
        ("waste_one_batch", "(4_120 - 1_527) / 1_527", "Padding was divided by the real tokens"),
        ("waste_one_batch", "4_120 - 1_527", "That is a number of slots"),
        (
            "waste_two_batches",
            "((1 - 87 / 150) + (1 - 1_440 / 2_060)) / 2",
            "the mean of the two batches' waste",
        ),
        ("waste_two_batches", "(1 - 87 / 150) + (1 - 1_440 / 2_060)", "shares were added"),
        ("waste_two_batches", "1 - 87 / 150", "the short batch alone"),
        ("waste_two_batches", "(2_210 - 1_527) / 4_120", "divided by the slots of the one batch"),
        ("slots_saved", "2_210 - 4_120", "came out negative"),
        ("slots_saved", "2_210", "what the two batches need"),
        ("slots_saved", "2_210 - 1_527", "left in the two batches: `slots_saved`"),
    ],
)

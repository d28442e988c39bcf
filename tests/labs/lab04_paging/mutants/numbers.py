"""Wrong answers to 4.9 to 4.11: the numbers of the assessment."""

from tests.labs.edit import Mutant, solution


def _numbers(exercise_id: str, rows: list[tuple[str, str, str]]) -> list[Mutant]:
    """The solution with one variable overwritten afterwards."""
    return [
        (f"{name} = {expression}", (f"{solution(exercise_id)[0]}\n{name} = {expression}",), fragment)
        for name, expression, fragment in rows
    ]


BLOCKS = _numbers(
    "4.9",
    [
        ("blocks_in_pool", "40_000_000_000 // (131_072 * 16)", "taken for 40 GB: `blocks_in_pool`"),
        ("blocks_in_pool", "40 * 2**30 // 131_072", "how many *tokens* fit"),
        ("blocks_in_pool", "40 * 2**30 // (131_072 * 16 * 2)", "counted twice"),
        ("blocks_in_pool", "2 * 40 * 2**30 // (131_072 * 16)", "Twice too many for `blocks_in_pool`"),
        ("mean_waste_share", "7.5 / 900", "was divided by the tokens"),
        ("mean_waste_share", "750 / 907.5", "in percent"),
        ("mean_waste_share", "8 / 908", "for 8 slots"),
        ("mean_waste_share", "15 / 915", "the worst case"),
        ("mean_waste_share", "7.5", "That is a number of slots"),
        ("table_bytes", "131_072 // 16", "the number of entries"),
        ("table_bytes", "131_072 * 4", "an entry for each token"),
        ("table_bytes", "131_072 // 16 * 8", "Twice too much for `table_bytes`"),
        ("table_bytes", "32", "in KiB"),
    ],
)

SHARED = _numbers(
    "4.10",
    [
        ("blocks_without_sharing", "64 * 1_500 // 16", "was not rounded up"),
        ("blocks_without_sharing", "64 * 93", "was rounded down"),
        ("blocks_without_sharing", "94", "That is one request"),
        ("blocks_without_sharing", "64 * (63 + 32)", "rounded up on their own"),
        ("blocks_with_sharing", "63 + 64 * 31", "partly filled 63rd block"),
        ("blocks_with_sharing", "62 + 64 * 32 - 62", "The shared blocks themselves are missing"),
        ("blocks_with_sharing", "62 + 63 * 32", "One request is missing"),
        ("blocks_with_sharing", "6_016 - 2_110", "That is what is saved"),
        ("prefill_tokens_saved", "64 * 62 * 16", "The first request finds nothing: somebody"),
        ("prefill_tokens_saved", "63 * 1_000", "The last 8 tokens"),
        ("prefill_tokens_saved", "64 * 1_000", "Two things: the first request"),
        ("prefill_tokens_saved", "63 * 62", "Those are blocks"),
    ],
)

PAGES = _numbers(
    "4.11",
    [
        ("contiguous_requests", "327_680 // 700", "reserves what a request *may* need"),
        ("contiguous_requests", "327_680 // 4_796", "nothing is added"),
        ("contiguous_requests", "79", "One too few in `contiguous_requests`"),
        ("contiguous_requests", "81", "One too many in `contiguous_requests`"),
        ("paged_requests", "327_680 // 700", "The last block's rest is forgotten"),
        ("paged_requests", "20_480 / 44", "`paged_requests` is a whole number"),
        ("paged_requests", "20_480 // 43", "were rounded down: 43 hold 688"),
        ("paged_requests", "20_480 // 45", "One block too many for each request"),
        ("compaction_ms", "60 * 700 * 131_072 / 1.5e9", "read *and* written"),
        ("compaction_ms", "2 * 60 * 700 * 131_072 / 1.5e12", "That is in seconds: `compaction_ms`"),
        ("compaction_ms", "2 * 60 * 4_096 * 131_072 / 1.5e9", "The reserved slots were copied"),
        ("compaction_ms", "2 * 700 * 131_072 / 1.5e9", "That is one request"),
    ],
)

"""Wrong answers to 3.10 to 3.12: the numbers of the assessment."""

from tests.labs.edit import Mutant, solution


def _numbers(exercise_id: str, rows: list[tuple[str, str, str]]) -> list[Mutant]:
    """The solution with one variable overwritten afterwards."""
    return [
        (f"{name} = {expression}", (f"{solution(exercise_id)[0]}\n{name} = {expression}",), fragment)
        for name, expression, fragment in rows
    ]


WORK = _numbers(
    "3.10",
    [
        ("token_forwards_recomputed", "100 * 120", "as if it had the final length"),
        ("token_forwards_recomputed", "sum(range(21, 121))", "Each pass is one token too long"),
        ("token_forwards_recomputed", "sum(range(100))", "The prompt is missing: every pass"),
        ("token_forwards_recomputed", "5_050", "That is 1 + 2 + … + 100"),
        ("token_forwards_recomputed", "2_000", "with the prompt only"),
        ("token_forwards_recomputed", "119", "runs the whole sequence in each pass"),
        ("token_forwards_recomputed", "100", "That is the number of passes: each pass"),
        ("token_forwards_recomputed", "sum(range(20, 121))", "One pass too many"),
        ("token_forwards_cached", "120", "The last new token does not go through"),
        ("token_forwards_cached", "100", "the first of them brings the 20 tokens"),
        ("token_forwards_cached", "99", "The prompt is missing from `token_forwards_cached`"),
        ("token_forwards_cached", "6_950", "That is by recomputation: with a cache each token"),
        ("pairs_cached", "119 * 119", "Each query is counted with all keys"),
        ("pairs_cached", "120 * 121 // 2", "The last new token asks nothing"),
        ("pairs_cached", "119 * 118 // 2", "A query sees its own key too"),
        ("pairs_cached", "119", "one pair for each token"),
        ("pairs_cached", "100", "one pair for each pass"),
        ("pairs_cached", "119 * 120 // 2 - 210", "The pairs of the prompt are missing"),
        ("pairs_cached", "119 * 120", "a query sees no later keys"),
        (
            "pairs_cached",
            "sum(n * (n + 1) // 2 for n in range(20, 120))",
            "with a cache each query asks once",
        ),
    ],
)

BYTES = _numbers(
    "3.11",
    [
        ("kv_bytes_per_token", "32 * 8 * 128 * 2", "Exactly half of `kv_bytes_per_token`"),
        ("kv_bytes_per_token", "2 * 32 * 32 * 128 * 2", "Counted with 32 query heads"),
        ("kv_bytes_per_token", "2 * 8 * 128 * 2", "That is one layer's"),
        ("kv_bytes_per_token", "2 * 32 * 8 * 128 * 4", "Twice `kv_bytes_per_token`"),
        ("kv_bytes_per_token", "128", "in KiB"),
        ("kv_bytes_per_token", "2 * 32 * 128 * 2", "That is one KV head's"),
        ("kv_bytes_per_token", "2 * 32 * 8 * 2", "head_dim is missing"),
        ("kv_total_gb", "131_072 * 144_000 / 2**30", "That is `kv_total_gb` in GiB"),
        ("kv_total_gb", "131_072 * 6_000 / 1e9", "That is the cache of one sequence"),
        ("kv_total_gb", "524_288 * 144_000 / 1e9", "`kv_total_gb` is computed with 32 query heads"),
        ("kv_total_gb", "65_536 * 144_000 / 1e9", "Half of `kv_total_gb`"),
        ("kv_total_gb", "131_072 * 144_000 / 1e6", "`kv_total_gb` in MB"),
        ("kv_total_gb", "131_072 * 144_000 / 1e9 + 16.06", "The weights are in it"),
        ("step_ms", "kv_total_gb / 3.35", "the time for the cache alone"),
        ("step_ms", "16.06 / 3.35", "the time for the weights alone"),
        ("step_ms", "(16.06 + kv_total_gb) / 3_350", "`step_ms` in seconds"),
        ("step_ms", "(24 * 16.06 + kv_total_gb) / 3.35", "The weights are read once for all 24"),
        ("step_ms", "(16.06 + kv_total_gb) / 3.35 / 24", "shared among the sequences"),
        ("step_ms", "(16.06 + kv_total_gb / 24) / 3.35", "The cache of one sequence is counted"),
        ("tokens_per_second", "1e3 / step_ms", "That is one sequence's rate"),
        ("tokens_per_second", "24 * 3_350 / kv_total_gb", "The weights are missing from the time"),
        ("tokens_per_second", "24 * 3_350 / 16.06", "The cache is missing from the time"),
        ("tokens_per_second", "24 / step_ms", "per millisecond"),
    ],
)

SLOTS = _numbers(
    "3.12",
    [
        ("rows_preallocated", "3 * 10**9 // (2_048 * 131_072)", "Computed with GB"),
        ("rows_preallocated", "slots", "That is the number of slots: a row"),
        ("rows_preallocated", "24", "Twice too many rows"),
        ("rows_preallocated", "58", "Those are rows of 420 slots"),
        ("rows_preallocated", "3 * 2**30 // 2_048", "leaves out the bytes of a token"),
        ("utilisation_at_end", "100 * 420 / 2_048", "`utilisation_at_end` is in percent"),
        ("utilisation_at_end", "1 - 420 / 2_048", "That is the share of empty slots"),
        ("utilisation_at_end", "2_048 / 420", "upside down"),
        ("utilisation_at_end", "420 / slots", "one sequence in the whole memory"),
        ("utilisation_at_end", "210 / 2_048", "the mean over a request's life"),
        ("requests_if_exact", "slots / 420", "Half a request cannot be served"),
        ("requests_if_exact", "59", "so many requests of 420 tokens need more"),
        ("requests_if_exact", "3 * 10**9 // 131_072 // 420", "`requests_if_exact` is computed with GB"),
        ("requests_if_exact", "12", "with 2,048 slots a request"),
        ("requests_if_exact", "46", "That is how many more"),
    ],
)

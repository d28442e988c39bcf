"""Wrong answers to 6.10 to 6.12: the numbers of the assessment."""

from tests.labs.edit import Mutant, solution


def _numbers(exercise_id: str, rows: list[tuple[str, str, str]]) -> list[Mutant]:
    """The solution with one variable overwritten afterwards."""
    return [
        (f"{name} = {expression}", (f"{solution(exercise_id)[0]}\n{name} = {expression}",), fragment)
        for name, expression, fragment in rows
    ]


STEP = _numbers(
    "6.10",
    [
        ("kv_gb", "step_bytes / 2**30", "That is in GiB"),
        ("kv_gb", "step_bytes / 2e9", "Half of what is expected for `kv_gb`"),
        ("kv_gb", "step_bytes / 32 / 1e9", "That is one layer: `kv_gb`"),
        ("kv_gb", "step_bytes / 16 / 1e9", "That is one request"),
        ("kv_gb", "step_bytes * 4 / 1e9", "The query heads were counted"),
        ("kv_gb", "step_bytes", "That is in bytes: `kv_gb`"),
        ("attention_ms", "step_bytes / 2.039e12", "in seconds: `attention_ms`"),
        ("attention_ms", "4 * 32 * 32 * 128 * 16 * 8_192 / 312e12 * 1e3", "the time of the arithmetic"),
        ("attention_ms", "2.039e12 / step_bytes * 1e3", "Upside down"),
        ("gather_ms", "2 * attention_ms", "it is read again by the attention"),
        ("gather_ms", "attention_ms", "without the gather"),
        ("gather_ms", "4 * attention_ms", "Once too often"),
    ],
)

INTENSITY = _numbers(
    "6.11",
    [
        ("decode_flop_per_byte", "2", "Half of what is expected"),
        ("decode_flop_per_byte", "8", "Twice too much"),
        ("decode_flop_per_byte", "1", "4 query heads use each key that is read"),
        ("decode_flop_per_byte", "512", "it cancels out"),
        ("ridge_flop_per_byte", "2.039 / 312", "Upside down: FLOP/s"),
        ("ridge_flop_per_byte", "312 / 2039", "A TFLOP was taken for a GFLOP"),
        ("ridge_flop_per_byte", "2 * 312 / 2.039", "The ridge is in FLOPs per *byte*"),
        ("tokens_to_ridge", "math.ceil(ridge_flop_per_byte)", "The group is forgotten: each token"),
        ("tokens_to_ridge", "math.floor(ridge_flop_per_byte / 4)", "Rounded down: so many tokens"),
        ("tokens_to_ridge", "math.ceil(ridge_flop_per_byte * 4)", "Multiplied by the group"),
        ("tokens_to_ridge", "math.ceil(ridge_flop_per_byte / 32)", "Divided by all query heads"),
    ],
)

LONG = _numbers(
    "6.12",
    [
        ("programs_without_splits", "32", "count KV heads."),
        ("programs_without_splits", "1", "One request is not one program"),
        ("programs_without_splits", "108", "Those are the multiprocessors"),
        ("programs_with_splits", "num_splits", "the splits of one KV head"),
        ("programs_with_splits", "100_000 // 256 * 8", "Rounded down: the last 160"),
        ("programs_with_splits", "num_splits * 8 * 32", "The layers run one after the other"),
        ("partial_mb", "num_splits * 32 * 128 * 4 / 1e6", "highest score and sum of weights are missing"),
        ("partial_mb", "num_splits * 8 * 130 * 4 / 1e6", "Every query head has partial results"),
        ("partial_mb", "num_splits * 32 * 130 * 2 / 1e6", "Partial results are float32"),
        ("partial_mb", "num_splits * 32 * 130 * 4 / 2**20", "in MiB"),
        ("partial_mb", "32 * 130 * 4 / 1e6", "That is one split"),
    ],
)

"""Wrong answers to 7.7: the numbers of the assessment."""

from tests.labs.edit import Mutant, solution


def _numbers(exercise_id: str, rows: list[tuple[str, str, str]]) -> list[Mutant]:
    """The solution with one variable overwritten afterwards."""
    return [
        (f"{name} = {expression}", (f"{solution(exercise_id)[0]}\n{name} = {expression}",), fragment)
        for name, expression, fragment in rows
    ]


SCENARIO = _numbers(
    "7.7",
    [
        ("step_ms", "12 / 4", "The whole step was divided by 4"),
        ("step_ms", "12 - 4", "The attention is gone from `step_ms`"),
        ("step_ms", "12 - 4 / 4", "A quarter of the attention's time was saved"),
        ("step_ms", "5 + 4 / 4", "is missing in `step_ms`"),
        ("step_ms", "0.009", "is in seconds"),
        ("speed_up_limit", "12 / 9", "asked for is that of *any* kernel"),
        ("speed_up_limit", "4", "the kernel's own speed-up"),
        ("speed_up_limit", "8 / 12", "The other way round"),
        ("speed_up_limit", "0.5", "how many *times* as fast"),
        ("prefill_tokens", "230 + 15 * 30", "only full blocks are found"),
        ("prefill_tokens", "16 * 230", "without a prefix cache"),
        ("prefill_tokens", "16 * 38", "Even the first request finds"),
        ("prefill_tokens", "230 + 15 * 22", "were rounded up"),
        ("prefill_tokens", "15 * 38", "The first request is missing"),
        ("prefill_tokens", "15 * 192", "tokens that are saved"),
        ("prefill_tokens", "230 + 16 * 38", "counts twice"),
    ],
)

"""Wrong answers to 5.9 to 5.11: settings that miss the target, and the numbers of the assessment."""

from tests.labs.edit import Mutant, solution


def _settings(budget: str, chunk: str, seats: str, says: str) -> Mutant:
    source = f"token_budget = {budget}\nchunk_size = {chunk}\nmax_num_seqs = {seats}"
    return f"{budget}, {chunk}, {seats}", (source,), says


TARGET: list[Mutant] = [
    _settings("192", "192", "2", "With 2 seats somebody waits for one"),
    _settings("192", "192", "4", "With 4 seats somebody waits for one"),
    _settings("192", "192", "9", "With 9 seats somebody waits for one"),
    _settings("32", "32", "16", "with a budget of 32 tokens"),
    _settings("128", "128", "16", "with a budget of 128 tokens"),
    _settings("512", "16", "16", "with chunks of 16 tokens"),
    _settings("512", "40", "16", "with chunks of 40 tokens"),
    _settings("256", "256", "16", "One step computes 256 tokens"),
    _settings("512", "512", "16", "One step computes"),
    _settings("1024", "600", "32", "all who decode wait for it"),
    _settings("8", "8", "16", "`max_num_seqs` (16) is larger than `token_budget` (8)"),
    _settings("256.0", "128", "16", "should be a whole number"),
    _settings("256", "0", "16", "choose from 1 to 4096"),
]


def _numbers(exercise_id: str, rows: list[tuple[str, str, str]]) -> list[Mutant]:
    """The solution with one variable overwritten afterwards."""
    return [
        (f"{name} = {expression}", (f"{solution(exercise_id)[0]}\n{name} = {expression}",), fragment)
        for name, expression, fragment in rows
    ]


PROMPT = _numbers(
    "5.10",
    [
        ("steps_to_first_token", "3_000 / 256", "the rest of the prompt takes a step"),
        ("steps_to_first_token", "3_000 // 256", "Rounded down"),
        ("steps_to_first_token", "6", "at most a *chunk* of 256"),
        ("steps_to_first_token", "7", "The decodes are taken off the budget"),
        ("steps_to_first_token", "14", "The decodes were taken off the chunk"),
        ("steps_to_first_token", "13", "One step too many"),
        ("chunk_step_ms", "6 + 0.05 * 256", "The 40 tokens of the decodes are missing in `chunk_step_ms`"),
        ("chunk_step_ms", "0.05 * 296", "The 6 ms of the step itself are missing in `chunk_step_ms`"),
        ("chunk_step_ms", "6 + 0.05 * 512", "The budget is not used up"),
        ("chunk_step_ms", "6 * 41 + 0.05 * 296", "once a step, not once a request"),
        ("whole_prompt_step_ms", "6 + 0.05 * 3_000", "missing in `whole_prompt_step_ms`"),
        ("whole_prompt_step_ms", "0.158", "in seconds"),
        ("whole_prompt_step_ms", "12 * 20.8", "all the chunks one after another"),
    ],
)

SECOND = _numbers(
    "5.11",
    [
        ("static_seat_use", "0.75", "the share of empty seats"),
        ("static_seat_use", "25.0", "in percent"),
        ("static_seat_use", "1 / 8", "the longest request alone"),
        ("static_seat_use", "2.0", "divide by all 8"),
        ("tokens_computed_again", "850", "had not been computed yet: it is not"),
        ("tokens_computed_again", "700", "The output is computed again too: its"),
        ("tokens_computed_again", "150", "The prompt is computed again too: its"),
        ("steps_until_the_next_token", "850 / 256", "is a whole number"),
        ("steps_until_the_next_token", "3", "Rounded down"),
        ("steps_until_the_next_token", "2", "The chunk, not the budget"),
        ("steps_until_the_next_token", "5", "One step too many"),
    ],
)

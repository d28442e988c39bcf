"""Checks of the assessment, exercises 5.10 and 5.11: numbers, with a message for each foreseen wrong one."""

import math

from cblab.lab.labs.numbers import number

DECODES, PROMPT, BUDGET, CHUNK = 40, 3_000, 512, 256
STEP_MS, TOKEN_MS = 6.0, 0.05

STEPS = math.ceil(PROMPT / CHUNK)
CHUNK_STEP = STEP_MS + TOKEN_MS * (DECODES + CHUNK)
WHOLE_STEP = STEP_MS + TOKEN_MS * (DECODES + PROMPT)

FIRST_TOKEN = number(
    "steps_to_first_token",
    STEPS,
    [
        (
            PROMPT / CHUNK,
            "`steps_to_first_token` is a whole number: the rest of the prompt takes a step too.",
        ),
        (PROMPT // CHUNK, "Rounded down: the last tokens of the prompt take a step too."),
        (math.ceil(PROMPT / BUDGET), "The prompt gets at most a *chunk* of 256 tokens in a step."),
        (
            math.ceil(PROMPT / (BUDGET - DECODES)),
            "The decodes are taken off the budget, but one request gets at most a chunk of 256.",
        ),
        (
            math.ceil(PROMPT / (CHUNK - DECODES)),
            "The decodes were taken off the chunk: they are paid from the budget, which has room for both.",
        ),
        (STEPS + 1, "One step too many: the last chunk's step samples the first token."),
        (1, "The whole prompt does not fit into one step: chunks have at most 256 tokens."),
        (PROMPT, "That is a token a step: a chunk has up to 256."),
    ],
    exact=True,
)

CHUNKED = number(
    "chunk_step_ms",
    CHUNK_STEP,
    [
        (STEP_MS + TOKEN_MS * CHUNK, "The 40 tokens of the decodes are missing in `chunk_step_ms`."),
        (TOKEN_MS * (DECODES + CHUNK), "The 6 ms of the step itself are missing in `chunk_step_ms`."),
        (
            STEP_MS + TOKEN_MS * BUDGET,
            "The budget is not used up: 40 decodes and a chunk of 256 are in the step.",
        ),
        (STEP_MS + TOKEN_MS * DECODES, "That is a step without the chunk."),
        (
            STEP_MS * (DECODES + 1) + TOKEN_MS * (DECODES + CHUNK),
            "The 6 ms are paid once a step, not once a request.",
        ),
        (CHUNK_STEP / 1_000, "`chunk_step_ms` is in seconds: it is asked for in ms."),
        (STEPS * CHUNK_STEP, "That is the whole prompt: `chunk_step_ms` is one step."),
        (
            STEP_MS + TOKEN_MS * (DECODES + BUDGET),
            "One request gets at most a chunk of 256 tokens, not the budget.",
        ),
    ],
)

WHOLE = number(
    "whole_prompt_step_ms",
    WHOLE_STEP,
    [
        (STEP_MS + TOKEN_MS * PROMPT, "The 40 tokens of the decodes are missing in `whole_prompt_step_ms`."),
        (TOKEN_MS * (DECODES + PROMPT), "The 6 ms of the step itself are missing in `whole_prompt_step_ms`."),
        (WHOLE_STEP / 1_000, "`whole_prompt_step_ms` is in seconds: it is asked for in ms."),
        (STEPS * CHUNK_STEP, "Those are all the chunks one after another: here the prompt goes in one step."),
        (CHUNK_STEP, "That is the step with a chunk: here the whole prompt goes in one."),
    ],
)

LENGTHS = (20, 30, 40, 50, 60, 80, 120, 400)
SEATS = len(LENGTHS)
USE = sum(LENGTHS) / (SEATS * max(LENGTHS))
KNOWN, COMPUTED = 700 + 150, 700 + 149
RETURN = math.ceil(KNOWN / CHUNK)

SEAT_USE = number(
    "static_seat_use",
    USE,
    [
        (1 - USE, "That is the share of empty seats: `static_seat_use` is the share in use."),
        (100 * USE, "`static_seat_use` is in percent: give a share from 0 to 1."),
        (1 / SEATS, "That is the longest request alone: the others sit there for a while too."),
        (sum(LENGTHS) / max(LENGTHS), "That is how many seats are in use on average: divide by all 8."),
        (
            sum(LENGTHS) / SEATS / sum(LENGTHS),
            "The batch lasts as long as its longest request, 400 steps.",
        ),
        (1.0, "The seats of those that are done stay empty until the longest is done."),
        (sum(LENGTHS[:-1]) / (SEATS * max(LENGTHS)), "The longest request is missing."),
        (sorted(LENGTHS)[SEATS // 2] / max(LENGTHS), "That goes by the median: add up all lengths."),
    ],
)

AGAIN = number(
    "tokens_computed_again",
    COMPUTED,
    [
        (KNOWN, "The last sampled token had not been computed yet: it is not computed *again*."),
        (700, "The output is computed again too: its keys and values were in the blocks."),
        (150, "The prompt is computed again too: its keys and values were in the blocks."),
        (149, "The prompt is computed again too: only the output was counted."),
        (0, "Without blocks no key and no value is left: all are computed again."),
        (KNOWN + 1, "One token too many, and the last sampled one had not been computed yet."),
        (1, "One token is what a decode computes: here everything in the blocks is lost."),
    ],
    exact=True,
)

BACK = number(
    "steps_until_the_next_token",
    RETURN,
    [
        (KNOWN / CHUNK, "`steps_until_the_next_token` is a whole number."),
        (KNOWN // CHUNK, "Rounded down: the last chunk takes a step too."),
        (math.ceil(700 / CHUNK), "Only the prompt was counted: the output is computed again too."),
        (RETURN + 1, "One step too many: the step of the last chunk samples."),
        (1, "850 tokens do not fit into one chunk of 256."),
        (2, "The chunk, not the budget, is the most that one request gets in a step."),
    ],
    exact=True,
)

"""Checks of the assessment, exercise 7.7: numbers, with a message for each foreseen wrong one."""

from cblab.lab.labs.numbers import number

LINEAR_MS, ATTENTION_MS, PYTHON_MS, SAMPLING_MS = 5.0, 4.0, 2.0, 1.0
STEP_BEFORE = LINEAR_MS + ATTENTION_MS + PYTHON_MS + SAMPLING_MS
FASTER = 4
REQUESTS, SHARED, OWN, BLOCK = 16, 200, 30, 16

REST_MS = STEP_BEFORE - ATTENTION_MS
STEP_AFTER = REST_MS + ATTENTION_MS / FASTER
PROMPT = SHARED + OWN
FOUND = SHARED // BLOCK * BLOCK
PREFILLED = PROMPT + (REQUESTS - 1) * (PROMPT - FOUND)

STEP_MS = number(
    "step_ms",
    STEP_AFTER,
    [
        (STEP_BEFORE / FASTER, "The whole step was divided by 4: only the attention gets faster."),
        (REST_MS, "The attention is gone from `step_ms`: it still takes a quarter of its time."),
        (STEP_BEFORE, "That is the step as it was."),
        (ATTENTION_MS / FASTER, "That is the attention alone: the rest of the step takes time too."),
        (
            STEP_BEFORE - ATTENTION_MS / FASTER,
            "A quarter of the attention's time was saved: it is a quarter that is left.",
        ),
        (STEP_AFTER / 1_000, "`step_ms` is in seconds: it is asked for in ms."),
        (LINEAR_MS + ATTENTION_MS / FASTER, "What Python and the sampling take is missing in `step_ms`."),
    ],
)

LIMIT = number(
    "speed_up_limit",
    STEP_BEFORE / REST_MS,
    [
        (STEP_BEFORE / STEP_AFTER, "That is the speed-up of this kernel; asked for is that of *any* kernel."),
        (FASTER, "That is the kernel's own speed-up, not that of the step."),
        (STEP_BEFORE / ATTENTION_MS, "That would be a step of attention alone: it is the rest that is left."),
        (REST_MS / STEP_BEFORE, "The other way round: a speed-up is the time before by the time after."),
        (STEP_BEFORE / REST_MS - 1, "That is by how much faster; asked for is how many *times* as fast."),
        (REST_MS / ATTENTION_MS, "The rest by the attention is no speed-up: put the step as it was on top."),
    ],
)

TOKENS = number(
    "prefill_tokens",
    PREFILLED,
    [
        (
            PROMPT + (REQUESTS - 1) * OWN,
            "The instruction was shared to its last token: only full blocks are found.",
        ),
        (REQUESTS * PROMPT, "That is without a prefix cache."),
        (
            REQUESTS * (PROMPT - FOUND),
            "Even the first request finds the instruction: somebody has to compute it.",
        ),
        (
            PROMPT + (REQUESTS - 1) * (PROMPT - FOUND - BLOCK),
            "The blocks of the instruction were rounded up: its last, partly filled one is not found.",
        ),
        ((REQUESTS - 1) * (PROMPT - FOUND), "The first request is missing: it computes its whole prompt."),
        ((REQUESTS - 1) * FOUND, "Those are the tokens that are saved: asked for are those computed."),
        (
            PROMPT + REQUESTS * (PROMPT - FOUND),
            "The first request counts twice: it is one of the sixteen.",
        ),
        (REQUESTS * OWN, "The instruction is in nobody's blocks: the first request computes it too."),
    ],
    exact=True,
)

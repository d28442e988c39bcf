"""The exercises of lab 7, the capstone: what is asked for, the hints, and which check judges it."""

from cblab.lab.exercise import Exercise, Part
from cblab.lab.labs.capstone import chunks, differing, guilt, numbers, prefilling, remembering, sizing

_REFERENCE = "cblab.lab.labs.capstone.reference"

_GLUE = (
    Exercise(
        "7.1",
        "Prompts through the block tables",
        symbols={"prefill": f"{_REFERENCE}:prefill"},
        parts=(Part("attention", 3, prefilling.check_prefill),),
        minutes=10,
        difficulty="medium",
        lines=6,
        hints=(
            "One chunk after another: its rows of q, its request's keys and values, a mask, and lab 3's "
            "attention.",
            "Chunk s has the rows cu_seqlens_q[s] to cu_seqlens_q[s + 1] and sees context_lens[s] keys, "
            "its own the last of them. `causal_mask(num_rows, num_keys)` places the rows behind what was "
            "cached.",
            "for each chunk s with its context length:\n"
            "    rows = slice(cu_seqlens_q[s], cu_seqlens_q[s + 1])\n"
            "    table = the first ceil(length / block_size) entries of block_tables[s]\n"
            "    out[rows] = attention(q[rows], gather(keys, table, length), gather(values, …),\n"
            "                          causal_mask(number of rows, length))",
        ),
    ),
    Exercise(
        "7.2",
        "A cache that the scheduler does not know",
        symbols={"first_chunk": f"{_REFERENCE}:first_chunk"},
        parts=(Part("blocks and tokens", 2, chunks.check_first_chunk),),
        minutes=6,
        difficulty="medium",
        lines=2,
        hints=(
            "Three limits: what was found, what the chunk covers in full blocks, and one token that must be "
            "left.",
            "If one token must be left, at most num_new - 1 tokens come from the cache: (num_new - 1) // "
            "block_size blocks.",
            "num_blocks = the smaller of num_found and (num_new - 1) // block_size\n"
            "left are num_new minus num_blocks times block_size",
        ),
    ),
    Exercise(
        "7.3",
        "How large a pool",
        symbols={"pool_sizes": f"{_REFERENCE}:pool_sizes"},
        parts=(Part("least and enough", 2, sizing.check_pool_sizes),),
        minutes=5,
        difficulty="easy",
        lines=3,
        hints=(
            "First turn every length into blocks, each for itself.",
            "math.ceil(length / block_size), the largest first. Alone a request needs its own; side by side "
            "run at most max_num_seqs.",
            "blocks = those of all requests, sorted, the largest first\n"
            "least = the first; enough = the sum of the first max_num_seqs",
        ),
    ),
)

_FAULTS = (
    Exercise(
        "7.4",
        "Where two runs part",
        symbols={"first_difference": f"{_REFERENCE}:first_difference"},
        parts=(Part("request and position", 2, differing.check_first_difference),),
        minutes=8,
        difficulty="medium",
        lines=7,
        hints=(
            "Find the first position that differs in each request; keep the smallest of them.",
            "itertools.zip_longest goes on to the end of the longer one, with None for what is missing. "
            "To be replaced, the best so far must be strictly larger.",
            "found = None\n"
            "for each request of want, for each position of the longer answer:\n"
            "    if the tokens differ there: stop in this request;\n"
            "        it is the new found if there was none or the position is smaller",
        ),
    ),
    Exercise(
        "7.5",
        "Find the guilty part",
        symbols={"find_guilty": f"{_REFERENCE}:find_guilty"},
        parts=(Part("the parts", 3, guilt.check_find_guilty),),
        minutes=8,
        difficulty="medium",
        lines=4,
        hints=(
            "Change one thing at a time: all parts but one, each time another one.",
            "bench.agrees(own) gets the list of the parts that stay. A part is guilty if the run "
            "becomes right without it.",
            "if the run with all of them is right: []\n"
            "for each name: guilty if agrees(all names but this one)\n"
            "all names if that gives nobody",
        ),
    ),
    Exercise(
        "7.6",
        "Find the bug: mend the part",
        symbols={"PlanOnce": f"{_REFERENCE}:PlanOnce"},
        parts=(Part("plans", 3, remembering.check_plan_once),),
        minutes=6,
        difficulty="medium",
        lines=5,
        hints=(
            "On what does the plan depend? All of that is the key, and nothing less.",
            "A list cannot be a key, tuple(context_lens) can. One plan is enough: that of the last call.",
            "key = (the lengths as a tuple, split_size, num_threads)\n"
            "if the key is not the one of last time: make the plan, note both\n"
            "return the plan that is noted",
        ),
    ),
)

_ASSESSMENT = (
    Exercise(
        "7.7",
        "What would it bring?",
        variables=("step_ms", "speed_up_limit", "prefill_tokens"),
        parts=(
            Part("the step", 1, numbers.STEP_MS),
            Part("the limit", 1, numbers.LIMIT),
            Part("the prompts", 1, numbers.TOKENS),
        ),
        minutes=6,
        difficulty="medium",
        hints=(
            "Only what gets faster gets smaller. Only full blocks are found.",
            "5 + 4 / 4 + 2 + 1; what is left if attention takes no time at all; 200 tokens are 12 full "
            "blocks of 16 and 8 tokens.",
            "step_ms = 12 - 4 + 4 / 4; speed_up_limit = 12 / (12 - 4);\n"
            "prefill_tokens = 230 + 15 * (230 - 12 * 16)",
        ),
    ),
)

EXERCISES: tuple[Exercise, ...] = (*_GLUE, *_FAULTS, *_ASSESSMENT)

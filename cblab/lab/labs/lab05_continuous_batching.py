"""The exercises of lab 5, continuous batching: what is asked for, the hints, and which check judges it."""

from cblab.lab.exercise import Exercise, Part
from cblab.lab.labs.continuous_batching import (
    admission,
    ageing,
    budget,
    masking,
    numbers,
    preempting,
    scheduling,
    states,
    stepping,
    table,
    target,
)

_REFERENCE = "cblab.lab.labs.continuous_batching.reference"

_STEP = (
    Exercise(
        "5.1",
        "The states of a request",
        symbols={"next_status": f"{_REFERENCE}:next_status"},
        parts=(Part("arrows", 2, states.check_next_status),),
        minutes=5,
        difficulty="easy",
        lines=10,
        hints=(
            "Write down the arrows of the drawing, and look one up.",
            "A dict from (status, event) to status; a missing key is a ValueError. `abort` and `fail` go "
            "out of "
            "three states each.",
            "arrows = {(waiting, admit): running, (preempted, admit): running,\n"
            "          (running, preempt): preempted, (running, finish): finished}\n"
            "for each of waiting, running, preempted: abort → cancelled, fail → failed\n"
            "ValueError if (status, event) is not in arrows, else what it leads to",
        ),
    ),
    Exercise(
        "5.2",
        "The token table",
        symbols={"token_table": f"{_REFERENCE}:token_table"},
        parts=(Part("lists", 3, table.check_token_table),),
        minutes=8,
        difficulty="medium",
        lines=9,
        hints=(
            "Go from row to row and append what each brings to each list. Positions are places in the "
            "row's own "
            "sequence, everything in cu_seqlens_q and logits_indices is a place in the batch.",
            "A row's positions are range(num_computed, num_computed + len(token_ids)). When its tokens "
            "have been "
            "appended, len(input_ids) is the next entry of cu_seqlens_q, and len(input_ids) - 1 the "
            "row's last "
            "token.",
            "for each row:\n"
            "    positions = range(num_computed, num_computed + number of tokens)\n"
            "    extend input_ids and positions\n"
            "    extend slot_mapping: blocks[p // block_size] * block_size + p % block_size for each p\n"
            "    append len(input_ids) to cu_seqlens_q, the row's context length to context_lens\n"
            "    if samples: append len(input_ids) - 1 to logits_indices",
        ),
    ),
    Exercise(
        "5.3",
        "The ragged causal mask",
        symbols={"ragged_causal_mask": "cblab.attention.masks:ragged_causal_mask"},
        parts=(Part("who sees whom", 3, masking.check_mask),),
        minutes=8,
        difficulty="medium",
        lines=8,
        hints=(
            "Begin with a mask in which nobody sees anybody, and let each sequence see its own keys.",
            "Sequence s has the rows borders[s] to borders[s + 1], and lengths[s] columns behind those "
            "of the "
            "sequences before it. Its first row is the one at position lengths[s] - (number of its rows).",
            "mask = torch.zeros(rows, sum of lengths, dtype=torch.bool)\n"
            "left = 0\n"
            "for each sequence:\n"
            "    for each of its rows i: it sees the columns left to left + cached + i, that included\n"
            "    left += its length",
        ),
    ),
)

_SCHEDULER = (
    Exercise(
        "5.4",
        "Share the budget",
        symbols={"share_budget": f"{_REFERENCE}:share_budget"},
        parts=(Part("shares", 2, budget.check_share_budget),),
        minutes=5,
        difficulty="easy",
        lines=6,
        hints=(
            "Go through the requests in their order. What may each one take, if all behind it are to get one "
            "token?",
            "Three limits: what it wants, the chunk, and what is left of the budget less one token for each "
            "request behind it.",
            "for each request:\n"
            "    behind = how many come after it\n"
            "    share = min(wanted, chunk_size, budget - behind)\n"
            "    take it off the budget",
        ),
    ),
    Exercise(
        "5.5",
        "Mend the admission",
        symbols={"admit": f"{_REFERENCE}:admit"},
        parts=(Part("first chunks", 3, admission.check_admit),),
        minutes=6,
        difficulty="medium",
        lines=9,
        hints=(
            "What has been given to one is not there for the next one: that goes for tokens, seats and "
            "blocks.",
            "A first chunk is min(prompt, chunk_size, budget) tokens long and takes its blocks, rounded "
            "up. Stop "
            "at the first that cannot begin.",
            "for each that waits:\n"
            "    its chunk, and how many blocks the chunk takes\n"
            "    stop if no seat is left, the chunk is 0, or it takes more blocks than are free\n"
            "    append the chunk; take it off the budget and its blocks off the free ones",
        ),
    ),
    Exercise(
        "5.6",
        "Mend the preemption",
        symbols={"preempt": f"{_REFERENCE}:preempt"},
        parts=(Part("what survives", 2, preempting.check_preempt),),
        minutes=4,
        difficulty="medium",
        lines=4,
        hints=(
            "What is gone with the blocks, and what does the request still know?",
            "The tokens are known, sampled ones included: nothing of them changes. Keys and values are gone.",
            "free its blocks; num_computed_tokens = 0; count the preemption;\n"
            "request.become(RequestStatus.PREEMPTED)",
        ),
    ),
    Exercise(
        "5.7",
        "The scheduler",
        symbols={"Scheduler": "cblab.lab.labs.continuous_batching.scheduler:Scheduler"},
        needs=("share_budget", "admit"),
        parts=(
            Part("plans", 4, scheduling.check_plans),
            Part("in the engine", 2, scheduling.check_in_the_engine),
        ),
        minutes=20,
        difficulty="hard",
        lines=15,
        hints=(
            "Three acts: make room, until those that run fit; give them their shares; then, if nobody had to "
            "go, admit.",
            "sum of new_blocks over running and shares() is what the step needs; compare it with "
            "free_blocks, "
            "anew after each preemption. `give` returns the pair for the plan. `admit` wants what is left of "
            "budget, seats and blocks.",
            "while what is needed > free_blocks:\n"
            "    take the last of running out; its blocks are free, its computed tokens and blocks 0\n"
            "    put it in front of waiting; note it as preempted\n"
            "scheduled = give to each running one its share\n"
            "if nobody was preempted:\n"
            "    firsts = admit(lengths of those that wait, budget left, chunk_size, seats left, "
            "free_blocks, "
            "block_size)\n"
            "    move so many from waiting to running, give each its first chunk, note them as admitted\n"
            "return the three lists in a dict",
        ),
        seconds=20.0,
    ),
    Exercise(
        "5.8",
        "One whole step",
        symbols={"step": f"{_REFERENCE}:step"},
        parts=(Part("a step", 5, stepping.check_step),),
        minutes=12,
        difficulty="hard",
        lines=18,
        hints=(
            "Five acts: who computes what, rows, one pass, tokens, and what becomes of the requests.",
            "A row is (token ids, num_computed, block table, samples). A request samples if its num_computed "
            "tokens and the new ones are all that it knows. There is a token for each request that "
            "samples, in "
            "order.",
            "shares = engine.schedule(); return [] if there are none\n"
            "for each request: its row, and into `due` if it samples\n"
            "tokens = engine.sample(engine.forward(engine.build(rows)))\n"
            "num_computed_tokens grows by num_new, for all of them\n"
            "for each of due and its token: append it; finish if it ends the answer or max_length is "
            "reached\n"
            "return the pairs",
        ),
    ),
)

_ASSESSMENT = (
    Exercise(
        "5.9",
        "Reach a target",
        variables=("token_budget", "chunk_size", "max_num_seqs"),
        parts=(
            Part("first token", 2, target.check_first_token),
            Part("longest pause", 2, target.check_stall),
        ),
        minutes=8,
        difficulty="medium",
        hints=(
            "Change one setting at a time, with `serve`, and look at both numbers.",
            "Too few seats make a queue; a small chunk makes long prompts slow; a large one makes everybody "
            "else wait.",
            "One row of the first table keeps the first promise alone, the one above it the second alone. "
            "Look between them, and leave seats enough that nobody waits for one.",
        ),
    ),
    Exercise(
        "5.10",
        "A long prompt arrives",
        variables=("steps_to_first_token", "chunk_step_ms", "whole_prompt_step_ms"),
        parts=(
            Part("steps", 1, numbers.FIRST_TOKEN),
            Part("with a chunk", 1, numbers.CHUNKED),
            Part("without chunks", 1, numbers.WHOLE),
        ),
        minutes=5,
        difficulty="medium",
        hints=(
            "Count the tokens that each step computes.",
            "40 decodes cost 40 tokens; the prompt gets at most a chunk, and as much as the budget leaves.",
            "ceil(3000 / 256); 6 + 0.05 * (40 + 256); 6 + 0.05 * (40 + 3000)",
        ),
    ),
    Exercise(
        "5.11",
        "Seats and second chances",
        variables=("static_seat_use", "tokens_computed_again", "steps_until_the_next_token"),
        parts=(
            Part("seats", 1, numbers.SEAT_USE),
            Part("computed again", 1, numbers.AGAIN),
            Part("coming back", 1, numbers.BACK),
        ),
        minutes=5,
        difficulty="medium",
        hints=(
            "A static batch lasts as long as its longest request. A preempted request loses keys and values.",
            "The token sampled last has no key and no value yet. Coming back, all known tokens are computed, "
            "chunk by chunk.",
            "sum of the lengths / (8 * 400); 700 + 150 - 1; ceil(850 / 256)",
        ),
    ),
)

_BONUS = (
    Exercise(
        "5.14",
        "Priorities that age",
        symbols={"urgency": f"{_REFERENCE}:urgency"},
        parts=(Part("urgency", 1, ageing.check_urgency),),
        minutes=5,
        difficulty="medium",
        lines=1,
        bonus=True,
        hints=(
            "Put both on one scale: ticks.",
            "One unit of priority is worth `aging` ticks of waiting; who came earlier has the smaller "
            "number.",
            "arrival + priority * aging",
        ),
    ),
)

EXERCISES: tuple[Exercise, ...] = (*_STEP, *_SCHEDULER, *_ASSESSMENT, *_BONUS)

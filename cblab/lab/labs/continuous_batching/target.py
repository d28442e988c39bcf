"""Exercise 5.9: settings that reach a target under a given load, measured on the simulated clock."""

from functools import cache
from typing import Any

from cblab.core.scheduler import Scheduler
from cblab.lab.labs.continuous_batching.load import Arrival, Served, percentile, random_load, serve
from cblab.lab.trial import Trial

TTFT_TICKS, STALL_TICKS = 25, 6
NUM_BLOCKS = 150
_NAMES = ("token_budget", "chunk_size", "max_num_seqs")


def target_load() -> list[Arrival]:
    """Return the load of the target: 250 requests, some of them with a prompt of 600 tokens."""
    return random_load(
        1, 250, every=12.0, prompt_lens=(8, 60), output_lens=(8, 60), long_share=0.05, long_len=600
    )


@cache
def _served(token_budget: int, chunk_size: int, max_num_seqs: int) -> Served:
    return serve(
        target_load(),
        Scheduler,
        budget=token_budget,
        chunk_size=chunk_size,
        max_num_seqs=max_num_seqs,
        num_blocks=NUM_BLOCKS,
    )


def _settings(t: Trial) -> tuple[int, int, int]:
    values: list[Any] = [t.get(name) for name in _NAMES]
    for name, value in zip(_NAMES, values, strict=True):
        if type(value) is not int:
            t.fail(f"`{name}` should be a whole number, it is {value!r}.")
        if not 1 <= value <= 4096:
            t.fail(f"`{name}` is {value}: choose from 1 to 4096.")
    budget, chunk, seats = values
    if seats > budget:
        t.fail(
            f"`max_num_seqs` ({seats}) is larger than `token_budget` ({budget}): a step could not give each "
            "request its one token."
        )
    return budget, chunk, seats


def _time_without_a_seat(served: Served, seats: int) -> float:
    """Share of the steps in which somebody waits while all seats are taken."""
    records = list(served.trace)
    return sum(one.num_waiting > 0 and one.num_running >= seats for one in records) / len(records)


def _reaches_it_with_more_seats(budget: int, chunk: int) -> bool:
    """Whether the first tokens come in time where nobody waits for a seat."""
    return percentile(_served(budget, chunk, budget).ttft, 99) < TTFT_TICKS


def check_first_token(t: Trial) -> None:
    """Exercise 5.9, the time to the first token."""
    budget, chunk, seats = _settings(t)
    served = _served(budget, chunk, seats)
    measured = percentile(served.ttft, 99)
    if measured < TTFT_TICKS:
        return
    found = f"the p99 of the time to the first token is {measured:.0f} ticks, not below {TTFT_TICKS}"
    without_a_seat = _time_without_a_seat(served, seats)
    if without_a_seat > 0.15 or _reaches_it_with_more_seats(budget, chunk):
        share = f"{without_a_seat:.0%}"
        t.fail(f"With {seats} seats somebody waits for one in {share} of the steps: {found}.")
    narrow = "chunks" if chunk < budget else "a budget"
    t.fail(
        f"Long prompts take too many steps with {narrow} of {min(chunk, budget)} tokens "
        f"({-(-600 // min(chunk, budget))} for 600 tokens): {found}."
    )


def check_stall(t: Trial) -> None:
    """Exercise 5.9, the longest pause between two tokens."""
    budget, chunk, seats = _settings(t)
    served = _served(budget, chunk, seats)
    measured = max(served.gaps)
    if measured <= STALL_TICKS:
        return
    largest = max(record.plan.num_tokens for record in served.trace)
    if served.num_preemptions:
        t.fail(
            f"{served.num_preemptions} requests lose their blocks and are computed again: the longest pause "
            f"between two tokens is {measured:.1f} ticks, above {STALL_TICKS}."
        )
    t.fail(
        f"One step computes {largest} tokens, and all who decode wait for it: the longest pause between two "
        f"tokens is {measured:.1f} ticks, above {STALL_TICKS}."
    )

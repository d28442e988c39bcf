"""Where the slots of a contiguous arena are: the reference for exercise 3.9, and a random workload for it."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

Run = tuple[int, int, int, int]
"""(start, reserved, held, final) of a running sequence, in slots; a slot has room for one token."""


def count_waste(runs: Sequence[Run], num_slots: int, wanted: int) -> dict[str, int]:
    """Sort the arena's slots into those that hold a token, three kinds of waste, and those free to use.

    Args:
        runs: the sequences that run; `held` tokens are there now, `final` will be at its end.
        num_slots: slots of the arena.
        wanted: slots in one run that the next sequence needs.
    """
    counts = {
        "held": sum(held for _, _, held, _ in runs),
        "later": sum(final - held for _, _, held, final in runs),
        "never": sum(reserved - final for _, reserved, _, final in runs),
        "holes": 0,
        "free": 0,
    }
    end = 0
    for start, reserved, _, _ in [*sorted(runs), (num_slots, 0, 0, 0)]:
        gap = start - end
        counts["free" if gap >= wanted else "holes"] += gap
        end = start + reserved
    return counts


@dataclass(frozen=True)
class Job:
    """A request of the workload: tokens of its prompt, the most that its reply may have, and what it has."""

    prompt: int
    max_tokens: int
    reply: int

    @property
    def reserved(self) -> int:
        """Slots that it reserves: nobody knows beforehand how long its reply will be."""
        return self.prompt + self.max_tokens

    @property
    def final(self) -> int:
        """Tokens that it holds at its end."""
        return self.prompt + self.reply


def random_jobs(seed: int, count: int) -> list[Job]:
    """Requests as a chat service sees them: many short replies, a few long ones, generous limits."""
    rng = random.Random(seed)
    jobs = []
    for _ in range(count):
        prompt, max_tokens = rng.randint(20, 400), rng.choice((128, 256, 512, 1024))
        reply = min(max_tokens, 1 + round(rng.expovariate(1 / 150)))
        jobs.append(Job(prompt, max_tokens, reply))
    return jobs


def first_fit(runs: Sequence[Run], num_slots: int, wanted: int) -> int | None:
    """The first slot of the first hole that has room for `wanted` slots; None where there is none."""
    end = 0
    for start, reserved, _, _ in [*sorted(runs), (num_slots, 0, 0, 0)]:
        if start - end >= wanted:
            return end
        end = start + reserved
    return None


def serve(jobs: Sequence[Job], num_slots: int) -> Iterator[tuple[list[Run], int]]:
    """Serve `jobs` in their order from one arena; after each step `(runs, wanted by the next in the queue)`.

    A step admits what fits, and gives each running sequence one token; whoever is done gives its slots back.
    It ends when the queue is empty, so that there is always somebody who would take free room.
    """
    waiting = list(jobs)
    runs: list[Run] = []
    while waiting:
        while waiting and (start := first_fit(runs, num_slots, waiting[0].reserved)) is not None:
            job = waiting.pop(0)
            runs.append((start, job.reserved, job.prompt, job.final))
        if waiting:
            yield list(runs), waiting[0].reserved
        runs = [(start, room, held + 1, final) for start, room, held, final in runs if held < final]

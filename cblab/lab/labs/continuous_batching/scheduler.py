"""The reference for exercise 5.7: a scheduler that knows ids and counts."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from cblab.lab.labs.continuous_batching.given import Counts
from cblab.lab.labs.continuous_batching.reference import admit, share_budget

Plan = dict[str, list[Any]]  # "scheduled": (id, tokens) pairs; else ids


class Scheduler:
    """Who computes how many tokens in a step; ids are in order of arrival in `running` and `waiting`.

    `admit` and `may_admit` are apart so that the lab can show what happens with others in their place.

    Args:
        num_blocks: in the pool.
        block_size: tokens in a block.
        budget: tokens of a step.
        chunk_size: tokens of one request in a step, at most.
        max_num_seqs: requests that run at once.
    """

    admit = staticmethod(admit)

    def __init__(
        self, num_blocks: int, block_size: int, budget: int, chunk_size: int, max_num_seqs: int
    ) -> None:
        self.num_blocks = self.free_blocks = num_blocks
        self.block_size, self.budget = block_size, budget
        self.chunk_size, self.max_num_seqs = chunk_size, max_num_seqs
        self.counts: dict[str, Counts] = {}
        self.running: list[str] = []
        self.waiting: list[str] = []

    def add(self, request_id: str, num_tokens: int, max_length: int) -> None:
        """Queue a request; ValueError for one that could not even run alone."""
        if max_length > self.num_blocks * self.block_size:
            raise ValueError(f"{request_id} may need {max_length} slots: more than there are")
        self.counts[request_id] = Counts(num_tokens)
        self.waiting.append(request_id)

    def advance(self, progress: Mapping[str, tuple[int, int]]) -> None:
        """Note what the engine has done: {request id: (tokens known, tokens computed)}."""
        for request_id, (num_tokens, num_computed) in progress.items():
            self.counts[request_id].num_tokens = num_tokens
            self.counts[request_id].num_computed = num_computed

    def remove(self, request_id: str) -> None:
        """Forget a request, and count its blocks as free."""
        self.free_blocks += self.counts.pop(request_id).num_blocks
        for queue in (self.running, self.waiting):
            if request_id in queue:
                queue.remove(request_id)

    def state(self) -> tuple[list[str], list[str], int, dict[str, tuple[int, int, int]]]:
        """Return running, waiting, free blocks, and each request's counts."""
        counts = {
            name: (one.num_tokens, one.num_computed, one.num_blocks) for name, one in self.counts.items()
        }
        return list(self.running), list(self.waiting), self.free_blocks, counts

    def shares(self) -> list[int]:
        """Return how many tokens each running request would compute now, in their order."""
        wanted = [self.counts[one].num_tokens - self.counts[one].num_computed for one in self.running]
        return share_budget(wanted, self.budget, self.chunk_size)

    def new_blocks(self, request_id: str, num_new: int) -> int:
        """Return how many blocks a request lacks to compute so many tokens."""
        one = self.counts[request_id]
        return math.ceil((one.num_computed + num_new) / self.block_size) - one.num_blocks

    def give(self, request_id: str, num_new: int) -> tuple[str, int]:
        """Count the blocks for a request's tokens as taken; return the pair for the plan."""
        num_blocks = self.new_blocks(request_id, num_new)
        self.counts[request_id].num_blocks += num_blocks
        self.free_blocks -= num_blocks
        return request_id, num_new

    def may_admit(self, preempted: Sequence[str]) -> bool:
        """Return whether newcomers are looked at: not in a step that has preempted."""
        return not preempted

    def schedule(self) -> Plan:
        """Decide the next step."""
        preempted: list[str] = []
        while sum(map(self.new_blocks, self.running, self.shares())) > self.free_blocks:
            victim = self.running.pop()
            self.free_blocks += self.counts[victim].num_blocks
            self.counts[victim].num_computed = self.counts[victim].num_blocks = 0
            self.waiting.insert(0, victim)
            preempted.append(victim)
        scheduled = [
            self.give(name, num_new) for name, num_new in zip(self.running, self.shares(), strict=True)
        ]
        admitted: list[str] = []
        if self.may_admit(preempted):
            budget = self.budget - sum(num_new for _, num_new in scheduled)
            lengths = [self.counts[one].num_tokens for one in self.waiting]
            seats = self.max_num_seqs - len(self.running)
            firsts = self.admit(lengths, budget, self.chunk_size, seats, self.free_blocks, self.block_size)
            admitted = self.waiting[: len(firsts)]
            scheduled += [self.give(name, num_new) for name, num_new in zip(admitted, firsts, strict=True)]
            self.waiting = self.waiting[len(firsts) :]
            self.running += admitted
        return {"scheduled": scheduled, "admitted": admitted, "preempted": preempted}

"""What becomes of a KV cache's memory while requests come and go: three ways to hand it out, simulated.

```
first fit     [ a a a - - | . . | c c - - - - | . . . ]   a, c: tokens; -: reserved; .: free
                            b left a hole: a newcomer of 5 does not fit, though 5 slots are free
compaction    [ a a a - - | c c - - - - | . . . . . ]     the same after sliding c down: its tokens are copied
paged         [ a a | c c | a - | . . | . . | . . ]       blocks of 2 slots, taken as the tokens come
```

A slot holds one token's keys and values. One step of the simulation computes one token of every request
that runs; the prompt comes whole in the step that admits it. Torch-free.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True)
class SimulatedRequest:
    """One request of a workload.

    Attributes:
        arrival: the step from which on it waits.
        prompt_len: tokens of its prompt.
        output_len: tokens that it will generate; nobody knows it before it has ended.
        max_len: the longest that it may become, prompt and output: what a contiguous cache reserves.
    """

    arrival: int
    prompt_len: int
    output_len: int
    max_len: int

    def __post_init__(self) -> None:
        if min(self.prompt_len, self.output_len) < 1:
            raise ValueError(
                f"a request has at least one token of prompt and one of output, got {self.prompt_len} and "
                f"{self.output_len}"
            )
        if self.prompt_len + self.output_len > self.max_len:
            raise ValueError(
                f"a request of {self.prompt_len} + {self.output_len} tokens is longer than its max_len of "
                f"{self.max_len}"
            )

    @property
    def total_len(self) -> int:
        """Tokens at its end."""
        return self.prompt_len + self.output_len


@dataclass(frozen=True)
class Run:
    """Neighbouring slots that belong to one request; the first `num_used` of them hold tokens."""

    request: int
    start: int
    num_slots: int
    num_used: int

    @property
    def end(self) -> int:
        """The slot behind the last one."""
        return self.start + self.num_slots


def first_fit(reserved: Sequence[tuple[int, int]], num_slots: int, wanted: int) -> int | None:
    """Return where the first hole of at least `wanted` slots begins, None if there is none.

    reserved: (start, number of slots) of each reservation, in any order. num_slots: of the whole memory.
    """
    end = 0
    for start, size in sorted(reserved):
        if start - end >= wanted:
            return end
        end = start + size
    return end if num_slots - end >= wanted else None


def slide_down(runs: Sequence[tuple[int, int, int]]) -> tuple[list[int], int]:
    """Move reservations to the front, in their order; return their new starts and the tokens copied.

    runs: (start, number of slots, tokens in them) of each reservation, by start. One that stays where it is
    copies nothing, one that moves copies its tokens and not its empty slots.
    """
    starts: list[int] = []
    end = copied = 0
    for start, size, used in runs:
        starts.append(end)
        copied += used if end != start else 0
        end += size
    return starts, copied


class Memory(ABC):
    """`num_slots` slots, and a rule by which requests get some; requests are numbered."""

    def __init__(self, num_slots: int) -> None:
        if num_slots < 1:
            raise ValueError(f"num_slots must be at least 1, got {num_slots}")
        self.num_slots = num_slots
        self.capacity = num_slots  # the most slots that one request can have
        self.num_copied = 0  # tokens whose keys and values were moved to other slots
        self.num_looked_at = 0  # places that were looked at in search of room

    @abstractmethod
    def admit(self, request: int, num_tokens: int, max_len: int) -> bool:
        """Give a new request room for its prompt; False, and no change, if there is none."""

    @abstractmethod
    def grow(self, request: int) -> bool:
        """Give a request room for one token more; False, and no change, if there is none."""

    @abstractmethod
    def release(self, request: int) -> None:
        """Take a request's slots back."""

    @abstractmethod
    def runs(self) -> list[Run]:
        """Return who has which slots, in the order of the slots."""

    def holes(self) -> Iterator[range]:
        """Yield the stretches of free slots, the first first."""
        end = 0
        for run in self.runs():
            if run.start > end:
                yield range(end, run.start)
            end = run.end
        if end < self.num_slots:
            yield range(end, self.num_slots)


class FirstFit(Memory):
    """Each request reserves `max_len` neighbouring slots: those of the first hole that is long enough.

    compacts: where no hole is long enough but all together are, slide the reservations to the front, which
    copies the tokens of every one that moves.
    """

    def __init__(self, num_slots: int, *, compacts: bool = False) -> None:
        super().__init__(num_slots)
        self.compacts = compacts
        self._runs: list[Run] = []

    def admit(self, request: int, num_tokens: int, max_len: int) -> bool:
        """See `Memory`; the room is the request's for its whole life."""
        start = self._find(max_len)
        if start is None and self.compacts and self._num_free() >= max_len:
            self._compact()
            start = self._find(max_len)
        if start is None:
            return False
        self._runs.append(Run(request, start, max_len, num_tokens))
        self._runs.sort(key=lambda run: run.start)
        return True

    def grow(self, request: int) -> bool:
        """See `Memory`; it was all reserved from the start."""
        for index, run in enumerate(self._runs):
            if run.request == request:
                self._runs[index] = Run(request, run.start, run.num_slots, run.num_used + 1)
        return True

    def release(self, request: int) -> None:
        """See `Memory`."""
        self._runs = [run for run in self._runs if run.request != request]

    def runs(self) -> list[Run]:
        """See `Memory`."""
        return list(self._runs)

    def _find(self, num_slots: int) -> int | None:
        start = first_fit([(run.start, run.num_slots) for run in self._runs], self.num_slots, num_slots)
        end = self.num_slots if start is None else start
        self.num_looked_at += 1 + sum(run.start < end for run in self._runs)
        return start

    def _num_free(self) -> int:
        return self.num_slots - sum(run.num_slots for run in self._runs)

    def _compact(self) -> None:
        moved, copied = slide_down([(run.start, run.num_slots, run.num_used) for run in self._runs])
        self._runs = [
            Run(run.request, start, run.num_slots, run.num_used)
            for run, start in zip(self._runs, moved, strict=True)
        ]
        self.num_copied += copied


class Paged(Memory):
    """Blocks of `block_size` slots from a free list, taken when a token needs one.

    keep_free: blocks that admitting a request leaves free while others run, so that those can grow.
    """

    def __init__(self, num_slots: int, *, block_size: int, keep_free: int = 0) -> None:
        super().__init__(num_slots)
        if keep_free < 0:
            raise ValueError(f"keep_free must be at least 0, got {keep_free}")
        if not 1 <= block_size <= num_slots:
            raise ValueError(f"block_size must be 1 ... {num_slots}, the memory's slots; got {block_size}")
        self.block_size, self.keep_free = block_size, keep_free
        self._free = deque(range(num_slots // block_size))
        self.capacity = num_slots // block_size * block_size
        self._tables: dict[int, list[int]] = {}
        self._num_tokens: dict[int, int] = {}

    def admit(self, request: int, num_tokens: int, max_len: int) -> bool:
        """See `Memory`; the longest that a request may become does not matter."""
        keep_free = self.keep_free if self._tables else 0
        if -(-num_tokens // self.block_size) + keep_free > len(self._free):
            return False
        self._tables[request] = []
        return self._extend(request, num_tokens)

    def grow(self, request: int) -> bool:
        """See `Memory`."""
        return self._extend(request, self._num_tokens[request] + 1)

    def release(self, request: int) -> None:
        """See `Memory`."""
        self._free.extend(self._tables.pop(request))
        del self._num_tokens[request]

    def runs(self) -> list[Run]:
        """See `Memory`; one run a block."""
        size = self.block_size
        found = [
            Run(request, block * size, size, min(size, self._num_tokens[request] - index * size))
            for request, table in self._tables.items()
            for index, block in enumerate(table)
        ]
        return sorted(found, key=lambda run: run.start)

    def _extend(self, request: int, num_tokens: int) -> bool:
        num_new = -(-num_tokens // self.block_size) - len(self._tables[request])
        if num_new > len(self._free):
            return False
        self.num_looked_at += num_new
        self._tables[request] += [self._free.popleft() for _ in range(num_new)]
        self._num_tokens[request] = num_tokens
        return True


@dataclass(frozen=True)
class StepUse:
    """The memory after one step.

    Attributes:
        runs: who has which slots.
        num_waiting: requests that have arrived and do not run.
        num_used: slots that hold a token.
        num_reserved: slots that some request has, whether they hold a token or not.
        largest_hole: the longest stretch of free slots.
        is_blocked: the first one that waits was refused though so many slots are free as it asks for.
    """

    runs: tuple[Run, ...]
    num_waiting: int
    num_used: int
    num_reserved: int
    largest_hole: int
    is_blocked: bool


@dataclass(frozen=True)
class Simulation:
    """What a workload did to a memory, step by step.

    num_recomputed: tokens computed again, because their request lost its slots to others meanwhile.
    """

    num_slots: int
    steps: tuple[StepUse, ...]
    num_copied: int
    num_looked_at: int
    num_preemptions: int
    num_recomputed: int

    @property
    def mean_use(self) -> float:
        """Share of the slots that hold a token, over the steps in which somebody waits; 0 without any."""
        busy = [step.num_used for step in self.steps if step.num_waiting]
        return sum(busy) / (len(busy) * self.num_slots) if busy else 0.0

    @property
    def mean_running(self) -> float:
        """Requests that have slots, over the same steps."""
        busy = [len({run.request for run in step.runs}) for step in self.steps if step.num_waiting]
        return sum(busy) / len(busy) if busy else 0.0


def simulate(requests: Sequence[SimulatedRequest], memory: Memory) -> Simulation:
    """Serve requests in the order of their arrival until all have ended.

    Each step admits from the head of the queue while there is room, then computes one token of all that run.
    Where one cannot grow, the one admitted last loses its slots and waits again, at the head; it keeps its
    tokens, which are computed again when it comes back, and nobody is admitted in that step.

    Raises:
        ValueError: a request that the whole memory cannot hold.
    """
    for index, one in enumerate(requests):
        needed = one.max_len if isinstance(memory, FirstFit) else one.total_len
        if needed > memory.capacity:
            raise ValueError(
                f"request {index} needs {needed} slots, the memory has {memory.capacity} to give: shorten it"
            )
    service = _Service(requests, memory)
    steps: list[StepUse] = []
    while service.is_busy:
        steps.append(service.step(len(steps)))
    return Simulation(
        memory.num_slots,
        tuple(steps),
        memory.num_copied,
        memory.num_looked_at,
        service.num_preemptions,
        service.num_recomputed,
    )


class _Service:
    """The queue and the running requests of a simulation."""

    def __init__(self, requests: Sequence[SimulatedRequest], memory: Memory) -> None:
        self._requests, self._memory = requests, memory
        self._later = deque(sorted(range(len(requests)), key=lambda one: (requests[one].arrival, one)))
        self._waiting: deque[int] = deque()
        self._running: list[int] = []  # in the order of admission
        self._num_tokens = [one.prompt_len for one in requests]
        self._computed_before: set[int] = set()
        self.num_preemptions = self.num_recomputed = 0

    @property
    def is_busy(self) -> bool:
        return bool(self._later or self._waiting or self._running)

    def step(self, now: int) -> StepUse:
        while self._later and self._requests[self._later[0]].arrival <= now:
            self._waiting.append(self._later.popleft())
        preempted = self._grow_all()
        if not preempted:
            self._admit()
        use = self._use()
        for one in [one for one in self._running if self._num_tokens[one] == self._requests[one].total_len]:
            self._memory.release(one)
            self._running.remove(one)
        return use

    def _grow_all(self) -> bool:
        index, before = 0, self.num_preemptions
        while index < len(self._running):
            one = self._running[index]
            if self._memory.grow(one):
                self._num_tokens[one] += 1
                index += 1
            else:
                last = self._running.pop()
                self._memory.release(last)
                self._waiting.appendleft(last)
                self._computed_before.add(last)
                self.num_preemptions += 1
        return self.num_preemptions > before

    def _admit(self) -> None:
        while self._waiting:
            one = self._waiting[0]
            if not self._memory.admit(one, self._num_tokens[one], self._requests[one].max_len):
                break
            if one in self._computed_before:
                self.num_recomputed += self._num_tokens[one]
            self._running.append(self._waiting.popleft())

    def _use(self) -> StepUse:
        runs = tuple(self._memory.runs())
        reserved = sum(run.num_slots for run in runs)
        free = self._memory.num_slots - reserved
        is_blocked = bool(self._waiting)
        if self._waiting:
            first = self._waiting[0]
            contiguous = isinstance(self._memory, FirstFit)
            asked = self._requests[first].max_len if contiguous else self._num_tokens[first]
            is_blocked = asked <= free
        return StepUse(
            runs,
            len(self._waiting),
            sum(run.num_used for run in runs),
            reserved,
            max(map(len, self._memory.holes()), default=0),
            is_blocked,
        )


def random_workload(
    seed: int,
    num_requests: int,
    *,
    prompt_lens: tuple[int, int],
    output_lens: tuple[int, int],
    spare_lens: tuple[int, int],
    most_a_step: int = 2,
) -> list[SimulatedRequest]:
    """Draw requests whose lengths are uniform between the bounds given; up to `most_a_step` arrive a step.

    spare_lens: how many tokens more a client allows (`max_tokens`) than the answer will have.
    """
    rng = Random(seed)
    requests: list[SimulatedRequest] = []
    arrival = 0
    while len(requests) < num_requests:
        for _ in range(min(rng.randint(0, most_a_step), num_requests - len(requests))):
            prompt, output, spare = (rng.randint(*lens) for lens in (prompt_lens, output_lens, spare_lens))
            requests.append(SimulatedRequest(arrival, prompt, output, prompt + output + spare))
        arrival += 1
    return requests

"""What a side is told and what it answers: each runs in a process of its own, a line of JSON at a time.

    benchmark → side   {"checkpoint": "...", "num_threads": 2, "settings": {...}, "warmup": [job, ...]}
    side → benchmark   {"ready": "what it runs, in words"}
    benchmark → side   {"jobs": [job, ...]}                      as often as it likes
    side → benchmark   {"seconds": ..., "first_token_s": [...], "token_ids": [[...]], "peak_bytes": ...}

The standard library alone: a peer lives in an environment that has none of cblab's packages.
"""

import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True)
class Job:
    """A prompt, and how many tokens are to follow it, whatever they are."""

    prompt: list[int]
    num_new_tokens: int


@dataclass(frozen=True)
class Served:
    """One run over all jobs, which were there at time 0: its seconds, each job's first token and output."""

    seconds: float
    first_token_s: Sequence[float]
    token_ids: Sequence[Sequence[int]]
    peak_bytes: int = 0

    @property
    def tokens_per_second(self) -> float:
        """New tokens a second, over the whole run."""
        return sum(map(len, self.token_ids)) / self.seconds


class Side(Protocol):
    """An engine with its model loaded."""

    def describe(self) -> str:
        """Its version, and the settings it runs with."""

    def serve(self, jobs: Sequence[Job]) -> Served:
        """Take all jobs at once, and return when all have ended."""


class LoadSide(Protocol):
    """Makes a side, from what the benchmark says in its first line."""

    def __call__(self, checkpoint: Path, num_threads: int, settings: dict[str, Any]) -> Side:
        """Load the checkpoint; `settings` are the side's own."""


def answer(load: LoadSide) -> None:
    """The main loop of a side's process: load, warm up, then serve whatever comes on standard input."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print must not be taken for an answer

    def reply(message: dict[str, Any]) -> None:
        replies.write(json.dumps(message) + "\n")
        replies.flush()

    first = json.loads(sys.stdin.readline())
    side = load(Path(first["checkpoint"]), first["num_threads"], first["settings"])
    side.serve([Job(**job) for job in first["warmup"]])
    reply({"ready": side.describe()})
    for line in sys.stdin:
        _forget_peak()
        served = side.serve([Job(**job) for job in json.loads(line)["jobs"]])
        reply(asdict(served) | {"peak_bytes": _peak_bytes()})


def _forget_peak() -> None:
    """From here on Linux counts the process's peak memory anew; elsewhere it is that since its start."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_bytes() -> int:
    """Return the largest resident memory of this process."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


def check_lengths(name: str, jobs: Sequence[Job], token_ids: Sequence[Sequence[int]]) -> None:
    """A side that ended early would look fast.

    Raises:
        RuntimeError: an output is shorter or longer than was asked for.
    """
    asked, got = [job.num_new_tokens for job in jobs], [len(output) for output in token_ids]
    if asked != got:
        raise RuntimeError(f"{name} was asked for outputs of {asked} tokens and made {got}")

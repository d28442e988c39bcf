"""How a benchmark measures and prints: interleaved runs, median and spread, and the machine they ran on."""

import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import torch
from rich.console import Console
from rich.table import Table

T = TypeVar("T")


def take_turns(sides: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, list[T]]:
    """What each run of each side returned: the sides take turns, so that what slows the machine hits all."""
    results: dict[str, list[T]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, run in sides.items():
            results[name].append(run())
    return results


def interleaved(sides: Mapping[str, Callable[[], object]], repeats: int = 5) -> dict[str, list[float]]:
    """Seconds of each run of each side: one round warms up, then the sides take turns."""
    runs = take_turns({name: partial(_seconds, run) for name, run in sides.items()}, repeats + 1)
    return {name: seconds[1:] for name, seconds in runs.items()}


def _seconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def machine() -> str:
    """The machine that the figures hold for."""
    cores, threads = os.cpu_count(), torch.get_num_threads()
    return f"{platform.machine()}, {cores} cores, torch {torch.__version__} on {threads} threads"


def new_console() -> Console:
    """Standard output, at least as wide as the tables, into a file as well."""
    console = Console()
    console.width = max(console.width, 140)
    return console


def new_table(title: str, *headings: str) -> Table:
    """An empty table under a title: names stand left, figures right."""
    table = Table(title=f"{title}\n{machine()}", title_justify="left")
    table.add_column(headings[0])
    for heading in headings[1:]:
        table.add_column(heading, justify="right")
    return table


def report(title: str, unit: str, amount: float, seconds: Mapping[str, list[float]]) -> None:
    """Print `amount` per second of each side: median, slowest and fastest run."""
    table = new_table(title, "side", *(f"{which} {unit}/s" for which in ("median", "slowest", "fastest")))
    for name, runs in seconds.items():
        figures = (statistics.median(runs), max(runs), min(runs))
        table.add_row(name, *(f"{amount / figure:,.0f}" for figure in figures))
    new_console().print(table)


@dataclass(frozen=True)
class Served:
    """One run over all jobs, which were there at time 0: its seconds, each job's first token and output."""

    seconds: float
    first_token_s: Sequence[float]
    token_ids: Sequence[Sequence[int]]

    @property
    def tokens_per_second(self) -> float:
        """New tokens a second, over the whole run."""
        return sum(map(len, self.token_ids)) / self.seconds


def report_serving(title: str, runs: Mapping[str, Sequence[Served]], notes: Mapping[str, str]) -> None:
    """Print the sides' throughput and latency: medians over their runs, with slowest and fastest throughput.

    `notes` has a word on each side's tokens. Percentiles are by nearest rank: of 64 jobs, p99 is the worst.
    """
    headings = (
        "output tokens/s",
        "slowest",
        "fastest",
        "first token p50, s",
        "p99, s",
        "total, s",
        "outputs",
    )
    table = new_table(title, "side", *headings)
    for name, served in runs.items():
        rates = [one.tokens_per_second for one in served]
        waits = [
            statistics.median(_percentile(one.first_token_s, share) for one in served)
            for share in (0.5, 0.99)
        ]
        table.add_row(
            name,
            *(f"{rate:,.0f}" for rate in (statistics.median(rates), min(rates), max(rates))),
            *(f"{wait:.2f}" for wait in waits),
            f"{statistics.median(one.seconds for one in served):.2f}",
            notes[name],
        )
    new_console().print(table)


def _percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[math.ceil(share * len(values)) - 1]

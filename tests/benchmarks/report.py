"""How a benchmark measures and prints: interleaved runs, median and spread, and the machine they ran on."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

import psutil
import torch
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parents[2] / "bench-results"

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
    units = "with" if has_bf16_units() else "without"
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{platform.machine()}, {os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()} {units} "
        f"bfloat16 units, {memory:.0f} GiB; torch {torch.__version__} on {torch.get_num_threads()} threads"
    )


def has_bf16_units() -> bool:
    """Whether the CPU multiplies bfloat16 itself; without, it is slower than float32."""
    try:
        flags = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:  # not Linux
        return False
    return bool(flags & {"avx512_bf16", "amx_bf16", "bf16"})  # x86 by its two names, then Arm


def new_console() -> Console:
    """Standard output, at least as wide as the tables, into a file as well."""
    console = Console(record=True)
    console.width = max(console.width, 160)
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

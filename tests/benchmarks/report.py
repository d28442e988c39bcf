"""How a benchmark measures and prints: interleaved runs, median and spread, and the machine they ran on."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping

import torch
from rich.console import Console
from rich.table import Table


def interleaved(sides: Mapping[str, Callable[[], object]], repeats: int = 5) -> dict[str, list[float]]:
    """Seconds of each run of each side: one round warms up, then the sides take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(repeats + 1):
        for name, run in sides.items():
            started = time.perf_counter()
            run()
            if number:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def report(title: str, unit: str, amount: float, seconds: Mapping[str, list[float]]) -> None:
    """Print `amount` per second of each side: median, slowest and fastest run."""
    cores, threads = os.cpu_count(), torch.get_num_threads()
    machine = f"{platform.machine()}, {cores} cores, torch {torch.__version__} on {threads} threads"
    table = Table(title=f"{title}\n{machine}", title_justify="left")
    table.add_column("side")
    for heading in ("median", "slowest", "fastest"):
        table.add_column(f"{heading} {unit}/s", justify="right")
    for name, runs in seconds.items():
        figures = (statistics.median(runs), max(runs), min(runs))
        table.add_row(name, *(f"{amount / figure:,.0f}" for figure in figures))
    Console().print(table)

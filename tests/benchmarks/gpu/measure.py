"""How a GPU is measured: its limits, the time of a call, and where the figures go."""

import json
import statistics
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from rich.table import Table

from tests.benchmarks.bound import Limits
from tests.benchmarks.report import RESULTS, new_console

COPY_BYTES = 1 << 32  # many times an L2
PRODUCT_SIZE = 8192
REPEATS = 20


def require_cuda() -> None:
    """Skip the benchmark where there is no GPU to measure."""
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")


def measure_limits() -> Limits:
    """Measure what the device copies (bytes read and bytes written), and what it multiplies in bfloat16."""
    return Limits(copy_bytes_per_s(), {"bfloat16": product_flop_per_s(torch.bfloat16)})


def copy_bytes_per_s(num_bytes: int = COPY_BYTES) -> float:
    """Bytes/s of a copy from one large buffer to another: each byte is read once and written once."""
    source, target = (torch.empty(num_bytes // 4, dtype=torch.float32, device="cuda") for _ in range(2))
    source.normal_()
    return 2 * num_bytes / median_seconds(lambda: target.copy_(source))


def product_flop_per_s(dtype: torch.dtype, size: int = PRODUCT_SIZE) -> float:
    """FLOP/s of a product of two large square matrices of random numbers: zeros would run faster."""
    a, b = torch.randn(2, size, size, device="cuda").to(dtype)
    out = torch.empty_like(a)
    return 2 * size**3 / median_seconds(lambda: torch.mm(a, b, out=out))


def median_seconds(run: Callable[[], object]) -> float:
    """Seconds that the GPU takes for what `run` launches, without waiting for launches.

    It is recorded in a CUDA graph and replayed, as the engine's decode steps are.
    """
    for _ in range(3):  # compiles, chooses algorithms, and fills the allocator
        run()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    graph.replay()
    seconds = []
    for _ in range(REPEATS):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        graph.replay()
        end.record()
        end.synchronize()
        seconds.append(start.elapsed_time(end) / 1e3)
    return statistics.median(seconds)


def machine() -> dict[str, Any]:
    """The machine that the figures hold for, by its properties."""
    properties = torch.cuda.get_device_properties(0)
    return {
        "gpu": properties.name,
        "memory_gib": round(properties.total_memory / 2**30, 1),
        "multiprocessors": properties.multi_processor_count,
        **{package: installed(package) for package in ("torch", "triton", "flashinfer-python")},
    }


def installed(package: str) -> str | None:
    """A package's version; None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def save(name: str, figures: Mapping[str, Any], folder: Path = RESULTS) -> Path:
    """Write figures as JSON into a folder that git ignores, and return the file."""
    folder.mkdir(exist_ok=True)
    path = folder / f"gpu-{name}.json"
    path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return path


def publish(name: str, figures: Mapping[str, Any], table: Table, folder: Path = RESULTS) -> None:
    """Print a table, and save it as text beside its figures as JSON."""
    path = save(name, figures, folder)
    with path.with_suffix(".txt").open("w", encoding="utf-8") as file:
        Console(file=file, width=160).print(table)
    new_console().print(table, f"saved as {path}")

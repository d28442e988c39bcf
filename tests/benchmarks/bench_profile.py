"""Where the time of a run goes, by what is computed."""

import ctypes
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from rich.table import Table

from cblab.core import Engine, EngineConfig
from cblab.memory import count_parameters
from cblab.model import load_model
from tests.benchmarks.bound import Limits
from tests.benchmarks.report import new_console, new_table
from tests.benchmarks.sides.cblab_engine import POOL_BYTES, make_engine, serve
from tests.benchmarks.workloads import WORKLOADS, Workload

PRODUCTS = "matrix products"
KERNELS = {
    "multiply": PRODUCTS,
    "decode": "attention, decoding",
    "prefill": "attention, prompts",
    "write": "writing keys and values",
    "add_rms_norm": "norms",
    "apply_rope": "positions",
    "silu_and_mul": "activations",
}


@dataclass
class Stopwatch:
    """Seconds and calls of kernels, by what they compute."""

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    calls: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, kernel: str, started: float) -> None:
        """Count a call of a kernel that has just ended."""
        name = KERNELS[kernel]
        self.seconds[name] += time.perf_counter() - started
        self.calls[name] += 1


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", WORKLOADS)
def bench_where_the_time_goes(name: str, limits: Limits, results: Path, tmp_path: Path) -> None:
    workload = WORKLOADS[name](tmp_path)
    model = load_model(workload.checkpoint, dtype="float32")
    config = EngineConfig(kv_cache_memory_bytes=POOL_BYTES)
    serve(make_engine(model, config), workload.jobs[:4])  # kernels are compiled
    undisturbed = serve(make_engine(model, config), workload.jobs).seconds
    engine = make_engine(model, config)
    with kernels_on_the_clock() as watch:
        seconds = serve(engine, workload.jobs).seconds
    title = (
        f"{workload.describe()}\nattention: {engine.backend.name}, other operations: "
        f"{engine.runner.ops.name}; {seconds:.2f} s on the clock, {undisturbed:.2f} s without"
    )
    console = new_console()
    console.print(time_table(title, engine, watch, seconds))
    console.print(rate_of_products(workload, engine, watch, limits))
    (results / f"profile-{workload.name}.txt").write_text(console.export_text())


@contextmanager
def kernels_on_the_clock() -> Iterator[Stopwatch]:
    """Put a stopwatch around every kernel; what was recorded to run as one call is run one by one."""
    from cblab.attention.numba.kernel import Kernel
    from cblab.attention.numba.recording import Recording
    from cblab.attention.numba.threads import run

    watch, call_kernel = Stopwatch(), Kernel.__call__

    def timed_kernel(kernel: Kernel, *args: Any) -> None:
        started = time.perf_counter()
        call_kernel(kernel, *args)
        watch.add(kernel.name, started)

    def timed_recording(recording: Recording) -> None:
        for one in recording.calls:
            started = time.perf_counter()
            run(one.address, ctypes.addressof(one.call), one.num_workers)
            watch.add(one.kernel, started)

    with patch.object(Kernel, "__call__", timed_kernel), patch.object(Recording, "run", timed_recording):
        yield watch


def time_table(title: str, engine: Engine, watch: Stopwatch, seconds: float) -> Table:
    """Seconds, calls and shares; what is left of the forward passes is Python, copies and the embedding."""
    stats = engine.stats()
    forward_s = stats.prefill_s + stats.decode_s
    rows = {f"forward: {name}": spent for name, spent in watch.seconds.items()}
    rows["forward: everything else"] = forward_s - sum(watch.seconds.values())
    rows |= {name: getattr(stats, f"{name}_s") for name in ("schedule", "build", "sample", "output")}
    rows["around the steps"] = seconds - sum(rows.values())
    table = new_table(title, "what", "seconds", "share", "a step, ms", "calls a step")
    for name, spent in sorted(rows.items(), key=lambda item: -item[1]):
        calls = watch.calls.get(name.removeprefix("forward: "))
        table.add_row(
            name,
            f"{spent:.3f}",
            f"{spent / seconds:.1%}",
            f"{1000 * spent / stats.num_steps:.3f}",
            "" if calls is None else f"{calls / stats.num_steps:.1f}",
        )
    return table


def rate_of_products(workload: Workload, engine: Engine, watch: Stopwatch, limits: Limits) -> str:
    """How near the matrix products come to the machine's rate, at the rows that the run's steps had."""
    stats, counts = engine.stats(), count_parameters(workload.config)
    num_tokens = stats.num_prefill_tokens + stats.num_decode_tokens
    flop = 2 * num_tokens * (counts.attention + counts.mlp)
    flop += 2 * stats.num_generated_tokens * (counts.lm_head or counts.embedding)
    rate, limit = flop / watch.seconds[PRODUCTS], limits.flop_per_s["float32"]
    return (
        f"Matrix products: {rate / 1e9:.0f} GFLOP/s over the run, {rate / limit:.0%} of a large one's "
        f"{limit / 1e9:.0f}; {num_tokens / stats.num_steps:.0f} rows a step on average."
    )

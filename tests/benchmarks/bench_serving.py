"""Many requests at once: cblab by each of its paths beside its peers, all against what the machine allows."""

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from itertools import product
from pathlib import Path

import pytest

from tests.benchmarks.agreement import Judge
from tests.benchmarks.bound import Limits, compute_bound
from tests.benchmarks.report import new_console, new_table, take_turns
from tests.benchmarks.serving_report import ServingResult, SideResult
from tests.benchmarks.sides.process import SideError, SideProcess, SideSpec, start
from tests.benchmarks.sides.protocol import Job
from tests.benchmarks.workloads import BACKENDS, THREADS, WORKLOADS, Workload

ROUNDS, ROUNDS_IN_FULL = 2, 5
MORE_ROUNDS = 2  # of the sides that take seconds: these take many times as long
SLOW_SIDES = ("transformers", "cblab, torch")
NUM_WARMUP_JOBS, WARMUP_TOKENS = 4, 4

# Settings of transformers that did well on two cores; `make bench-full` looks for the fastest.
STATIC_SETTINGS = {
    "S": (16, "sorted by prompt length"),
    "M": (24, "in order of arrival"),
    "story-4m": (32, "in order of arrival"),
}
CONTINUOUS_SETTINGS = {"S": 32, "M": 24, "story-4m": 32}
STATIC_SIZES, CONTINUOUS_SIZES = (8, 16, 32, 64), (16, 32, 64)
SERVICE_ORDERS = ("in order of arrival", "sorted by prompt length")


@pytest.mark.timeout(3600)  # minutes on two quiet cores, more on busy ones
@pytest.mark.parametrize("name", WORKLOADS)
def bench_serving(
    name: str, full: bool, peers: Path | None, limits: Limits, results: Path, tmp_path: Path
) -> None:
    workload = WORKLOADS[name](tmp_path)
    dtypes = tuple(limits.flop_per_s)
    theirs = fastest_transformers(workload) if full else known_transformers(name)
    specs = [*cblab_sides(dtypes), *theirs, *([] if peers is None else peer_sides(dtypes, peers))]
    result = measure(workload, specs, limits, full)
    result.save(results)
    wrong = [
        side.name
        for side in result.sides
        if side.name.startswith("cblab") and side.dtype == "float32" and side.agreement.num_different
    ]
    assert not wrong, "cblab's tokens are not transformers'"


def measure(workload: Workload, specs: Sequence[SideSpec], limits: Limits, full: bool) -> ServingResult:
    """Start all sides, let them take turns, and judge the tokens of each one's last run."""
    missing: dict[str, str] = {}
    with ExitStack() as stack:
        running = [one for spec in specs if (one := _start(spec, workload, stack, missing)) is not None]
        serving = {one.spec.name: partial(one.serve, workload.jobs) for one in running}
        runs = take_turns(serving, ROUNDS_IN_FULL if full else ROUNDS)
        if not full:
            fast = {name: serve for name, serve in serving.items() if not name.startswith(SLOW_SIDES)}
            for name, more in take_turns(fast, MORE_ROUNDS).items():
                runs[name] += more
    judge = Judge(workload.checkpoint)
    sides = [
        SideResult(
            one.spec.name,
            one.description,
            one.spec.dtype,
            runs[one.spec.name],
            compute_bound(workload.config, workload.jobs, limits, one.spec.dtype),
            judge.compare(workload.jobs, runs[one.spec.name][-1].token_ids),
        )
        for one in running
    ]
    return ServingResult(workload.name, workload.describe(), limits, sides, missing)


def _start(
    spec: SideSpec, workload: Workload, stack: ExitStack, missing: dict[str, str]
) -> SideProcess | None:
    """Start a side; a peer that cannot is noted, with what it said last. cblab itself must."""
    warmup = [Job(job.prompt, WARMUP_TOKENS) for job in workload.jobs[:NUM_WARMUP_JOBS]]
    try:
        return stack.enter_context(start(spec, workload.checkpoint, warmup, THREADS))
    except (SideError, FileNotFoundError) as error:
        if spec.module == "cblab_engine":
            raise
        missing[spec.name] = str(error)
        return None


def cblab_sides(dtypes: Sequence[str]) -> list[SideSpec]:
    """Every attention backend in every dtype that the CPU computes in."""
    return [
        SideSpec(
            f"cblab, {backend}, {dtype}",
            "cblab_engine",
            {"dtype": dtype, "backend": backend},
            dtype,
        )
        for dtype, backend in product(dtypes, BACKENDS)
    ]


def static_side(size: int, order: str) -> SideSpec:
    """transformers' `generate` over batches of this size."""
    settings = {"dtype": "float32", "mode": "static", "size": size, "order": order}
    return SideSpec("transformers, static batches", "transformers_generate", settings)


def continuous_side(size: int) -> SideSpec:
    """transformers' continuous batching of at most `size` requests."""
    settings = {"dtype": "float32", "mode": "continuous", "size": size}
    return SideSpec("transformers, continuous batching", "transformers_generate", settings)


def known_transformers(name: str) -> list[SideSpec]:
    """transformers with the settings that were its fastest."""
    return [static_side(*STATIC_SETTINGS[name]), continuous_side(CONTINUOUS_SETTINGS[name])]


def fastest_transformers(workload: Workload) -> list[SideSpec]:
    """Try all settings once, and return the fastest of each kind, and of the batches told output lengths.

    No service knows how long an output will be; what static batches would gain by it is shown beside.
    """
    sizes = [size for size in STATIC_SIZES if size < len(workload.jobs)]
    whole = static_side(len(workload.jobs), SERVICE_ORDERS[0])  # one batch: the order makes no difference
    told = [static_side(size, "sorted by output length") for size in sizes]
    best_told = _fastest(workload, "static batches told the output lengths", told)
    return [
        _fastest(
            workload,
            "static batches",
            [*(static_side(size, order) for size, order in product(sizes, SERVICE_ORDERS)), whole],
        ),
        SideSpec(
            "transformers, static batches told the output lengths", best_told.module, best_told.settings
        ),
        _fastest(workload, "continuous batching", [continuous_side(size) for size in CONTINUOUS_SIZES]),
    ]


def _fastest(workload: Workload, title: str, specs: Sequence[SideSpec]) -> SideSpec:
    """Run each side once, print them all, and return the fastest."""
    table = new_table(f"{workload.name}: transformers' fastest {title}, one run each", "settings", "tokens/s")
    rates = []
    for spec in specs:
        missing: dict[str, str] = {}
        with ExitStack() as stack:
            side = _start(spec, workload, stack, missing)
            rates.append(0.0 if side is None else side.serve(workload.jobs).tokens_per_second)
            table.add_row(side.description if side else str(missing), f"{rates[-1]:,.0f}")
    new_console().print(table)
    return specs[rates.index(max(rates))]


def peer_sides(dtypes: Sequence[str], python: Path) -> list[SideSpec]:
    """OpenVINO GenAI and llama.cpp, in the environment that `make bench-full` makes for them.

    OpenVINO computes in bfloat16 by itself where there are units, and stores keys and values in eight bits:
    a row at equal precision must say so.
    """
    return [
        side for dtype in dtypes for side in (*openvino_sides(dtype, python), *llama_cpp_sides(dtype, python))
    ]


def openvino_sides(dtype: str, python: Path) -> list[SideSpec]:
    """Keys and values in the same precision, and in OpenVINO's own choice."""
    precision = {"float32": "f32", "bfloat16": "bf16"}[dtype]
    scheduling = {"max_num_batched_tokens": 512, "dynamic_split_fuse": True}
    return [
        SideSpec(
            f"OpenVINO GenAI, {dtype}, {words}",
            "openvino_genai",
            {"precision": precision, "kv_precision": kv_precision} | scheduling,
            dtype,
            python,
        )
        for kv_precision, words in ((precision, "KV too"), (None, "KV by default"))
    ]


def llama_cpp_sides(dtype: str, python: Path) -> list[SideSpec]:
    """Its two kinds of cache: which is faster depends on the model."""
    return [
        SideSpec(
            f"llama.cpp, {dtype}, {words}",
            "llama_cpp_batches",
            {"dtype": dtype, "kv_unified": kv_unified},
            dtype,
            python,
        )
        for kv_unified, words in ((True, "one cache"), (False, "a cache each"))
    ]

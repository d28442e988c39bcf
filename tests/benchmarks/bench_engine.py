"""Mixed requests at once on the bundled model: cblab's engine beside transformers; where its time goes."""

import math
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product
from typing import Any

import pytest
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.autograd.profiler_util import FunctionEvent
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile, record_function

from cblab import assets
from cblab.attention.backends import get_backend
from cblab.core.engine import Engine
from cblab.core.outputs import RequestOutput
from cblab.core.parts import Parts
from cblab.core.sampler import sample
from cblab.core.sampling_params import SamplingParams
from cblab.model import Decoder, load_model
from cblab.tokenization import load_tokenizer
from cblab.training.corpus import iter_documents
from tests.benchmarks.peers import (
    ORDERS,
    Job,
    compare,
    load_peer,
    serve_batches,
    serve_continuously,
    serve_one_by_one,
)
from tests.benchmarks.report import Served, interleaved, new_console, new_table, report_serving, take_turns

NUM_JOBS = 64
PROMPT_TOKENS = (8, 256)
NEW_TOKENS = (16, 256)
THREADS = 2
ROUNDS = 3
STATIC_SIZES = (8, 16, 32, 64)
CONTINUOUS_SIZES = (16, 32, 64)

PROFILED_STEPS = 48
MEMORY_BYTES = 1 << 28  # far more than any cache holds

ATTENTION, SAMPLING = "attention, its gathering included", "sampling"
ELEMENTWISE = "norms, activations, positions, embedding and copies"
KINDS = {
    "matrix products": ("aten::mm", "aten::addmm", "aten::bmm", "aten::linear", "aten::matmul"),
    "writing keys and values": ("aten::index_put_", "aten::_index_put_impl_", "aten::index_copy_"),
}


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    yield
    torch.set_num_threads(before)


def make_jobs(seed: int = 7) -> list[Job]:
    """Beginnings of documents, each its own; both lengths are log-uniform: many short ones, few long ones."""
    tokenizer = load_tokenizer(assets.path())
    rng = random.Random(seed)
    encoded = (tokenizer.encode(document) for document in iter_documents(seed))
    long_enough = (ids for ids in encoded if len(ids) >= PROMPT_TOKENS[1])

    def draw(least: int, most: int) -> int:
        return round(math.exp(rng.uniform(math.log(least), math.log(most))))

    return [Job(next(long_enough)[: draw(*PROMPT_TOKENS)], draw(*NEW_TOKENS)) for _ in range(NUM_JOBS)]


@pytest.mark.timeout(900)  # minutes on two quiet cores, more on busy ones
def bench_serving() -> None:
    jobs = make_jobs()
    ours, theirs = load_model(assets.path(), dtype="float32"), load_peer()
    *orders, by_output = ORDERS
    batches = best("static batches", static_sides(theirs, jobs, orders))
    # No service knows how long an output will be; what static batches would gain by it is shown beside.
    told = best("static batches that know each output's length", static_sides(theirs, jobs, [by_output]))
    continuous = best("continuous batching", continuous_sides(theirs, jobs))
    sides: dict[str, Callable[[], Served]] = {
        "cblab": lambda: serve(make_engine(ours), jobs),
        "transformers, one by one": lambda: serve_one_by_one(theirs, jobs),
        f"transformers, static batches {batches[0]}": batches[1],
        f"transformers, static batches told the output lengths, {told[0]}": told[1],
        f"transformers, its continuous batching, {continuous[0]}": continuous[1],
    }
    runs = take_turns(sides, ROUNDS)
    reference = runs["transformers, one by one"][0].token_ids
    found = {name: compare(theirs, jobs, served[-1].token_ids, reference) for name, served in runs.items()}
    title = f"story-4m, float32, {describe(jobs)}"
    report_serving(title, runs, {name: str(agreement) for name, agreement in found.items()})
    assert found["cblab"].num_wrong == 0, "cblab's tokens are not transformers'"


def describe(jobs: Sequence[Job]) -> str:
    prompts, news = [len(job.prompt) for job in jobs], [job.num_new_tokens for job in jobs]
    return (
        f"{len(jobs)} requests at once, greedy: prompts of {min(prompts)}-{max(prompts)} tokens "
        f"({sum(prompts):,}), outputs of {min(news)}-{max(news)} ({sum(news):,})"
    )


def static_sides(model: Any, jobs: Sequence[Job], orders: Sequence[str]) -> dict[str, Callable[[], Served]]:
    """Every batch size in these orders; where one batch holds all, the order makes no difference."""
    return {
        f"of {size}, {order}": partial(serve_batches, model, jobs, size, order)
        for size, order in product(STATIC_SIZES, orders)
        if size < len(jobs) or order == orders[0]
    }


def continuous_sides(model: Any, jobs: Sequence[Job]) -> dict[str, Callable[[], Served]]:
    """Its attention reads all running sequences for each of them, so that more at once can be slower."""
    return {
        f"at most {size} at once": partial(serve_continuously, model, jobs, size) for size in CONTINUOUS_SIZES
    }


def best(title: str, sides: dict[str, Callable[[], Served]]) -> tuple[str, Callable[[], Served]]:
    """Run each side once, print them all, and return the fastest with its name."""
    runs = {name: served[0] for name, served in take_turns(sides, 1).items()}
    winner = min(runs, key=lambda name: runs[name].seconds)
    table = new_table(
        f"Looking for transformers' fastest {title}, one run each", title, "output tokens/s", "total, s"
    )
    for name, one in runs.items():
        mark = " <- the fastest" if name == winner else ""
        table.add_row(name + mark, f"{one.tokens_per_second:,.0f}", f"{one.seconds:.2f}")
    new_console().print(table)
    return winner, sides[winner]


def make_engine(model: Decoder, parts: Parts | None = None) -> Engine:
    """A fresh engine for each run, with its default settings: nothing of the run before is in its cache."""
    engine = Engine(model, load_tokenizer(assets.path()), parts=parts)
    engine.warmup()
    return engine


def serve(engine: Engine, jobs: Sequence[Job]) -> Served:
    """All jobs added at once, and steps until all have ended."""
    started = time.perf_counter()
    names = add_all(engine, jobs)
    outputs: dict[str, RequestOutput] = {}
    first_token_s: dict[str, float] = {}
    while engine.has_unfinished:
        for output in engine.step():
            outputs[output.request_id] = output
            if output.outputs[0].token_ids:
                first_token_s.setdefault(output.request_id, time.perf_counter() - started)
    seconds = time.perf_counter() - started
    token_ids = [outputs[name].outputs[0].token_ids for name in names]
    return Served(seconds, [first_token_s[name] for name in names], token_ids)


def add_all(engine: Engine, jobs: Sequence[Job]) -> list[str]:
    """Add the jobs as requests, and return their names."""
    return [
        engine.add_request(
            job.prompt, SamplingParams(temperature=0, max_tokens=job.num_new_tokens, ignore_eos=True)
        )
        for job in jobs
    ]


@pytest.mark.timeout(900)
def bench_where_the_time_goes() -> None:
    jobs = make_jobs()
    model = load_model(assets.path(), dtype="float32")
    serve(make_engine(model), jobs)
    engine = make_engine(model)
    seconds = serve(engine, jobs).seconds
    console = new_console()
    console.print(f"\ncblab, {describe(jobs)}: {seconds:.2f} s by Engine.stats()", engine.stats(), sep="\n")
    undisturbed = first_steps(make_engine(model), jobs)
    labelled = make_engine(model, labelled_parts())
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        profiled = first_steps(labelled, jobs)
    console.print(operator_table(profiler.events() or [], profiled, undisturbed))
    report_limits(console, engine, jobs, seconds)


def first_steps(engine: Engine, jobs: Sequence[Job]) -> float:
    """Seconds of a run's first steps: enough for all prompts, and for decoding at full width behind them."""
    add_all(engine, jobs)
    started = time.perf_counter()
    for _ in range(PROFILED_STEPS):
        engine.step()
    return time.perf_counter() - started


def labelled_parts() -> Parts:
    """cblab's own attention and sampler, with their names in the profile."""

    def labelled(label: str, part: Any) -> Any:
        def run(*args: Any) -> Any:
            with record_function(label):
                return part(*args)

        return run

    backend = get_backend("auto", "cpu")
    return Parts(
        paged_decode=labelled(ATTENTION, backend.decode),
        paged_prefill=labelled(ATTENTION, backend.prefill),
        sampler=labelled(SAMPLING, sample),
    )


def operator_table(events: Sequence[FunctionEvent], seconds: float, undisturbed: float) -> Table:
    """Seconds by kind of operator; what no operator accounts for is Python and the profiler's own work."""
    spent: dict[str, float] = defaultdict(float)
    for event in events:
        kind = _kind(event)
        if kind is not None:
            whole = event.name in (ATTENTION, SAMPLING)
            spent[kind] += (event.cpu_time_total if whole else event.self_cpu_time_total) / 1e6
    spent["Python and everything else"] = seconds - sum(spent.values())
    title = (
        f"cblab's first {PROFILED_STEPS} steps by kind of operator, under torch.profiler "
        f"({seconds:.2f} s; without it {undisturbed:.2f} s)"
    )
    table = new_table(title, "kind", "seconds", "share")
    for kind, one in sorted(spent.items(), key=lambda item: -item[1]):
        table.add_row(kind, f"{one:.3f}", f"{one / seconds:.1%}")
    return table


def _kind(event: FunctionEvent) -> str | None:
    """What an operator's own time counts as; None where it is part of a labelled whole."""
    outer = event.cpu_parent
    while outer is not None:
        if outer.name in (ATTENTION, SAMPLING):
            return None
        outer = outer.cpu_parent
    if event.name in (ATTENTION, SAMPLING):
        return event.name
    return next((kind for kind, names in KINDS.items() if event.name in names), ELEMENTWISE)


def report_limits(console: Console, engine: Engine, jobs: Sequence[Job], seconds: float) -> None:
    """Print what the run asks of the machine, what the machine is measured to give, and which limit binds."""
    stats, model = engine.stats(), engine.runner.model
    weights = [weight for weight in model.parameters() if weight.dim() == 2]
    num_tokens = stats.num_prefill_tokens + stats.num_decode_tokens
    flop = 2 * num_tokens * sum(weight.numel() for weight in weights)
    # The output layer (tied: the embedding) is computed for the rows alone that are sampled from.
    flop -= 2 * (num_tokens - stats.num_generated_tokens) * model.config.vocab_size * model.config.hidden_size
    rows = max(1, round(num_tokens / stats.num_steps))  # on average
    weight_bytes = sum(weight.nbytes for weight in weights)
    kv_bytes = num_tokens_read(jobs) * engine.cache.bytes_per_block // engine.config.block_size
    needs = {
        f"matrix products at {NUM_JOBS} rows": (flop, matmul_rate(weights, NUM_JOBS), "FLOP"),
        f"matrix products at {rows} rows, the run's mean": (flop, matmul_rate(weights, rows), "FLOP"),
        "reading the weights once a step": (weight_bytes * stats.num_steps, read_rate(weight_bytes), "B"),
        "reading keys and values to decode": (kv_bytes, read_rate(MEMORY_BYTES), "B"),
    }
    least = {name: amount / rate for name, (amount, rate, _) in needs.items()}
    table = new_table("What the machine allows", "limit", "needed", "measured", "least, s", "of the run")
    for name, (amount, rate, unit) in needs.items():
        figures = f"{amount / 1e9:,.1f} G{unit}", f"{rate / 1e9:,.1f} G{unit}/s"
        table.add_row(name, *figures, f"{least[name]:.3f}", f"{least[name] / seconds:.1%}")
    binding = max(least, key=lambda name: least[name])
    console.print(
        table,
        f"Of these limits the one that binds is {binding}: {least[binding]:.2f} s of {seconds:.2f} s. "
        f"What fills the other {1 - least[binding] / seconds:.0%} stands in the table by kind of operator.",
        sep="\n",
    )


def num_tokens_read(jobs: Sequence[Job]) -> int:
    """Cached tokens that all decodes read: each token after the first reads those before it, and itself."""
    return sum(len(job.prompt) + number for job in jobs for number in range(1, job.num_new_tokens))


def matmul_rate(weights: Sequence[Tensor], num_rows: int) -> float:
    """FLOP/s of the model's matrix products at so many rows, one after another as in a forward pass."""
    inputs = [torch.randn(num_rows, weight.shape[1]) for weight in weights]

    @torch.inference_mode()
    def run() -> None:
        for x, weight in zip(inputs, weights, strict=True):
            F.linear(x, weight)

    return 2 * num_rows * sum(weight.numel() for weight in weights) / fastest(run)


def read_rate(num_bytes: int) -> float:
    """Bytes/s at which so many bytes are read again and again: from a cache, if they fit into one."""
    values = torch.ones(num_bytes // 4)
    return num_bytes / fastest(lambda: values.sum())


def fastest(run: Callable[[], object], repeats: int = 30) -> float:
    """Seconds of the fastest run: a limit is what the machine can do, not what it does on average."""
    return min(interleaved({"": run}, repeats)[""])

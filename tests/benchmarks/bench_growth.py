"""How the cost of a step grows: with the context, the batch, the waiting queue, and the pool of blocks."""

import json
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from cblab.core import Engine, EngineConfig, SamplingParams
from cblab.model import Decoder
from cblab.model.config import ModelConfig, RopeConfig
from tests.benchmarks.report import machine, new_console, new_table
from tests.benchmarks.workloads import BACKENDS, S

CONTEXTS = (128, 512, 2048, 8192)
BATCHES = (1, 4, 16, 64, 256)
WAITING = (10, 100, 1000, 10_000, 100_000)
POOLS = (1000, 10_000, 100_000, 1_000_000)
CONTEXT_OF_BATCHES = 128
NUM_STEPS, NUM_STEPS_IN_FULL = 20, 100

# A model of next to no arithmetic, whose block of 16 tokens takes a kilobyte: what is left is bookkeeping.
TINY = ModelConfig(
    vocab_size=64,
    hidden_size=8,
    intermediate_size=8,
    num_layers=1,
    num_heads=1,
    num_kv_heads=1,
    head_dim=8,
    max_position_embeddings=512,
    rope=RopeConfig(),
)
TINY_PROMPT = [1] * 20


@dataclass(frozen=True)
class Curve:
    """Milliseconds by size."""

    name: str
    milliseconds: dict[int, float]


@dataclass(frozen=True)
class Panel:
    """The curves over one size."""

    size: str
    curves: Sequence[Curve]


@pytest.mark.timeout(3600)
def bench_growth(full: bool, results: Path) -> None:
    num_steps = NUM_STEPS_IN_FULL if full else NUM_STEPS
    panels = [
        Panel("context, tokens", [_by_context(backend, num_steps) for backend in BACKENDS]),
        Panel("batch, requests", [_by_batch(backend, num_steps) for backend in BACKENDS]),
        Panel("waiting requests", _by_waiting(num_steps)),
        Panel("blocks in the pool", _by_pool(num_steps)),
    ]
    console = new_console()
    for panel in panels:
        sizes = list(panel.curves[0].milliseconds)
        table = new_table(f"Milliseconds by {panel.size}", "what", *(f"{size:,}" for size in sizes))
        for curve in panel.curves:
            table.add_row(curve.name, *(f"{curve.milliseconds[size]:.3f}" for size in sizes))
        console.print(table)
    (results / "growth.txt").write_text(console.export_text())
    figures: Mapping[str, object] = {
        panel.size: {curve.name: curve.milliseconds for curve in panel.curves} for panel in panels
    }
    (results / "growth.json").write_text(
        json.dumps({"machine": machine(), "milliseconds": figures}, indent=1)
    )
    _draw(panels, results / "growth.png")


def _by_context(backend: str, num_steps: int) -> Curve:
    """A decode step of one request, on workload S's model."""
    model = _model_of_s()
    steps = {context: _decode_step_s(model, backend, 1, context, num_steps) for context in CONTEXTS}
    return _curve(f"decode step, {backend}", steps)


def _by_batch(backend: str, num_steps: int) -> Curve:
    """A decode step of more and more requests, on the same model."""
    model = _model_of_s()
    steps = {size: _decode_step_s(model, backend, size, CONTEXT_OF_BATCHES, num_steps) for size in BATCHES}
    return _curve(f"decode step, {backend}", steps)


def _decode_step_s(model: Decoder, backend: str, num_seqs: int, context: int, num_steps: int) -> float:
    """Median seconds of a step in which all sequences decode.

    Their prompts are computed once before: the second time they are found in the prefix cache, and all
    sequences get to decode within a step or two.
    """
    blocks_per_seq = -(-(context + num_steps + 8) // 16)
    engine = Engine(
        model,
        config=EngineConfig(
            attention_backend=backend,
            max_num_seqs=num_seqs,
            max_num_batched_tokens=4096,
            prefill_chunk_size=1024,
            num_blocks=2 * num_seqs * blocks_per_seq,
        ),
    )
    rng = random.Random(num_seqs * context)
    prompts = [rng.choices(range(model.config.vocab_size), k=context) for _ in range(num_seqs)]
    for max_tokens in (1, num_steps + 8):
        for prompt in prompts:
            engine.add_request(prompt, SamplingParams(temperature=0, max_tokens=max_tokens, ignore_eos=True))
        if max_tokens == 1:
            _step_until(engine, lambda: not engine.has_unfinished)
    computed = engine.stats().num_decode_tokens
    _step_until(engine, lambda: engine.stats().num_decode_tokens - computed >= num_seqs)
    return statistics.median(_step_seconds(engine, num_steps))


def _by_waiting(num_steps: int) -> list[Curve]:
    """Steps of 64 running requests, with more and more that wait behind them."""
    whole: dict[int, float] = {}
    scheduling: dict[int, float] = {}
    adding: dict[int, float] = {}
    for count in WAITING:
        engine = _tiny_engine(num_blocks=4096)
        started = time.perf_counter()
        _add_tiny(engine, 64 + count, num_steps)
        adding[count] = (time.perf_counter() - started) / (64 + count)
        whole[count], scheduling[count] = _running_steps(engine, num_steps)
    return [_curve("step", whole), _curve("scheduling in it", scheduling), _curve("adding a request", adding)]


def _by_pool(num_steps: int) -> list[Curve]:
    """Steps of 64 running requests in pools of more and more blocks."""
    whole: dict[int, float] = {}
    scheduling: dict[int, float] = {}
    for num_blocks in POOLS:
        engine = _tiny_engine(num_blocks)
        _add_tiny(engine, 64, num_steps)
        whole[num_blocks], scheduling[num_blocks] = _running_steps(engine, num_steps)
    return [_curve("step", whole), _curve("scheduling in it", scheduling)]


def _running_steps(engine: Engine, num_steps: int) -> tuple[float, float]:
    """Median seconds of a step in which all seats decode, and mean seconds of scheduling in it."""
    _step_until(engine, lambda: engine.stats().num_running == 64)
    for _ in range(4):  # until the last prompt is computed
        engine.step()
    before = engine.stats().schedule_s
    whole = statistics.median(_step_seconds(engine, num_steps))
    return whole, (engine.stats().schedule_s - before) / num_steps


def _tiny_engine(num_blocks: int) -> Engine:
    torch.manual_seed(0)
    config = EngineConfig(num_blocks=num_blocks, max_num_batched_tokens=4096, attention_backend="torch")
    return Engine(Decoder(TINY), config=config)


def _add_tiny(engine: Engine, count: int, num_steps: int) -> None:
    params = SamplingParams(temperature=0, max_tokens=num_steps + 16, ignore_eos=True)
    for _ in range(count):
        engine.add_request(TINY_PROMPT, params)


def _model_of_s() -> Decoder:
    torch.manual_seed(0)
    config = ModelConfig(
        vocab_size=S.vocab_size,
        hidden_size=S.hidden_size,
        intermediate_size=S.intermediate_size,
        num_layers=S.num_layers,
        num_heads=S.num_heads,
        num_kv_heads=S.num_kv_heads,
        head_dim=S.hidden_size // S.num_heads,
        max_position_embeddings=2 * CONTEXTS[-1],
        rope=RopeConfig(),
    )
    return Decoder(config)


def _step_until(engine: Engine, is_done: Callable[[], bool]) -> None:
    while not is_done():
        engine.step()


def _step_seconds(engine: Engine, num_steps: int) -> list[float]:
    seconds = []
    for _ in range(num_steps):
        started = time.perf_counter()
        engine.step()
        seconds.append(time.perf_counter() - started)
    return seconds


def _curve(name: str, seconds: Mapping[int, float]) -> Curve:
    return Curve(name, {size: 1000 * one for size, one in seconds.items()})


def _draw(panels: Sequence[Panel], path: Path) -> None:
    figure = Figure(figsize=(11, 7), layout="constrained")
    figure.suptitle(f"How the cost of a step grows\n{machine()}", fontsize=9)
    plots: list[Axes] = list(figure.subplots(2, 2).flat)
    for axes, panel in zip(plots, panels, strict=True):
        for curve in panel.curves:
            axes.loglog(list(curve.milliseconds), list(curve.milliseconds.values()), "o-", label=curve.name)
        axes.set_xlabel(panel.size)
        axes.set_ylabel("milliseconds")
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8, ncols=3, frameon=False, loc="lower left", bbox_to_anchor=(0, 1))
    figure.savefig(path, dpi=150)

"""The whole engine on a model with random weights: many requests at once, beside their bound."""

import random
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch
from rich.table import Table

from cblab.core.config import EngineConfig
from cblab.core.engine import Engine
from cblab.core.sampling_params import SamplingParams
from cblab.model import Decoder, ModelConfig, RopeConfig
from tests.benchmarks.bound import Limits, compute_bound
from tests.benchmarks.sides.protocol import Job, Served

# Qwen3-0.6B's config.json, with as many positions as the jobs need.
QWEN3_SHAPE = ModelConfig(
    vocab_size=151_936,
    hidden_size=1024,
    intermediate_size=3072,
    num_layers=28,
    num_heads=16,
    num_kv_heads=8,
    head_dim=128,
    max_position_embeddings=2048,
    rope=RopeConfig(theta=1e6),
    qk_norm=True,
    tie_word_embeddings=True,
    family="qwen3",
    dtype="bfloat16",
)


def draw_jobs(config: ModelConfig, count: int, least: int, most: int, seed: int = 7) -> list[Job]:
    """Prompts of random tokens, and lengths of outputs: both uniform from `least` to `most`."""
    rng = random.Random(seed)
    return [
        Job(rng.choices(range(config.vocab_size), k=rng.randint(least, most)), rng.randint(least, most))
        for _ in range(count)
    ]


def random_model(config: ModelConfig, device: str) -> Decoder:
    """A Decoder with fresh weights in the config's dtype, made on the device."""
    torch.manual_seed(0)
    with torch.device(device):
        model = Decoder(config)
    return model.to(getattr(torch, config.dtype)).eval()


def serve(engine: Engine, jobs: Sequence[Job]) -> Served:
    """Take all jobs at once, greedy and whatever token comes, and return when all have ended."""
    names: dict[str, int] = {}
    started = time.perf_counter()
    for job in jobs:
        params = SamplingParams(temperature=0, max_tokens=job.num_new_tokens, ignore_eos=True)
        names[engine.add_request(job.prompt, params)] = len(names)
    first, tokens = [0.0] * len(jobs), [[0]] * len(jobs)
    while engine.has_unfinished:
        for output in engine.step():
            index = names[output.request_id]
            first[index] = first[index] or time.perf_counter() - started
            if output.finished:
                tokens[index] = list(output.outputs[0].token_ids)
    return Served(time.perf_counter() - started, first, tokens)


def measure(
    model: Decoder, jobs: Sequence[Job], config: EngineConfig, limits: Limits, rounds: int = 2
) -> dict[str, Any]:
    """Serve the jobs some times in a row on one engine, and put the runs beside their bound.

    Prefixes are not kept: each run computes all its prompts. A short run first records and compiles.
    """
    engine = Engine(model, None, config)
    started = time.perf_counter()
    engine.warmup()
    serve(engine, [Job(job.prompt, min(job.num_new_tokens, 4)) for job in jobs])
    warmup_s = time.perf_counter() - started
    runs = []
    for _ in range(rounds):
        before = engine.stats()
        served = serve(engine, jobs)
        after = engine.stats()
        assert [len(one) for one in served.token_ids] == [job.num_new_tokens for job in jobs]
        names = ("num_steps", "num_preemptions", "schedule_s", "build_s", "prefill_s", "decode_s", "sample_s")
        spent = {name: getattr(after, name) - getattr(before, name) for name in (*names, "output_s")}
        runs.append({"seconds": served.seconds, "tokens_per_second": served.tokens_per_second, **spent})
    bound = compute_bound(model.config, jobs, limits, model.config.dtype)
    return {
        "attention": engine.backend.name,
        "num_jobs": len(jobs),
        "num_prompt_tokens": sum(len(job.prompt) for job in jobs),
        "num_new_tokens": bound.num_new_tokens,
        "warmup_s": warmup_s,
        "limits": asdict(limits),
        "bound": {**asdict(bound), "tokens_per_second": bound.tokens_per_second},
        "runs": runs,
    }


def end_to_end_table(figures: dict[str, Any]) -> Table:
    """A row for each run, and the bound's last."""
    bound = figures["bound"]
    title = (
        f"{figures['num_jobs']} requests at once, {figures['num_prompt_tokens']:,} prompt tokens, "
        f"{figures['num_new_tokens']:,} new ones; attention: {figures['attention']}\n"
        f"{figures.get('machine', '')}\n"
        "phases are of the host: what a GPU has still to compute is waited for in sample_s"
    )
    phases = ("prefill_s", "decode_s", "sample_s", "schedule_s", "build_s", "output_s")
    table = Table(
        "", "output tokens/s", "of the bound", "seconds", *phases, "steps", title=title, title_justify="left"
    )
    for number, run in enumerate(figures["runs"], 1):
        table.add_row(
            f"run {number}",
            f"{run['tokens_per_second']:,.0f}",
            f"{run['tokens_per_second'] / bound['tokens_per_second']:.2f}",
            f"{run['seconds']:.2f}",
            *(f"{run[phase]:.2f}" for phase in phases),
            f"{run['num_steps']:,}",
        )
    decode_s = bound["decode_products_s"] + bound["decode_weights_s"] + bound["decode_kv_s"]
    seconds = bound["prefill_s"] + decode_s
    figures_of_bound = (f"{seconds:.2f}", f"{bound['prefill_s']:.2f}", f"{decode_s:.2f}")
    table.add_row("bound", f"{bound['tokens_per_second']:,.0f}", "1.00", *figures_of_bound)
    return table

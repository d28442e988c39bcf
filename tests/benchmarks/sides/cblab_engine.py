"""cblab's own side: a fresh engine for each run, so that nothing of the run before is in its cache."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from cblab.core import Engine, EngineConfig, SamplingParams
from cblab.core.outputs import RequestOutput
from cblab.model import Decoder, load_model
from tests.benchmarks.sides.protocol import Job, Served, answer

POOL_BYTES = 1 << 28  # several times what a run fills


class CblabSide:
    """An engine with its default settings, but for its pool and `backend`: whose kernels it computes with."""

    def __init__(self, checkpoint: Path, num_threads: int, settings: dict[str, Any]) -> None:
        torch.set_num_threads(num_threads)
        self.model = load_model(checkpoint, dtype=settings["dtype"])
        self.config = EngineConfig(
            attention_backend=settings["backend"],
            fused_ops=settings["backend"],
            kv_cache_memory_bytes=POOL_BYTES,
        )
        self.ran = ""

    def describe(self) -> str:
        """The kernels that ran."""
        return f"{self.ran}; {self.config.max_num_batched_tokens} tokens a step"

    def serve(self, jobs: Sequence[Job]) -> Served:
        """Make an engine and warm it up, and then the clock starts."""
        engine = make_engine(self.model, self.config)
        self.ran = f"attention: {engine.backend.name}, other operations: {engine.runner.ops.name}"
        return serve(engine, jobs)


def make_engine(model: Decoder, config: EngineConfig) -> Engine:
    """An engine that takes and gives token ids; its pool's memory is there already, as its peers' is."""
    engine = Engine(model, config=config)
    engine.warmup(whole_pool=True)
    return engine


def serve(engine: Engine, jobs: Sequence[Job]) -> Served:
    """All jobs added at once, and steps until all have ended."""
    started = time.perf_counter()
    names = [engine.add_request(job.prompt, _greedy(job), final_only=True) for job in jobs]
    outputs: dict[str, RequestOutput] = {}
    while engine.has_unfinished:
        outputs |= {output.request_id: output for output in engine.step()}
    seconds = time.perf_counter() - started
    first_token_s = [outputs[name].metrics.time_to_first_token or seconds for name in names]
    return Served(seconds, first_token_s, [outputs[name].outputs[0].token_ids for name in names])


def _greedy(job: Job) -> SamplingParams:
    return SamplingParams(temperature=0, max_tokens=job.num_new_tokens, ignore_eos=True)


if __name__ == "__main__":
    answer(CblabSide)

"""The same jobs, served by transformers: one by one, in static batches, by its own continuous batching."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoModelForCausalLM, GenerationConfig
from transformers.generation.configuration_utils import ContinuousBatchingConfig
from transformers.generation.streamers import BaseStreamer
from transformers.utils.logging import disable_progress_bar

from cblab import assets
from tests.benchmarks.report import Served

NEAR_TIE = 1e-4
NO_EOS = -1
PAD = 0  # masked out: any token will do


@dataclass(frozen=True)
class Job:
    """A prompt, and how many tokens are to follow it, whatever they are."""

    prompt: list[int]
    num_new_tokens: int


# How jobs are put together to static batches. Nobody knows the lengths of outputs beforehand: that order is
# a gift to the static batches.
ORDERS: dict[str, Callable[[Job], int]] = {
    "in order of arrival": lambda job: 0,
    "sorted by prompt length": lambda job: len(job.prompt),
    "sorted by output length": lambda job: job.num_new_tokens,
}


def load_peer() -> Any:
    """The bundled model in transformers, float32, which goes on past EOS."""
    disable_progress_bar()
    model: Any = AutoModelForCausalLM.from_pretrained(assets.path(), dtype=torch.float32).eval()
    model.generation_config.eos_token_id = None
    return model


def serve_one_by_one(model: Any, jobs: Sequence[Job]) -> Served:
    """`generate`, a job at a time."""
    return serve_batches(model, jobs, 1, "in order of arrival")


def serve_batches(model: Any, jobs: Sequence[Job], batch_size: int, order: str) -> Served:
    """`generate` over static batches: a batch starts when the one before it has made its longest output."""
    sort_key = ORDERS[order]
    indices = sorted(range(len(jobs)), key=lambda index: sort_key(jobs[index]))
    first_token_s, token_ids = [0.0] * len(jobs), [[0]] * len(jobs)
    started = time.perf_counter()
    for begin in range(0, len(jobs), batch_size):
        batch = indices[begin : begin + batch_size]
        first_token_time, outputs = _generate(model, [jobs[index] for index in batch])
        for index, output in zip(batch, outputs, strict=True):
            first_token_s[index], token_ids[index] = first_token_time - started, output
    return Served(time.perf_counter() - started, first_token_s, token_ids)


class _Stopwatch(BaseStreamer):
    """Notes when `generate` hands over its prompts, and then each token."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def put(self, value: object) -> None:
        self.times.append(time.perf_counter())

    def end(self) -> None:
        pass


@torch.inference_mode()
def _generate(model: Any, jobs: Sequence[Job]) -> tuple[float, list[list[int]]]:
    """One left-padded batch: the time of its first tokens, and of each output what was asked for."""
    width = max(len(job.prompt) for job in jobs)
    num_new_tokens = max(job.num_new_tokens for job in jobs)
    padding = [width - len(job.prompt) for job in jobs]
    watch = _Stopwatch()
    out = model.generate(
        torch.tensor([[PAD] * pad + job.prompt for pad, job in zip(padding, jobs, strict=True)]),
        attention_mask=torch.tensor([[0] * pad + [1] * (width - pad) for pad in padding]),
        generation_config=GenerationConfig(
            do_sample=False, max_new_tokens=num_new_tokens, pad_token_id=PAD, use_cache=True
        ),
        streamer=watch,
    )
    rows = [row[width : width + job.num_new_tokens].tolist() for row, job in zip(out, jobs, strict=True)]
    return watch.times[1], rows


def serve_continuously(model: Any, jobs: Sequence[Job], max_requests: int) -> Served:
    """transformers' own continuous batching, whose attention on CPU is `sdpa` over a paged cache.

    Its manager is asked directly because `generate_batch` gives all requests the same number of new tokens. A
    first request waits until the manager's thread has made its cache. At most `max_requests` run at once.

    Raises:
        RuntimeError: a request failed or ended early, or the manager's thread died.
    """
    pool = ContinuousBatchingConfig(
        page_size=32, num_blocks=1024, max_batch_tokens=512, max_requests_per_batch=max_requests
    )
    settings = GenerationConfig(do_sample=False, eos_token_id=NO_EOS, pad_token_id=PAD)
    with model.continuous_batching_context_manager(settings, continuous_batching_config=pool) as manager:
        _collect(manager, [manager.add_request([PAD], max_new_tokens=2)])
        started = time.perf_counter()
        names = [
            manager.add_request(job.prompt, max_new_tokens=job.num_new_tokens, record_timestamps=True)
            for job in jobs
        ]
        outputs = _collect(manager, names)
        seconds = time.perf_counter() - started
    token_ids = [one.generated_tokens for one in outputs]
    if [len(output) for output in token_ids] != [job.num_new_tokens for job in jobs]:
        raise RuntimeError("transformers' continuous batching ended requests early")
    return Served(seconds, [one.timestamps[0] - started for one in outputs], token_ids)


def _collect(manager: Any, names: Sequence[str]) -> list[Any]:
    """Wait until all have ended; their results in the order of `names`."""
    results: dict[str, Any] = {}
    while len(results) < len(names):
        result = manager.get_result(timeout=1)
        if result is None and not manager.is_running():
            fatal = manager.background_thread_status.fatal_error
            raise RuntimeError(f"transformers' continuous batching stopped: {fatal!r}")
        if result is not None and result.is_finished():
            if result.error is not None:
                raise RuntimeError(f"transformers' continuous batching failed a request: {result.error}")
            results[result.request_id] = result
    return [results[name] for name in names]


@dataclass(frozen=True)
class Agreement:
    """How many outputs are the reference's, and how many leave it at a near-tie or elsewhere."""

    num_equal: int
    num_near_ties: int
    num_wrong: int

    def __str__(self) -> str:
        wrong = f", {self.num_wrong} wrong" if self.num_wrong else ""
        return f"{self.num_equal} equal, {self.num_near_ties} near-ties{wrong}"


@torch.inference_mode()
def compare(
    model: Any, jobs: Sequence[Job], ours: Sequence[Sequence[int]], reference: Sequence[Sequence[int]]
) -> Agreement:
    """Hold outputs against those of `model` one by one.

    A first difference at which the two largest logits of the reference are closer than 1e-4 is a near-tie.
    """
    near_ties, wrong = 0, 0
    for job, mine, theirs in zip(jobs, ours, reference, strict=True):
        if len(mine) != len(theirs):
            wrong += 1
        elif list(mine) != list(theirs):
            at = next(i for i, (a, b) in enumerate(zip(mine, theirs, strict=True)) if a != b)
            logits = model(torch.tensor([[*job.prompt, *theirs[:at]]])).logits[0, -1]
            largest, second = logits.topk(2).values.tolist()
            near_ties += largest - second <= NEAR_TIE
            wrong += largest - second > NEAR_TIE
    return Agreement(len(jobs) - near_ties - wrong, near_ties, wrong)

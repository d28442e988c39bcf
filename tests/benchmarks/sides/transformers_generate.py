"""transformers: `generate` over static batches, and its own continuous batching."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM, GenerationConfig
from transformers.generation.configuration_utils import ContinuousBatchingConfig
from transformers.generation.streamers import BaseStreamer
from transformers.utils.logging import disable_progress_bar

from tests.benchmarks.sides.protocol import Job, Served, Side, answer

NO_EOS = -1
PAD = 0  # masked out: any token will do


# How jobs are put together to static batches. Nobody knows the lengths of outputs beforehand: that order is
# a gift to the static batches.
ORDERS: dict[str, Callable[[Job], int]] = {
    "in order of arrival": lambda job: 0,
    "sorted by prompt length": lambda job: len(job.prompt),
    "sorted by output length": lambda job: job.num_new_tokens,
}


def load_side(checkpoint: Path, num_threads: int, settings: dict[str, Any]) -> Side:
    """Settings: `dtype`, `mode` ("static" or "continuous"), `size`, and for static batches `order`."""
    torch.set_num_threads(num_threads)
    disable_progress_bar()
    model: Any = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=getattr(torch, settings["dtype"]))
    model.eval().generation_config.eos_token_id = None
    if settings["mode"] == "static":
        return StaticBatches(model, settings["size"], settings["order"])
    return ContinuousBatching(model, settings["size"])


class StaticBatches:
    """`generate`: a batch starts when the one before it has made its longest output."""

    def __init__(self, model: Any, batch_size: int, order: str) -> None:
        self.model, self.batch_size, self.order = model, batch_size, order

    def describe(self) -> str:
        """Version, size and order of the batches."""
        return (
            f"transformers {transformers.__version__}, generate, batches of {self.batch_size}, {self.order}"
        )

    def serve(self, jobs: Sequence[Job]) -> Served:
        """One batch after another; each output is cut to the length that was asked for."""
        sort_key = ORDERS[self.order]
        indices = sorted(range(len(jobs)), key=lambda index: sort_key(jobs[index]))
        first_token_s, token_ids = [0.0] * len(jobs), [[0]] * len(jobs)
        started = time.perf_counter()
        for begin in range(0, len(jobs), self.batch_size):
            batch = indices[begin : begin + self.batch_size]
            first_token_time, outputs = self._generate([jobs[index] for index in batch])
            for index, output in zip(batch, outputs, strict=True):
                first_token_s[index], token_ids[index] = first_token_time - started, output
        return Served(time.perf_counter() - started, first_token_s, token_ids)

    @torch.inference_mode()
    def _generate(self, jobs: Sequence[Job]) -> tuple[float, list[list[int]]]:
        """One left-padded batch: the time of its first tokens, and of each output what was asked for."""
        width = max(len(job.prompt) for job in jobs)
        num_new_tokens = max(job.num_new_tokens for job in jobs)
        padding = [width - len(job.prompt) for job in jobs]
        watch = _Stopwatch()
        out = self.model.generate(
            torch.tensor([[PAD] * pad + job.prompt for pad, job in zip(padding, jobs, strict=True)]),
            attention_mask=torch.tensor([[0] * pad + [1] * (width - pad) for pad in padding]),
            generation_config=GenerationConfig(
                do_sample=False, max_new_tokens=num_new_tokens, pad_token_id=PAD, use_cache=True
            ),
            streamer=watch,
        )
        rows = [row[width : width + job.num_new_tokens].tolist() for row, job in zip(out, jobs, strict=True)]
        return watch.times[1], rows


class _Stopwatch(BaseStreamer):
    """Notes when `generate` hands over its prompts, and then each token."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def put(self, value: object) -> None:
        self.times.append(time.perf_counter())

    def end(self) -> None:
        pass


class ContinuousBatching:
    """transformers' own continuous batching, whose attention on CPU is `sdpa` over a paged cache.

    That attention reads all running sequences for each of them, so that more at once can be slower: at most
    `max_requests` run at once.
    """

    def __init__(self, model: Any, max_requests: int) -> None:
        self.model, self.max_requests = model, max_requests

    def describe(self) -> str:
        """Version and settings."""
        return (
            f"transformers {transformers.__version__}, continuous batching, at most {self.max_requests} "
            "requests at once, 512 tokens a step"
        )

    def serve(self, jobs: Sequence[Job]) -> Served:
        """Ask its manager directly: `generate_batch` gives all requests the same number of new tokens.

        A first request waits until the manager's thread has made its cache.

        Raises:
            RuntimeError: a request failed, or the manager's thread died.
        """
        pool = ContinuousBatchingConfig(
            page_size=32, num_blocks=1024, max_batch_tokens=512, max_requests_per_batch=self.max_requests
        )
        settings = GenerationConfig(do_sample=False, eos_token_id=NO_EOS, pad_token_id=PAD)
        with self.model.continuous_batching_context_manager(
            settings, continuous_batching_config=pool
        ) as manager:
            _collect(manager, [manager.add_request([PAD], max_new_tokens=2)])
            started = time.perf_counter()
            names = [
                manager.add_request(job.prompt, max_new_tokens=job.num_new_tokens, record_timestamps=True)
                for job in jobs
            ]
            outputs = _collect(manager, names)
            seconds = time.perf_counter() - started
        first_token_s = [one.timestamps[0] - started for one in outputs]
        return Served(seconds, first_token_s, [one.generated_tokens for one in outputs])


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


if __name__ == "__main__":
    answer(load_side)

"""OpenVINO GenAI: its continuous batching over a checkpoint that optimum-intel has converted."""

import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import openvino_genai

from tests.benchmarks.sides.protocol import Job, Served, answer


class OpenVinoSide:
    """A `ContinuousBatchingPipeline`, stepped from here as cblab's engine is.

    Settings: `precision` and `kv_precision` ("f32", "bf16", or None for what it takes by itself), and
    `max_num_batched_tokens` with `dynamic_split_fuse`, which mixes prompt chunks with decodes.
    """

    def __init__(self, checkpoint: Path, num_threads: int, settings: dict[str, Any]) -> None:
        self.settings = settings
        scheduler = openvino_genai.SchedulerConfig()
        scheduler.max_num_batched_tokens = settings["max_num_batched_tokens"]
        scheduler.dynamic_split_fuse = settings["dynamic_split_fuse"]
        scheduler.enable_prefix_caching = False  # a run must not find what the one before it has cached
        scheduler.cache_size = 1  # GB
        properties: dict[str, Any] = {"INFERENCE_NUM_THREADS": num_threads}
        for name, key in (
            ("INFERENCE_PRECISION_HINT", "precision"),
            ("KV_CACHE_PRECISION", "kv_precision"),
        ):
            if settings[key] is not None:
                properties[name] = settings[key]
        self.pipeline = openvino_genai.ContinuousBatchingPipeline(
            convert(checkpoint), scheduler, "CPU", properties
        )
        self._numbers = count()

    def describe(self) -> str:
        """Version, precisions and scheduling."""
        version = openvino_genai.get_version().split("-")[0]
        precision, kv = (self.settings[key] or "its default" for key in ("precision", "kv_precision"))
        budget = self.settings["max_num_batched_tokens"]
        order = "mixed with decodes" if self.settings["dynamic_split_fuse"] else "before decodes"
        return (
            f"OpenVINO GenAI {version}, continuous batching, precision {precision}, keys and values {kv}; "
            f"{budget} tokens a step, prompts {order}"
        )

    def serve(self, jobs: Sequence[Job]) -> Served:
        """All jobs added at once, and steps until all have ended."""
        started = time.perf_counter()
        handles = [
            self.pipeline.add_request(
                next(self._numbers), openvino.Tensor(np.array([job.prompt], dtype=np.int64)), _greedy(job)
            )
            for job in jobs
        ]
        first_token_s: dict[int, float] = {}
        while self.pipeline.has_non_finished_requests():
            self.pipeline.step()
            now = time.perf_counter() - started
            first_token_s |= {
                index: now
                for index, handle in enumerate(handles)
                if index not in first_token_s and handle.can_read()
            }
        seconds = time.perf_counter() - started
        token_ids = [list(handle.read_all()[0].generated_ids) for handle in handles]
        return Served(seconds, [first_token_s[index] for index in range(len(jobs))], token_ids)


def _greedy(job: Job) -> openvino_genai.GenerationConfig:
    config = openvino_genai.GenerationConfig()
    config.max_new_tokens = job.num_new_tokens
    config.do_sample = False
    config.ignore_eos = True
    return config


def convert(checkpoint: Path) -> Path:
    """Return the folder with the checkpoint in OpenVINO's format, its weights in float32; made once."""
    folder = checkpoint.with_name(f"{checkpoint.name}-openvino")
    if not (folder / "openvino_model.xml").exists():
        task = ["--task", "text-generation-with-past", "--weight-format", "fp32"]
        command = ["export", "openvino", "--model", str(checkpoint), *task, str(folder)]
        subprocess.run([Path(sys.executable).with_name("optimum-cli"), *command], check=True)
    return folder


if __name__ == "__main__":
    answer(OpenVinoSide)

"""Output tokens a second of the whole engine on a GPU, beside the bound by what that GPU can do."""

from dataclasses import replace

import torch

from cblab.core.config import EngineConfig
from tests.benchmarks.gpu.end_to_end import QWEN3_SHAPE, draw_jobs, end_to_end_table, measure, random_model
from tests.benchmarks.gpu.measure import machine, measure_limits, publish, require_cuda

NUM_JOBS = 256
TOKENS = (100, 1024)  # of a prompt, and of an output
ENGINE = EngineConfig(
    max_num_seqs=NUM_JOBS, max_num_batched_tokens=8192, max_model_len=2048, enable_prefix_caching=False
)


def bench_256_requests_on_a_model_like_qwen3_0_6b() -> None:
    require_cuda()
    limits = measure_limits()
    jobs = draw_jobs(QWEN3_SHAPE, NUM_JOBS, *TOKENS)
    model = random_model(QWEN3_SHAPE, "cuda")
    for name, overlaps in (("engine", True), ("engine_without_async_scheduling", False)):
        figures = measure(model, jobs, replace(ENGINE, async_scheduling=overlaps), limits)
        figures |= {"machine": machine(), "peak_bytes": torch.cuda.max_memory_allocated()}
        publish(name, figures, end_to_end_table(figures))

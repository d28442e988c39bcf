"""The GPU benchmarks' harness on a tiny model without a GPU: it must not be the harness that fails there."""

import io
import json
from pathlib import Path

import pytest
import torch
from rich.console import Console
from rich.table import Table

from cblab.attention import paged_decode_torch
from cblab.core.config import EngineConfig
from cblab.model import ModelConfig
from tests.benchmarks.bound import Limits
from tests.benchmarks.gpu import decode_sides, measure
from tests.benchmarks.gpu.bench_decode import decode_table
from tests.benchmarks.gpu.end_to_end import QWEN3_SHAPE, draw_jobs, end_to_end_table, random_model
from tests.benchmarks.gpu.end_to_end import measure as measure_engine

TINY = ModelConfig(
    vocab_size=31,
    hidden_size=16,
    intermediate_size=24,
    num_layers=2,
    num_heads=4,
    num_kv_heads=2,
    head_dim=8,
    max_position_embeddings=64,
    qk_norm=True,
    tie_word_embeddings=True,
    family="qwen3",
)


def printed(table: Table) -> str:
    console = Console(file=io.StringIO(), width=200)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def test_the_whole_engine_is_served_and_put_beside_its_bound(tmp_path: Path) -> None:
    jobs = draw_jobs(TINY, 5, 3, 9)
    config = EngineConfig(
        num_blocks=40,
        block_size=4,
        max_num_seqs=4,
        enable_prefix_caching=False,
        attention_backend="torch",
    )
    limits = Limits(1e9, {"float32": 1e12})
    figures = measure_engine(random_model(TINY, "cpu"), jobs, config, limits)
    assert len(figures["runs"]) == 2
    assert figures["num_new_tokens"] == sum(job.num_new_tokens for job in jobs)
    for run in figures["runs"]:
        assert run["seconds"] > 0
        assert run["tokens_per_second"] == pytest.approx(figures["num_new_tokens"] / run["seconds"])
        # A step of the engine brings at most as many tokens as it has seats.
        assert run["num_steps"] >= figures["num_new_tokens"] / 4
    measure.publish("engine", figures, end_to_end_table(figures), tmp_path / "results")
    assert json.loads((tmp_path / "results" / "gpu-engine.json").read_text()) == figures
    text = (tmp_path / "results" / "gpu-engine.txt").read_text()
    assert f"{figures['bound']['tokens_per_second']:,.0f}" in text


def test_the_model_is_of_the_size_that_its_name_says() -> None:
    from cblab.memory import count_parameters

    assert count_parameters(QWEN3_SHAPE).total == pytest.approx(0.6e9, rel=0.01)


def test_torchs_sides_compute_what_the_definition_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode_sides, "LEAST_BYTES", 1 << 18)
    case = decode_sides.DecodeCase.draw(2, 32, device="cpu")
    assert len(case.layers) == 1
    tables = case.block_tables, case.context_lens, decode_sides.SPEC
    expected = paged_decode_torch(case.q, case.layers[0], *tables)
    for side in (decode_sides.gathered_sdpa, decode_sides.gather_and_sdpa):
        for call in side(case):
            torch.testing.assert_close(call(), expected, atol=1e-2, rtol=1e-2)
    assert case.num_bytes == 2 * (2 * 2 * 32 * 8 * 128 + 2 * 2 * 32 * 128)


def test_sides_that_have_no_figure_say_why() -> None:
    cases = [{"batch": 1, "context": 1024, "sides": {"cblab triton": 0.912, "gather + SDPA": "does not fit"}}]
    figures = {"machine": {"gpu": "none"}, "copy_bytes_per_s": 3e12, "goal": [], "cases": cases}
    text = printed(decode_table(figures))
    assert all(word in text for word in ("0.91", "does not fit", "3.00 TB/s", "FlashInfer is not installed"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_a_benchmark_is_skipped_with_the_reason() -> None:
    with pytest.raises(pytest.skip.Exception, match="there is no CUDA device"):
        measure.require_cuda()

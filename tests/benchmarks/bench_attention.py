"""Attention over a paged cache: decode against the read bandwidth, prefill against torch, a long prompt."""

import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import torch

from cblab.attention import AttentionSpec, KVLayout, LayerKV, get_backend, paged_decode_torch
from tests.benchmarks.bound import Limits
from tests.benchmarks.limits import sum_blocks
from tests.benchmarks.report import interleaved, new_console, new_table

STORED_IN = ("float32", "bfloat16", "int8")
READ_ALONE = "float32, only read"  # the same blocks in the same order, and nothing computed
LONG_PROMPTS = (512, 1024, 2047)


@dataclass(frozen=True)
class Shape:
    """The sizes of one call over a pool whose blocks are in no order."""

    num_seqs: int
    context: int
    num_heads: int = 32
    num_kv_heads: int = 8
    head_dim: int = 64
    block_size: int = 16

    @property
    def spec(self) -> AttentionSpec:
        """What the kernel is asked for."""
        return AttentionSpec(self.num_heads, self.num_kv_heads, self.head_dim, self.head_dim**-0.5)

    def block_tables(self) -> torch.Tensor:
        """Blocks drawn from all over the pool."""
        blocks = self.num_seqs * -(-self.context // self.block_size)
        return torch.randperm(blocks).view(self.num_seqs, -1).int()

    def context_lens(self) -> torch.Tensor:
        """The same length for each sequence."""
        return torch.full((self.num_seqs,), self.context, dtype=torch.int32)

    def pool(self, layout: KVLayout, dtype: str) -> LayerKV:
        """A pool that holds the sequences and nothing else."""
        num_blocks = self.num_seqs * -(-self.context // self.block_size)
        kv = LayerKV.allocate(
            num_blocks,
            self.block_size,
            self.num_kv_heads,
            self.head_dim,
            layout=layout,
            dtype=getattr(torch, dtype),
        )
        slots = torch.arange(num_blocks * self.block_size)
        kv.write(slots, *torch.randn(2, len(slots), self.num_kv_heads, self.head_dim))
        return kv

    def __str__(self) -> str:
        return (
            f"{self.num_seqs} x {self.context:,} tokens, {self.num_heads}/{self.num_kv_heads} heads of "
            f"{self.head_dim}, blocks of {self.block_size}"
        )


DECODE = Shape(32, 1024)
DECODE_SWEEP = (
    Shape(1, 8192),
    Shape(4, 1024),
    Shape(32, 128),
    Shape(128, 256),
    Shape(32, 1024, block_size=32),
    Shape(32, 1024, num_heads=8),
    Shape(22, 256, num_heads=8, num_kv_heads=4, head_dim=32),
)
# New tokens and context, one sequence.
PREFILL = ((64, 512), (512, 512), (512, 2048), (2048, 2048))


@pytest.mark.timeout(1800)
def bench_attention(full: bool, limits: Limits, results: Path) -> None:
    console = new_console()
    table = new_table("Paged decode", "shape", "stored as", "ms", "spread", "GB/s", "of a loop's")
    for shape in (DECODE, *(DECODE_SWEEP if full else ())):
        for name, seconds in _decode(shape, beside_torch=shape is DECODE).items():
            rate = _pool_bytes(shape, name) / statistics.median(seconds)
            share = rate / limits.read_bytes_per_s
            table.add_row(str(shape), name, *_timed(seconds), f"{rate / 1e9:.1f}", f"{share:.2f}")
    console.print(table)
    table = new_table(
        "Ragged prefill over the paged cache, float32", "new tokens", "context", "side", "ms", "spread"
    )
    for num_new, context in PREFILL:
        for name, seconds in _prefill(num_new, context).items():
            table.add_row(f"{num_new:,}", f"{context:,}", name, *_timed(seconds))
    console.print(table)
    table = new_table(
        "A prompt of the bundled model, a process each", "tokens", "seconds", "peak memory, MiB"
    )
    for length in LONG_PROMPTS:
        to_first_token, peak = _long_prompt(length)
        table.add_row(f"{length:,}", f"{to_first_token:.3f}", f"{peak:,.0f}")
    console.print(table)
    (results / "attention.txt").write_text(console.export_text())


def _timed(seconds: list[float]) -> tuple[str, str]:
    return (
        f"{statistics.median(seconds) * 1e3:.2f}",
        f"{min(seconds) * 1e3:.2f} to {max(seconds) * 1e3:.2f}",
    )


def _pool_bytes(shape: Shape, name: str) -> int:
    """What a decode has to read: keys and values, and their scales."""
    numbers = 2 * shape.num_seqs * shape.context * shape.num_kv_heads
    if name == "int8":
        return numbers * (shape.head_dim + 4)
    return numbers * shape.head_dim * (2 if name == "bfloat16" else 4)


def _decode(shape: Shape, beside_torch: bool) -> dict[str, list[float]]:
    backend = get_backend("numba", "cpu")
    assert backend.plan_decode is not None
    tables, lengths = shape.block_tables(), shape.context_lens()
    q = torch.randn(shape.num_seqs, shape.num_heads, shape.head_dim)
    sides: dict[str, Callable[[], object]] = {}
    pools = {dtype: shape.pool(KVLayout.HDN, dtype) for dtype in STORED_IN}
    for dtype, pool in pools.items():
        plan = backend.plan_decode(tables, lengths, shape.block_size, shape.spec)
        sides[dtype] = partial(plan, q, pool)
    blocks = [one.flatten(1).numpy() for one in (pools["float32"].keys, pools["float32"].values)]
    sides[READ_ALONE] = partial(sum_blocks, *blocks, tables.numpy())
    if beside_torch:
        pool = shape.pool(KVLayout.NHD, "float32")
        sides["float32, torch: gather + SDPA"] = partial(
            paged_decode_torch, q, pool, tables, lengths, shape.spec
        )
    return interleaved(sides, repeats=9)


def _prefill(num_new: int, context: int) -> dict[str, list[float]]:
    shape = Shape(1, context, num_heads=8, num_kv_heads=4, head_dim=32)
    tables, lengths = shape.block_tables(), shape.context_lens()
    q = torch.randn(num_new, shape.num_heads, shape.head_dim)
    k, v = torch.randn(2, num_new, shape.num_kv_heads, shape.head_dim)
    borders = torch.tensor([0, num_new], dtype=torch.int32)
    sides: dict[str, Callable[[], object]] = {}
    for name, title in (("numba", "numba"), ("torch", "torch: gather + SDPA")):
        backend = get_backend(name, "cpu")
        kv = shape.pool(backend.layout, "float32")
        sides[title] = partial(backend.prefill, q, k, v, kv, tables, borders, lengths, shape.spec)
    return interleaved(sides, repeats=5)


_LONG_PROMPT = """
import resource, sys, time
import torch
from cblab import LLM, SamplingParams
from tests.benchmarks.workloads import THREADS

torch.set_num_threads(THREADS)
llm = LLM("story-4m", enable_prefix_caching=False, num_blocks=200)
params = SamplingParams(temperature=0, max_tokens=1, ignore_eos=True)
llm.generate([[1] * 64], params, use_tqdm=False)
prompt = [index % 4000 for index in range(int(sys.argv[1]))]
started = time.perf_counter()
llm.generate([prompt], params, use_tqdm=False)
print(time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def _long_prompt(num_tokens: int) -> tuple[float, float]:
    """Seconds to the first token, and the peak memory of the process in MiB."""
    command = [sys.executable, "-c", _LONG_PROMPT, str(num_tokens)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds, peak = map(float, done.stdout.split())
    return seconds, peak

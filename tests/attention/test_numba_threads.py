"""Kernels and threads: two Python threads at once on any threading layer, and what is said on first use."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Enough rows that each product is shared by two workers.
TWO_THREADS = """
import threading
import torch
torch.set_num_threads(2)
import numba
from cblab.attention.numba.recording import Recording
from cblab.model.numba_gemm import multiply, pack
from cblab.model.numba_ops import NUMBA_OPS

x, weight = torch.ones(64, 1024), torch.ones(1024, 1024)
panels, bias = pack(weight), torch.zeros(1024)
right = []

def compute():
    for _ in range(50):
        product = multiply(x, panels, bias)
        gated = NUMBA_OPS.silu_and_mul(product)
    recording = Recording()
    with recording.noting():
        noted = NUMBA_OPS.silu_and_mul(multiply(x, panels, bias))
    for _ in range(50):
        recording.run()
    right.append(bool((product == 1024).all()) and torch.equal(noted, gated))

threads = [threading.Thread(target=compute) for _ in range(2)]
for one in threads:
    one.start()
for one in threads:
    one.join()
print(numba.threading_layer(), right)
"""
TORCHS_THREADS = """
import torch
torch.set_num_threads(1)
from cblab.model.numba_ops import NUMBA_OPS
NUMBA_OPS.silu_and_mul(torch.ones(4096, 64))
print(torch.get_num_threads())
"""
FIRST_USE = """
import torch
from cblab.model.numba_ops import NUMBA_OPS
NUMBA_OPS.silu_and_mul(torch.ones(1, 32))
"""


def run(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "NUMBA_NUM_THREADS": "2", **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.parametrize("layer", ["workqueue", "omp"])
def test_two_threads_run_kernels_at_once_on_any_threading_layer(layer: str) -> None:
    if layer == "omp" and sys.platform == "darwin":
        pytest.skip("Numba's wheels for macOS may come without OpenMP")
    assert run(TWO_THREADS, NUMBA_THREADING_LAYER=layer).stdout.split(maxsplit=1) == [
        layer,
        "[True, True]\n",
    ]


def test_torch_keeps_its_number_of_threads() -> None:
    assert run(TORCHS_THREADS).stdout == "1\n"


def test_the_first_use_says_that_it_compiles_and_the_next_process_finds_it(tmp_path: Path) -> None:
    first, second = (run(FIRST_USE, NUMBA_CACHE_DIR=str(tmp_path), NUMBA_DEBUG_CACHE="1") for _ in range(2))
    assert first.stderr == "cblab: compiling the kernel 'silu_and_mul' for this machine, once\n"
    assert "data saved" in first.stdout
    assert second.stderr == ""
    assert "data loaded" in second.stdout
    assert "data saved" not in second.stdout

"""The interpreter runs Python; a GPU runs what the compiler accepts, and it accepts less."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def test_every_kernel_compiles_for_an_h100_without_spilling(tmp_path: Path) -> None:
    pytest.importorskip("triton", reason="Triton has no package for this platform")
    done = subprocess.run(
        [sys.executable, "-m", "tests.attention.hopper"],
        cwd=ROOT,
        env={**os.environ, "TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    kernels = printed["kernels"]
    assert {name for name, *_ in kernels} == {
        "_attend_to_split",
        "_merge_splits",
        "_attend",
        "_write",
        "_add_rms_norm",
        "_apply_rope",
        "_silu_and_mul",
    }
    assert [(name, stack) for name, _, stack in kernels if stack] == []
    assert printed["num_again"] == 0
    assert max(shared for _, shared, _ in kernels) <= 232448

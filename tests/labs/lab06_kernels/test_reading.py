"""The lab's Triton section where there is no Triton, as on macOS: the kernel is read, and not imported."""

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from cblab.lab.labs import kernels
from cblab.lab.labs.kernels.compiling import reason_of
from cblab.lab.labs.kernels.reading import source_of
from tests.labs.lab06_kernels.cells import cell_with

KERNEL = "cblab.lab.labs.kernels.triton_decode"
_FAILED = "Failed in nopython mode pipeline (step: nopython frontend)"
_READS = f"""
import sys
sys.modules["triton"] = None
from cblab.lab.labs.kernels.reading import source_of
print(source_of("{KERNEL}", "decode_kernel"))
assert "{KERNEL}" not in sys.modules
"""


def without_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every import of triton fail, and that of the lab's kernel with it."""
    monkeypatch.setitem(sys.modules, "triton", None)
    monkeypatch.delitem(sys.modules, KERNEL, raising=False)
    monkeypatch.delattr(kernels, "triton_decode", raising=False)


def test_the_section_on_triton_runs_without_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without_triton(monkeypatch)
    names: dict[str, Any] = {"source_of": source_of, "torch": torch}
    exec(cell_with("source_of("), names)
    exec(cell_with("import triton_decode"), names)
    assert names["triton_decode"] is None
    printed = capsys.readouterr().out
    assert "There is no Triton for this system." in printed
    assert "6 programs, largest difference below 1e-5: True" in printed
    assert "def decode_kernel(" in printed


def test_the_kernel_is_read_whole_and_fits_a_page() -> None:
    text = source_of(KERNEL, "decode_kernel")
    (function,) = ast.parse(text).body
    assert text.startswith("@triton.jit\ndef decode_kernel(")
    assert isinstance(function, ast.FunctionDef)
    assert "tl.store(" in text.splitlines()[-1]
    assert max(map(len, text.splitlines())) <= 95


def test_a_module_that_cannot_be_imported_is_read_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "for_another_system.py").write_text(
        "import a_package_that_is_not_there\n\n\n@a_package_that_is_not_there.jit\ndef kernel(x):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert source_of("for_another_system", "kernel").endswith(".jit\ndef kernel(x):\n    pass")
    with pytest.raises(ValueError, match="has no function 'other'"):
        source_of("for_another_system", "other")
    with pytest.raises(ValueError, match="there is no module 'not_there'"):
        source_of("not_there", "kernel")


def test_nothing_on_the_way_to_the_source_imports_triton() -> None:
    ran = subprocess.run([sys.executable, "-c", _READS], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("@triton.jit")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            f"TypingError: {_FAILED}\n- Resolution failure for literal arguments:\nNo implementation of "
            "function Function(<function npy_max at 0x7f>) found for signature:\n \n "
            ">>> npy_max(array(float32, 2d))",
            "it has no max(array(float32, 2d))",
        ),
        (
            f"{_FAILED}\nUntyped global name 'helper': Cannot determine Numba type of <function at 0x7f>",
            "Untyped global name 'helper': Cannot determine Numba type of <function>",
        ),
        (_FAILED, _FAILED),
    ],
)
def test_the_reason_is_the_line_that_names_the_construct(text: str, reason: str) -> None:
    assert reason_of(text) == reason

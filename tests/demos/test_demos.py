"""Each demo runs, and says what it is there to say."""

import importlib
import io
import re
from pathlib import Path

import pytest
from rich.console import Console

import cblab.demos

NAMES = sorted(path.stem for path in Path(cblab.demos.__file__).parent.glob("*.py"))
NAMES = [name for name in NAMES if name not in ("__init__", "command")]


def shown(name: str) -> str:
    file = io.StringIO()
    importlib.import_module(f"cblab.demos.{name}").run(Console(file=file, width=80, markup=False))
    return file.getvalue()


def test_the_readme_names_them_all() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    assert [name for name in NAMES if f"| `{name}` |" not in readme] == []


def test_ragged_mask_shows_three_triangles_and_no_leak() -> None:
    out = shown("ragged_mask")
    rows = [re.sub(r"[^□■·]", "", line) for line in out.splitlines() if re.match(r"  [ABC] +\d  ", line)]
    assert rows[0] == "□□□□□□■" + "·" * 13
    assert rows[3] == "·" * 7 + "□□□□■■■··" + "····"
    assert rows[9] == "·" * 16 + "■■■■"
    assert len(rows) == 10
    assert "52 of 200 pairs" in out


def test_scheduler_steps_shows_who_got_what() -> None:
    lines = [" ".join(line.split()) for line in shown("scheduler_steps").splitlines()]
    assert "0 ███████████████░ A[0-4]+* B[0-9]* 0 2 5" in lines
    assert "1 ▪███████████████ A[5]+ B[10-19] C[0-4]* 0 3 9" in lines
    assert "6 ▪▪█████████░░░░░ A[10]+ C[11]+ D[0-8]+* 0 2 6" in lines
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("name", ["continuous_and_static", "dense_and_paged", "prefix_sharing", "preemption"])
def test_what_is_compared_gives_the_same_tokens(name: str) -> None:
    out = shown(name)
    assert " the same" in out
    assert "DIFFERENT" not in out


def test_preemption_really_happens() -> None:
    lines = shown("preemption").splitlines()
    counts = {line.split("  ")[1]: line.split() for line in lines if re.match(r"  (room|small).*\d", line)}
    roomy, recomputed, swapped = counts.values()
    assert int(roomy[-3]) == 0
    assert int(recomputed[-3]) > 0
    assert int(recomputed[-2]) > int(roomy[-2])
    assert int(swapped[-1]) > 0

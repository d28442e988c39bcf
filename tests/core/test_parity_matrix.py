"""Greedy tokens equal to transformers' `generate`, in every way that the engine may come by them.

The whole matrix takes minutes (`tests/benchmarks/bench_parity_matrix.py`). Here each model has a slice of it
in which every two choices meet, and the slices of all models together are the whole.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import COUNTED
from tests.core.parity import MODELS, check_cells, describe, make_slices

SLICES = dict(zip(MODELS, make_slices(len(MODELS)), strict=True))


@pytest.mark.parametrize("case", MODELS)
def test_greedy_tokens_are_those_of_transformers(
    case: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    errors, total = check_cells(case, SLICES[case], tmp_path)
    record_property(COUNTED, f"parity with transformers, {case}: {describe(total)}")
    assert not errors, "\n".join(errors)

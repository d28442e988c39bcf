"""The whole parity matrix: every model in every way to run; `make test` has a slice of it."""

from collections import Counter
from pathlib import Path

import pytest

from tests.core.parity import CELLS, MODELS, check_cells, describe


@pytest.mark.timeout(0)
@pytest.mark.usefixtures("only_in_full")
def bench_parity_matrix(tmp_path: Path) -> None:
    """Greedy tokens of all models and cells are those of transformers' `generate`, but for near-ties."""
    everything: Counter[str] = Counter()
    errors: list[str] = []
    for case in MODELS:
        wrong, total = check_cells(case, CELLS, tmp_path / case)
        print(f"{case}: {describe(total)}, {len(wrong)} errors")
        errors += wrong
        everything += total
    print(f"all {len(MODELS)} models: {describe(everything)}, {len(errors)} errors")
    assert not errors, "\n".join(errors)

"""200,000 random steps of engines with tiny pools, every invariant and every token checked after each."""

import time
from collections import Counter

import pytest

from tests.core.engine_machine import drive
from tests.core.test_engine_machine import EVERYTHING

NUM_STEPS = 200_000
SEEDS = range(1000, 1020)


@pytest.mark.timeout(0)
@pytest.mark.usefixtures("only_in_full")
def bench_random_steps() -> None:
    """Drive engines until they have done all steps; fails at the first thing that is wrong."""
    started = time.perf_counter()
    total: Counter[str] = Counter()
    for seed in SEEDS:
        total += drive(seed, NUM_STEPS // len(SEEDS))
        print(f"seed {seed}: {total['steps']:,} steps so far, {time.perf_counter() - started:,.0f} s")
    print(f"{total['steps']:,} random steps in {time.perf_counter() - started:,.0f} s, nothing wrong")
    for what, count in sorted(total.items(), key=lambda item: -item[1]):
        print(f"{count:>12,} {what}")
    assert total["steps"] >= NUM_STEPS
    assert not [what for what in EVERYTHING if not total[what]]

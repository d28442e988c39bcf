"""Timing in lab 3: of a function alone, and of a function inside of what calls it."""

import time
from collections.abc import Callable
from typing import Any


class Stopwatch:
    """Calls a function and adds up the milliseconds that it takes."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.milliseconds = 0.0

    def __call__(self, *args: Any) -> Any:
        """What the function returns."""
        start = time.perf_counter()
        result = self.function(*args)
        self.milliseconds += 1e3 * (time.perf_counter() - start)
        return result


def quickest(run: Callable[[], object], repeats: int) -> float:
    """Milliseconds of the fastest of some runs: what disturbs a run only makes it slower."""
    watch = Stopwatch(run)
    times = []
    for _ in range(repeats):
        watch.milliseconds = 0.0
        watch()
        times.append(watch.milliseconds)
    return min(times)

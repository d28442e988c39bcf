"""Checks of numbers in an assessment, with a message for each foreseen wrong one."""

import math
from collections.abc import Callable, Sequence

from cblab.lab.trial import Mistake, Trial

TOLERANCE = 0.005


def number(
    name: str, want: float, wrongs: Sequence[tuple[float, str]], *, exact: bool = False
) -> Callable[[Trial], None]:
    """Return the script for one variable; its messages never give the expected number away.

    wrongs: foreseen wrong numbers, each with what is said about it.
    exact: for counts; other answers may be off by `TOLERANCE` of the expected one.
    """
    rel = 0.0 if exact else TOLERANCE
    by = "" if exact else f", by more than the {TOLERANCE:.1%} that it may be off"
    mistakes = [Mistake(_near(value, 1e-9 if exact else TOLERANCE), message) for value, message in wrongs]

    def script(t: Trial) -> None:
        got = t.get(name)
        if isinstance(got, bool) or not isinstance(got, int | float) or math.isnan(got):
            t.fail(f"`{name}` should be a number, it is {got!r}.")
        if abs(got - want) <= rel * abs(want):
            return
        message = next((mistake.message for mistake in mistakes if mistake.matches(float(got))), None)
        t.fail(message or f"`{name}` is too {'small' if got < want else 'large'}{by}.")

    return script


def _near(value: float, tolerance: float) -> Callable[[float], bool]:
    return lambda got: math.isclose(got, value, rel_tol=tolerance)

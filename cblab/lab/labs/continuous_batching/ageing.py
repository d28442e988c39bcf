"""The check of exercise 5.14: an order of urgency in which nobody waits for ever."""

import random
from collections.abc import Callable

from cblab.lab.labs.continuous_batching.reference import urgency
from cblab.lab.labs.diagnose import Args, Wrong, diagnose_function
from cblab.lab.trial import Trial

Formula = Callable[[float, int, float], object]

_FORMULAS: tuple[tuple[str, Formula], ...] = (
    ("Only the priority counts: an unimportant request waits for ever.", lambda a, p, g: float(p)),
    ("Only the arrival counts: that is first come, first served.", lambda a, p, g: float(a)),
    (
        "More priority makes a request *less* urgent here: a smaller number is the more urgent one, in both.",
        lambda a, p, g: a - p * g,
    ),
    (
        "The arrival has the wrong sign: who came earlier has waited longer, and is more urgent.",
        lambda a, p, g: p * g - a,
    ),
    ("All is turned round: smaller goes first.", lambda a, p, g: -(a + p * g)),
    (
        "`aging` is not used: it says how many ticks of waiting one unit of priority is worth.",
        lambda a, p, g: a + p,
    ),
    ("The priority is divided by `aging`: a unit of it is worth `aging` ticks.", lambda a, p, g: a + p / g),
    ("The arrival is multiplied by `aging`, and not the priority.", lambda a, p, g: a * g + p),
    ("Arrival and priority are multiplied: add them, in ticks.", lambda a, p, g: a * p * g),
    ("A pair came back, by which priority always wins: one number is wanted.", lambda a, p, g: (p, a)),
    ("A pair came back, by which arrival always wins: one number is wanted.", lambda a, p, g: (a, p)),
    ("Nothing came back: is a `return` missing?", lambda a, p, g: None),
)
_WRONGS = tuple(Wrong(message, formula) for message, formula in _FORMULAS)


def _draw(rng: random.Random) -> Args:
    return float(rng.randint(1, 400)), rng.randint(-3, 9), float(rng.choice((2, 5, 12, 40)))


def check_urgency(t: Trial) -> None:
    """Exercise 5.14."""
    immediate: list[Args] = [(100.0, 0, 20.0), (30.0, 3, 20.0), (50.0, -2, 5.0)]
    diagnose_function(t, "urgency", list(t.cases(immediate, _draw)), urgency, _WRONGS)

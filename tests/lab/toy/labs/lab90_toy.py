"""A lab small enough to be read at a glance, with one exercise of every kind."""

import random

from cblab.lab.exercise import Exercise, Part
from cblab.lab.trial import Mistake, Raises, Trial


def double(values: list[int]) -> list[int]:
    return [2 * value for value in values]


def total(values: list[int]) -> int:
    return sum(double(values))


class Counter:
    def __init__(self, start: int) -> None:
        self.value = start

    def add(self, step: int) -> int:
        if step < 0:
            raise ValueError("step must not be negative")
        self.value += step
        return self.value


def draw(rng: random.Random) -> list[int]:
    return [rng.randrange(3, 100) for _ in range(rng.randrange(2, 6))]


def doubles(t: Trial) -> None:
    for values in t.cases([[1, 2], [3]], draw):
        t.expect_call(
            "double",
            values,
            want=double(values),
            pure=True,
            mistakes=[
                Mistake([value * value for value in values], "that is the square, not the double"),
                Mistake(values + values, "`values * 2` repeats a list; its elements are to be doubled"),
                Mistake(Raises("TypeError"), "double each element, not the list"),
                Mistake(
                    lambda got, values=values: got[:-1] == double(values)[:-1], "the last element is wrong"
                ),
            ],
        )


def empty(t: Trial) -> None:
    t.expect_call(
        "double", [], want=[], mistakes=[Mistake(Raises("IndexError"), "an empty list has no first")]
    )


def totals(t: Trial) -> None:
    for values in t.cases([[1, 2]], draw):
        t.expect_call(
            "total", values, want=total(values), mistakes=[Mistake(sum(values), "double them first")]
        )


def answer(t: Trial) -> None:
    t.expect_close(t.get("size_gib"), 1.5, what="size_gib", rel=0.01, mistakes=[Mistake(1.61, "that is GB")])


def counts(t: Trial) -> None:
    for start, step in t.cases([(3, 4)], lambda rng: (rng.randrange(50), rng.randrange(1, 50))):
        counter = t.new("Counter", start)
        t.expect_method(counter, "add", step, want=start + step)
        t.expect(t.attribute(counter, "value"), start + step, what="the counter's value")


def refuses(t: Trial) -> None:
    t.expect_error("ValueError", "add", -1, handle=t.new("Counter", 0))


_HERE = "cblab.lab.labs.lab90_toy"
EXERCISES = (
    Exercise(
        id="90.1",
        title="Double a list",
        symbols={"double": f"{_HERE}:double"},
        parts=(Part("elements", 2, doubles), Part("an empty list", 1, empty)),
        hints=(
            "Go through the list.",
            "A list of n ints in, a list of n ints out.",
            "for each: append twice it",
        ),
    ),
    Exercise(
        id="90.2",
        title="Add the doubles",
        symbols={"total": f"{_HERE}:total"},
        needs=("double",),
        parts=(Part("sum", 1, totals),),
    ),
    Exercise(id="90.3", title="How many GiB", variables=("size_gib",), parts=(Part("size", 0.5, answer),)),
    Exercise(
        id="90.4",
        title="A counter",
        symbols={"Counter": f"{_HERE}:Counter"},
        parts=(Part("counts", 1, counts), Part("refuses a negative step", 1, refuses)),
        bonus=True,
    ),
)

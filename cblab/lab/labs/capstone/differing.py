"""Check of exercise 7.4: where two runs begin to differ."""

import random
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from cblab.lab.labs.capstone.reference import first_difference
from cblab.lab.labs.diagnose import Args, Wrong, diagnose_function
from cblab.lab.trial import Trial

Tokens = Mapping[str, Sequence[int]]


def _places(want: Tokens, got: Tokens) -> list[tuple[str, int]]:
    """Each request that differs, with its first position."""
    found = [first_difference({name: tokens}, got) for name, tokens in want.items()]
    return [one for one in found if one is not None]


def _common(want: Tokens, got: Tokens) -> tuple[str, int] | None:
    cut = {name: tokens[: min(len(tokens), len(got[name]))] for name, tokens in want.items()}
    return first_difference(cut, {name: got[name][: len(tokens)] for name, tokens in cut.items()})


def _ties_to_the_last(want: Tokens, got: Tokens) -> tuple[str, int] | None:
    return min(reversed(_places(want, got)), key=lambda one: one[1], default=None)


def _ties_by_name(want: Tokens, got: Tokens) -> tuple[str, int] | None:
    return min(_places(want, got), key=lambda one: one[::-1], default=None)


def _by_index(want: Tokens, got: Tokens) -> tuple[str, int] | None:
    """Asks `got` for each position of `want`, whether it is there or not."""
    found = []
    for name, tokens in want.items():
        differ = (index for index, token in enumerate(tokens) if token != got[name][index])
        found += [(name, index) for index in islice(differ, 1)]
    return min(found, key=lambda one: one[1], default=None)


def _latest(want: Tokens, got: Tokens) -> tuple[str, int] | None:
    return max(_places(want, got), key=lambda one: one[1], default=None)


def _last_of_each(want: Tokens, got: Tokens) -> tuple[str, int] | None:
    """In each request the last position that differs."""
    found = []
    for name, tokens in want.items():
        longest = max(len(tokens), len(got[name]))
        one, other = ([*row, *[None] * (longest - len(row))] for row in (tokens, got[name]))
        differ = [index for index in range(longest) if one[index] != other[index]]
        if differ:
            found.append((name, differ[-1]))
    return min(found, key=lambda one: one[1], default=None)


def _length_first(want: Tokens, got: Tokens) -> tuple[str, int] | None:
    for name, tokens in want.items():
        if len(tokens) != len(got[name]):
            return name, min(len(tokens), len(got[name]))
    return first_difference(want, got)


def _with_token(want: Tokens, got: Tokens) -> Any:
    found = first_difference(want, got)
    return found and (found[0], (list(got[found[0]]) + [None] * (found[1] + 1))[found[1]])


def _plus_one(want: Tokens, got: Tokens) -> Any:
    found = first_difference(want, got)
    return found and (found[0], found[1] + 1)


def _flipped(want: Tokens, got: Tokens) -> Any:
    found = first_difference(want, got)
    return found and found[::-1]


def _members(want: Tokens, got: Tokens) -> Any:
    """Asks whether a token occurs anywhere in the other run."""
    places = [
        (name, index)
        for name, tokens in want.items()
        for index, token in enumerate(tokens)
        if token not in got[name]
    ]
    return min(places, key=lambda one: one[1], default=None)


_WRONGS = (
    Wrong(
        "That is the first request that differs, not the one that differs at the earliest position: look at "
        "all of them.",
        lambda want, got: next(iter(_places(want, got)), None),
    ),
    Wrong(
        "Answers are compared only as far as both go: where one has ended and the other goes on they differ.",
        _common,
    ),
    Wrong(
        "Of several requests with the same position the last came back: the first one is wanted.",
        _ties_to_the_last,
    ),
    Wrong(
        "Of several requests with the same position the first by *name* came back: the first one in the "
        "order of `want` is wanted.",
        _ties_by_name,
    ),
    Wrong(
        "Each position of `want` is looked up in `got`, which may have ended there, and where `got` goes on "
        "nobody looks: they are compared only as far as both go.",
        _by_index,
    ),
    Wrong(
        "That is the request that differs *latest*: everything after the first difference follows from it.",
        _latest,
    ),
    Wrong("In a request the *last* position that differs was taken: take the first.", _last_of_each),
    Wrong(
        "Different lengths are reported before different tokens: an earlier token counts first.",
        _length_first,
    ),
    Wrong("Positions count from 0.", _plus_one),
    Wrong("The token came back in place of its position.", _with_token),
    Wrong("The request comes first, then the position.", _flipped),
    Wrong(
        "Only the request came back: the position is wanted too.",
        lambda want, got: (first_difference(want, got) or (None,))[0],
    ),
    Wrong(
        "Only the position came back: the request is wanted too.",
        lambda want, got: (first_difference(want, got) or (None, None))[1],
    ),
    Wrong(
        "Where nothing differs, None is wanted.",
        lambda want, got: first_difference(want, got) or ("", -1),
    ),
    Wrong(
        "A token counts as right wherever it stands in the other answer: compare position by position.",
        _members,
    ),
    Wrong(
        "All differences came back: the first one is wanted.",
        lambda want, got: _places(want, got),
    ),
    Wrong(
        "Where nothing differs, None is wanted.",
        matches=lambda args, want, got: want is None,
    ),
)


def check_first_difference(t: Trial) -> None:
    """Exercise 7.4."""

    def draw(rng: random.Random) -> Args:
        want = {f"r{number}": [rng.randrange(9) for _ in range(rng.randint(1, 7))] for number in range(4)}
        got = {name: list(tokens) for name, tokens in want.items()}
        for name in rng.sample(sorted(got), rng.randint(0, 3)):
            if rng.random() < 0.3:
                got[name] = (
                    got[name][: rng.randrange(len(got[name]))] if rng.random() < 0.5 else [*got[name], 4]
                )
            else:
                start = rng.randrange(len(got[name]))
                for place in range(start, len(got[name])):
                    got[name][place] = (got[name][place] + rng.choice((0, 1) if place > start else (1,))) % 9
        return want, got

    immediate: list[Args] = [
        ({"a": [5, 6, 7], "b": [1, 2, 3]}, {"a": [5, 6, 7], "b": [1, 2, 3]}),
        ({"a": [5, 6, 7], "b": [1, 2, 3]}, {"a": [5, 6, 7], "b": [1, 9, 3]}),
        ({"a": [5, 6, 7], "b": [1, 2, 3]}, {"a": [5, 6, 8], "b": [1, 3, 2]}),
        ({"b": [5, 6, 7], "a": [1, 2, 3]}, {"b": [5, 7, 6], "a": [1, 4, 4]}),
        ({"a": [5, 6, 7], "b": [1, 2, 3]}, {"a": [5, 7, 7], "b": [1, 4, 4]}),
        ({"a": [5, 6, 7], "b": [1, 2, 3]}, {"a": [4, 6, 7], "b": [1, 2, 4]}),
        ({"a": [5, 6, 7], "b": [1, 2, 3]}, {"a": [5, 6], "b": [1, 2, 3]}),
        ({"a": [5, 6], "b": [1, 2, 3]}, {"a": [5, 6, 6], "b": [0, 2, 3]}),
        ({"a": [5, 0]}, {"a": [5]}),
    ]
    diagnose_function(t, "first_difference", t.cases(immediate, draw), first_difference, _WRONGS)

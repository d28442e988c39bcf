"""The check of exercise 5.4: how the budget of a step is shared out among those that run."""

import random
from collections.abc import Sequence

from cblab.lab.labs.continuous_batching.reference import share_budget
from cblab.lab.labs.diagnose import Args, Wrong, diagnose_function
from cblab.lab.trial import Trial


def _in_order(wanted: Sequence[int], budget: int, chunk_size: int) -> list[int]:
    shares = []
    for one in wanted:
        shares.append(min(one, chunk_size, budget))
        budget -= shares[-1]
    return shares


def _no_chunk(wanted: Sequence[int], budget: int, chunk_size: int) -> list[int]:
    return share_budget(wanted, budget, budget)


def _budget_not_spent(wanted: Sequence[int], budget: int, chunk_size: int) -> list[int]:
    return [min(one, chunk_size, budget - len(wanted) + index + 1) for index, one in enumerate(wanted)]


def _no_budget(wanted: Sequence[int], budget: int, chunk_size: int) -> list[int]:
    return [min(one, chunk_size) for one in wanted]


def _one_more_behind(wanted: Sequence[int], budget: int, chunk_size: int) -> list[int]:
    shares = []
    for index, one in enumerate(wanted):
        shares.append(min(one, chunk_size, budget - (len(wanted) - index)))
        budget -= shares[-1]
    return shares


def _all_kept(wanted: Sequence[int], budget: int, chunk_size: int) -> list[int]:
    shares = []
    for one in wanted:
        shares.append(min(one, chunk_size, budget - (len(wanted) - 1)))
        budget -= shares[-1]
    return shares


def _equal(wanted: Sequence[int], budget: int, chunk_size: int) -> list[int]:
    return [min(one, chunk_size, budget // len(wanted)) for one in wanted]


def _whole_or_nothing(wanted: Sequence[int], budget: int, chunk_size: int) -> list[int]:
    shares = []
    for index, one in enumerate(wanted):
        most = min(chunk_size, budget - (len(wanted) - index - 1))
        shares.append(one if one <= most else 0)
        budget -= shares[-1]
    return shares


def _chunk_always(wanted: Sequence[int], budget: int, chunk_size: int) -> list[int]:
    shares = []
    for index, one in enumerate(wanted):
        shares.append(1 if one == 1 else min(chunk_size, budget - (len(wanted) - index - 1)))
        budget -= shares[-1]
    return shares


def _decodes_only_kept(wanted: Sequence[int], budget: int, chunk_size: int) -> list[int]:
    shares = []
    for index, one in enumerate(wanted):
        behind = sum(other == 1 for other in wanted[index + 1 :])
        shares.append(min(one, chunk_size, budget - behind))
        budget -= shares[-1]
    return shares


def _from_the_end(wanted: Sequence[int], budget: int, chunk_size: int) -> list[int]:
    return share_budget(list(wanted)[::-1], budget, chunk_size)[::-1]


def _sorted(wanted: Sequence[int], budget: int, chunk_size: int) -> list[int]:
    return share_budget(sorted(wanted), budget, chunk_size)


def _drops_unserved(wanted: Sequence[int], budget: int, chunk_size: int) -> list[int]:
    return [one for one in _in_order(wanted, budget, chunk_size) if one]


_WRONGS = (
    Wrong(
        "A chunk takes what the requests behind it need: those behind a long prompt get nothing. Leave each "
        "one token.",
        _in_order,
    ),
    Wrong(
        "Who gets nothing is left out of the list: nobody may get nothing, each gets a token.",
        _drops_unserved,
    ),
    Wrong("`chunk_size` is not used: one request computes at most so many tokens in a step.", _no_chunk),
    Wrong(
        "The budget is never reduced: what one request takes is gone for the next ones.", _budget_not_spent
    ),
    Wrong("`budget` is not used: all tokens of a step together stay within it.", _no_budget),
    Wrong(
        "One token too many is kept back: a request leaves one for each of those *behind* it, not for "
        "itself.",
        _one_more_behind,
    ),
    Wrong(
        "A token is kept for every other request, those before it included: they have theirs already.",
        _all_kept,
    ),
    Wrong("The budget is split into equal parts: what a decode does not need belongs to the chunks.", _equal),
    Wrong(
        "A prompt that does not fit whole gets nothing: let it compute the part that fits.", _whole_or_nothing
    ),
    Wrong(
        "A request gets a whole chunk although it wants less: the end of a prompt is shorter.", _chunk_always
    ),
    Wrong(
        "A token is kept only for requests that decode: a prompt behind a long one needs one as well.",
        _decodes_only_kept,
    ),
    Wrong("The budget is shared out from the end: who came first is served first.", _from_the_end),
    Wrong("The wishes were sorted: shares belong to the requests in the order given.", _sorted),
)


def _draw(rng: random.Random) -> Args:
    count = rng.randint(1, 7)
    wanted = [rng.choice((1, 1, rng.randint(2, 40), rng.randint(5, 15))) for _ in range(count)]
    return wanted, rng.randint(count, 50), rng.randint(3, 30)


_IMMEDIATE: list[Args] = [
    ([1, 30, 1, 1], 16, 10),
    ([40, 1, 25, 1, 1], 16, 16),
    ([7, 3, 9], 64, 8),
    ([50, 1, 50], 4, 9),
    ([], 16, 10),
]


def check_share_budget(t: Trial) -> None:
    """Exercise 5.4."""
    diagnose_function(t, "share_budget", list(t.cases(_IMMEDIATE, _draw)), share_budget, _WRONGS)

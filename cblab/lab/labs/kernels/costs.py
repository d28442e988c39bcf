"""Checks of exercise 6.1: FLOPs and bytes of attention in a decode step."""

import random
from collections.abc import Callable, Sequence
from typing import Any

from cblab.lab.labs.diagnose import Args, Wrong, diagnose_function
from cblab.lab.labs.kernels.numerics import decode_cost
from cblab.lab.trial import Trial

Cost = Callable[[int, int, int, int, int], tuple[Any, Any]]


def _of(cost: Cost) -> Callable[..., Any]:
    """A cost with a defect, `cost(tokens, num_heads, num_kv_heads, head_dim, bytes_per_number)`."""

    def costed(lengths: Sequence[int], heads: int, kv_heads: int, dim: int, size: int) -> Any:
        return cost(sum(lengths), heads, kv_heads, dim, size)

    return costed


_WRONGS = (
    Wrong(
        "Only the products with the keys are counted as FLOPs: the values are weighed too.",
        _of(lambda n, h, kv, d, b: (2 * h * d * n, 2 * kv * d * b * n)),
    ),
    Wrong(
        "A multiplication and an addition are 2 FLOPs: half of them are missing.",
        _of(lambda n, h, kv, d, b: (2 * h * d * n, kv * d * b * n)),
    ),
    Wrong(
        "Half of the bytes are missing: keys *and* values are read.",
        _of(lambda n, h, kv, d, b: (4 * h * d * n, kv * d * b * n)),
    ),
    Wrong(
        "The bytes are counted for every query head: a KV head's keys are read once for its whole group.",
        _of(lambda n, h, kv, d, b: (4 * h * d * n, 2 * h * d * b * n)),
    ),
    Wrong(
        "The FLOPs are counted for the KV heads: every query head computes its own scores.",
        _of(lambda n, h, kv, d, b: (4 * kv * d * n, 2 * kv * d * b * n)),
    ),
    Wrong(
        "`bytes_per_number` is missing: that is how many numbers are read.",
        _of(lambda n, h, kv, d, b: (4 * h * d * n, 2 * kv * d * n)),
    ),
    Wrong(
        "FLOPs and bytes are the wrong way round.",
        _of(lambda n, h, kv, d, b: (2 * kv * d * b * n, 4 * h * d * n)),
    ),
    Wrong(
        "Every request is counted with the longest one's context: nothing is padded here.",
        lambda lengths, h, kv, d, b: decode_cost([max(lengths, default=0)] * len(lengths), h, kv, d, b),
    ),
    Wrong(
        "Only the first request is counted.",
        lambda lengths, h, kv, d, b: decode_cost(lengths[:1], h, kv, d, b),
    ),
    Wrong(
        "The FLOPs are those of a whole prompt, with the square of its length: here one token is new.",
        lambda lengths, h, kv, d, b: (
            4 * h * d * sum(n * n for n in lengths),
            decode_cost(lengths, h, kv, d, b)[1],
        ),
    ),
    Wrong(
        "`head_dim` is missing in the FLOPs: a product of two rows is `head_dim` multiplications.",
        _of(lambda n, h, kv, d, b: (4 * h * n, 2 * kv * d * b * n)),
    ),
)


def _times(index: int, factor: Callable[[int, int, int, int], Any]) -> Callable[[Args, Any, Any], bool]:
    """Whether FLOPs (0) or bytes (1) are wrong by a factor of query heads, KV heads, head_dim, bytes."""

    def matches(args: Args, want: Any, got: Any) -> bool:
        return bool(got[index] * factor(*args[1:]) == want[index] != 0)

    return matches


# With a second mistake in the other number. These come last: they say less.
_ONE_NUMBER = (
    Wrong(
        "The FLOPs are half of what is expected: a product of two rows takes a multiplication *and* an "
        "addition for each number, and there are two such products, for the key and for the value.",
        matches=_times(0, lambda h, kv, d, b: 2),
    ),
    Wrong(
        "The FLOPs are a quarter of what is expected: two products, each a multiplication and an addition.",
        matches=_times(0, lambda h, kv, d, b: 4),
    ),
    Wrong(
        "The FLOPs are too few by the size of a group: they belong to query heads, not to KV heads.",
        matches=_times(0, lambda h, kv, d, b: h // kv),
    ),
    Wrong(
        "The bytes are half of what is expected: both keys and values are read.",
        matches=_times(1, lambda h, kv, d, b: 2),
    ),
    Wrong(
        "The bytes are not yet bytes: numbers are `bytes_per_number` long.",
        matches=_times(1, lambda h, kv, d, b: b),
    ),
)


def check_decode_cost(t: Trial) -> None:
    """Exercise 6.1."""

    def draw(rng: random.Random) -> Args:
        kv_heads = rng.choice((1, 2, 3, 5))
        lengths = [rng.randint(1, 90) for _ in range(rng.randint(0, 4))]
        return (
            lengths,
            kv_heads * rng.choice((2, 3, 7)),
            kv_heads,
            rng.choice((11, 13)),
            rng.choice((1, 2, 4)),
        )

    immediate: list[Args] = [([10, 3], 6, 2, 5, 4), ([7], 4, 4, 3, 2), ([1, 1, 5], 9, 3, 11, 2)]
    diagnose_function(
        t,
        "decode_cost",
        t.cases(immediate, draw),
        decode_cost,
        (*_WRONGS, *_ONE_NUMBER),
        results=("FLOPs", "bytes"),
    )

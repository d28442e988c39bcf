"""Checks of exercises 6.3 and 6.15: results over parts of the tokens, put together."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cblab.lab.labs.diagnose import Args, Wrong, diagnose
from cblab.lab.labs.kernels.numerics import Partial, merge, merge_lse
from cblab.lab.trial import Trial

CLOSE = 2e-5


def part_of(q: np.ndarray, keys: np.ndarray, values: np.ndarray) -> Partial:
    """Attention of `[num_heads, head_dim]` queries over `[num_tokens, head_dim]` keys, which may be none."""
    scores = q @ keys.T
    if not len(keys):
        return np.full(len(q), -np.inf, np.float32), np.zeros(len(q), np.float32), np.zeros_like(q)
    highest = scores.max(axis=1)
    weights = np.exp(scores - highest[:, None])
    return highest, weights.sum(axis=1), weights @ values


def _drawn(seed: int, sizes: Sequence[int], heads: int, dim: int) -> list[Partial]:
    rng = np.random.default_rng(seed)
    q = rng.standard_normal((heads, dim), dtype=np.float32)
    keys, values = rng.standard_normal((2, sum(sizes), dim), dtype=np.float32) * np.float32(1.5)
    ends = np.cumsum(sizes)
    return [
        part_of(q, keys[end - size : end], values[end - size : end])
        for end, size in zip(ends, sizes, strict=True)
    ]


def _merged(
    factor: Callable[[np.ndarray, np.ndarray], Any] = lambda part, top: np.exp(part - top),
    for_total: bool = True,
    for_sums: bool = True,
    divides: bool = True,
) -> Callable[..., Any]:
    """`merge` with a defect."""

    def merged(partials: Sequence[Partial]) -> Any:
        top = np.max([part[0] for part in partials], axis=0)
        total, sums = np.zeros_like(partials[0][1]), np.zeros_like(partials[0][2])
        with np.errstate(all="ignore"):
            for highest, part_total, part_sums in partials:
                scale = factor(highest, top) * np.ones_like(highest)
                total = total + (scale if for_total else 1) * part_total
                sums = sums + (scale[:, None] if for_sums else 1) * part_sums
            return np.asarray(sums / total[:, None] if divides else sums, np.float32)

    return merged


def _mean_of_outputs(partials: Sequence[Partial]) -> Any:
    with np.errstate(all="ignore"):
        return np.mean([sums / total[:, None] for _, total, sums in partials], axis=0, dtype=np.float32)


def _each_divided(partials: Sequence[Partial]) -> Any:
    with np.errstate(all="ignore"):
        return merge([(top, total, sums / total[:, None]) for top, total, sums in partials])


def _one_top(partials: Sequence[Partial]) -> Any:
    """`merge` with one highest score for all heads."""
    return _merged(lambda part, top: np.exp(part - top.max()))(partials)


_MERGE_WRONGS = (
    Wrong(
        "The parts' results are averaged: a part counts as much as the weights that it holds.",
        _mean_of_outputs,
    ),
    Wrong(
        "The parts are added as they are: each took its weights relative to its own highest score, and first "
        "has to be brought to the common one.",
        _merged(lambda part, top: np.ones_like(part)),
    ),
    Wrong(
        "The factor is upside down: it is e^(part's highest - highest of all), at most 1.",
        _merged(lambda part, top: np.exp(top - part)),
    ),
    Wrong("The sums of weights are not multiplied with the parts' factors.", _merged(for_total=False)),
    Wrong("The weighted values are not multiplied with the parts' factors.", _merged(for_sums=False)),
    Wrong("The weighted values are not divided by the sum of all weights.", _merged(divides=False)),
    Wrong(
        "A part's values are divided by its own sum of weights before they are added: divide once, at the "
        "end.",
        _each_divided,
    ),
    Wrong(
        "The factors are the scores' differences themselves: weights are powers of e.",
        _merged(lambda part, top: part - top),
    ),
    Wrong(
        "One highest score is taken for all heads: beside a head with far higher scores, all weights of "
        "another are 0. Take the highest of *each head*.",
        _one_top,
    ),
    Wrong("Only the first part came back.", lambda partials: merge(partials[:1])),
    Wrong("Only the last part came back.", lambda partials: merge(partials[-1:])),
    Wrong(
        "A part without any token makes the result NaN: its highest score is -inf, and -inf - (-inf) is NaN.",
        matches=lambda args, want, got: (
            bool(np.isnan(got).any()) and any(np.isinf(part[0]).any() for part in args[0])
        ),
    ),
)


def _apart(parts: Sequence[Partial], distance: float) -> list[Partial]:
    """The parts, with the last head's scores higher than the others' by about `distance`."""
    lifts = np.zeros_like(parts[0][0])
    lifts[-1] = distance
    return [(highest + lifts, total, sums) for highest, total, sums in parts]


def check_merge(t: Trial) -> None:
    """Exercise 6.3."""

    def draw(rng: random.Random) -> Args:
        sizes = [rng.randint(0, 4) for _ in range(rng.randint(1, 4))]
        parts = _drawn(rng.randrange(2**30), [*sizes, 2], rng.choice((1, 2, 3)), rng.choice((2, 5)))
        return (_apart(parts, rng.choice((0, 0, 1_000))),)

    immediate: list[Args] = [
        (_drawn(1, (3, 2), 2, 3),),
        (_drawn(2, (1, 4, 2), 1, 2),),
        (_drawn(3, (0, 0, 3), 2, 2),),
        (_drawn(4, (5,), 3, 2),),
        (_apart(_drawn(8, (2, 3), 2, 3), 1_000),),
    ]
    diagnose(
        t,
        lambda partials: t.executor.call("merge", partials),
        t.cases(immediate, draw),
        merge,
        _MERGE_WRONGS,
        spell=lambda args: f"merge({len(args[0])} parts of {len(args[0][0][0])} heads)",
        abs_=CLOSE,
    )


def _split(parts: Sequence[Partial]) -> Args:
    with np.errstate(all="ignore"):
        outputs = np.stack([sums / total[:, None] for _, total, sums in parts])
        return outputs, np.stack([highest + np.log(total) for highest, total, _ in parts])


def _weighted(weight: Callable[[np.ndarray], np.ndarray]) -> Callable[..., Any]:
    def merged(outputs: np.ndarray, lse: np.ndarray) -> Any:
        with np.errstate(all="ignore"):
            return np.asarray((outputs * weight(lse)[:, :, None]).sum(axis=0), np.float32)

    return merged


def _softmax(scores: np.ndarray, axis: int = 0) -> np.ndarray:
    weights = np.exp(scores - scores.max(axis=axis, keepdims=True))
    return np.asarray(weights / weights.sum(axis=axis, keepdims=True))


def _one_lse_for_all(lse: np.ndarray) -> np.ndarray:
    weights = np.exp(lse - lse.max())
    return np.asarray(weights / weights.sum(axis=0))


_LSE_WRONGS = (
    Wrong(
        "The results are averaged: a split counts e^lse.", _weighted(lambda lse: np.ones_like(lse) / len(lse))
    ),
    Wrong("The results are added: their weights must add up to 1.", _weighted(np.ones_like)),
    Wrong(
        "The logarithms are taken for the weights themselves.", _weighted(lambda lse: lse / lse.sum(axis=0))
    ),
    Wrong(
        "The softmax runs over the heads: it has to run over the splits.",
        _weighted(lambda lse: _softmax(lse, 1)),
    ),
    Wrong("The smaller lse counts more: a sign is wrong.", _weighted(lambda lse: _softmax(-lse))),
    Wrong("The weights are not divided by their sum.", _weighted(lambda lse: np.exp(lse - lse.max(axis=0)))),
    Wrong(
        "The lse is to base e: 2^lse was taken.", _weighted(lambda lse: _softmax(lse * np.float32(np.log(2))))
    ),
    Wrong(
        "All heads are weighed alike: each has an lse of its own.",
        _weighted(lambda lse: np.repeat(_softmax(lse[:, :1]), lse.shape[1], axis=1)),
    ),
    Wrong(
        "The highest lse of all heads is subtracted from every head's: beside a head with a far higher one, "
        "all weights of another are 0. Take the highest lse of *each head*.",
        _weighted(_one_lse_for_all),
    ),
    Wrong(
        "e^lse was taken as it is, and overflows: subtract the highest lse first.",
        matches=lambda args, want, got: bool(np.isnan(got).any()) and bool((args[1] > 88).any()),
    ),
)


def check_merge_lse(t: Trial) -> None:
    """Exercise 6.15."""

    def lifted(args: Args, lift: float) -> Args:
        return args[0], args[1] + np.float32(lift)

    def draw(rng: random.Random) -> Args:
        sizes = [rng.randint(1, 5) for _ in range(rng.randint(2, 4))]
        parts = _drawn(rng.randrange(2**30), sizes, rng.choice((2, 3)), rng.choice((2, 5)))
        lift, distance = rng.choice(((0, 0), (95, 0), (0, 120)))
        return lifted(_split(_apart(parts, distance)), lift)

    immediate = [
        _split(_drawn(5, (3, 1), 2, 3)),
        _split(_drawn(6, (2, 4, 1), 3, 2)),
        lifted(_split(_drawn(7, (2, 2), 2, 2)), 100),
        _split(_apart(_drawn(9, (3, 2), 2, 3), 120)),
    ]
    diagnose(
        t,
        lambda *args: t.executor.call("merge_lse", *args),
        t.cases(immediate, draw),
        merge_lse,
        _LSE_WRONGS,
        spell=lambda args: f"merge_lse({len(args[0])} splits, {args[0].shape[1]} heads)",
        abs_=5e-5,
    )

"""Check of exercise 6.2: a tile of scores taken into a running softmax."""

import random
from typing import Any

import numpy as np

from cblab.lab.labs.diagnose import Args, Wrong, diagnose
from cblab.lab.labs.kernels.compiling import call_compiled
from cblab.lab.trial import Trial

CLOSE = 2e-5
_RUN_FOLD = "cblab.lab.labs.kernels.running:run_fold"
Arrays = tuple[np.ndarray, ...]


class _Fold:
    """`fold` by its definition, in pieces."""

    def seen(self, scores: np.ndarray, count: int) -> np.ndarray:
        return scores[:, :count]

    def top(self, tile: np.ndarray, highest: np.ndarray) -> np.ndarray:
        return np.maximum(tile.max(axis=1), highest)

    def factor(self, highest: np.ndarray, top: np.ndarray) -> np.ndarray:
        return np.asarray(np.exp(highest - top))

    def result(
        self, tile: np.ndarray, highest: np.ndarray, total: np.ndarray, sums: np.ndarray, top: np.ndarray
    ) -> Arrays:
        weights = np.exp(tile - top[:, None])
        factor = self.factor(highest, top)
        return weights, top, total * factor + weights.sum(axis=1), sums * factor[:, None]

    def __call__(
        self, scores: np.ndarray, count: int, highest: np.ndarray, total: np.ndarray, sums: np.ndarray
    ) -> Any:
        with np.errstate(all="ignore"):
            tile = self.seen(scores, count)
            weights, *state = self.result(tile, highest, total, sums, self.top(tile, highest))
            return tuple(np.asarray(one, np.float32) for one in (weights[:, :count], *state))


class _WholeTile(_Fold):
    def seen(self, scores: np.ndarray, count: int) -> np.ndarray:
        return scores


class _TileAlone(_Fold):
    def top(self, tile: np.ndarray, highest: np.ndarray) -> np.ndarray:
        return np.asarray(tile.max(axis=1))


class _AtLeastZero(_Fold):
    def top(self, tile: np.ndarray, highest: np.ndarray) -> np.ndarray:
        return np.maximum(super().top(tile, highest), 0)


class _Inverted(_Fold):
    def factor(self, highest: np.ndarray, top: np.ndarray) -> np.ndarray:
        return np.asarray(np.exp(top - highest))


class _TotalKept(_Fold):
    def result(self, tile: Any, highest: Any, total: Any, sums: Any, top: Any) -> Arrays:
        weights, top, _, sums = super().result(tile, highest, total, sums, top)
        return weights, top, total + weights.sum(axis=1), sums


class _SumsKept(_Fold):
    def result(self, tile: Any, highest: Any, total: Any, sums: Any, top: Any) -> Arrays:
        return *super().result(tile, highest, total, sums, top)[:3], sums


class _BothKept(_Fold):
    def factor(self, highest: np.ndarray, top: np.ndarray) -> np.ndarray:
        return np.ones_like(highest)


class _HighestKept(_Fold):
    def result(self, tile: Any, highest: Any, total: Any, sums: Any, top: Any) -> Arrays:
        weights, _, total, sums = super().result(tile, highest, total, sums, top)
        return weights, highest, total, sums


class _ScoresKept(_Fold):
    def result(self, tile: Any, highest: Any, total: Any, sums: Any, top: Any) -> Arrays:
        return tile, *super().result(tile, highest, total, sums, top)[1:]


class _TotalReplaced(_Fold):
    def result(self, tile: Any, highest: Any, total: Any, sums: Any, top: Any) -> Arrays:
        weights, top, _, sums = super().result(tile, highest, total, sums, top)
        return weights, top, weights.sum(axis=1), sums


class _AddedFirst(_Fold):
    def result(self, tile: Any, highest: Any, total: Any, sums: Any, top: Any) -> Arrays:
        weights, top, _, sums = super().result(tile, highest, total, sums, top)
        return weights, top, (total + weights.sum(axis=1)) * self.factor(highest, top), sums


class _NothingSubtracted(_Fold):
    def result(self, tile: Any, highest: Any, total: Any, sums: Any, top: Any) -> Arrays:
        _, top, _, sums = super().result(tile, highest, total, sums, top)
        weights = np.exp(tile)
        return weights, top, total * self.factor(highest, top) + weights.sum(axis=1), sums


_FOLD_WRONGS = (
    Wrong(
        "The whole tile is taken: behind the first `count` scores there is nothing of this request.",
        _WholeTile(),
    ),
    Wrong(
        "The highest score so far is forgotten: the new one is the highest of it *and* the tile.",
        _TileAlone(),
    ),
    Wrong(
        "The highest score begins at 0: all scores may be below 0. Begin with `highest[head]`.",
        _AtLeastZero(),
    ),
    Wrong("The factor is upside down: it is e^(old highest - new highest), at most 1.", _Inverted()),
    Wrong(
        "`total` is not made smaller when a higher score comes: its weights had another highest.",
        _TotalKept(),
    ),
    Wrong(
        "`sums` is not made smaller when a higher score comes: its weights had another highest.", _SumsKept()
    ),
    Wrong(
        "What was gathered before is not brought to the new highest score: the weights in `total` and `sums` "
        "had another highest.",
        _BothKept(),
    ),
    Wrong("`highest` is not written back: the next tile will not know of it.", _HighestKept()),
    Wrong("The scores are still scores: each becomes its weight, e^(score - highest).", _ScoresKept()),
    Wrong("`total` holds this tile's weights alone: add them to those so far.", _TotalReplaced()),
    Wrong(
        "The new weights are made smaller too: multiply `total` by the factor before adding.", _AddedFirst()
    ),
    Wrong(
        "The highest score is not subtracted from the scores: weights are e^(score - highest).",
        _NothingSubtracted(),
    ),
)


def _fold_case(rng: random.Random, first: bool) -> Args:
    numbers = np.random.default_rng(rng.randrange(2**30))
    heads, tile, dim = rng.choice(((2, 5, 3), (3, 4, 2), (1, 6, 5)))
    shift = np.float32(rng.choice((-3, 0, 3)))
    scores = numbers.standard_normal((heads, tile), dtype=np.float32) + shift
    total, sums = np.zeros(heads, np.float32), np.zeros((heads, dim), np.float32)
    highest = np.full(heads, -np.inf, np.float32)
    if not first:
        highest = numbers.standard_normal(heads, dtype=np.float32) + shift
        total = 1 + numbers.random(heads, dtype=np.float32)
        sums = numbers.standard_normal((heads, dim), dtype=np.float32)
    return scores, rng.randint(1, tile), highest, total, sums


def check_fold(t: Trial) -> None:
    """Exercise 6.2, uncompiled; compiled once, if that is right."""
    kernel = t.executor.request("get", name="fold", result="handle").value

    def call(*args: Any) -> Any:
        return t.executor.call(_RUN_FOLD, kernel, *args)

    def draw(rng: random.Random) -> Args:
        return _fold_case(rng, first=rng.random() < 0.25)

    immediate: list[Args] = [
        _plain_case([[1, 3, 2, 9]], 3, [-np.inf], [0], [[0, 0]]),
        _plain_case([[2, 0, 7]], 2, [1], [1.5], [[4, -2]]),
        _plain_case([[-4, -6], [-1, -8]], 2, [-5, -0.5], [2, 1], [[1, 2], [3, 4]]),
        _plain_case([[200, 100]], 2, [150], [1], [[1, 1]]),
    ]
    diagnose(
        t,
        call,
        t.cases(immediate, draw, 12),
        _Fold(),
        _FOLD_WRONGS,
        spell=lambda args: f"fold(scores {args[0].tolist()}, {args[1]}, {args[2].tolist()}, …)"[:150],
        results=("scores", "highest", "total", "sums"),
        abs_=CLOSE,
    )
    if t.level == "random":
        call_compiled(t, kernel, "call", *_plain_case([[1, 3]], 2, [0], [1], [[1, 1]]))


def _plain_case(scores: Any, count: int, highest: Any, total: Any, sums: Any) -> Args:
    arrays = (np.array(one, np.float32) for one in (scores, highest, total, sums))
    one, *rest = arrays
    return one, count, *rest

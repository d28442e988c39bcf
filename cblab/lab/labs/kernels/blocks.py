"""Checks of exercise 6.5: one sequence block by block, its partial result, and the rows that it loads."""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from cblab.lab.compare import difference
from cblab.lab.labs.diagnose import Args, Wrong, diagnose
from cblab.lab.labs.kernels.cases import LONG_SHAPE, SHAPES, paged_case
from cblab.lab.labs.kernels.compiling import call_compiled
from cblab.lab.trial import Trial

CLOSE = 5e-5
_ATTEND, _LOADS = (f"cblab.lab.labs.kernels.running:{one}" for one in ("run_attend", "count_loads"))


class _Attend:
    """`attend` block by block, in pieces; the blanks are `scores` and `added`."""

    def kv_heads(self, num_heads: int, num_kv_heads: int) -> list[int]:
        """The KV head of each query head."""
        return [head // (num_heads // num_kv_heads) for head in range(num_heads)]

    def scores(self, q: np.ndarray, keys: np.ndarray, scale: float) -> np.ndarray:
        """Scores of a block's tokens, `[num_heads, count]`, from keys `[count, num_heads, head_dim]`."""
        return np.asarray(np.einsum("hd,chd->hc", q, keys) * scale)

    def added(self, sums: np.ndarray, weights: np.ndarray, values: np.ndarray) -> np.ndarray:
        """The sums with a block's weighted values."""
        return np.asarray(sums + np.einsum("hc,chd->hd", weights, values))

    def weighed(self, keys: np.ndarray, values: np.ndarray) -> np.ndarray:
        """What is weighed."""
        return values

    def __call__(
        self,
        q: np.ndarray,
        keys: np.ndarray,
        values: np.ndarray,
        table: np.ndarray,
        start: int,
        end: int,
        scale: float,
    ) -> Any:
        size, heads = keys.shape[1], self.kv_heads(q.shape[0], keys.shape[2])
        highest = np.full(len(q), -np.inf, np.float32)
        total, sums = np.zeros(len(q), np.float32), np.zeros_like(q)
        values = self.weighed(keys, values)
        for first in range(start, end, size):
            block, count = table[first // size], min(size, end - first)
            scores = self.scores(q, keys[block, :count][:, heads], scale)
            top = np.maximum(highest, scores.max(axis=1))
            factor, weights = np.exp(highest - top), np.exp(scores - top[:, None])
            highest, total = top, total * factor + weights.sum(axis=1)
            sums = self.added(sums * factor[:, None], weights, values[block, :count][:, heads])
        return tuple(np.asarray(one, np.float32) for one in (highest, total, sums))


class _HeadModulo(_Attend):
    def kv_heads(self, num_heads: int, num_kv_heads: int) -> list[int]:
        return [head % num_kv_heads for head in range(num_heads)]


class _FirstHead(_Attend):
    def kv_heads(self, num_heads: int, num_kv_heads: int) -> list[int]:
        return [0] * num_heads


class _NoScale(_Attend):
    def scores(self, q: np.ndarray, keys: np.ndarray, scale: float) -> np.ndarray:
        return super().scores(q, keys, 1.0)


class _FirstQuery(_Attend):
    def scores(self, q: np.ndarray, keys: np.ndarray, scale: float) -> np.ndarray:
        return super().scores(np.repeat(q[:1], len(q), axis=0), keys, scale)


class _Replaced(_Attend):
    def added(self, sums: np.ndarray, weights: np.ndarray, values: np.ndarray) -> np.ndarray:
        return super().added(np.zeros_like(sums), weights, values)


class _LastSlot(_Attend):
    def added(self, sums: np.ndarray, weights: np.ndarray, values: np.ndarray) -> np.ndarray:
        return super().added(np.zeros_like(sums), weights[:, -1:], values[-1:])


class _Unweighed(_Attend):
    def added(self, sums: np.ndarray, weights: np.ndarray, values: np.ndarray) -> np.ndarray:
        return super().added(sums, np.ones_like(weights), values)


class _KeysWeighed(_Attend):
    def weighed(self, keys: np.ndarray, values: np.ndarray) -> np.ndarray:
        return keys


class _FirstSlot(_Attend):
    def scores(self, q: np.ndarray, keys: np.ndarray, scale: float) -> np.ndarray:
        return super().scores(q, np.repeat(keys[:1], len(keys), axis=0), scale)


class _OneNumber(_Attend):
    def scores(self, q: np.ndarray, keys: np.ndarray, scale: float) -> np.ndarray:
        return super().scores(q[:, -1:], keys[:, :, -1:], scale)


class _NoValues(_Attend):
    def added(self, sums: np.ndarray, weights: np.ndarray, values: np.ndarray) -> np.ndarray:
        return sums


_WRONGS = (
    Wrong("Head h reads KV head h // group: h % num_kv_heads was read.", _HeadModulo()),
    Wrong("All query heads read KV head 0.", _FirstHead()),
    Wrong("The scores are not multiplied with `scale`.", _NoScale()),
    Wrong("Every head's scores are those of query head 0.", _FirstQuery()),
    Wrong("`sums` is written over by every block: add to what is there.", _Replaced()),
    Wrong("`sums` is written over by every token: add to what is there.", _LastSlot()),
    Wrong("The values are added without their weights, which `fold` has put into `scores`.", _Unweighed()),
    Wrong("The keys are weighed: weights are for the values.", _KeysWeighed()),
    Wrong("Every slot gets the score of the block's first token.", _FirstSlot()),
    Wrong("A score is the sum over `head_dim` products: only the last one is left of it.", _OneNumber()),
    Wrong("No values are added: `sums` is only made smaller.", _NoValues()),
    Wrong(
        "Numbers come in that belong to no token of this request: a block's tokens are its first `count`.",
        matches=lambda args, want, got: bool(
            difference(got[0], want[0], 0.0, CLOSE) is None
            and difference(got[1], want[1], 0.0, CLOSE) is None
            and args[5] % args[1].shape[1]
        ),
    ),
)


def _case(seed: int, shape: Any, length: int, start: int, end: int) -> Args:
    q, keys, values, tables, _, scale = paged_case(seed, shape, (length,))
    return q[0], keys, values, tables[0], start, end, scale


def _sizes(args: Args) -> str:
    q, keys, *_, start, end, _ = args
    return (
        f"attend: {q.shape[0]} query heads, {keys.shape[2]} KV heads, block_size {keys.shape[1]}, tokens "
        f"{start} to {end}"
    )


def check_attend(t: Trial) -> None:
    """Exercise 6.5, uncompiled; then, if that is right, compiled and over a longer context."""
    kernel = t.executor.request("get", name="attend", result="handle").value

    def call(q: np.ndarray, *rest: Any) -> Any:
        return t.executor.call(_ATTEND, kernel, q.shape[0], q.shape[1], q, *rest)

    def draw(rng: random.Random) -> Args:
        shape = rng.choice(SHAPES)
        length = rng.randint(1, 4 * shape[3])
        start = rng.randrange(0, length, shape[3])
        return _case(rng.randrange(2**30), shape, length, start, rng.randint(start + 1, length))

    immediate = [
        _case(1, SHAPES[0], 4, 0, 4),
        _case(2, SHAPES[0], 11, 0, 11),
        _case(3, SHAPES[1], 9, 3, 8),
        _case(4, SHAPES[3], 7, 2, 7),
    ]
    results = ("highest", "total", "sums")
    diagnose(
        t, call, t.cases(immediate, draw, 10), _Attend(), _WRONGS, spell=_sizes, results=results, abs_=CLOSE
    )
    if t.level == "random":
        args = _case(5, LONG_SHAPE, 75, 8, 70)
        got = call_compiled(t, kernel, "attend", *args[0].shape, *args)
        found = difference(got, _Attend()(*args), 0.0, 2 * CLOSE)
        if found:
            t.fail(f"Compiled, it differs from what it gives as Python. ({_sizes(args)}: {found})")


def check_loads(t: Trial) -> None:
    """Exercise 6.5, the rows that are loaded: each key and each value once for the whole group."""
    kernel = t.executor.request("get", name="attend", result="handle").value
    shapes: Sequence[Any] = [(6, 2, 3, 4), (6, 3, 5, 3), (4, 1, 3, 4)]
    draw = lambda rng: (rng.choice(shapes), rng.randint(5, 14))  # noqa: E731
    for shape, end in t.cases([((6, 2, 3, 4), 10), ((4, 1, 3, 4), 8)], draw, 4):
        q, keys, values, table, _, _, scale = _case(end, shape, end, 0, end)
        state = (np.full(len(q), -np.inf, np.float32), np.zeros(len(q), np.float32), np.zeros_like(q))
        loads = t.call(_LOADS, kernel, (q,), keys, values, (table, 0, end, scale, *state), 1)
        rows, group = end * shape[1], shape[0] // shape[1]
        for name, count in zip(("keys", "values"), loads, strict=True):
            text = f"(attend over {end} tokens of {shape[1]} KV heads: {rows} rows, {count} loads of {name}.)"
            if count == rows * group and group > 1:
                t.fail(
                    f"Each row of {name} is loaded {group} times, once for every query head of its group: "
                    f"let the heads be the inner loop, and the slots the outer one. {text}"
                )
            if count > rows:
                t.fail(f"More rows of {name} are loaded than there are: each is needed once. {text}")
            if count < rows:
                t.fail(f"Fewer rows of {name} are loaded than the tokens have: some are never read. {text}")

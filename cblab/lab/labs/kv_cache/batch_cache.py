"""Checks of exercise 3.8: the cache of a batch whose room is reserved."""

import random
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from cblab.lab.labs.diagnose import Wrong, diagnose
from cblab.lab.labs.kv_cache.caches import BatchKVCache
from cblab.lab.labs.kv_cache.cases import randn
from cblab.lab.labs.kv_cache.sequence_cache import Step, shown_session, snapshot, spelled_session
from cblab.lab.protocol import BlankError, StudentError
from cblab.lab.trial import Trial


def _played(make: Callable[..., Any]) -> Callable[..., list[Any]]:
    """A formula: the steps of a session done to an object; a step that is refused gives the error's name."""

    def formula(sizes: tuple[int, ...], steps: Sequence[Step]) -> list[Any]:
        cache = make(*sizes)
        results = []
        for name, *args in steps:
            try:
                results.append(snapshot(getattr(cache, name)(*args)))
            except (RuntimeError, ValueError, IndexError) as error:
                results.append(type(error).__name__)
        return [result for result in results if result is not None]

    return formula


def _update(
    *,
    start: Callable[[Any, int], int] = lambda self, row: self.lengths[row],
    row_of: Callable[[int], int] = lambda row: row,
    layer_of: Callable[[int], int] = lambda layer: layer,
    full: Callable[[int, int], bool] = lambda end, room: end > room,
    error: type[Exception] = ValueError,
    shown: Callable[[int, int, int], slice] = lambda start, end, room: slice(0, end),
    count: Callable[[Any, int, int, int], None] = lambda self, layer, row, num_new: None,
    swap: bool = False,
    write_first: bool = False,
) -> Callable[..., Any]:
    """`update` with a defect."""

    def update(self: Any, layer: int, row: int, k: Tensor, v: Tensor) -> Any:
        num_new, room = k.shape[0], self.max_length
        begin = start(self, row)
        end = begin + num_new
        if full(end, room):
            raise error(row)
        one, two = (v, k) if swap else (k, v)
        place = layer_of(layer), row_of(row)
        self.keys[place][begin:end] = one
        self.values[place][begin:end] = two
        count(self, layer, row, num_new)
        seen = shown(begin, end, room)
        return self.keys[place][seen], self.values[place][seen]

    return update


def _clipped(self: Any, layer: int, row: int, k: Tensor, v: Tensor) -> Any:
    """`update` that writes what there is room for, and says nothing."""
    start = self.lengths[row]
    end = min(start + k.shape[0], self.max_length)
    self.keys[layer, row, start:end] = k[: end - start]
    self.values[layer, row, start:end] = v[: end - start]
    return self.keys[layer, row, :end], self.values[layer, row, :end]


def _count(self: Any, layer: int, row: int, num_new: int) -> None:
    self.lengths[row] += num_new


def _count_in_layer(number: int) -> Callable[[Any, int, int, int], None]:
    def count(self: Any, layer: int, row: int, num_new: int) -> None:
        if layer == number % self.keys.shape[0]:
            self.lengths[row] += num_new

    return count


def _advance(rule: Callable[[list[int], int, int], None]) -> Callable[..., None]:
    return lambda self, row, num_tokens: rule(self.lengths, row, num_tokens)


def _nothing(lengths: list[int], row: int, num_tokens: int) -> None:
    return


def _all_rows(lengths: list[int], row: int, num_tokens: int) -> None:
    lengths[:] = [length + num_tokens for length in lengths]


def _set(lengths: list[int], row: int, num_tokens: int) -> None:
    lengths[row] = num_tokens


def _one(lengths: list[int], row: int, num_tokens: int) -> None:
    lengths[row] += 1


def _defect(**methods: Callable[..., Any]) -> Callable[..., list[Any]]:
    return _played(type("Defect", (BatchKVCache,), methods))


def _share(rule: Callable[[list[int], int], Any]) -> Callable[..., list[Any]]:
    return _defect(utilisation=lambda self: rule(self.lengths, self.max_length))


_WRONGS = (
    Wrong(
        "The length still advances in `update`, once a layer: the second layer writes behind the first one's "
        "tokens and leaves a hole of zeros in front. Move it to `advance`.",
        _defect(update=_update(count=_count), advance=_advance(_nothing)),
    ),
    Wrong(
        "The length advances in `update` and in `advance` too: only `advance` may.",
        _defect(update=_update(count=_count)),
    ),
    Wrong(
        "The length advances in `update` of layer 0: the layers after it write at another place.",
        _defect(update=_update(count=_count_in_layer(0)), advance=_advance(_nothing)),
    ),
    Wrong(
        "The length advances in `update` of the last layer and in `advance` again: each token counts twice.",
        _defect(update=_update(count=_count_in_layer(-1))),
    ),
    Wrong(
        "`advance` does nothing: the next pass writes over these tokens.", _defect(advance=_advance(_nothing))
    ),
    Wrong(
        "`advance` moves all rows: each sequence has its own length.", _defect(advance=_advance(_all_rows))
    ),
    Wrong("`advance` sets the length to the number of new tokens: add it.", _defect(advance=_advance(_set))),
    Wrong("`advance` counts one token however many there were.", _defect(advance=_advance(_one))),
    Wrong(
        "Everything is written from slot 0 on: the new tokens go behind those of the row.",
        _defect(update=_update(start=lambda self, row: 0)),
    ),
    Wrong(
        "The new tokens go behind the longest row's: each row has its own length.",
        _defect(update=_update(start=lambda self, row: max(self.lengths))),
    ),
    Wrong(
        "All sequences write to row 0: one request reads another's tokens.",
        _defect(update=_update(row_of=lambda row: 0)),
    ),
    Wrong(
        "All layers write to layer 0: each has its own.", _defect(update=_update(layer_of=lambda layer: 0))
    ),
    Wrong(
        "The whole row comes back, with slots that hold nothing yet: cut it behind the new tokens.",
        _defect(update=_update(shown=lambda start, end, room: slice(0, room))),
    ),
    Wrong(
        "The new tokens are not in what comes back: a token sees itself.",
        _defect(update=_update(shown=lambda start, end, room: slice(0, start))),
    ),
    Wrong(
        "Only the new tokens come back: those before them too.",
        _defect(update=_update(shown=lambda start, end, room: slice(start, end))),
    ),
    Wrong("Keys and values are swapped.", _defect(update=_update(swap=True))),
    Wrong(
        "Nothing checks whether the row has room: torch drops one token too many without a word, and several "
        "are an error of shapes. Raise a ValueError before anything is written.",
        _defect(update=_update(full=lambda end, room: False)),
    ),
    Wrong(
        "A row that is too full raises a RuntimeError: check first, and raise a ValueError that names the "
        "row.",
        _defect(update=_update(error=RuntimeError)),
    ),
    Wrong(
        "A row cannot be filled to its last slot: it is too much only beyond `max_length` (`>`, not `>=`).",
        _defect(update=_update(full=lambda end, room: end >= room)),
    ),
    Wrong(
        "Tokens for which the row has no room are dropped without a word: raise a ValueError.",
        _defect(update=_clipped),
    ),
    Wrong(
        "`utilisation` is of the rows in use: the reserved slots of an empty row are slots as well.",
        _share(lambda lengths, room: sum(lengths) / (max(sum(map(bool, lengths)), 1) * room)),
    ),
    Wrong(
        "`utilisation` is in percent: a share from 0 to 1.",
        _share(lambda lengths, room: 100 * sum(lengths) / (len(lengths) * room)),
    ),
    Wrong(
        "`utilisation` is the share of empty slots: count those that hold a token.",
        _share(lambda lengths, room: 1 - sum(lengths) / (len(lengths) * room)),
    ),
    Wrong(
        "`utilisation` is the share of rows in use: count slots.",
        _share(lambda lengths, room: sum(map(bool, lengths)) / len(lengths)),
    ),
    Wrong(
        "`utilisation` is that of the longest row: it is asked for over all rows together.",
        _share(lambda lengths, room: max(lengths) / room),
    ),
    Wrong(
        "`utilisation` is divided by the slots of one row: there are `max_batch` of them.",
        _share(lambda lengths, room: sum(lengths) / room),
    ),
)


def _pass(rng: random.Random, sizes: tuple[int, ...], row: int, num_new: int) -> list[Step]:
    layers, _, _, heads, dim = sizes
    steps: list[Step] = [
        ("update", layer, row, randn(rng, num_new, heads, dim), randn(rng, num_new, heads, dim))
        for layer in range(layers)
    ]
    return [*steps, ("advance", row, num_new), ("utilisation",)]


def check_batch_cache(t: Trial) -> None:
    """Exercise 3.8."""

    def call(sizes: tuple[int, ...], steps: Sequence[Step]) -> list[Any]:
        cache = t.executor.new("BatchKVCache", *sizes)
        results = []
        for name, *args in steps:
            try:
                results.append(t.executor.method(cache, name, *args))
            except BlankError:
                raise
            except StudentError as error:
                if not {"RuntimeError", "ValueError", "IndexError"} & set(error.type_names):
                    raise
                results.append(error.type_names[0])
        return [result for result in results if result is not None]

    def draw(rng: random.Random) -> tuple[Any, ...]:
        sizes = rng.choice(((2, 3, 9, 2, 5), (3, 4, 7, 1, 4)))
        steps: list[Step] = [("utilisation",)]
        lengths = [0] * sizes[1]
        for _ in range(rng.randint(4, 7)):
            row = rng.randrange(sizes[1] - 1)
            num_new = rng.choice((1, 1, 2, 4))
            if lengths[row] + num_new > sizes[2]:
                steps += _pass(rng, sizes, row, num_new)[:1]
            else:
                steps += _pass(rng, sizes, row, num_new)
                lengths[row] += num_new
        return sizes, steps

    fixed = random.Random(7)
    sizes = (2, 3, 6, 2, 5)
    full = [*_pass(fixed, sizes, 1, 4), *_pass(fixed, sizes, 1, 2), *_pass(fixed, sizes, 1, 1)[:1]]
    immediate = [
        (sizes, [*_pass(fixed, sizes, 0, 3), *_pass(fixed, sizes, 0, 1), *_pass(fixed, sizes, 1, 2)]),
        (sizes, full),
        (sizes, [*_pass(fixed, sizes, 1, 5), *_pass(fixed, sizes, 1, 3)[:1]]),
    ]
    diagnose(
        t,
        call,
        t.cases(immediate, draw, 8),
        _played(BatchKVCache),
        _WRONGS,
        spell=spelled_session("BatchKVCache"),
        abs_=1e-9,
        show=shown_session("BatchKVCache", abs_=1e-9),
    )

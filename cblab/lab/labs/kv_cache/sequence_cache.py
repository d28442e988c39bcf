"""Checks of exercise 3.5: the cache of one sequence, by what a session with it shows."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from cblab.lab.codec import decode, encode
from cblab.lab.compare import difference
from cblab.lab.labs.diagnose import Args, Wrong, diagnose
from cblab.lab.labs.kv_cache.caches import KVCache
from cblab.lab.labs.kv_cache.cases import randn, written
from cblab.lab.protocol import StudentError
from cblab.lab.trial import Trial

Step = tuple[Any, ...]
"""What is done to a cache: a method and its arguments, or `("length",)` to look at the attribute."""


def play(do: Callable[[Step], Any], steps: Sequence[Step]) -> list[Any]:
    """What the steps gave, those that give nothing left out."""
    return [got for step in steps if (got := do(step)) is not None]


def snapshot(value: Any) -> Any:
    """A value as it is now: later steps may write into the tensors that it shows."""
    return decode(encode(value))


def session(make: Callable[..., Any]) -> Callable[..., list[Any]]:
    """A formula: an object made of the first argument, and all steps of the second done to it."""

    def formula(sizes: tuple[int, ...], steps: Sequence[Step]) -> list[Any]:
        one = make(*sizes)

        def do(step: Step) -> Any:
            member = getattr(one, step[0])
            return snapshot(member(*step[1:]) if callable(member) else member)

        return play(do, steps)

    return formula


def students_session(t: Trial, name: str, attributes: Sequence[str]) -> Callable[..., list[Any]]:
    """The same with an object of the student's class."""

    def call(sizes: tuple[int, ...], steps: Sequence[Step]) -> list[Any]:
        handle = t.executor.new(name, *sizes)

        def do(step: Step) -> Any:
            if step[0] in attributes:
                return t.executor.attribute(handle, step[0])
            return t.executor.method(handle, *step)

        return play(do, steps)

    return call


def spelled_session(name: str) -> Callable[[Args], str]:
    """How a session is typed, the first steps of it."""

    def spell(args: Args) -> str:
        sizes, steps = args
        lines = [f"c = {name}({', '.join(map(str, sizes))})", *map(_spelled_step, steps)]
        text = "; ".join(lines[:7])
        return text if len(lines) <= 7 else f"{text}; …"

    return spell


def _spelled_step(step: Step) -> str:
    return "c.length" if step[0] == "length" else f"c.{step[0]}({', '.join(map(written, step[1:]))})"


def where(got: Any, want: Any, abs_: float) -> str | None:
    """Where a result differs: a pair is one of keys and values."""
    if isinstance(want, tuple) and isinstance(got, tuple) and len(got) == len(want) == 2:
        for name, one, other in zip(("keys", "values"), got, want, strict=True):
            found = difference(one, other, 0.0, abs_)
            if found is not None:
                return f"{name}: {found}"
        return None
    return difference(got, want, 0.0, abs_)


def shown_session(name: str, abs_: float = 0.0) -> Callable[[Args, list[Any], Any], str]:
    """Which step of a session gives the first wrong result; the name of an error stands for a refusal."""

    def show(args: Args, want: list[Any], got: Any) -> str:
        text, steps = f"`{spelled_session(name)(args)}`", args[1]
        if isinstance(got, StudentError):
            return f"{text} raised {got}."
        if len(got) != len(want):
            return f"{text} gave {len(got)} results, {len(want)} were expected: does a method lack `return`?"
        places = [place for place, step in enumerate(steps) if step[0] not in ("write", "advance")]
        for number, (place, one, other) in enumerate(zip(places, got, want, strict=True), start=1):
            found = where(one, other, abs_)
            if found is not None:
                done = sum(step[0] == "advance" for step in steps[:place])
                after = f"after {done} complete pass{'' if done == 1 else 'es'}"
                call = f"result {number} ({after}), `{_spelled_step(steps[place])}`"
                return f"{text}: {call}{_said(steps[place][0], one, other, found)}"
        return text

    return show


def _said(method: str, got: Any, want: Any, found: str) -> str:
    """What is wrong with one result; a string is the name of the error that the call raised."""
    if isinstance(want, str):
        ended = f"raised a {got}" if isinstance(got, str) else "returned"
        return f": {method} {ended}; a {want} was expected"
    return f": {method} raised a {got}" if isinstance(got, str) else f": {found}"


def defect(base: type, **methods: Callable[..., Any]) -> Callable[..., list[Any]]:
    """The session of a class with some of its methods replaced by wrong ones."""
    return session(type("Defect", (base,), methods))


def _write(
    *,
    place: Callable[[Any, Tensor, Tensor], Tensor] = lambda self, old, new: torch.cat(
        (old[: self.length], new)
    ),
    layer_of: Callable[[int], int] = lambda layer: layer,
    counts: bool = False,
    values: bool = True,
    swap: bool = False,
) -> Callable[..., None]:
    """`write` with a defect."""

    def write(self: Any, layer: int, k: Tensor, v: Tensor) -> None:
        layer = layer_of(layer)
        one, two = (v, k) if swap else (k, v)
        self.keys[layer] = place(self, self.keys[layer], one)
        if values:
            self.values[layer] = place(self, self.values[layer], two)
        if counts:
            self.length += k.shape[0]

    return write


def _count(rule: Callable[[Any, int], int]) -> Callable[..., None]:
    def advance(self: Any, num_tokens: int) -> None:
        self.length = rule(self, num_tokens)

    return advance


def _bytes(rule: Callable[[Any, int, int], Any]) -> Callable[..., Any]:
    """`num_bytes` by a rule on (cache, layers, numbers of one token's keys in a layer)."""
    return lambda self: rule(self, len(self.keys), self.keys[0].shape[1] * self.keys[0].shape[2])


_WRONGS = (
    Wrong(
        "Each layer advances the length in `write`: with two layers a token is counted twice. The length "
        "advances once a pass, in `advance`.",
        defect(KVCache, write=_write(counts=True), advance=_count(lambda self, n: self.length)),
    ),
    Wrong(
        "The length is advanced by `write` and by `advance` too: leave it to `advance`.",
        defect(KVCache, write=_write(counts=True)),
    ),
    Wrong(
        "`write` keeps only the new tokens: those before them, up to `length`, stay.",
        defect(KVCache, write=_write(place=lambda self, old, new: new)),
    ),
    Wrong(
        "The new tokens stand in front: they go behind the cached ones.",
        defect(KVCache, write=_write(place=lambda self, old, new: torch.cat((new, old[: self.length])))),
    ),
    Wrong(
        "What a pass that was given up has written stays in the layer: the new tokens go behind the first "
        "`length`, and what is beyond goes.",
        defect(KVCache, write=_write(place=lambda self, old, new: torch.cat((old, new)))),
    ),
    Wrong(
        "The tokens are joined along the heads: along the first dimension, `torch.cat((old, new))`.",
        defect(
            KVCache, write=_write(place=lambda self, old, new: torch.cat((old[: self.length], new), dim=1))
        ),
    ),
    Wrong(
        "Keys and values are swapped: keys come first, when writing and when reading.",
        defect(KVCache, write=_write(swap=True)),
    ),
    Wrong(
        "Every layer is written to layer 0: each has its own keys and values.",
        defect(KVCache, write=_write(layer_of=lambda layer: 0)),
    ),
    Wrong(
        "The values are not stored: attention needs them as well.",
        defect(KVCache, write=_write(values=False)),
    ),
    Wrong(
        "`read` leaves the new tokens out: a token sees itself, in the pass that writes it.",
        defect(KVCache, read=lambda self, n: (self.keys[n][: self.length], self.values[n][: self.length])),
    ),
    Wrong(
        "`read` gives the keys twice: the second one is the values.",
        defect(KVCache, read=lambda self, n: (self.keys[n], self.keys[n])),
    ),
    Wrong(
        "`read` gives the keys only: return `(keys, values)`.",
        defect(KVCache, read=lambda self, n: self.keys[n]),
    ),
    Wrong(
        "`read` gives all layers: return the keys and values of `layer`.",
        defect(KVCache, read=lambda self, n: (self.keys, self.values)),
    ),
    Wrong(
        "`advance` sets the length to the number of new tokens: add it.",
        defect(KVCache, advance=_count(lambda self, n: n)),
    ),
    Wrong(
        "`advance` does nothing: the next pass writes over these tokens.",
        defect(KVCache, advance=_count(lambda self, n: self.length)),
    ),
    Wrong(
        "`advance` counts one token however many there were: a prompt brings many.",
        defect(KVCache, advance=_count(lambda self, n: self.length + 1)),
    ),
    Wrong(
        "`num_bytes` is exactly half of what is expected: are V's bytes counted, or only K's?",
        defect(KVCache, num_bytes=_bytes(lambda self, layers, each: self.length * layers * each * 4)),
    ),
    Wrong(
        "`num_bytes` is that of one layer: every layer has keys and values.",
        defect(KVCache, num_bytes=_bytes(lambda self, layers, each: self.length * 2 * each * 4)),
    ),
    Wrong(
        "`num_bytes` counts numbers: a float32 number has 4 bytes.",
        defect(KVCache, num_bytes=_bytes(lambda self, layers, each: self.length * 2 * layers * each)),
    ),
    Wrong(
        "`num_bytes` leaves the heads out: each KV head has a key and a value.",
        defect(
            KVCache,
            num_bytes=lambda self: self.length * 2 * len(self.keys) * self.keys[0].shape[2] * 4,
        ),
    ),
    Wrong(
        "`num_bytes` counts tokens of a pass that is not complete: only the first `length` are.",
        defect(KVCache, num_bytes=lambda self: sum(one.nbytes for one in (*self.keys, *self.values))),
    ),
    Wrong(
        "`num_bytes` does not depend on `length`: it is of all complete tokens, not of one.",
        defect(KVCache, num_bytes=_bytes(lambda self, layers, each: 2 * layers * each * 4)),
    ),
)


def _pass(
    rng: random.Random, sizes: tuple[int, int, int], num_new: int, *, given_up: bool = False
) -> list[Step]:
    """One forward pass over all layers; one that is given up ends in the middle of them."""
    layers, heads, dim = sizes
    steps: list[Step] = []
    for layer in range((layers + 1) // 2 if given_up else layers):
        steps.append(("write", layer, randn(rng, num_new, heads, dim), randn(rng, num_new, heads, dim)))
        steps.append(("read", layer))
    return (
        [*steps, ("num_bytes",)] if given_up else [*steps, ("advance", num_new), ("length",), ("num_bytes",)]
    )


def check_cache(t: Trial) -> None:
    """Exercise 3.5."""

    def draw(rng: random.Random) -> tuple[Any, ...]:
        sizes = rng.choice(((2, 3, 5), (3, 1, 4), (3, 2, 5)))
        steps: list[Step] = []
        for index, num_new in enumerate((rng.randint(2, 6), rng.randint(2, 4), 1, rng.randint(1, 3))):
            if index and rng.random() < 0.4:
                steps += _pass(rng, sizes, rng.randint(1, 4), given_up=True)
            steps += _pass(rng, sizes, num_new)
        return sizes, [*steps, ("read", 0)]

    fixed = random.Random(5)
    two = (2, 3, 5)
    immediate = [
        (two, [*_pass(fixed, two, 4), *_pass(fixed, two, 2), *_pass(fixed, two, 1)]),
        (two, [*_pass(fixed, two, 3), *_pass(fixed, two, 2, given_up=True), *_pass(fixed, two, 1)]),
        ((3, 1, 4), [("length",), ("num_bytes",), *_pass(fixed, (3, 1, 4), 2)]),
    ]
    diagnose(
        t,
        students_session(t, "KVCache", ("length",)),
        t.cases(immediate, draw, 8),
        session(KVCache),
        _WRONGS,
        spell=spelled_session("KVCache"),
        show=shown_session("KVCache"),
    )

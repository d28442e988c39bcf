"""Checks of exercise 3.6: one layer's attention over a cache."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from cblab.attention.masks import causal_mask
from cblab.lab.labs.diagnose import Args, Wrong, diagnose
from cblab.lab.labs.kv_cache.caches import KVCache
from cblab.lab.labs.kv_cache.cases import CLOSE, randn
from cblab.lab.labs.kv_cache.reference import apply_rope, attention, cached_attention
from cblab.lab.labs.kv_cache.sequence_cache import where
from cblab.lab.protocol import StudentError
from cblab.lab.trial import Trial

_LAYERS = 2
Pass = tuple[Tensor, list[tuple[Tensor, Tensor, Tensor]]]
"""The positions of a forward pass, and each layer's q, k and v."""


def _session(layer_attention: Callable[..., Tensor]) -> Callable[..., list[Any]]:
    """A formula: what each layer of each pass gives, then what the cache holds."""

    def formula(heads: tuple[int, int], passes: Sequence[Pass]) -> list[Any]:
        cache = KVCache(_LAYERS, *heads)
        outputs: list[Any] = []
        for positions, layers in passes:
            for layer, qkv in enumerate(layers):
                outputs.append(layer_attention(cache, layer, *qkv, positions))
            cache.advance(len(positions))
        return [*outputs, *(cache.read(layer) for layer in range(_LAYERS)), cache.length]

    return formula


def _layer(
    *,
    turn_q: bool = True,
    turn_k: bool = True,
    turn_v: bool = False,
    places: Callable[[Any, Tensor], Tensor] = lambda cache, positions: positions,
    write: Callable[..., None] = lambda cache, layer, k, v: cache.write(layer, k, v),
    read: Callable[..., tuple[Tensor, Tensor]] = lambda cache, layer, k, v: cache.read(layer),
    mask: Callable[[int, int], Tensor] = causal_mask,
    after: Callable[[Any, int], None] = lambda cache, num_new: None,
) -> Callable[..., list[Any]]:
    """The session of a `cached_attention` with a defect."""

    def one(cache: KVCache, layer: int, q: Tensor, k: Tensor, v: Tensor, positions: Tensor) -> Tensor:
        positions = places(cache, positions)
        q = apply_rope(q, positions) if turn_q else q
        k = apply_rope(k, positions) if turn_k else k
        v = apply_rope(v, positions) if turn_v else v
        write(cache, layer, k, v)
        keys, values = read(cache, layer, k, v)
        output = attention(q, keys, values, mask(q.shape[0], keys.shape[0]))
        after(cache, q.shape[0])
        return output

    return _session(one)


def _turned_when_read(cache: KVCache, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    keys, values = cache.read(layer)
    return apply_rope(keys, torch.arange(len(keys))), values


def _stored_unturned(
    cache: KVCache, layer: int, q: Tensor, k: Tensor, v: Tensor, positions: Tensor
) -> Tensor:
    cache.write(layer, k, v)
    keys, values = cache.read(layer)
    keys = torch.cat((keys[: -len(k)], apply_rope(k, positions)))
    return attention(apply_rope(q, positions), keys, values, causal_mask(len(q), len(keys)))


def _read_first(cache: KVCache, layer: int, q: Tensor, k: Tensor, v: Tensor, positions: Tensor) -> Tensor:
    keys, values = cache.read(layer)
    cache.write(layer, apply_rope(k, positions), v)
    return attention(apply_rope(q, positions), keys, values, causal_mask(len(q), len(keys)))


def _turned_by_the_newest(
    cache: KVCache, layer: int, q: Tensor, k: Tensor, v: Tensor, positions: Tensor
) -> Tensor:
    cache.write(layer, k, v)
    keys, values = cache.read(layer)
    mask = causal_mask(len(q), len(keys))
    return attention(apply_rope(q, positions), apply_rope(keys, positions), values, mask)


def _joined(read_again: bool) -> Callable[..., Tensor]:
    """A layer that writes old and new tokens behind the old ones."""

    def one(cache: KVCache, layer: int, q: Tensor, k: Tensor, v: Tensor, positions: Tensor) -> Tensor:
        old_keys, old_values = cache.read(layer)
        keys, values = torch.cat((old_keys, apply_rope(k, positions))), torch.cat((old_values, v))
        cache.write(layer, keys, values)
        if read_again:
            keys, values = cache.read(layer)
        return attention(apply_rope(q, positions), keys, values, causal_mask(len(q), len(keys)))

    return one


def _count_tokens(cache: KVCache, num_new: int) -> None:
    cache.advance(num_new)


_WRONGS = (
    Wrong(
        "The length is advanced in here, once a layer, so that the layers after the first one write at the "
        "wrong place. It advances once a pass, after the last layer.",
        _layer(after=_count_tokens),
    ),
    Wrong("The keys are not turned: a position is in q and in k.", _layer(turn_k=False)),
    Wrong("The queries are not turned: a position is in q and in k.", _layer(turn_q=False)),
    Wrong("Nothing is turned: apply RoPE to q and k before all else.", _layer(turn_q=False, turn_k=False)),
    Wrong(
        "The values are turned too: positions belong into the scores alone, in q and k.", _layer(turn_v=True)
    ),
    Wrong(
        "The outputs are right, but the cache holds unturned keys, and all of them are turned again in each "
        "pass: turn a key once, before it is written.",
        _layer(turn_k=False, read=_turned_when_read),
    ),
    Wrong(
        "Keys from the cache are turned a second time: they were turned when they were written.",
        _layer(read=_turned_when_read),
    ),
    Wrong(
        "The keys are written unturned and turned only in their own pass: the next one reads them unturned.",
        _session(_stored_unturned),
    ),
    Wrong(
        "The keys are turned after reading, by the positions of the new tokens: in a decode pass all old "
        "keys get the newest position. Turn before writing.",
        _session(_turned_by_the_newest),
    ),
    Wrong(
        "Old and new tokens are joined here and written as a whole: `write` gets the new tokens only; it "
        "puts them behind `length` itself.",
        _session(_joined(read_again=False)),
    ),
    Wrong(
        "What is read holds the old tokens twice, for they were written again with the new ones: `write` "
        "gets the new tokens only, and puts them behind `length` itself.",
        _session(_joined(read_again=True)),
    ),
    Wrong(
        "`positions` is not used, tokens are counted from 0 in each pass: a decoded token is at the end.",
        _layer(places=lambda cache, positions: torch.arange(len(positions))),
    ),
    Wrong(
        "Positions are one too far: the first token of a sequence is at 0.",
        _layer(places=lambda cache, positions: positions + 1),
    ),
    Wrong(
        "The cache is read before the new tokens are written: a token must see itself.", _session(_read_first)
    ),
    Wrong(
        "Only the new tokens are seen: read the keys and values of all tokens from the cache.",
        _layer(read=lambda cache, layer, k, v: (k, v)),
    ),
    Wrong(
        "The new tokens are not written: the next pass does not find them.",
        _layer(
            write=lambda cache, layer, k, v: None,
            read=lambda cache, layer, k, v: (
                torch.cat((cache.read(layer)[0], k)),
                torch.cat((cache.read(layer)[1], v)),
            ),
        ),
    ),
    Wrong(
        "Keys and values are written in the wrong order: `write(layer, k, v)`.",
        _layer(write=lambda cache, layer, k, v: cache.write(layer, v, k)),
    ),
    Wrong(
        "Keys and values are read in the wrong order: `keys, values = cache.read(layer)`.",
        _layer(read=lambda cache, layer, k, v: cache.read(layer)[::-1]),
    ),
    Wrong(
        "All layers share layer 0 of the cache: pass `layer` on.",
        _layer(
            write=lambda cache, layer, k, v: cache.write(0, k, v),
            read=lambda cache, layer, k, v: cache.read(0),
        ),
    ),
    Wrong(
        "No mask: the tokens of a prompt see those after them.",
        _layer(mask=lambda queries, keys: torch.ones(queries, keys).bool()),
    ),
    Wrong(
        "The mask is not shifted: query 0 sees only key 0 although the cache holds more. `causal_mask` takes "
        "both numbers.",
        _layer(mask=lambda queries, keys: torch.ones(queries, keys).tril().bool()),
    ),
    Wrong(
        "The mask is square, as many columns as queries: it needs one for every key in the cache.",
        _layer(mask=lambda queries, keys: causal_mask(queries, queries)),
    ),
    Wrong(
        "The mask needs a row for each query, and here it has one for each key in the cache: the queries are "
        "those of the new tokens alone.",
        _layer(mask=lambda queries, keys: causal_mask(keys, keys)),
    ),
)


def _spelled(args: Args) -> str:
    heads, passes = args
    sizes = ", ".join(str(len(positions)) for positions, _ in passes)
    return f"cached_attention in {_LAYERS} layers, passes of {sizes} new tokens, {heads[0]} KV heads"


def _shown(args: Args, want: list[Any], got: Any) -> str:
    """Which call of a session gives the first wrong result, or what the cache then holds."""
    text, passes = f"`{_spelled(args)}`", args[1]
    if isinstance(got, StudentError):
        return f"{text} raised {got}."
    for index, (one, other) in enumerate(zip(got, want, strict=True)):
        found = where(one, other, 10 * CLOSE)
        if found is None:
            continue
        number, layer = divmod(index, _LAYERS)
        if number < len(passes):
            call = f"cached_attention(cache, {layer}, q, k, v, {passes[number][0].tolist()})"
            return f"{text}: result {index + 1} (pass {number + 1}, layer {layer}), `{call}`: {found}"
        call = f"read({layer})" if number == len(passes) else "length"
        return f"{text}: after all passes, `cache.{call}`: {found}"
    return f"{text}: {got!r}"


def check_layer(t: Trial) -> None:
    """Exercise 3.6."""

    def call(heads: tuple[int, int], passes: Sequence[Pass]) -> list[Any]:
        cache = t.executor.new("cblab.lab.labs.kv_cache.caches:KVCache", _LAYERS, *heads)
        outputs = []
        for positions, layers in passes:
            for layer, qkv in enumerate(layers):
                outputs.append(t.executor.call("cached_attention", cache, layer, *qkv, positions))
            t.executor.method(cache, "advance", len(positions))
        held = [t.executor.method(cache, "read", layer) for layer in range(_LAYERS)]
        return [*outputs, *held, t.executor.attribute(cache, "length")]

    def case(rng: random.Random, sizes: Sequence[int], kv_heads: int, group: int, dim: int) -> Any:
        passes, done = [], 0
        for num_new in sizes:
            positions = torch.arange(done, done + num_new)
            layers = [
                (
                    2 * randn(rng, num_new, kv_heads * group, dim),
                    2 * randn(rng, num_new, kv_heads, dim),
                    randn(rng, num_new, kv_heads, dim),
                )
                for _ in range(_LAYERS)
            ]
            passes.append((positions, layers))
            done += num_new
        return (kv_heads, dim), passes

    def draw(rng: random.Random) -> Any:
        sizes = [rng.randint(2, 5), rng.choice((1, 2, 3)), 1][: rng.choice((2, 3, 3))]
        return case(rng, sizes, *rng.choice(((2, 2, 6), (1, 3, 8), (3, 1, 4))))

    fixed = random.Random(6)
    immediate = [case(fixed, (4, 1, 1), 2, 2, 6), case(fixed, (3, 2), 2, 1, 8)]
    diagnose(
        t,
        call,
        t.cases(immediate, draw, 6),
        _session(cached_attention),
        _WRONGS,
        spell=_spelled,
        abs_=10 * CLOSE,
        show=_shown,
    )

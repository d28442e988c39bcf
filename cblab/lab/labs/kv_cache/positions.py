"""Checks of exercises 3.3 and 3.4: rotary positions, and who may see whom."""

import random
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from cblab.attention.masks import causal_mask
from cblab.lab.labs.diagnose import Wrong, diagnose_function
from cblab.lab.labs.kv_cache import reference
from cblab.lab.labs.kv_cache.cases import CLOSE, randn, spelled
from cblab.lab.trial import Trial


def _turning(
    *,
    places: Callable[[Tensor], Tensor] = lambda positions: positions,
    exponents: Callable[[int], Tensor] = lambda half: -torch.arange(half) / half,
    base: Callable[[float], float] = lambda theta: theta,
    unit: float = 1.0,
    signs: tuple[int, int] = (-1, 1),
    interleaved: bool = False,
    over_heads: bool = True,
    join: Callable[[Tensor, Tensor], Tensor] = lambda one, two: torch.cat((one, two), dim=-1),
) -> Callable[..., Tensor]:
    """RoPE with a defect; signs: of the two products with the sine."""

    def apply_rope(x: Tensor, positions: Tensor, theta: float = 10_000.0) -> Tensor:
        half = x.shape[-1] // 2
        angles = places(positions)[:, None] * base(theta) ** exponents(half) * unit
        angles = angles[:, None] if over_heads else angles
        first, second = (x[..., ::2], x[..., 1::2]) if interleaved else (x[..., :half], x[..., half:])
        cos, sin = angles.cos(), angles.sin()
        one, two = first * cos + signs[0] * second * sin, second * cos + signs[1] * first * sin
        return torch.stack((one, two), dim=-1).flatten(-2) if interleaved else join(one, two)

    return apply_rope


def _by_head(x: Tensor, positions: Tensor, theta: float = 10_000.0) -> Tensor:
    heads = torch.arange(x.shape[1]).expand(x.shape[0], -1).flatten()
    return _turning()(x.reshape(-1, 1, x.shape[2]), heads, theta).reshape(x.shape)


def _added(x: Tensor, positions: Tensor, theta: float = 10_000.0) -> Tensor:
    half = x.shape[-1] // 2
    angles = (positions[:, None] * theta ** (-torch.arange(half) / half))[:, None]
    return x + torch.cat((angles.cos(), angles.sin()), dim=-1)


_ROPE_WRONGS = (
    Wrong(
        "Neighbouring dimensions are paired, (0, 1), (2, 3), …: Llama pairs i with i + head_dim/2.",
        _turning(interleaved=True),
    ),
    Wrong(
        "The pairs are turned the other way: it is a·cos − b·sin and b·cos + a·sin.", _turning(signs=(1, -1))
    ),
    Wrong(
        "Both products with the sine are subtracted: that is no rotation. The second one is added.",
        _turning(signs=(-1, -1)),
    ),
    Wrong(
        "Both products with the sine are added: that is no rotation. The first one is subtracted.",
        _turning(signs=(1, 1)),
    ),
    Wrong(
        "`positions` is not used, tokens are counted from 0: with a cache the first new token is not at 0.",
        _turning(places=lambda positions: torch.arange(len(positions))),
    ),
    Wrong(
        "Every position is one too far: `positions` are used as they are.",
        _turning(places=lambda positions: positions + 1),
    ),
    Wrong(
        "The first position was taken off all: `positions` are absolute.",
        _turning(places=lambda positions: positions - positions[0]),
    ),
    Wrong(
        "The exponent is −i / head_dim, half of what is expected: it is −2i / head_dim.",
        _turning(exponents=lambda half: -torch.arange(half) / (2 * half)),
    ),
    Wrong(
        "The exponent has the wrong sign: later pairs turn more slowly, theta ** (−2i / head_dim).",
        _turning(exponents=lambda half: torch.arange(half) / half),
    ),
    Wrong(
        "The exponent is −2i without the division by head_dim.",
        _turning(exponents=lambda half: -2.0 * torch.arange(half)),
    ),
    Wrong(
        "The exponent is −4i / head_dim, twice what is expected: `torch.arange(0, head_dim, 2)` has the 2 "
        "already.",
        _turning(exponents=lambda half: -2.0 * torch.arange(half) / half),
    ),
    Wrong(
        "The pairs are counted from 1: the first one, i = 0, turns by the position itself.",
        _turning(exponents=lambda half: -torch.arange(1, half + 1) / half),
    ),
    Wrong("All pairs turn equally fast: the angle depends on i.", _turning(exponents=torch.zeros)),
    Wrong("`theta` is not used: it is 10,000 by default only.", _turning(base=lambda theta: 10_000.0)),
    Wrong(
        "The angles were taken for degrees: `cos` and `sin` want radians, which they are.",
        _turning(unit=torch.pi / 180),
    ),
    Wrong(
        "The halves of the result are swapped: a·cos − b·sin comes first.",
        _turning(join=lambda one, two: torch.cat((two, one), dim=-1)),
    ),
    Wrong(
        "The two halves are interleaved in the result: put one behind the other (`torch.cat`).",
        _turning(join=lambda one, two: torch.stack((one, two), dim=-1).flatten(-2)),
    ),
    Wrong(
        "The angle depends on the head, not on the token: positions go with the first dimension.", _by_head
    ),
    Wrong(
        "The angles lack the heads' dimension: `[num_tokens, half]` does not line up with `[num_tokens, "
        "num_heads, half]`. Put a dimension of 1 in between (`[:, None]`).",
        _turning(over_heads=False),
    ),
    Wrong("The cosines and sines were added to x: x is turned by them.", _added),
)


def check_rope(t: Trial) -> None:
    """Exercise 3.3."""

    def case(rng: random.Random, positions: list[int], heads: int, dim: int, theta: float) -> Any:
        return randn(rng, len(positions), heads, dim), torch.tensor(positions), theta

    def draw(rng: random.Random) -> Any:
        start = rng.choice((0, 1, 17, 200))
        positions = [start + i for i in range(rng.randint(1, 6))]
        if rng.random() < 0.3:
            rng.shuffle(positions)
        return case(
            rng, positions, rng.choice((1, 3, 5)), rng.choice((6, 8, 14)), rng.choice((10_000.0, 5e5, 50.0))
        )

    fixed = random.Random(4)
    immediate = [
        (torch.tensor([[[1.0, 0.0]], [[1.0, 0.0]]]), torch.tensor([0, 1]), 10_000.0),
        case(fixed, [0, 1, 2], 1, 6, 10_000.0),
        case(fixed, [5, 6, 7, 8], 3, 8, 10_000.0),
        case(fixed, [41], 2, 6, 500.0),
        case(fixed, [3, 9, 4], 2, 6, 10_000.0),
    ]
    diagnose_function(
        t,
        "apply_rope",
        t.cases(immediate, draw),
        reference.apply_rope,
        _ROPE_WRONGS,
        spell=spelled("apply_rope"),
        abs_=10 * CLOSE,  # angles of some hundred radians
    )


def _visible(
    rule: Callable[[Tensor, Tensor, int], Tensor], finish: Callable[[Tensor], Any] = lambda mask: mask
) -> Callable[[int, int], Any]:
    """A mask by a rule on (query, key, how many keys come before the first query)."""

    def mask(num_queries: int, num_keys: int) -> Any:
        rows, columns = torch.arange(num_queries)[:, None], torch.arange(num_keys)[None]
        return finish(rule(rows, columns, num_keys - num_queries))

    return mask


def _right(query: Tensor, key: Tensor, before: int) -> Tensor:
    return key <= query + before


def _additive(mask: Tensor) -> Tensor:
    return torch.zeros(mask.shape).masked_fill(~mask, float("-inf"))


_MASK_WRONGS = (
    Wrong(
        "The mask is aligned at the top left: query 0 sees key 0 only. It is the newest tokens that ask, so "
        "query i stands at position num_keys − num_queries + i.",
        _visible(lambda query, key, before: key <= query),
    ),
    Wrong(
        "A query does not see its own key: `<=`, not `<`.",
        _visible(lambda query, key, before: key < query + before),
    ),
    Wrong(
        "A query sees one key of the future.", _visible(lambda query, key, before: key <= query + before + 1)
    ),
    Wrong(
        "The mask is inverted: True where the query may see the key.",
        _visible(_right, lambda mask: ~mask),
    ),
    Wrong(
        "The future is visible and the past hidden: a query sees keys at its own position and before.",
        _visible(lambda query, key, before: key >= query + before),
    ),
    Wrong("Everything is visible: a query must not see later keys.", lambda n, m: torch.ones(n, m).bool()),
    Wrong(
        "The new tokens are hidden from one another: the first of them sees itself, the last one sees all.",
        _visible(lambda query, key, before: (key < before) | (key == query + before)),
    ),
    Wrong(
        "The cached keys are hidden: all that came before may be seen.",
        _visible(lambda query, key, before: (key >= before) & (key <= query + before)),
    ),
    Wrong(
        "The mask is shifted the wrong way: add num_keys − num_queries to the query, do not subtract it.",
        _visible(lambda query, key, before: key <= query - before),
    ),
    Wrong("Rows and columns are swapped: `[num_queries, num_keys]`.", _visible(_right, lambda mask: mask.T)),
    Wrong(
        "The mask is of zeros and ones, not of bools: `.bool()`.", _visible(_right, lambda mask: mask.float())
    ),
    Wrong("The mask is of integers, not of bools: `.bool()`.", _visible(_right, lambda mask: mask.long())),
    Wrong(
        "The mask holds 0 and -inf, to be added to the scores: bools are asked for.",
        _visible(_right, _additive),
    ),
    Wrong(
        "The mask is square: it has as many columns as there are keys.",
        lambda num_queries, num_keys: causal_mask(num_queries, num_queries),
    ),
    Wrong("Lists came back: make a tensor of them.", _visible(_right, lambda mask: mask.tolist())),
)


def check_causal_mask(t: Trial) -> None:
    """Exercise 3.4."""

    def draw(rng: random.Random) -> tuple[int, int]:
        num_queries = rng.choice((1, 2, 3, 7))
        return num_queries, num_queries + rng.choice((0, 1, 4, 9))

    immediate = [(3, 3), (2, 5), (1, 4), (1, 1), (4, 6)]
    diagnose_function(t, "causal_mask", t.cases(immediate, draw, 12), causal_mask, _MASK_WRONGS)

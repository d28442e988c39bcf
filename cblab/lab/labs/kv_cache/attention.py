"""Checks of exercises 3.1 and 3.2: the softmax, and attention from its definition."""

import math
import random
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from cblab.attention.masks import causal_mask
from cblab.lab.labs.diagnose import Wrong, diagnose_function
from cblab.lab.labs.kv_cache import reference
from cblab.lab.labs.kv_cache.cases import CLOSE, randn, spelled
from cblab.lab.protocol import StudentError
from cblab.lab.trial import Trial

_INF = float("inf")


def _normalised(weights: Tensor) -> Tensor:
    return weights / weights.sum(dim=-1, keepdim=True)


def _shifted(shift: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda scores: _normalised((scores - shift(scores)).exp())


def _transposed_sum(scores: Tensor) -> Tensor:
    """The sum over the keys without `keepdim`: it lines up with the wrong dimension, or with none."""
    weights = (scores - scores.amax(dim=-1, keepdim=True)).exp()
    return weights / weights.sum(dim=-1)


_SOFTMAX_WRONGS = (
    Wrong(
        "The exponential overflows: exp(89) is already infinite in float32, and infinite over infinite is "
        "nan. Take the row's largest score off first.",
        lambda scores: _normalised(scores.exp()),
    ),
    Wrong(
        "The largest score of the whole tensor is taken off: a row far below it becomes 0 over 0. Each row "
        "has its own largest (`dim=-1, keepdim=True`).",
        _shifted(lambda scores: scores.max()),
    ),
    Wrong(
        "The scores are capped, so that all large ones weigh the same: shift them instead.",
        lambda scores: _normalised(scores.clamp(max=80.0).exp()),
    ),
    Wrong(
        "The scores are capped on both sides: a masked place gets a weight, and large ones weigh the same.",
        lambda scores: _normalised(scores.clamp(-80.0, 80.0).exp()),
    ),
    Wrong(
        "The softmax runs over the first dimension: the weights of one query, the last one, must sum to 1.",
        lambda scores: torch.softmax(scores, dim=0),
    ),
    Wrong(
        "The softmax runs over the last but one dimension: that sums over queries, not over keys.",
        lambda scores: torch.softmax(scores, dim=-2),
    ),
    Wrong(
        "The rows do not sum to 1: divide by the sum of the exponentials.",
        lambda scores: (scores - scores.amax(dim=-1, keepdim=True)).exp(),
    ),
    Wrong(
        "The sum was taken over the whole tensor: each row sums to 1 on its own.",
        lambda scores: torch.softmax(scores.flatten(), dim=0).reshape(scores.shape),
    ),
    Wrong(
        "The logarithm of the weights came back: return the weights.",
        lambda scores: torch.log_softmax(scores, dim=-1),
    ),
    Wrong(
        "The smallest score was taken off: that keeps nothing from overflowing. Take off the largest.",
        _shifted(lambda scores: scores.amin(dim=-1, keepdim=True)),
    ),
    Wrong(
        "The mean was taken off: one far larger score still overflows, and a masked row has no mean.",
        _shifted(lambda scores: scores.mean(dim=-1, keepdim=True)),
    ),
    Wrong(
        "The nan was painted over with 0: the weights of that row are lost. Do not let it arise.",
        lambda scores: torch.nan_to_num(_normalised(scores.exp()), nan=0.0),
    ),
    Wrong(
        "The scores were divided by the largest one: that changes the weights. Subtract it.",
        lambda scores: torch.softmax(scores / scores.amax(dim=-1, keepdim=True), dim=-1),
    ),
    Wrong(
        "The sum lost its dimension: without `keepdim=True` it is divided along the wrong one.",
        _transposed_sum,
    ),
    Wrong(
        "A masked place, -inf, got a weight: exp(-inf) is 0 and must stay 0.",
        lambda scores: torch.softmax(scores.masked_fill(scores == -_INF, 0.0), dim=-1),
    ),
    Wrong(
        "The numbers are right but of float64: return the dtype that came in.",
        lambda scores: torch.softmax(scores.double(), dim=-1),
    ),
)


def check_softmax(t: Trial) -> None:
    """Exercise 3.1."""

    def draw(rng: random.Random) -> tuple[Tensor]:
        shape = rng.choice(((3, 5), (2, 3, 7), (4, 2, 5), (2, 6)))
        levels = randn(rng, *shape[:-1], 1) * rng.choice((1.0, 300.0, 1000.0))
        scores = randn(rng, *shape) * rng.choice((1.0, 3.0)) + levels
        hidden = randn(rng, *shape) > rng.choice((0.8, 9.0))
        hidden[..., 0] = False
        return (scores.masked_fill(hidden, -_INF),)

    immediate = [
        (torch.tensor([[0.0, 1.0, 2.0], [2.0, 4.0, 3.0]]),),
        (torch.tensor([[1000.0, 1001.0, 999.0], [-1000.0, -1001.0, -998.0]]),),
        (torch.tensor([[0.5, -_INF, 1.5, -_INF], [2.0, 1.0, -_INF, -_INF]]),),
        (torch.tensor([[400.0, 1.0, 2.0]]),),
        (torch.tensor([[100.0, 0.0, 100.0]]),),
        (torch.arange(24.0).reshape(2, 3, 4).square() / 40,),
    ]
    diagnose_function(
        t,
        "softmax",
        t.cases(immediate, draw),
        reference.softmax,
        _SOFTMAX_WRONGS,
        spell=spelled("softmax"),
        abs_=25 * CLOSE,  # a logarithm of sums at 1,000 has as few digits
    )


def _attending(
    *,
    scale: Callable[[Tensor], float] = lambda q: q.shape[2] ** -0.5,
    expand: Callable[[Tensor, int], Tensor] = lambda x, group: x.repeat_interleave(group, dim=1),
    expand_values: Callable[[Tensor, int], Tensor] = lambda x, group: x.repeat_interleave(group, dim=1),
    hidden: Callable[[Tensor], Tensor] = torch.logical_not,
    fill: float = -_INF,
    dim: int = -1,
    after: Callable[[Tensor, Tensor], Tensor] = lambda weights, mask: weights,
    out: str = "qhd",
) -> Callable[..., Tensor]:
    """Attention with a defect."""

    def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
        group = q.shape[1] // k.shape[1]
        scores = torch.einsum("qhd,khd->hqk", q, expand(k, group)) * scale(q)
        weights = after(scores.masked_fill(hidden(mask), fill).softmax(dim=dim), mask)
        return torch.einsum(f"hqk,khd->{out}", weights, expand_values(v, group))

    return attention


def _tiled(x: Tensor, group: int) -> Tensor:
    return x.repeat(1, group, 1)


def _first_head(x: Tensor, group: int) -> Tensor:
    return x[:, :1].expand(-1, x.shape[1] * group, -1)


def _scale_after(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    return _attending(scale=lambda q: 1.0)(q, k, v, mask) / math.sqrt(q.shape[2])


_ATTENTION_WRONGS = (
    Wrong("The scores are not scaled: divide them by √head_dim.", _attending(scale=lambda q: 1.0)),
    Wrong(
        "The scores are divided by head_dim: divide by its square root.",
        _attending(scale=lambda q: 1 / q.shape[2]),
    ),
    Wrong(
        "The scores are multiplied by √head_dim: divide.", _attending(scale=lambda q: math.sqrt(q.shape[2]))
    ),
    Wrong(
        "The scale is 1 / √(num_heads · head_dim): a score is a sum over the head_dim of one head.",
        _attending(scale=lambda q: (q.shape[1] * q.shape[2]) ** -0.5),
    ),
    Wrong(
        "The scale is 1 / √num_heads: `q.shape[1]` is the number of heads, head_dim is the last dimension.",
        _attending(scale=lambda q: q.shape[1] ** -0.5),
    ),
    Wrong("The result is scaled, not the scores: scale before the softmax.", _scale_after),
    Wrong(
        "The mask works the wrong way round: True means that the query may see the key.",
        _attending(hidden=lambda mask: mask),
    ),
    Wrong("The mask is not used: a query sees keys that it must not.", _attending(hidden=torch.zeros_like)),
    Wrong(
        "Masked scores are 0, which still weighs exp(0) = 1: use -inf.",
        _attending(fill=0.0),
    ),
    Wrong(
        "The mask is applied after the softmax, so that the weights no longer sum to 1: mask the scores.",
        _attending(hidden=torch.zeros_like, after=lambda weights, mask: weights * mask),
    ),
    Wrong(
        "Query heads 0, 1, … go round the KV heads (`repeat`): neighbouring query heads share one "
        "(`repeat_interleave`).",
        _attending(expand=_tiled, expand_values=_tiled),
    ),
    Wrong(
        "The keys are shared by neighbouring query heads, the values are not: repeat both in one way.",
        _attending(expand_values=_tiled),
    ),
    Wrong(
        "All query heads use KV head 0: each group has its own.",
        _attending(expand=_first_head, expand_values=_first_head),
    ),
    Wrong(
        "The weights are averaged over keys: `v` goes into the sum, here it is `k`.",
        lambda q, k, v, mask: _attending()(q, k, k, mask),
    ),
    Wrong(
        "The scores are products of values: they compare `q` with `k`.",
        lambda q, k, v, mask: _attending()(q, v, v, mask),
    ),
    Wrong(
        "The softmax runs over the queries: the weights of one query, over its keys, sum to 1.",
        _attending(dim=1),
    ),
    Wrong(
        "Heads come first in the result: it is `[num_queries, num_heads, head_dim]`, as `q`.",
        _attending(out="hqd"),
    ),
    Wrong(
        "The heads of a query are joined: keep `[num_queries, num_heads, head_dim]`.",
        lambda *args: _attending()(*args).flatten(1),
    ),
    Wrong(
        "There are more query heads than KV heads, and torch does not know which belong together: bring the "
        "query heads together with their KV heads first.",
        matches=lambda args, want, got: (
            isinstance(got, StudentError)
            and "RuntimeError" in got.type_names
            and args[0].shape[1] != args[1].shape[1]
        ),
    ),
)


def check_attention(t: Trial) -> None:
    """Exercise 3.2."""

    def case(rng: random.Random, queries: int, keys: int, heads: int, kv_heads: int, dim: int) -> Any:
        q = 2 * randn(rng, queries, heads, dim)
        k, v = 2 * randn(rng, keys, kv_heads, dim), randn(rng, keys, kv_heads, dim)
        if rng.random() < 0.3:
            q = 200 * q  # scores in the thousands
        mask = causal_mask(queries, keys)
        if rng.random() < 0.5:
            mask = randn(rng, queries, keys) > 0
            mask[:, rng.randrange(keys)] = True
        return q, k, v, mask

    def draw(rng: random.Random) -> Any:
        kv_heads, group = rng.choice(((2, 2), (2, 3), (3, 2), (1, 4), (3, 1)))
        queries, more = rng.randint(1, 5), rng.randint(0, 6)
        return case(rng, queries, queries + more, kv_heads * group, kv_heads, rng.choice((5, 7, 8)))

    fixed = random.Random(3)
    immediate = [
        case(fixed, 3, 3, 1, 1, 8),
        case(fixed, 2, 5, 6, 2, 7),
        case(fixed, 4, 4, 6, 3, 5),
        case(fixed, 1, 4, 4, 4, 8),
    ]
    diagnose_function(
        t,
        "attention",
        t.cases(immediate, draw),
        reference.attention,
        _ATTENTION_WRONGS,
        spell=spelled("attention"),
        abs_=1e-4,
    )

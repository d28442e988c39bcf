"""Checks of exercise 6.9: attention of a prompt by tiles, what it gives, holds and computes."""

import random
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from cblab.lab.labs.diagnose import Args, Wrong, diagnose
from cblab.lab.trial import Trial

CLOSE = 5e-5
_WORK = "cblab.lab.labs.kernels.running:count_tensor_work"
Mask = Callable[[Tensor, Tensor, int, int], Tensor]


def _seen(query: Tensor, key: Tensor, tile: int, num_tokens: int) -> Tensor:
    return key <= query


def _with_mask(mask: Mask, factor: float = 0.0, dropped: bool = False) -> Callable[..., Any]:
    """Attention under another mask (of query and key positions), scale (`factor`, if not 0), or shorter."""

    def attention(q: Tensor, k: Tensor, v: Tensor, scale: float, tile: int) -> Tensor:
        count = q.shape[1]
        positions = torch.arange(count)
        seen = mask(positions[:, None], positions[None, :], tile, count)
        scores = (q @ k.transpose(1, 2) * (factor or scale)).masked_fill(~seen, float("-inf"))
        out = torch.softmax(scores, dim=-1) @ v
        if dropped:
            out[:, count // tile * tile :] = 0
        return out

    return attention


def _tiled(keeps_total: bool = False, keeps_sums: bool = False, divides: bool = True) -> Callable[..., Any]:
    """Tiles without one of the steps."""

    def attention(q: Tensor, k: Tensor, v: Tensor, scale: float, tile: int) -> Tensor:
        count = q.shape[1]
        highest = torch.full_like(q[..., :1], float("-inf"))
        total, sums = torch.zeros_like(highest), torch.zeros_like(q)
        positions = torch.arange(count)
        for start in range(0, count, tile):
            keys = slice(start, start + tile)
            scores = q @ k[:, keys].transpose(1, 2) * scale
            scores = scores.masked_fill(positions[keys] > positions[:, None], float("-inf"))
            top = torch.maximum(highest, scores.amax(dim=-1, keepdim=True))
            weights, factor = torch.exp(scores - top), torch.exp(highest - top)
            total = total * (1 if keeps_total else factor) + weights.sum(dim=-1, keepdim=True)
            sums = sums * (1 if keeps_sums else factor) + weights @ v[:, keys]
            highest = top
        return sums / total if divides else sums

    return attention


_WRONGS = (
    Wrong("Queries see the keys behind them: the mask is missing.", _with_mask(lambda q, k, tile, n: k < n)),
    Wrong(
        "A query does not see its own key: position i sees the keys up to and with i.",
        matches=lambda args, want, got: bool((torch.isnan(got[:, 0]) | (got[:, 0] == 0)).all()),
    ),
    Wrong(
        "The mask is that of the tile and not of the sequence: positions count from its beginning, in every "
        "tile.",
        _with_mask(lambda q, k, tile, n: k % tile <= q % tile),
    ),
    Wrong(
        "Only the tile on the diagonal is seen: go through all tiles of keys before it, too.",
        _with_mask(lambda q, k, tile, n: (k <= q) & (k // tile == q // tile)),
    ),
    Wrong(
        "The tile on the diagonal is left out, or seen as a whole: there the mask decides.",
        _with_mask(lambda q, k, tile, n: k // tile <= q // tile),
    ),
    Wrong("The scores are not multiplied with `scale`.", _with_mask(_seen, 1.0)),
    Wrong("The last queries, which fill no tile, have no result.", _with_mask(_seen, dropped=True)),
    Wrong("`total` is not made smaller when a higher score comes.", _tiled(keeps_total=True)),
    Wrong("`sums` is not made smaller when a higher score comes.", _tiled(keeps_sums=True)),
    Wrong("The sums are not divided by the weights.", _tiled(divides=False)),
)


def _case(seed: int, heads: int, count: int, dim: int, tile: int) -> Args:
    generator = torch.Generator().manual_seed(seed)
    q, k, v = torch.randn(3, heads, count, dim, generator=generator)
    return q * 2, k, v, 0.5, tile


def check_flash(t: Trial) -> None:
    """Exercise 6.9, the result."""

    def draw(rng: random.Random) -> Args:
        tile = rng.choice((2, 3, 5))
        return _case(rng.randrange(2**30), rng.randint(1, 3), rng.randint(1, 4 * tile + 1), 3, tile)

    diagnose(
        t,
        lambda *args: t.executor.call("flash_attention", *args),
        t.cases([_case(1, 1, 4, 2, 2), _case(2, 2, 7, 3, 3), _case(3, 2, 5, 3, 8)], draw, 12),
        _with_mask(_seen),
        _WRONGS,
        spell=lambda args: (
            f"flash_attention: {args[0].shape[0]} heads, {args[0].shape[1]} tokens, tile={args[4]}"
        ),
        abs_=CLOSE,
    )


def check_memory_and_work(t: Trial) -> None:
    """Exercise 6.9, the largest tensor that is held, and the products that are computed."""
    function = t.executor.request("get", name="flash_attention", result="handle").value
    draw = lambda rng: (rng.randint(1, 3), rng.choice((40, 47, 64)), rng.choice((4, 8)))  # noqa: E731
    for heads, count, tile in t.cases([(2, 64, 8), (1, 48, 4)], draw, 2):
        dim = 4
        largest, flop = t.call(_WORK, function, *_case(count, heads, count, dim, tile))
        text = f"({heads} heads, {count} tokens, head_dim {dim}, tile={tile})"
        if largest > heads * max(count * dim, tile * tile, tile * dim):
            t.fail(
                f"A tensor of {largest:,} numbers is made: {heads * tile * tile:,} scores of one tile are "
                f"enough, and the result has {heads * count * dim:,}. {text}"
            )
        ends = [min(end, count) for end in range(tile, count + tile, tile)]
        allowed = sum(
            4 * heads * dim * (end - first) * end
            for first, end in zip(range(0, count, tile), ends, strict=True)
        )
        if flop > allowed:
            t.fail(
                f"{flop:,} FLOPs of products are computed, {allowed:,} are enough: in the tiles above the "
                f"diagonal no query sees a key, so leave them out. {text}"
            )

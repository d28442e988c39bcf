"""Checks of the bonus exercises 3.15 to 3.17."""

import math
import random
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from cblab.lab.labs.diagnose import Wrong, diagnose, diagnose_function
from cblab.lab.labs.kv_cache.bonus import Part, RingKVCache, merge_attention, quantize
from cblab.lab.labs.kv_cache.cases import CLOSE, randn, spelled
from cblab.lab.labs.kv_cache.sequence_cache import Step, defect, session, spelled_session, students_session
from cblab.lab.trial import Trial


def _weighed(
    weight: Callable[[float, float, float], float], normalised: bool = True
) -> Callable[[Sequence[Part]], Tensor]:
    """Merging with the weight of a part given by (largest, total, largest of all)."""

    def merge(parts: Sequence[Part]) -> Tensor:
        top = max(largest for largest, _, _ in parts)
        weights = torch.tensor([weight(largest, total, top) for largest, total, _ in parts])
        merged = weights @ torch.stack([mean for _, _, mean in parts])
        return merged / weights.sum() if normalised else merged

    return merge


def _infinite(power: float) -> float:
    """exp as torch has it: infinity where `math.exp` raises."""
    return float(torch.tensor(power).exp())


_MERGE_WRONGS = (
    Wrong(
        "The parts are averaged as they are: a part with larger scores, or more keys, weighs more.",
        _weighed(lambda largest, total, top: 1.0),
    ),
    Wrong(
        "The parts weigh by `total` alone: each total is relative to its own largest score. Multiply it by "
        "exp(largest − largest of all).",
        _weighed(lambda largest, total, top: total),
    ),
    Wrong(
        "The parts weigh by exp(largest − largest of all) alone: a part with many keys has a larger `total`.",
        _weighed(lambda largest, total, top: math.exp(largest - top)),
    ),
    Wrong(
        "exp(largest) overflows with `math.exp`: take the largest of all off first.",
        _weighed(lambda largest, total, top: total * math.exp(largest)),
    ),
    Wrong(
        "exp(largest) is infinite, and infinite over infinite is nan: take the largest of all off first.",
        _weighed(lambda largest, total, top: total * _infinite(largest)),
    ),
    Wrong(
        "The sign of the exponent is wrong: the part with the largest score keeps its weight.",
        _weighed(lambda largest, total, top: total * math.exp(min(top - largest, 700.0))),
    ),
    Wrong(
        "The result is not divided by the sum of the weights.",
        _weighed(lambda largest, total, top: total * math.exp(largest - top), normalised=False),
    ),
    Wrong(
        "The means were divided by `total` again: they are means already.",
        _weighed(lambda largest, total, top: math.exp(largest - top) / total),
    ),
    Wrong(
        "The parts weigh by their largest score itself: by its exponential, relative to the largest of all.",
        _weighed(lambda largest, total, top: largest),
    ),
    Wrong("The parts were added up: the weights sum to 1.", lambda parts: sum(mean for _, _, mean in parts)),
    Wrong(
        "Only the part with the largest score counts: the others weigh less, but not nothing.",
        lambda parts: max(parts, key=lambda part: part[0])[2],
    ),
    Wrong("Only the last part came back.", lambda parts: parts[-1][2]),
)


def check_merge(t: Trial) -> None:
    """Exercise 3.15."""

    def part(rng: random.Random, level: float, keys: int, dim: int) -> Part:
        scores = randn(rng, keys) + level
        largest = float(scores.max())
        shifted = (scores - largest).exp()
        return largest, float(shifted.sum()), shifted @ randn(rng, keys, dim) / shifted.sum()

    def case(rng: random.Random, level: float, keys: Sequence[int], dim: int) -> tuple[list[Part]]:
        return ([part(rng, level + 2 * rng.random(), count, dim) for count in keys],)

    def draw(rng: random.Random) -> tuple[list[Part]]:
        keys = [rng.randint(1, 12) for _ in range(rng.randint(2, 5))]
        return case(rng, rng.choice((0.0, -400.0, 5.0, 900.0)), keys, rng.choice((3, 5)))

    fixed = random.Random(8)
    immediate = [
        case(fixed, 0.0, (2, 9), 3),
        case(fixed, 1.0, (5, 1, 3), 4),
        case(fixed, 1000.0, (4, 7), 3),
        case(fixed, 0.0, (3,), 3),
    ]
    diagnose_function(
        t,
        "merge_attention",
        t.cases(immediate, draw, 10),
        merge_attention,
        _MERGE_WRONGS,
        spell=lambda args: f"merge_attention(<{len(args[0])} parts>)",
        abs_=CLOSE,
    )


def _append(
    *,
    slot: Callable[[Any], int] = lambda self: self.length % self.window,
    step: int = 1,
    values: bool = True,
    shift: bool = False,
) -> Callable[..., None]:
    """`append` with a defect."""

    def append(self: Any, k: Tensor, v: Tensor) -> None:
        place = slot(self)
        self.keys[place] = k
        if values:
            self.values[place] = v
        self.length += step

    return append


def _read(slots: Callable[[int, int], list[int]]) -> Callable[..., Any]:
    """`read` of the slots given by (length, window)."""
    return lambda self: tuple(one[slots(self.length, self.window)] for one in (self.keys, self.values))


def _in_order(length: int, window: int) -> list[int]:
    return [place % window for place in range(max(0, length - window), length)]


def _full_stop(self: Any) -> int:
    if self.length >= self.window:
        raise IndexError("the ring is full")
    return int(self.length)


_RING_WRONGS = (
    Wrong(
        "The ring does not go round: token number `length` belongs in slot length % window.",
        defect(RingKVCache, append=_append(slot=lambda self: self.length)),
    ),
    Wrong(
        "A full ring keeps its old tokens and drops new ones into the last slot: the oldest one has to go.",
        defect(RingKVCache, append=_append(slot=lambda self: min(self.length, self.window - 1))),
    ),
    Wrong(
        "The tokens come back in the order of their slots: once the ring has gone round, the oldest is "
        "elsewhere than in slot 0.",
        defect(RingKVCache, read=_read(lambda length, window: list(range(min(length, window))))),
    ),
    Wrong(
        "The whole ring comes back, with slots that hold nothing yet: only min(length, window) do.",
        defect(
            RingKVCache, read=_read(lambda length, window: [(length + i) % window for i in range(window)])
        ),
    ),
    Wrong(
        "The newest token comes first: the oldest one does.",
        defect(RingKVCache, read=_read(lambda length, window: _in_order(length, window)[::-1])),
    ),
    Wrong(
        "The newest token is missing from what is read.",
        defect(RingKVCache, read=_read(lambda length, window: _in_order(length, window)[:-1])),
    ),
    Wrong(
        "The oldest token that is still in the window is missing: a window of w holds w tokens.",
        defect(
            RingKVCache,
            read=_read(
                lambda length, window: [p % window for p in range(max(0, length - window + 1), length)]
            ),
        ),
    ),
    Wrong(
        "`length` does not advance: every token goes into slot 0.",
        defect(RingKVCache, append=_append(step=0)),
    ),
    Wrong(
        "Slots are counted from 1: the first token belongs in slot 0.",
        defect(RingKVCache, append=_append(slot=lambda self: (self.length + 1) % self.window)),
    ),
    Wrong("The values are not stored.", defect(RingKVCache, append=_append(values=False))),
    Wrong(
        "Keys and values are swapped.",
        defect(RingKVCache, read=lambda self: _read(_in_order)(self)[::-1]),
    ),
    Wrong(
        "The order is turned by one: the oldest token held is number length − window.",
        defect(
            RingKVCache,
            read=_read(
                lambda length, window: (
                    list(range(length))
                    if length <= window
                    else [(length + 1 + i) % window for i in range(window)]
                )
            ),
        ),
    ),
)


def check_ring(t: Trial) -> None:
    """Exercise 3.16."""

    def steps(rng: random.Random, heads: int, dim: int, total: int, often: float) -> list[Step]:
        made: list[Step] = []
        for _ in range(total):
            made.append(("append", randn(rng, heads, dim), randn(rng, heads, dim)))
            if rng.random() < often:
                made.append(("read",))
        return [*made, ("read",)]

    def draw(rng: random.Random) -> Any:
        window, heads, dim = rng.choice((3, 4, 5)), rng.choice((1, 2)), 3
        return (window, heads, dim), steps(rng, heads, dim, rng.randint(1, 3 * window), 0.5)

    fixed = random.Random(9)
    immediate = [
        ((4, 2, 3), steps(fixed, 2, 3, 2, 1.0)),
        ((3, 1, 2), steps(fixed, 1, 2, 5, 1.0)),
        ((3, 1, 2), steps(fixed, 1, 2, 6, 0.0)),
    ]
    diagnose(
        t,
        students_session(t, "RingKVCache", ()),
        t.cases(immediate, draw, 8),
        session(RingKVCache),
        _RING_WRONGS,
        spell=spelled_session("RingKVCache"),
    )


def _coding(
    *,
    largest: Callable[[Tensor], Tensor] = lambda x: x.abs().amax(dim=-1, keepdim=True),
    steps: float = 127,
    rounded: Callable[[Tensor], Tensor] = torch.round,
    empty: Callable[[Tensor], Tensor] = lambda scales: torch.where(scales == 0, 1.0, scales),
    dtype: torch.dtype = torch.int8,
    finish: Callable[[Tensor, Tensor], Any] = lambda codes, scales: (codes, scales),
) -> Callable[[Tensor], Any]:
    """Quantizing with a defect."""

    def quantized(x: Tensor) -> Any:
        scales = empty(largest(x) / steps)
        return finish(rounded(x / scales).to(dtype), scales)

    return quantized


_QUANTIZE_WRONGS = (
    Wrong(
        "One scale serves the whole tensor: each token and head has its own, so that one large number does "
        "not spoil the others.",
        _coding(largest=lambda x: x.abs().max().expand(*x.shape[:2], 1)),
    ),
    Wrong(
        "One scale serves all heads of a token: each head has its own.",
        _coding(largest=lambda x: x.abs().amax(dim=(1, 2), keepdim=True).expand(-1, x.shape[1], 1)),
    ),
    Wrong(
        "One scale serves all tokens of a head: each token has its own, or a new token would change the old.",
        _coding(largest=lambda x: x.abs().amax(dim=(0, 2), keepdim=True).expand(x.shape[0], -1, 1)),
    ),
    Wrong(
        "The scale divides by 128: the largest number then has code 128, which int8 does not have.",
        _coding(steps=128),
    ),
    Wrong(
        "The scale divides by 255: int8 has 127 steps on either side of 0.",
        _coding(steps=255, rounded=lambda x: x.round().clamp(-127, 127)),
    ),
    Wrong(
        "The codes are cut off, not rounded: the error is up to twice as large.", _coding(rounded=torch.trunc)
    ),
    Wrong(
        "The codes are rounded down: round to the nearest.",
        _coding(rounded=torch.floor),
    ),
    Wrong(
        "The largest number was taken without its sign: −5 is larger in size than 3.",
        _coding(largest=lambda x: x.amax(dim=-1, keepdim=True)),
    ),
    Wrong(
        "Where all numbers are 0, the scale is 0: the scale is 1 there, as the docstring says.",
        _coding(
            empty=lambda scales: scales,
            rounded=lambda x: torch.nan_to_num(x.round()),
        ),
    ),
    Wrong(
        "The scales lost their last dimension: `keepdim=True`, so that `codes * scales` works.",
        _coding(finish=lambda codes, scales: (codes, scales.squeeze(-1))),
    ),
    Wrong(
        "The scales are upside down: `codes * scales` must be nearly x.",
        _coding(finish=lambda codes, scales: (codes, 1 / scales)),
    ),
    Wrong(
        "The codes are not int8: convert them, or nothing is saved.",
        _coding(dtype=torch.float32),
    ),
    Wrong("The codes are unsigned: numbers below 0 are lost.", _coding(dtype=torch.uint8)),
    Wrong(
        "The numbers came back as they were, rounded: return codes and scales.",
        _coding(finish=lambda codes, scales: codes * scales),
    ),
    Wrong(
        "Only the codes came back: they mean nothing without `scales`.",
        _coding(finish=lambda codes, _: codes),
    ),
)


def check_quantize(t: Trial) -> None:
    """Exercise 3.17."""

    def case(rng: random.Random, tokens: int, heads: int, dim: int) -> tuple[Tensor]:
        """Numbers that lie well off the middle between two codes; each row's largest has code 127 or −127."""
        codes = (60 * randn(rng, tokens, heads, dim)).round().clamp(-126, 126)
        jitter = 0.3 * torch.tanh(randn(rng, tokens, heads, dim))
        codes[..., rng.randrange(dim)] = rng.choice((127.0, -127.0))
        jitter[codes.abs() == 127] = 0.0
        scales = 0.02 * (1 + randn(rng, tokens, heads, 1).abs())
        x = (codes + jitter) * scales
        if rng.random() < 0.5:
            x[rng.randrange(tokens), rng.randrange(heads)] = 0.0
        return (x,)

    def draw(rng: random.Random) -> tuple[Tensor]:
        return case(rng, rng.randint(2, 4), rng.choice((1, 2, 3)), rng.choice((5, 8)))

    fixed = random.Random(10)
    immediate = [
        (torch.tensor([[[1.27, -0.5, 0.014]], [[-2.54, 1.0, 0.0]]]),),
        (torch.tensor([[[0.0, 0.0], [0.1, -0.2]]]),),
        case(fixed, 3, 2, 5),
    ]
    diagnose_function(
        t,
        "quantize",
        t.cases(immediate, draw, 8),
        quantize,
        _QUANTIZE_WRONGS,
        ("codes", "scales"),
        spell=spelled("quantize"),
        abs_=1e-6,
    )

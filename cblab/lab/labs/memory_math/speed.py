"""Checks of exercises 2.6, 2.7 and 2.14: what a step costs, how long it takes, how large a batch may be."""

import math
import random
from collections.abc import Callable, Mapping
from typing import Any

from cblab.lab.labs.diagnose import Wrong, diagnose_function
from cblab.lab.trial import Trial
from cblab.memory.roofline import step_cost, step_seconds
from cblab.memory.serving import largest_batch

Model = Mapping[str, int]
Lengths = list[int]


def _cost(
    *,
    product: int = 2,
    tokens: str = "new",
    attention: int = 4,
    pairs: str = "causal",
    weights: str = "once",
    kv: str = "context",
    waiting: bool = False,
) -> Any:
    """Counting a step with a defect. waiting: the caches of requests without new tokens are read too."""

    def cost(model: Model, new_tokens: Lengths, context_lens: Lengths) -> tuple[int, int]:
        seen = kv_tokens = 0
        for new, context in zip(new_tokens, context_lens, strict=True):
            cached = context - new
            seen += {
                "causal": new * cached + new * (new + 1) // 2,
                "all": new * context,
                "cached": new * cached,
                "strict": new * cached + new * (new - 1) // 2,
                "own": new * (new + 1) // 2,
                "context": context,
                "added": new * context + new * (new + 1) // 2,
            }[pairs]
            if new or waiting:
                kv_tokens += {
                    "context": context,
                    "cached": cached,
                    "new": new,
                    "none": 0,
                    "each query": new * context,
                    "added": context + new,
                }[kv]
        of_tokens = {"new": sum(new_tokens), "requests": len(new_tokens), "context": sum(context_lens)}[
            tokens
        ]
        times = {"once": 1, "requests": len(new_tokens), "tokens": sum(new_tokens), "none": 0}[weights]
        flop = product * model["matmul_parameters"] * of_tokens + attention * model["attention_width"] * seen
        return flop, times * model["weight_bytes"] + model["kv_bytes_per_token"] * kv_tokens

    return cost


_COST_WRONGS = (
    Wrong(
        "A product with a weight is a multiplication and an addition: 2 FLOPs, and 1 is counted.",
        _cost(product=1),
    ),
    Wrong("The FLOPs of attention are missing: 4 for each pair, for each unit of width.", _cost(attention=0)),
    Wrong(
        "Only half of attention's FLOPs: the scores (query × key) take 2 a unit, the weighted sum of values "
        "2 more.",
        _cost(attention=2),
    ),
    Wrong(
        "Every new token is paired with the whole context: a token does not see those after it.",
        _cost(pairs="all"),
    ),
    Wrong(
        "The new tokens see only what is cached: they also see themselves and the new ones before them.",
        _cost(pairs="cached"),
    ),
    Wrong(
        "A new token is not paired with itself: it sees its own key too.",
        _cost(pairs="strict"),
    ),
    Wrong("The new tokens see only each other: they also see all that is cached.", _cost(pairs="own")),
    Wrong(
        "One query a request is counted in attention: there are as many as new tokens.",
        _cost(pairs="context"),
    ),
    Wrong(
        "`context_lens` is taken as what is cached: it holds the new tokens already.",
        _cost(pairs="added", kv="added"),
    ),
    Wrong(
        "The products are counted once a request: each new token is multiplied with the weights.",
        _cost(tokens="requests"),
    ),
    Wrong(
        "The products are counted for the whole context: what is cached is not computed again.",
        _cost(tokens="context"),
    ),
    Wrong(
        "The weights are read once for each request: one step reads them once for all, that is why batches "
        "pay.",
        _cost(weights="requests"),
    ),
    Wrong(
        "The weights are read once for each token: one step reads them once for all tokens.",
        _cost(weights="tokens"),
    ),
    Wrong("The bytes of the weights are missing: each step reads them.", _cost(weights="none")),
    Wrong(
        "The cache of a request that computes nothing is read: it has no query that would.",
        _cost(waiting=True),
    ),
    Wrong("Keys and values are missing from the bytes.", _cost(kv="none")),
    Wrong(
        "Only cached keys and values are counted: those of the new tokens are written.",
        _cost(kv="cached"),
    ),
    Wrong(
        "Only the keys and values of the new tokens are counted: the context is read as well.",
        _cost(kv="new"),
    ),
    Wrong(
        "The context is read once for each new token: a chunk's queries read it together, once.",
        _cost(kv="each query"),
    ),
    Wrong("The two results are swapped: FLOPs first, bytes second.", lambda *args: step_cost(*args)[::-1]),
    Wrong(
        "One number came back: return `(flop, num_bytes)`.",
        lambda *args: step_cost(*args)[0] / step_cost(*args)[1],
    ),
)


def _model(rng: random.Random) -> dict[str, int]:
    return {
        "matmul_parameters": rng.randrange(100, 900),
        "attention_width": rng.choice((6, 10, 14)),
        "weight_bytes": rng.randrange(301, 2_900),
        "kv_bytes_per_token": rng.choice((7, 11, 13)),
    }


_SMALL = {"matmul_parameters": 500, "attention_width": 6, "weight_bytes": 1_001, "kv_bytes_per_token": 7}


def _spelled(name: str) -> Callable[[tuple[Any, ...]], str]:
    """The whole call, with nothing cut: a student runs it again."""
    return lambda args: f"{name}({', '.join(map(str, args))})"


def check_step_cost(t: Trial) -> None:
    """Exercise 2.6."""

    def draw(rng: random.Random) -> tuple[Any, ...]:
        new = [rng.choice((0, 1, 1, 2, 5, 9)) for _ in range(rng.randint(1, 5))]
        context = [n + rng.choice((0, 0, 3, 8, 21)) if n else rng.randint(2, 30) for n in new]
        return _model(rng), new, context

    immediate = [
        (_SMALL, [1], [10]),
        (_SMALL, [4], [4]),
        (_SMALL, [3], [10]),
        (_SMALL, [1, 1, 1], [5, 9, 12]),
        (_SMALL, [1, 0, 6], [5, 20, 8]),
    ]
    diagnose_function(
        t,
        "step_cost",
        t.cases(immediate, draw),
        step_cost,
        _COST_WRONGS,
        ("flop", "num_bytes"),
        spell=_spelled("step_cost"),
    )


def _seconds(combine: Callable[[float, float], float]) -> Any:
    """The time of a step by another rule than the larger of the two."""

    def seconds(model: Model, machine: Mapping[str, float], new: Lengths, context: Lengths) -> float:
        flop, num_bytes = step_cost(model, new, context)
        return combine(flop / machine["flop_per_s"], num_bytes / machine["bytes_per_s"])

    return seconds


def _rates_swapped(model: Model, machine: Mapping[str, float], new: Lengths, context: Lengths) -> float:
    flop, num_bytes = step_cost(model, new, context)
    return max(flop / machine["bytes_per_s"], num_bytes / machine["flop_per_s"])


def _upside_down(model: Model, machine: Mapping[str, float], new: Lengths, context: Lengths) -> float:
    flop, num_bytes = step_cost(model, new, context)
    return max(machine["flop_per_s"] / flop, machine["bytes_per_s"] / num_bytes)


def _per_token(model: Model, machine: Mapping[str, float], new: Lengths, context: Lengths) -> float:
    return step_seconds(model, machine, new, context) / sum(new)


_SECONDS_WRONGS = (
    Wrong(
        "The two times are added: arithmetic and memory traffic run at once, the longer one decides.",
        _seconds(lambda flop, read: flop + read),
    ),
    Wrong("The shorter time is taken: the step ends when both are done.", _seconds(min)),
    Wrong(
        "Only the arithmetic is timed: the memory traffic takes time too.", _seconds(lambda flop, read: flop)
    ),
    Wrong(
        "Only the memory traffic is timed: the arithmetic takes time too.", _seconds(lambda flop, read: read)
    ),
    Wrong(
        "The rates are swapped: FLOPs go by `flop_per_s`, bytes by `bytes_per_s`.",
        _rates_swapped,
    ),
    Wrong("The fractions are upside down: an amount over a rate gives seconds.", _upside_down),
    Wrong("The result is in milliseconds: seconds are asked for.", _seconds(lambda *both: 1e3 * max(both))),
    Wrong(
        "The mean of the two times is taken: the longer one decides.", _seconds(lambda *both: sum(both) / 2)
    ),
    Wrong("The time is divided by the tokens: the step's whole time is asked for.", _per_token),
)


def check_step_seconds(t: Trial) -> None:
    """Exercise 2.7."""

    def draw(rng: random.Random) -> tuple[Any, ...]:
        new = [rng.choice((1, 1, 2, 5, 9)) for _ in range(rng.randint(1, 6))]
        context = [n + rng.choice((0, 3, 8, 21)) for n in new]
        return (
            _model(rng),
            {"flop_per_s": rng.uniform(40, 900), "bytes_per_s": rng.uniform(20, 90)},
            new,
            context,
        )

    machine = {"flop_per_s": 400.0, "bytes_per_s": 50.0}
    immediate = [
        (_SMALL, machine, [1, 1], [10, 12]),
        (_SMALL, machine, [40], [40]),
        (_SMALL, machine, [1] * 9, [10] * 9),
        (_SMALL, {"flop_per_s": 9_000.0, "bytes_per_s": 30.0}, [1, 2], [10, 4]),
    ]
    diagnose_function(
        t,
        "step_seconds",
        t.cases(immediate, draw),
        step_seconds,
        _SECONDS_WRONGS,
        spell=_spelled("step_seconds"),
        abs_=1e-6,
    )


def _largest(
    *,
    room: str = "rest",
    slow: bool = False,
    less: int = 0,
    usd: Callable[[float, int, float], float] = lambda usd, batch, seconds: (
        usd / 3600 * seconds / batch * 1e6
    ),
    nothing: float = math.inf,
    context: bool = True,
    hundred: bool = False,
) -> Any:
    """Choosing a batch with a defect; usd(dollars an hour, batch, seconds of a step)."""

    def choose(
        model: Model, machine: Mapping[str, float], context_len: int, max_step_s: float, usd_per_hour: float
    ) -> tuple[int, float]:
        free = machine["memory_bytes"] - (model["weight_bytes"] if room == "rest" else 0)
        of_request = model["kv_bytes_per_token"] * (context_len if context else 1)
        most = 400 if room == "any" else int(free // of_request)
        if hundred:
            most = math.ceil(free / of_request)
        for batch in range(most, 0, -1):
            seconds = step_seconds(model, machine, [1] * batch, [context_len] * batch)
            if slow or seconds <= max_step_s:
                chosen = batch - less
                if chosen < 1:
                    break
                taken = step_seconds(model, machine, [1] * chosen, [context_len] * chosen)
                return chosen, usd(usd_per_hour, chosen, taken)
        return 0, nothing

    return choose


def _fastest(
    model: Model, machine: Mapping[str, float], context_len: int, max_step_s: float, usd_per_hour: float
) -> tuple[int, float]:
    """The smallest batch that is allowed, which has the shortest step."""
    batch, _ = largest_batch(model, machine, context_len, max_step_s, usd_per_hour)
    if not batch:
        return 0, math.inf
    seconds = step_seconds(model, machine, [1], [context_len])
    return 1, usd_per_hour / 3600 * seconds * 1e6


def _strictly(
    model: Model, machine: Mapping[str, float], context_len: int, max_step_s: float, usd_per_hour: float
) -> tuple[int, float]:
    if largest_batch(model, machine, context_len, max_step_s, usd_per_hour)[0]:
        return largest_batch(model, machine, context_len, max_step_s, usd_per_hour)
    raise ZeroDivisionError


_LARGEST_WRONGS = (
    Wrong(
        "The memory is not asked: the batch's keys and values must fit beside the weights.",
        _largest(room="any"),
    ),
    Wrong(
        "The weights take no room here: keys and values get what is left of the memory.",
        _largest(room="all"),
    ),
    Wrong("The time of a step is not asked: it may be `max_step_s` at most.", _largest(slow=True)),
    Wrong("One request too few: the largest batch that is allowed is asked for.", _largest(less=1)),
    Wrong(
        "One request too many: what is left of the memory must hold a whole request.", _largest(hundred=True)
    ),
    Wrong("A request is counted with one token: it holds `context_len` tokens.", _largest(context=False)),
    Wrong("The smallest batch is given: the largest that is allowed is asked for.", _fastest),
    Wrong(
        "The dollars are those of one token: 10⁶ tokens are asked for.",
        _largest(usd=lambda usd, batch, seconds: usd / 3600 * seconds / batch),
    ),
    Wrong(
        "The price is by the hour and the step in seconds: divide by 3,600.",
        _largest(usd=lambda usd, batch, seconds: usd * seconds / batch * 1e6),
    ),
    Wrong(
        "The dollars are those of 10⁶ steps: a step makes a token for each request of the batch.",
        _largest(usd=lambda usd, batch, seconds: usd / 3600 * seconds * 1e6),
    ),
    Wrong(
        "These are tokens a second, and not dollars.",
        _largest(usd=lambda usd, batch, seconds: batch / seconds),
    ),
    Wrong("Where nothing fits the price is infinite, `math.inf`, and not 0.", _largest(nothing=0.0)),
    Wrong(
        "Where nothing fits this divides by zero: return `(0, math.inf)` there.",
        _strictly,
    ),
    Wrong("Only the batch came back: return it with the dollars.", lambda *args: largest_batch(*args)[0]),
)


def check_largest_batch(t: Trial) -> None:
    """Exercise 2.14."""

    def draw(rng: random.Random) -> tuple[Any, ...]:
        model, context = _model(rng), rng.randint(4, 30)
        of_request = context * model["kv_bytes_per_token"]
        batch = rng.choice((0, 1, 4, 17, 31))
        memory = model["weight_bytes"] + batch * of_request + rng.randrange(1, of_request)
        machine = {
            "memory_bytes": memory,
            "flop_per_s": rng.uniform(400, 900),
            "bytes_per_s": rng.uniform(20, 90),
        }
        allowed = rng.choice((0, 1, 3, 12, 40))
        one, two = (
            step_seconds(model, machine, [1] * n, [context] * n) if n else 0.0 for n in (allowed, allowed + 1)
        )
        return model, machine, context, (one + two) / 2, rng.uniform(1, 9)

    machine = {"memory_bytes": 3_200, "flop_per_s": 4_000.0, "bytes_per_s": 50.0}
    immediate = [
        (_SMALL, machine, 20, 1_000.0, 3.6),
        (_SMALL, machine, 20, 35.0, 3.6),
        (_SMALL, machine, 20, 5.0, 3.6),
        (_SMALL, {**machine, "memory_bytes": 1_100}, 20, 1_000.0, 3.6),
        (_SMALL, {**machine, "flop_per_s": 300.0}, 20, 30.0, 1.8),
    ]
    diagnose_function(
        t,
        "largest_batch",
        t.cases(immediate, draw),
        largest_batch,
        _LARGEST_WRONGS,
        ("batch", "usd_per_million_tokens"),
        spell=_spelled("largest_batch"),
        abs_=1e-6,
    )

"""Check of exercise 2.8, the mended planner: how many blocks of the KV cache fit beside the weights."""

import math
import random
from collections.abc import Callable
from typing import Any

from cblab.lab.labs.diagnose import Wrong, diagnose_function
from cblab.lab.labs.memory_math.reference import num_blocks
from cblab.lab.trial import Trial


def num_blocks_buggy(
    memory_bytes: int,
    utilization: float,
    weight_bytes: int,
    num_layers: int,
    layer_kv_bytes: int,
    block_size: int,
) -> int:
    """The planner as the student finds it, with its three defects."""
    free = (memory_bytes - weight_bytes) * utilization
    return round(free / (block_size * layer_kv_bytes))


def _planned(
    *,
    share: str = "of all",
    layers: int = 1,
    block: bool = True,
    rounding: Callable[[float], float] = math.floor,
    least: float = 0,
    weights: bool = True,
    doubled: bool = False,
    turns: bool = False,
) -> Any:
    """Planning with a defect; layers: the power of `num_layers` in the size of a block."""

    def plan(
        memory: int, utilization: float, weight: int, num_layers: int, layer_kv: int, block_size: int
    ) -> float:
        held = weight if weights else 0
        free = {
            "of all": int(memory * utilization) - held,
            "of rest": (memory - held) * utilization,
            "none": memory - held,
            "other": int(memory * (1 - utilization)) - held,
        }[share]
        size = num_layers**layers * layer_kv * (block_size if block else 1) * (2 if doubled else 1)
        blocks = rounding(free / size)
        if turns:
            return blocks * block_size if free > 0 else 0
        return max(least, blocks)

    return plan


_WRONGS = (
    Wrong(
        "Nothing has changed: it still plans with one layer, with a share of the rest, and below zero.",
        num_blocks_buggy,
    ),
    Wrong(
        "A block is counted in one layer: its tokens have keys and values in every layer.", _planned(layers=0)
    ),
    Wrong(
        "`utilization` is applied to what the weights leave: it is the share of the whole memory that may be "
        "used, weights included.",
        _planned(share="of rest"),
    ),
    Wrong("`utilization` is not applied.", _planned(share="none")),
    Wrong(
        "`utilization` is taken as the share to leave free: it is the share to use.", _planned(share="other")
    ),
    Wrong(
        "The number of blocks is rounded to the nearest: there is no room for a part of a block.",
        _planned(rounding=round),
    ),
    Wrong("The number of blocks is rounded up: the last one does not fit.", _planned(rounding=math.ceil)),
    Wrong("The number of blocks is not whole: round down.", _planned(rounding=float)),
    Wrong(
        "Where the weights alone do not fit, the number of blocks is negative: it is 0.",
        _planned(least=-math.inf),
    ),
    Wrong("At least one block is promised, also where not even the weights fit.", _planned(least=1)),
    Wrong("The weights are forgotten: the cache gets what they leave.", _planned(weights=False)),
    Wrong("These are tokens and not blocks: a block has `block_size` of them.", _planned(block=False)),
    Wrong("These are tokens: the number of blocks is asked for.", _planned(turns=True)),
    Wrong("The layers are counted twice.", _planned(layers=2)),
    Wrong("Half of what fits: `layer_kv_bytes` holds keys and values both already.", _planned(doubled=True)),
)


def check_num_blocks(t: Trial) -> None:
    """Exercise 2.8."""

    def draw(rng: random.Random) -> tuple[Any, ...]:
        layers, layer_kv, block_size = rng.randint(2, 9), rng.choice((6, 10, 14)), rng.choice((4, 16))
        size = layers * layer_kv * block_size
        blocks, utilization = rng.choice((-3, 0, 2, 9, 40)), rng.choice((0.8, 0.85, 0.9))
        weights = rng.randint(4, 30) * 1_000
        rest = round(size * rng.choice((0.23, 0.71)))
        return (
            max(100, math.ceil((weights + blocks * size + rest) / utilization)),
            utilization,
            weights,
            layers,
            layer_kv,
            block_size,
        )

    immediate = [
        (100_000, 0.9, 60_000, 5, 14, 4),
        (81_000, 0.8, 50_000, 3, 20, 16),
        (40_000, 0.9, 60_000, 5, 14, 4),
        (50_200, 0.9, 44_000, 7, 6, 16),
    ]
    diagnose_function(t, "num_blocks", t.cases(immediate, draw), num_blocks, _WRONGS)

"""Check of exercise 6.8, find the bug: where a token's keys begin in a pool of more than 2^31 numbers."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np

from cblab.lab.labs.diagnose import Args, Wrong, diagnose_function
from cblab.lab.labs.kernels.numerics import block_offsets
from cblab.lab.trial import Trial


def _after(change: Callable[[np.ndarray], np.ndarray]) -> Callable[..., Any]:
    """The right offsets, changed."""
    return lambda *args: change(block_offsets(*args))


def _exact(
    table: np.ndarray, positions: np.ndarray, size: int, heads: int, dim: int
) -> tuple[np.ndarray, ...]:
    return table[positions // size].astype(np.int64), positions.astype(np.int64) % size


def _slots_times(
    table: np.ndarray, positions: np.ndarray, size: int, heads: int, dim: int, width: int
) -> Any:
    blocks, slots = _exact(table, positions, size, heads, dim)
    return (blocks * size + slots) * width


def _block_by_slot(table: np.ndarray, positions: np.ndarray, size: int, heads: int, dim: int) -> Any:
    blocks, slots = _exact(table, positions, size, heads, dim)
    return blocks * heads * dim + slots * heads * dim


_WRONGS = (
    Wrong(
        "Still computed in int32: from 2^31 on, offsets wrap around and become negative.",
        _after(lambda offsets: offsets.astype(np.int32)),
    ),
    Wrong(
        "Made int64 too late: the product has been computed in int32 by then, and has wrapped around.",
        _after(lambda offsets: offsets.astype(np.int32).astype(np.int64)),
    ),
    Wrong(
        "uint32 moves the border from 2^31 to 2^32 numbers and no further.",
        _after(lambda offsets: offsets.astype(np.uint32)),
    ),
    Wrong(
        "uint32 in between: beyond 2^32 numbers the offsets begin at 0 again.",
        _after(lambda offsets: offsets.astype(np.uint32).astype(np.int64)),
    ),
    Wrong(
        "float32 holds whole numbers up to 2^24: the offsets come out rounded.",
        _after(lambda offsets: offsets.astype(np.float32).astype(np.int64)),
    ),
    Wrong(
        "Offsets are whole numbers: an array of int64 is asked for, not of floats.",
        matches=lambda args, want, got: got.dtype.kind == "f",
    ),
    Wrong(
        "The sign was taken off: a number that has wrapped around is wrong with any sign.",
        _after(lambda offsets: np.abs(offsets.astype(np.int32).astype(np.int64))),
    ),
    Wrong(
        "The offsets are cut off at the largest int32: all tokens behind it are read from one place.",
        _after(lambda offsets: np.minimum(offsets, 2**31 - 1)),
    ),
    Wrong(
        "The KV heads are gone from the product: a slot holds `num_kv_heads * head_dim` numbers.",
        lambda table, positions, size, heads, dim: _slots_times(table, positions, size, heads, dim, dim),
    ),
    Wrong(
        "`head_dim` is gone from the product: a slot holds `num_kv_heads * head_dim` numbers.",
        lambda table, positions, size, heads, dim: _slots_times(table, positions, size, heads, dim, heads),
    ),
    Wrong(
        "A block was taken for a slot: block b begins at slot b * block_size.",
        _block_by_slot,
    ),
    Wrong(
        "The offsets are in bytes: numbers are asked for.",
        _after(lambda offsets: 4 * offsets),
    ),
)


def check_block_offsets(t: Trial) -> None:
    """Exercise 6.8."""

    def case(rng: random.Random, most: int) -> Args:
        size, heads, dim = rng.choice(((16, 8, 128), (32, 2, 64), (8, 8, 256)))
        table = np.array([rng.randrange(1, most // (size * heads * dim)) for _ in range(4)], np.int32)
        positions = np.array(sorted(rng.sample(range(4 * size), 6)), np.int32)
        return table, positions, size, heads, dim

    def draw(rng: random.Random) -> Args:
        return case(rng, rng.choice((2**29, 2**36)))

    rng = random.Random(8)
    immediate = [case(rng, 2**30), case(rng, 2**32), case(rng, 2**37)]
    diagnose_function(
        t,
        "block_offsets",
        t.cases(immediate, draw),
        block_offsets,
        _WRONGS,
        spell=lambda args: (
            f"block_offsets({args[0].tolist()}, {args[1].tolist()}, {args[2]}, {args[3]}, {args[4]})"
        ),
    )

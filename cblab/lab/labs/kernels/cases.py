"""Paged caches for the checks: small enough to run uncompiled, with every mistake visible in the numbers."""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from cblab.lab.labs.diagnose import Args

Shape = tuple[int, int, int, int]
"""Query heads, KV heads, head_dim, block_size."""

SHAPES: tuple[Shape, ...] = ((6, 2, 3, 4), (6, 3, 5, 3), (3, 1, 2, 4), (4, 4, 3, 2))
LONG_SHAPE: Shape = (6, 2, 16, 8)


def paged_case(seed: int, shape: Shape, context_lens: Sequence[int], *, stretch: float = 1.0) -> Args:
    """q, keys, values, block_tables, context_lens, scale, of sequences whose blocks lie anywhere in the pool.

    What belongs to nobody, or to no token yet, holds numbers too: those of requests that have ended.
    `stretch` multiplies the queries, and so the scores.
    """
    rng = np.random.default_rng(seed)
    num_heads, num_kv_heads, head_dim, block_size = shape
    needed = [-(-length // block_size) for length in context_lens]
    free = 1 + rng.permutation(sum(needed) + 2)
    tables = np.zeros((len(needed), max(needed) + 1), np.int32)
    for row, count in enumerate(needed):
        tables[row, :count], free = free[:count], free[count:]
    pool = (sum(needed) + 3, block_size, num_kv_heads, head_dim)
    q, keys, values = (
        rng.standard_normal(one, dtype=np.float32) for one in ((len(needed), num_heads, head_dim), pool, pool)
    )
    lengths = np.array(context_lens, np.int32)
    return q * np.float32(stretch), keys, values, tables, lengths, 0.5


def draw_case(rng: random.Random) -> Args:
    """A case of any shape; lengths on either side of the borders of blocks."""
    shape = rng.choice(SHAPES)
    size = shape[3]
    lengths = [max(1, rng.randint(1, 3) * size + rng.choice((-1, 0, 1))) for _ in range(rng.randint(1, 3))]
    return paged_case(rng.randrange(2**30), shape, lengths)


def spelled(name: str, args: Args) -> str:
    """A kernel's call, by the sizes of what it is given."""
    q, keys, _, _, lengths, _ = args
    return (
        f"{name}: {q.shape[1]} query heads, {keys.shape[2]} KV heads, block_size {keys.shape[1]}, "
        f"context_lens {lengths.tolist()}"
    )


class Decode:
    """Attention over a paged cache by its definition, in pieces, each of which can have a defect."""

    def kv_head(self, head: int, num_heads: int, num_kv_heads: int) -> int:
        """Whose keys and values a query head reads."""
        return head // (num_heads // num_kv_heads)

    def num_tokens(self, length: int, block_size: int, room: int) -> int:
        """How many tokens are attended to; the block table has room for `room`."""
        return length

    def num_scored(self, length: int, block_size: int, room: int) -> int:
        """Among how many tokens the highest score is looked for."""
        return self.num_tokens(length, block_size, room)

    def place(self, tables: np.ndarray, seq: int, position: int, block_size: int) -> tuple[int, int]:
        """Block and slot of a token."""
        return tables[seq, position // block_size], position % block_size

    def weights(self, scores: np.ndarray, top: np.float32, scale: float) -> np.ndarray:
        """What each token's values count; `top` is the highest score, and neither is scaled yet."""
        weights = np.exp((scores - top) * np.float32(scale))
        with np.errstate(invalid="ignore"):
            return np.asarray(weights / weights.sum())

    def values(self, keys: np.ndarray, values: np.ndarray) -> np.ndarray:
        """What is weighed."""
        return values

    def __call__(
        self,
        q: np.ndarray,
        keys: np.ndarray,
        values: np.ndarray,
        tables: np.ndarray,
        lengths: np.ndarray,
        scale: float,
    ) -> Any:
        """An array like `q`."""
        num_seqs, num_heads, _ = q.shape
        _, block_size, num_kv_heads, _ = keys.shape
        values = self.values(keys, values)
        out = np.zeros_like(q)
        for seq in range(num_seqs):
            size = int(lengths[seq]), block_size, tables.shape[1] * block_size
            count, scored = self.num_tokens(*size), self.num_scored(*size)
            places = [self.place(tables, seq, position, block_size) for position in range(scored)]
            blocks, slots = [place[0] for place in places], [place[1] for place in places]
            for head in range(num_heads):
                kv_head = self.kv_head(head, num_heads, num_kv_heads)
                scores = keys[blocks, slots, kv_head] @ q[seq, head]
                weights = self.weights(scores[:count], scores.max(), scale)
                out[seq, head] = weights @ values[blocks, slots, kv_head][:count]
        return out

"""The references for what students of lab 7 write: the glue between their parts, and how to find a fault."""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from typing import Any, Protocol

import torch
from torch import Tensor

from cblab.attention.masks import causal_mask
from cblab.lab.labs.kv_cache.reference import attention
from cblab.lab.labs.paging.tensors import gather

Plan = Callable[[Sequence[int], int, int], Any]


def prefill(
    q: Tensor,
    keys: Tensor,
    values: Tensor,
    block_tables: Sequence[Sequence[int]],
    cu_seqlens_q: Sequence[int],
    context_lens: Sequence[int],
) -> Tensor:
    """Attention of the chunks of a step over everything that their requests have in the cache.

    Args:
        q: `[num_tokens, num_heads, head_dim]`, the chunks end to end.
        keys: the pool, `[num_blocks, block_size, num_kv_heads, head_dim]`.
        values: like `keys`.
        block_tables: one list for each chunk; entries behind its request's last block mean nothing.
        cu_seqlens_q: chunk s has the rows from `cu_seqlens_q[s]` to before `cu_seqlens_q[s + 1]`.
        context_lens: for each chunk, its request's tokens in the cache, the chunk's own among them.

    Returns:
        A tensor like `q`.
    """
    out = torch.zeros_like(q)
    for seq, length in enumerate(context_lens):
        rows = slice(cu_seqlens_q[seq], cu_seqlens_q[seq + 1])
        table = block_tables[seq][: math.ceil(length / keys.shape[1])]
        mask = causal_mask(rows.stop - rows.start, length)
        out[rows] = attention(q[rows], gather(keys, table, length), gather(values, table, length), mask)
    return out


def first_chunk(num_new: int, num_found: int, block_size: int) -> tuple[int, int]:
    """Return how many cached blocks a first chunk of `num_new` tokens takes, and how many tokens are left.

    At least one token is left to compute.
    """
    num_blocks = min(num_found, (num_new - 1) // block_size)
    return num_blocks, num_new - num_blocks * block_size


def pool_sizes(lengths: Sequence[int], block_size: int, max_num_seqs: int) -> tuple[int, int]:
    """Return the blocks with which each request can run alone, and those with which nobody is preempted.

    lengths: tokens of each request at its longest. max_num_seqs: how many run at once.
    """
    blocks = sorted((math.ceil(length / block_size) for length in lengths), reverse=True)
    return blocks[0], sum(blocks[:max_num_seqs])


def first_difference(
    want: Mapping[str, Sequence[int]], got: Mapping[str, Sequence[int]]
) -> tuple[str, int] | None:
    """Return the request whose tokens differ at the earliest position, and that position; None if none do.

    Of several the first in the order of `want`. Where one ends, the other's next token differs.
    """
    found: tuple[str, int] | None = None
    for name, tokens in want.items():
        pairs = enumerate(zip_longest(tokens, got[name]))
        position = next((index for index, (one, other) in pairs if one != other), None)
        if position is not None and (found is None or position < found[1]):
            found = name, position
    return found


class Suspects(Protocol):
    """Parts under suspicion, and a way to try some of them beside the reference for all the others."""

    @property
    def names(self) -> Sequence[str]:
        """The parts, in a fixed order."""
        ...

    def agrees(self, own: Sequence[str]) -> bool:
        """Whether a run with these parts, and the reference for the others, gives the right tokens."""
        ...


def find_guilty(bench: Suspects) -> list[str]:
    """Return the parts of which replacing that one alone makes the run right, in the order of `bench.names`.

    None where the run is right as it is. All where no single replacement helps: more than one is broken.
    """
    names = list(bench.names)
    if bench.agrees(names):
        return []
    return [name for name in names if bench.agrees([one for one in names if one != name])] or names


class PlanOnce:
    """A plan that is made once a step, for all layers ask for the same one; only the last is kept."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.key: Any = None
        self.last: Any = None

    def __call__(self, context_lens: Sequence[int], split_size: int, num_threads: int) -> Any:
        """Return what `plan` gives for these arguments."""
        key = (tuple(context_lens), split_size, num_threads)
        if key != self.key:
            self.key, self.last = key, self.plan(context_lens, split_size, num_threads)
        return self.last

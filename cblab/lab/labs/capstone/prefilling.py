"""Checks of exercise 7.1: the attention of chunks, each over its own request's blocks."""

import random
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from cblab.attention.masks import causal_mask
from cblab.lab.labs.capstone.reference import prefill
from cblab.lab.labs.diagnose import Args, Wrong, diagnose_function
from cblab.lab.labs.kv_cache.reference import attention
from cblab.lab.labs.paging.tensors import gather
from cblab.lab.trial import Trial

CLOSE = 1e-4


class _Chunks:
    """`prefill`, piece by piece, each of which a defect replaces."""

    def rows(self, seq: int, borders: Sequence[int], lengths: Sequence[int]) -> slice:
        return slice(borders[seq], borders[seq + 1])

    def table(self, seq: int, tables: Sequence[list[int]]) -> list[int]:
        return tables[seq]

    def read(self, pool: Tensor, table: list[int], length: int, num_rows: int) -> Tensor:
        return gather(pool, table, length)

    def mask(self, num_rows: int, length: int) -> Tensor:
        return causal_mask(num_rows, length)

    def attend(self, q: Tensor, keys: Tensor, values: Tensor, num_rows: int, length: int) -> Tensor:
        return attention(q, keys, values, self.mask(num_rows, len(keys)))

    def chunks(self, num_chunks: int) -> Sequence[int]:
        return range(num_chunks)

    def pools(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        return keys, values

    def __call__(
        self,
        q: Tensor,
        keys: Tensor,
        values: Tensor,
        tables: Sequence[list[int]],
        borders: Sequence[int],
        lengths: Sequence[int],
    ) -> Tensor:
        out = torch.zeros_like(q)
        keys, values = self.pools(keys, values)
        for seq in self.chunks(len(lengths)):
            rows = self.rows(seq, borders, lengths)
            table, num_rows = self.table(seq, tables), rows.stop - rows.start
            read = [self.read(pool, table, lengths[seq], num_rows) for pool in (keys, values)]
            out[rows] = self.attend(q[rows], read[0], read[1], num_rows, lengths[seq])
        return out


class _KeysTwice(_Chunks):
    def pools(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        return keys, keys


class _Swapped(_Chunks):
    def pools(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        return values, keys


class _FromTheStart(_Chunks):
    def mask(self, num_rows: int, length: int) -> Tensor:
        return torch.ones(num_rows, length, dtype=torch.bool).tril()


class _NoMask(_Chunks):
    def mask(self, num_rows: int, length: int) -> Tensor:
        return torch.ones(num_rows, length, dtype=torch.bool)


class _OnlyNew(_Chunks):
    def read(self, pool: Tensor, table: list[int], length: int, num_rows: int) -> Tensor:
        return gather(pool, table, length)[length - num_rows :]


class _OneTable(_Chunks):
    def table(self, seq: int, tables: Sequence[list[int]]) -> list[int]:
        return tables[0]


class _Straight(_Chunks):
    def read(self, pool: Tensor, table: list[int], length: int, num_rows: int) -> Tensor:
        return pool.flatten(0, 1)[:length]


class _Sorted(_Chunks):
    def table(self, seq: int, tables: Sequence[list[int]]) -> list[int]:
        return sorted(tables[seq])


class _FirstOnly(_Chunks):
    def chunks(self, num_chunks: int) -> Sequence[int]:
        return range(min(num_chunks, 1))


class _LastOnly(_Chunks):
    def chunks(self, num_chunks: int) -> Sequence[int]:
        return range(num_chunks)[-1:]


class _Padding(_Chunks):
    def read(self, pool: Tensor, table: list[int], length: int, num_rows: int) -> Tensor:
        return pool[table].flatten(0, 1)


class _WholeBlocks(_Chunks):
    def read(self, pool: Tensor, table: list[int], length: int, num_rows: int) -> Tensor:
        size = pool.shape[1]
        return gather(pool, table, -(-length // size) * size)


class _NotItself(_Chunks):
    def mask(self, num_rows: int, length: int) -> Tensor:
        return torch.ones(num_rows, length, dtype=torch.bool).tril(length - num_rows - 1)


class _BehindContexts(_Chunks):
    def rows(self, seq: int, borders: Sequence[int], lengths: Sequence[int]) -> slice:
        start = sum(lengths[:seq])
        return slice(start, start + borders[seq + 1] - borders[seq])


class _RowsOfContexts(_Chunks):
    def rows(self, seq: int, borders: Sequence[int], lengths: Sequence[int]) -> slice:
        return slice(borders[seq], borders[seq] + lengths[seq])


class _BlocksRoundedDown(_Chunks):
    """Fewer rows than the mask has columns, wherever a last block is filled in part."""

    def read(self, pool: Tensor, table: list[int], length: int, num_rows: int) -> Tensor:
        return gather(pool, table[: length // pool.shape[1]], length)

    def attend(self, q: Tensor, keys: Tensor, values: Tensor, num_rows: int, length: int) -> Tensor:
        return attention(q, keys, values, self.mask(num_rows, length))


class _HeadsFirst(_Chunks):
    def attend(self, q: Tensor, keys: Tensor, values: Tensor, num_rows: int, length: int) -> Tensor:
        turned = [one.transpose(0, 1) for one in (q, keys, values)]
        return attention(turned[0], turned[1], turned[2], self.mask(num_rows, length)).transpose(0, 1)


def _just_like(formula: Callable[..., Tensor]) -> Callable[[Args, Any, Any], bool]:
    """Whether a wrong formula gives what came back, or raises with the same text.

    Sizes that do not fit raise the same error for many mistakes: only the numbers in it tell them apart.
    """

    def matches(args: Args, want: Any, got: Any) -> bool:
        try:
            made = formula(*args)
        except (RuntimeError, ValueError) as error:
            return str(error) in str(got)
        return isinstance(got, Tensor) and got.shape == made.shape and torch.allclose(got, made, atol=CLOSE)

    return matches


def _first_rows(q: Tensor, *rest: Any) -> Tensor:
    return prefill(q, *rest)[: rest[3][1]]


def _only_the_last_query(q: Tensor, *rest: Any) -> Tensor:
    """A kernel for decoding, used for a chunk."""
    borders = rest[3]
    out = torch.zeros_like(q)
    whole = prefill(q, *rest)
    for end in borders[1:]:
        out[end - 1] = whole[end - 1]
    return out


_WRONGS = (
    Wrong("The values are read from the pool of keys.", _KeysTwice()),
    Wrong("Keys and values have changed places.", _Swapped()),
    Wrong(
        "The mask begins at position 0 for every chunk: a chunk's first row stands behind all tokens that "
        "were cached before. `causal_mask(rows, keys)` knows that if it gets both numbers.",
        _FromTheStart(),
    ),
    Wrong("There is no mask: a row of a chunk sees the tokens behind it.", _NoMask()),
    Wrong(
        "A chunk sees only its own tokens: those that were cached before it belong to its context.",
        _OnlyNew(),
    ),
    Wrong("Every chunk reads through the block table of the first one.", _OneTable()),
    Wrong(
        "The pool is read from its beginning: the block table says where a request's tokens are.", _Straight()
    ),
    Wrong("The blocks are read in the order of the pool and not in that of the table.", _Sorted()),
    Wrong("Only the first chunk was computed: is the `return` within the loop?", _FirstOnly()),
    Wrong("Only the last chunk's rows are filled.", _LastOnly()),
    Wrong(
        "Whole blocks are read: behind `context_lens` tokens a block holds what somebody left there.",
        _WholeBlocks(),
    ),
    Wrong(
        "All entries of a table are read: behind the blocks of `context_lens` tokens they mean nothing.",
        _Padding(),
    ),
    Wrong(
        "The number of blocks is rounded down: the tokens in a partly filled last block are missing, so that "
        "there are fewer keys than the mask has columns.",
        matches=_just_like(_BlocksRoundedDown()),
    ),
    Wrong(
        "A chunk's rows are counted by `context_lens`, which counts the cached tokens too: chunk s has only "
        "the rows from `cu_seqlens_q[s]` to before `cu_seqlens_q[s + 1]`.",
        matches=_just_like(_RowsOfContexts()),
    ),
    Wrong(
        "Heads and tokens have changed places: `attention` takes q, k and v token first, as they are, and "
        "its result is token first too.",
        matches=_just_like(_HeadsFirst()),
    ),
    Wrong(
        "The mask is None: `attention` wants one in each call, True where a query may see a key.",
        matches=lambda args, want, got: "unary ~: 'NoneType'" in str(got),
    ),
    Wrong(
        "Only the rows of the first chunk came back: fill `out`, and return it behind the loop.",
        _first_rows,
    ),
    Wrong("A row does not see its own token.", _NotItself()),
    Wrong(
        "A chunk's rows are looked for behind the *contexts* of those before it: `cu_seqlens_q` says where "
        "they are.",
        _BehindContexts(),
    ),
    Wrong("Only the last row of each chunk is filled: each of its tokens is a query.", _only_the_last_query),
)


def chunk_case(
    seed: int,
    new: Sequence[int],
    cached: Sequence[int],
    block_size: int = 4,
    heads: int = 4,
    kv_heads: int = 2,
) -> Args:
    """Chunks of `new` tokens behind `cached` ones, over a pool in which no slot is zero."""
    generator = torch.Generator().manual_seed(seed)
    lengths = [one + other for one, other in zip(new, cached, strict=True)]
    needed = [-(-length // block_size) for length in lengths]
    num_blocks = sum(needed) + 3
    order = torch.randperm(num_blocks - 1, generator=generator) + 1
    blocks = iter(order.tolist())
    tables = [[next(blocks) for _ in range(count)] for count in needed]
    padded = [[*table, *[0] * (max(needed) - len(table))] for table in tables]
    pools = [torch.randn(num_blocks, block_size, kv_heads, 6, generator=generator) for _ in range(2)]
    q = torch.randn(sum(new), heads, 6, generator=generator) * 2
    return q, *pools, padded, list(accumulate(new, initial=0)), lengths


def _spelled(args: Args) -> str:
    return f"prefill(q, keys, values, {args[3]}, {args[4]}, {args[5]})"[:180]


def check_prefill(t: Trial) -> None:
    """Exercise 7.1."""

    def draw(rng: random.Random) -> Args:
        count = rng.randint(1, 3)
        size = rng.choice((2, 3, 4))
        new = [rng.randint(1, 7) for _ in range(count)]
        cached = [rng.choice((0, 0, size, rng.randint(1, 9))) for _ in range(count)]
        heads, kv_heads = rng.choice(((4, 2), (3, 1), (6, 2)))
        return chunk_case(rng.randrange(2**30), new, cached, size, heads, kv_heads)

    immediate = [
        chunk_case(1, [5], [0]),
        chunk_case(2, [3], [6]),
        chunk_case(3, [4, 6, 2], [0, 5, 9]),
        chunk_case(4, [7, 1], [1, 3], 3, 3, 1),
        chunk_case(5, [4], [4]),
    ]
    right: Callable[..., Any] = prefill
    diagnose_function(t, "prefill", t.cases(immediate, draw, 8), right, _WRONGS, spell=_spelled, abs_=CLOSE)

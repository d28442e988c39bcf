"""Checks of exercise 4.3: from positions to slots, and from slots back to a sequence."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from cblab.lab.compare import difference
from cblab.lab.labs.diagnose import Args, Wrong, diagnose, diagnose_function
from cblab.lab.labs.paging.tables import slot_mapping
from cblab.lab.labs.paging.tensors import gather
from cblab.lab.protocol import StudentError
from cblab.lab.trial import Trial

Table = Sequence[int]


def _each(slot: Callable[[Table, int, int], int]) -> Callable[..., list[int]]:
    """A slot mapping with a defect in one token's slot, `slot(table, position, block_size)`."""

    def mapped(table: Table, first: int, num_new: int, size: int) -> list[int]:
        return [slot(table, position, size) for position in range(first, first + num_new)]

    return mapped


def _offset_in_chunk(table: Table, first: int, num_new: int, size: int) -> list[int]:
    return [table[(first + i) // size] * size + i % size for i in range(num_new)]


_SLOT_WRONGS = (
    Wrong(
        "The positions themselves came back: which block holds a token says the table.",
        _each(lambda table, position, size: position),
    ),
    Wrong(
        "Only the first block is looked up, and the others are taken to lie behind it: look up the block of "
        "each token.",
        _each(lambda table, position, size: table[0] * size + position),
    ),
    Wrong(
        "`first` is not used: the new tokens begin at position `first`, not at 0.",
        lambda table, first, num_new, size: slot_mapping(table, 0, num_new, size),
    ),
    Wrong(
        "Every token is put at the beginning of its block: add position % block_size.",
        _each(lambda table, position, size: table[position // size] * size),
    ),
    Wrong(
        "A block's first slot is its id times `block_size`: the product is missing.",
        _each(lambda table, position, size: table[position // size] + position % size),
    ),
    Wrong(
        "The place in the block is counted from `first`: it is the position in the sequence, modulo "
        "`block_size`.",
        _offset_in_chunk,
    ),
    Wrong(
        "`num_new` is taken for the position at which to stop: it is how many tokens there are.",
        lambda table, first, num_new, size: slot_mapping(table, first, max(0, num_new - first), size),
    ),
    Wrong(
        "One slot too few: there are `num_new` of them.",
        lambda table, first, num_new, size: slot_mapping(table, first, num_new, size)[:-1],
    ),
    Wrong(
        "The blocks came back and not the slots: a block's id times `block_size`, and the place in it.",
        _each(lambda table, position, size: table[position // size]),
    ),
    Wrong(
        "`//` and `%` are the wrong way round: the block is position // block_size.",
        _each(lambda table, position, size: table[position % size] * size + position // size),
    ),
    Wrong(
        "The place in the block is off by one: position 0 is at place 0.",
        _each(lambda table, position, size: table[position // size] * size + (position - 1) % size),
    ),
    Wrong(
        "The slots are counted in the table's own order, as if its blocks were 0, 1, 2, …: use their ids.",
        _each(
            lambda table, position, size: (
                sorted(table).index(table[position // size]) * size + position % size
            )
        ),
    ),
)


def check_slot_mapping(t: Trial) -> None:
    """Exercise 4.3, slots."""

    def draw(rng: random.Random) -> Args:
        size, num_blocks = rng.choice((1, 3, 4, 5)), rng.randint(2, 5)
        table = rng.sample(range(11), num_blocks)
        first = rng.randrange(num_blocks * size)
        return table, first, rng.randint(0, num_blocks * size - first), size

    immediate: list[Args] = [
        ([3, 0], 0, 4, 3),
        ([5, 1, 7], 7, 1, 4),
        ([2, 6, 1], 2, 7, 3),
        ([4], 0, 0, 2),
        ([9, 8], 4, 4, 4),
    ]
    diagnose_function(t, "slot_mapping", t.cases(immediate, draw), slot_mapping, _SLOT_WRONGS)


def _rows(pool: Tensor, table: Table) -> Tensor:
    return pool[list(table)].flatten(0, 1)


_GATHER_WRONGS = (
    Wrong(
        "All slots of the blocks came back: behind the last token there is only what was there before.",
        lambda pool, table, num_tokens: _rows(pool, table),
    ),
    Wrong(
        "The blocks lie side by side and are not joined: the result is [num_tokens, num_kv_heads, head_dim].",
        lambda pool, table, num_tokens: pool[list(table)],
    ),
    Wrong(
        "The first blocks of the pool were read, whosever they are: read those of the table.",
        lambda pool, table, num_tokens: pool.flatten(0, 1)[:num_tokens],
    ),
    Wrong(
        "Only the first block is looked up, and the slots behind it are read on: they belong to others.",
        lambda pool, table, num_tokens: pool.flatten(0, 1)[table[0] * pool.shape[1] :][:num_tokens],
    ),
    Wrong(
        "The blocks are read in the order of their ids: read them in the order of the table.",
        lambda pool, table, num_tokens: _rows(pool, sorted(table))[:num_tokens],
    ),
    Wrong(
        "The last tokens came back: cut behind the first `num_tokens`.",
        lambda pool, table, num_tokens: _rows(pool, table)[-num_tokens:],
    ),
    Wrong(
        "The partly filled last block is left out: its tokens count too.",
        lambda pool, table, num_tokens: _rows(pool, table)[: num_tokens // pool.shape[1] * pool.shape[1]],
    ),
    Wrong(
        "The table's entries are taken for slots: each is a block of `block_size` of them.",
        lambda pool, table, num_tokens: pool.flatten(0, 1)[list(table)][:num_tokens],
    ),
    Wrong(
        "One token is missing at the end: `num_tokens` of them.",
        lambda pool, table, num_tokens: _rows(pool, table)[: num_tokens - 1],
    ),
    Wrong(
        "The tokens of the blocks are interleaved: all tokens of a block come before the next block's.",
        lambda pool, table, num_tokens: pool[list(table)].transpose(0, 1).flatten(0, 1)[:num_tokens],
    ),
    Wrong(
        "Heads and dimensions are run together: the result is [num_tokens, num_kv_heads, head_dim].",
        lambda pool, table, num_tokens: _rows(pool, table)[:num_tokens].flatten(1),
    ),
)


def check_gather(t: Trial) -> None:
    """Exercise 4.3, gather."""

    def draw(rng: random.Random) -> Args:
        shape = rng.choice(((7, 3, 2, 5), (9, 4, 3, 2), (6, 1, 2, 3)))
        table = rng.sample(range(shape[0]), rng.randint(2, 4))
        return _numbered(shape), table, rng.randint((len(table) - 1) * shape[1] + 1, len(table) * shape[1])

    def call(pool: Tensor, table: Table, num_tokens: int) -> Any:
        return t.executor.call("gather", pool, list(table), num_tokens)

    immediate: list[Args] = [
        (_numbered((5, 3, 2, 2)), [3, 0], 5),
        (_numbered((6, 4, 2, 3)), [5, 2, 4], 12),
        (_numbered((6, 4, 1, 2)), [2], 1),
        (_numbered((8, 2, 3, 2)), [6, 1, 7], 5),
    ]
    diagnose(
        t,
        call,
        t.cases(immediate, draw, 10),
        gather,
        _GATHER_WRONGS,
        spell=_spelled,
        show=lambda args, want, got: f"`{_spelled(args)}`: {_found(want, got)}",
    )


def _numbered(shape: Sequence[int]) -> Tensor:
    """A pool in which every number is another one."""
    return torch.arange(torch.Size(shape).numel(), dtype=torch.float32).view(tuple(shape))


def _spelled(args: Args) -> str:
    return f"gather(pool of shape {list(args[0].shape)}, {list(args[1])}, {args[2]})"


def _found(want: Tensor, got: Any) -> str:
    return str(got) if isinstance(got, StudentError) else str(difference(got, want))

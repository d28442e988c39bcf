"""Checks of exercises 4.5 and 4.6: chained hashes, and the longest prefix that may be taken from the "
"cache."""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cblab.core.prefix_cache import hash_block
from cblab.lab.labs.diagnose import Args, Wrong, diagnose_function
from cblab.lab.labs.paging.tables import ROOT, block_hashes, match_prefix
from cblab.lab.trial import Trial

Tokens = Sequence[int]


def _blocks(token_ids: Tokens, size: int) -> list[tuple[int, ...]]:
    return [tuple(token_ids[at : at + size]) for at in range(0, len(token_ids) - size + 1, size)]


def _chain(blocks: Sequence[tuple[int, ...]], parent: Callable[[list[int]], Any]) -> list[int]:
    """The hashes of blocks, each with the parent that `parent` picks from the hashes so far."""
    hashes: list[int] = []
    for block in blocks:
        hashes.append(hash_block(parent(hashes), block))
    return hashes


def _last(hashes: list[int]) -> int:
    return hashes[-1] if hashes else ROOT


def _with_rest(token_ids: Tokens, size: int) -> list[int]:
    return _chain([tuple(token_ids[at : at + size]) for at in range(0, len(token_ids), size)], _last)


def _whole_prefixes(token_ids: Tokens, size: int) -> list[int]:
    return [
        hash_block(ROOT, tuple(token_ids[: at + size])) for at in range(0, len(token_ids) - size + 1, size)
    ]


def _tokens_before(token_ids: Tokens, size: int) -> list[int]:
    blocks = _blocks(token_ids, size)
    before = [ROOT, *blocks]
    return [hash_block(one, block) for one, block in zip(before, blocks, strict=False)]


def _sliding(token_ids: Tokens, size: int) -> list[int]:
    starts = range(len(token_ids) - size + 1)
    return _chain([tuple(token_ids[at : at + size]) for at in starts], _last)


def _lists(token_ids: Tokens, size: int) -> list[int]:
    if len(token_ids) >= size:
        raise TypeError("unhashable type: 'list'")
    return []


def _cumulative(token_ids: Tokens, size: int) -> list[int]:
    hashes: list[int] = []
    for at in range(0, len(token_ids) - size + 1, size):
        hashes.append(hash_block(_last(hashes), tuple(token_ids[: at + size])))
    return hashes


_HASH_WRONGS = (
    Wrong(
        "The parent is not in the hash: the same tokens behind another beginning have other keys and values, "
        "and would be taken for these.",
        lambda token_ids, size: _chain(_blocks(token_ids, size), lambda hashes: ROOT),
    ),
    Wrong(
        "A partly filled last block has a hash too: its content will still change. Only full blocks "
        "have one.",
        _with_rest,
    ),
    Wrong(
        "The last block is missing where the tokens fill it exactly: it is full.",
        lambda token_ids, size: block_hashes(token_ids[:-1], size),
    ),
    Wrong(
        "Each hash is made of all the tokens so far: that takes quadratic time. Take the parent's hash "
        "and the "
        "block's own tokens.",
        _whole_prefixes,
    ),
    Wrong(
        "Each hash is made of the parent's hash and all the tokens so far: the block's own tokens are "
        "enough.",
        _cumulative,
    ),
    Wrong(
        "The tokens of the block before are taken for the parent: that reaches one block back. Take its "
        "*hash*, "
        "which covers everything before.",
        _tokens_before,
    ),
    Wrong(
        "The first block is the parent of all the others: each one's parent is the block right before it.",
        lambda token_ids, size: _chain(
            _blocks(token_ids, size), lambda hashes: hashes[0] if hashes else ROOT
        ),
    ),
    Wrong(
        "The blocks overlap, one begins at each token: the next begins `block_size` tokens later.",
        _sliding,
    ),
    Wrong("A list cannot be hashed: make a tuple of the block's tokens.", _lists),
    Wrong(
        "The chain runs from the end to the beginning: the parent is the block before.",
        lambda token_ids, size: _chain(_blocks(token_ids, size)[::-1], _last)[::-1],
    ),
    Wrong(
        "Only the last hash came back: every full block has one.",
        lambda token_ids, size: _last(block_hashes(token_ids, size)),
    ),
    Wrong(
        "The parent's hash and the tokens are the wrong way round: `hash_block(parent, tokens)`.",
        lambda token_ids, size: _swapped(_blocks(token_ids, size)),
    ),
    Wrong(
        "The first block has another parent than `ROOT`.",
        matches=lambda args, want, got: len(got) == len(want) and not set(got) & set(want),
    ),
)


def _swapped(blocks: Sequence[tuple[int, ...]]) -> list[int]:
    hashes: list[int] = []
    for block in blocks:
        hashes.append(hash((block, _last(hashes))))
    return hashes


def check_block_hashes(t: Trial) -> None:
    """Exercise 4.5."""

    def draw(rng: random.Random) -> Args:
        size = rng.choice((1, 2, 3, 4))
        return [
            rng.randrange(6) for _ in range(rng.randint(0, 4) * size + rng.choice((0, 0, 1, -1)) % size)
        ], size

    immediate: list[Args] = [
        ([5, 6, 7, 8, 9], 2),
        ([1, 2, 1, 2, 1, 2], 2),
        ([3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8], 3),
        ([7, 7, 7], 4),
        ([], 3),
    ]
    diagnose_function(t, "block_hashes", t.cases(immediate, draw), block_hashes, _HASH_WRONGS)


Found = Mapping[int, int]


def _up_to(limit: Callable[[list[int], int, int, int], int], *, skip: bool = False) -> Callable[..., Any]:
    """Matching with a defect: how many blocks may be taken, `limit(hashes, hits, num_tokens, size)`."""

    def match(hashes: Tokens, cached: Found, num_tokens: int, size: int) -> list[int]:
        hits = _hits(hashes, cached)
        if skip:
            return [cached[one] for one in hashes[: (num_tokens - 1) // size] if one in cached]
        return [cached[one] for one in hashes[: max(0, limit(list(hashes), hits, num_tokens, size))][:hits]]

    return match


def _hits(hashes: Tokens, cached: Found) -> int:
    return next((index for index, one in enumerate(hashes) if one not in cached), len(hashes))


def _without_asking(hashes: Tokens, cached: Found, num_tokens: int, size: int) -> list[int]:
    return [cached[one] for one in hashes[: (num_tokens - 1) // size]]


def _tail_first(hashes: Tokens, cached: Found, num_tokens: int, size: int) -> list[int]:
    """Looks for the last cached block and believes that all before it are there."""
    limit = (num_tokens - 1) // size
    for count in range(limit, 0, -1):
        if hashes[count - 1] in cached:
            return [cached[one] for one in hashes[:count]]
    return []


def _empty_on_full(hashes: Tokens, cached: Found, num_tokens: int, size: int) -> list[int]:
    hits = _hits(hashes, cached)
    return [] if hits * size == num_tokens else [cached[one] for one in hashes[:hits]]


_MATCH_WRONGS = (
    Wrong(
        "A prompt that is cached to its last token is taken whole: nothing is left to compute, and without "
        "computing a token there are no logits. At least one token must be left.",
        _up_to(lambda hashes, hits, num_tokens, size: len(hashes)),
    ),
    Wrong(
        "The last block that was found is always given up: only where it holds the prompt's last token.",
        _up_to(lambda hashes, hits, num_tokens, size: hits - 1),
    ),
    Wrong(
        "A block is given up for every prompt: one that ends inside a block has a token to compute anyway.",
        _up_to(lambda hashes, hits, num_tokens, size: num_tokens // size - 1),
    ),
    Wrong(
        "Where the whole prompt is cached, everything is thrown away: only its last block has to be computed "
        "again.",
        _empty_on_full,
    ),
    Wrong(
        "The search goes on behind a block that is missing: what follows a gap has no use, stop at it.",
        _up_to(lambda hashes, hits, num_tokens, size: 0, skip=True),
    ),
    Wrong(
        "The search begins at the end, and takes the blocks before for granted: the head may be gone though "
        "the tail is there (KeyError).",
        _tail_first,
    ),
    Wrong(
        "A hash that is not cached raises a KeyError: ask first, and stop there.",
        _without_asking,
    ),
    Wrong(
        "The hashes came back: return the blocks, `cached[…]`.",
        lambda hashes, cached, num_tokens, size: list(
            hashes[: len(match_prefix(hashes, cached, num_tokens, size))]
        ),
    ),
    Wrong(
        "The number of blocks came back: return the blocks.",
        lambda hashes, cached, num_tokens, size: len(match_prefix(hashes, cached, num_tokens, size)),
    ),
    Wrong(
        "Only the first block came back: go on while the hashes are cached.",
        lambda hashes, cached, num_tokens, size: match_prefix(hashes, cached, num_tokens, size)[:1],
    ),
    Wrong(
        "One token too many is left out: a prompt one token longer than its full blocks may take all of "
        "them.",
        _up_to(lambda hashes, hits, num_tokens, size: (num_tokens - 2) // size),
    ),
    Wrong(
        "A prefix counts only if the whole prompt is cached: a part of it saves work too.",
        lambda hashes, cached, num_tokens, size: (
            match_prefix(hashes, cached, num_tokens, size) if all(one in cached for one in hashes) else []
        ),
    ),
)


def check_match_prefix(t: Trial) -> None:
    """Exercise 4.6."""

    def draw(rng: random.Random) -> Args:
        size = rng.choice((1, 2, 4, 8))
        num_tokens = rng.randint(1, 5) * size + rng.choice((0, 0, 1, -1))
        num_tokens = max(1, num_tokens)
        hashes = rng.sample(range(1000), num_tokens // size)
        known = hashes[: rng.choice((len(hashes), rng.randint(0, len(hashes))))]
        known += [one for one in hashes if one not in known and rng.random() < 0.3]
        strangers = rng.sample(range(1000, 2000), 2)
        blocks = rng.sample(range(40), len(known) + 2)
        return hashes, dict(zip([*known, *strangers], blocks, strict=True)), num_tokens, size

    immediate: list[Args] = [
        ([71, 52, 93], {71: 4, 52: 0, 93: 2}, 13, 4),
        ([71, 52, 93], {71: 4, 52: 0, 93: 2}, 12, 4),
        ([71, 52, 93], {71: 4, 52: 0}, 12, 4),
        ([71, 52, 93], {71: 4, 93: 2}, 14, 4),
        ([71, 52, 93], {52: 0, 93: 2}, 15, 4),
        ([71, 52, 93], {71: 4}, 15, 4),
        ([71, 52, 93], {71: 4, 52: 0, 93: 2}, 14, 4),
        ([71], {71: 5}, 4, 4),
        ([], {71: 5}, 3, 4),
    ]
    diagnose_function(t, "match_prefix", t.cases(immediate, draw), match_prefix, _MATCH_WRONGS)

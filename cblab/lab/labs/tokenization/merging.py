"""Checks of exercises 1.1 to 1.4 and 1.15: pairs counted and merged, training, encoding by rank."""

import itertools
import math
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cblab.lab.labs.diagnose import Wrong, diagnose_function
from cblab.lab.labs.tokenization.reference import merge_and_update
from cblab.lab.trial import Trial
from cblab.tokenization import bpe
from cblab.tokenization.bpe import Pair, count_pairs, merge_pair, tie_order, token_table
from cblab.tokenization.bpe_trainer import train_bpe

Sequences = Sequence[list[int]]


def _pairs_of(sequences: Sequences) -> list[Pair]:
    return [pair for ids in sequences for pair in itertools.pairwise(ids)]


def _without_overlaps(sequences: Sequences) -> Counter[Pair]:
    counts: Counter[Pair] = Counter()
    for ids in sequences:
        i = 0
        while i + 1 < len(ids):
            pair = (ids[i], ids[i + 1])
            counts[pair] += 1
            i += 2 if pair == tuple(ids[i + 1 : i + 3]) else 1
    return counts


def _every_second(sequences: Sequences) -> Counter[Pair]:
    return Counter((ids[i], ids[i + 1]) for ids in sequences for i in range(0, len(ids) - 1, 2))


_COUNT_WRONGS = (
    Wrong(
        "A pair that overlaps itself is counted once too few: [5, 5, 5] holds (5, 5) twice. Move on by "
        "one token.",
        _without_overlaps,
    ),
    Wrong(
        "You look at tokens 0 and 1, 2 and 3, 4 and 5, … and skip the pairs between. Move on by one "
        "token, not by two.",
        _every_second,
    ),
    Wrong(
        "Only the first sequence is counted: loop over all of `sequences`, and return after the loop.",
        lambda sequences: count_pairs(sequences[:1]),
    ),
    Wrong(
        "Pairs are counted across the border of two sequences: the last token of one and the first of the "
        "next are no neighbours.",
        lambda sequences: count_pairs([[i for ids in sequences for i in ids]]),
    ),
    Wrong(
        "(a, b) and (b, a) are thrown together: the order of a pair matters.",
        lambda sequences: Counter(tuple(sorted(pair)) for pair in _pairs_of(sequences)),
    ),
    Wrong(
        "The pairs are the wrong way round: the left token comes first in the key.",
        lambda sequences: Counter((b, a) for a, b in _pairs_of(sequences)),
    ),
    Wrong(
        "The last pair of each sequence is missing: n tokens have n - 1 pairs, an off-by-one at the end.",
        lambda sequences: count_pairs([ids[:-1] for ids in sequences]),
    ),
    Wrong(
        "The first pair of each sequence is missing: an off-by-one at the beginning.",
        lambda sequences: count_pairs([ids[1:] for ids in sequences]),
    ),
    Wrong(
        "Every pair has the count 1: add to the count that is there already instead of setting it.",
        lambda sequences: dict.fromkeys(_pairs_of(sequences), 1),
    ),
    Wrong(
        "A pair counts at most once for each sequence: it should count as often as it stands there.",
        lambda sequences: Counter(pair for ids in sequences for pair in set(itertools.pairwise(ids))),
    ),
    Wrong(
        "These are counts of single tokens: the keys should be pairs (left, right).",
        lambda sequences: Counter(i for ids in sequences for i in ids),
    ),
    Wrong("This is a list of the pairs: return a dict from each pair to its count.", _pairs_of),
)


def check_count_pairs(t: Trial) -> None:
    """Exercise 1.1."""

    def draw(rng: random.Random) -> tuple[Any, ...]:
        return (
            [
                [rng.randrange(4) for _ in range(rng.choice((0, 1, 2, 7, 12)))]
                for _ in range(rng.randint(2, 5))
            ],
        )

    immediate = [
        ([[5, 5, 5]],),
        ([[1, 2], [1, 2]],),
        ([[1, 2, 1, 2, 1]],),
        ([[3, 1, 2], [2, 1, 3, 3, 3], [4, 1]],),
        ([[], [7], [7, 8, 7, 8]],),
        ([list(b"aaabdaaabac")],),
    ]
    diagnose_function(
        t,
        "count_pairs",
        t.cases(immediate, draw),
        lambda sequences: dict(count_pairs(sequences)),
        _COUNT_WRONGS,
    )


def _replace(
    ids: list[int],
    pair: Pair,
    new_id: Any,
    *,
    skip: int = 2,
    most: float = math.inf,
    found: Callable[[int, int, Pair], bool] | None = None,
    stop: int = 0,
    step: int = 1,
) -> list[Any]:
    """Merge with a defect: the plain loop with its details open to change."""
    found = found or (lambda left, right, pair: (left, right) == pair)
    out: list[Any] = []
    i = merged = 0
    while i < len(ids) - stop:
        if i + 1 < len(ids) and merged < most and found(ids[i], ids[i + 1], pair):
            out.append(new_id)
            merged += 1
            i += skip
        else:
            out.extend(ids[i : i + step])
            i += step
    return out


def _from_the_right(ids: list[int], pair: Pair, new_id: int) -> list[int]:
    return merge_pair(ids[::-1], (pair[1], pair[0]), new_id)[::-1]


_MERGE_WRONGS = (
    Wrong(
        "Only the first occurrence is merged: go on to the end of the sequence, as in [aa]abd[aa]abac.",
        lambda ids, pair, new_id: _replace(ids, pair, new_id, most=1),
    ),
    Wrong(
        "A token that was merged is used again: after a merge, move on by two tokens, not by one.",
        lambda ids, pair, new_id: _replace(ids, pair, new_id, skip=1),
    ),
    Wrong(
        "Nothing is ever merged: `pair` is a tuple, and a list such as ids[i : i + 2] never equals a tuple.",
        lambda ids, pair, new_id: list(ids),
    ),
    Wrong("Merged from right to left: in [5, 5, 5] the first two become the new token.", _from_the_right),
    Wrong(
        "The last token is lost when it is not part of a pair: the loop ends one token too early.",
        lambda ids, pair, new_id: _replace(ids, pair, new_id, stop=1),
    ),
    Wrong(
        "The pair is merged the other way round too: (a, b) is not (b, a).",
        lambda ids, pair, new_id: _replace(
            ids, pair, new_id, found=lambda a, b, p: (a, b) in (p, (p[1], p[0]))
        ),
    ),
    Wrong(
        "The left token of the pair alone decides: the token to its right must fit as well.",
        lambda ids, pair, new_id: _replace(ids, pair, new_id, found=lambda a, b, p: a == p[0]),
    ),
    Wrong(
        "Only pairs that begin at an even position are found: move on by one token where nothing was merged.",
        lambda ids, pair, new_id: _replace(ids, pair, new_id, step=2),
    ),
    Wrong(
        "The pair itself stands where the new token should: append `new_id`.",
        lambda ids, pair, new_id: _replace(ids, pair, tuple(pair)),
    ),
    Wrong(
        "The pair is gone and nothing took its place: append `new_id` once for each pair.",
        lambda ids, pair, new_id: [i for i in merge_pair(ids, pair, -1) if i != -1],
    ),
    Wrong(
        "The new token stands beside the pair instead of in its place.",
        lambda ids, pair, new_id: [
            x for i in merge_pair(ids, pair, -1) for x in ((*pair, new_id) if i == -1 else (i,))
        ],
    ),
    Wrong(
        "Nothing came back (None): return the new list, do not only change one in place.",
        lambda ids, pair, new_id: None,
    ),
)


def check_merge_pair(t: Trial) -> None:
    """Exercise 1.2."""

    def draw(rng: random.Random) -> tuple[Any, ...]:
        ids = [rng.randrange(3) for _ in range(rng.choice((0, 1, 2, 9, 14, 15)))]
        return ids, (rng.randrange(3), rng.randrange(3)), rng.randrange(300, 400)

    immediate = [
        ([5, 5, 5, 7], (5, 5), 9),
        ([1, 2, 3, 1, 2, 2, 1, 2], (1, 2), 9),
        ([4, 1, 2, 4], (1, 2), 9),
        (list(b"aaabdaaabac"), (97, 97), 256),
        ([1, 3, 1], (1, 2), 9),
        ([], (1, 2), 9),
        ([1], (1, 1), 9),
    ]
    diagnose_function(t, "merge_pair", t.cases(immediate, draw), merge_pair, _MERGE_WRONGS)


def _train(
    piece_counts: Mapping[bytes, int],
    num_merges: int,
    *,
    weigh: bool = True,
    first_id: int = 256,
    choose: Callable[[Counter[Pair]], Pair] = bpe.best_pair,
    apply: bool = True,
) -> list[Pair]:
    """Train with a defect: the plain loop with its details open to change.

    With a `choose` of its own it does not stop when no pair is left.
    """
    sequences = [list(piece) for piece in piece_counts]
    merges: list[Pair] = []
    while len(merges) < num_merges:
        counts: Counter[Pair] = Counter()
        for ids, weight in zip(sequences, piece_counts.values(), strict=True):
            for pair in itertools.pairwise(ids):
                counts[pair] += weight if weigh else 1
        if not counts and choose is bpe.best_pair:
            break
        pair = choose(counts)
        if apply:
            sequences = [merge_pair(ids, pair, first_id + len(merges)) for ids in sequences]
        merges.append(pair)
    return merges


def _stopping(choose: Callable[[Counter[Pair]], Pair]) -> Callable[..., Any]:
    """Training that chooses differently, but does stop when no pair is left."""

    def train(piece_counts: Mapping[bytes, int], num_merges: int) -> list[Pair]:
        for count in range(num_merges, -1, -1):
            try:
                return _train(piece_counts, count, choose=choose)
            except ValueError:
                continue
        return []

    return train


def _bytes_pairs(piece_counts: Mapping[bytes, int], num_merges: int) -> list[tuple[bytes, bytes]]:
    merges = train_bpe(piece_counts, num_merges)
    table = token_table(merges)
    return [(table[left], table[right]) for left, right in merges]


def _joined(piece_counts: Mapping[bytes, int], num_merges: int) -> list[Pair]:
    return train_bpe({b"".join(piece * count for piece, count in piece_counts.items()): 1}, num_merges)


_TRAIN_WRONGS = (
    Wrong(
        "The same pair is found in every round: apply each merge to all the pieces before counting again.",
        lambda counts, n: _train(counts, n, apply=False),
    ),
    Wrong(
        "How often a piece occurs is not used: a pair inside a piece counts `piece_counts[piece]` times.",
        lambda counts, n: _train(counts, n, weigh=False),
    ),
    Wrong(
        "Among equal counts the pair that was seen first is taken: the smallest `tie_order(pair)` wins.",
        _stopping(lambda counts: max(counts, key=counts.__getitem__)),
    ),
    Wrong(
        "Among equal counts the smallest pair of ids is taken: compare `tie_order(pair)`, not the pair "
        "itself.",
        _stopping(lambda counts: min(counts, key=lambda pair: (-counts[pair], pair))),
    ),
    Wrong(
        "Among equal counts the largest `tie_order(pair)` is taken: the smallest wins.",
        _stopping(lambda counts: max(counts, key=lambda pair: (counts[pair], tie_order(pair)))),
    ),
    Wrong(
        "The rarest pair is merged: the highest count wins.",
        _stopping(lambda counts: min(counts, key=lambda pair: (counts[pair], tie_order(pair)))),
    ),
    Wrong(
        "The ids of the new tokens are off by one: merge number 0 makes token 256.",
        lambda counts, n: _train(counts, n, first_id=257),
    ),
    Wrong(
        "Every new token has the id of its rank: merge number `rank` makes token 256 + rank.",
        lambda counts, n: _train(counts, n, first_id=0),
    ),
    Wrong("Pairs are counted across the borders of pieces: count inside each piece on its own.", _joined),
    Wrong(
        "When no pair is left the search raises an error: stop and return the merges so far.",
        lambda counts, n: _train(counts, n, choose=lambda c: min(c, key=lambda p: (-c[p], tie_order(p)))),
    ),
    Wrong(
        "`num_merges` is the number of merges, not the size of the vocabulary: do not take 256 off it.",
        lambda counts, n: train_bpe(counts, n - 256),
    ),
    Wrong(
        "One merge too many: stop when there are `num_merges` of them.",
        lambda counts, n: train_bpe(counts, n + 1),
    ),
    Wrong(
        "One merge too few: stop when there are `num_merges` of them, not before.",
        lambda counts, n: train_bpe(counts, n - 1),
    ),
    Wrong("The merges are given as bytes: give the pairs of ids.", _bytes_pairs),
    Wrong(
        "This is a dict of merges: return the list of pairs in the order in which they were learned.",
        lambda counts, n: {pair: 256 + rank for rank, pair in enumerate(train_bpe(counts, n))},
    ),
)


def check_train_bpe(t: Trial) -> None:
    """Exercise 1.3."""

    def draw(rng: random.Random) -> tuple[Any, ...]:
        pieces = {
            bytes(rng.choices(b" abcX", k=rng.randint(1, 7))): rng.randint(1, 6)
            for _ in range(rng.randint(3, 8))
        }
        return pieces, rng.randint(1, 12)

    immediate = [
        ({b"ababab": 1}, 1),
        ({b"xyxyxy": 1, b"pq": 7}, 1),
        ({b"ab": 4}, 5),
        ({b"aaabdaaabac": 1}, 3),
        ({b"xyxyxy": 1, b"pq": 7, b"pqr": 2}, 3),
        ({b" zb": 2, b"yc": 2, b"Qx": 2}, 4),
        ({b"bc": 2, b"Qx": 2, b"zy": 2}, 1),
        ({b"ba": 3, b"ca": 1, b"b": 9, b"ac": 3}, 2),
        ({b"q": 3}, 1),
    ]
    diagnose_function(t, "train_bpe", t.cases(immediate, draw), train_bpe, _TRAIN_WRONGS)


def _by(
    choose: Callable[[list[Pair], Mapping[Pair, int]], int],
    *,
    base: int = 256,
    most: float = math.inf,
    left: int = 1,
) -> Any:
    """Encoding with a defect: `choose(pairs, ranks)` gives the position to merge next."""

    def encode(piece: bytes, ranks: Mapping[Pair, int]) -> list[int]:
        ids = list(piece)
        done = 0
        while len(ids) > left and done < most and any(pair in ranks for pair in itertools.pairwise(ids)):
            at = choose(list(itertools.pairwise(ids)), ranks)
            ids[at : at + 2] = [256 + ranks[ids[at], ids[at + 1]]]
            done += 1
        return [token - 256 + base if token >= 256 else token for token in ids]

    return encode


def _lowest(pairs: list[Pair], ranks: Mapping[Pair, int]) -> int:
    return min(range(len(pairs)), key=lambda i: ranks.get(pairs[i], math.inf))


def _leftmost(pairs: list[Pair], ranks: Mapping[Pair, int]) -> int:
    return next(i for i, pair in enumerate(pairs) if pair in ranks)


def _rightmost(pairs: list[Pair], ranks: Mapping[Pair, int]) -> int:
    return max(i for i, pair in enumerate(pairs) if pair in ranks)


def _highest(pairs: list[Pair], ranks: Mapping[Pair, int]) -> int:
    return max(range(len(pairs)), key=lambda i: ranks.get(pairs[i], -1))


def _longest_match(piece: bytes, ranks: Mapping[Pair, int]) -> list[int]:
    ids = {data: token for token, data in enumerate(token_table(sorted(ranks, key=ranks.__getitem__)))}
    out, start = [], 0
    while start < len(piece):
        end = next(end for end in range(len(piece), start, -1) if piece[start:end] in ids)
        out.append(ids[piece[start:end]])
        start = end
    return out


def _without_length(piece: bytes, ranks: Mapping[Pair, int]) -> list[int]:
    """The loop that does not ask whether there are two tokens left."""
    ids = list(piece)
    while True:
        pair = min(itertools.pairwise(ids), key=lambda pair: ranks.get(pair, math.inf))
        if pair not in ranks:
            return ids
        ids = merge_pair(ids, pair, 256 + ranks[pair])


def _rank_of_every_pair(piece: bytes, ranks: Mapping[Pair, int]) -> list[int]:
    """The loop that looks up every pair, known or not."""
    ids = list(piece)
    while len(ids) > 1:
        pair = min(itertools.pairwise(ids), key=ranks.__getitem__)
        ids = merge_pair(ids, pair, 256 + ranks[pair])
    return ids


def _rank_as_id(piece: bytes, ranks: Mapping[Pair, int]) -> list[int]:
    """The loop that makes tokens of ranks."""
    ids = list(piece)
    while known := [pair for pair in itertools.pairwise(ids) if pair in ranks]:
        pair = min(known, key=ranks.__getitem__)
        ids = merge_pair(ids, pair, ranks[pair])
    return ids


def _least_of_nothing(args: Any, want: Any, got: Any) -> bool:
    return "ValueError" in getattr(got, "type_names", ()) and "empty" in str(got)


def _until_one_left(piece: bytes, ranks: Mapping[Pair, int]) -> list[int]:
    """The loop that takes the lowest rank without asking whether any pair is known."""
    ids = list(piece)
    while len(ids) > 1:
        pair = min(itertools.pairwise(ids), key=lambda pair: ranks.get(pair, math.inf))
        ids = merge_pair(ids, pair, 256 + ranks[pair])
    return ids


def _highest_everywhere(piece: bytes, ranks: Mapping[Pair, int]) -> list[int]:
    ids = list(piece)
    while known := [pair for pair in itertools.pairwise(ids) if pair in ranks]:
        pair = max(known, key=ranks.__getitem__)
        ids = merge_pair(ids, pair, 256 + ranks[pair])
    return ids


_HIGHEST = "The pair with the highest rank is merged first: low ranks were learned first and go first."
_ENCODE_WRONGS = (
    Wrong(
        "The left-most known pair is merged first: the one with the lowest rank goes first, wherever it "
        "stands, so look at all pairs again after each merge.",
        _by(_leftmost),
    ),
    Wrong(
        "The right-most known pair is merged first: the one with the lowest rank goes first.", _by(_rightmost)
    ),
    Wrong(_HIGHEST, _by(_highest)),
    Wrong(_HIGHEST, _highest_everywhere),
    Wrong(
        "Longest match first: that is another algorithm (WordPiece's), and the model was trained on "
        "merges by rank.",
        _longest_match,
    ),
    Wrong("Only one merge is made: repeat until no known pair is left.", _by(_lowest, most=1)),
    Wrong(
        "The ids of merged tokens are 256 too small: a pair of rank r becomes token 256 + r.",
        _by(_lowest, base=0),
    ),
    Wrong(
        "The ids of merged tokens are off by one: a pair of rank r becomes token 256 + r.",
        _by(_lowest, base=257),
    ),
    Wrong(
        "A single token has no pair to choose from, and `min` of nothing is an error: stop when one "
        "token is left.",
        _without_length,
    ),
    Wrong(
        "256 is forgotten: the rank itself became the new id. A pair of rank r becomes token 256 + r.",
        _rank_as_id,
    ),
    Wrong(
        "No known pair is left, and `min` of nothing is an error: ask first whether there is one.",
        matches=_least_of_nothing,
    ),
    Wrong(
        "When no pair is known any more, the loop goes on: leave it when the best pair is not in `ranks`.",
        _until_one_left,
    ),
    Wrong(
        "A pair that was never learned has no rank, and `ranks[pair]` is a KeyError: give it rank infinity.",
        _rank_of_every_pair,
    ),
    Wrong("The last merge is missing: two tokens are still a pair that can be merged.", _by(_lowest, left=2)),
    Wrong("No merge is made at all: these are the bytes.", lambda piece, ranks: list(piece)),
    Wrong(
        "These are the tokens' bytes: return their ids.",
        lambda piece, ranks: [
            token_table(sorted(ranks, key=ranks.__getitem__))[i] for i in bpe.encode_piece(piece, ranks)
        ],
    ),
)

_WORDS = ("banana", "bandana", "nab", "naan", "abcab", "cabc", "bca", "aaab", "cabbab", "ananas", "bnbn")


def _ranks(words: Sequence[str], num_merges: int) -> dict[Pair, int]:
    return {
        pair: rank
        for rank, pair in enumerate(train_bpe(Counter(word.encode() for word in words), num_merges))
    }


def check_encode_piece(t: Trial) -> None:
    """Exercise 1.4."""

    def draw(rng: random.Random) -> tuple[Any, ...]:
        ranks = _ranks(rng.choices(_WORDS, k=12), rng.randint(3, 25))
        return bytes(rng.choices(b"abcn", k=rng.choice((0, 1, 2, 6, 9, 13)))), ranks

    known = _ranks(_WORDS * 2, 24)
    small = {(97, 98): 0, (99, 256): 1, (98, 99): 2, (256, 257): 3}
    immediate = [
        (b"ab", small),
        (b"abab", {(97, 98): 0, (256, 256): 1}),
        (b"naccccc", _ranks(("cccc", "anab", "ncnnac", "baccc", "cbnnbb", "nnnccc", "aac"), 9)),
        (b"abc", small),
        (b"bcab", small),
        (b"abcab", small),
        (b"cabcab", known),
        (b"abcabc", known),
        (b"bananabandana", known),
        (b"xyz", small),
        (b"a", small),
        (b"", small),
        (b"nabcabnaab", known),
    ]
    diagnose_function(t, "encode_piece", t.cases(immediate, draw), bpe.encode_piece, _ENCODE_WRONGS)


def _update(
    *,
    subtract: str = "old",
    add: bool = True,
    zeros: bool = False,
    apply: str = "touched",
    count: str = "held",
) -> Any:
    """Mending counts with a defect."""

    def update(sequences: Sequences, counts: Mapping[Pair, int], pair: Pair, new_id: int) -> Any:
        updated, merged, touched = Counter(counts), [], 0
        for ids in sequences:
            new_ids = ids
            if pair in itertools.pairwise(ids):
                touched += list(itertools.pairwise(ids)).count(pair) if count == "occurrences" else 1
                new_ids = merge_pair(ids, pair, new_id)
                if subtract == "old":
                    updated.subtract(count_pairs([ids]))
                if subtract == "set":
                    updated.subtract(set(itertools.pairwise(ids)))
                if add:
                    updated.update(count_pairs([new_ids]))
            merged.append(ids if apply == "never" else new_ids)
        if subtract == "pair":
            updated.pop(pair, None)
        if count == "all":
            touched = len(sequences)
        return merged, {key: n for key, n in updated.items() if zeros or n}, touched

    return update


def _only_touched(sequences: Sequences, counts: Mapping[Pair, int], pair: Pair, new_id: int) -> Any:
    merged, _, touched = merge_and_update(sequences, counts, pair, new_id)
    held = [new for old, new in zip(sequences, merged, strict=True) if pair in itertools.pairwise(old)]
    return merged, dict(count_pairs(held)), touched


def _recounted(sequences: Sequences, counts: Mapping[Pair, int], pair: Pair, new_id: int) -> Any:
    merged, _, touched = merge_and_update(sequences, counts, pair, new_id)
    return merged, dict(count_pairs(merged)), touched


def _drops_untouched(sequences: Sequences, counts: Mapping[Pair, int], pair: Pair, new_id: int) -> Any:
    merged, new_counts, touched = merge_and_update(sequences, counts, pair, new_id)
    return (
        [new for old, new in zip(sequences, merged, strict=True) if pair in itertools.pairwise(old)],
        new_counts,
        touched,
    )


_UPDATE_WRONGS = (
    Wrong(
        "The old pairs of the sequences that changed are still counted: take them off before adding "
        "the new ones.",
        _update(subtract="none"),
    ),
    Wrong(
        "Only the merged pair is taken off: its neighbours lost a pair each as well.",
        _update(subtract="pair"),
    ),
    Wrong("The pairs that the merge made are not counted: add the new sequence's pairs.", _update(add=False)),
    Wrong(
        "Each old pair is taken off once for a sequence, though it may stand there several times.",
        _update(subtract="set"),
    ),
    Wrong("Pairs with the count 0 are left: return only pairs that occur.", _update(zeros=True)),
    Wrong("The sequences come back as they were: return the merged ones.", _update(apply="never")),
    Wrong("`touched` counts all sequences: count only those that held the pair.", _update(count="all")),
    Wrong(
        "`touched` counts occurrences of the pair: count the sequences that held it.",
        _update(count="occurrences"),
    ),
    Wrong(
        "The counts hold only the sequences that changed: begin with `counts`, the others are in it.",
        _only_touched,
    ),
    Wrong(
        "Everything is counted again: count only the sequences that held the pair, before and after, and "
        "keep what `counts` says of the others.",
        _recounted,
    ),
    Wrong(
        "Sequences without the pair are missing from the result: they stay, as they are.", _drops_untouched
    ),
    Wrong(
        "Two of three results came back: the number of sequences that held the pair is missing.",
        lambda *args: merge_and_update(*args)[:2],
    ),
)


def check_merge_and_update(t: Trial) -> None:
    """Exercise 1.15."""

    def case(
        sequences: list[list[int]], pair: Pair, new_id: int, kept: Mapping[Pair, int] | None = None
    ) -> tuple[Any, ...]:
        """kept: what `counts` says of pairs that no merge touches, where that is not their number."""
        return sequences, {**count_pairs(sequences), **(kept or {})}, pair, new_id

    def draw(rng: random.Random) -> tuple[Any, ...]:
        sequences = [
            [rng.randrange(4) for _ in range(rng.choice((0, 1, 3, 8, 11)))] for _ in range(rng.randint(3, 6))
        ]
        sequences += [[7, 8, 7, 8, 7]] * rng.randint(0, 2)
        kept = {(7, 8): rng.randint(30, 40)} if sequences[-1:] == [[7, 8, 7, 8, 7]] else None
        return case(sequences, (rng.randrange(4), rng.randrange(4)), rng.randrange(300, 400), kept)

    immediate = [
        case([[1, 2, 3, 1, 2, 4], [3, 4, 3], [2, 1, 2]], (1, 2), 9),
        case([[5, 5, 5], [5, 6]], (5, 5), 9),
        case([[1, 2], [3, 4, 3, 4], []], (1, 2), 9),
        case([[1, 2, 3]], (7, 7), 9),
        case([[1, 2, 1], [3, 4], [4, 3, 4]], (1, 2), 9, {(3, 4): 70}),
    ]
    diagnose_function(t, "merge_and_update", t.cases(immediate, draw), merge_and_update, _UPDATE_WRONGS)

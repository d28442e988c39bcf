"""Byte-pair encoding in its plainest form: five small functions, each of which is one idea.

Training looks for the pair of neighbouring tokens that occurs most often, makes it a new token, and repeats.
Encoding replays those merges on new text, in the order in which they were learned. Decoding joins bytes.

These are the definitions. They are quick enough for a page of text; `bpe_trainer` and `bpe_encoder` compute
the same for a whole corpus. Source: Sennrich, Haddow and Birch, "Neural Machine Translation of Rare Words
with Subword Units" (2016); on bytes instead of characters since GPT-2 (2019).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from cblab.tokenization.byte_alphabet import ALPHABET_ORDER

Pair = tuple[int, int]


def count_pairs(sequences: Iterable[Sequence[int]]) -> Counter[Pair]:
    """Count how often each two tokens stand side by side.

    Overlapping pairs count: `[5, 5, 5]` holds `(5, 5)` twice. Pairs across two sequences do not exist.
    """
    counts: Counter[Pair] = Counter()
    for ids in sequences:
        counts.update(pairwise(ids))
    return counts


def tie_order(pair: Pair) -> Pair:
    """Sort key among pairs that occur equally often: the smallest wins.

    The rule is that of the `tokenizers` library, which takes the pair with the smaller ids. Its ids begin
    with the bytes sorted by their printable character (see `byte_alphabet`), ours with the bytes 0..255 in
    plain order, so a byte counts as its place in *that* order here. Later tokens are numbered in the order of
    their making in both.
    """
    left, right = pair
    return (ALPHABET_ORDER[left] if left < 256 else left, ALPHABET_ORDER[right] if right < 256 else right)


def best_pair(counts: Mapping[Pair, int]) -> Pair:
    """Return the pair that occurs most often; among equals the first by `tie_order`."""
    if not counts:
        raise ValueError("there is no pair left to merge: every sequence is a single token")
    return min(counts, key=lambda pair: (-counts[pair], tie_order(pair)))


def merge_pair(ids: Sequence[int], pair: Pair, new_id: int) -> list[int]:
    """Replace every occurrence of `pair` in `ids` by `new_id`, from left to right.

    `merge_pair([5, 5, 5, 7], (5, 5), 9)` is `[9, 5, 7]`: a token that was merged is gone and cannot merge
    again.
    """
    merged: list[int] = []
    i = 0
    while i < len(ids):
        if i + 1 < len(ids) and (ids[i], ids[i + 1]) == pair:
            merged.append(new_id)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged


def train(pieces: Iterable[bytes], num_merges: int) -> list[Pair]:
    """Learn up to `num_merges` merges; merge number `rank` makes token `256 + rank`.

    Every round applies the new merge to all pieces before counting again: that is what makes longer tokens
    possible. Fewer merges come back when nothing is left to merge.
    """
    sequences = [list(piece) for piece in pieces]
    merges: list[Pair] = []
    while len(merges) < num_merges and (counts := count_pairs(sequences)):
        pair = best_pair(counts)
        sequences = [merge_pair(ids, pair, 256 + len(merges)) for ids in sequences]
        merges.append(pair)
    return merges


def encode_piece(piece: bytes, ranks: Mapping[Pair, int]) -> list[int]:
    """Encode one piece: while a known pair is left, apply the one with the lowest rank, wherever it is.

    `ranks[pair]` is the number of the merge, so the pair becomes token `256 + ranks[pair]`. The order
    matters: the merge learned first goes first, not the left-most one.
    """
    ids = list(piece)
    while len(ids) > 1:
        pair = min(pairwise(ids), key=lambda pair: ranks.get(pair, len(ranks)))
        if pair not in ranks:
            break
        ids = merge_pair(ids, pair, 256 + ranks[pair])
    return ids


def token_table(merges: Sequence[Pair]) -> list[bytes]:
    """Return the bytes of every token: the 256 bytes, then for each merge its two parts joined."""
    table = [bytes([byte]) for byte in range(256)]
    for left, right in merges:
        table.append(table[left] + table[right])
    return table


def decode(ids: Iterable[int], table: Sequence[bytes]) -> str:
    """Join the bytes of the tokens and read them as UTF-8; what is no valid UTF-8 becomes U+FFFD ("�")."""
    return b"".join(table[token_id] for token_id in ids).decode("utf-8", errors="replace")

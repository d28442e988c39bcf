from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cblab.tokenization.bpe import (
    best_pair,
    count_pairs,
    decode,
    encode_piece,
    merge_pair,
    tie_order,
    token_table,
    train,
)
from cblab.tokenization.bpe_encoder import merge_by_rank

small_bytes = st.text("abc", max_size=24).map(str.encode)


def test_pairs_overlap_and_do_not_cross_pieces() -> None:
    assert count_pairs([b"aaabdaaabac"])[ord("a"), ord("a")] == 4
    assert count_pairs([[1, 2], [1, 2], [2]]) == {(1, 2): 2}
    assert count_pairs([]) == {}


def test_merging_aa_in_aaabdaaabac_merges_both_occurrences() -> None:
    merged = merge_pair(list(b"aaabdaaabac"), (ord("a"), ord("a")), 256)
    assert merged == [256, *b"abd", 256, *b"abac"]


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([5, 5, 5, 7], [9, 5, 7]),
        ([5, 5, 5, 5], [9, 9]),
        ([5], [5]),
        ([], []),
        ([7, 5, 5], [7, 9]),
        ([5, 7, 5], [5, 7, 5]),
    ],
)
def test_merge_pair(ids: list[int], expected: list[int]) -> None:
    assert merge_pair(ids, (5, 5), 9) == expected


def test_the_most_frequent_pair_is_best_and_ties_go_to_the_first_in_the_alphabet() -> None:
    a, b, space = ord("a"), ord("b"), ord(" ")
    assert best_pair({(b, a): 3, (a, b): 2}) == (b, a)
    assert best_pair({(b, a): 2, (a, b): 2}) == (a, b)
    assert best_pair({(space, a): 2, (b, a): 2}) == (b, a)  # a space is "Ġ" (U+0120), behind the letters
    assert best_pair({(256, a): 2, (a, 256): 2, (0, 0): 2}) == (a, 256)
    assert tie_order((space, 300)) > tie_order((0xFF, 300))


def test_no_pair_left_is_an_error() -> None:
    with pytest.raises(ValueError, match="no pair left"):
        best_pair({})


def test_merges_of_aaabdaaabac() -> None:
    # aa occurs 4 times; then [aa]a and ab 2 times each, and a plain letter comes before a merged token
    merges = train([b"aaabdaaabac"], 3)
    table = token_table(merges)
    assert [table[256 + rank] for rank in range(3)] == [b"aa", b"ab", b"aaab"]
    assert encode_piece(b"aaabdaaabac", {pair: rank for rank, pair in enumerate(merges)}) == [
        258,
        100,
        258,
        97,
        99,
    ]


def test_training_stops_when_nothing_is_left_to_merge() -> None:
    assert len(train([b"ab", b"ab"], 10)) == 1
    assert train([], 10) == []


def test_the_lowest_rank_is_merged_first_not_the_left_most() -> None:
    ranks = {(ord("b"), ord("c")): 0, (ord("a"), ord("b")): 1}
    assert encode_piece(b"abc", ranks) == [ord("a"), 256]


def test_left_most_first_is_not_bpe() -> None:
    """The two orders part ways on ordinary words."""
    corpus = ["banana bandana nab naan"] * 3 + ["abcab cabc bca"]
    merges = train([word.encode() for text in corpus for word in text.split()], 44)
    ranks = {pair: rank for rank, pair in enumerate(merges)}

    def left_most_first(ids: list[int]) -> list[int]:
        for i, pair in enumerate(pairwise(ids)):
            if pair in ranks:
                return left_most_first([*ids[:i], 256 + ranks[pair], *ids[i + 2 :]])
        return ids

    table = token_table(merges)
    for word in (b"cabcab", b"bcabca", b"anaban"):
        assert decode(left_most_first(list(word)), table) == decode(encode_piece(word, ranks), table)
        assert left_most_first(list(word)) != encode_piece(word, ranks)


def test_decode_joins_bytes_and_marks_what_is_no_utf8() -> None:
    table = token_table([(0xC3, 0xA9)])
    assert decode([256, 0xC3, 0xA9], table) == "éé"
    assert decode([0xC3], table) == "\ufffd"


@given(st.lists(small_bytes, max_size=8), small_bytes, st.integers(0, 12))
def test_encoding_decodes_to_itself_and_replays_training(
    pieces: list[bytes], piece: bytes, num_merges: int
) -> None:
    merges = train(pieces, num_merges)
    ranks = {pair: rank for rank, pair in enumerate(merges)}
    table = token_table(merges)
    assert len(set(table)) == len(table)  # no two merges make the same token
    assert decode(encode_piece(piece, ranks), table) == piece.decode()
    replayed = list(piece)
    for rank, pair in enumerate(merges):
        replayed = merge_pair(replayed, pair, 256 + rank)
    assert encode_piece(piece, ranks) == replayed


@given(st.lists(small_bytes, max_size=8), small_bytes, st.integers(0, 12))
def test_the_quick_encoder_equals_the_definition(pieces: list[bytes], piece: bytes, num_merges: int) -> None:
    ranks = {pair: rank for rank, pair in enumerate(train(pieces, num_merges))}
    table = {pair: (rank, 256 + rank) for pair, rank in ranks.items()}
    assert merge_by_rank(list(piece), table) == encode_piece(piece, ranks)

"""Merging one piece by rank in O(n log n): what `bpe.encode_piece` defines, for pieces of any length.

A run of a million letters without a space is one piece. Searching all pairs again after each merge would take
time quadratic in its length, which is also a way to keep a server busy. Here the pairs wait in a heap,
ordered by rank and then from left to right, and the symbols form a linked list, so that a merge looks at its
two neighbours only.
"""

import heapq
from collections.abc import Mapping, Sequence

from cblab.tokenization.bpe import Pair

#: Pair of ids -> (rank, id of the merged token). The lowest rank goes first.
MergeTable = Mapping[Pair, tuple[int, int]]

NO_SYMBOL = -1


def merge_by_rank(ids: Sequence[int], table: MergeTable) -> list[int]:
    """Merge `ids` while two neighbours are in `table`: the lowest rank first, equals from left to right."""
    symbols = list(ids)  # a symbol that went into its left neighbour becomes NO_SYMBOL
    size = len(symbols)
    following = list(range(1, size + 1))
    previous = list(range(-1, size - 1))
    heap: list[tuple[int, int, int, int]] = []  # (rank, position, left id, right id)

    def offer(position: int) -> None:
        pair = (symbols[position], symbols[following[position]])
        if pair in table:
            heapq.heappush(heap, (table[pair][0], position, *pair))

    for position in range(size - 1):
        offer(position)
    while heap:
        _, position, left, right = heapq.heappop(heap)
        neighbour = following[position]
        if symbols[position] != left or neighbour == size or symbols[neighbour] != right:
            continue  # one of the two has merged with something else since
        symbols[position] = table[left, right][1]
        symbols[neighbour] = NO_SYMBOL
        following[position] = following[neighbour]
        if following[position] < size:
            previous[following[position]] = position
            offer(position)
        if previous[position] >= 0:
            offer(previous[position])
    return [symbol for symbol in symbols if symbol != NO_SYMBOL]

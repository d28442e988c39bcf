"""Training on a whole corpus: the merges of `bpe.train`, without looking at everything in every round.

Three things make it quick:
- each *different* piece is kept once, with how often it occurs;
- an index says in which pieces a pair occurs, so that a merge touches only those and mends only their pair
  counts;
- a heap holds the candidates. Counts of pairs already there only ever fall, so an entry whose count is out of
  date is put back with its true count when it comes up, and the first entry that is up to date is the best
  pair.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Mapping

from cblab.tokenization.bpe import Pair, count_pairs, merge_pair, tie_order


class BPETrainer:
    """The state of a training run: the pieces as token ids, the pair counts, the index and the heap."""

    def __init__(self, piece_counts: Mapping[bytes, int]) -> None:
        self.sequences = [list(piece) for piece in piece_counts]
        self.weights = list(piece_counts.values())
        self.counts: Counter[Pair] = Counter()
        self.where: defaultdict[Pair, set[int]] = defaultdict(set)
        for index in range(len(self.sequences)):
            self._count(index, +1)
        self.heap = [self._entry(pair) for pair in self.counts]
        heapq.heapify(self.heap)

    def _entry(self, pair: Pair) -> tuple[int, Pair, Pair]:
        return (-self.counts[pair], tie_order(pair), pair)

    def _count(self, index: int, sign: int) -> set[Pair]:
        """Add (or take away) the pairs of one piece, and return them."""
        pairs = count_pairs([self.sequences[index]])
        for pair, count in pairs.items():
            self.counts[pair] += sign * count * self.weights[index]
            self.where[pair].add(index)
        return set(pairs)

    def pop_best(self) -> tuple[Pair, int] | None:
        """Return the most frequent pair and its count, or None when no pair is left."""
        while self.heap:
            negative_count, _, pair = heapq.heappop(self.heap)
            count = self.counts[pair]
            if count == -negative_count:
                return pair, count
            if count:
                heapq.heappush(self.heap, self._entry(pair))
        return None

    def merge(self, pair: Pair, new_id: int) -> None:
        """Rewrite the pieces that hold `pair`; only pairs with the new token are new candidates."""
        touched: set[Pair] = set()
        for index in list(self.where[pair]):
            self._count(index, -1)
            self.sequences[index] = merge_pair(self.sequences[index], pair, new_id)
            touched |= self._count(index, +1)
        for other in touched:
            if new_id in other:
                heapq.heappush(self.heap, self._entry(other))
        del self.counts[pair], self.where[pair]


def train_bpe(piece_counts: Mapping[bytes, int], num_merges: int, min_count: int = 1) -> list[Pair]:
    """Learn up to `num_merges` merges from `{piece: how often}`; merge `rank` makes token `256 + rank`.

    The same merges as `bpe.train` on the pieces written out as often as they occur, and as the `tokenizers`
    library's `BpeTrainer`: the highest count first, ties by `bpe.tie_order`. It stops early when the best
    pair occurs fewer than `min_count` times.
    """
    trainer = BPETrainer(piece_counts)
    merges: list[Pair] = []
    while len(merges) < num_merges and (best := trainer.pop_best()) is not None:
        pair, count = best
        if count < min_count:
            break
        trainer.merge(pair, 256 + len(merges))
        merges.append(pair)
    return merges

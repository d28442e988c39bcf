"""The contiguous KV cache: what paging is measured against."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cblab.attention.spec import AttentionSpec
from cblab.core.kv_cache import SequenceKVCache


@dataclass(frozen=True)
class ContiguousStats:
    """How the rows of a `ContiguousKVCache` are used; a row holds one token.

    Attributes:
        num_rows: rows of the arena.
        num_reserved: rows that sequences have reserved.
        num_used: of them, rows that hold a token.
        largest_hole: the longest run of free rows, which is the longest sequence that still fits.
        failed_reservations: how often there was no hole that was long enough, so far.
    """

    num_rows: int
    num_reserved: int
    num_used: int
    largest_hole: int
    failed_reservations: int

    @property
    def num_free(self) -> int:
        """Rows that no sequence has reserved."""
        return self.num_rows - self.num_reserved

    @property
    def internal_fragmentation(self) -> int:
        """Rows that are reserved and hold nothing."""
        return self.num_reserved - self.num_used

    @property
    def external_fragmentation(self) -> int:
        """Free rows outside the largest hole: too scattered to serve one long sequence."""
        return self.num_free - self.largest_hole


class ContiguousSequence(SequenceKVCache):
    """One sequence's run of rows in a `ContiguousKVCache`: a cache whose keys and values are views of it."""

    def __init__(
        self, specs: Sequence[AttentionSpec], rows: range, keys: Sequence[Tensor], values: Sequence[Tensor]
    ) -> None:
        self.rows = rows
        run = slice(rows.start, rows.stop)
        super().__init__(specs, [arena[run] for arena in keys], [arena[run] for arena in values])

    def _reserve(self, layer: int, num_tokens: int) -> None:
        if num_tokens > len(self.rows):
            raise ValueError(
                f"layer {layer} would hold {num_tokens} tokens, but the sequence has reserved "
                f"{len(self.rows)} rows: reserve for its maximal length"
            )


class ContiguousKVCache:
    """One arena of rows, allocated once; each sequence reserves a run for its maximal length, by first fit.

    ```
    rows     [ a a a a - - - - | . . . | b b - - | . . . . . ]      a, b: tokens; -: reserved; .: free
    a sequence of 6 does not fit, though 8 rows are free and 6 more are reserved for nothing as yet
    ```

    Args:
        specs: what each layer's attention asks for.
        num_rows: tokens that the arena holds, in each layer.
        dtype: what is stored.
        device: where the arena is.

    Raises:
        ValueError: `num_rows` below 1.
    """

    def __init__(
        self,
        specs: Sequence[AttentionSpec],
        num_rows: int,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        if num_rows < 1:
            raise ValueError(f"num_rows must be at least 1, got {num_rows}")

        def arenas() -> list[Tensor]:
            shapes = [(num_rows, spec.num_kv_heads, spec.head_dim) for spec in specs]
            return [torch.zeros(shape, dtype=dtype, device=device) for shape in shapes]

        self.specs = tuple(specs)
        self.num_rows = num_rows
        self._keys, self._values = arenas(), arenas()
        self._sequences: list[ContiguousSequence] = []  # in the order of their rows
        self._failed_reservations = 0

    @property
    def num_bytes(self) -> int:
        """Bytes of the arena, whether its rows are used or not."""
        return sum(arena.nbytes for arena in (*self._keys, *self._values))

    def reserve(self, max_length: int) -> ContiguousSequence | None:
        """Reserve the first run of `max_length` free rows; None if no hole is that long.

        Raises:
            ValueError: `max_length` below 1, or longer than the whole arena.
        """
        if not 1 <= max_length <= self.num_rows:
            raise ValueError(f"max_length must be 1 ... {self.num_rows}, the arena's rows; got {max_length}")
        for hole in self._holes():
            if len(hole) >= max_length:
                rows = range(hole.start, hole.start + max_length)
                sequence = ContiguousSequence(self.specs, rows, self._keys, self._values)
                self._sequences.append(sequence)
                self._sequences.sort(key=lambda one: one.rows.start)
                return sequence
        self._failed_reservations += 1
        return None

    def free(self, sequence: ContiguousSequence) -> None:
        """Give a sequence's rows back; it is not to be written or read any more.

        Raises:
            ValueError: it is not, or no longer, of this cache.
        """
        if sequence not in self._sequences:
            raise ValueError(f"rows {sequence.rows} belong to no sequence of this cache: freed twice?")
        self._sequences.remove(sequence)

    def stats(self) -> ContiguousStats:
        """Count the rows."""
        return ContiguousStats(
            num_rows=self.num_rows,
            num_reserved=sum(len(one.rows) for one in self._sequences),
            num_used=sum(one.length for one in self._sequences),
            largest_hole=max(map(len, self._holes()), default=0),
            failed_reservations=self._failed_reservations,
        )

    def _holes(self) -> Iterator[range]:
        """Runs of free rows, the first first."""
        end = 0
        for sequence in self._sequences:
            if sequence.rows.start > end:
                yield range(end, sequence.rows.start)
            end = sequence.rows.stop
        if end < self.num_rows:
            yield range(end, self.num_rows)

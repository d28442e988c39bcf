"""The reference for what students of lab 1 write, where the package has no function of the same shape.

What makes tensors is in ``tensors.py``: this file is free of torch.
"""

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence

import regex

from cblab.tokenization.bpe import Pair, count_pairs, encode_piece, merge_pair, token_table
from cblab.tokenization.pretokenizer import DEFAULT_PATTERN


class ByteLevelTokenizer:
    """A byte-level BPE tokenizer: ids 0..255 are bytes, then one for each merge, then bos, eos and pad."""

    def __init__(self, merges: Sequence[Pair]) -> None:
        self.table = token_table(merges)
        self.ranks = {pair: rank for rank, pair in enumerate(merges)}
        self.special_names = {
            len(self.table) + i: name for i, name in enumerate(("<|bos|>", "<|eos|>", "<|pad|>"))
        }
        self.bos_token_id, self.eos_token_id, self.pad_token_id = self.special_names
        self.vocab_size = len(self.table) + len(self.special_names)

    def token_bytes(self, token_id: int) -> bytes:
        """Return the bytes of one token, b"" for a special one."""
        return b"" if token_id in self.special_names else self.table[token_id]

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        """Return the ids of `text`, none of it special, with bos in front unless told otherwise."""
        ids = [self.bos_token_id] if add_special_tokens else []
        for piece in regex.findall(DEFAULT_PATTERN, text):
            ids += encode_piece(piece.encode("utf-8"), self.ranks)
        return ids

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = True) -> str:
        """Return the text of `ids`; bytes that are no valid UTF-8 become U+FFFD."""
        names = {} if skip_special_tokens else self.special_names
        data = b"".join(names[i].encode() if i in names else self.token_bytes(i) for i in ids)
        return data.decode("utf-8", errors="replace")


def unfinished_tail(data: bytes) -> int:
    """Return how many bytes at the end of `data` begin a character that is not complete: 0, 1, 2 or 3."""
    for length in range(1, min(3, len(data)) + 1):
        byte = data[-length]
        if byte < 0x80:
            return 0
        if byte >= 0xC0:
            needed = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return length if length < needed else 0
    return 0


def stream_until_stop(deltas: Sequence[str], stop: str) -> list[str]:
    """Return what may be shown after each delta; the stop string is never shown, nor any beginning of it."""
    shown: list[str] = []
    held = ""
    for delta in deltas:
        held += delta
        if stop in held:
            return [*shown, held[: held.index(stop)]]
        keep = max(n for n in range(len(stop)) if held.endswith(stop[:n]))
        shown.append(held[: len(held) - keep])
        held = held[len(held) - keep :]
    return [*shown, held]


def merge_and_update(
    sequences: Sequence[list[int]], counts: Mapping[Pair, int], pair: Pair, new_id: int
) -> tuple[list[list[int]], dict[Pair, int], int]:
    """Apply one merge, and mend the counts of the pairs in the sequences that it changes.

    Return the sequences, the counts, and how many sequences were changed.
    """
    updated, merged, touched = Counter(counts), [], 0
    for ids in sequences:
        new_ids = ids
        if pair in itertools.pairwise(ids):
            touched += 1
            new_ids = merge_pair(ids, pair, new_id)
            updated.subtract(count_pairs([ids]))
            updated.update(count_pairs([new_ids]))
        merged.append(new_ids)
    return merged, {key: count for key, count in updated.items() if count}, touched


class StreamingEncoder:
    """Encode text that comes in chunks; all the ids together are those of the whole text."""

    def __init__(self, merges: Sequence[Pair]) -> None:
        self.ranks = {pair: rank for rank, pair in enumerate(merges)}
        self.held = ""

    def push(self, chunk: str) -> list[int]:
        """Take the next chunk, return the ids of all pieces but the last two."""
        pieces = regex.findall(DEFAULT_PATTERN, self.held + chunk)
        self.held = "".join(pieces[-2:])
        return self._encode(pieces[:-2])

    def flush(self) -> list[int]:
        """Return the ids of what is left."""
        pieces, self.held = regex.findall(DEFAULT_PATTERN, self.held), ""
        return self._encode(pieces)

    def _encode(self, pieces: Sequence[str]) -> list[int]:
        return [token for piece in pieces for token in encode_piece(piece.encode("utf-8"), self.ranks)]


def pack(lengths: Sequence[int], row_length: int) -> list[list[int]]:
    """Put sequences into rows, longest first, each into the first row with room for it; return indices."""
    rows: list[list[int]] = []
    free: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        row = next((row for row, room in enumerate(free) if room >= lengths[index]), len(rows))
        if row == len(rows):
            rows.append([])
            free.append(row_length)
        rows[row].append(index)
        free[row] -= lengths[index]
    return rows

"""Which id is which bytes, and which id is which special token."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from cblab.tokenization.byte_alphabet import CHAR_TO_BYTE, text_to_bytes


@dataclass(frozen=True)
class Vocabulary:
    """The ids of the ordinary tokens by their bytes, and of the special tokens by their names."""

    token_ids: Mapping[bytes, int]
    special_ids: Mapping[str, int]

    def __post_init__(self) -> None:
        missing = [byte for byte in range(256) if bytes([byte]) not in self.token_ids]
        if missing:
            raise ValueError(f"a byte-level vocabulary holds all 256 bytes; missing: {missing}")
        ids = [*self.token_ids.values(), *self.special_ids.values()]
        if len(set(ids)) != len(ids):
            raise ValueError("two tokens of the vocabulary share an id")
        for name in self.special_ids:
            # Both would have the same key in tokenizer.json, and a text could make the mark by itself.
            if set(name) <= CHAR_TO_BYTE.keys() and text_to_bytes(name) in self.token_ids:
                raise ValueError(
                    f"the special token {name!r} is also an ordinary token: give it another name"
                )

    @classmethod
    def from_merges(cls, merges: Sequence[tuple[bytes, bytes]], special_names: Iterable[str]) -> "Vocabulary":
        """Number the bytes 0..255, then each new token that a merge makes, then the special tokens."""
        token_ids = {bytes([byte]): byte for byte in range(256)}
        for left, right in merges:
            token_ids.setdefault(left + right, len(token_ids))
        return cls(token_ids, {name: len(token_ids) + i for i, name in enumerate(special_names)})

    @cached_property
    def size(self) -> int:
        """One more than the largest id: a file may leave ids unused."""
        return max([*self.token_ids.values(), *self.special_ids.values()]) + 1

    @cached_property
    def special_names(self) -> dict[int, str]:
        """The special tokens by id."""
        return {token_id: name for name, token_id in self.special_ids.items()}

    @cached_property
    def _bytes(self) -> dict[int, bytes]:
        ordinary = {token_id: data for data, token_id in self.token_ids.items()}
        return ordinary | dict.fromkeys(self.special_names, b"")

    def bytes_of(self, token_id: int) -> bytes:
        """Return the bytes of a token, `b""` for a special one; `ValueError` for an id that is no token."""
        try:
            return self._bytes[token_id]
        except KeyError:
            raise ValueError(
                f"token id {token_id} is not in the vocabulary (ids are below {self.size})"
            ) from None

    def merge_table(self, merges: Sequence[tuple[bytes, bytes]]) -> dict[tuple[int, int], tuple[int, int]]:
        """Return `{(left id, right id): (rank, merged id)}`; merging what is no token is a `ValueError`."""
        table: dict[tuple[int, int], tuple[int, int]] = {}
        for rank, (left, right) in enumerate(merges):
            for part in (left, right, left + right):
                if part not in self.token_ids:
                    raise ValueError(
                        f"merge {rank} ({left!r}, {right!r}) needs {part!r}, which is not in the vocabulary"
                    )
            table[self.token_ids[left], self.token_ids[right]] = (rank, self.token_ids[left + right])
        return table

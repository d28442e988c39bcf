"""What the engine, the trainer and the labs ask of a tokenizer, whichever it is."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable


@runtime_checkable
class Tokenizer(Protocol):
    """Text to token ids and back.

    `vocab_size` is one more than the largest id, so that it is the number of rows of an embedding table that
    holds every token. An id that the tokenizer does not have is `None`.
    """

    @property
    def vocab_size(self) -> int:
        """Number of rows an embedding table needs."""
        ...

    @property
    def bos_token_id(self) -> int | None:
        """Id that begins a sequence."""
        ...

    @property
    def eos_token_id(self) -> int | None:
        """Id that ends a sequence."""
        ...

    @property
    def pad_token_id(self) -> int | None:
        """Id that fills up a padded batch."""
        ...

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """Return the ids of `text`, with the special tokens that the tokenizer adds unless told otherwise."""
        ...

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = True) -> str:
        """Return the text of `ids`; bytes that are no valid UTF-8 become U+FFFD."""
        ...

    def token_bytes(self, token_id: int) -> bytes:
        """Return the bytes that one token adds to the text, often a fraction of a character.

        A special token adds `b""`; what is no token is a `ValueError`.
        """
        ...

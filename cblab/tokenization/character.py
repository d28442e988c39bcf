"""One token for each character: the simplest tokenizer there is, and what BPE is measured against."""

from collections.abc import Iterable, Sequence

from cblab.tokenization.special_tokens import DEFAULT_SPECIAL_TOKENS, SpecialTokenIds, SpecialTokens


class CharacterTokenizer(SpecialTokenIds):
    """Ids in the order of `characters`, then the special tokens.

    Sequences are long (no character is ever merged) and the vocabulary is closed: text with a character that
    was not there when it was made cannot be encoded. Special tokens are ids only; their names in a text are
    plain characters.
    """

    def __init__(
        self,
        characters: Iterable[str],
        special_tokens: SpecialTokens | Sequence[str] = DEFAULT_SPECIAL_TOKENS,
    ) -> None:
        if not isinstance(special_tokens, SpecialTokens):
            special_tokens = SpecialTokens.from_names(special_tokens)
        self.characters = list(characters)
        self.special_tokens = special_tokens
        if any(len(character) != 1 for character in self.characters):
            raise ValueError("characters must be single characters")
        if len(set(self.characters)) != len(self.characters):
            raise ValueError("characters must differ from each other")
        self._ids = {character: i for i, character in enumerate(self.characters)}
        self._tokens = [*self.characters, *special_tokens.names]

    @classmethod
    def train(
        cls, texts: Iterable[str], special_tokens: SpecialTokens | Sequence[str] = DEFAULT_SPECIAL_TOKENS
    ) -> "CharacterTokenizer":
        """Take every character of `texts`, sorted by code point."""
        return cls(sorted(set().union(*texts)), special_tokens)

    @property
    def vocab_size(self) -> int:
        """Number of characters and special tokens."""
        return len(self._tokens)

    def _special_id(self, name: str | None) -> int | None:
        return None if name is None else len(self.characters) + self.special_tokens.names.index(name)

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """Return one id for each character, bos in front; an unknown one is a `ValueError` that names it."""
        opening = [] if self.bos_token_id is None or not add_special_tokens else [self.bos_token_id]
        try:
            return opening + [self._ids[character] for character in text]
        except KeyError as error:
            raise ValueError(
                f"the character {error.args[0]!r} is not among the {len(self._ids)} of this tokenizer; "
                "a byte-level tokenizer knows every text"
            ) from None

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = True) -> str:
        """Return the characters of `ids`, joined; an unknown id is a `ValueError`."""
        if skip_special_tokens:
            return b"".join(map(self.token_bytes, ids)).decode()
        return "".join(self._tokens[self._check(token_id)] for token_id in ids)

    def token_bytes(self, token_id: int) -> bytes:
        """Return the character in UTF-8, `b""` for a special token."""
        return self._tokens[token_id].encode() if self._check(token_id) < len(self.characters) else b""

    def _check(self, token_id: int) -> int:
        if not 0 <= token_id < self.vocab_size:
            raise ValueError(
                f"token id {token_id} is not in the vocabulary (ids are below {self.vocab_size})"
            )
        return token_id

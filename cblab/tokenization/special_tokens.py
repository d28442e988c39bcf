"""Special tokens: marks such as "<|bos|>" that are one id each and are never made by merges.

They tell the model where a text begins and ends. **In text that a user typed they are dangerous**: a chat
message that contains "<|eos|>" or "<|system|>" would be read as the mark itself and could end the prompt or
speak with another's voice (prompt injection). So whoever builds a prompt encodes the user's part with
`split_special_tokens=True`, under which the characters are encoded like any others, and puts the marks in as
ids.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import regex

BOS, EOS, PAD = "<|bos|>", "<|eos|>", "<|pad|>"
NOTHING = r"(?!)"  # a pattern that never matches
DEFAULT_SPECIAL_TOKENS = (BOS, EOS, PAD)


@dataclass(frozen=True)
class SpecialTokens:
    """The special tokens in the order of their ids, and which of them begins, ends and pads a sequence."""

    names: tuple[str, ...] = DEFAULT_SPECIAL_TOKENS
    bos: str | None = BOS
    eos: str | None = EOS
    pad: str | None = PAD

    def __post_init__(self) -> None:
        if "" in self.names:
            raise ValueError("a special token cannot be the empty string")
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"special tokens must differ from each other, got {self.names}")
        for role, name in (("bos", self.bos), ("eos", self.eos), ("pad", self.pad)):
            if name is not None and name not in self.names:
                raise ValueError(f"{role} token {name!r} is not one of the special tokens {self.names}")

    @classmethod
    def from_names(cls, names: Sequence[str]) -> "SpecialTokens":
        """Take the roles from the names, where they are there: "<|bos|>", "<|eos|>" and "<|pad|>"."""
        if isinstance(names, str):
            raise ValueError(f"special tokens must be a sequence of strings, got the string {names!r}")
        roles = [name if name in names else None for name in DEFAULT_SPECIAL_TOKENS]
        return cls(tuple(names), *roles)


class SpecialTokenIds(ABC):
    """The three ids that the `Tokenizer` protocol asks for, for a tokenizer with `special_tokens`."""

    special_tokens: SpecialTokens

    @property
    def bos_token_id(self) -> int | None:
        """Id of the token that begins a sequence, if there is one."""
        return self._special_id(self.special_tokens.bos)

    @property
    def eos_token_id(self) -> int | None:
        """Id of the token that ends a sequence, if there is one."""
        return self._special_id(self.special_tokens.eos)

    @property
    def pad_token_id(self) -> int | None:
        """Id of the token that pads a batch, if there is one."""
        return self._special_id(self.special_tokens.pad)

    @abstractmethod
    def _special_id(self, name: str | None) -> int | None:
        """The id of a special token; None for None."""


class SpecialTokenSplitter:
    """Find special tokens in text, left to right; where several begin at one place, the longest wins."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = frozenset(names)
        longest_first = sorted(self.names, key=len, reverse=True)
        self._pattern = regex.compile("|".join(map(regex.escape, longest_first)) or NOTHING)

    def search(self, text: str, start: int = 0) -> regex.Match[str] | None:
        """Return the first special token at or behind `start`."""
        return self._pattern.search(text, start)

    def split(self, text: str) -> Iterator[tuple[str, bool]]:
        """Yield `(part, is_special)`; the parts joined are the text, and no part is empty."""
        end = 0
        for match in self._pattern.finditer(text):
            if match.start() > end:
                yield text[end : match.start()], False
            yield match.group(), True
            end = match.end()
        if end < len(text):
            yield text[end:], False


class SpecialTokenStream:
    """The same split for text that arrives in chunks: what may be the beginning of a special token waits."""

    def __init__(self, names: Iterable[str]) -> None:
        self._splitter = SpecialTokenSplitter(names)
        self._beginnings = {name[:size] for name in self._splitter.names for size in range(1, len(name))}
        self._longest = max(map(len, self._beginnings), default=0)
        self._held = ""

    def push(self, text: str) -> list[tuple[str, bool]]:
        """Take the next chunk; return the `(part, is_special)` that are settled."""
        text = self._held + text
        parts: list[tuple[str, bool]] = []
        end = 0
        while True:
            match = self._splitter.search(text, end)
            open_from = self._first_beginning(text, end)
            stop = open_from if match is None else min(match.start(), open_from)
            if stop > end:
                parts.append((text[end:stop], False))
            if match is None or match.start() >= open_from:
                self._held = text[stop:]
                return parts
            parts.append((match.group(), True))
            end = match.end()

    def flush(self) -> list[tuple[str, bool]]:
        """Return what was held back, split as it stands."""
        text, self._held = self._held, ""
        return list(self._splitter.split(text))

    def _first_beginning(self, text: str, start: int) -> int:
        """Return where an unfinished special token begins that reaches the end of `text`, else that end."""
        candidates = range(max(start, len(text) - self._longest), len(text))
        return next((i for i in candidates if text[i:] in self._beginnings), len(text))

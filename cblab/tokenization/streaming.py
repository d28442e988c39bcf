"""From text to tokens while the text is still arriving.

Encoding each chunk by itself gives other ids than encoding the whole, because a word, and so a token, can go
across the border of two chunks: "stream" + "ing". What may be encoded early is the text up to a place where
the pre-tokenizer is bound to cut, whatever follows. With the patterns that we know, these places are:

- behind a letter, before anything but a letter ("word|.", "word| next"); the same for digits;
- behind anything but white space, before white space other than line feeds ("!?| next").

No piece of those patterns holds two such characters side by side, so there is always a cut between them. And
the cuts before it stay as they are when more text comes. Only two parts of the patterns look at what is
behind a piece. `\\s+(?!\\S)` leaves the last blank of a run to the next word; but no run of blanks ends at
such a place. `'(?:…|ve|re)` waits for up to two letters behind an apostrophe, all of them before the place or
none. What comes after the last such place, mostly one word, is held back.
"""

import regex

from cblab.tokenization.bpe_tokenizer import BPETokenizer
from cblab.tokenization.pretokenizer import DEFAULT_PATTERN, GPT2_PATTERN, LLAMA3_PATTERN
from cblab.tokenization.special_tokens import SpecialTokenStream

#: The patterns for which the reasoning above holds.
STREAMABLE_PATTERNS = frozenset({DEFAULT_PATTERN, GPT2_PATTERN, LLAMA3_PATTERN})

# (?r) searches from the end, so that the first place found is the last one in the text.
_LAST_SAFE_PLACE = regex.compile(r"(?r)(?<=\p{L})(?=\P{L})|(?<=\p{N})(?=\P{N})|(?<=\S)(?=[^\S\r\n])")


class StreamingEncoder:
    """Encode text that arrives in chunks: `push` returns the ids that are settled, `flush` the rest.

    All that comes back, joined, is `tokenizer.encode` of all the text, however it was cut into chunks. What
    is held back is the text behind the last safe place: a word or a run of punctuation, and the beginning of
    what may become a special token. The time is linear in the text.
    """

    def __init__(
        self, tokenizer: BPETokenizer, *, add_special_tokens: bool = True, split_special_tokens: bool = False
    ) -> None:
        if tokenizer.pattern not in STREAMABLE_PATTERNS:
            raise ValueError(
                f"no safe places to cut are known for the pre-tokenizer pattern {tokenizer.pattern!r}"
            )
        self.tokenizer = tokenizer
        self.add_special_tokens = add_special_tokens
        self._names = () if split_special_tokens else tokenizer.special_tokens.names
        self._start_over()

    def _start_over(self) -> None:
        self._opening = list(self.tokenizer.prefix_ids) if self.add_special_tokens else []
        self._specials = SpecialTokenStream(self._names)
        self._held: list[str] = []

    def push(self, text: str) -> list[int]:
        """Take the next chunk; return the ids that no later text can change."""
        ids, self._opening = self._opening, []
        for part, is_special in self._specials.push(text):
            ids += self._end_of_text(part) if is_special else self._settled(part)
        return ids

    def flush(self) -> list[int]:
        """Return the ids of what was held back, and start over with a new text."""
        ids = self._opening
        for part, is_special in self._specials.flush():
            ids += self._end_of_text(part) if is_special else self._settled(part)
        ids += self._encode(self._held)
        self._start_over()
        return ids

    def _encode(self, parts: list[str]) -> list[int]:
        return self.tokenizer.encode("".join(parts), add_special_tokens=False, split_special_tokens=True)

    def _settled(self, text: str) -> list[int]:
        """Hold `text` back; return the ids up to the last safe place, which can only be in the new text."""
        before = self._held[-1][-1:] if self._held else ""
        place = _LAST_SAFE_PLACE.search(before + text)
        if place is None:
            self._held.append(text)
            return []
        cut = place.start() - len(before)
        ids = self._encode([*self._held, text[:cut]])
        self._held = [text[cut:]]
        return ids

    def _end_of_text(self, special: str) -> list[int]:
        """Encode what is held, which ends here, and the special token behind it."""
        ids = [*self._encode(self._held), self.tokenizer.vocabulary.special_ids[special]]
        self._held = []
        return ids

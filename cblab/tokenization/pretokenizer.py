"""Cutting text into pieces before any merge: no token ever crosses the border of a piece.

The pieces are words with the space in front of them, numbers, runs of punctuation and runs of white space.
They keep every character, so that joining them gives the text back, and they make the work small: a corpus
has few *different* pieces, and each has to be merged only once.

Which characters are letters is a question for the Unicode tables of the library at hand. Two libraries agree
about every character that both know; about one that was added to Unicode in between, the newer says "letter"
and the older does not, and they cut differently. No text is lost by that, and no text that was written before
the older library is concerned.
"""

from collections.abc import Iterator

import regex

#: GPT-2's pattern: contractions, words, numbers, everything else, white space.
GPT2_PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"

#: The same with one digit a piece, so that sums are learned digit by digit. What cblab trains with.
DEFAULT_PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"

#: Llama 3's pattern: contractions in any case, up to three digits, line feeds with punctuation before them.
LLAMA3_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def compile_pattern(pattern: str) -> regex.Pattern[str]:
    """Compile a pre-tokenizer pattern; a pattern that does not compile is a `ValueError` that shows it."""
    try:
        return regex.compile(pattern)
    except regex.error as error:
        raise ValueError(f"pre-tokenizer pattern {pattern!r} does not compile: {error}") from error


def split_pieces(text: str, pattern: regex.Pattern[str]) -> Iterator[str]:
    """Yield the pieces of `text` in order; together they are the whole text.

    What the pattern leaves unmatched becomes a piece too, so that nothing is ever lost.
    """
    end = 0
    for match in pattern.finditer(text):
        start, stop = match.span()
        if start > end:
            yield text[end:start]
        if stop > start:
            yield text[start:stop]
        end = stop
    if end < len(text):
        yield text[end:]

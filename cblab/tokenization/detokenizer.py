"""From tokens to text while they are being generated.

A token is a string of bytes and may end in the middle of a character: "é" is two bytes, an emoji four.
Decoding all tokens again for each new one shows such a half as U+FFFD ("�"), and takes time quadratic in
their number. Here the bytes of an unfinished character wait for the rest, and every byte is looked at once.
"""

import codecs

from cblab.tokenization.protocol import Tokenizer


class IncrementalDetokenizer:
    """Turn ids into text one by one: `push` returns what can be shown by now, `flush` the rest.

    All that comes back, joined, is `tokenizer.decode` of all the ids. U+FFFD appears only for bytes that can
    never become a character, or at `flush` for a character that was never finished. Special tokens add
    nothing.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, token_id: int) -> str:
        """Take one more token; return the text that it completes, `""` if it ends inside a character."""
        return self._utf8.decode(self.tokenizer.token_bytes(token_id))

    def flush(self) -> str:
        """Return what was held back, an unfinished character as U+FFFD, and start over."""
        return self._utf8.decode(b"", final=True)

"""Checks of exercise 1.16: text that streams into a tokenizer."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import regex

from cblab.lab.compare import shown
from cblab.lab.labs.diagnose import Args, Wrong, diagnose
from cblab.lab.labs.tokenization.encoding import WORDS, learned_merges
from cblab.lab.labs.tokenization.reference import StreamingEncoder
from cblab.lab.trial import Trial
from cblab.tokenization.bpe import Pair
from cblab.tokenization.pretokenizer import DEFAULT_PATTERN


def _feed(encoder: Any, chunks: Sequence[str]) -> tuple[list[list[int]], list[int], list[int]]:
    """Push all the chunks, flush, and flush once more."""
    return [encoder.push(chunk) for chunk in chunks], encoder.flush(), encoder.flush()


class _Held(StreamingEncoder):
    """A streaming encoder with a defect: how many pieces are held, and what becomes of them."""

    def __init__(
        self, merges: Sequence[Pair], hold: int, *, keep: bool = True, clear: bool = True, flush: bool = True
    ) -> None:
        super().__init__(merges)
        self.hold, self.keep, self.clear, self.flushes = hold, keep, clear, flush

    def push(self, chunk: str) -> list[int]:
        pieces = regex.findall(DEFAULT_PATTERN, self.held + chunk)
        cut = max(0, len(pieces) - self.hold)
        self.held = "".join(pieces[cut:]) if self.keep else ""
        return self._encode(pieces[:cut])

    def flush(self) -> list[int]:
        pieces = regex.findall(DEFAULT_PATTERN, self.held)
        if self.clear:
            self.held = ""
        return self._encode(pieces) if self.flushes else []


class _NeverCut(_Held):
    def push(self, chunk: str) -> list[int]:
        self.held += chunk
        return self._encode(regex.findall(DEFAULT_PATTERN, self.held)[:-2])


class _OnlyChunk(_Held):
    def push(self, chunk: str) -> list[int]:
        pieces = regex.findall(DEFAULT_PATTERN, chunk)
        self.held += "".join(pieces[-2:])
        return self._encode(pieces[:-2])


class _WholeBuffer(_Held):
    """The held text is encoded in one go when it is flushed."""

    def flush(self) -> list[int]:
        held, self.held = self.held, ""
        return self._encode([held]) if held else []


class _HoldsText(_Held):
    """Everything up to the last space is final: breaks runs of white space and contractions."""

    def push(self, chunk: str) -> list[int]:
        self.held += chunk
        cut = self.held.rfind(" ") + 1
        done, self.held = self.held[:cut], self.held[cut:]
        return self._encode(regex.findall(DEFAULT_PATTERN, done))


class _StripsChunk(_Held):
    def push(self, chunk: str) -> list[int]:
        return super().push(chunk.strip())


def _streamed(make: Callable[[Sequence[Pair]], Any]) -> Callable[..., Any]:
    return lambda merges, chunks: _feed(make(merges), chunks)


_STREAM_WRONGS = (
    Wrong(
        "Every chunk is encoded on its own: a word that crosses a chunk border becomes other tokens.",
        _streamed(lambda merges: _Held(merges, 0)),
    ),
    Wrong(
        'Only the last piece is held back: with "\'l" + "l" the last but one changes too.',
        _streamed(lambda merges: _Held(merges, 1)),
    ),
    Wrong(
        "Three pieces are held back: all but the last two are final.",
        _streamed(lambda merges: _Held(merges, 3)),
    ),
    Wrong(
        "Nothing is given out before the end: give the pieces that are final.",
        _streamed(lambda merges: _Held(merges, 10**9)),
    ),
    Wrong(
        "The last two pieces of each chunk are lost: keep their text in `self.held`.",
        _streamed(lambda merges: _Held(merges, 2, keep=False)),
    ),
    Wrong(
        "Pieces that were given out stay in `self.held` and come again.",
        _streamed(lambda merges: _NeverCut(merges, 2)),
    ),
    Wrong(
        "The new chunk is cut without the text that was held: put `self.held` in front of it first.",
        _streamed(lambda merges: _OnlyChunk(merges, 2)),
    ),
    Wrong(
        "`flush` gives nothing: what was held back is lost.",
        _streamed(lambda merges: _Held(merges, 2, flush=False)),
    ),
    Wrong(
        "`flush` does not empty `self.held`: a second flush gives the ids again.",
        _streamed(lambda merges: _Held(merges, 2, clear=False)),
    ),
    Wrong(
        "`flush` encodes the held text in one go: it may still be two pieces.",
        _streamed(lambda merges: _WholeBuffer(merges, 2)),
    ),
    Wrong(
        "The text is cut at its last space: a space belongs to the word after it, and runs of spaces "
        "are pieces.",
        _streamed(lambda merges: _HoldsText(merges, 2)),
    ),
    Wrong(
        "The chunks are stripped: their white space is part of the text.",
        _streamed(lambda merges: _StripsChunk(merges, 2)),
    ),
)


def _spelled(args: Args) -> str:
    """How a student types what `_feed` does."""
    pushes = f"[e.push(chunk) for chunk in {shown(args[1], 70)}]"
    return f"e = StreamingEncoder(merges); {pushes}, e.flush(), e.flush()"


def check_streaming_encoder(t: Trial) -> None:
    """Exercise 1.16."""
    merges = learned_merges(60)

    def call(merges: list[Pair], chunks: list[str]) -> Any:
        encoder = t.executor.new("StreamingEncoder", merges)
        pushed = [t.executor.method(encoder, "push", chunk) for chunk in chunks]
        return pushed, t.executor.method(encoder, "flush"), t.executor.method(encoder, "flush")

    def draw(rng: random.Random) -> tuple[Any, ...]:
        text = "".join(rng.choice(WORDS) for _ in range(rng.randint(3, 16)))
        cuts = sorted(rng.choices(range(len(text) + 1), k=rng.randint(0, 6)))
        return merges, [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]

    immediate = [
        (merges, ["the c", "at's mat", " the"]),
        (merges, ["I'l", "l say it's. "]),
        (merges, ["a ", " ", " the cat. the"]),
        (merges, ["Once upon a time there was"]),
        (merges, []),
        (merges, ["12", "0 mat."]),
        (merges, ["the mat. ", ""]),
    ]
    diagnose(
        t,
        call,
        t.cases(immediate, draw, 12),
        lambda merges, chunks: _feed(StreamingEncoder(merges), chunks),
        _STREAM_WRONGS,
        spell=_spelled,
    )

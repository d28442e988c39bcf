"""Checks of exercises 1.5, 1.6, 1.9 and 1.16: a whole tokenizer, and text that streams out and in."""

import random
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import regex

from cblab.lab.labs.diagnose import Wrong, diagnose, diagnose_function
from cblab.lab.labs.tokenization.reference import (
    ByteLevelTokenizer,
    StreamingEncoder,
    stream_until_stop,
    unfinished_tail,
)
from cblab.lab.trial import Trial
from cblab.tokenization.bpe import Pair, encode_piece
from cblab.tokenization.bpe_trainer import train_bpe
from cblab.tokenization.pretokenizer import DEFAULT_PATTERN

_LINES = (
    "The cat's hat, the cat's mat.",
    "  two  spaces here",
    "naïve café costs 12 € or 120 €",
    "I'll say it's don't, we've",
    "猫在石头上睡觉",
    "नमस्ते दुनिया",
    "a\n\nb\tc ",
    "Once upon a time there was a cat.",
    "👋🏽 hello 👩‍👩‍👧",
    "x² ﬁne Ⅳ",
)
_WORDS = (
    "the",
    " cat",
    " Cat",
    "'s",
    "'ll",
    " 12",
    "120",
    "  ",
    "\n\n",
    " naïve",
    "é",
    "猫",
    "👋🏽",
    " €",
    ".",
    ", ",
    "'",
    "l",
    " don't",
    "²",
)


def _merges(num_merges: int) -> list[Pair]:
    """Merges learned from the lines, and three across the borders of pieces, which no piece may use."""
    counts = Counter(piece.encode() for line in _LINES for piece in regex.findall(DEFAULT_PATTERN, line))
    learned = train_bpe(counts, num_merges)
    return [
        *learned,
        *(pair for pair in ((49, 50), (46, 32), (44, 32), (101, 32), (115, 32)) if pair not in learned),
    ]


def _encoder(
    cut: Callable[[str], Sequence[str]],
    *,
    bos: str = "option",
    eos: bool = False,
    to_bytes: Callable[[str], bytes] = str.encode,
    merge: bool = True,
) -> Callable[..., Any]:
    """Encoding of a whole text with a defect."""

    def encode(merges: list[Pair], text: str, add_special_tokens: bool = True) -> list[int]:
        one = ByteLevelTokenizer(merges)
        ids = [one.bos_token_id] if bos == "always" or (bos == "option" and add_special_tokens) else []
        for piece in cut(text):
            ids += encode_piece(to_bytes(piece), one.ranks) if merge else list(to_bytes(piece))
        return [*ids, one.eos_token_id] if eos else ids

    return encode


def _pieces(text: str) -> list[str]:
    found: list[str] = regex.findall(DEFAULT_PATTERN, text)
    return found


def _special_found(merges: list[Pair], text: str, add_special_tokens: bool = True) -> list[int]:
    one = ByteLevelTokenizer(merges)
    ids = [one.bos_token_id] if add_special_tokens else []
    by_name = {name: token for token, name in one.special_names.items()}
    for part in regex.split(r"(<\|bos\|>|<\|eos\|>|<\|pad\|>)", text):
        ids += [by_name[part]] if part in by_name else one.encode(part, False)
    return ids


def _piece_lists(merges: list[Pair], text: str, add_special_tokens: bool = True) -> list[Any]:
    one = ByteLevelTokenizer(merges)
    start: list[Any] = [one.bos_token_id] if add_special_tokens else []
    return [*start, *(encode_piece(piece.encode(), one.ranks) for piece in _pieces(text))]


_TEXT_ENCODE_WRONGS = (
    Wrong(
        "The spaces are lost: `split()` throws them away. Cut with `regex.findall(DEFAULT_PATTERN, text)`.",
        _encoder(str.split),
    ),
    Wrong(
        r"The spaces are lost: the pattern `\w+|[^\w\s]` matches none. Cut with DEFAULT_PATTERN.",
        _encoder(lambda text: regex.findall(r"\w+|[^\w\s]", text)),
    ),
    Wrong(
        "bos is missing: it goes in front when `add_special_tokens` is True.", _encoder(_pieces, bos="never")
    ),
    Wrong("bos is there although `add_special_tokens` is False.", _encoder(_pieces, bos="always")),
    Wrong(
        "eos stands at the end: `encode` never adds it, because the text is there to be continued.",
        _encoder(_pieces, eos=True),
    ),
    Wrong(
        "The text is encoded in one go, so that tokens cross the borders of pieces: encode each piece "
        "on its own.",
        _encoder(lambda text: [text]),
    ),
    Wrong(
        'Characters are written in one byte each (Latin-1): use UTF-8, `piece.encode("utf-8")`.',
        _encoder(_pieces, to_bytes=lambda piece: piece.encode("latin-1", "replace")),
    ),
    Wrong(
        "The text was put into lower case first: a byte-level tokenizer changes nothing.",
        _encoder(lambda text: _pieces(text.lower())),
    ),
    Wrong(
        "The text was normalised first (x² is not x2): a byte-level tokenizer changes nothing.",
        _encoder(lambda text: _pieces(unicodedata.normalize("NFKC", text))),
    ),
    Wrong(
        "White space at the ends was stripped: it is part of the text.",
        _encoder(lambda text: _pieces(text.strip())),
    ),
    Wrong(
        "No merge is used: encode each piece with `encode_piece` and `self.ranks`.",
        _encoder(_pieces, merge=False),
    ),
    Wrong(
        "A special token was recognised inside the text: what a user types is plain characters.",
        _special_found,
    ),
    Wrong(
        "A list of lists came back: put the ids of all pieces into one list (`+=` or `extend`).", _piece_lists
    ),
)


def _drawn_text(rng: random.Random) -> str:
    return "".join(rng.choice(_WORDS) for _ in range(rng.choice((0, 1, 3, 8, 14))))


def check_encode_text(t: Trial) -> None:
    """Exercise 1.5, encode."""
    merges = _merges(60)
    tokenizer = t.new("ByteLevelTokenizer", merges)

    def call(_: list[Pair], *args: Any) -> Any:
        return t.executor.method(tokenizer, "encode", *args)

    def draw(rng: random.Random) -> tuple[Any, ...]:
        return merges, _drawn_text(rng), rng.random() < 0.7

    immediate = [
        (merges, "the cat's mat. The", True),
        (merges, "the cat", False),
        (merges, "  two  spaces 12 ", True),
        (merges, "naïve café ²", True),
        (merges, "猫 👋🏽 €", False),
        (merges, "", True),
        (merges, "a<|eos|>b", True),
    ]
    diagnose(
        t,
        call,
        t.cases(immediate, draw),
        lambda _, *args: ByteLevelTokenizer(merges).encode(*args),
        _TEXT_ENCODE_WRONGS,
        name="tokenizer.encode",
    )


def _decoder(
    *, errors: str = "replace", codec: str = "utf-8", join: bytes = b"", specials: str = "option"
) -> Callable[..., Any]:
    """Decoding with a defect."""

    def decode(merges: list[Pair], ids: list[int], skip_special_tokens: bool = True) -> str:
        one = ByteLevelTokenizer(merges)
        hide = {
            "option": skip_special_tokens,
            "always": False,
            "never": True,
            "opposite": not skip_special_tokens,
        }[specials]
        parts = [
            one.special_names[i].encode() if i in one.special_names else one.table[i]
            for i in ids
            if not (hide and i in one.special_names)
        ]
        return join.join(parts).decode(codec, errors=errors)

    return decode


def _one_by_one(errors: str) -> Callable[..., Any]:
    def decode(merges: list[Pair], ids: list[int], skip_special_tokens: bool = True) -> str:
        one = ByteLevelTokenizer(merges)
        names = {} if skip_special_tokens else one.special_names
        return "".join(names.get(i) or one.token_bytes(i).decode("utf-8", errors=errors) for i in ids)

    return decode


def _no_specials(merges: list[Pair], ids: list[int], skip_special_tokens: bool = True) -> str:
    return b"".join(ByteLevelTokenizer(merges).table[i] for i in ids).decode("utf-8", errors="replace")


def _skips_bos_only(merges: list[Pair], ids: list[int], skip_special_tokens: bool = True) -> str:
    one = ByteLevelTokenizer(merges)
    return one.decode([i for i in ids if not (skip_special_tokens and i == one.bos_token_id)], False)


def _undecoded(merges: list[Pair], ids: list[int], skip_special_tokens: bool = True) -> bytes:
    one = ByteLevelTokenizer(merges)
    return b"".join(
        one.special_names[i].encode()
        if i in one.special_names and not skip_special_tokens
        else one.token_bytes(i)
        for i in ids
    )


_TEXT_DECODE_WRONGS = (
    Wrong(
        "Each token is decoded on its own, so a character in two tokens becomes �: join the bytes "
        "first, decode once.",
        _one_by_one("replace"),
    ),
    Wrong(
        "Each token is decoded on its own and half characters are dropped: join the bytes first, "
        "decode once.",
        _one_by_one("ignore"),
    ),
    Wrong(
        'Invalid bytes disappear: use errors="replace", so that a reader sees that something was there.',
        _decoder(errors="ignore"),
    ),
    Wrong(
        'Invalid bytes raise a UnicodeDecodeError: a model may produce any bytes. Use errors="replace".',
        _decoder(errors="strict"),
    ),
    Wrong("The tokens are joined with spaces: a token brings its space along.", _decoder(join=b" ")),
    Wrong("Special tokens are written although `skip_special_tokens` is True.", _decoder(specials="always")),
    Wrong(
        "Special tokens are left out although `skip_special_tokens` is False: write their names.",
        _decoder(specials="never"),
    ),
    Wrong("`skip_special_tokens` works the wrong way round.", _decoder(specials="opposite")),
    Wrong("Only bos is skipped: eos and pad are special too (`self.special_names`).", _skips_bos_only),
    Wrong(
        "A special token is looked up in `self.table`, which does not hold it: it is in "
        "`self.special_names`.",
        _no_specials,
    ),
    Wrong(
        "The bytes are read as Latin-1, one character each: decode them as UTF-8.", _decoder(codec="latin-1")
    ),
    Wrong("Bytes came back: decode them to text.", _undecoded),
)


def check_decode_text(t: Trial) -> None:
    """Exercise 1.5, decode."""
    merges = _merges(60)
    one = ByteLevelTokenizer(merges)
    tokenizer = t.new("ByteLevelTokenizer", merges)
    bos, eos, pad = one.special_names

    def call(_: list[Pair], *args: Any) -> Any:
        return t.executor.method(tokenizer, "decode", *args)

    def draw(rng: random.Random) -> tuple[Any, ...]:
        ids = one.encode(_drawn_text(rng), False)
        ids = ids[: rng.randint(0, len(ids))] if rng.random() < 0.3 else ids
        for special in rng.sample((bos, eos, pad), rng.randint(0, 2)):
            ids.insert(rng.randint(0, len(ids)), special)
        return merges, ids, rng.random() < 0.6

    immediate = [
        (merges, one.encode("the cat's mat", False), True),
        (merges, one.encode("中 नि 🙂", False), True),
        (merges, [0xE4, 0xB8, 97], True),
        (merges, [bos, 97, eos, pad], True),
        (merges, [bos, 98, eos], False),
        (merges, [], True),
    ]
    diagnose(
        t,
        call,
        t.cases(immediate, draw),
        lambda _, *args: one.decode(*args),
        _TEXT_DECODE_WRONGS,
        name="tokenizer.decode",
    )


def _lead_length(byte: int, three: int = 3) -> int:
    return 2 if byte < 0xE0 else three if byte < 0xF0 else 4


def _tail(
    answer: Callable[[int, int], int],
    *,
    reach: int = 3,
    three: int = 3,
    stray: Callable[[int], int] = lambda n: 0,
) -> Callable[[bytes], int]:
    """The unfinished tail with a defect: `answer(length, needed)` for the last lead byte found."""

    def tail(data: bytes) -> int:
        for length in range(1, min(reach, len(data)) + 1):
            byte = data[-length]
            if byte < 0x80:
                return stray(length - 1)
            if byte >= 0xC0:
                return answer(length, _lead_length(byte, three))
        return stray(min(reach, len(data)))

    return tail


def _unfinished(length: int, needed: int) -> int:
    return length if length < needed else 0


def _trailing(data: bytes, low: int, high: int) -> int:
    count = 0
    while count < len(data) and low <= data[-count - 1] < high:
        count += 1
    return count


def _all_if_undecodable(data: bytes) -> int:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return len(data)
    return 0


def _fails_on_empty(data: bytes) -> int:
    data[-1]
    return unfinished_tail(data)


_TAIL_WRONGS = (
    Wrong("Nothing is ever held back: the first bytes of a character would be shown as �.", lambda data: 0),
    Wrong(
        "This is how many bytes are still missing: what is asked for is how many are there.",
        _tail(lambda length, needed: max(0, needed - length)),
    ),
    Wrong(
        "A complete character is held back as well: when all its bytes are there, the answer is 0.",
        _tail(lambda length, needed: length if length <= needed else 0),
    ),
    Wrong(
        "Only continuation bytes are counted: the first byte of the unfinished character belongs to it.",
        _tail(lambda length, needed: length - 1 if length < needed else 0),
    ),
    Wrong(
        "Only the very last byte is looked at: the first byte of the character may stand two or three "
        "back (0xE0 begins 3 bytes).",
        _tail(_unfinished, reach=1),
    ),
    Wrong(
        "Only the last two bytes are looked at: three bytes of an emoji may be waiting for the fourth "
        "(0xF0 begins 4 bytes).",
        _tail(_unfinished, reach=2),
    ),
    Wrong(
        "Characters of 3 bytes are taken for 4: a complete € would be held back.", _tail(_unfinished, three=4)
    ),
    Wrong(
        "Everything is held back when the end is not decodable: hold back only the unfinished "
        "character, 3 bytes at most.",
        _all_if_undecodable,
    ),
    Wrong(
        "All bytes above 0x7F at the end are counted: complete characters are among them.",
        lambda data: _trailing(data, 0x80, 0x100),
    ),
    Wrong(
        "Continuation bytes without a first byte are held back: nothing that comes can complete them.",
        _tail(_unfinished, stray=lambda n: n),
    ),
    Wrong('An empty buffer has no last byte: the answer for b"" is 0.', _fails_on_empty),
    Wrong("True or False came back: return how many bytes.", lambda data: bool(unfinished_tail(data))),
)


def check_unfinished_tail(t: Trial) -> None:
    """Exercise 1.6."""

    def draw(rng: random.Random) -> tuple[Any, ...]:
        data = "".join(rng.choices("aé€猫👋नß ", k=rng.randint(0, 5))).encode()
        return (
            data[: rng.randint(0, len(data))] if rng.random() < 0.85 else rng.randbytes(rng.randint(1, 6)),
        )

    immediate = [
        (b"a",),
        (b"\xe2\x82",),
        ("€".encode(),),
        ("👋".encode()[:3],),
        ("👋".encode()[:1],),
        ("a👋".encode(),),
        ("ab猫".encode()[:3],),
        ("éé".encode()[:3],),
        ("ééé".encode(),),
        (b"\x82\xac",),
        (b"a\x82\xac\x82\xac",),
        (b"",),
        ("猫猫猫".encode()[:8],),
    ]
    diagnose_function(t, "unfinished_tail", t.cases(immediate, draw, 40), unfinished_tail, _TAIL_WRONGS)


def _in_delta_only(deltas: Sequence[str], stop: str) -> list[str]:
    shown: list[str] = []
    for delta in deltas:
        if stop in delta:
            return [*shown, delta[: delta.index(stop)]]
        shown.append(delta)
    return shown


def _stream(
    *,
    keep: Callable[[str, str], int],
    flush: bool = True,
    end: Callable[[str, str], str] = lambda held, stop: held[: held.index(stop)],
    go_on: bool = False,
) -> Callable[..., Any]:
    """Streaming until a stop string with a defect."""

    def stream(deltas: Sequence[str], stop: str) -> list[str]:
        shown: list[str] = []
        held = ""
        for delta in deltas:
            held += delta
            if stop in held:
                shown.append(end(held, stop))
                if not go_on:
                    return shown
                held = held[held.index(stop) + len(stop) :]
                continue
            held_back = keep(held, stop)
            shown.append(held[: len(held) - held_back])
            held = held[len(held) - held_back :]
        return [*shown, held] if flush else shown

    return stream


def _right_keep(held: str, stop: str) -> int:
    return max(n for n in range(len(stop)) if held.endswith(stop[:n]))


def _no_hold(deltas: Sequence[str], stop: str) -> list[str]:
    """Search in the whole text, but show every delta at once."""
    shown: list[str] = []
    text = ""
    for delta in deltas:
        before, text = len(text), text + delta
        if stop in text:
            return [*shown, text[before : max(before, text.index(stop))]]
        shown.append(delta)
    return [*shown, ""]


def _at_the_end(deltas: Sequence[str], stop: str) -> list[str]:
    return ["".join(deltas).split(stop)[0]]


_STOP_WRONGS = (
    Wrong(
        "The stop string is looked for in each delta alone, so it is missed when it comes in two: "
        "search the text so far.",
        _in_delta_only,
    ),
    Wrong(
        "The stop string is found, but its first half was already shown: hold back what may become the "
        "stop string.",
        _no_hold,
    ),
    Wrong(
        "What was held back is lost when the deltas end without the stop string: show it in one more entry.",
        _stream(keep=_right_keep, flush=False),
    ),
    Wrong(
        "The stop string itself is shown: end before it.",
        _stream(keep=_right_keep, end=lambda held, stop: held[: held.index(stop) + len(stop)]),
    ),
    Wrong(
        "Text after the stop string is shown: cut it off.",
        _stream(keep=_right_keep, end=lambda held, stop: held.replace(stop, "")),
    ),
    Wrong(
        "The text in front of the stop string is lost: show what stands before it.",
        _stream(keep=_right_keep, end=lambda held, stop: ""),
    ),
    Wrong(
        "The last occurrence ends the reply: the first one does (`index`, not `rindex`).",
        _stream(keep=_right_keep, end=lambda held, stop: held[: held.rindex(stop)]),
    ),
    Wrong(
        "The reply goes on after the stop string: return as soon as it is complete.",
        _stream(keep=_right_keep, go_on=True),
    ),
    Wrong(
        "len(stop) - 1 characters are always held back: hold back only an end that is a beginning of "
        "the stop string.",
        _stream(keep=lambda held, stop: min(len(held), len(stop) - 1)),
    ),
    Wrong(
        "Only one character is ever held back: any beginning of the stop string may stand at the end.",
        _stream(keep=lambda held, stop: int(held.endswith(stop[0])) if len(stop) > 1 else 0),
    ),
    Wrong(
        "The text is held back only when all of it is a beginning of the stop string: look at the end "
        "of the text.",
        _stream(keep=lambda held, stop: len(held) if stop.startswith(held) else 0),
    ),
    Wrong(
        'The shortest fitting end is held back: in "aa" with stop "aab" both characters may be the '
        "beginning.",
        _stream(keep=lambda held, stop: next((n for n in range(1, len(stop)) if held.endswith(stop[:n])), 0)),
    ),
    Wrong("Nothing is shown before the end: show each piece of text as soon as it is safe.", _at_the_end),
)


def check_stream_until_stop(t: Trial) -> None:
    """Exercise 1.9."""

    def draw(rng: random.Random) -> tuple[Any, ...]:
        stop = rng.choice(("ab", "aab", "abab", "\nU:", "aba", "b"))
        return [
            "".join(rng.choices("ab" + stop, k=rng.choice((0, 1, 2, 3, 4)))) for _ in range(rng.randint(1, 7))
        ], stop

    immediate = [
        (["Hello", " there", "\nUser:", " hi"], "\nUser:"),
        (["Hello", " there", "\n", "Us", "er: hi"], "\nUser:"),
        (["Hi", "\nU", "ni", "verse"], "\nUser:"),
        (["one", "\nUs"], "\nUser:"),
        (["xa", "a", "ab", "c"], "aab"),
        (["a", "abaXXabaY"], "ab"),
        (["x", "", "ENDyENDz"], "END"),
        (["plain"], "#"),
        (["aa", "b"], "aab"),
        (["q#r", "#s"], "#"),
    ]
    diagnose_function(t, "stream_until_stop", t.cases(immediate, draw, 40), stream_until_stop, _STOP_WRONGS)


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


def check_streaming_encoder(t: Trial) -> None:
    """Exercise 1.16."""
    merges = _merges(60)

    def call(merges: list[Pair], chunks: list[str]) -> Any:
        encoder = t.executor.new("StreamingEncoder", merges)
        pushed = [t.executor.method(encoder, "push", chunk) for chunk in chunks]
        return pushed, t.executor.method(encoder, "flush"), t.executor.method(encoder, "flush")

    def draw(rng: random.Random) -> tuple[Any, ...]:
        text = "".join(rng.choice(_WORDS) for _ in range(rng.randint(3, 16)))
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
        name="pushes, flush, flush",
    )

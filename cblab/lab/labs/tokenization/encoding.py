"""Checks of exercise 1.5: text to ids and back; and the texts and merges on which tokenizers are tried."""

import random
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import regex

from cblab.lab.compare import shown
from cblab.lab.labs.diagnose import Args, Wrong, diagnose
from cblab.lab.labs.tokenization.reference import ByteLevelTokenizer
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
WORDS = (
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


def learned_merges(num_merges: int) -> list[Pair]:
    """Merges learned from the lines, and some across the borders of pieces, which no piece may use."""
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
    eos: str = "never",
    to_bytes: Callable[[str], bytes] = str.encode,
    merge: bool = True,
) -> Callable[..., Any]:
    """Encoding of a whole text with a defect."""

    def encode(merges: list[Pair], text: str, add_special_tokens: bool = True) -> list[int]:
        one = ByteLevelTokenizer(merges)
        ids = [one.bos_token_id] if bos == "always" or (bos == "option" and add_special_tokens) else []
        for piece in cut(text):
            ids += encode_piece(to_bytes(piece), one.ranks) if merge else list(to_bytes(piece))
        return (
            [*ids, one.eos_token_id] if eos == "always" or (eos == "option" and add_special_tokens) else ids
        )

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


def _characters(merges: list[Pair], text: str, add_special_tokens: bool = True) -> list[Any]:
    start: list[Any] = [ByteLevelTokenizer(merges).bos_token_id] if add_special_tokens else []
    return [*start, *text]


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
        _encoder(_pieces, eos="always"),
    ),
    Wrong(
        "eos stands at the end when `add_special_tokens` is True: that option is for bos only.",
        _encoder(_pieces, eos="option"),
    ),
    Wrong(
        "bos is missing, and the text is encoded in one go instead of piece by piece.",
        _encoder(lambda text: [text], bos="never"),
    ),
    Wrong(
        'Characters stand among the ids: `encode_piece` wants bytes, `piece.encode("utf-8")`.',
        _characters,
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


def _spelled(method: str) -> Callable[[Args], str]:
    """How a call of a tokenizer's method is typed; the second argument only where it is not the default."""

    def spell(args: Args) -> str:
        _, first, default = args
        return f"ByteLevelTokenizer(merges).{method}({shown(first, 70)}{'' if default else ', False'})"

    return spell


def _drawn_text(rng: random.Random) -> str:
    return "".join(rng.choice(WORDS) for _ in range(rng.choice((0, 1, 3, 8, 14))))


def check_encode_text(t: Trial) -> None:
    """Exercise 1.5, encode."""
    merges = learned_merges(60)
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
        spell=_spelled("encode"),
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


def _names_are_text(merges: list[Pair], ids: list[int], skip_special_tokens: bool = True) -> str:
    one = ByteLevelTokenizer(merges)
    if not skip_special_tokens and any(i in one.special_names for i in ids):
        raise TypeError("can't concat str to bytes")
    return one.decode(ids)


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
        "Each token is decoded on its own, and half a character is an error: join the bytes first, decode "
        "once.",
        _one_by_one("strict"),
    ),
    Wrong(
        "The name of a special token is text, which cannot be added to bytes: "
        '`self.special_names[token_id].encode("utf-8")`.',
        _names_are_text,
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
    merges = learned_merges(60)
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
        spell=_spelled("decode"),
    )

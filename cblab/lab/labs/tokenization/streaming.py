"""Checks of exercises 1.6 and 1.9: text that streams out of a tokenizer."""

import codecs
import random
from collections.abc import Callable, Sequence
from typing import Any

from cblab.lab.labs.diagnose import Args, Wrong, diagnose_function
from cblab.lab.labs.tokenization.reference import stream_until_stop, unfinished_tail
from cblab.lab.trial import Trial


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


def _from_the_first_error(data: bytes) -> int:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return len(data) - error.start
    return 0


def _by_the_codec(data: bytes) -> int:
    """What Python's decoder holds back: nothing that can never become valid."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    decoder.decode(data)
    return len(decoder.getstate()[0])


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
    Wrong(
        "Counted from the first byte that cannot be decoded: only an unfinished character at the very end is "
        "held back.",
        _from_the_first_error,
    ),
    Wrong(
        "Bytes that can never become valid are not held back: the first byte alone says how many belong "
        "together, and from 0xF0 on it is the first of 4.",
        _by_the_codec,
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
        (b"\xf8",),
        (b"\xe0\x80",),
        (b"\xc0",),
        (b"\xf5\x80",),
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


def _nothing_held(args: Args, want: Any, got: Any) -> bool:
    """Every delta was shown as it came, up to the one that completes the stop string, which is cut."""
    deltas, stop = args
    before = len(want) - 1
    found = stop in "".join(deltas)
    shown_whole = found and got[before : before + 1] == deltas[before : before + 1]
    return bool(got[:before] == deltas[:before] and len(got) <= before + 1 and not shown_whole)


def _without_empty_last(deltas: Sequence[str], stop: str) -> list[str]:
    shown = stream_until_stop(deltas, stop)
    return shown if shown[-1] or stop in "".join(deltas) else shown[:-1]


def _drops_the_rest(deltas: Sequence[str], stop: str) -> list[str]:
    shown = stream_until_stop(deltas, stop)
    return shown if stop in "".join(deltas) else [*shown[:-1], ""]


def _same_but_for_empty_ones(args: Args, want: Any, got: Any) -> bool:
    return isinstance(got, list) and [text for text in got if text] == [text for text in want if text]


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
        "The entry after the last delta is missing when nothing is held back: it is there in any case, "
        "perhaps empty.",
        _without_empty_last,
    ),
    Wrong(
        "What was held back is dropped when the deltas end without the stop string: it belongs in the last "
        "entry.",
        _drops_the_rest,
    ),
    Wrong(
        "Every text ends with stop[:0], the empty text, so nothing is held back and a stop string in two "
        "deltas is missed: take the largest n that fits.",
        _stream(keep=lambda held, stop: 0),
    ),
    Wrong(
        "An empty entry is left out: there is one for each delta, empty or not.",
        matches=_same_but_for_empty_ones,
    ),
    Wrong(
        "Each delta is shown at once, up to the one that completes the stop string; by then its first half "
        "was shown: hold back what may become the stop string.",
        matches=_nothing_held,
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

"""Stop strings in pieces of text: what is found, what is shown, what waits."""

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cblab.tokenization import StopStringMatcher

# Few letters, so that stop strings overlap, begin in one another and end in one another.
few_letters = st.text("abc", max_size=30)
stops = st.lists(st.text("abc", min_size=1, max_size=5), max_size=4)


def definition(text: str, stop: list[str], *, include: bool = False) -> tuple[str, str | None]:
    """The stop string that ends first, of those that end there the longest; and the text before it."""
    ends = [(end, -len(one), one) for one in stop for end in range(len(text) + 1) if text[:end].endswith(one)]
    if not ends:
        return text, None
    end, _, found = min(ends)
    return text[: end if include else end - len(found)], found


def pushed(matcher: StopStringMatcher, pieces: list[str]) -> tuple[str, str | None]:
    text = "".join([matcher.push(piece) for piece in pieces])
    return text + matcher.flush(), matcher.matched


@given(text=few_letters, stop=stops, include=st.booleans(), cuts=st.lists(st.integers(0, 30)))
def test_any_pieces_give_what_the_definition_gives(
    text: str, stop: list[str], include: bool, cuts: list[int]
) -> None:
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[i:j] for i, j in itertools.pairwise(places)]
    expected = definition(text, stop, include=include)
    for way in (pieces, [text], list(text)):
        assert pushed(StopStringMatcher(stop, include_stop_str=include), way) == expected


@given(text=few_letters, stop=stops)
def test_what_is_held_back_is_what_may_become_a_stop_string_and_no_more(text: str, stop: list[str]) -> None:
    matcher = StopStringMatcher(stop)
    shown = ""
    for end, char in enumerate(text, start=1):
        shown += matcher.push(char)
        if matcher.matched is not None:
            break
        may_become = [i for i in range(end) if any(one.startswith(text[i:end]) for one in stop)]
        assert shown == text[: min(may_become, default=end)]


def test_the_stop_string_that_is_completed_first_wins_although_another_began_earlier() -> None:
    # "abcdef" begins before "cd" and would be first in the list; "cd" is complete two characters earlier.
    assert pushed(StopStringMatcher(["abcdef", "cd"]), ["abcdef"]) == ("ab", "cd")
    assert pushed(StopStringMatcher(["abcdef", "cd"]), list("xabcdef")) == ("xab", "cd")


def test_of_two_that_end_together_the_longer_one_wins() -> None:
    for stop in (["bc", "abc"], ["abc", "bc"]):
        assert pushed(StopStringMatcher(stop), ["xab", "c"]) == ("x", "abc")


def test_text_is_held_back_until_it_is_no_stop_string() -> None:
    matcher = StopStringMatcher(["\n\nUser:"])
    assert [matcher.push(piece) for piece in ("Hello.\n", "\nUs", "ers")] == ["Hello.", "", "\n\nUsers"]
    assert matcher.push("\n\n\nUser") == "\n"
    assert matcher.push(": what comes after") == ""
    assert (matcher.matched, matcher.push("more"), matcher.flush()) == ("\n\nUser:", "", "")


def test_the_stop_string_itself_is_shown_where_it_was_asked_for() -> None:
    matcher = StopStringMatcher(["END"], include_stop_str=True)
    assert [matcher.push(piece) for piece in ("one E", "ND two")] == ["one ", "END"]


def test_a_failed_beginning_may_contain_the_right_one() -> None:
    assert pushed(StopStringMatcher(["aab"]), ["aa", "aab"]) == ("aa", "aab")
    assert pushed(StopStringMatcher(["abab!"]), list("ababab!")) == ("ab", "abab!")


def test_flush_shows_a_beginning_that_never_went_on() -> None:
    matcher = StopStringMatcher(["END"])
    assert (matcher.push("the EN"), matcher.flush(), matcher.matched) == ("the ", "EN", None)
    assert (matcher.push("D"), matcher.flush()) == ("D", "")


def test_unwatched_text_passes_but_may_be_the_beginning() -> None:
    matcher = StopStringMatcher(["END"])
    assert matcher.push("an END", is_watched=False) == "an END"
    assert matcher.push("a END b EN", is_watched=False) == "a END b "
    assert (matcher.push("D c"), matcher.matched) == ("", "END")


def test_without_stop_strings_everything_passes_at_once() -> None:
    matcher = StopStringMatcher([])
    assert [matcher.push(piece) for piece in ("a", "", "bc")] == ["a", "", "bc"]


def test_stop_strings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot be empty"):
        StopStringMatcher(["a", ""])
    with pytest.raises(ValueError, match=r"got the string 'END'"):
        StopStringMatcher("END")


def test_long_stop_strings_cost_no_more_a_character() -> None:
    long = "a" * 20_000
    start = time.process_time()
    assert pushed(StopStringMatcher([long + "b"]), ["a"] * 60_000) == ("a" * 60_000, None)
    assert time.process_time() - start < 10  # quadratic work would take minutes

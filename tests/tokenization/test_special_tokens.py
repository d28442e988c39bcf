import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cblab.tokenization import SpecialTokens
from cblab.tokenization.special_tokens import SpecialTokenSplitter, SpecialTokenStream

NAMES = ("<a>", "<a><b>", "x<a>x", "ab", "ba", "a b")
short_texts = st.lists(st.sampled_from([*"<>ab x", "<a>", "<b>", "x<a>"]), max_size=20).map("".join)


def test_the_longest_of_those_that_begin_at_one_place_wins() -> None:
    assert list(SpecialTokenSplitter(NAMES).split("x<a><b><a>x")) == [
        ("x", False),
        ("<a><b>", True),
        ("<a>", True),
        ("x", False),
    ]


def test_without_special_tokens_the_text_is_one_part() -> None:
    assert list(SpecialTokenSplitter(()).split("a|b")) == [("a|b", False)]
    assert list(SpecialTokenSplitter(()).split("")) == []


def test_names_are_no_patterns() -> None:
    assert list(SpecialTokenSplitter(["<|x|>"]).split("x|<|x|>")) == [("x|", False), ("<|x|>", True)]


def test_roles_are_taken_from_the_names() -> None:
    special = SpecialTokens.from_names(["<|pad|>", "<|user|>"])
    assert special == SpecialTokens(("<|pad|>", "<|user|>"), bos=None, eos=None, pad="<|pad|>")


@given(short_texts)
def test_parts_joined_are_the_text(text: str) -> None:
    parts = list(SpecialTokenSplitter(NAMES).split(text))
    assert "".join(part for part, _ in parts) == text
    assert all(part in NAMES for part, is_special in parts if is_special)
    assert all(parts)


def join_plain(parts: list[tuple[str, bool]]) -> list[tuple[str, bool]]:
    joined: list[tuple[str, bool]] = []
    for part, is_special in parts:
        if joined and not is_special and not joined[-1][1]:
            part = joined.pop()[0] + part
        joined.append((part, is_special))
    return joined


@settings(max_examples=300)
@given(st.lists(short_texts, max_size=8))
def test_a_stream_finds_the_same_tokens_however_the_text_is_cut(chunks: list[str]) -> None:
    stream = SpecialTokenStream(NAMES)
    parts = [part for chunk in chunks for part in stream.push(chunk)] + stream.flush()
    assert join_plain(parts) == list(SpecialTokenSplitter(NAMES).split("".join(chunks)))


def test_a_stream_holds_back_only_what_may_become_a_special_token() -> None:
    stream = SpecialTokenStream(["<|eos|>"])
    assert stream.push("a < b <|e") == [("a < b ", False)]
    assert stream.push("n <|eos|") == [("<|en ", False)]
    assert stream.push(">.") == [("<|eos|>", True), (".", False)]
    assert stream.flush() == []


@pytest.mark.parametrize("names", [["<|eos|>", "<|eos|>"], [""]])
def test_names_that_cannot_be(names: list[str]) -> None:
    with pytest.raises(ValueError, match="special token"):
        SpecialTokens.from_names(names)

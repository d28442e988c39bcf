import unicodedata

import pytest
from hypothesis import given

from cblab.tokenization.pretokenizer import DEFAULT_PATTERN, compile_pattern, split_pieces
from tests.tokenization.reference import PATTERNS, classified_differently, rust_pre_tokenizer, texts


def pieces(text: str, pattern: str = DEFAULT_PATTERN) -> list[str]:
    return list(split_pieces(text, compile_pattern(pattern)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Once upon a time", ["Once", " upon", " a", " time"]),
        ("don't they'll I'm", ["don", "'t", " they", "'ll", " I", "'m"]),
        ("12 + 345", ["1", "2", " +", " 3", "4", "5"]),
        ("a  b   ", ["a", " ", " b", "   "]),
        ("wait...\n\nno", ["wait", "...", "\n", "\n", "no"]),
        ("héllo 世界!", ["héllo", " 世界", "!"]),
        ("", []),
    ],
)
def test_pieces_of_the_default_pattern(text: str, expected: list[str]) -> None:
    assert pieces(text) == expected


def test_the_three_patterns_differ_in_numbers_and_capitals() -> None:
    assert pieces("12345", PATTERNS["default"]) == list("12345")
    assert pieces("12345", PATTERNS["gpt2"]) == ["12345"]
    assert pieces("12345", PATTERNS["llama3"]) == ["123", "45"]
    assert pieces("I'LL", PATTERNS["gpt2"]) == ["I", "'", "LL"]
    assert pieces("I'LL", PATTERNS["llama3"]) == ["I", "'LL"]


def test_what_a_pattern_leaves_out_is_a_piece_too() -> None:
    assert pieces("ab, cd!", r"\p{L}+") == ["ab", ", ", "cd", "!"]


def test_a_pattern_that_does_not_compile_is_shown() -> None:
    with pytest.raises(ValueError, match=r"'\[a' does not compile"):
        compile_pattern("[a")


def test_only_characters_that_python_does_not_know_yet_are_classified_differently() -> None:
    known = [char for char in classified_differently() if unicodedata.category(char) != "Cn"]
    assert known == []


@pytest.mark.parametrize("pattern", [r"\p{L}+", r"x*", r"(a)(b)?", r"\s", "a|ab"])
def test_other_patterns_cut_as_the_tokenizers_library_does(pattern: str) -> None:
    text = "xabxx aab, b xé\nx"
    split = rust_pre_tokenizer(pattern).pre_tokenize_str(text)
    assert pieces(text, pattern) == [text[start:stop] for _, (start, stop) in split]


@pytest.mark.parametrize("name", PATTERNS)
@given(text=texts())
def test_pieces_equal_the_tokenizers_library(name: str, text: str) -> None:
    split = rust_pre_tokenizer(PATTERNS[name]).pre_tokenize_str(text)
    assert pieces(text, PATTERNS[name]) == [text[start:stop] for _, (start, stop) in split]


@given(texts())
def test_pieces_joined_are_the_text(text: str) -> None:
    assert "".join(pieces(text)) == text

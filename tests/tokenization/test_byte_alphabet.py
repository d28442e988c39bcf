import pytest
from tokenizers import pre_tokenizers

from cblab.tokenization.byte_alphabet import ALPHABET_ORDER, BYTE_TO_CHAR, bytes_to_text, text_to_bytes


def test_the_alphabet_is_that_of_the_tokenizers_library() -> None:
    assert sorted(BYTE_TO_CHAR.values()) == sorted(pre_tokenizers.ByteLevel.alphabet())


def test_known_characters() -> None:
    assert bytes_to_text(b" the\n") == "ĠtheĊ"
    assert bytes_to_text("é".encode()) == "Ã©"
    assert bytes_to_text(b"\x00\xad") == "ĀŃ"


def test_every_byte_comes_back() -> None:
    every = bytes(range(256))
    assert len(set(bytes_to_text(every))) == 256
    assert text_to_bytes(bytes_to_text(every)) == every


def test_alphabet_order_sorts_by_character() -> None:
    assert sorted(ALPHABET_ORDER) == list(range(256))
    assert ALPHABET_ORDER[ord("!")] == 0
    assert ALPHABET_ORDER[ord("A")] < ALPHABET_ORDER[ord("a")] < ALPHABET_ORDER[0xFF] < ALPHABET_ORDER[0]
    assert ALPHABET_ORDER[0] < ALPHABET_ORDER[ord(" ")]


def test_a_foreign_character_is_named() -> None:
    with pytest.raises(ValueError, match="'世' in 'a世'"):
        text_to_bytes("a世")

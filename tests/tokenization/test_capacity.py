import pytest

from cblab.tokenization import (
    BPETokenizer,
    CharacterTokenizer,
    bytes_per_token,
    characters_per_token,
    embedding_bytes,
    requests_in_budget,
    tokens_per_word,
)
from cblab.tokenization.capacity import GB, GIB


def test_embedding_bytes_of_the_assessment() -> None:
    size = embedding_bytes(50_000, 12_288)
    assert size == 1_228_800_000
    assert round(size / GB, 3) == 1.229
    assert round(size / GIB, 3) == 1.144
    assert embedding_bytes(100_000, 12_288) == 2 * size
    assert embedding_bytes(50_000, 12_288, tied=False) == 2 * size
    assert embedding_bytes(2048, 256, 4) == 2_097_152


def test_requests_in_a_budget_of_tokens() -> None:
    assert requests_in_budget(32 * 100, 100) == 32
    assert requests_in_budget(32 * 100, 180) == 17
    assert requests_in_budget(99, 100) == 0


def test_compression() -> None:
    single_bytes = BPETokenizer([])
    assert bytes_per_token(single_bytes, ["abc", "é世😀"]) == 1
    assert characters_per_token(single_bytes, ["世", "é"]) == pytest.approx(2 / 5)
    assert tokens_per_word(BPETokenizer([(b"a", b"b")]), ["ab ab", "ab"]) == pytest.approx(4 / 3)
    characters = CharacterTokenizer("é世")
    assert bytes_per_token(characters, ["é世"]) == 2.5
    assert characters_per_token(characters, ["é世"]) == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: embedding_bytes(0, 4), "vocab_size must be at least 1, got 0"),
        (lambda: requests_in_budget(-1, 4), "token_budget must be at least 0, got -1"),
        (lambda: requests_in_budget(10, 0), "tokens_per_request must be at least 1, got 0"),
        (lambda: bytes_per_token(BPETokenizer([]), [""]), "no token"),
        (lambda: bytes_per_token(BPETokenizer([]), "abc"), "single string"),
        (lambda: tokens_per_word(BPETokenizer([]), [" "]), "no word"),
    ],
)
def test_mistakes_are_named(call: object, message: str) -> None:
    assert callable(call)
    with pytest.raises(ValueError, match=message):
        call()

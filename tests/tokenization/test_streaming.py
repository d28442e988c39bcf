import time
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cblab.tokenization import BPETokenizer, StreamingEncoder
from tests.tokenization.reference import CORPORA, PATTERNS, STORY, texts

ALL_TEXTS = [text for corpus in CORPORA.values() for text in corpus]


@pytest.fixture(scope="module", params=PATTERNS)
def tokenizer(request: pytest.FixtureRequest) -> BPETokenizer:
    return BPETokenizer.train(ALL_TEXTS, 700, pattern=PATTERNS[request.param])


def stream(encoder: StreamingEncoder, chunks: list[str]) -> list[int]:
    return [token_id for chunk in chunks for token_id in encoder.push(chunk)] + encoder.flush()


@settings(max_examples=150)
@given(chunks=st.lists(texts(max_size=8), max_size=12))
def test_any_chunks_give_the_ids_of_the_whole(tokenizer: BPETokenizer, chunks: list[str]) -> None:
    whole = "".join(chunks)
    assert stream(StreamingEncoder(tokenizer), chunks) == tokenizer.encode(whole)
    plain = StreamingEncoder(tokenizer, add_special_tokens=False, split_special_tokens=True)
    assert stream(plain, chunks) == tokenizer.encode(
        whole, add_special_tokens=False, split_special_tokens=True
    )


TELLING = [*" \n\r\t'!ſ1é中", *"levsRE", "\u0301"]


@pytest.fixture(scope="module")
def merges_all(tokenizer: BPETokenizer) -> BPETokenizer:
    """Nearly every short piece is one token, so that a piece cut in two shows in the ids."""
    corpus = list(map("".join, product(TELLING, repeat=3)))
    return BPETokenizer.train(corpus, 2500, pattern=tokenizer.pattern)


@settings(max_examples=200)
@given(text=st.lists(st.sampled_from(TELLING), max_size=10).map("".join))
def test_any_border_gives_the_ids_of_the_whole(merges_all: BPETokenizer, text: str) -> None:
    for cut in range(len(text) + 1):
        chunks = [text[:cut], text[cut:]]
        assert stream(StreamingEncoder(merges_all), chunks) == merges_all.encode(text), chunks
    assert stream(StreamingEncoder(merges_all), list(text)) == merges_all.encode(text)


def test_encoding_chunk_by_chunk_gives_other_ids() -> None:
    tokenizer = BPETokenizer.train(["streaming streaming"], 300)
    whole = tokenizer.encode("streaming", add_special_tokens=False)
    parts = [i for chunk in ("stre", "aming") for i in tokenizer.encode(chunk, add_special_tokens=False)]
    assert parts != whole
    assert tokenizer.decode(parts) == tokenizer.decode(whole)
    assert stream(StreamingEncoder(tokenizer, add_special_tokens=False), ["stre", "aming"]) == whole


def test_only_the_last_word_is_held_back() -> None:
    tokenizer = BPETokenizer([], ())
    encoder = StreamingEncoder(tokenizer)
    assert encoder.push("one two") == list(b"one")
    assert encoder.push("s ") == list(b" twos")
    assert encoder.push(" ") == []
    assert encoder.push("three.") == list(b"  three")
    assert encoder.push(" can't") == list(b". can")
    assert encoder.flush() == list(b"'t")


def test_bos_comes_first_and_once_also_for_no_text() -> None:
    tokenizer = BPETokenizer([])
    encoder = StreamingEncoder(tokenizer)
    assert encoder.push("") == [256]
    assert encoder.push("") == encoder.flush() == []
    assert encoder.flush() == [256]  # a new text


def test_a_special_token_is_found_across_chunks() -> None:
    encoder = StreamingEncoder(BPETokenizer([]), add_special_tokens=False)
    assert encoder.push("hi <|eo") == list(b"hi")
    assert encoder.push("s|>yo") == [*b" ", 257]
    assert encoder.flush() == list(b"yo")


def test_ordinary_text_needs_little_memory(tokenizer: BPETokenizer) -> None:
    encoder = StreamingEncoder(tokenizer)
    most = 0
    for character in STORY * 20:
        encoder.push(character)
        most = max(most, sum(map(len, encoder._held)))
    assert most < 16


def test_one_endless_word_takes_linear_time() -> None:
    encoder = StreamingEncoder(BPETokenizer([(b"a", b"a")], ()))
    start = time.process_time()
    for _ in range(100_000):
        encoder.push("a")
    assert encoder.flush() == [256] * 50_000
    assert time.process_time() - start < 20  # quadratic work would take many minutes


def test_a_pattern_without_known_places_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no safe places .* '\\\\S\+'"):
        StreamingEncoder(BPETokenizer([], (), r"\S+"))

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cblab.tokenization import BPETokenizer, IncrementalDetokenizer
from tests.tokenization.reference import CORPORA, texts


@pytest.fixture(scope="module")
def tokenizer() -> BPETokenizer:
    return BPETokenizer.train([text for corpus in CORPORA.values() for text in corpus], 600)


def test_a_character_appears_when_it_is_complete() -> None:
    detokenizer = IncrementalDetokenizer(BPETokenizer([]))
    assert [detokenizer.push(byte) for byte in "aé😀".encode()] == ["a", "", "é", "", "", "", "😀"]
    assert detokenizer.flush() == ""


def test_a_character_that_is_never_finished_appears_at_flush() -> None:
    detokenizer = IncrementalDetokenizer(BPETokenizer([]))
    assert [detokenizer.push(byte) for byte in "😀".encode()[:3]] == ["", "", ""]
    assert detokenizer.flush() == "\ufffd"
    assert detokenizer.push(ord("b")) == "b"


def test_what_can_never_become_a_character_appears_at_once() -> None:
    detokenizer = IncrementalDetokenizer(BPETokenizer([]))
    assert [detokenizer.push(byte) for byte in (0xFF, 0xC3, 0x41)] == ["\ufffd", "", "\ufffdA"]


def test_special_tokens_add_nothing_even_inside_a_character() -> None:
    tokenizer = BPETokenizer([])
    detokenizer = IncrementalDetokenizer(tokenizer)
    ids = [tokenizer.bos_token_id or 0, 0xC3, tokenizer.pad_token_id or 0, 0xA9, tokenizer.eos_token_id or 0]
    assert [detokenizer.push(token_id) for token_id in ids] == ["", "", "", "é", ""]


@given(ids=st.lists(st.integers(0, 599), max_size=40))
def test_all_parts_joined_are_the_text_of_any_ids(tokenizer: BPETokenizer, ids: list[int]) -> None:
    detokenizer = IncrementalDetokenizer(tokenizer)
    parts = [detokenizer.push(token_id) for token_id in ids]
    assert "".join(parts) + detokenizer.flush() == tokenizer.decode(ids)


@given(text=texts())
def test_valid_text_never_shows_half_a_character(tokenizer: BPETokenizer, text: str) -> None:
    text = text.replace("\ufffd", "")
    detokenizer = IncrementalDetokenizer(tokenizer)
    shown = ""
    for token_id in tokenizer.encode(text, split_special_tokens=True):
        shown += detokenizer.push(token_id)
        assert text.startswith(shown)
    assert (shown, detokenizer.flush()) == (text, "")


def test_a_token_costs_the_same_at_the_end_as_at_the_beginning(tokenizer: BPETokenizer) -> None:
    class CountingTokenizer(BPETokenizer):
        num_calls = 0

        def token_bytes(self, token_id: int) -> bytes:
            self.num_calls += 1
            return super().token_bytes(token_id)

    counting = CountingTokenizer([])
    detokenizer = IncrementalDetokenizer(counting)
    start = time.process_time()
    for _ in range(50_000):
        detokenizer.push(0xC3)
        detokenizer.push(0xA9)
    assert counting.num_calls == 100_000
    assert time.process_time() - start < 5  # quadratic work would take minutes


def test_an_unknown_id_is_named_and_leaves_the_rest_alone() -> None:
    detokenizer = IncrementalDetokenizer(BPETokenizer([]))
    detokenizer.push(0xC3)
    with pytest.raises(ValueError, match="token id 999"):
        detokenizer.push(999)
    assert detokenizer.push(0xA9) == "é"

"""The text of one sequence: half characters, stop strings over token borders, and what has no text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cblab.core.output_text import OutputText
from cblab.core.sampling_params import SamplingParams
from cblab.tokenization import BPETokenizer, StopStringMatcher

BYTES = BPETokenizer([])  # one token a byte
WORDS = BPETokenizer.train(["the end of the story, the end of the END"] * 3, 300)


def run(text: OutputText, token_ids: list[int]) -> list[str]:
    return [text.push(token_id) for token_id in token_ids]


def test_a_character_is_shown_when_its_last_byte_has_come() -> None:
    text = OutputText(BYTES, SamplingParams())
    assert run(text, list("aé😀b".encode())) == ["a", "", "é", "", "", "", "😀", "b"]
    assert (text.text, text.finish(), text.text) == ("aé😀b", "", "aé😀b")


def test_half_a_character_is_shown_at_the_end_alone() -> None:
    text = OutputText(BYTES, SamplingParams())
    assert run(text, list(b"a" + "é".encode()[:1])) == ["a", ""]
    assert (text.text, text.finish(), text.text) == ("a", "\ufffd", "a\ufffd")


def test_a_stop_string_is_found_over_token_borders_and_inside_a_token() -> None:
    params = SamplingParams(stop=["e en"])
    text = OutputText(WORDS, params)
    ids = WORDS.encode("the end", add_special_tokens=False)
    assert len(ids) == 2  # "the" and " end": the stop string has a part of each
    assert run(text, ids) == ["th", ""]
    assert (text.text, text.matched_stop, text.finish(), text.text) == ("th", "e en", "", "th")


def test_a_stop_string_may_hold_characters_of_several_bytes() -> None:
    text = OutputText(BYTES, SamplingParams(stop=["é!"]))
    assert run(text, list("aéb".encode())) == ["a", "", "", "éb"]
    assert run(text, list("é!é".encode())) == ["", "", "", "", ""]
    assert (text.matched_stop, text.finish(), text.text) == ("é!", "", "aéb")


def test_the_stop_string_is_kept_where_it_was_asked_for() -> None:
    text = OutputText(BYTES, SamplingParams(stop=["END"], include_stop_str_in_output=True))
    assert "".join(run(text, list(b"the END, and more"))) == "the END"
    assert text.text == "the END"


def test_of_several_stop_strings_the_first_to_be_completed_wins() -> None:
    text = OutputText(BYTES, SamplingParams(stop=["end of it", "of"]))
    run(text, list(b"the end of it"))
    assert (text.text, text.matched_stop) == ("the end ", "of")


@pytest.mark.parametrize(
    ("min_tokens", "shown"), [(0, "a"), (3, "a"), (4, "aENDb"), (7, "aENDb"), (8, "aENDbENDc")]
)
def test_stop_strings_completed_within_min_tokens_are_text(min_tokens: int, shown: str) -> None:
    # In "aENDbENDc" token 4 completes the first stop string and token 8 the second.
    text = OutputText(BYTES, SamplingParams(stop=["END"], min_tokens=min_tokens))
    run(text, list(b"aENDbENDc"))
    text.finish()
    assert (text.text, text.matched_stop) == (shown, None if "c" in shown else "END")


def test_special_tokens_and_ids_without_a_token_add_nothing() -> None:
    text = OutputText(BYTES, SamplingParams())
    assert BYTES.bos_token_id is not None
    first, second = "é".encode()
    ids = [first, BYTES.bos_token_id, BYTES.vocab_size, BYTES.vocab_size + 1000, second]
    assert run(text, ids) == ["", "", "", "", "é"]


def test_without_a_tokenizer_there_is_no_text() -> None:
    text = OutputText(None, SamplingParams())
    assert (run(text, [1, 2]), text.finish(), text.text, text.matched_stop) == (["", ""], "", "", None)


@pytest.mark.parametrize(("stop", "num_before_the_end"), [([], 0), (["xyz"], 3)])
def test_what_nobody_looks_at_is_decoded_at_the_end(stop: list[str], num_before_the_end: int) -> None:
    decoded: list[int] = []

    class Counting(BPETokenizer):
        def token_bytes(self, token_id: int) -> bytes:
            decoded.append(token_id)
            return super().token_bytes(token_id)

    text = OutputText(Counting([]), SamplingParams(stop=stop), final_only=True)
    first, second = "é".encode()
    run(text, [first, second, BYTES.vocab_size])
    assert len(decoded) == num_before_the_end
    text.finish()
    assert (decoded, text.text) == ([first, second, BYTES.vocab_size], "é")


@given(
    data=st.text("ab é", max_size=20),
    stop=st.lists(st.text("ab é", min_size=1, max_size=4), max_size=3),
    include=st.booleans(),
    final_only=st.booleans(),
)
def test_tokens_one_by_one_give_what_the_whole_text_gives(
    data: str, stop: list[str], include: bool, final_only: bool
) -> None:
    params = SamplingParams(stop=stop, include_stop_str_in_output=include)
    whole = StopStringMatcher(stop, include_stop_str=include)
    expected = whole.push(data) + whole.flush()
    for tokenizer in (BYTES, WORDS):
        text = OutputText(tokenizer, params, final_only=final_only)
        parts = run(text, tokenizer.encode(data, add_special_tokens=False))
        parts.append(text.finish())
        assert ("".join(parts), text.text, text.matched_stop) == (expected, expected, whole.matched)

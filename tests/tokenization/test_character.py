import pytest
from hypothesis import given
from hypothesis import strategies as st

from cblab.tokenization import CharacterTokenizer, IncrementalDetokenizer, Tokenizer


def test_characters_are_numbered_by_code_point_then_special_tokens() -> None:
    tokenizer = CharacterTokenizer.train(["hello", "héé"])
    assert tokenizer.characters == ["e", "h", "l", "o", "é"]
    assert tokenizer.vocab_size == 8
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (5, 6, 7)
    assert tokenizer.encode("hé") == [5, 1, 4]
    assert tokenizer.encode("hé", add_special_tokens=False) == [1, 4]
    assert tokenizer.decode([5, 1, 4, 6]) == "hé"
    assert tokenizer.decode([5, 1, 4, 6], skip_special_tokens=False) == "<|bos|>hé<|eos|>"
    assert [tokenizer.token_bytes(i) for i in (4, 5)] == ["é".encode(), b""]
    assert isinstance(tokenizer, Tokenizer)


def test_without_special_tokens() -> None:
    tokenizer = CharacterTokenizer("ab", ())
    assert (tokenizer.vocab_size, tokenizer.bos_token_id, tokenizer.encode("ba")) == (2, None, [1, 0])


@given(st.text(max_size=30))
def test_text_comes_back(text: str) -> None:
    text = text.encode(errors="replace").decode()
    tokenizer = CharacterTokenizer.train([text])
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    detokenizer = IncrementalDetokenizer(tokenizer)
    assert "".join(map(detokenizer.push, ids)) == text


def test_mistakes_are_named() -> None:
    tokenizer = CharacterTokenizer("ab")
    with pytest.raises(ValueError, match="the character 'c' is not among the 2"):
        tokenizer.encode("abc")
    for token_id in (5, -1):
        with pytest.raises(ValueError, match=f"token id {token_id} is not"):
            tokenizer.decode([token_id])
        with pytest.raises(ValueError, match=f"token id {token_id} is not"):
            tokenizer.decode([token_id], skip_special_tokens=False)
    with pytest.raises(ValueError, match="single characters"):
        CharacterTokenizer(["ab"])
    with pytest.raises(ValueError, match="differ"):
        CharacterTokenizer("aa")

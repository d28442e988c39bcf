import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer as RustTokenizer

from cblab.tokenization import BPETokenizer, SpecialTokens, Tokenizer
from cblab.tokenization.tokenizer_json import TOKENIZER_FILE
from tests.tokenization.reference import CORPORA, PATTERNS, texts

ALL_TEXTS = [text for corpus in CORPORA.values() for text in corpus]


@pytest.fixture(scope="module", params=PATTERNS)
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[BPETokenizer, RustTokenizer]:
    """Our tokenizer and the library's, on the same vocabulary."""
    tokenizer = BPETokenizer.train(ALL_TEXTS, 256 + 500, pattern=PATTERNS[request.param])
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer.save(folder)
    return tokenizer, RustTokenizer.from_file(str(folder / TOKENIZER_FILE))


@pytest.fixture(scope="module")
def tokenizer() -> BPETokenizer:
    return BPETokenizer.train(ALL_TEXTS, 256 + 300)


@given(text=texts())
def test_ids_equal_the_tokenizers_library(pair: tuple[BPETokenizer, RustTokenizer], text: str) -> None:
    ours, rust = pair
    assert ours.encode(text) == rust.encode(text).ids
    assert ours.encode(text, add_special_tokens=False) == rust.encode(text, add_special_tokens=False).ids


@given(st.data())
def test_decoding_any_ids_equals_the_tokenizers_library(
    pair: tuple[BPETokenizer, RustTokenizer], data: st.DataObject
) -> None:
    ours, rust = pair
    ids = data.draw(st.lists(st.integers(0, ours.vocab_size - 1), max_size=30))
    for skip in (True, False):
        assert ours.decode(ids, skip_special_tokens=skip) == rust.decode(ids, skip_special_tokens=skip)


@given(text=texts())
def test_text_comes_back(tokenizer: BPETokenizer, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text, split_special_tokens=True)) == text


@given(text=texts())
def test_token_bytes_joined_are_the_text(tokenizer: BPETokenizer, text: str) -> None:
    ids = tokenizer.encode(text, split_special_tokens=True)
    assert b"".join(map(tokenizer.token_bytes, ids)) == text.encode()


def test_long_pieces_equal_the_library_and_take_no_quadratic_time(
    pair: tuple[BPETokenizer, RustTokenizer],
) -> None:
    ours, rust = pair
    for text in ("a" * 20_001, "ab" * 10_000, " " * 10_000 + "x", "東京は日本の首都" * 1_000):
        assert ours.encode(text) == rust.encode(text).ids


def test_ids_are_bytes_then_merges_then_special_tokens() -> None:
    tokenizer = BPETokenizer([(b"a", b"a"), (b"aa", b"b")])
    assert tokenizer.encode("aaba\n") == [258, 257, 97, 10]
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (258, 259, 260)
    assert tokenizer.vocab_size == 261
    assert [tokenizer.token_bytes(i) for i in (0, 255, 256, 257, 258)] == [
        b"\x00",
        b"\xff",
        b"aa",
        b"aab",
        b"",
    ]
    assert isinstance(tokenizer, Tokenizer)


def test_two_merges_that_make_the_same_token_share_its_id() -> None:
    tokenizer = BPETokenizer([(b"a", b"b"), (b"b", b"c"), (b"ab", b"c"), (b"a", b"bc"), (b"c", b"c")], ())
    assert tokenizer.vocab_size == 260
    assert [tokenizer.encode(text) for text in ("abc", "bc", "cc")] == [[258], [257], [259]]


def test_bos_goes_in_front_unless_told_otherwise_and_eos_never() -> None:
    assert BPETokenizer([]).encode("a") == [256, 97]
    assert BPETokenizer([]).encode("a", add_special_tokens=False) == [97]
    assert BPETokenizer([], add_bos=False).encode("a") == [97]
    assert BPETokenizer([], ()).encode("a") == [97]
    assert BPETokenizer([], ()).bos_token_id is None


def test_special_tokens_in_text_are_recognised_or_read_as_plain_text() -> None:
    tokenizer = BPETokenizer([])
    assert tokenizer.encode("a<|eos|>b", add_special_tokens=False) == [97, 257, 98]
    plain = tokenizer.encode("a<|eos|>b", add_special_tokens=False, split_special_tokens=True)
    assert plain == list(b"a<|eos|>b")
    assert tokenizer.decode([97, 257]) == "a"
    assert tokenizer.decode([97, 257], skip_special_tokens=False) == "a<|eos|>"


def test_roles_can_be_given() -> None:
    special = SpecialTokens(("<s>", "</s>"), bos="<s>", eos="</s>", pad="</s>")
    tokenizer = BPETokenizer([], special)
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (256, 257, 257)


def test_whole_pieces_first_skips_the_merges() -> None:
    merges = [(b"b", b"c"), (b"a", b"b"), (b"ab", b"c")]
    assert BPETokenizer(merges, ()).encode("abc") == [97, 256]
    assert BPETokenizer(merges, (), whole_pieces_first=True).encode("abc") == [258]


def test_the_cache_is_bounded_and_changes_nothing() -> None:
    small = BPETokenizer([(b"a", b"b")], cache_size=3)
    words = " ".join(f"ab{letter}" for letter in "abcdefghij")
    assert small.encode(words) == BPETokenizer([(b"a", b"b")]).encode(words) == small.encode(words)
    assert len(small._cache) <= 3
    small.encode("x" * 10_000)
    assert max(map(len, small._cache)) < 100


def test_the_caller_may_change_the_list_that_comes_back() -> None:
    tokenizer = BPETokenizer([(b"a", b"b")], ())
    tokenizer.encode("ab").append(7)
    assert tokenizer.encode("ab") == [256]


def test_a_tokenizer_can_be_pickled(tokenizer: BPETokenizer) -> None:
    copy = pickle.loads(pickle.dumps(tokenizer))
    assert copy.encode("The capital of France") == tokenizer.encode("The capital of France")


def test_a_vocabulary_may_end_up_smaller_than_asked_for() -> None:
    assert BPETokenizer.train(["ab"], 1000).vocab_size == 256 + 1 + 3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BPETokenizer.train(["a"], 258), r"vocab_size=258 is too small.* need 259"),
        (lambda: BPETokenizer.train("abc", 300), "single string"),
        (lambda: BPETokenizer([(b"ab", b"c")]), r"merge 0 \(b'ab', b'c'\) needs b'ab'"),
        (lambda: BPETokenizer([(b"a", b"b")], ("ab",)), "special token 'ab' is also an ordinary token"),
        (lambda: BPETokenizer([], ("x", "x")), "differ"),
        (lambda: BPETokenizer([], ("",)), "empty"),
        (lambda: BPETokenizer([], "<|bos|>"), "sequence of strings"),
        (lambda: BPETokenizer([], SpecialTokens(("<s>",), bos="<t>", eos=None, pad=None)), "bos token '<t>'"),
        (lambda: BPETokenizer([]).decode([5, 259]), "token id 259 is not in the vocabulary"),
        (lambda: BPETokenizer([]).token_bytes(-1), "token id -1"),
        (lambda: BPETokenizer([]).encode("\ud800"), "surrogates"),
    ],
)
def test_mistakes_are_named(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=message):
        make()

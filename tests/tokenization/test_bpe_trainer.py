from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cblab.tokenization import BPETokenizer
from cblab.tokenization.bpe import count_pairs, train
from cblab.tokenization.bpe_trainer import BPETrainer, train_bpe
from tests.tokenization.reference import CORPORA, PATTERNS, rust_merges

pieces_of_few_letters = st.lists(st.text("abc", min_size=1, max_size=12).map(str.encode), max_size=12)


@given(pieces_of_few_letters, st.integers(0, 20))
def test_the_quick_trainer_equals_the_definition(pieces: list[bytes], num_merges: int) -> None:
    assert train_bpe(Counter(pieces), num_merges) == train(pieces, num_merges)


@given(pieces_of_few_letters)
def test_counts_stay_those_of_the_rewritten_corpus(pieces: list[bytes]) -> None:
    trainer = BPETrainer(Counter(pieces))
    for rank in range(6):
        best = trainer.pop_best()
        if best is None:
            break
        trainer.merge(best[0], 256 + rank)
        written_out = [
            ids for ids, weight in zip(trainer.sequences, trainer.weights, strict=True) for _ in range(weight)
        ]
        assert +trainer.counts == count_pairs(written_out)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("corpus", CORPORA)
def test_merges_equal_the_tokenizers_library(corpus: str, pattern: str) -> None:
    texts = CORPORA[corpus]
    trained = BPETokenizer.train(texts, 256 + 400, (), PATTERNS[pattern])
    assert trained.merges == rust_merges(texts, 400, PATTERNS[pattern])


@settings(max_examples=60)
@given(st.lists(st.text(" !aAé\xadÿ\u0301中'1", max_size=14), max_size=6), st.integers(1, 40))
def test_merges_of_any_small_corpus_equal_the_tokenizers_library(texts: list[str], num_merges: int) -> None:
    trained = BPETokenizer.train(texts, 256 + num_merges, ())
    assert trained.merges == rust_merges(texts, num_merges, trained.pattern)


@pytest.mark.parametrize("min_count", [1, 2, 3, 5])
def test_min_count_is_min_frequency_of_the_library(min_count: int) -> None:
    texts = CORPORA["english"]
    trained = BPETokenizer.train(texts, 1000, (), min_count=min_count)
    assert trained.merges == rust_merges(texts, 744, trained.pattern, min_count)


def test_training_on_a_long_repetitive_text_takes_no_time() -> None:
    # 600,000 characters, few different pieces: what counts is the number of different ones
    texts = CORPORA["english"] * 500
    assert BPETokenizer.train(texts, 500).merges == BPETokenizer.train(CORPORA["english"], 500).merges

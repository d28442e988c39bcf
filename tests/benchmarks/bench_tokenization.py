"""cblab's byte-level BPE, written to be read, beside the `tokenizers` library, written in Rust."""

import pytest
from tokenizers import Tokenizer as RustTokenizer
from tokenizers import decoders, models, pre_tokenizers, trainers

from cblab import assets
from cblab.tokenization import BPETokenizer
from cblab.tokenization.pretokenizer import GPT2_PATTERN
from cblab.training.corpus import make_corpus
from tests.benchmarks.report import interleaved, report

pytestmark = pytest.mark.usefixtures("only_in_full")

DOCUMENTS = make_corpus(seed=7, num_documents=2000)
NUM_BYTES = sum(len(document.encode()) for document in DOCUMENTS)


def bench_encoding() -> None:
    ours = BPETokenizer.load(assets.path())
    rust = RustTokenizer.from_file(str(assets.path() / "tokenizer.json"))
    assert [ours.encode(document) for document in DOCUMENTS] == [rust.encode(d).ids for d in DOCUMENTS]
    sides = {
        "cblab": lambda: [ours.encode(document) for document in DOCUMENTS],
        "tokenizers": lambda: [rust.encode(document).ids for document in DOCUMENTS],
    }
    report(f"Encoding {len(DOCUMENTS):,} documents, caches warm", "bytes", NUM_BYTES, interleaved(sides))


def bench_decoding() -> None:
    ours = BPETokenizer.load(assets.path())
    rust = RustTokenizer.from_file(str(assets.path() / "tokenizer.json"))
    encoded = [ours.encode(document) for document in DOCUMENTS]
    sides = {
        "cblab": lambda: [ours.decode(ids) for ids in encoded],
        "tokenizers": lambda: [rust.decode(ids) for ids in encoded],
    }
    report(f"Decoding {len(DOCUMENTS):,} documents", "tokens", sum(map(len, encoded)), interleaved(sides))


def bench_training() -> None:
    def train_rust() -> None:
        tokenizer = RustTokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=2045, initial_alphabet=alphabet, show_progress=False)
        tokenizer.train_from_iterator(DOCUMENTS, trainer)

    sides = {
        "cblab": lambda: BPETokenizer.train(DOCUMENTS, 2048, pattern=GPT2_PATTERN),
        "tokenizers": train_rust,
    }
    report("Training a vocabulary of 2,048", "bytes", NUM_BYTES, interleaved(sides, repeats=3))

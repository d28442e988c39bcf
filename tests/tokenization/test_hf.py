import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from tokenizers import Tokenizer as RustTokenizer
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from cblab.tokenization import BPETokenizer, HFTokenizer, IncrementalDetokenizer, Tokenizer, load_tokenizer
from tests.tokenization.reference import CORPORA, STORY, texts

ALL_TEXTS = [text for corpus in CORPORA.values() for text in corpus]


def sentencepiece_like() -> PreTrainedTokenizerFast:
    """Laid out as Llama 2's file: "▁" for a space, one in front of a text, bytes for what is unknown."""
    tokenizer = RustTokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    prepend = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.normalizer = prepend
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    all_bytes = [f"<0x{byte:02X}>" for byte in range(256)]
    tokens = ["<unk>", "<s>", "</s>", *all_bytes, "▁", *"abeht", "th", "▁th", "▁the"]
    vocab = {token: i for i, token in enumerate(tokens)}
    merges = [("t", "h"), ("▁", "th"), ("▁th", "e")]
    tokenizer.model = models.BPE(vocab, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


def word_piece() -> PreTrainedTokenizerFast:
    tokenizer = RustTokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.train_from_iterator([STORY], trainers.WordPieceTrainer(vocab_size=80, special_tokens=["[UNK]"]))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]")


@pytest.fixture(scope="module")
def ours() -> BPETokenizer:
    return BPETokenizer.train(ALL_TEXTS, 600)


@pytest.fixture(scope="module")
def folder(ours: BPETokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved")
    ours.save(path)
    return path


@pytest.fixture(scope="module")
def wrapped(folder: Path) -> HFTokenizer:
    return HFTokenizer.from_pretrained(folder)


def test_it_is_the_same_tokenizer(ours: BPETokenizer, wrapped: HFTokenizer) -> None:
    assert isinstance(wrapped, Tokenizer)
    for name in ("vocab_size", "bos_token_id", "eos_token_id", "pad_token_id"):
        assert getattr(wrapped, name) == getattr(ours, name)
    assert [wrapped.token_bytes(i) for i in range(600)] == [ours.token_bytes(i) for i in range(600)]


@given(text=texts())
def test_it_encodes_and_decodes_alike(ours: BPETokenizer, wrapped: HFTokenizer, text: str) -> None:
    for special, split in ((True, False), (False, True)):
        ids = ours.encode(text, add_special_tokens=special, split_special_tokens=split)
        assert wrapped.encode(text, add_special_tokens=special, split_special_tokens=split) == ids
        assert wrapped.decode(ids) == ours.decode(ids)
        assert wrapped.decode(ids, skip_special_tokens=False) == ours.decode(ids, skip_special_tokens=False)


def test_detokenizing_sentencepiece_keeps_the_space_in_front() -> None:
    tokenizer = HFTokenizer(sentencepiece_like())
    ids = tokenizer.encode("the é b", add_special_tokens=False)
    detokenizer = IncrementalDetokenizer(tokenizer)
    parts = [detokenizer.push(token_id) for token_id in [tokenizer.bos_token_id or 0, *ids]]
    assert parts == ["", " the", " ", "", "é", " ", "b"]
    assert tokenizer.decode(ids) == "the é b"


def test_another_decoder_is_refused_by_name() -> None:
    tokenizer = HFTokenizer(word_piece())
    assert tokenizer.decode(tokenizer.encode("the fox")) == "the fox"
    with pytest.raises(ValueError, match="the decoder WordPiece"):
        tokenizer.token_bytes(5)


def test_an_unknown_id_is_named(wrapped: HFTokenizer) -> None:
    for token_id in (600, -1):
        with pytest.raises(ValueError, match=f"token id {token_id} is not"):
            wrapped.token_bytes(token_id)
        with pytest.raises(ValueError, match=f"token id {token_id} is not"):
            wrapped.decode([token_id])


def test_load_tokenizer_prefers_ours(ours: BPETokenizer, folder: Path) -> None:
    for path in (folder, str(folder), folder / "tokenizer.json"):
        loaded = load_tokenizer(path)
        assert isinstance(loaded, BPETokenizer)
        assert loaded.encode(STORY) == ours.encode(STORY)


def test_load_tokenizer_leaves_other_kinds_to_transformers(tmp_path: Path) -> None:
    sentencepiece_like().save_pretrained(tmp_path)
    loaded = load_tokenizer(tmp_path)
    assert isinstance(loaded, HFTokenizer)
    assert loaded.decode(loaded.encode("the b", add_special_tokens=False)) == "the b"


@pytest.mark.parametrize("name", ["./missing", "/missing/folder", "a/b/c", ""])
def test_a_missing_folder_is_named(name: str) -> None:
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        load_tokenizer(name)


def test_a_hub_id_that_cannot_be_had_is_named() -> None:
    with pytest.raises(FileNotFoundError, match="'no-such-owner/no-such-model' is no local folder"):
        load_tokenizer("no-such-owner/no-such-model")


def test_the_import_loads_neither_torch_nor_transformers() -> None:
    heavy = {"torch", "transformers", "tokenizers", "numpy"}
    code = f"import sys, cblab.tokenization; print({heavy} & set(sys.modules))"
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert output.strip() == "set()"

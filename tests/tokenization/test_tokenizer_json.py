import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from tokenizers import AddedToken, Regex, decoders, models, pre_tokenizers, processors, trainers
from tokenizers import Tokenizer as RustTokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from cblab.tokenization import (
    GPT2_PATTERN,
    LLAMA3_PATTERN,
    BPETokenizer,
    SpecialTokens,
    UnsupportedTokenizerError,
)
from tests.tokenization.reference import CORPORA, STORY, texts

ALL_TEXTS = [text for corpus in CORPORA.values() for text in corpus]
Json = dict[str, Any]


def gpt2_layout() -> RustTokenizer:
    """Laid out as GPT-2's file: ByteLevel alone, no bos in front, and the library's order of ids."""
    tokenizer = RustTokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=600, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(ALL_TEXTS, trainer)
    tokenizer.add_special_tokens(["<|endoftext|>"])
    return tokenizer


def llama3_layout() -> RustTokenizer:
    """Laid out as Llama 3's file: Split + ByteLevel, bos by template, ignore_merges."""
    tokenizer = gpt2_layout()
    model = json.loads(tokenizer.to_str())["model"]
    merges = [tuple(merge) for merge in model["merges"]]
    tokenizer = RustTokenizer(models.BPE(vocab=model["vocab"], merges=merges, ignore_merges=True))
    split = pre_tokenizers.Split(Regex(LLAMA3_PATTERN), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"])
    bos = ("<|begin_of_text|>", tokenizer.token_to_id("<|begin_of_text|>"))
    template = processors.TemplateProcessing(single=f"{bos[0]} $A", special_tokens=[bos])
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), template])
    return tokenizer


def save_rust(tokenizer: RustTokenizer, folder: Path, config: Json) -> Path:
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def ours() -> BPETokenizer:
    return BPETokenizer.train(ALL_TEXTS, 700)


@pytest.fixture(scope="module")
def folder(ours: BPETokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved")
    ours.save(path)
    (path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    return path


@pytest.fixture(scope="module")
def auto(folder: Path) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(folder)


@given(text=texts())
def test_auto_tokenizer_gives_the_same_ids(
    ours: BPETokenizer, auto: PreTrainedTokenizerBase, text: str
) -> None:
    ids = ours.encode(text)
    assert auto(text)["input_ids"] == ids
    assert ids[0] == ours.bos_token_id
    assert auto.decode(ids, skip_special_tokens=True) == ours.decode(ids)
    assert auto.decode(ids) == ours.decode(ids, skip_special_tokens=False)


@given(text=texts())
def test_special_tokens_can_be_split_as_transformers_does(
    ours: BPETokenizer, auto: PreTrainedTokenizerBase, text: str
) -> None:
    assert auto(text, split_special_tokens=True)["input_ids"] == ours.encode(text, split_special_tokens=True)


def test_auto_tokenizer_has_the_same_special_tokens(
    ours: BPETokenizer, auto: PreTrainedTokenizerBase
) -> None:
    assert (auto.bos_token, auto.eos_token, auto.pad_token) == ("<|bos|>", "<|eos|>", "<|pad|>")
    assert (auto.bos_token_id, auto.eos_token_id, auto.pad_token_id) == (697, 698, 699)
    assert (ours.bos_token_id, ours.eos_token_id, ours.pad_token_id) == (697, 698, 699)
    assert len(auto) == ours.vocab_size == 700
    assert auto("a", "b")["input_ids"] == ours.encode("a") + ours.encode("b")


def test_loading_gives_back_what_was_saved(ours: BPETokenizer, folder: Path, tmp_path: Path) -> None:
    for path in (folder, folder / "tokenizer.json"):
        loaded = BPETokenizer.load(path)
        assert loaded.merges == ours.merges
        assert loaded.special_tokens == ours.special_tokens
        assert loaded.vocabulary == ours.vocabulary
        assert (loaded.pattern, loaded.add_bos, loaded.whole_pieces_first) == (ours.pattern, True, False)
    loaded.save(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


@pytest.mark.parametrize(
    "special_tokens", [(), ("<|eos|>",), SpecialTokens(("<s>", "<t>"), "<s>", None, None)]
)
@pytest.mark.parametrize("add_bos", [True, False])
def test_other_special_tokens_come_back_too(
    special_tokens: tuple[str, ...] | SpecialTokens, add_bos: bool, tmp_path: Path
) -> None:
    saved = BPETokenizer([(b"a", b"b")], special_tokens, add_bos=add_bos)
    saved.save(tmp_path)
    loaded = BPETokenizer.load(tmp_path)
    text = "<s>ab<|eos|>ab<t>"
    assert loaded.special_tokens == saved.special_tokens
    assert (
        loaded.encode(text)
        == saved.encode(text)
        == AutoTokenizer.from_pretrained(tmp_path)(text)["input_ids"]
    )


def test_the_gpt2_layout_is_loaded(tmp_path: Path) -> None:
    rust = gpt2_layout()
    name = "<|endoftext|>"
    loaded = BPETokenizer.load(save_rust(rust, tmp_path, {"bos_token": name, "eos_token": {"content": name}}))
    assert loaded.pattern == GPT2_PATTERN
    assert loaded.bos_token_id == loaded.eos_token_id == 600
    assert loaded.pad_token_id is None
    for text in [*ALL_TEXTS, f"a{name}b", "I'LL 123  x"]:
        assert loaded.encode(text) == rust.encode(text).ids
        assert loaded.decode(loaded.encode(text)) == text.replace(name, "")


def test_the_llama3_layout_is_loaded(tmp_path: Path) -> None:
    rust = llama3_layout()
    loaded = BPETokenizer.load(save_rust(rust, tmp_path, {"eos_token": "<|eot_id|>"}))
    assert loaded.special_tokens.bos == "<|begin_of_text|>"
    assert loaded.encode("a")[0] == loaded.bos_token_id == 600
    assert loaded.whole_pieces_first
    for text in [*ALL_TEXTS, "a<|eot_id|>b", "I'LL 12345  x\n\n\n y"]:
        assert loaded.encode(text) == rust.encode(text).ids


def test_old_files_are_loaded(tmp_path: Path) -> None:
    """As GPT-2's own file on the hub: no model type, merges as text, empty prefixes, no use_regex."""
    rust = gpt2_layout()
    steps = json.loads(rust.to_str())
    del steps["model"]["type"], steps["pre_tokenizer"]["use_regex"]
    steps["model"] |= {"continuing_subword_prefix": "", "end_of_word_suffix": ""}
    steps["model"]["merges"] = [" ".join(merge) for merge in steps["model"]["merges"]]
    (tmp_path / "tokenizer.json").write_text(json.dumps(steps))
    loaded = BPETokenizer.load(tmp_path)
    assert loaded.encode(STORY) == rust.encode(STORY).ids
    assert loaded.bos_token_id is None


def test_a_loaded_vocabulary_keeps_its_ids_when_it_is_saved_again(tmp_path: Path) -> None:
    rust = llama3_layout()
    loaded = BPETokenizer.load(save_rust(rust, tmp_path, {}))
    loaded.save(tmp_path / "again")
    again = AutoTokenizer.from_pretrained(tmp_path / "again")
    for text in ALL_TEXTS:
        assert again(text)["input_ids"] == rust.encode(text).ids


@pytest.mark.parametrize("add_bos_token", [True, False])
def test_the_post_processor_decides_about_bos_not_the_configuration_as_in_transformers(
    ours: BPETokenizer, add_bos_token: bool, tmp_path: Path
) -> None:
    ours.save(tmp_path)
    file = tmp_path / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"add_bos_token": add_bos_token}))
    loaded = BPETokenizer.load(tmp_path)
    assert loaded.encode("a") == AutoTokenizer.from_pretrained(tmp_path)("a")["input_ids"]
    assert loaded.encode("a") == ours.encode("a")


def eos_for_bos(step: Json) -> Any:
    return json.loads(json.dumps(step).replace("<|bos|>", "<|eos|>").replace("697", "698"))


BPE_REFUSALS: dict[str, tuple[Callable[[Json], Any], str]] = {
    "normalizer": (lambda s: s.update(normalizer={"type": "NFC"}), r"a normalizer \(NFC\)"),
    "truncation": (lambda s: s.update(truncation={"max_length": 5}), "a truncation"),
    "padding": (lambda s: s.update(padding={"strategy": "BatchLongest"}), "a padding"),
    "decoder": (lambda s: s.update(decoder={"type": "WordPiece"}), "the decoder WordPiece"),
    "no decoder": (lambda s: s.update(decoder=None), "the decoder None"),
    "model": (lambda s: s["model"].update(type="Unigram"), "the model Unigram"),
    "dropout": (lambda s: s["model"].update(dropout=0.1), "the model option dropout=0.1"),
    "prefix": (lambda s: s["model"].update(continuing_subword_prefix="##"), "continuing_subword_prefix='##'"),
    "fallback": (lambda s: s["model"].update(byte_fallback=True), "byte_fallback=True"),
    "vocabulary": (lambda s: s["model"]["vocab"].update({"▁the": 9999}), "not byte-level.*'▁'"),
    "no pre-tokenizer": (lambda s: s.update(pre_tokenizer=None), "no pre_tokenizer"),
    "Metaspace": (lambda s: s.update(pre_tokenizer={"type": "Metaspace"}), "the pre_tokenizer Metaspace"),
    "prefix space": (
        lambda s: s["pre_tokenizer"]["pretokenizers"][1].update(add_prefix_space=True),
        "ByteLevel with add_prefix_space=true",
    ),
    "two cuts": (
        lambda s: s["pre_tokenizer"]["pretokenizers"][1].update(use_regex=True),
        "ByteLevel that cuts",
    ),
    "digits": (
        lambda s: s["pre_tokenizer"]["pretokenizers"].insert(0, {"type": "Digits"}),
        r"the pre_tokenizer Digits \+ Split \+ ByteLevel",
    ),
    "split": (
        lambda s: s["pre_tokenizer"]["pretokenizers"][0].update(behavior="Removed"),
        "a pre_tokenizer Split",
    ),
    "post-processor": (
        lambda s: s.update(post_processor={"type": "BertProcessing"}),
        "the post_processor Bert",
    ),
    "eos behind": (
        lambda s: s["post_processor"]["single"].append({"SpecialToken": {"id": "<|eos|>", "type_id": 0}}),
        "a post_processor that adds",
    ),
    "another in front": (
        lambda s: s.update(post_processor=eos_for_bos(s["post_processor"])),
        "adds '<|eos|>', not the bos token '<|bos|>'",
    ),
    "template id": (
        lambda s: s["post_processor"]["special_tokens"]["<|bos|>"].update(ids=[5]),
        "'<|bos|>' with an id",
    ),
    "two in front": (
        lambda s: s.update(post_processor={"type": "Sequence", "processors": [s["post_processor"]] * 2}),
        "adds <|bos|> and <|bos|>",
    ),
    "two ids": (lambda s: s["added_tokens"][2].update(id=5), "two ids for the added token '<|pad|>'"),
    "no model": (lambda s: s.pop("model"), "no model"),
    "added token": (
        lambda s: s["added_tokens"][0].update(lstrip=True),
        "added token '<|bos|>' with lstrip=true",
    ),
    "not special": (
        lambda s: s["added_tokens"][1].update(special=False),
        "added token '<|eos|>' with special=f",
    ),
}


@pytest.mark.parametrize("what", BPE_REFUSALS)
def test_a_step_that_is_not_understood_is_refused_by_name(what: str, folder: Path, tmp_path: Path) -> None:
    change, message = BPE_REFUSALS[what]
    steps = copy.deepcopy(json.loads((folder / "tokenizer.json").read_text()))
    change(steps)
    (tmp_path / "tokenizer.json").write_text(json.dumps(steps))
    (tmp_path / "tokenizer_config.json").write_bytes((folder / "tokenizer_config.json").read_bytes())
    with pytest.raises(UnsupportedTokenizerError, match=message.replace("|", r"\|")):
        BPETokenizer.load(tmp_path)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"add_prefix_space": True}, "add_prefix_space=true"),
        ({"eos_token": "</s>"}, "no eos_token '</s>'"),
        ({"extra_special_tokens": ["<|tool|>"]}, "no extra_special_tokens '<|tool|>'"),
        ({"additional_special_tokens": ["<|tool|>"]}, "no additional_special_tokens '<|tool|>'"),
    ],
)
def test_a_configuration_that_is_not_understood_is_refused(
    config: Json, message: str, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(UnsupportedTokenizerError, match=message.replace("|", r"\|")):
        BPETokenizer.load(tmp_path)


def test_a_missing_byte_is_named(folder: Path, tmp_path: Path) -> None:
    steps = json.loads((folder / "tokenizer.json").read_text())
    del steps["model"]["vocab"]["~"]
    (tmp_path / "tokenizer.json").write_text(json.dumps(steps))
    with pytest.raises(ValueError, match=r"missing: \[126\]"):
        BPETokenizer.load(tmp_path)


def test_a_file_that_is_missing_or_no_json_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no tokenizer\.json"):
        BPETokenizer.load(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(ValueError, match=r"tokenizer\.json is not valid JSON"):
        BPETokenizer.load(tmp_path)


def test_special_tokens_found_in_text_are_those_of_the_library(tmp_path: Path) -> None:
    """Names that overlap, that begin alike and that hold spaces: the left-most wins, then the longest."""
    special = SpecialTokens(("<a>", "<a><b>", "<b>x", "a b", "世界", "><"), None, None, None)
    ours = BPETokenizer([], special)
    ours.save(tmp_path)
    rust = RustTokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert rust.get_added_tokens_decoder()[256] == AddedToken("<a>", special=True, normalized=False)
    for text in ("<a><b>x", "<a><c><b>x", "xa b世界世", "<a ><a><<b", " <b>x<b>x", "a  b"):
        assert ours.encode(text) == rust.encode(text).ids

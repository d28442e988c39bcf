"""Writing `tokenizer.json`, the format of the `tokenizers` library that every model ships.

A file names its steps: normalizer (ours has none), pre-tokenizer, model, post-processor (what goes in front),
decoder. `tokenizer_json_reader` reads it back.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cblab.tokenization.byte_alphabet import bytes_to_text
from cblab.tokenization.special_tokens import SpecialTokens
from cblab.tokenization.vocabulary import Vocabulary

Json = dict[str, Any]

TOKENIZER_FILE = "tokenizer.json"
CONFIG_FILE = "tokenizer_config.json"


@dataclass(frozen=True)
class TokenizerFile:
    """What a byte-level BPE tokenizer consists of; the fields are those of `BPETokenizer`."""

    merges: list[tuple[bytes, bytes]]
    special_tokens: SpecialTokens
    pattern: str
    vocabulary: Vocabulary
    add_bos: bool
    whole_pieces_first: bool


def write_tokenizer(tokenizer: TokenizerFile, folder: Path) -> None:
    """Write `tokenizer.json` and `tokenizer_config.json` into `folder`, made if it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (
        (TOKENIZER_FILE, _steps(tokenizer)),
        (CONFIG_FILE, _config(tokenizer.special_tokens)),
    ):
        text = json.dumps(content, ensure_ascii=False, indent=1)
        (folder / name).write_text(text + "\n", encoding="utf-8")


def _steps(tokenizer: TokenizerFile) -> Json:
    special_ids = tokenizer.vocabulary.special_ids
    split = {
        "type": "Split",
        "pattern": {"Regex": tokenizer.pattern},
        "behavior": "Isolated",
        "invert": False,
    }
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    vocab = {bytes_to_text(data): token_id for data, token_id in tokenizer.vocabulary.token_ids.items()}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added_token(name, token_id) for name, token_id in special_ids.items()],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
        "post_processor": _bos_in_front(tokenizer),
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": tokenizer.whole_pieces_first,
            "vocab": vocab | dict(special_ids),
            "merges": [[bytes_to_text(left), bytes_to_text(right)] for left, right in tokenizer.merges],
        },
    }


def _added_token(name: str, token_id: int) -> Json:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {"id": token_id, "content": name, **flags}


def _bos_in_front(tokenizer: TokenizerFile) -> Json | None:
    bos = tokenizer.special_tokens.bos
    if bos is None or not tokenizer.add_bos:
        return None
    text_a = [{"SpecialToken": {"id": bos, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    text_b = [{"SpecialToken": {"id": bos, "type_id": 1}}, {"Sequence": {"id": "B", "type_id": 1}}]
    token = {"id": bos, "ids": [tokenizer.vocabulary.special_ids[bos]], "tokens": [bos]}
    return {
        "type": "TemplateProcessing",
        "single": text_a,
        "pair": text_a + text_b,
        "special_tokens": {bos: token},
    }


def _config(special_tokens: SpecialTokens) -> Json:
    roles = {
        "bos_token": special_tokens.bos,
        "eos_token": special_tokens.eos,
        "pad_token": special_tokens.pad,
    }
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        **{role: name for role, name in roles.items() if name is not None},
    }

"""Reading `tokenizer.json`: GPT-2's layout and Llama 3's (which is also what we write), and nothing else.

A step that is passed over would give other ids than the file's author meant, and nobody would notice. So
every step is looked at, and one that `BPETokenizer` does not have is refused by name.
"""

import json
from pathlib import Path
from typing import NoReturn

from cblab.tokenization.byte_alphabet import text_to_bytes
from cblab.tokenization.pretokenizer import GPT2_PATTERN
from cblab.tokenization.special_tokens import SpecialTokens
from cblab.tokenization.tokenizer_json import CONFIG_FILE, TOKENIZER_FILE, Json, TokenizerFile
from cblab.tokenization.vocabulary import Vocabulary


class UnsupportedTokenizerError(ValueError):
    """A `tokenizer.json` with a step that `BPETokenizer` does not have; the message names the step."""


def _refuse(what: str) -> NoReturn:
    raise UnsupportedTokenizerError(
        f"{TOKENIZER_FILE} has {what}, which BPETokenizer does not do; "
        "HFTokenizer.from_pretrained loads such a tokenizer"
    )


def read_tokenizer(path: Path) -> TokenizerFile:
    """Read a folder (or the `tokenizer.json` in it), and a `tokenizer_config.json` beside it.

    Raises `FileNotFoundError` where there is none, `UnsupportedTokenizerError` for a step that is not
    understood.
    """
    file = path / TOKENIZER_FILE if path.is_dir() else path
    if not file.is_file():
        raise FileNotFoundError(f"there is no {TOKENIZER_FILE} at {path}")
    steps = _read_json(file)
    config = _read_json(file.with_name(CONFIG_FILE)) if file.with_name(CONFIG_FILE).is_file() else {}
    if config.get("add_prefix_space"):
        _refuse(f"add_prefix_space=true (in {CONFIG_FILE})")
    for step in ("normalizer", "truncation", "padding"):
        if steps.get(step) is not None:
            _refuse(f"a {step} ({steps[step].get('type', 'on')})")
    if _type(steps.get("decoder")) != "ByteLevel":
        _refuse(f"the decoder {_type(steps.get('decoder'))}")
    if not isinstance(model := steps.get("model"), dict):
        _refuse("no model")
    special_ids = _special_ids(steps)
    in_front = _token_in_front(steps.get("post_processor"), special_ids)
    return TokenizerFile(
        merges=_merges(model),
        special_tokens=_roles(config, tuple(special_ids), in_front),
        pattern=_pattern(steps.get("pre_tokenizer")),
        vocabulary=Vocabulary(_token_ids(model, special_ids), special_ids),
        add_bos=in_front is not None,  # as in transformers, whatever the configuration says about it
        whole_pieces_first=bool(model.get("ignore_merges")),
    )


def _read_json(file: Path) -> Json:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{file} must hold a JSON object, got {type(content).__name__}")
    return content


def _type(step: Json | None) -> str | None:
    return None if step is None else step.get("type")


def _pattern(step: Json | None) -> str:
    """Return the pattern of `ByteLevel` alone (GPT-2) or of `Sequence[Split, ByteLevel]` (Llama 3)."""
    if step is None:
        _refuse("no pre_tokenizer")
    steps: list[Json] = step["pretokenizers"] if step["type"] == "Sequence" else [step]
    types = [each["type"] for each in steps]
    if types == ["ByteLevel"]:
        _check_byte_level(steps[0], use_regex=True)
        return GPT2_PATTERN
    if types != ["Split", "ByteLevel"]:
        _refuse(f"the pre_tokenizer {' + '.join(types)}")
    split, byte_level = steps
    if "Regex" not in split["pattern"] or split["behavior"] != "Isolated" or split["invert"]:
        _refuse("a pre_tokenizer Split that is not Regex, Isolated and not inverted")
    _check_byte_level(byte_level, use_regex=False)
    return str(split["pattern"]["Regex"])


def _check_byte_level(step: Json, use_regex: bool) -> None:
    if step.get("add_prefix_space"):
        _refuse("the pre_tokenizer ByteLevel with add_prefix_space=true")
    if step.get("use_regex", True) != use_regex:
        _refuse(
            "a pre_tokenizer ByteLevel that cuts after a Split has, or does not cut where there is no Split"
        )


def _merges(model: Json) -> list[tuple[bytes, bytes]]:
    """Return the merges as bytes; an old file has them as "left right", a newer one as ["left", "right"].

    What the model does with unknown characters is not looked at: with all 256 bytes in it there are none.
    """
    if model.get("type", "BPE") != "BPE":
        _refuse(f"the model {model['type']}")
    for option in ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback"):
        if model.get(option):
            _refuse(f"the model option {option}={model[option]!r}")
    pairs = [merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"]]
    return [(text_to_bytes(left), text_to_bytes(right)) for left, right in pairs]


def _special_ids(steps: Json) -> dict[str, int]:
    for token in steps["added_tokens"]:
        name = token["content"]
        for flag, wanted in (("special", True), ("single_word", False), ("lstrip", False), ("rstrip", False)):
            if token[flag] != wanted:
                _refuse(f"the added token {name!r} with {flag}={str(not wanted).lower()}")
        if steps["model"]["vocab"].get(name, token["id"]) != token["id"]:
            _refuse(f"two ids for the added token {name!r}")
    return {token["content"]: token["id"] for token in steps["added_tokens"]}


def _token_ids(model: Json, special_ids: dict[str, int]) -> dict[bytes, int]:
    try:
        return {text_to_bytes(text): i for text, i in model["vocab"].items() if text not in special_ids}
    except ValueError as error:
        _refuse(f"a vocabulary that is not byte-level ({error})")


def _token_in_front(step: Json | None, special_ids: dict[str, int]) -> str | None:
    """Return the special token that the post-processor puts in front of a text, if it does."""
    if step is None or step["type"] == "ByteLevel":  # ByteLevel only trims the offsets
        return None
    if step["type"] == "Sequence":
        found = [_token_in_front(each, special_ids) for each in step["processors"]]
        names = [name for name in found if name is not None]
        if len(names) > 1:
            _refuse(f"a post_processor that adds {' and '.join(names)}")
        return names[0] if names else None
    if step["type"] != "TemplateProcessing":
        _refuse(f"the post_processor {step['type']}")
    match step["single"]:
        case [{"Sequence": _}]:
            return None
        case [{"SpecialToken": {"id": str(name)}}, {"Sequence": _}]:
            if step["special_tokens"].get(name, {}).get("ids") != [special_ids.get(name)]:
                _refuse(f"a post_processor that adds {name!r} with an id that is not this token's")
            return name
    _refuse("a post_processor that adds more than one token in front of a text")


def _roles(config: Json, names: tuple[str, ...], in_front: str | None) -> SpecialTokens:
    """Take the roles from the configuration; without one, bos is what the post-processor puts in front."""
    for option in ("extra_special_tokens", "additional_special_tokens"):
        for token in config.get(option) or []:
            _name(token, option, names)
    bos, eos, pad = (_name(config.get(role), role, names) for role in ("bos_token", "eos_token", "pad_token"))
    if in_front is not None and bos not in (None, in_front):
        _refuse(f"a post_processor that adds {in_front!r}, not the bos token {bos!r}")
    return SpecialTokens(names, bos or in_front, eos, pad)


def _name(token: str | Json | None, option: str, names: tuple[str, ...]) -> str | None:
    """Return the name of a token of the configuration, given as such or in an object that holds it."""
    name = token["content"] if isinstance(token, dict) else token
    if name is not None and name not in names:
        _refuse(f"no {option} {name!r} (named in {CONFIG_FILE}) among its added tokens")
    return name

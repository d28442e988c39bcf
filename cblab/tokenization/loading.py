"""`load_tokenizer`: the right tokenizer for a folder or a hub id."""

from pathlib import Path

from cblab.tokenization.bpe_tokenizer import BPETokenizer
from cblab.tokenization.hf import HFTokenizer
from cblab.tokenization.protocol import Tokenizer
from cblab.tokenization.tokenizer_json import TOKENIZER_FILE
from cblab.tokenization.tokenizer_json_reader import UnsupportedTokenizerError


def load_tokenizer(path_or_id: str | Path) -> Tokenizer:
    """Load the tokenizer of a model: a folder (or its `tokenizer.json`), or an id on the Hugging Face hub.

    A byte-level BPE that we understand becomes a `BPETokenizer`; for anything else transformers does the work
    (`HFTokenizer`). What is neither a folder nor an id is a `FileNotFoundError`.
    """
    path = Path(path_or_id)
    if not path.exists() or path_or_id == "":
        if not _looks_like_hub_id(str(path_or_id)):
            raise FileNotFoundError(f"there is no folder {str(path_or_id)!r} to load a tokenizer from")
        path = _download(str(path_or_id))
    if path.is_file() or (path / TOKENIZER_FILE).is_file():
        try:
            return BPETokenizer.load(path)
        except UnsupportedTokenizerError:
            path = path if path.is_dir() else path.parent
    try:
        return HFTokenizer.from_pretrained(path)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} holds no tokenizer that can be loaded: {error}") from error


def _looks_like_hub_id(name: str) -> bool:
    return bool(name) and name[0] not in "./~" and name.count("/") <= 1 and "\\" not in name


def _download(hub_id: str) -> Path:
    """Fetch the small files of a model, without its weights; return the folder."""
    from huggingface_hub import snapshot_download

    patterns = ["*.json", "*.model", "merges.txt", "vocab.txt"]
    try:
        return Path(snapshot_download(hub_id, allow_patterns=patterns, ignore_patterns=["*.index.json"]))
    except Exception as error:
        raise FileNotFoundError(
            f"{hub_id!r} is no local folder, and it could not be had from the Hugging Face hub: {error}"
        ) from error

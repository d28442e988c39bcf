"""`HFTokenizer`: any tokenizer that transformers can load, behind the same five methods."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cblab.tokenization.byte_alphabet import text_to_bytes

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_BYTE_TOKEN = re.compile(r"<0x([0-9A-F]{2})>")


class HFTokenizer:
    """Wrap a transformers tokenizer.

    `token_bytes` works where the decoder is byte-level (GPT-2, Llama 3, Qwen, …) or SentencePiece-like (Llama
    2, Mistral: "▁" is a space, "<0xE4>" a byte). There the text of a token inside a sequence is meant:
    SentencePiece's `decode` drops the one space in front of a whole text, `token_bytes` keeps it.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer

    @classmethod
    def from_pretrained(cls, path_or_id: str | Path) -> HFTokenizer:
        """Load with transformers' `AutoTokenizer`, from a folder or from the hub."""
        from transformers import AutoTokenizer

        return cls(AutoTokenizer.from_pretrained(str(path_or_id)))

    @cached_property
    def vocab_size(self) -> int:
        """One more than the largest id, added tokens included."""
        return max(self.tokenizer.get_vocab().values()) + 1

    @property
    def bos_token_id(self) -> int | None:
        """Id of the token that begins a sequence, if there is one."""
        return self.tokenizer.bos_token_id

    @property
    def eos_token_id(self) -> int | None:
        """Id of the token that ends a sequence, if there is one."""
        return self.tokenizer.eos_token_id

    @property
    def pad_token_id(self) -> int | None:
        """Id of the token that pads a batch, if there is one."""
        return self.tokenizer.pad_token_id

    def encode(
        self, text: str, *, add_special_tokens: bool = True, split_special_tokens: bool = False
    ) -> list[int]:
        """Return the ids as transformers gives them; `split_special_tokens` as in `BPETokenizer.encode`."""
        options = {"add_special_tokens": add_special_tokens, "split_special_tokens": split_special_tokens}
        return list(self.tokenizer(text, **options)["input_ids"])

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = True) -> str:
        """Return the text as transformers gives it, spaces not cleaned up; no unknown id may be in it."""
        for token_id in ids:
            self._check(token_id)
        options = {"skip_special_tokens": skip_special_tokens, "clean_up_tokenization_spaces": False}
        return str(self.tokenizer.decode(list(ids), **options))

    def _check(self, token_id: int) -> None:
        if not 0 <= token_id < self.vocab_size:
            raise ValueError(
                f"token id {token_id} is not in the vocabulary (ids are below {self.vocab_size})"
            )

    def token_bytes(self, token_id: int) -> bytes:
        """Return the raw bytes of one token, `b""` for a special token."""
        self._check(token_id)
        if token_id in self._special_ids:
            return b""
        token = str(self.tokenizer.convert_ids_to_tokens(token_id))
        if token in self.tokenizer.get_added_vocab():
            return token.encode()
        if self._decoder == "ByteLevel":
            return text_to_bytes(token)
        byte = _BYTE_TOKEN.fullmatch(token)
        return bytes.fromhex(byte[1]) if byte else token.replace("▁", " ").encode()

    @cached_property
    def _special_ids(self) -> frozenset[int]:
        marked = [i for i, token in self.tokenizer.added_tokens_decoder.items() if token.special]
        return frozenset([*marked, *self.tokenizer.all_special_ids])

    @cached_property
    def _decoder(self) -> str:
        """Return "ByteLevel" or "SentencePiece"; another kind of decoder is a `ValueError` that names it."""
        backend: Any = getattr(self.tokenizer, "backend_tokenizer", None)
        decoder = json.loads(backend.to_str())["decoder"] if backend is not None else None
        kind = (decoder or {}).get("type")
        parts = (
            [part["type"] for part in decoder["decoders"]]
            if decoder is not None and kind == "Sequence"
            else [kind]
        )
        if "ByteLevel" in parts:
            return "ByteLevel"
        if "ByteFallback" in parts or "Metaspace" in parts:
            return "SentencePiece"
        raise ValueError(
            f"the bytes of single tokens are not known for the decoder {' + '.join(map(str, parts))}"
        )

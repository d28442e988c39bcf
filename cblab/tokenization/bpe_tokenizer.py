"""`BPETokenizer`: special tokens, pre-tokenizer and merges put together."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from cblab.tokenization.bpe import token_table
from cblab.tokenization.bpe_encoder import merge_by_rank
from cblab.tokenization.bpe_trainer import train_bpe
from cblab.tokenization.pretokenizer import DEFAULT_PATTERN, compile_pattern, split_pieces
from cblab.tokenization.special_tokens import (
    DEFAULT_SPECIAL_TOKENS,
    SpecialTokenIds,
    SpecialTokens,
    SpecialTokenSplitter,
)
from cblab.tokenization.tokenizer_json import TokenizerFile, write_tokenizer
from cblab.tokenization.tokenizer_json_reader import read_tokenizer
from cblab.tokenization.vocabulary import Vocabulary

Merge = tuple[bytes, bytes]

MAX_CACHED_BYTES = 64


class BPETokenizer(SpecialTokenIds):
    """A byte-level BPE tokenizer, token for token equal to the `tokenizers` library on the same vocabulary.

    Ids, unless a loaded file says otherwise: 0..255 are the bytes, then one token for each merge in the order
    in which they were learned, then the special tokens.

    Args:
        merges: pairs of byte strings, lowest rank first; both parts must be tokens.
        special_tokens: their names in the order of their ids, or a `SpecialTokens` that also gives the roles.
        pattern: regular expression of the pre-tokenizer (see `pretokenizer`).
        vocabulary: the ids, for a vocabulary that numbers its tokens in another way.
        add_bos: whether `encode` puts bos in front. Nothing ever adds eos.
        whole_pieces_first: a piece that is a token becomes that token without merging (Llama 3 does this).
    """

    def __init__(
        self,
        merges: Sequence[Merge],
        special_tokens: SpecialTokens | Sequence[str] = DEFAULT_SPECIAL_TOKENS,
        pattern: str = DEFAULT_PATTERN,
        *,
        vocabulary: Vocabulary | None = None,
        add_bos: bool = True,
        whole_pieces_first: bool = False,
        cache_size: int = 65536,
    ) -> None:
        if not isinstance(special_tokens, SpecialTokens):
            special_tokens = SpecialTokens.from_names(special_tokens)
        self.merges = list(merges)
        self.special_tokens = special_tokens
        self.pattern = pattern
        self.vocabulary = vocabulary or Vocabulary.from_merges(self.merges, special_tokens.names)
        self.add_bos = add_bos
        self.whole_pieces_first = whole_pieces_first
        self.cache_size = cache_size
        self._merge_table = self.vocabulary.merge_table(self.merges)
        self._byte_ids = [self.vocabulary.token_ids[bytes([byte])] for byte in range(256)]
        self._regex = compile_pattern(pattern)
        self._splitter = SpecialTokenSplitter(special_tokens.names)
        self._cache: dict[str, list[int]] = {}

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        vocab_size: int,
        special_tokens: SpecialTokens | Sequence[str] = DEFAULT_SPECIAL_TOKENS,
        pattern: str = DEFAULT_PATTERN,
        *,
        min_count: int = 1,
    ) -> "BPETokenizer":
        """Learn a vocabulary of `vocab_size` tokens, bytes and special tokens included, from `texts`.

        Special tokens that stand in the texts are trained on as plain text. The vocabulary is smaller than
        asked for if every piece of the texts has become one token before (or no pair occurs `min_count`
        times).
        """
        if isinstance(texts, str):
            raise ValueError("texts must be an iterable of strings, got a single string: put it in a list")
        if not isinstance(special_tokens, SpecialTokens):
            special_tokens = SpecialTokens.from_names(special_tokens)
        num_merges = vocab_size - 256 - len(special_tokens.names)
        if num_merges < 0:
            raise ValueError(
                f"vocab_size={vocab_size} is too small: the 256 bytes and "
                f"{len(special_tokens.names)} special tokens need {vocab_size - num_merges}"
            )
        compiled = compile_pattern(pattern)
        pieces: Counter[str] = Counter()
        for text in texts:
            pieces.update(split_pieces(text, compiled))
        pairs = train_bpe({piece.encode(): count for piece, count in pieces.items()}, num_merges, min_count)
        table = token_table(pairs)
        return cls([(table[left], table[right]) for left, right in pairs], special_tokens, pattern)

    @property
    def vocab_size(self) -> int:
        """One more than the largest id."""
        return self.vocabulary.size

    def _special_id(self, name: str | None) -> int | None:
        return None if name is None else self.vocabulary.special_ids[name]

    def encode(
        self, text: str, *, add_special_tokens: bool = True, split_special_tokens: bool = False
    ) -> list[int]:
        """Return the ids of `text`.

        Special tokens in the text are recognised, as transformers does. `split_special_tokens=True` reads
        them as plain characters instead: use it for everything that a user typed (see `special_tokens` for
        why).
        """
        ids = list(self.prefix_ids) if add_special_tokens else []
        for part, is_special in [(text, False)] if split_special_tokens else self._splitter.split(text):
            if is_special:
                ids.append(self.vocabulary.special_ids[part])
            else:
                for piece in split_pieces(part, self._regex):
                    ids.extend(self._cache.get(piece) or self._encode_piece(piece))
        return ids

    @property
    def prefix_ids(self) -> tuple[int, ...]:
        """What `encode` puts in front of a text: bos, or nothing."""
        bos = self.bos_token_id
        return (bos,) if self.add_bos and bos is not None else ()

    def _encode_piece(self, piece: str) -> list[int]:
        data = piece.encode()
        if self.whole_pieces_first and data in self.vocabulary.token_ids:
            ids = [self.vocabulary.token_ids[data]]
        else:
            ids = merge_by_rank([self._byte_ids[byte] for byte in data], self._merge_table)
        # Pieces repeat, so most are merged only once. The cache stays small: short pieces, and from time to
        # time a fresh start.
        if len(data) <= MAX_CACHED_BYTES:
            if len(self._cache) >= self.cache_size:
                self._cache.clear()
            self._cache[piece] = ids
        return ids

    def token_bytes(self, token_id: int) -> bytes:
        """Return the raw bytes of one token, often a fraction of a character; `b""` for a special token."""
        return self.vocabulary.bytes_of(token_id)

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = True) -> str:
        """Return the text of `ids`; bytes that are no valid UTF-8 become U+FFFD.

        An unknown id is a `ValueError`.
        """
        names = {} if skip_special_tokens else self.vocabulary.special_names
        data = b"".join(names[i].encode() if i in names else self.vocabulary.bytes_of(i) for i in ids)
        return data.decode("utf-8", errors="replace")

    def save(self, path: str | Path) -> None:
        """Write `tokenizer.json` and `tokenizer_config.json` into the folder `path`.

        transformers' `AutoTokenizer` loads the folder and gives the same ids.
        """
        parts = (
            self.merges,
            self.special_tokens,
            self.pattern,
            self.vocabulary,
            self.add_bos,
            self.whole_pieces_first,
        )
        write_tokenizer(TokenizerFile(*parts), Path(path))

    @classmethod
    def load(cls, path: str | Path) -> "BPETokenizer":
        """Load a folder with a `tokenizer.json` (or that file): our own, or laid out as GPT-2's or Llama 3's.

        Any other is refused with an `UnsupportedTokenizerError` that names the step that is not understood.
        """
        file = read_tokenizer(Path(path))
        return cls(
            file.merges,
            file.special_tokens,
            file.pattern,
            vocabulary=file.vocabulary,
            add_bos=file.add_bos,
            whole_pieces_first=file.whole_pieces_first,
        )

"""Text to token ids and back: byte-level BPE, and what else stands between text and a model.

To read it in order: `byte_alphabet`, `pretokenizer`, `bpe` (the definitions), `bpe_trainer` and `bpe_encoder`
(the same for a whole corpus), `special_tokens`, `bpe_tokenizer`; then `detokenizer`,
`stop_strings`, `streaming` and `batching`.
"""

from cblab.tokenization.batching import PaddedBatch, group_by_length, pack, pad_batch, padding_waste
from cblab.tokenization.bpe_tokenizer import BPETokenizer
from cblab.tokenization.character import CharacterTokenizer
from cblab.tokenization.detokenizer import IncrementalDetokenizer
from cblab.tokenization.hf import HFTokenizer
from cblab.tokenization.loading import load_tokenizer
from cblab.tokenization.pretokenizer import DEFAULT_PATTERN, GPT2_PATTERN, LLAMA3_PATTERN
from cblab.tokenization.protocol import Tokenizer
from cblab.tokenization.special_tokens import DEFAULT_SPECIAL_TOKENS, SpecialTokens
from cblab.tokenization.stop_strings import StopStringMatcher
from cblab.tokenization.streaming import StreamingEncoder
from cblab.tokenization.tokenizer_json_reader import UnsupportedTokenizerError

__all__ = [
    "DEFAULT_PATTERN",
    "DEFAULT_SPECIAL_TOKENS",
    "GPT2_PATTERN",
    "LLAMA3_PATTERN",
    "BPETokenizer",
    "CharacterTokenizer",
    "HFTokenizer",
    "IncrementalDetokenizer",
    "PaddedBatch",
    "SpecialTokens",
    "StopStringMatcher",
    "StreamingEncoder",
    "Tokenizer",
    "UnsupportedTokenizerError",
    "group_by_length",
    "load_tokenizer",
    "pack",
    "pad_batch",
    "padding_waste",
]

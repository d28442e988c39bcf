"""Wrong answers to the exercises of lab 1, as students write them, with what the message must say.

`MUTANTS[exercise]` lists (name, blanks, fragment): one dedented source for each solution region of the answer
cell, and a part of the message that this mistake alone gets.
"""

from tests.labs.edit import Mutant
from tests.labs.lab01_tokenization.mutants.bonus import MERGE_AND_UPDATE, PACK, STREAMING_ENCODER
from tests.labs.lab01_tokenization.mutants.merging import COUNT_PAIRS, ENCODE_PIECE, MERGE_PAIR, TRAIN_BPE
from tests.labs.lab01_tokenization.mutants.numbers import CAPACITY, MEMORY, PADDING
from tests.labs.lab01_tokenization.mutants.tensors import EMBED, PAD_BATCH
from tests.labs.lab01_tokenization.mutants.text import (
    BYTE_LEVEL_TOKENIZER,
    STREAM_UNTIL_STOP,
    UNFINISHED_TAIL,
)

MUTANTS: dict[str, list[Mutant]] = {
    "1.1": COUNT_PAIRS,
    "1.2": MERGE_PAIR,
    "1.3": TRAIN_BPE,
    "1.4": ENCODE_PIECE,
    "1.5": BYTE_LEVEL_TOKENIZER,
    "1.6": UNFINISHED_TAIL,
    "1.7": PAD_BATCH,
    "1.8": EMBED,
    "1.9": STREAM_UNTIL_STOP,
    "1.10": CAPACITY,
    "1.11": MEMORY,
    "1.12": PADDING,
    "1.15": MERGE_AND_UPDATE,
    "1.16": STREAMING_ENCODER,
    "1.17": PACK,
}

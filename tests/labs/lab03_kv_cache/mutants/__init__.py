"""Wrong answers to the exercises of lab 3, as students write them, with what the message must say.

`MUTANTS[exercise]` lists (name, blanks, fragment): one dedented source for each solution region of the answer
cell, and a part of the message that this mistake alone gets.
"""

from tests.labs.edit import Mutant
from tests.labs.lab03_kv_cache.mutants.attention import ATTENTION, MASK, ROPE, SOFTMAX
from tests.labs.lab03_kv_cache.mutants.bonus import MERGE, QUANTIZE, RING
from tests.labs.lab03_kv_cache.mutants.cache import CACHE, GENERATE, LAYER
from tests.labs.lab03_kv_cache.mutants.numbers import BYTES, SLOTS, WORK
from tests.labs.lab03_kv_cache.mutants.slots import BATCH, WASTE

MUTANTS: dict[str, list[Mutant]] = {
    "3.1": SOFTMAX,
    "3.2": ATTENTION,
    "3.3": ROPE,
    "3.4": MASK,
    "3.5": CACHE,
    "3.6": LAYER,
    "3.7": GENERATE,
    "3.8": BATCH,
    "3.9": WASTE,
    "3.10": WORK,
    "3.11": BYTES,
    "3.12": SLOTS,
    "3.15": MERGE,
    "3.16": RING,
    "3.17": QUANTIZE,
}

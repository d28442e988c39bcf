"""Wrong answers to the exercises of lab 2, as students write them, with what the message must say.

`MUTANTS[exercise]` lists (name, blanks, fragment): one dedented source for each solution region of the answer
cell, and a part of the message that this mistake alone gets.
"""

from tests.labs.edit import Mutant
from tests.labs.lab02_memory_math.mutants.bonus import LARGEST_BATCH, QUANTIZE_ROWS
from tests.labs.lab02_memory_math.mutants.cache import KV_CACHE_BYTES
from tests.labs.lab02_memory_math.mutants.numbers import FINE_TUNING, SPEED_AND_PRICE, WHO_FITS
from tests.labs.lab02_memory_math.mutants.sizes import (
    ACTIVATION_BYTES,
    COUNT_PARAMETERS,
    QUANTIZED_BYTES,
    TRAINING_BYTES,
)
from tests.labs.lab02_memory_math.mutants.speed import NUM_BLOCKS, STEP_COST, STEP_SECONDS

MUTANTS: dict[str, list[Mutant]] = {
    "2.1": COUNT_PARAMETERS,
    "2.2": QUANTIZED_BYTES,
    "2.3": TRAINING_BYTES,
    "2.4": ACTIVATION_BYTES,
    "2.5": KV_CACHE_BYTES,
    "2.6": STEP_COST,
    "2.7": STEP_SECONDS,
    "2.8": NUM_BLOCKS,
    "2.9": FINE_TUNING,
    "2.10": WHO_FITS,
    "2.11": SPEED_AND_PRICE,
    "2.14": LARGEST_BATCH,
    "2.15": QUANTIZE_ROWS,
}

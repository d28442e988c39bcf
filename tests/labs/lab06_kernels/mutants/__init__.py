"""Wrong answers to the exercises of lab 6, as students write them, with what the message must say.

`MUTANTS[exercise]` lists (name, blanks, fragment): one dedented source for each solution region of the answer
cell, and a part of the message that this mistake alone gets.
"""

from tests.labs.edit import Mutant
from tests.labs.lab06_kernels.mutants.kernels import ATTEND, LOOPS
from tests.labs.lab06_kernels.mutants.numbers import INTENSITY, LONG, STEP
from tests.labs.lab06_kernels.mutants.softmax import COST, FOLD, LSE, MERGE
from tests.labs.lab06_kernels.mutants.threads import OFFSETS, PLAN, THREADS
from tests.labs.lab06_kernels.mutants.tiles import FLASH

MUTANTS: dict[str, list[Mutant]] = {
    "6.1": COST,
    "6.2": FOLD,
    "6.3": MERGE,
    "6.4": LOOPS,
    "6.5": ATTEND,
    "6.6": PLAN,
    "6.7": THREADS,
    "6.8": OFFSETS,
    "6.9": FLASH,
    "6.10": STEP,
    "6.11": INTENSITY,
    "6.12": LONG,
    "6.15": LSE,
}

"""Wrong answers to the exercises of lab 7, as students write them, with what the message must say.

`MUTANTS[exercise]` lists (name, blanks, fragment): one dedented source for each solution region of the answer
cell, and a part of the message that this mistake alone gets.
"""

from tests.labs.edit import Mutant
from tests.labs.lab07_capstone.mutants.faults import DIFFERENCE, GUILTY, PLAN
from tests.labs.lab07_capstone.mutants.glue import CHUNK, POOL, PREFILL
from tests.labs.lab07_capstone.mutants.numbers import SCENARIO

MUTANTS: dict[str, list[Mutant]] = {
    "7.1": PREFILL,
    "7.2": CHUNK,
    "7.3": POOL,
    "7.4": DIFFERENCE,
    "7.5": GUILTY,
    "7.6": PLAN,
    "7.7": SCENARIO,
}

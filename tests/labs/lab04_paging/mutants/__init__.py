"""Wrong answers to the exercises of lab 4, as students write them, with what the message must say.

`MUTANTS[exercise]` lists (name, blanks, fragment): one dedented source for each solution region of the answer
cell, and a part of the message that this mistake alone gets.
"""

from tests.labs.edit import Mutant
from tests.labs.lab04_paging.mutants.blocks import BLOCK_POOL, BLOCK_TABLES
from tests.labs.lab04_paging.mutants.bonus import FIRST_FIT, SLIDE_DOWN
from tests.labs.lab04_paging.mutants.manager import BLOCK_MANAGER
from tests.labs.lab04_paging.mutants.numbers import BLOCKS, PAGES, SHARED
from tests.labs.lab04_paging.mutants.prefixes import HASHES, MATCH, POOL
from tests.labs.lab04_paging.mutants.rows import SHARING, THROUGH_THE_TABLE

MUTANTS: dict[str, list[Mutant]] = {
    "4.1": BLOCK_POOL,
    "4.2": BLOCK_TABLES,
    "4.3": THROUGH_THE_TABLE,
    "4.4": SHARING,
    "4.5": HASHES,
    "4.6": MATCH,
    "4.7": POOL,
    "4.8": BLOCK_MANAGER,
    "4.9": BLOCKS,
    "4.10": SHARED,
    "4.11": PAGES,
    "4.14": FIRST_FIT,
    "4.15": SLIDE_DOWN,
}

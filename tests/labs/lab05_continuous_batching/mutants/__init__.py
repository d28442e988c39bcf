"""Wrong answers to the exercises of lab 5, as students write them, with what the message must say.

`MUTANTS[exercise]` lists (name, blanks, fragment): one dedented source for each solution region of the answer
cell, and a part of the message that this mistake alone gets.
"""

from tests.labs.edit import Mutant
from tests.labs.lab05_continuous_batching.mutants.numbers import PROMPT, SECOND, TARGET
from tests.labs.lab05_continuous_batching.mutants.queue import ADMIT, PREEMPT, SHARE, STATES, URGENCY
from tests.labs.lab05_continuous_batching.mutants.scheduler import SCHEDULER
from tests.labs.lab05_continuous_batching.mutants.step import STEP
from tests.labs.lab05_continuous_batching.mutants.table import MASK, TABLE

MUTANTS: dict[str, list[Mutant]] = {
    "5.1": STATES,
    "5.2": TABLE,
    "5.3": MASK,
    "5.4": SHARE,
    "5.5": ADMIT,
    "5.6": PREEMPT,
    "5.7": SCHEDULER,
    "5.8": STEP,
    "5.9": TARGET,
    "5.10": PROMPT,
    "5.11": SECOND,
    "5.14": URGENCY,
}

"""Six parts of a colleague's, one of them with a defect: what lab 7 looks for, and shows when it is found."""

from collections.abc import Callable, Sequence
from typing import Any

from cblab.lab.labs.capstone import reference
from cblab.lab.labs.capstone.plug import plugged_blocks, plugged_prefill, read_merges, with_prefixes
from cblab.lab.labs.capstone.workload import stored_merges
from cblab.lab.labs.continuous_batching import reference as batching
from cblab.lab.labs.continuous_batching.plug import plugged_table
from cblab.lab.labs.continuous_batching.scheduler import Scheduler
from cblab.lab.labs.kernels.plug import plugged as plugged_kernel
from cblab.lab.labs.kernels.threads import decode_in_threads, plan_shares
from cblab.lab.labs.paging.tables import BlockManager
from cblab.lab.labs.tokenization.reference import ByteLevelTokenizer


class HastyPlan:
    """The work of a decode step, shared out among threads. All layers of a step need the same plan."""

    def __init__(self, plan: Callable[[Sequence[int], int, int], Any]) -> None:
        self.plan = plan
        self.remembered: dict[Any, Any] = {}

    def __call__(self, context_lens: Sequence[int], split_size: int, num_threads: int) -> Any:
        """How many there are and how long the longest is decides the work: plan it once."""
        key = (len(context_lens), max(context_lens))
        if key not in self.remembered:
            self.remembered[key] = self.plan(context_lens, split_size, num_threads)
        return self.remembered[key]


def colleagues_parts() -> dict[str, Any]:
    """The six parts, by name."""
    return {
        "tokenizer": ByteLevelTokenizer(read_merges(stored_merges())),
        "block manager": plugged_blocks(BlockManager),
        "scheduler": with_prefixes(Scheduler, batching.preempt, reference.first_chunk),
        "batch builder": plugged_table(batching.token_table),
        "prefill": plugged_prefill(reference.prefill),
        "decode": plugged_kernel(decode_in_threads, HastyPlan(plan_shares)),
    }

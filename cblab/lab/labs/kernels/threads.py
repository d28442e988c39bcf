"""Which thread attends over which tokens, and the reference for decode in several threads."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from cblab.lab.labs.kernels.compiled import attend
from cblab.lab.labs.kernels.numerics import Partial, merge

Task = tuple[int, int, int]
"""A sequence, its first token, and the token behind its last one."""


def run_in_threads(work: Callable[[Task], None], shares: Sequence[Sequence[Task]]) -> None:
    """Call `work(task)` for every task, one thread for each share, and wait for all of them.

    They run side by side where `work` spends its time in code compiled with `nogil=True`.
    """

    def run_share(share: Sequence[Task]) -> None:
        for task in share:
            work(task)

    if len(shares) == 1:
        run_share(shares[0])
        return
    with ThreadPoolExecutor(len(shares)) as threads:
        list(threads.map(run_share, shares))


def plan_shares(context_lens: Sequence[int], split_size: int, num_threads: int) -> list[list[Task]]:
    """Cut every context into splits and give each to the thread that has the fewest tokens so far.

    Splits begin at multiples of `split_size`. Returns one list of (sequence, first token, token behind the
    last) for each thread.
    """
    tasks = [
        (seq, start, min(start + split_size, length))
        for seq, length in enumerate(context_lens)
        for start in range(0, length, split_size)
    ]
    shares: list[list[Task]] = [[] for _ in range(num_threads)]
    tokens = [0] * num_threads
    for task in tasks:
        thread = tokens.index(min(tokens))
        shares[thread].append(task)
        tokens[thread] += task[2] - task[1]
    return shares


def decode_in_threads(
    q: np.ndarray,
    keys: np.ndarray,
    values: np.ndarray,
    block_tables: np.ndarray,
    shares: Sequence[Sequence[Task]],
    scale: float,
) -> np.ndarray:
    """Paged decode, the tasks of each share in a thread of its own; returns an array like `q`.

    The partial results of a sequence are merged in the order of its tokens, so that the result is the same,
    bit by bit, whoever computed which.
    """
    num_seqs, num_heads, head_dim = q.shape
    partials: dict[Task, Partial] = {}

    def work(task: Task) -> None:
        seq, start, end = task
        highest = np.full(num_heads, -np.inf, np.float32)
        total = np.zeros(num_heads, np.float32)
        sums = np.zeros((num_heads, head_dim), np.float32)
        attend(q[seq], keys, values, block_tables[seq], start, end, scale, highest, total, sums)
        partials[task] = highest, total, sums

    run_in_threads(work, shares)
    out = np.zeros_like(q)
    for seq in range(num_seqs):
        out[seq] = merge([partials[task] for task in sorted(partials) if task[0] == seq])
    return out

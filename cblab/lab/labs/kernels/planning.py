"""Check of exercise 6.6: tasks of a fixed size, shared out so that no thread has much more to do.

There are many right plans. What is judged is what holds for each of them: every token once, splits where they
belong, and the work of the busiest thread, counted in tokens.
"""

import random
from collections.abc import Sequence
from typing import Any

from cblab.lab.compare import shown
from cblab.lab.trial import Trial

Case = tuple[list[int], int, int]


def check_plan(t: Trial) -> None:
    """Exercise 6.6."""

    def draw(rng: random.Random) -> Case:
        size = rng.choice((4, 16, 64))
        lengths = [rng.choice((1, size - 1, size, size + 1, rng.randint(1, 12 * size))) for _ in range(6)]
        return lengths[: rng.randint(1, 6)], size, rng.choice((1, 2, 3, 5))

    immediate: list[Case] = [
        ([10], 4, 1),
        ([8, 3], 4, 2),
        ([100, 4, 4, 4], 16, 2),
        ([5, 5, 5, 64], 16, 3),
        ([7], 16, 2),
    ]
    for lengths, size, num_threads in t.cases(immediate, draw):
        shares = t.call("plan_shares", lengths, size, num_threads, pure=True)
        fault = fault_in(shares, lengths, size, num_threads)
        if fault:
            t.fail(f"{fault} (`plan_shares({lengths}, {size}, {num_threads})` gave {shown(shares, 110)}.)")


def fault_in(shares: Any, lengths: Sequence[int], size: int, num_threads: int) -> str:
    """What is wrong with a plan, in the student's terms; "" for a right one."""
    if shares is None:
        return "Nothing came back: is a `return` missing?"
    if not _is_plan(shares):
        return "A list of lists of (sequence, first token, token behind the last) is asked for, in ints."
    if len(shares) != num_threads:
        return f"{len(shares)} shares came back: one for each of the {num_threads} threads, empty or not."
    tasks = [task for share in shares for task in share]
    return (
        _fault_in_tasks(tasks, lengths, size)
        or _fault_in_cover(tasks, lengths)
        or _fault_in_balance(shares, lengths, size)
    )


def _is_plan(shares: Any) -> bool:
    return isinstance(shares, list) and all(
        isinstance(share, list)
        and all(
            isinstance(task, tuple) and len(task) == 3 and all(type(one) is int for one in task)
            for task in share
        )
        for share in shares
    )


def _fault_in_tasks(tasks: Sequence[tuple[int, int, int]], lengths: Sequence[int], size: int) -> str:
    for seq, start, end in tasks:
        if not 0 <= seq < len(lengths):
            return f"There is no sequence {seq}."
        if end > lengths[seq]:
            return f"A task goes to token {end} of a context of {lengths[seq]}: stop at its end."
        if start >= end:
            return f"A task has no token: ({seq}, {start}, {end})."
        if end - start > size:
            return f"A task has {end - start} tokens: no split is longer than `split_size`."
        if start % size:
            return (
                f"A split begins at token {start}: each begins at a multiple of `split_size`, whatever the "
                "number of threads, so that a result does not depend on it."
            )
    return ""


def _fault_in_cover(tasks: Sequence[tuple[int, int, int]], lengths: Sequence[int]) -> str:
    if len(set(tasks)) != len(tasks):
        return "A task is given out twice: its tokens would count twice."
    covered = [0] * len(lengths)
    for seq, start, end in tasks:
        covered[seq] += end - start
    for seq, (count, length) in enumerate(zip(covered, lengths, strict=True)):
        if count < length:
            return f"Of sequence {seq}'s {length} tokens {count} are in a task: every token is in one."
    return ""


def _fault_in_balance(
    shares: Sequence[Sequence[tuple[int, int, int]]], lengths: Sequence[int], size: int
) -> str:
    """More than its part and one split is too much for a thread: giving to the least busy does better."""
    work = [sum(end - start for _, start, end in share) for share in shares]
    allowed = sum(lengths) / len(shares) + size
    if max(work) <= allowed:
        return ""
    what = f"the busiest thread reads {max(work)} tokens, of {sum(lengths)} for {len(shares)} threads"
    if max(work) == sum(work):
        return f"All the work goes to one thread: {what}."
    owners = {
        seq: {i for i, share in enumerate(shares) for one in share if one[0] == seq}
        for seq in range(len(lengths))
    }
    if all(len(threads) == 1 for threads in owners.values()):
        return f"All splits of a sequence go to the same thread: {what}. A long one can be shared."
    counts = [len(share) for share in shares]
    if max(counts) - min(counts) <= 1:
        return f"Every thread has as many tasks, but not as many tokens: {what}. Count tokens."
    return f"The work is not balanced: {what}."

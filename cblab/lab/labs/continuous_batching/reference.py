"""The references for what students of lab 5 write as functions; the scheduler has a file of its own."""

import math
from collections.abc import Sequence
from typing import Any, Protocol

from cblab.core.block_manager import BlockManager
from cblab.core.request import Request, RequestStatus

Row = tuple[Sequence[int], int, Sequence[int], bool]
"""Token ids to compute, tokens computed before, block table, whether a token is sampled."""

_ENDS = {"abort": "cancelled", "fail": "failed"}


def next_status(status: str, event: str) -> str:
    """Return the status that a request goes to; ValueError where there is no such arrow."""
    arrows = {
        ("waiting", "admit"): "running",
        ("preempted", "admit"): "running",
        ("running", "preempt"): "preempted",
        ("running", "finish"): "finished",
        **{(one, event): end for one in ("waiting", "running", "preempted") for event, end in _ENDS.items()},
    }
    if (status, event) not in arrows:
        raise ValueError(f"a request that is {status} cannot {event}")
    return arrows[status, event]


def token_table(rows: Sequence[Row], block_size: int) -> dict[str, list[int]]:
    """Lay the rows' tokens end to end; see the lab for the lists."""
    table: dict[str, list[int]] = {
        "input_ids": [],
        "positions": [],
        "slot_mapping": [],
        "cu_seqlens_q": [0],
        "context_lens": [],
        "logits_indices": [],
    }
    for token_ids, num_computed, blocks, samples in rows:
        context_len = num_computed + len(token_ids)
        positions = range(num_computed, context_len)
        table["input_ids"] += token_ids
        table["positions"] += positions
        table["slot_mapping"] += [blocks[p // block_size] * block_size + p % block_size for p in positions]
        table["cu_seqlens_q"].append(len(table["input_ids"]))
        table["context_lens"].append(context_len)
        if samples:
            table["logits_indices"].append(len(table["input_ids"]) - 1)
    return table


def share_budget(wanted: Sequence[int], budget: int, chunk_size: int) -> list[int]:
    """Return how many tokens each running request computes, in their order; each gets at least one."""
    shares = []
    for index, num_wanted in enumerate(wanted):
        behind = len(wanted) - index - 1
        shares.append(min(num_wanted, chunk_size, budget - behind))
        budget -= shares[-1]
    return shares


def admit(
    waiting: Sequence[int], budget: int, chunk_size: int, seats: int, free_blocks: int, block_size: int
) -> list[int]:
    """Return the first chunk of each request that is admitted: the first ones that wait, none skipped."""
    shares: list[int] = []
    for num_tokens in waiting:
        num_new = min(num_tokens, chunk_size, budget)
        num_blocks = math.ceil(num_new / block_size)
        if len(shares) == seats or num_new == 0 or num_blocks > free_blocks:
            break
        shares.append(num_new)
        budget -= num_new
        free_blocks -= num_blocks
    return shares


def preempt(request: Request, blocks: BlockManager) -> None:
    """Take a running request's blocks; its tokens stay, and will be computed again."""
    blocks.free(request.request_id)
    request.num_computed_tokens = 0
    request.num_preemptions += 1
    request.become(RequestStatus.PREEMPTED)


class StepParts(Protocol):
    """What `step` is written over; see `SmallEngine`."""

    def schedule(self) -> list[tuple[Request, int]]:
        """Return who computes how many tokens."""
        ...

    def block_table(self, request: Request) -> list[int]:
        """Return the blocks of a request."""
        ...

    def build(self, rows: list[Row]) -> Any:
        """Lay the rows' tokens end to end."""
        ...

    def forward(self, batch: Any) -> Any:
        """Return the logits of the rows that sample."""
        ...

    def sample(self, logits: Any) -> list[int]:
        """Return one token for each row of logits."""
        ...

    def finish(self, request: Request) -> None:
        """End a request and free its blocks."""
        ...


def step(engine: StepParts) -> list[tuple[str, int]]:
    """Compute one step of an engine; return who got which token."""
    shares = engine.schedule()
    if not shares:
        return []
    rows: list[Row] = []
    due = []
    for request, num_new in shares:
        start, end = request.num_computed_tokens, request.num_computed_tokens + num_new
        is_caught_up = end == request.num_tokens
        rows.append((request.token_ids(start, end), start, engine.block_table(request), is_caught_up))
        if is_caught_up:
            due.append(request)
    tokens = engine.sample(engine.forward(engine.build(rows)))
    for request, num_new in shares:
        request.num_computed_tokens += num_new
    for request, token in zip(due, tokens, strict=True):
        request.output_token_ids.append(token)
        if token in request.stop_token_ids or request.num_tokens == request.max_length:
            engine.finish(request)
    return [(request.request_id, token) for request, token in zip(due, tokens, strict=True)]


def urgency(arrival: float, priority: int, aging: float) -> float:
    """Return the key by which requests wait: smaller goes first."""
    return arrival + priority * aging

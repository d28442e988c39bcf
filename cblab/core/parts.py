"""The one door through which a reader's own part enters the engine.

`Engine(model, tokenizer, config, parts=Parts(paged_decode=my_kernel, block_manager=MyBlockManager))`: each
replaceable part is named once, with the protocol that it keeps. None means cblab's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from cblab.attention.backends import PagedDecode, PagedPrefill
    from cblab.attention.batch import RaggedBatch
    from cblab.core.batch_builder import BatchRow
    from cblab.core.block_manager import BlockAllocation, BlockEvent, BlockStats
    from cblab.core.config import EngineConfig
    from cblab.core.plan import BlockOp, StepPlan
    from cblab.core.request import Request
    from cblab.core.sampler import SamplerOutput, SamplingRow


class BlockManagerPart(Protocol):
    """Which block belongs to whom. Ids and counts in, ids and counts out; see `BlockManager`.

    A traced engine sets `on_event`, and is told of each event in order; a part may leave it alone.
    """

    on_event: Callable[[BlockEvent], None] | None

    def get_computed_blocks(self, token_ids: Sequence[int], salt: str = "") -> list[int]:
        """Return the cached blocks that hold the longest prefix of `token_ids`, its last token excepted."""
        ...

    def allocate_slots(
        self,
        request_id: str,
        num_tokens: int,
        computed_blocks: Sequence[int] = (),
        *,
        keep_free: int = 0,
    ) -> BlockAllocation | None:
        """Make room for `num_tokens` tokens of a request in all; None, and no change, if there is none."""
        ...

    def cache_blocks(
        self, request_id: str, token_ids: Sequence[int], num_computed_tokens: int, salt: str = ""
    ) -> None:
        """Make the full blocks among the computed tokens findable."""
        ...

    def free(self, request_id: str) -> None:
        """Give back all blocks of a request, in the pool and in host memory; unknown ids are no error."""
        ...

    def fork(self, parent_id: str, child_id: str) -> None:
        """Let a new sequence share all blocks of another."""
        ...

    def swap_out(self, request_id: str) -> list[BlockOp] | None:
        """Move a request's blocks to host memory; None, and no change, if it has too little room."""
        ...

    def swap_in(self, request_id: str, *, keep_free: int = 0) -> list[BlockOp] | None:
        """Move them back; None, and no change, if the pool has too few blocks."""
        ...

    def block_table(self, request_id: str) -> Sequence[int]:
        """Return the blocks of a request in order; empty for one that has none."""
        ...

    def stats(self) -> BlockStats:
        """Return how many blocks are used, free and cached."""
        ...

    def check_integrity(self) -> None:
        """Raise `IntegrityError` where the books do not balance."""
        ...


class SchedulerPart(Protocol):
    """Who computes how many tokens in a step; see `Scheduler`."""

    def add(self, request: Request) -> None:
        """Take in a new request; `ValueError` for one that can never run."""
        ...

    def add_running(self, request: Request) -> None:
        """Take in a sample of a running request's prompt whose blocks it shares."""
        ...

    def schedule(self, now: float) -> StepPlan:
        """Decide the next step, and allocate its blocks."""
        ...

    def remove(self, request: Request) -> None:
        """Forget a request, in whatever state it is, and free its blocks."""
        ...

    def restart(self, request: Request) -> None:
        """Let a preempted request whose swapped blocks are lost compute everything again."""
        ...

    @property
    def waiting(self) -> Sequence[Request]:
        """New and preempted requests, the next to be admitted first."""
        ...

    @property
    def running(self) -> Sequence[Request]:
        """Requests that hold blocks of the pool, the last to be preempted first."""
        ...


class SamplerPart(Protocol):
    """From logits to tokens, all rows at once; see `cblab.core.sampler.sample`."""

    def __call__(self, logits: Tensor, rows: Sequence[SamplingRow]) -> SamplerOutput:
        """Choose one token for each row of `logits`, `[num_rows, vocab_size]`."""
        ...


class BatchBuilderPart(Protocol):
    """From ids to the tensors of one forward pass; see `cblab.core.batch_builder.build_batch`."""

    def __call__(
        self, rows: Sequence[BatchRow], block_size: int, device: torch.device | str = "cpu"
    ) -> RaggedBatch:
        """Lay the rows' tokens end to end."""
        ...


@dataclass(frozen=True)
class Parts:
    """The replaceable parts of an engine; None is cblab's own.

    Attributes:
        block_manager: `(num_blocks, block_size, *, enable_prefix_caching, num_host_blocks) -> part`.
        scheduler: `(config, block_manager, num_blocks) -> part`.
        build_batch: `(rows, block_size, device) -> RaggedBatch`.
        paged_decode: attention of one query a sequence over the block pool.
        paged_prefill: attention of chunks over cached context and themselves.
        sampler: `(logits, rows) -> SamplerOutput`.
    """

    block_manager: Callable[..., BlockManagerPart] | None = None
    scheduler: Callable[[EngineConfig, BlockManagerPart, int], SchedulerPart] | None = None
    build_batch: BatchBuilderPart | None = None
    paged_decode: PagedDecode | None = None
    paged_prefill: PagedPrefill | None = None
    sampler: SamplerPart | None = None

"""The doors of lab 7: the student's parts of six labs, made fit for one engine."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from cblab.attention.backends import PagedPrefill
from cblab.attention.layout import KVLayout, LayerKV
from cblab.attention.spec import AttentionSpec
from cblab.core.block_manager import BlockAllocation, BlockEvent, BlockEventKind
from cblab.core.config import EngineConfig
from cblab.core.parts import BlockManagerPart, SchedulerPart
from cblab.core.plan import BlockOp, ScheduledRequest
from cblab.lab.labs.capstone import reference
from cblab.lab.labs.continuous_batching import reference as batching
from cblab.lab.labs.continuous_batching.plug import Call, PluggedScheduler, Preempt
from cblab.lab.labs.paging.plug import PluggedBlockManager
from cblab.tokenization.byte_alphabet import text_to_bytes

FirstChunk = Callable[[int, int, int], tuple[int, int]]
Prefill = Callable[..., Tensor]


class PrefixScheduler(PluggedScheduler):
    """Lab 5's scheduler over a block manager with a prefix cache, of which the scheduler knows nothing.

    The scheduler plans a request from its first token on and counts blocks for all of them. Where the first
    chunk's blocks are found in the cache, they are taken from there, and fewer tokens are computed. So the
    scheduler's count of free blocks is never more than what the pool has.

    Args:
        call, blocks, preempt: see `PluggedScheduler`.
        first_chunk: says how many of the blocks that were found are taken.
        block_size: tokens in a block.
    """

    def __init__(
        self,
        call: Call,
        blocks: BlockManagerPart,
        preempt: Preempt,
        first_chunk: FirstChunk,
        block_size: int,
    ) -> None:
        super().__init__(call, blocks, preempt)
        self._first_chunk, self._block_size = first_chunk, block_size

    def _share(self, request_id: str, num_new: int, ops: list[BlockOp]) -> ScheduledRequest:
        request = self._requests[request_id]
        if request.num_computed_tokens:
            return super()._share(request_id, num_new, ops)
        found = self._blocks.get_computed_blocks(request.token_ids())
        num_blocks, num_left = self._first_chunk(num_new, len(found), self._block_size)
        num_cached = num_blocks * self._block_size
        if num_left < 1 or num_cached + num_left != num_new:
            raise ValueError(
                f"`first_chunk` makes {num_blocks} blocks of {self._block_size} and {num_left} tokens to "
                f"compute out of a chunk of {num_new} tokens"
            )
        allocation = self._blocks.allocate_slots(request_id, num_new, found[:num_blocks])
        if allocation is None:
            raise ValueError(f"`schedule` promises {request_id} room for {num_new} tokens: there is none")
        ops += allocation.block_ops
        request.num_computed_tokens = request.num_cached_tokens = num_cached
        return ScheduledRequest(request_id, num_cached, num_left, num_new == request.num_tokens)


def with_prefixes(
    scheduler: Callable[..., Any],
    preempt: Preempt = batching.preempt,
    first_chunk: FirstChunk = reference.first_chunk,
) -> Callable[[EngineConfig, BlockManagerPart, int], SchedulerPart]:
    """Return what `Parts(scheduler=…)` takes, from lab 5's Scheduler and preempt and from `first_chunk`."""

    def make(config: EngineConfig, blocks: BlockManagerPart, num_blocks: int) -> PrefixScheduler:
        if config.preemption_mode != "recompute" or config.watermark:
            raise ValueError("the lab's Scheduler neither swaps nor keeps blocks free: leave both out")
        budget = config.max_num_batched_tokens
        chunk = config.prefill_chunk_size or budget
        made = scheduler(num_blocks, config.block_size, budget, chunk, config.max_num_seqs)

        def call(method: str, *args: Any) -> Any:
            return getattr(made, method)(*args)

        return PrefixScheduler(call, blocks, preempt, first_chunk, config.block_size)

    return make


class TellingBlockManager(PluggedBlockManager):
    """Lab 4's block manager, which also tells a trace which blocks come and go; see `PluggedBlockManager`."""

    def __init__(self, call: Call, num_blocks: int, block_size: int, enable_prefix_caching: bool) -> None:
        super().__init__(call, num_blocks, block_size, enable_prefix_caching)
        self._holders: Counter[int] = Counter()

    def allocate_slots(
        self, request_id: str, num_tokens: int, computed_blocks: Sequence[int] = (), *, keep_free: int = 0
    ) -> BlockAllocation | None:
        """See `BlockManagerPart`."""
        before = self.block_table(request_id)
        allocation = super().allocate_slots(request_id, num_tokens, computed_blocks, keep_free=keep_free)
        if allocation is not None:
            after = self.block_table(request_id)
            self._let_go(request_id, [block for block in before if block not in after])
            for block in after:
                if block not in before:
                    self._holders[block] += 1
                    self._tell("hit" if block in computed_blocks else "allocate", block, request_id)
        return allocation

    def free(self, request_id: str) -> None:
        """See `BlockManagerPart`."""
        table = self.block_table(request_id)
        super().free(request_id)
        self._let_go(request_id, table)

    def fork(self, parent_id: str, child_id: str) -> None:
        """See `BlockManagerPart`."""
        super().fork(parent_id, child_id)
        self._holders.update(self.block_table(child_id))

    def _let_go(self, request_id: str, blocks: Sequence[int]) -> None:
        for block in blocks:
            self._holders[block] -= 1
            if not self._holders[block]:
                self._tell("free", block, request_id)

    def _tell(self, kind: BlockEventKind, block: int, request_id: str) -> None:
        if self.on_event is not None:
            self.on_event(BlockEvent(kind, block, request_id))


def plugged_blocks(manager: Callable[[int, int], Any]) -> Callable[..., BlockManagerPart]:
    """Return what `Parts(block_manager=…)` takes, from a class of lab 4's BlockManager."""

    def make(
        num_blocks: int, block_size: int, *, enable_prefix_caching: bool = True, num_host_blocks: int = 0
    ) -> TellingBlockManager:
        if num_host_blocks:
            raise ValueError("the lab's BlockManager does not swap: leave num_host_blocks at 0")
        made = manager(num_blocks, block_size)

        def call(method: str, *args: Any) -> Any:
            return getattr(made, method)(*args)

        return TellingBlockManager(call, num_blocks, block_size, enable_prefix_caching)

    return make


def plugged_prefill(prefill: Prefill) -> PagedPrefill:
    """Return what `Parts(paged_prefill=…)` takes, from lab 7's `prefill`; it reads the pool alone."""

    def paged_prefill(
        q: Tensor,
        k: Tensor,
        v: Tensor,
        kv: LayerKV,
        block_tables: Tensor,
        cu_seqlens_q: Tensor,
        context_lens: Tensor,
        spec: AttentionSpec,
    ) -> Tensor:
        kv.require(KVLayout.NHD, "lab 7's prefill")
        if spec.sliding_window is not None:
            raise ValueError(f"lab 7's prefill knows no sliding window, got {spec.sliding_window}")
        lists = block_tables.tolist(), cu_seqlens_q.tolist(), context_lens.tolist()
        return prefill(q, kv.keys, kv.values, *lists)

    return paged_prefill


def read_merges(stored: Sequence[str | Sequence[str]]) -> list[tuple[int, int]]:
    """Return the merges of a ``tokenizer.json`` as pairs of ids, which lab 1's tokenizer takes.

    stored: "left right" or [left, right], in the printable alphabet that byte-level files are written in.
    """
    ids = {bytes([byte]): byte for byte in range(256)}
    pairs = []
    for merge in stored:
        left, right = map(text_to_bytes, merge.split(" ") if isinstance(merge, str) else merge)
        pairs.append((ids[left], ids[right]))
        ids[left + right] = len(ids)
    return pairs

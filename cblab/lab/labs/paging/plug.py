"""The door between lab 4's BlockManager and the engine: plain data here, the part's protocol there.

The same adapter stands before an object of the notebook (`plugged`) and before one that a check reaches
through its executor (`remote`), one message a call. What it hands to the engine has been looked at: a table
is a list of blocks of the pool, whatever a student's method returns.
"""

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from cblab.core.block_manager import BlockAllocation, BlockEvent, BlockStats
from cblab.core.errors import IntegrityError
from cblab.core.plan import BlockOp
from cblab.lab.compare import shown
from cblab.lab.trial import Trial

Call = Callable[..., Any]
"""`call(method, *args)`: calls a method of the manager behind it."""


class PluggedBlockManager:
    """The engine's `BlockManagerPart` over a manager of lab 4.

    It knows no swapping, salts or watermark, and refuses them by name. Events are not told.

    Args:
        call: reaches the manager.
        num_blocks: in the pool.
        block_size: tokens in a block.
        enable_prefix_caching: whether the manager is asked for cached blocks at all.
    """

    def __init__(self, call: Call, num_blocks: int, block_size: int, enable_prefix_caching: bool) -> None:
        self.on_event: Callable[[BlockEvent], None] | None = None
        self._call = call
        self._num_blocks, self._block_size = num_blocks, block_size
        self._caches = enable_prefix_caching
        self._num_tokens: dict[str, int] = {}
        self._hits = self._copies = 0

    def get_computed_blocks(self, token_ids: Sequence[int], salt: str = "") -> list[int]:
        """See `BlockManagerPart`."""
        _refuse_salt(salt)
        if not self._caches:
            return []
        return self._blocks(self._call("get_computed_blocks", list(token_ids)), "get_computed_blocks")

    def allocate_slots(
        self, request_id: str, num_tokens: int, computed_blocks: Sequence[int] = (), *, keep_free: int = 0
    ) -> BlockAllocation | None:
        """See `BlockManagerPart`; what is new in the table tells which blocks were added."""
        if keep_free:
            raise ValueError(
                f"the lab's BlockManager keeps no blocks free (asked for {keep_free}): set watermark=0"
            )
        before = self.block_table(request_id) or list(computed_blocks)
        copies = self._call("allocate_slots", request_id, num_tokens, list(computed_blocks))
        if copies is None:
            return None
        ops = tuple(BlockOp("copy", *pair) for pair in self._pairs(copies))
        self._num_tokens[request_id] = num_tokens
        self._hits += len(computed_blocks)
        self._copies += len(ops)
        return BlockAllocation(tuple(self.block_table(request_id)[len(before) :]), ops)

    def cache_blocks(
        self, request_id: str, token_ids: Sequence[int], num_computed_tokens: int, salt: str = ""
    ) -> None:
        """See `BlockManagerPart`."""
        _refuse_salt(salt)
        if self._caches:
            self._call("cache_blocks", request_id, list(token_ids), num_computed_tokens)

    def free(self, request_id: str) -> None:
        """See `BlockManagerPart`."""
        self._num_tokens.pop(request_id, None)
        self._call("free", request_id)

    def fork(self, parent_id: str, child_id: str) -> None:
        """See `BlockManagerPart`."""
        self._call("fork", parent_id, child_id)
        self._num_tokens[child_id] = self._num_tokens[parent_id]

    def swap_out(self, request_id: str) -> list[BlockOp] | None:
        """Return None: there is no host memory, so that a preempted request is computed again."""
        return None

    def swap_in(self, request_id: str, *, keep_free: int = 0) -> list[BlockOp] | None:
        """Refuse: nothing was ever swapped out."""
        raise ValueError(f"request {request_id!r} is not swapped out")

    def block_table(self, request_id: str) -> list[int]:
        """See `BlockManagerPart`."""
        return self._blocks(self._call("block_table", request_id), "block_table")

    def stats(self) -> BlockStats:
        """See `BlockManagerPart`; hits and copies are counted here, where they pass."""
        counts = self._counts()
        waste = {
            table[-1]: -num_tokens % self._block_size
            for request_id, num_tokens in self._num_tokens.items()
            if (table := self.block_table(request_id))
        }
        return BlockStats(
            num_blocks=self._num_blocks,
            used=counts["used"],
            free=counts["free"],
            cached=counts["cached"],
            num_host_blocks=0,
            num_host_used=0,
            wasted_slots=sum(waste.values()),
            hits=self._hits,
            evictions=counts["evictions"],
            copies=self._copies,
        )

    def check_integrity(self) -> None:
        """Hold the counts against the tables; see `BlockManagerPart`."""
        counts = self._counts()
        held = {one for request_id in self._num_tokens for one in self.block_table(request_id)}
        if counts["used"] != len(held):
            raise IntegrityError(
                f"{counts['used']} blocks have a reference count above 0, but the tables hold {len(held)}"
            )
        states = counts["used"], counts["free"], counts["cached"]
        if sum(states) != self._num_blocks:
            raise IntegrityError(
                f"{states[0]} used, {states[1]} free and {states[2]} cached blocks do not add up to the "
                f"{self._num_blocks} of the pool"
            )

    def _counts(self) -> dict[str, int]:
        counts = self._call("counts")
        names = ("used", "free", "cached", "evictions")
        if not isinstance(counts, dict) or any(type(counts.get(name)) is not int for name in names):
            _refuse("counts", counts, f"a dict of {', '.join(names)}")
        return counts

    def _blocks(self, value: Any, method: str) -> list[int]:
        if not isinstance(value, list) or any(
            type(one) is not int or not 0 <= one < self._num_blocks for one in value
        ):
            _refuse(method, value, f"a list of blocks from 0 to {self._num_blocks - 1}")
        return value

    def _pairs(self, value: Any) -> list[tuple[int, int]]:
        if not isinstance(value, list) or any(type(one) is not tuple or len(one) != 2 for one in value):
            _refuse("allocate_slots", value, "None or a list of pairs (source, target)")
        self._blocks([one for pair in value for one in pair], "allocate_slots")
        return value


def plugged(manager: Callable[[int, int], Any]) -> Callable[..., PluggedBlockManager]:
    """Return what `Parts(block_manager=…)` takes, from a class of lab 4's BlockManager."""

    def make(
        num_blocks: int, block_size: int, *, enable_prefix_caching: bool = True, num_host_blocks: int = 0
    ) -> PluggedBlockManager:
        _refuse_swapping(num_host_blocks)
        made = manager(num_blocks, block_size)
        return PluggedBlockManager(
            lambda method, *args: getattr(made, method)(*args), num_blocks, block_size, enable_prefix_caching
        )

    return make


def remote(t: Trial, manager: str) -> Callable[..., PluggedBlockManager]:
    """Return what `Parts(block_manager=…)` takes, over the student's class of that name."""

    def make(
        num_blocks: int, block_size: int, *, enable_prefix_caching: bool = True, num_host_blocks: int = 0
    ) -> PluggedBlockManager:
        _refuse_swapping(num_host_blocks)
        handle = t.executor.new(manager, num_blocks, block_size)
        return PluggedBlockManager(
            lambda method, *args: t.executor.method(handle, method, *args),
            num_blocks,
            block_size,
            enable_prefix_caching,
        )

    return make


def _refuse_salt(salt: str) -> None:
    if salt:
        raise ValueError(f"the lab's BlockManager knows no cache salt, got {salt!r}: leave it out")


def _refuse_swapping(num_host_blocks: int) -> None:
    if num_host_blocks:
        raise ValueError("the lab's BlockManager does not swap: leave num_host_blocks at 0")


def _refuse(method: str, value: Any, wanted: str) -> NoReturn:
    raise ValueError(f"`{method}` gave {shown(value, 80)}: {wanted} was expected")

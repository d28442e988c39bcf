"""Who owns which block of the KV cache. Ids and counts in, ids and counts out; torch-free.

A block of the pool is in one of three states, and the three counts add up to the pool:

```
             allocate                        cache_blocks
   FREE ───────────────► REFERENCED ◄──── (full ones become findable)
    ▲                     │      ▲
    │    last reference   │      │ hit
    ├─────────────────────┤      │
    │     if not cached   ▼      │ if cached
    └───────────────── CACHED, unreferenced
          evicted
```

Free blocks are given out in the order in which they came back, ids 0, 1, 2, … at first. Cached blocks are
evicted only when no block is free: the one that lost its last reference first goes first. A table gives its
blocks back tail first, so of a cached prefix the tail is evicted before the head, without which it could not
be found.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from cblab.core.errors import IntegrityError
from cblab.core.plan import BlockOp
from cblab.core.prefix_cache import HashFunction, Prefix, PrefixCache, hash_block, is_same_prefix

BlockEventKind = Literal["allocate", "free", "cache", "hit", "evict", "copy", "swap_out", "swap_in"]


@dataclass(frozen=True)
class BlockAllocation:
    """What `allocate_slots` did.

    Attributes:
        new_blocks: appended to the request's table, in order. Computed blocks are not among them, nor is a
            private copy of the last block, which takes that block's place in the table.
        block_ops: to be carried out before the request's tokens are written: the copy's content.
    """

    new_blocks: tuple[int, ...] = ()
    block_ops: tuple[BlockOp, ...] = ()


_NOTHING_TAKEN = BlockAllocation()


@dataclass(frozen=True)
class BlockEvent:
    """Something that happened to one block of the pool.

    "allocate" and "free" are its first and its last reference; "hit" one more, taken on a cached block.
    "cache" makes it findable, "evict" no longer. "copy" and "swap_in" say where an allocated block's content
    comes from, "swap_out" that it has been moved to host memory. `request_id` is None for "evict".
    """

    kind: BlockEventKind
    block_id: int
    request_id: str | None


@dataclass(frozen=True)
class BlockStats:
    """The state of the pool now, and what has happened since the start.

    Attributes:
        num_blocks: in the pool: `used + free + cached`.
        used: referenced by at least one table.
        free: neither referenced nor cached.
        cached: cached and unreferenced; they can be allocated like free ones.
        num_host_blocks: in host memory.
        num_host_used: of them, those that hold a swapped-out block.
        wasted_slots: slots of used blocks that hold no token, shared blocks counted once.
        hits: references that requests took on cached blocks, each of which saved computing a block.
        evictions: cached blocks that were given to somebody else.
        copies: blocks that were copied because they were shared and about to be written.
    """

    num_blocks: int
    used: int
    free: int
    cached: int
    num_host_blocks: int
    num_host_used: int
    wasted_slots: int
    hits: int
    evictions: int
    copies: int


@dataclass
class _Sequence:
    """The books of one request: its blocks are in the pool or in host memory, never in both."""

    blocks: list[int] = field(default_factory=list)
    host_blocks: list[int] = field(default_factory=list)
    num_tokens: int = 0  # that its blocks have slots for
    prefix: Prefix | None = None  # of the first `num_cached` blocks
    num_cached: int = 0  # leading blocks that have been through the prefix cache


class BlockManager:
    """Block tables, reference counts, the prefix cache, and swapping to host memory.

    Full blocks are immutable and may be shared by any number of tables; a partly filled block is shared by a
    fork only until one of its owners writes. Every method takes time in proportion to the blocks that it
    hands over, never to the pool.

    Args:
        num_blocks: in the pool.
        block_size: tokens in a block.
        enable_prefix_caching: whether full blocks can be found by later requests.
        num_host_blocks: in host memory, for `swap_out`.
        salt: what decides a block's content besides its tokens: the identity of the model.
        hash_function: of the prefix cache. A bad one costs hits, never a wrong hit.

    Attributes:
        on_event: is told of each `BlockEvent`, in order; it must not raise.
    """

    def __init__(
        self,
        num_blocks: int,
        block_size: int,
        *,
        enable_prefix_caching: bool = True,
        num_host_blocks: int = 0,
        salt: str = "",
        hash_function: HashFunction = hash_block,
    ) -> None:
        for name, value, least in (
            ("num_blocks", num_blocks, 1),
            ("block_size", block_size, 1),
            ("num_host_blocks", num_host_blocks, 0),
        ):
            if value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
        self.num_blocks = num_blocks
        self.block_size = block_size
        self.num_host_blocks = num_host_blocks
        self.enable_prefix_caching = enable_prefix_caching
        self.on_event: Callable[[BlockEvent], None] | None = None
        self._free = deque(range(num_blocks))
        self._free_host = deque(range(num_host_blocks))
        self._ref_counts = [0] * num_blocks
        self._cache = PrefixCache(block_size, salt=salt, hash_function=hash_function)
        self._sequences: dict[str, _Sequence] = {}
        self._hits = self._evictions = self._copies = 0

    @property
    def num_available(self) -> int:
        """Blocks that can be allocated: the free ones, and the cached ones that nobody refers to."""
        return len(self._free) + self._cache.num_evictable

    def get_computed_blocks(self, token_ids: Sequence[int], salt: str = "") -> list[int]:
        """Return the cached blocks that hold the longest prefix of `token_ids`, its last token excepted.

        There is always a token left to compute: without one there would be no logits. No reference is taken;
        hand the blocks to `allocate_slots` before anything else is allocated.
        """
        if not self.enable_prefix_caching:
            return []
        return self._cache.match(token_ids, salt)

    def allocate_slots(
        self,
        request_id: str,
        num_tokens: int,
        computed_blocks: Sequence[int] = (),
        *,
        keep_free: int = 0,
    ) -> BlockAllocation | None:
        """Make room for `num_tokens` tokens of a request in all.

        ```
         tokens   |<------- has slots already ------->|<------- to be computed ------->|
         blocks   [ full ][ full ][ full ][ last, partly filled ][   new   ][   new   ]
                  |<- computed_blocks ->|   copied, if shared     free ones, then those
                    of a new request:                             evicted from the cache
                    a reference each
        ```

        References to the computed blocks are taken first, so that no new block is one of them; those that
        nobody else refers to are no longer there to be evicted, and count as taken. The last owner of a
        partly filled block keeps it without a copy.

        Args:
            request_id: a new one, or one that has blocks.
            num_tokens: computed ones and those of the next pass together; not fewer than before.
            computed_blocks: from `get_computed_blocks`, for a new request only.
            keep_free: blocks that must still be available afterwards; asked for only where any are taken.

        Returns:
            What was done; None, and nothing at all has changed, if there is too little room.

        Raises:
            ValueError: fewer tokens than before, a request that is swapped out, or blocks that are not the
                beginning of one cached prefix.
        """
        sequence = self._sequence_to_grow(request_id, num_tokens, computed_blocks)
        needs_copy = num_tokens > sequence.num_tokens and self._last_block_is_shared(sequence)
        num_new = -(-num_tokens // self.block_size) - len(sequence.blocks)
        if not (num_new or needs_copy):  # as a rule a decode's token: there is room in the last block
            sequence.num_tokens = num_tokens
            return _NOTHING_TAKEN
        num_revived = sum(self._ref_counts[one] == 0 for one in computed_blocks)
        num_taken = num_new + needs_copy + num_revived
        if num_taken and num_taken + keep_free > self.num_available:
            return None

        self._sequences[request_id] = sequence
        self._take_references(request_id, computed_blocks)
        block_ops = (self._copy_last_block(request_id, sequence),) if needs_copy else ()
        new_blocks = tuple(self._take_block(request_id) for _ in range(num_new))
        sequence.blocks += new_blocks
        sequence.num_tokens = num_tokens
        return BlockAllocation(new_blocks, block_ops)

    def cache_blocks(
        self, request_id: str, token_ids: Sequence[int], num_computed_tokens: int, salt: str = ""
    ) -> None:
        """Make the full blocks among the computed tokens findable.

        Call it after the forward pass that filled a block; blocks that have been through it cost nothing.
        Where another request has cached the same content before, this one's block stays its own.

        Args:
            request_id: one that has blocks in the pool.
            token_ids: of the request, from its first on; at least the computed ones.
            num_computed_tokens: whose keys and values are in the cache, in all layers. No drafts.
            salt: of the request, the same each time.
        """
        sequence = self._in_pool(request_id)
        if num_computed_tokens > min(sequence.num_tokens, len(token_ids)):
            raise ValueError(
                f"request {request_id!r} has slots for {sequence.num_tokens} tokens and names "
                f"{len(token_ids)}: {num_computed_tokens} cannot have been computed"
            )
        if not self.enable_prefix_caching:
            return
        if sequence.prefix is not None and sequence.prefix.salt[1] != salt:
            raise ValueError(
                f"request {request_id!r} has blocks under the salt {sequence.prefix.salt[1]!r}, not {salt!r}"
            )
        for index in range(sequence.num_cached, num_computed_tokens // self.block_size):
            start, block_id = index * self.block_size, sequence.blocks[index]
            prefix = self._cache.extend(sequence.prefix, token_ids[start : start + self.block_size], salt)
            sequence.prefix = self._cache.enter(prefix, block_id)
            sequence.num_cached = index + 1
            if self._cache.prefix_of(block_id) is prefix:
                self._emit("cache", block_id, request_id)

    def free(self, request_id: str) -> None:
        """Give back all blocks of a request, in the pool and in host memory; unknown ids are no error."""
        sequence = self._sequences.pop(request_id, None)
        if sequence is not None:
            self._drop_references(request_id, sequence.blocks)
            self._free_host.extend(reversed(sequence.host_blocks))

    def fork(self, parent_id: str, child_id: str) -> None:
        """Let a new sequence share all blocks of another, whose tokens have all been computed.

        A last block that is partly filled is copied when the first of them is given more slots.

        Raises:
            ValueError: the parent has no blocks in the pool, or the child has blocks already.
        """
        parent = self._in_pool(parent_id)
        if child_id in self._sequences:
            raise ValueError(f"request {child_id!r} has blocks already: {parent_id!r} is forked to a new id")
        for block_id in parent.blocks:
            self._ref_counts[block_id] += 1
        self._sequences[child_id] = _Sequence(
            list(parent.blocks), [], parent.num_tokens, parent.prefix, parent.num_cached
        )

    def swap_out(self, request_id: str) -> list[BlockOp] | None:
        """Move a request's blocks to host memory; None, and no change, if it has too little room.

        The copies are the request's own. Blocks that others share stay where they are, and cached ones can
        still be found.

        Raises:
            ValueError: the request has no blocks in the pool.
        """
        sequence = self._in_pool(request_id)
        if len(sequence.blocks) > len(self._free_host):
            return None
        sequence.host_blocks = [self._free_host.popleft() for _ in sequence.blocks]
        ops = [
            BlockOp("swap_out", block_id, host_id)
            for block_id, host_id in zip(sequence.blocks, sequence.host_blocks, strict=True)
        ]
        for block_id in sequence.blocks:
            self._emit("swap_out", block_id, request_id)
        self._drop_references(request_id, sequence.blocks)
        # What comes back is another set of blocks: they go through the prefix cache again.
        sequence.blocks, sequence.prefix, sequence.num_cached = [], None, 0
        return ops

    def swap_in(self, request_id: str, *, keep_free: int = 0) -> list[BlockOp] | None:
        """Move them back, each to a block of its own.

        Returns:
            The copies to be made; None, and no change, unless `keep_free` blocks would still be available.

        Raises:
            ValueError: the request is not swapped out.
        """
        sequence = self._sequences.get(request_id)
        if sequence is None or not sequence.host_blocks:
            raise ValueError(f"request {request_id!r} is not swapped out")
        if len(sequence.host_blocks) + keep_free > self.num_available:
            return None
        ops = []
        for host_id in sequence.host_blocks:
            block_id = self._take_block(request_id)
            self._emit("swap_in", block_id, request_id)
            sequence.blocks.append(block_id)
            ops.append(BlockOp("swap_in", host_id, block_id))
        self._free_host.extend(reversed(sequence.host_blocks))
        sequence.host_blocks = []
        return ops

    def block_table(self, request_id: str) -> tuple[int, ...]:
        """Return the blocks of a request in order; empty for one that has none in the pool."""
        sequence = self._sequences.get(request_id)
        return () if sequence is None else tuple(sequence.blocks)

    def stats(self) -> BlockStats:
        """Return how many blocks are used, free and cached, and what has happened since the start.

        Another thread may ask while blocks change hands: then the counts are those of different moments.
        """
        free, cached = len(self._free), self._cache.num_evictable
        waste = {
            blocks[-1]: -one.num_tokens % self.block_size
            for one in list(self._sequences.values())
            if (blocks := one.blocks)
        }
        return BlockStats(
            num_blocks=self.num_blocks,
            used=self.num_blocks - free - cached,
            free=free,
            cached=cached,
            num_host_blocks=self.num_host_blocks,
            num_host_used=self.num_host_blocks - len(self._free_host),
            wasted_slots=sum(waste.values()),
            hits=self._hits,
            evictions=self._evictions,
            copies=self._copies,
        )

    # What allocate_slots is made of.

    def _sequence_to_grow(
        self, request_id: str, num_tokens: int, computed_blocks: Sequence[int]
    ) -> _Sequence:
        """Return the books of a request, fresh ones for a new one, after checking that they may grow."""
        sequence = self._sequences.get(request_id)
        if sequence is None:
            sequence = self._new_sequence(request_id, computed_blocks)
            least = sequence.num_tokens + 1  # one is left to compute
        elif computed_blocks:
            raise ValueError(
                f"request {request_id!r} has blocks already: computed blocks are for a new request, "
                f"got {list(computed_blocks)}"
            )
        else:
            least = sequence.num_tokens
        if sequence.host_blocks:
            raise ValueError(f"request {request_id!r} is swapped out: swap it in first")
        if num_tokens < least:
            raise ValueError(
                f"request {request_id!r} has {len(sequence.blocks)} blocks for {sequence.num_tokens} tokens: "
                f"it can be given slots for {least} or more, not for {num_tokens}"
            )
        return sequence

    def _new_sequence(self, request_id: str, computed_blocks: Sequence[int]) -> _Sequence:
        """Return the books of a request that begins with these blocks; no reference is taken yet."""
        prefix = None
        for block_id in computed_blocks:
            cached = self._cache.prefix_of(block_id)
            if cached is None:
                raise ValueError(f"computed block {block_id} of request {request_id!r} is not cached")
            if not is_same_prefix(cached.parent, prefix):
                raise ValueError(
                    f"computed block {block_id} of request {request_id!r} does not follow the one before it: "
                    f"{list(computed_blocks)} is no prefix that get_computed_blocks found"
                )
            prefix = cached
        num_computed = len(computed_blocks)
        return _Sequence(list(computed_blocks), [], num_computed * self.block_size, prefix, num_computed)

    def _last_block_is_shared(self, sequence: _Sequence) -> bool:
        """Whether the last block is partly filled and has another owner besides."""
        partly_filled = sequence.num_tokens % self.block_size != 0
        return partly_filled and self._ref_counts[sequence.blocks[-1]] > 1

    def _copy_last_block(self, request_id: str, sequence: _Sequence) -> BlockOp:
        source, target = sequence.blocks[-1], self._take_block(request_id)
        self._ref_counts[source] -= 1  # somebody else still refers to it
        sequence.blocks[-1] = target
        self._copies += 1
        self._emit("copy", target, request_id)
        return BlockOp("copy", source, target)

    # References.

    def _take_block(self, request_id: str) -> int:
        """Give out the free block that has waited longest, or else evict one. There must be one."""
        if self._free:
            block_id = self._free.popleft()
        else:
            block_id = self._cache.evict()
            self._evictions += 1
            self._emit("evict", block_id, None)
        self._ref_counts[block_id] = 1
        self._emit("allocate", block_id, request_id)
        return block_id

    def _take_references(self, request_id: str, cached_blocks: Iterable[int]) -> None:
        for block_id in cached_blocks:
            if self._ref_counts[block_id] == 0:
                self._cache.claim(block_id)
            self._ref_counts[block_id] += 1
            self._hits += 1
            self._emit("hit", block_id, request_id)

    def _drop_references(self, request_id: str, blocks: Sequence[int]) -> None:
        """Take a table's references back, the tail's first: it is to be evicted before the head."""
        for block_id in reversed(blocks):
            self._ref_counts[block_id] -= 1
            if self._ref_counts[block_id] == 0:
                if self._cache.prefix_of(block_id) is None:
                    self._free.append(block_id)
                else:
                    self._cache.release(block_id)
                self._emit("free", block_id, request_id)

    def _in_pool(self, request_id: str) -> _Sequence:
        sequence = self._sequences.get(request_id)
        if sequence is None or not sequence.blocks:
            where = "has no blocks" if sequence is None else "is swapped out"
            raise ValueError(f"request {request_id!r} {where}")
        return sequence

    def _emit(self, kind: BlockEventKind, block_id: int, request_id: str | None) -> None:
        if self.on_event is not None:
            self.on_event(BlockEvent(kind, block_id, request_id))

    # The books.

    def check_integrity(self) -> None:
        """Raise `IntegrityError`, with the block and the numbers, where the books do not balance.

        Every block is free, or cached and unreferenced, or referenced; a reference count is the number of
        tables that hold the block; a block stands at one place in all of them; hashes and blocks agree; a
        host block is free or has one owner. Takes time in proportion to the pool: for tests and labs.
        """
        self._cache.check_integrity()
        self._check_states()
        self._check_tables()
        owned = [one for sequence in self._sequences.values() for one in sequence.host_blocks]
        _check_once_each("host block", [*self._free_host, *owned], self.num_host_blocks)

    def _check_states(self) -> None:
        held = Counter(one for sequence in self._sequences.values() for one in sequence.blocks)
        for block_id, count in enumerate(self._ref_counts):
            if count != held[block_id]:
                raise IntegrityError(
                    f"block {block_id} has reference count {count}, but {held[block_id]} tables hold it"
                )
        for block_id in self._free:
            if self._cache.prefix_of(block_id) is not None:
                raise IntegrityError(f"block {block_id} is free, but a hash still leads to it")
        _check_once_each("block", [*self._free, *self._cache.evictable(), *held], self.num_blocks)

    def _check_tables(self) -> None:
        places: dict[int, tuple[int, int]] = {}  # block id: its index in the tables, tokens in it
        for request_id, sequence in self._sequences.items():
            blocks = sequence.blocks or sequence.host_blocks
            if len(blocks) != -(-sequence.num_tokens // self.block_size):
                raise IntegrityError(
                    f"request {request_id!r} holds {len(blocks)} blocks for {sequence.num_tokens} tokens"
                )
            for index, block_id in enumerate(sequence.blocks):
                start = index * self.block_size
                place = index, min(self.block_size, sequence.num_tokens - start)
                if places.setdefault(block_id, place) != place:
                    raise IntegrityError(
                        f"block {block_id} is block {place[0]} of request {request_id!r} with {place[1]} "
                        f"tokens, and block {places[block_id][0]} of another with {places[block_id][1]}"
                    )
                prefix = self._cache.prefix_of(block_id)
                if prefix is not None and prefix.num_tokens != start + place[1]:
                    raise IntegrityError(
                        f"block {block_id} is cached as the end of {prefix.num_tokens} tokens, but request "
                        f"{request_id!r} has it as the end of {start + place[1]}"
                    )


def _check_once_each(what: str, ids: Sequence[int], size: int) -> None:
    counts = Counter(ids)
    for one in range(size):
        if counts[one] != 1:
            raise IntegrityError(
                f"{what} {one} of {size} is accounted for {counts[one]} times: each is free, cached or "
                "referenced, and only one of them"
            )

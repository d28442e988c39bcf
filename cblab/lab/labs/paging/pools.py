"""The references for the block pools that students of lab 4 write: counted, and with a memory of content.

`cblab.core.block_manager` and `cblab.core.prefix_cache` are the same ideas with the engine's other duties.
Here each stands alone and speaks plain data, so that a check can talk to a student's version.
"""

from collections import OrderedDict, deque


class BlockPool:
    """The blocks of a KV cache by number: which are free, and how many tables hold each of the others.

    free: ids in the order in which they will be given out. ref_counts: `[num_blocks]`.
    """

    def __init__(self, num_blocks: int) -> None:
        self.free = deque(range(num_blocks))
        self.ref_counts = [0] * num_blocks

    @property
    def num_available(self) -> int:
        """Blocks that `take` can give out."""
        return len(self.free)

    def state(self) -> tuple[list[int], list[int]]:
        """Return the free blocks in order, and the reference counts."""
        return list(self.free), list(self.ref_counts)

    def take(self) -> int:
        """Give out the block that has been free longest, to one holder; ValueError if there is none."""
        if not self.free:
            raise ValueError("no block is free")
        block_id = self.free.popleft()
        self.ref_counts[block_id] = 1
        return block_id

    def share(self, block_id: int) -> None:
        """Count one more holder; ValueError for a block that nobody holds."""
        if self.ref_counts[block_id] == 0:
            raise ValueError(f"block {block_id} is free: nobody can share it")
        self.ref_counts[block_id] += 1

    def release(self, block_id: int) -> None:
        """Count one holder less; without any the block is free again. ValueError if nobody holds it."""
        if self.ref_counts[block_id] == 0:
            raise ValueError(f"block {block_id} is free already")
        self.ref_counts[block_id] -= 1
        if self.ref_counts[block_id] == 0:
            self.free.append(block_id)


class CachingPool:
    """A block pool that can find full blocks again by their hash, until it has to give them away.

    cached: {hash: block}. hash_of: {block: hash}, the same the other way round. evictable: cached blocks
    that nobody holds, the one released longest ago first. num_remembered: blocks entered since the start.
    """

    def __init__(self, num_blocks: int) -> None:
        self.free = deque(range(num_blocks))
        self.ref_counts = [0] * num_blocks
        self.cached: dict[int, int] = {}
        self.hash_of: dict[int, int] = {}
        self.evictable: OrderedDict[int, None] = OrderedDict()
        self.num_remembered = 0

    @property
    def num_available(self) -> int:
        """Blocks that `take` can give out: free ones, and cached ones that nobody holds."""
        return len(self.free) + len(self.evictable)

    def state(self) -> tuple[list[int], list[int], list[int], dict[int, int], dict[int, int]]:
        """Return free blocks, evictable blocks, reference counts, blocks by hash, and hashes by block."""
        lists = list(self.free), list(self.evictable), list(self.ref_counts)
        return *lists, dict(self.cached), dict(self.hash_of)

    def remember(self, block_id: int, block_hash: int) -> None:
        """Make a full block findable, unless its content is cached already, in this block or another."""
        if block_hash not in self.cached:
            self.cached[block_hash] = block_id
            self.hash_of[block_id] = block_hash
            self.num_remembered += 1

    def take(self) -> int:
        """Give out the block that has been free longest, or else evict; ValueError if there is none."""
        if self.free:
            block_id = self.free.popleft()
        elif self.evictable:
            block_id, _ = self.evictable.popitem(last=False)
            del self.cached[self.hash_of.pop(block_id)]
        else:
            raise ValueError("no block is free, and none can be evicted")
        self.ref_counts[block_id] = 1
        return block_id

    def share(self, block_id: int) -> None:
        """Count one more holder of a block that is held or cached; nobody evicts it from now on."""
        self.evictable.pop(block_id, None)
        self.ref_counts[block_id] += 1

    def release(self, block_id: int) -> None:
        """Count one holder less; without any the block is evictable if it is cached, else free."""
        self.ref_counts[block_id] -= 1
        if self.ref_counts[block_id] == 0:
            if block_id in self.hash_of:
                self.evictable[block_id] = None
            else:
                self.free.append(block_id)

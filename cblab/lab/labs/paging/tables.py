"""The references for what students of lab 4 write about block tables: growing, addressing, sharing, "
"finding."""

import math
from collections.abc import Mapping, Sequence

from cblab.core.prefix_cache import hash_block
from cblab.lab.labs.paging.pools import BlockPool, CachingPool

ROOT = 0  # what stands in the place of a parent's hash for the first block


class BlockTables:
    """The block table of each request, over a pool that counts references.

    tables: {request id: its blocks in the order of its tokens}.
    """

    def __init__(self, num_blocks: int, block_size: int) -> None:
        self.pool = BlockPool(num_blocks)
        self.block_size = block_size
        self.tables: dict[str, list[int]] = {}

    def state(self) -> tuple[dict[str, list[int]], list[int], list[int]]:
        """Return the tables, the free blocks in order, and the reference counts."""
        return dict(self.tables), *self.pool.state()

    def allocate_slots(self, request_id: str, num_tokens: int) -> list[int] | None:
        """Make room for `num_tokens` in all; return the new blocks, or None, and no change, if too few."""
        table = self.tables.get(request_id, [])
        num_new = math.ceil(num_tokens / self.block_size) - len(table)
        if num_new > self.pool.num_available:
            return None
        new_blocks = [self.pool.take() for _ in range(num_new)]
        self.tables[request_id] = table + new_blocks
        return new_blocks

    def free(self, request_id: str) -> None:
        """Forget a request and release its blocks, the last one first; an unknown id is no error."""
        for block_id in reversed(self.tables.pop(request_id, [])):
            self.pool.release(block_id)


def slot_mapping(block_table: Sequence[int], first: int, num_new: int, block_size: int) -> list[int]:
    """Return the slots of the tokens at positions `first` to `first + num_new - 1`."""
    positions = range(first, first + num_new)
    return [block_table[one // block_size] * block_size + one % block_size for one in positions]


def fork(pool: BlockPool, block_table: Sequence[int]) -> list[int]:
    """Return a second table of the same blocks, each of which has one more holder."""
    for block_id in block_table:
        pool.share(block_id)
    return list(block_table)


def copy_on_write(
    pool: BlockPool | CachingPool, block_table: Sequence[int], num_tokens: int, block_size: int
) -> tuple[list[int], list[tuple[int, int]]]:
    """Make the slot after `num_tokens` tokens safe to write; return the table and the copies to be made."""
    table = list(block_table)
    if num_tokens % block_size == 0 or pool.ref_counts[table[-1]] == 1:
        return table, []
    source, target = table[-1], pool.take()
    pool.release(source)
    return [*table[:-1], target], [(source, target)]


def block_hashes(token_ids: Sequence[int], block_size: int) -> list[int]:
    """Return the hash of each full block, which covers everything before it too."""
    hashes: list[int] = []
    for start in range(0, len(token_ids) - block_size + 1, block_size):
        parent = hashes[-1] if hashes else ROOT
        hashes.append(hash_block(parent, tuple(token_ids[start : start + block_size])))
    return hashes


def match_prefix(
    hashes: Sequence[int], cached: Mapping[int, int], num_tokens: int, block_size: int
) -> list[int]:
    """Return the blocks of the longest cached prefix that leaves a token of the prompt to compute."""
    blocks: list[int] = []
    for block_hash in hashes[: (num_tokens - 1) // block_size]:
        if block_hash not in cached:
            break
        blocks.append(cached[block_hash])
    return blocks


class BlockManager:
    """What the engine asks of whoever owns the blocks; `plug.plugged` makes a part of it.

    tables: {request id: its blocks}. num_tokens: {request id: tokens that its blocks have been asked for}.
    """

    def __init__(self, num_blocks: int, block_size: int) -> None:
        self.pool = CachingPool(num_blocks)
        self.block_size = block_size
        self.tables: dict[str, list[int]] = {}
        self.num_tokens: dict[str, int] = {}

    def hashes(self, token_ids: Sequence[int]) -> list[int]:
        """Return the hashes of the full blocks of a sequence."""
        return block_hashes(token_ids, self.block_size)

    def get_computed_blocks(self, token_ids: Sequence[int]) -> list[int]:
        """Return the cached blocks of the longest prefix; no reference is taken."""
        return match_prefix(self.hashes(token_ids), self.pool.cached, len(token_ids), self.block_size)

    def must_copy(self, request_id: str, num_tokens: int) -> bool:
        """Return whether growing to `num_tokens` writes into a block that somebody else holds too."""
        held = self.num_tokens.get(request_id, 0)
        if num_tokens == held or held % self.block_size == 0:
            return False
        return self.pool.ref_counts[self.tables[request_id][-1]] > 1

    def allocate_slots(
        self, request_id: str, num_tokens: int, computed_blocks: Sequence[int]
    ) -> list[tuple[int, int]] | None:
        """Make room for `num_tokens` in all; return the copies, or None, and no change, if too few."""
        table = self.tables.get(request_id, list(computed_blocks))
        must_copy = self.must_copy(request_id, num_tokens)
        num_new = math.ceil(num_tokens / self.block_size) - len(table)
        num_revived = sum(self.pool.ref_counts[block_id] == 0 for block_id in computed_blocks)
        if num_new + must_copy + num_revived > self.pool.num_available:
            return None
        for block_id in computed_blocks:
            self.pool.share(block_id)
        copies: list[tuple[int, int]] = []
        if must_copy:
            table, copies = copy_on_write(self.pool, table, self.num_tokens[request_id], self.block_size)
        self.tables[request_id] = table + [self.pool.take() for _ in range(num_new)]
        self.num_tokens[request_id] = num_tokens
        return copies

    def cache_blocks(self, request_id: str, token_ids: Sequence[int], num_computed_tokens: int) -> None:
        """Make the full blocks among the computed tokens findable."""
        for index, block_hash in enumerate(self.hashes(token_ids[:num_computed_tokens])):
            self.pool.remember(self.tables[request_id][index], block_hash)

    def free(self, request_id: str) -> None:
        """Forget a request and release its blocks, the last one first; an unknown id is no error."""
        self.num_tokens.pop(request_id, None)
        for block_id in reversed(self.tables.pop(request_id, [])):
            self.pool.release(block_id)

    def fork(self, parent_id: str, child_id: str) -> None:
        """Let a new request share all blocks of another."""
        for block_id in self.tables[parent_id]:
            self.pool.share(block_id)
        self.tables[child_id] = list(self.tables[parent_id])
        self.num_tokens[child_id] = self.num_tokens[parent_id]

    def block_table(self, request_id: str) -> list[int]:
        """Return a request's blocks in order; none for an unknown id."""
        return list(self.tables.get(request_id, []))

    def counts(self) -> dict[str, int]:
        """Return how many blocks are used, free, and cached though nobody holds them; and all evictions."""
        return {
            "used": sum(count > 0 for count in self.pool.ref_counts),
            "free": len(self.pool.free),
            "cached": len(self.pool.evictable),
            "evictions": self.pool.num_remembered - len(self.pool.hash_of),
        }

    def state(self) -> tuple[dict[str, list[int]], dict[str, int], list[int], list[int], list[int]]:
        """Return tables, tokens, the free and the evictable blocks in order, and the reference counts."""
        return dict(self.tables), dict(self.num_tokens), *self.pool.state()[:3]

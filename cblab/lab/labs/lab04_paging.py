"""The exercises of lab 4, paging: what is asked for, the hints, and which check judges it."""

from cblab.lab.exercise import Exercise, Part
from cblab.lab.labs.paging import (
    addressing,
    caching,
    contiguous,
    counting,
    growing,
    managing,
    numbers,
    prefixes,
    serving,
    sharing,
)

_POOLS = "cblab.lab.labs.paging.pools"
_TABLES = "cblab.lab.labs.paging.tables"
_FRAGMENTATION = "cblab.memory.fragmentation"

_BLOCKS = (
    Exercise(
        "4.1",
        "A pool that counts holders",
        symbols={"BlockPool": f"{_POOLS}:BlockPool"},
        parts=(
            Part("free list and counts", 2, counting.check_counting),
            Part("refusals", 1, counting.check_refusals),
        ),
        minutes=5,
        difficulty="easy",
        lines=12,
        hints=(
            "A block is free, or it has a count of holders above 0, never both. `take` and `release` move it "
            "from one to the other; `share` only counts.",
            "self.free is a deque: popleft() takes from the front, append() puts at the end. "
            "self.ref_counts[block_id] is 0 exactly for the blocks in self.free.",
            "take: ValueError if self.free is empty; popleft; count 1; return it\n"
            "share: ValueError if the count is 0; count + 1\n"
            "release: ValueError if the count is 0; count - 1; append to self.free if it is 0 now",
        ),
    ),
    Exercise(
        "4.2",
        "Allocate, grow, free",
        symbols={"BlockTables": f"{_TABLES}:BlockTables"},
        needs=("BlockPool",),
        parts=(Part("tables", 3, growing.check_block_tables),),
        minutes=8,
        difficulty="medium",
        lines=9,
        hints=(
            "How many blocks do so many tokens need, how many has the request already, and are there enough? "
            "Ask before you take.",
            "self.tables.get(request_id, []) is the table so far. Needed are ceil(num_tokens / block_size) "
            "blocks in all; self.pool.num_available says how many can be had.",
            "allocate_slots:\n"
            "    num_new = blocks needed in all - blocks in the table\n"
            "    None if that is more than num_available\n"
            "    take them; the table is the old one and the new blocks; return the new blocks\n"
            "free:\n"
            "    take the table out of self.tables ([] if there is none)\n"
            "    release its blocks, the last one first",
        ),
    ),
    Exercise(
        "4.3",
        "Write and read through the table",
        symbols={
            "slot_mapping": f"{_TABLES}:slot_mapping",
            "gather": "cblab.lab.labs.paging.tensors:gather",
        },
        parts=(
            Part("slots", 2, addressing.check_slot_mapping),
            Part("gathered rows", 2, addressing.check_gather),
        ),
        minutes=6,
        difficulty="medium",
        lines=3,
        hints=(
            "A position says which entry of the table, and which place in that block. Reading is the "
            "same the "
            "other way round, for whole blocks.",
            "Position p is in block block_table[p // block_size], at place p % block_size. "
            "pool[list_of_blocks] is [len, block_size, num_kv_heads, head_dim].",
            "slot_mapping: for position first … first + num_new - 1:\n"
            "    its block's id * block_size + its place in the block\n"
            "gather: index the pool with the table, join the first two dimensions (flatten(0, 1)),\n"
            "    keep the first num_tokens rows",
        ),
    ),
    Exercise(
        "4.4",
        "Share, and copy on write",
        symbols={"fork": f"{_TABLES}:fork", "copy_on_write": f"{_TABLES}:copy_on_write"},
        needs=("BlockPool",),
        parts=(
            Part("fork", 1, sharing.check_fork),
            Part("copy on write", 3, sharing.check_copy_on_write),
        ),
        minutes=8,
        difficulty="medium",
        lines=8,
        hints=(
            "Forking copies numbers and no content. Only the block that the next token is written into can "
            "need a copy, and only if somebody else holds it.",
            "The next token goes to position num_tokens: into block_table[-1] exactly when num_tokens is no "
            "multiple of block_size. pool.ref_counts[block] is the number of holders.",
            "fork: share every block, return a copy of the list\n"
            "copy_on_write:\n"
            "    nothing to do if num_tokens % block_size == 0 or the last block has one holder\n"
            "    take a new block, release the old one\n"
            "    return the table with the new block at its end, and [(old, new)]",
        ),
    ),
)

_PREFIX = (
    Exercise(
        "4.5",
        "Chained hashes",
        symbols={"block_hashes": f"{_TABLES}:block_hashes"},
        parts=(Part("hashes", 2, prefixes.check_block_hashes),),
        minutes=4,
        difficulty="medium",
        lines=6,
        hints=(
            "Go from block to block and hand each hash on to the next one.",
            "n tokens have n // block_size full blocks; block i is token_ids[i * block_size : (i + 1) * "
            "block_size], as a tuple. The first one's parent is ROOT.",
            "parent = ROOT\n"
            "for each full block:\n"
            "    parent = hash_block(parent, tuple of its tokens)\n"
            "    append parent",
        ),
    ),
    Exercise(
        "4.6",
        "Mend the full hit",
        symbols={"match_prefix": f"{_TABLES}:match_prefix"},
        parts=(Part("blocks found", 2, prefixes.check_match_prefix),),
        minutes=5,
        difficulty="medium",
        lines=6,
        hints=(
            "Which blocks may be taken at most, so that one token is left? Then: go on until a hash is "
            "missing.",
            "num_tokens - 1 tokens may come from the cache, that is (num_tokens - 1) // block_size full "
            "blocks.",
            "for each hash of the first (num_tokens - 1) // block_size:\n"
            "    stop if it is not in cached\n"
            "    append its block",
        ),
    ),
    Exercise(
        "4.7",
        "Mend the stale hash",
        symbols={"CachingPool": f"{_POOLS}:CachingPool"},
        parts=(Part("free, evictable, findable", 4, caching.check_caching_pool),),
        minutes=8,
        difficulty="hard",
        lines=15,
        hints=(
            "Ask of each of the three dicts what has to happen to it when a block is given away, held again, "
            "let go. A block that is given away must be in none of them.",
            "evictable.popitem(last=False) gives (block, None), the one let go longest ago. "
            "hash_of.pop(block) "
            "gives its hash, under which `cached` knows it.",
            "take: from the front of free; else evict: out of evictable, hash_of and cached; else "
            "ValueError\n"
            "    the count is 1\n"
            "share: out of evictable, if it is there; count + 1\n"
            "release: count - 1; at 0 into evictable if hash_of knows it, else to the end of free",
        ),
    ),
    Exercise(
        "4.8",
        "A block manager for the engine",
        symbols={"BlockManager": f"{_TABLES}:BlockManager"},
        needs=("copy_on_write", "block_hashes", "match_prefix", "CachingPool"),
        parts=(
            Part("books", 3, managing.check_books),
            Part("in the engine", 2, serving.check_in_the_engine),
        ),
        minutes=10,
        difficulty="hard",
        lines=13,
        hints=(
            "First find out what the request takes from the pool, and say None if that is too much. "
            "Then share "
            "what was found, copy if you must, and take what is new, in this order.",
            "Three things are taken: new blocks (blocks needed in all, less those in the table), one for a "
            "private copy if self.must_copy(…), and computed blocks whose count is 0: they are among "
            "num_available now and will not be afterwards.",
            "table = the request's table, or a copy of computed_blocks for a new one\n"
            "None if new + copy + revived blocks > self.pool.num_available\n"
            "share the computed blocks\n"
            "if a copy is needed: table, copies = copy_on_write(pool, table, tokens so far, block size)\n"
            "take the new blocks, write down table and num_tokens, return the copies ([] for none)",
        ),
    ),
)

_ASSESSMENT = (
    Exercise(
        "4.9",
        "Blocks of 16",
        variables=("blocks_in_pool", "mean_waste_share", "table_bytes"),
        parts=(
            Part("blocks", 1, numbers.BLOCKS),
            Part("waste", 1, numbers.SHARE),
            Part("table", 1, numbers.TABLE),
        ),
        minutes=5,
        difficulty="medium",
        hints=(
            "Bytes of a block; empty slots of a last block; entries of a table.",
            "A GiB is 2³⁰ bytes. The last block has 0, 1, …, 15 empty slots, each equally likely. An "
            "int32 has "
            "4 bytes.",
            "pool // (16 * bytes a token); waste / (tokens + waste); context / 16 * 4",
        ),
    ),
    Exercise(
        "4.10",
        "One instruction, 64 requests",
        variables=("blocks_without_sharing", "blocks_with_sharing", "prefill_tokens_saved"),
        parts=(
            Part("without sharing", 1, numbers.UNSHARED),
            Part("with sharing", 1, numbers.SHARING),
            Part("tokens saved", 1, numbers.PREFILL),
        ),
        minutes=5,
        difficulty="medium",
        hints=(
            "Only full blocks are shared; the rest of the instruction lies in each request's own block.",
            "1,000 tokens are 62 full blocks and 8 tokens. A request of 1,500 tokens has 94 blocks.",
            "64 * 94; 62 + 64 * (94 - 62); 63 * 62 * 16",
        ),
    ),
    Exercise(
        "4.11",
        "Reserve or page",
        variables=("contiguous_requests", "paged_requests", "compaction_ms"),
        parts=(
            Part("contiguous", 1, numbers.CONTIGUOUS),
            Part("paged", 1, numbers.PAGED),
            Part("compaction", 1, numbers.COMPACTION),
        ),
        minutes=5,
        difficulty="medium",
        hints=(
            "A reservation is for what may come, blocks are for what is there. A move reads and writes.",
            "Whole blocks for each request. Bytes moved: 60 × 700 tokens × bytes a token, once read, once "
            "written.",
            "slots // 4096; (slots // 16) // ceil(700 / 16); 2 * bytes / bandwidth * 1000",
        ),
    ),
)

_BONUS = (
    Exercise(
        "4.14",
        "First fit",
        symbols={"first_fit": f"{_FRAGMENTATION}:first_fit"},
        parts=(Part("start", 2, contiguous.check_first_fit),),
        minutes=10,
        difficulty="medium",
        lines=6,
        bonus=True,
        hints=(
            "Walk along the memory from the front and remember where the last reservation ended.",
            "A hole is from the end of one reservation to the start of the next; there is one before "
            "the first "
            "and one behind the last.",
            "end = 0\n"
            "for each reservation by its start:\n"
            "    end is the answer if start - end >= wanted\n"
            "    end = start + size\n"
            "end, if num_slots - end >= wanted, else None",
        ),
    ),
    Exercise(
        "4.15",
        "Compact",
        symbols={"slide_down": f"{_FRAGMENTATION}:slide_down"},
        parts=(Part("starts and copies", 2, contiguous.check_slide_down),),
        minutes=8,
        difficulty="medium",
        lines=7,
        bonus=True,
        hints=(
            "Everything keeps its order and its size; only the starts change.",
            "The new start of a reservation is the sum of the sizes before it. It moves if that is not "
            "where it "
            "was, and a move copies its tokens.",
            "end = copied = 0\n"
            "for each (start, size, used):\n"
            "    its new start is end; if that is not start: copied += used\n"
            "    end += size",
        ),
    ),
)

EXERCISES: tuple[Exercise, ...] = (*_BLOCKS, *_PREFIX, *_ASSESSMENT, *_BONUS)

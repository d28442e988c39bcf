"""Right answers to the exercises of lab 4, written differently; each must get full marks.

`ALTERNATIVES[exercise]` lists (name, blanks): one dedented source for each solution region of the
answer cell.
"""

import textwrap


def code(*texts: str) -> tuple[str, ...]:
    """The blanks, dedented."""
    return tuple(textwrap.dedent(text).strip("\n") for text in texts)


_BLOCKS: dict[str, list[tuple[str, tuple[str, ...]]]] = {
    "4.1": [
        (
            "errors that Python raises, turned",
            code(
                """
                try:
                    block_id = self.free.popleft()
                except IndexError:
                    raise ValueError("the pool is empty") from None
                self.ref_counts[block_id] += 1
                return block_id
            """,
                """
                if not self.ref_counts[block_id]:
                    raise ValueError(block_id)
                self.ref_counts[block_id] = self.ref_counts[block_id] + 1
            """,
                """
                if block_id in self.free:
                    raise ValueError(block_id)
                self.ref_counts[block_id] -= 1
                if not self.ref_counts[block_id]:
                    self.free.append(block_id)
            """,
            ),
        ),
        (
            "one count at a time, compared before",
            code(
                """
                if len(self.free) == 0:
                    raise ValueError
                first, *_ = self.free
                self.free.remove(first)
                self.ref_counts[first] = 1
                return first
            """,
                """
                if block_id in self.free:
                    raise ValueError("free")
                self.ref_counts[block_id] += 1
            """,
                """
                count = self.ref_counts[block_id]
                if count < 1:
                    raise ValueError("free already")
                if count == 1:
                    self.free.append(block_id)
                self.ref_counts[block_id] = count - 1
            """,
            ),
        ),
        (
            "a deque made anew",
            code(
                """
                if self.num_available == 0:
                    raise ValueError("none left")
                block_id = list(self.free)[0]
                self.free = deque(list(self.free)[1:])
                self.ref_counts[block_id] = 1
                return block_id
            """,
                """
                if self.ref_counts[block_id] <= 0:
                    raise ValueError("free")
                self.ref_counts[block_id] += 1
            """,
                """
                if self.ref_counts[block_id] <= 0:
                    raise ValueError("free")
                self.ref_counts[block_id] -= 1
                if self.ref_counts[block_id] > 0:
                    return
                self.free = deque([*self.free, block_id])
            """,
            ),
        ),
    ],
    "4.2": [
        (
            "integers only, extending in place",
            code(
                """
                have = len(self.tables.get(request_id, ()))
                wanted = (num_tokens + self.block_size - 1) // self.block_size - have
                if self.pool.num_available < wanted:
                    return None
                added = []
                for _ in range(wanted):
                    added.append(self.pool.take())
                self.tables.setdefault(request_id, []).extend(added)
                return added
            """,
                """
                if request_id in self.tables:
                    for block_id in self.tables[request_id][::-1]:
                        self.pool.release(block_id)
                    del self.tables[request_id]
            """,
            ),
        ),
        (
            "takes and gives back",
            code(
                """
                before = len(self.tables.get(request_id, []))
                missing = -(-num_tokens // self.block_size) - before
                fits = missing <= len(self.pool.free)
                if not fits:
                    return None
                self.tables[request_id] = [
                    *self.tables.get(request_id, []),
                    *(self.pool.take() for _ in range(missing)),
                ]
                return self.tables[request_id][before:]
            """,
                """
                table = self.tables.pop(request_id, [])
                while table:
                    self.pool.release(table.pop())
            """,
            ),
        ),
        (
            "a loop over the missing tokens",
            code(
                """
                table = list(self.tables.get(request_id, []))
                new = []
                room = len(table) * self.block_size
                missing = 0
                while room < num_tokens:
                    missing += 1
                    room += self.block_size
                if missing > self.pool.num_available:
                    return None
                while missing:
                    new.append(self.pool.take())
                    missing -= 1
                self.tables[request_id] = table + new
                return new
            """,
                """
                try:
                    table = self.tables.pop(request_id)
                except KeyError:
                    return
                for index in range(len(table) - 1, -1, -1):
                    self.pool.release(table[index])
            """,
            ),
        ),
    ],
    "4.3": [
        (
            "divmod, and concatenated blocks",
            code(
                """
                slots = []
                for position in range(first, first + num_new):
                    index, place = divmod(position, block_size)
                    slots.append(block_table[index] * block_size + place)
                return slots
            """,
                "return torch.cat([pool[block] for block in block_table])[:num_tokens]",
            ),
        ),
        (
            "all slots of the table, cut; a row at a time",
            code(
                """
                slots = [block * block_size + place for block in block_table for place in range(block_size)]
                return slots[first : first + num_new]
            """,
                """
                size = pool.shape[1]
                return torch.stack([pool[block_table[p // size], p % size] for p in range(num_tokens)])
            """,
            ),
        ),
        (
            "tensors",
            code(
                """
                positions = torch.arange(first, first + num_new)
                blocks = torch.tensor(block_table, dtype=torch.int64)[positions // block_size]
                return (blocks * block_size + positions % block_size).tolist()
            """,
                """
                rows = pool.index_select(0, torch.tensor(block_table))
                return rows.reshape(-1, pool.shape[2], pool.shape[3])[:num_tokens].clone()
            """,
            ),
        ),
    ],
    "4.4": [
        (
            "in place on a copy",
            code(
                """
                child = []
                for block_id in block_table:
                    pool.share(block_id)
                    child.append(block_id)
                return child
            """,
                """
                table = block_table.copy()
                is_shared = pool.ref_counts[table[-1]] > 1
                if num_tokens % block_size and is_shared:
                    old = table.pop()
                    pool.release(old)
                    table.append(pool.take())
                    return table, [(old, table[-1])]
                return table, []
            """,
            ),
        ),
        (
            "the block of the next token",
            code(
                """
                [pool.share(block_id) for block_id in block_table]
                return block_table[:]
            """,
                """
                index = num_tokens // block_size
                if index == len(block_table):
                    return block_table, []
                old = block_table[index]
                if pool.ref_counts[old] < 2:
                    return block_table, []
                new = pool.take()
                pool.release(old)
                block_table[index] = new
                return block_table, [(old, new)]
            """,
            ),
        ),
        (
            "a list of copies",
            code(
                """
                for index in range(len(block_table)):
                    pool.share(block_table[index])
                return [*block_table]
            """,
                """
                copies = []
                *head, last = block_table
                if num_tokens % block_size != 0 and pool.ref_counts[last] != 1:
                    copies.append((last, pool.take()))
                    pool.release(last)
                    last = copies[0][1]
                return head + [last], copies
            """,
            ),
        ),
    ],
}

_PREFIX: dict[str, list[tuple[str, tuple[str, ...]]]] = {
    "4.5": [
        (
            "by number of the block",
            code("""
            result = []
            for index in range(len(token_ids) // block_size):
                tokens = tuple(token_ids[index * block_size : (index + 1) * block_size])
                result.append(hash_block(result[-1] if result else ROOT, tokens))
            return result
        """),
        ),
        (
            "accumulate",
            code("""
            from itertools import accumulate
            full = len(token_ids) // block_size * block_size
            blocks = [tuple(token_ids[i : i + block_size]) for i in range(0, full, block_size)]
            return list(accumulate(blocks, hash_block, initial=ROOT))[1:]
        """),
        ),
        (
            "recursion",
            code("""
            full = len(token_ids) // block_size
            if full == 0:
                return []
            before = block_hashes(token_ids[: (full - 1) * block_size], block_size)
            last = tuple(token_ids[(full - 1) * block_size : full * block_size])
            return before + [hash_block(before[-1] if before else ROOT, last)]
        """),
        ),
        (
            "Python's own hash of the pair",
            code("""
            hashes, parent = [], ROOT
            for start in range(0, len(token_ids), block_size):
                tokens = tuple(token_ids[start : start + block_size])
                if len(tokens) == block_size:
                    parent = hash((parent, tokens))
                    hashes.append(parent)
            return hashes
        """),
        ),
    ],
    "4.6": [
        (
            "takewhile",
            code("""
            from itertools import takewhile
            may = hashes[: (num_tokens - 1) // block_size]
            return [cached[one] for one in takewhile(lambda one: one in cached, may)]
        """),
        ),
        (
            "all of them, and the last given back",
            code("""
            blocks = []
            for block_hash in hashes:
                block = cached.get(block_hash)
                if block is None:
                    break
                blocks.append(block)
            if len(blocks) * block_size == num_tokens:
                blocks.pop()
            return blocks
        """),
        ),
        (
            "counting",
            code("""
            count = 0
            while count < len(hashes) and hashes[count] in cached and (count + 1) * block_size < num_tokens:
                count += 1
            return [cached[hashes[index]] for index in range(count)]
        """),
        ),
    ],
    "4.7": [
        (
            "the oldest by iterating",
            code(
                """
                if not self.num_available:
                    raise ValueError("nothing available")
                if len(self.free):
                    block = self.free.popleft()
                else:
                    block = next(iter(self.evictable))
                    del self.evictable[block]
                    del self.cached[self.hash_of[block]]
                    del self.hash_of[block]
                self.ref_counts[block] += 1
                return block
            """,
                """
                if block_id in self.evictable:
                    del self.evictable[block_id]
                self.ref_counts[block_id] += 1
            """,
                """
                self.ref_counts[block_id] -= 1
                if self.ref_counts[block_id]:
                    return
                if block_id in self.hash_of:
                    self.evictable[block_id] = None
                else:
                    self.free.append(block_id)
            """,
            ),
        ),
        (
            "counts decide",
            code(
                """
                if self.free:
                    taken = self.free.popleft()
                else:
                    if not self.evictable:
                        raise ValueError
                    taken = list(self.evictable)[0]
                    self.evictable.pop(taken)
                    self.cached.pop(self.hash_of.pop(taken))
                self.ref_counts[taken] = 1
                return taken
            """,
                """
                if self.ref_counts[block_id] == 0:
                    self.evictable.pop(block_id)
                self.ref_counts[block_id] += 1
            """,
                """
                count = self.ref_counts[block_id] - 1
                self.ref_counts[block_id] = count
                is_cached = self.cached.get(self.hash_of.get(block_id)) == block_id
                if count == 0 and is_cached:
                    self.evictable[block_id] = None
                elif count == 0:
                    self.free.append(block_id)
            """,
            ),
        ),
        (
            "an error turned",
            code(
                """
                try:
                    block = self.free.popleft()
                except IndexError:
                    try:
                        block, _ = self.evictable.popitem(last=False)
                    except KeyError:
                        raise ValueError("no block") from None
                    self.cached.pop(self.hash_of.pop(block))
                self.ref_counts[block] = 1
                return block
            """,
                """
                self.ref_counts[block_id] += 1
                self.evictable.pop(block_id, None)
            """,
                """
                self.ref_counts[block_id] -= 1
                if self.ref_counts[block_id] == 0 and block_id not in self.hash_of:
                    self.free.append(block_id)
                if self.ref_counts[block_id] == 0 and block_id in self.hash_of:
                    self.evictable[block_id] = None
                    self.evictable.move_to_end(block_id)
            """,
            ),
        ),
    ],
    "4.8": [
        (
            "new and growing apart",
            code("""
            if request_id in self.tables:
                held = self.num_tokens[request_id]
                table = self.tables[request_id]
                copy = self.must_copy(request_id, num_tokens)
                missing = -(-num_tokens // self.block_size) - len(table)
                if missing + copy > self.pool.num_available:
                    return None
                copies = []
                if copy:
                    table, copies = copy_on_write(self.pool, table, held, self.block_size)
                self.tables[request_id] = [*table, *[self.pool.take() for _ in range(missing)]]
                self.num_tokens[request_id] = num_tokens
                return copies
            missing = -(-num_tokens // self.block_size) - len(computed_blocks)
            asleep = [b for b in computed_blocks if b in self.pool.evictable]
            if missing + len(asleep) > self.pool.num_available:
                return None
            for b in computed_blocks:
                self.pool.share(b)
            self.tables[request_id] = list(computed_blocks) + [self.pool.take() for _ in range(missing)]
            self.num_tokens[request_id] = num_tokens
            return []
        """),
        ),
        (
            "copy on write always asked",
            code("""
            held = self.num_tokens.get(request_id, 0)
            table = list(self.tables.get(request_id, computed_blocks))
            needed = (num_tokens + self.block_size - 1) // self.block_size - len(table)
            taken = needed + int(self.must_copy(request_id, num_tokens))
            for block_id in computed_blocks:
                taken += 0 if self.pool.ref_counts[block_id] else 1
            if self.pool.num_available < taken:
                return None
            [self.pool.share(block_id) for block_id in computed_blocks]
            copies = []
            if held and num_tokens > held:
                table, copies = copy_on_write(self.pool, table, held, self.block_size)
            while needed > 0:
                table.append(self.pool.take())
                needed -= 1
            self.tables[request_id], self.num_tokens[request_id] = table, num_tokens
            return copies
        """),
        ),
        (
            "shares and takes back",
            code("""
            table = list(self.tables.get(request_id, computed_blocks))
            copy = self.must_copy(request_id, num_tokens)
            available = self.pool.num_available - len(set(computed_blocks) & set(self.pool.evictable))
            number = math.ceil(num_tokens / self.block_size) - len(table)
            if number + copy > available:
                return None
            for block_id in computed_blocks:
                self.pool.share(block_id)
            copies = []
            if copy:
                old = table.pop()
                new = self.pool.take()
                self.pool.release(old)
                table.append(new)
                copies = [(old, new)]
            table.extend(self.pool.take() for _ in range(number))
            self.tables[request_id] = table
            self.num_tokens[request_id] = num_tokens
            return copies
        """),
        ),
    ],
}

_NUMBERS: dict[str, list[tuple[str, tuple[str, ...]]]] = {
    "4.9": [
        ("plain numbers", code("blocks_in_pool = 20_480; mean_waste_share = 0.00826; table_bytes = 32_768")),
        (
            "step by step",
            code("""
            block_bytes = 131_072 * 16
            blocks_in_pool = (40 << 30) // block_bytes
            waste = sum(range(16)) / 16
            mean_waste_share = waste / (900 + waste)
            table_bytes = 4 * (131_072 // 16)
        """),
        ),
        (
            "rounded, within the tolerance",
            code(
                "blocks_in_pool = int(40 * 1024**3 / 16 / 131_072); mean_waste_share = 0.0083\ntable_bytes "
                "= 2**15"
            ),
        ),
    ],
    "4.10": [
        (
            "plain numbers",
            code(
                "blocks_without_sharing = 6_016; blocks_with_sharing = 2_110; prefill_tokens_saved = 62_496"
            ),
        ),
        (
            "what each saves",
            code("""
            full = 1_000 // 16
            blocks_without_sharing = 64 * -(-1_500 // 16)
            blocks_with_sharing = blocks_without_sharing - 63 * full
            prefill_tokens_saved = 63 * full * 16
        """),
        ),
        (
            "the rest of the instruction with the question",
            code("""
            own = -(-(1_000 % 16 + 200 + 300) // 16)
            blocks_with_sharing = 62 + 64 * own
            blocks_without_sharing = 64 * (62 + own)
            prefill_tokens_saved = (64 - 1) * (1_000 - 1_000 % 16)
        """),
        ),
    ],
    "4.11": [
        ("plain numbers", code("contiguous_requests = 80; paged_requests = 465; compaction_ms = 7.34")),
        (
            "step by step",
            code("""
            blocks = 327_680 // 16
            contiguous_requests = blocks // (4_096 // 16)
            paged_requests = blocks // -(-700 // 16)
            moved = 60 * 700 * 131_072
            compaction_ms = (moved + moved) / 1.5e12 / 1e-3
        """),
        ),
        (
            "slots rounded up",
            code("""
            contiguous_requests = int(327_680 / 4_096)
            paged_requests = int(327_680 / (44 * 16))
            compaction_ms = 60 * 700 * 131_072 * 2 / 1_500 / 1e6
        """),
        ),
    ],
}

_BONUS: dict[str, list[tuple[str, tuple[str, ...]]]] = {
    "4.14": [
        (
            "a bitmap",
            code("""
            taken = [False] * num_slots
            for start, size in reserved:
                taken[start : start + size] = [True] * size
            for start in range(num_slots - wanted + 1):
                if not any(taken[start : start + wanted]):
                    return start
            return None
        """),
        ),
        (
            "gaps between neighbours",
            code("""
            order = [(0, 0), *sorted(reserved), (num_slots, 0)]
            for (a, size), (b, _) in zip(order, order[1:]):
                if b - (a + size) >= wanted:
                    return a + size
            return None
        """),
        ),
        (
            "candidates",
            code("""
            ends = sorted([0] + [start + size for start, size in reserved])
            for end in ends:
                following = min([start for start, size in reserved if start >= end], default=num_slots)
                if following - end >= wanted:
                    return end
            return None
        """),
        ),
    ],
    "4.15": [
        (
            "sums of sizes",
            code("""
            starts = [sum(size for _, size, _ in runs[:index]) for index in range(len(runs))]
            copied = sum(run[2] for run, start in zip(runs, starts) if run[0] != start)
            return starts, copied
        """),
        ),
        (
            "accumulate",
            code("""
            from itertools import accumulate
            starts = list(accumulate((size for _, size, _ in runs), initial=0))[: len(runs)]
            return starts, sum(used for (start, _, used), new in zip(runs, starts) if new < start)
        """),
        ),
        (
            "a gap that grows",
            code("""
            starts, copied, gap, end = [], 0, 0, 0
            for start, size, used in runs:
                gap += start - end
                starts.append(start - gap)
                copied += used * (gap > 0)
                end = start + size
            return starts, copied
        """),
        ),
    ],
}

ALTERNATIVES: dict[str, list[tuple[str, tuple[str, ...]]]] = {**_BLOCKS, **_PREFIX, **_NUMBERS, **_BONUS}

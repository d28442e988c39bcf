"""Wrong answers to 4.5 to 4.7: hashes, prefixes, eviction."""

from tests.labs.edit import code, edited, solution

_HASH = "hash_block(parent, tuple(token_ids[start : start + block_size]))"
HASHES = [
    ("no parent", edited("4.5", (_HASH, _HASH.replace("parent,", "ROOT,"))), "The parent is not in the hash"),
    (
        "partly filled too",
        edited("4.5", ("len(token_ids) - block_size + 1", "len(token_ids)")),
        "A partly filled last block has a hash too",
    ),
    (
        "last full block missing",
        edited("4.5", ("len(token_ids) - block_size + 1", "len(token_ids) - block_size")),
        "The last block is missing",
    ),
    (
        "whole prefixes",
        edited("4.5", (_HASH, "hash_block(ROOT, tuple(token_ids[: start + block_size]))")),
        "all the tokens so far: that takes quadratic time",
    ),
    (
        "parent and whole prefix",
        edited("4.5", (_HASH, "hash_block(parent, tuple(token_ids[: start + block_size]))")),
        "the parent's hash and all the tokens so far",
    ),
    (
        "tokens as parent",
        code("""
        hashes, before = [], ROOT
        for start in range(0, len(token_ids) - block_size + 1, block_size):
            tokens = tuple(token_ids[start : start + block_size])
            hashes.append(hash_block(before, tokens))
            before = tokens
        return hashes
    """),
        "that reaches one block back",
    ),
    (
        "first block as parent",
        edited("4.5", ("hashes.append(parent)", "hashes.append(parent)\n    parent = hashes[0]")),
        "The first block is the parent",
    ),
    (
        "a block at each token",
        edited("4.5", ("+ 1, block_size)", "+ 1)")),
        "The blocks overlap",
    ),
    ("a list", edited("4.5", (_HASH, _HASH.replace("tuple(", "list("))), "A list cannot be hashed"),
    (
        "from the end",
        code("""
        hashes, parent = [], ROOT
        for start in reversed(range(0, len(token_ids) - block_size + 1, block_size)):
            parent = hash_block(parent, tuple(token_ids[start : start + block_size]))
            hashes.insert(0, parent)
        return hashes
    """),
        "from the end to the beginning",
    ),
    ("last only", edited("4.5", ("return hashes", "return parent")), "Only the last hash"),
    (
        "arguments swapped",
        edited("4.5", (_HASH, "hash_block(tuple(token_ids[start : start + block_size]), parent)")),
        "`hash_block(parent, tokens)`",
    ),
    ("another root", edited("4.5", ("parent = ROOT", "parent = 1")), "another parent than `ROOT`"),
]

_LIMIT = "hashes[: (num_tokens - 1) // block_size]"
MATCH = [
    ("full hit", edited("4.6", (_LIMIT, "hashes")), "is taken whole"),
    (
        "gives the last up",
        edited("4.6", (_LIMIT, "hashes"), ("return blocks", "return blocks[:-1]")),
        "is always given up",
    ),
    (
        "one fewer for all",
        edited("4.6", (_LIMIT, "hashes[: max(0, num_tokens // block_size - 1)]")),
        "A block is given up for every prompt",
    ),
    (
        "nothing on a full hit",
        edited(
            "4.6",
            (_LIMIT, "hashes"),
            ("return blocks", "return blocks if len(blocks) * block_size < num_tokens else []"),
        ),
        "everything is thrown away",
    ),
    ("skips gaps", edited("4.6", ("        break", "        continue")), "The search goes on behind"),
    (
        "from the end",
        code("""
        for count in range((num_tokens - 1) // block_size, 0, -1):
            if hashes[count - 1] in cached:
                return [cached[one] for one in hashes[:count]]
        return []
    """),
        "takes the blocks before for granted",
    ),
    (
        "no question",
        edited("4.6", ("    if block_hash not in cached:\n        break\n", "")),
        "raises a KeyError: ask first",
    ),
    (
        "hashes",
        edited("4.6", ("blocks.append(cached[block_hash])", "blocks.append(block_hash)")),
        "The hashes came back",
    ),
    ("a count", edited("4.6", ("return blocks", "return len(blocks)")), "The number of blocks"),
    ("first only", edited("4.6", ("return blocks", "return blocks[:1]")), "Only the first block"),
    ("off by two", edited("4.6", ("num_tokens - 1", "num_tokens - 2")), "One token too many is left out"),
    (
        "all or nothing",
        edited("4.6", ("return blocks", "return blocks if all(one in cached for one in hashes) else []")),
        "counts only if the whole prompt",
    ),
]

_TAKE, _SHARE, _RELEASE = solution("4.7")
_POP = "block_id, _ = self.evictable.popitem(last=False)"
_FORGET = "del self.cached[self.hash_of.pop(block_id)]"
_IF_CACHED = """
    if block_id in self.hash_of:
        self.evictable[block_id] = None
    else:
        self.free.append(block_id)
""".strip()
POOL = [
    ("stale", edited("4.7", (_FORGET, "pass")), "can still be found by its old hash"),
    (
        "stale hash",
        edited("4.7", (_FORGET, "del self.hash_of[block_id]")),
        "`hash_of` forgets an evicted block",
    ),
    (
        "stale block",
        edited("4.7", (_FORGET, "del self.cached[self.hash_of[block_id]]")),
        "`cached` forgets an evicted block",
    ),
    (
        "stays evictable",
        edited("4.7", (_POP, "block_id = next(iter(self.evictable))")),
        "stays among the evictable ones",
    ),
    (
        "forgets all",
        edited("4.7", (_FORGET, "self.cached.clear()\n    self.hash_of.clear()")),
        "forgets the whole cache",
    ),
    (
        "newest first",
        edited("4.7", ("popitem(last=False)", "popitem()")),
        "The block released last is evicted",
    ),
    (
        "smallest first",
        edited("4.7", (_POP, "block_id = min(self.evictable)\n    del self.evictable[block_id]")),
        "The smallest block is evicted",
    ),
    (
        "cached first",
        edited(
            "4.7",
            (
                "if self.free:\n    block_id = self.free.popleft()\nelif self.evictable:\n",
                "if self.evictable:\n",
            ),
            ("else:\n    raise", "elif self.free:\n    block_id = self.free.popleft()\nelse:\n    raise"),
        ),
        "while others are free",
    ),
    (
        "never evicts",
        edited("4.7", ("elif self.evictable:", "elif False:")),
        "Nothing is ever evicted",
    ),
    (
        "evicts nothing",
        edited("4.7", ("elif self.evictable:", "elif True:")),
        "`take` raises a KeyError",
    ),
    (
        "evicted uncounted",
        edited(
            "4.7",
            (
                "block_id = self.free.popleft()",
                "block_id = self.free.popleft()\n    self.ref_counts[block_id] = 1",
            ),
            ("self.ref_counts[block_id] = 1\nreturn", "return"),
        ),
        "evicted for somebody has the reference count 0",
    ),
    ("not revived", (_TAKE, "self.ref_counts[block_id] += 1", _RELEASE), "stays evictable"),
    (
        "revived uncounted",
        (
            _TAKE,
            "if block_id in self.evictable:\n    del self.evictable[block_id]\nelse:\n    "
            "self.ref_counts[block_id] += 1",
            _RELEASE,
        ),
        "is not counted: it has one holder",
    ),
    (
        "always from evictable",
        edited("4.7", ("self.evictable.pop(block_id, None)", "del self.evictable[block_id]")),
        "Sharing a block that is in use",
    ),
    (
        "always free",
        edited("4.7", (_IF_CACHED, "self.free.append(block_id)")),
        "while its hash still leads to it",
    ),
    (
        "always evictable",
        edited("4.7", (_IF_CACHED, "self.evictable[block_id] = None")),
        "A block that is not cached goes into `evictable`",
    ),
    (
        "too early",
        (
            _TAKE,
            _SHARE,
            "self.ref_counts[block_id] -= 1\nif block_id in self.hash_of:\n    self.evictable[block_id] "
            "= None\n"
            "elif self.ref_counts[block_id] == 0:\n    self.free.append(block_id)",
        ),
        "becomes evictable while others",
    ),
    (
        "forgets at once",
        (
            _TAKE,
            _SHARE,
            "self.ref_counts[block_id] -= 1\nif self.ref_counts[block_id] == 0:\n"
            "    if block_id in self.hash_of:\n        del self.cached[self.hash_of.pop(block_id)]\n"
            "    self.free.append(block_id)",
        ),
        "as soon as nobody holds it",
    ),
    (
        "in both",
        edited("4.7", ("    else:\n        self.free.append", "    if True:\n        self.free.append")),
        "in `free` and in `evictable`",
    ),
    (
        "to the front",
        edited(
            "4.7",
            (
                "self.evictable[block_id] = None",
                "self.evictable[block_id] = None\n        self.evictable.move_to_end(block_id, last=False)",
            ),
        ),
        "at the front of `evictable`",
    ),
]

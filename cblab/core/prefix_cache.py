"""Which block already holds a given prefix: an index from chained hashes to blocks. Torch-free.

A block's keys and values depend on its own tokens, on every token before them, and on the model. So a block
is named by its whole prefix, in constant time a block:

```
 salts ──► hash 0 ──────────► hash 1 ──────────► hash 2            hash i = f(hash i-1, tokens of block i)
           Once upon a time   there was a fox    who liked to
           block 7            block 2            block 9
```

Two prefixes can have one hash, and a wrong hit would be another conversation's content. So a hit compares
tokens, salts and parents too, and costs no more: the parent is nearly always the very object just found.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass

from cblab.core.errors import IntegrityError

HashFunction = Callable[[Hashable, tuple[int, ...]], int]


def hash_block(before: Hashable, token_ids: tuple[int, ...]) -> int:
    """Hash a block's tokens with what comes before them: the parent's hash, or the salts of a first block."""
    return hash((before, token_ids))


@dataclass(frozen=True, eq=False, slots=True)
class Prefix:
    """The content of a full block and of all blocks before it.

    Attributes:
        parent: the prefix that ends where this block begins; None for a first block.
        token_ids: of this block, `block_size` of them.
        salt: what else decides the content: of the manager (the model) and of the request.
        num_tokens: of the whole prefix.
        hash: of the whole prefix.
    """

    parent: "Prefix | None"
    token_ids: tuple[int, ...]
    salt: tuple[str, str]
    num_tokens: int
    hash: int


def is_same_prefix(one: Prefix | None, two: Prefix | None) -> bool:
    """Whether both hold the same tokens under the same salts, from the first block on."""
    while one is not two:  # as a rule the parents are one object
        if one is None or two is None or one.token_ids != two.token_ids or one.salt != two.salt:
            return False
        one, two = one.parent, two.parent
    return True


class PrefixCache:
    """Blocks by the prefix that they hold, and the order in which they may be evicted.

    The cache counts no references: whoever does calls `release` when nobody refers to a cached block any
    more, and `claim` when somebody does again. `evict` gives up the block that was released first. One hash
    has one block: where two requests have computed the same, the second's stays outside.
    """

    def __init__(self, block_size: int, *, salt: str = "", hash_function: HashFunction = hash_block) -> None:
        self._block_size = block_size
        self._salt = salt
        self._hash = hash_function
        self._block_ids: dict[int, int] = {}  # by hash
        self._prefixes: dict[int, Prefix] = {}  # by block id
        self._evictable: OrderedDict[int, None] = OrderedDict()  # the next to go first

    @property
    def num_evictable(self) -> int:
        """Cached blocks that nobody refers to."""
        return len(self._evictable)

    def __len__(self) -> int:
        return len(self._prefixes)

    def prefix_of(self, block_id: int) -> Prefix | None:
        """Return the prefix that a cached block holds; None for a block that is not cached."""
        return self._prefixes.get(block_id)

    def extend(self, parent: Prefix | None, token_ids: Sequence[int], salt: str = "") -> Prefix:
        """Return the prefix that is `parent` and one more block of `token_ids`."""
        tokens, salts = tuple(token_ids), (self._salt, salt)
        before: Hashable = salts if parent is None else parent.hash
        num_before = 0 if parent is None else parent.num_tokens
        return Prefix(parent, tokens, salts, num_before + len(tokens), self._hash(before, tokens))

    def find(self, prefix: Prefix) -> int | None:
        """Return the block that holds exactly this prefix."""
        block_id = self._block_ids.get(prefix.hash)
        if block_id is None or not is_same_prefix(self._prefixes[block_id], prefix):
            return None
        return block_id

    def match(self, token_ids: Sequence[int], salt: str = "") -> list[int]:
        """Return the blocks of the longest cached prefix that leaves at least one token to compute.

        Nothing changes by it, the order of eviction included.
        """
        blocks: list[int] = []
        parent = None
        for start in range(0, len(token_ids) - self._block_size, self._block_size):
            block_id = self.find(self.extend(parent, token_ids[start : start + self._block_size], salt))
            if block_id is None:
                break
            blocks.append(block_id)
            parent = self._prefixes[block_id]
        return blocks

    def enter(self, prefix: Prefix, block_id: int) -> Prefix:
        """Make a block findable by its prefix, unless another block has the same hash already.

        Returns:
            The prefix that its successor is to extend: the one found where the content is cached already.
        """
        holder = self._block_ids.get(prefix.hash)
        if holder is not None:
            held = self._prefixes[holder]
            return held if is_same_prefix(held, prefix) else prefix
        if block_id in self._prefixes:
            raise ValueError(f"block {block_id} is cached with other tokens than {prefix.token_ids}")
        self._block_ids[prefix.hash] = block_id
        self._prefixes[block_id] = prefix
        return prefix

    def release(self, block_id: int) -> None:
        """Let a cached block be evicted, after all that have been released before it."""
        self._evictable[block_id] = None

    def claim(self, block_id: int) -> None:
        """Keep a block from being evicted: somebody refers to it again."""
        del self._evictable[block_id]

    def evict(self) -> int:
        """Forget the block that was released first, and return it."""
        block_id, _ = self._evictable.popitem(last=False)
        del self._block_ids[self._prefixes.pop(block_id).hash]
        return block_id

    def evictable(self) -> Iterator[int]:
        """Cached blocks that nobody refers to, the next to be evicted first."""
        return iter(self._evictable)

    def check_integrity(self) -> None:
        """Raise `IntegrityError` unless hashes and blocks agree both ways and hashes fit their content."""
        for block_id, prefix in self._prefixes.items():
            if self._block_ids.get(prefix.hash) != block_id:
                raise IntegrityError(
                    f"block {block_id} is cached under hash {prefix.hash}, which leads to "
                    f"block {self._block_ids.get(prefix.hash)}"
                )
            if len(prefix.token_ids) != self._block_size:
                raise IntegrityError(
                    f"block {block_id} is cached with {len(prefix.token_ids)} of {self._block_size} tokens"
                )
            before: Hashable = prefix.salt if prefix.parent is None else prefix.parent.hash
            if self._hash(before, prefix.token_ids) != prefix.hash:
                raise IntegrityError(f"block {block_id} is cached under a hash that is not its content's")
        for block_hash, block_id in self._block_ids.items():
            if block_id not in self._prefixes:
                raise IntegrityError(f"hash {block_hash} leads to block {block_id}, which is not cached")
        for block_id in self._evictable:
            if block_id not in self._prefixes:
                raise IntegrityError(f"block {block_id} can be evicted but is not cached")

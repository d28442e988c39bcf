"""The prefix cache: what is found, what is not, and what goes first."""

from collections.abc import Callable, Hashable

import pytest

from cblab.core.errors import IntegrityError
from cblab.core.prefix_cache import Prefix, PrefixCache, is_same_prefix

PROMPT = [1, 2, 3, 4, 5, 6, 7, 8]


def constant_hash(before: Hashable, token_ids: tuple[int, ...]) -> int:
    return 7


def enter(cache: PrefixCache, token_ids: list[int], blocks: list[int], salt: str = "") -> list[Prefix]:
    """Enter the blocks of a prompt, two tokens each, and return their prefixes."""
    prefixes: list[Prefix] = []
    for index, block_id in enumerate(blocks):
        parent = prefixes[-1] if prefixes else None
        prefix = cache.extend(parent, token_ids[2 * index : 2 * index + 2], salt)
        prefixes.append(cache.enter(prefix, block_id))
    return prefixes


def test_the_longest_cached_prefix_is_found_in_order() -> None:
    cache = PrefixCache(2)
    enter(cache, PROMPT, [5, 3, 9])
    assert cache.match([*PROMPT[:6], 0]) == [5, 3, 9]
    assert cache.match([*PROMPT[:4], 0, 0, 0]) == [5, 3]
    assert cache.match([1, 2, 0, 4, 5, 6, 7]) == [5]
    assert cache.match([0, 2, 3, 4, 5]) == []
    assert len(cache) == 3


@pytest.mark.parametrize(("num_tokens", "num_hits"), [(0, 0), (1, 0), (2, 0), (3, 1), (4, 1), (5, 2), (8, 3)])
def test_a_hit_leaves_at_least_one_token_to_compute(num_tokens: int, num_hits: int) -> None:
    cache = PrefixCache(2)
    enter(cache, PROMPT, [0, 1, 2, 3])
    assert cache.match(PROMPT[:num_tokens]) == [0, 1, 2, 3][:num_hits]


def test_a_hash_covers_the_tokens_before_the_block() -> None:
    cache = PrefixCache(2)
    enter(cache, [1, 2, 3, 4], [0, 1])
    enter(cache, [5, 6], [2])
    assert cache.match([5, 6, 3, 4, 0]) == [2]
    assert cache.match([3, 4, 0]) == []


def test_a_hash_covers_the_salt_of_the_request_and_of_the_manager() -> None:
    cache = PrefixCache(2, salt="model a")
    enter(cache, PROMPT, [0, 1], salt="ann")
    assert cache.match(PROMPT, "ann") == [0, 1]
    assert cache.match(PROMPT, "bob") == []
    assert cache.match(PROMPT) == []
    other = PrefixCache(2, salt="model b")
    assert cache.extend(None, [1, 2]).hash != other.extend(None, [1, 2]).hash
    # What one salt ends with, the other must not begin with.
    assert cache.extend(None, [1], "x").salt == ("model a", "x")


@pytest.mark.parametrize(
    ("other", "salt"),
    [([8, 2, 3, 4, 5], ""), ([1, 2, 8, 4, 5], ""), ([1, 2, 3, 4, 5], "bob")],
    ids=["tokens of the first block", "tokens of the second", "salt"],
)
def test_equal_hashes_are_no_hit_unless_the_content_is_equal(other: list[int], salt: str) -> None:
    """With one hash for everything, only the comparison tells prefixes apart."""

    def hash_of_length(before: Hashable, token_ids: tuple[int, ...]) -> int:
        return 1 if isinstance(before, tuple) else 2  # first blocks collide, and so do second ones

    cache = PrefixCache(2, hash_function=hash_of_length)
    enter(cache, PROMPT, [0, 1])
    assert cache.match(PROMPT) == [0, 1]
    common = 1 if other[:2] == PROMPT[:2] and not salt else 0
    assert cache.match(other, salt) == [0, 1][:common]


def test_equal_hashes_and_tokens_are_no_hit_after_another_parent() -> None:
    def hash_of_tokens(before: Hashable, token_ids: tuple[int, ...]) -> int:
        return hash(token_ids)  # the parent forgotten

    cache = PrefixCache(2, hash_function=hash_of_tokens)
    enter(cache, [1, 2, 3, 4], [0, 1])
    enter(cache, [5, 6], [2])
    assert cache.match([5, 6, 3, 4, 0]) == [2]


def test_of_two_contents_with_one_hash_the_first_stays() -> None:
    cache = PrefixCache(2, hash_function=constant_hash)
    first = enter(cache, [1, 2], [0])
    second = enter(cache, [3, 4], [1])
    assert (cache.prefix_of(0), cache.prefix_of(1)) == (first[0], None)
    assert cache.match([1, 2, 0]) == [0]
    assert cache.match([3, 4, 0]) == []
    assert second[0].token_ids == (3, 4)  # its successor extends what it holds, not what the other holds
    cache.check_integrity()


def test_of_two_blocks_with_one_content_the_first_stays() -> None:
    cache = PrefixCache(2)
    first = enter(cache, PROMPT, [0, 1])
    second = enter(cache, PROMPT, [2, 3, 4])
    assert second[:2] == first  # the very objects: comparing them costs nothing
    assert second[2].parent is first[1]
    assert [cache.prefix_of(block) is None for block in range(5)] == [False, False, True, True, False]
    assert cache.match(PROMPT) == [0, 1, 4]


def test_a_block_that_outlives_its_cached_parent_is_found_when_the_parent_is_back() -> None:
    cache = PrefixCache(2)
    enter(cache, PROMPT, [0, 1])
    cache.release(0)
    assert cache.evict() == 0
    assert cache.match(PROMPT) == []
    enter(cache, PROMPT, [5])
    assert cache.match(PROMPT) == [5, 1]
    enter(cache, [1, 9], [6])
    assert cache.match([1, 9, 3, 4, 0]) == [6]


def test_a_cached_block_cannot_be_entered_with_other_tokens() -> None:
    cache = PrefixCache(2)
    enter(cache, [1, 2], [0])
    with pytest.raises(ValueError, match=r"block 0 is cached with other tokens than \(3, 4\)"):
        enter(cache, [3, 4], [0])
    assert cache.match([1, 2, 0]) == [0]


def test_the_block_that_was_released_first_is_evicted_first() -> None:
    cache = PrefixCache(2)
    enter(cache, PROMPT, [0, 1, 2, 3])
    for block_id in (2, 0, 3, 1):
        cache.release(block_id)
    cache.claim(0)
    cache.release(0)
    cache.match(PROMPT)  # looking is not using
    assert cache.num_evictable == 4
    assert list(cache.evictable()) == [2, 3, 1, 0]
    assert [cache.evict(), cache.evict()] == [2, 3]
    assert list(cache.evictable()) == [1, 0]
    cache.check_integrity()


def test_an_evicted_block_leaves_no_hash_behind() -> None:
    cache = PrefixCache(2)
    prefix = enter(cache, [1, 2], [0])[0]
    cache.release(0)
    cache.evict()
    assert cache.find(prefix) is None
    assert (len(cache), cache.prefix_of(0), cache.num_evictable) == (0, None, 0)
    enter(cache, [3, 4], [0])  # the same block with other content
    assert cache.match([1, 2, 0]) == []
    assert cache.match([3, 4, 0]) == [0]
    cache.check_integrity()


def test_prefixes_know_how_long_they_are() -> None:
    assert [one.num_tokens for one in enter(PrefixCache(2), PROMPT, [0, 1, 2])] == [2, 4, 6]


def test_very_long_prefixes_are_compared_and_forgotten_without_recursion() -> None:
    def chain(length: int) -> Prefix | None:
        cache, prefix = PrefixCache(1), None
        for _ in range(length):
            prefix = cache.extend(prefix, [1])
        return prefix

    one, two = chain(100_000), chain(100_000)
    assert is_same_prefix(one, two)
    assert not is_same_prefix(one, chain(99_999))
    assert not is_same_prefix(one, None)
    del one, two


def forget_hash(cache: PrefixCache) -> None:
    cache._block_ids.clear()


def forget_prefix(cache: PrefixCache) -> None:
    del cache._prefixes[1]


def short_block(cache: PrefixCache) -> None:
    cache.enter(cache.extend(None, [1]), 5)


def wrong_hash(cache: PrefixCache) -> None:
    cache.enter(Prefix(None, (1, 1), ("", ""), 2, 99), 5)


def evictable_stranger(cache: PrefixCache) -> None:
    cache.release(6)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (forget_hash, r"block 0 is cached under hash -?\d+, which leads to block None"),
        (forget_prefix, r"hash -?\d+ leads to block 1, which is not cached"),
        (short_block, "block 5 is cached with 1 of 2 tokens"),
        (wrong_hash, "block 5 is cached under a hash that is not its content's"),
        (evictable_stranger, "block 6 can be evicted but is not cached"),
    ],
)
def test_the_books_are_checked(damage: Callable[[PrefixCache], None], message: str) -> None:
    cache = PrefixCache(2)
    enter(cache, PROMPT, [0, 1])
    cache.check_integrity()
    damage(cache)
    with pytest.raises(IntegrityError, match=message):
        cache.check_integrity()

import pytest
import torch

from cblab.attention.spec import AttentionSpec
from cblab.core.contiguous_cache import ContiguousKVCache, ContiguousSequence

SPECS = [AttentionSpec(num_heads=4, num_kv_heads=2, head_dim=5, scale=0.4)] * 3


def reserve(cache: ContiguousKVCache, max_length: int) -> ContiguousSequence:
    sequence = cache.reserve(max_length)
    assert sequence is not None
    return sequence


def fill(sequence: ContiguousSequence, num_tokens: int, value: float) -> None:
    new = torch.full((num_tokens, 2, 5), value)
    for layer in range(len(SPECS)):
        sequence.write(layer, new, -new)
    sequence.advance(num_tokens)


def test_rows_are_reserved_by_first_fit() -> None:
    cache = ContiguousKVCache(SPECS, 20)
    a, b, c = (reserve(cache, length) for length in (4, 6, 5))
    assert [one.rows for one in (a, b, c)] == [range(0, 4), range(4, 10), range(10, 15)]
    cache.free(b)
    assert reserve(cache, 5).rows == range(4, 9)  # the first hole, though the last would fit exactly
    assert reserve(cache, 2).rows == range(15, 17)
    assert reserve(cache, 1).rows == range(9, 10)


def test_fragmentation_is_counted() -> None:
    cache = ContiguousKVCache(SPECS, 20)
    a, b, c = (reserve(cache, length) for length in (8, 3, 4))
    fill(a, 3, 1.0)
    fill(c, 4, 2.0)
    cache.free(b)
    stats = cache.stats()
    assert (stats.num_rows, stats.num_reserved, stats.num_used, stats.num_free) == (20, 12, 7, 8)
    assert stats.internal_fragmentation == 5
    assert (stats.largest_hole, stats.external_fragmentation) == (5, 3)
    assert cache.reserve(6) is None  # 8 rows are free, but not side by side
    assert cache.reserve(7) is None
    assert cache.stats().failed_reservations == 2
    reserve(cache, 5)
    reserve(cache, 3)
    full = cache.stats()
    assert (full.num_free, full.largest_hole, full.external_fragmentation) == (0, 0, 0)


def test_sequences_are_views_of_one_arena_and_do_not_touch_each_other() -> None:
    cache = ContiguousKVCache(SPECS, 10, dtype=torch.bfloat16)
    assert cache.num_bytes == 10 * 3 * 2 * 2 * 5 * 2
    a, b = reserve(cache, 4), reserve(cache, 6)
    fill(a, 4, 1.0)
    fill(b, 6, 2.0)
    keys_a, values_a = a.read(1)
    keys_b, _ = b.read(1)
    assert keys_a.untyped_storage().data_ptr() == keys_b.untyped_storage().data_ptr()
    assert keys_a.eq(1).all()
    assert values_a.eq(-1).all()
    assert keys_b.eq(2).all()


def test_a_sequence_keeps_to_its_rows() -> None:
    cache = ContiguousKVCache(SPECS, 10)
    sequence = reserve(cache, 4)
    fill(sequence, 3, 1.0)
    new = torch.zeros(2, 2, 5)
    with pytest.raises(ValueError, match="layer 0 would hold 5 tokens, but the sequence has reserved 4 rows"):
        sequence.write(0, new, new)


def test_freed_rows_are_given_again() -> None:
    cache = ContiguousKVCache(SPECS, 10)
    first = reserve(cache, 10)
    cache.free(first)
    assert reserve(cache, 10).rows == range(10)
    with pytest.raises(ValueError, match="belong to no sequence of this cache"):
        cache.free(first)


@pytest.mark.parametrize("max_length", [0, -1, 11])
def test_what_could_never_fit_is_refused(max_length: int) -> None:
    cache = ContiguousKVCache(SPECS, 10)
    with pytest.raises(ValueError, match=r"max_length must be 1 \.\.\. 10"):
        cache.reserve(max_length)
    assert cache.stats().failed_reservations == 0


def test_an_arena_needs_a_row() -> None:
    with pytest.raises(ValueError, match="num_rows must be at least 1, got 0"):
        ContiguousKVCache(SPECS, 0)

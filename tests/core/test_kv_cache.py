from collections.abc import Callable

import pytest
import torch

from cblab.attention.spec import AttentionSpec
from cblab.core.contiguous_cache import ContiguousKVCache
from cblab.core.kv_cache import DenseKVCache, SequenceKVCache

NUM_LAYERS, NUM_KV_HEADS, HEAD_DIM = 3, 2, 5
SPECS = [AttentionSpec(num_heads=4, num_kv_heads=NUM_KV_HEADS, head_dim=HEAD_DIM, scale=0.4)] * NUM_LAYERS


def contiguous(dtype: torch.dtype = torch.float32) -> SequenceKVCache:
    """A sequence's run in the middle of an arena."""
    arena = ContiguousKVCache(SPECS, 60, dtype=dtype)
    arena.reserve(9)
    sequence = arena.reserve(45)
    assert sequence is not None
    return sequence


def dense(dtype: torch.dtype = torch.float32) -> SequenceKVCache:
    return DenseKVCache(SPECS, dtype=dtype)


@pytest.fixture(params=[dense, contiguous])
def new_cache(request: pytest.FixtureRequest) -> Callable[..., SequenceKVCache]:
    return request.param


def new_kv(num_tokens: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, NUM_LAYERS, num_tokens, NUM_KV_HEADS, HEAD_DIM, generator=generator)


def write_all(cache: SequenceKVCache, kv: torch.Tensor) -> None:
    for layer in range(NUM_LAYERS):
        cache.write(layer, kv[0, layer], kv[1, layer])


@pytest.mark.parametrize("chunks", [[1], [7, 1, 1, 1], [1, 3, 16, 1], [2] * 20])
def test_every_layer_reads_back_what_it_wrote_in_order(
    chunks: list[int], new_cache: Callable[..., SequenceKVCache]
) -> None:
    cache = new_cache()
    history = [new_kv(n, seed) for seed, n in enumerate(chunks)]
    for kv in history:
        write_all(cache, kv)
        cache.advance(kv.shape[2])
    expected = torch.cat(history, dim=2)
    assert cache.length == sum(chunks)
    for layer in range(NUM_LAYERS):
        keys, values = cache.read(layer)
        assert torch.equal(keys, expected[0, layer])
        assert torch.equal(values, expected[1, layer])


def test_the_length_stands_still_until_all_layers_have_written(
    new_cache: Callable[..., SequenceKVCache],
) -> None:
    """The trap: were the length moved by each layer, the second would write behind the first's tokens."""
    cache = new_cache()
    prompt, token = new_kv(4, 0), new_kv(1, 1)
    write_all(cache, prompt)
    assert cache.length == 0
    cache.advance(4)
    for layer in range(NUM_LAYERS):
        cache.write(layer, token[0, layer], token[1, layer])
        assert cache.length == 4
        keys, _ = cache.read(layer)
        assert torch.equal(keys, torch.cat([prompt[0, layer], token[0, layer]])), f"layer {layer}"
    cache.advance(1)
    assert cache.length == 5


def test_advance_refuses_while_a_layer_is_missing(new_cache: Callable[..., SequenceKVCache]) -> None:
    cache = new_cache()
    kv = new_kv(2, 0)
    cache.write(0, kv[0, 0], kv[1, 0])
    with pytest.raises(ValueError, match="layer 1 has written 0 of 2"):
        cache.advance(2)
    write_all(cache, kv)
    with pytest.raises(ValueError, match="layer 0 has written 2 of 3"):
        cache.advance(3)
    cache.advance(2)
    with pytest.raises(ValueError, match="layer 0 has written 0 of 2"):
        cache.advance(2)


def test_a_pass_that_failed_halfway_leaves_no_trace(new_cache: Callable[..., SequenceKVCache]) -> None:
    cache = new_cache()
    first, failed, retried = new_kv(3, 0), new_kv(2, 1), new_kv(1, 2)
    write_all(cache, first)
    cache.advance(3)
    cache.write(0, failed[0, 0], failed[1, 0])  # layer 1 never comes
    write_all(cache, retried)
    cache.advance(1)
    assert cache.length == 4
    assert torch.equal(cache.read(0)[0], torch.cat([first[0, 0], retried[0, 0]]))


def test_bytes_are_those_of_complete_tokens(new_cache: Callable[..., SequenceKVCache]) -> None:
    cache = new_cache(dtype=torch.bfloat16)
    assert cache.num_bytes == 0
    write_all(cache, new_kv(3, 0))
    cache.advance(3)
    assert cache.num_bytes == 3 * NUM_LAYERS * 2 * NUM_KV_HEADS * HEAD_DIM * 2
    assert cache.read(0)[0].dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("k", "v", "named"), [((2, 3, 5), (2, 2, 5), "k"), ((2, 2, 5), (1, 2, 5), "v"), ((2, 5), (2, 5), "k")]
)
def test_misshapen_keys_and_values_are_named(
    k: tuple[int, ...], v: tuple[int, ...], named: str, new_cache: Callable[..., SequenceKVCache]
) -> None:
    with pytest.raises(ValueError, match=f"^{named} of layer 1 is .* expected \\(2, 2, 5\\)"):
        new_cache().write(1, torch.zeros(k), torch.zeros(v))

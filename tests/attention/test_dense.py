import itertools
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile

import cblab.attention.dense
from cblab.attention import (
    AttentionSpec,
    RaggedCausalAttention,
    UniformCausalAttention,
    dense_attention,
    ragged_dense_attention,
    reference_attention,
)

HEADS = [(1, 1), (6, 1), (6, 2), (5, 5)]
SHAPES = [(1, 1), (1, 9), (3, 9), (8, 9), (9, 9)]
WINDOWS = [None, 1, 2, 5, 9, 20]


def spec_of(heads: tuple[int, int], window: int | None = None) -> AttentionSpec:
    return AttentionSpec(*heads, head_dim=7, scale=0.3, sliding_window=window)


def random_qkv(spec: AttentionSpec, num_queries: int, num_keys: int) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(num_queries * 100 + num_keys)
    q = torch.randn(num_queries, spec.num_heads, spec.head_dim)
    k, v = torch.randn(2, num_keys, spec.num_kv_heads, spec.head_dim)
    return q, k, v


def test_reference_is_a_softmax_weighted_mean() -> None:
    """One head, worked by hand: the second of three queries sees two keys."""
    spec = AttentionSpec(1, 1, head_dim=2, scale=0.5)
    q, k, v = random_qkv(AttentionSpec(1, 1, 2, 0.5), 3, 3)
    weights = (k[:2, 0] @ q[1, 0] * 0.5).exp()
    expected = (weights[:, None] * v[:2, 0]).sum(0) / weights.sum()
    torch.testing.assert_close(reference_attention(q, k, v, spec)[1, 0], expected)


@pytest.mark.parametrize(("heads", "shape", "window"), list(itertools.product(HEADS, SHAPES, WINDOWS)))
def test_dense_equals_its_definition(
    heads: tuple[int, int], shape: tuple[int, int], window: int | None
) -> None:
    spec = spec_of(heads, window)
    q, k, v = random_qkv(spec, *shape)
    expected = reference_attention(q, k, v, spec)
    torch.testing.assert_close(dense_attention(q, k, v, spec), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("shape", "window"), [((20, 29), None), ((20, 29), 6), ((29, 29), 6), ((16, 17), 20)]
)
def test_no_mask_grows_with_the_square_of_a_prompt(
    shape: tuple[int, int], window: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of((6, 2), window)
    q, k, v = random_qkv(spec, *shape)
    expected = reference_attention(q, k, v, spec)
    sizes: list[tuple[int, int]] = []
    true_mask = cblab.attention.dense.causal_mask

    def recording_mask(num_queries: int, num_keys: int, *args: Any) -> Tensor:
        sizes.append((num_queries, num_keys))
        return true_mask(num_queries, num_keys, *args)

    monkeypatch.setattr(cblab.attention.dense, "causal_mask", recording_mask)
    monkeypatch.setattr(cblab.attention.dense, "_MASKED_QUERIES", 8)
    torch.testing.assert_close(dense_attention(q, k, v, spec), expected, atol=1e-5, rtol=0)
    assert max(queries for queries, _ in sizes) <= 8
    if window is not None:
        assert max(keys for _, keys in sizes) <= 8 + window - 1


def test_torch_never_holds_the_scores() -> None:
    """With grouped heads and a mask too, torch takes the kernel that works in pieces."""
    spec = spec_of((6, 2))
    for shape in ((9, 9), (3, 9)):
        q, k, v = random_qkv(spec, *shape)
        with profile(activities=[ProfilerActivity.CPU]) as recorded:
            dense_attention(q, k, v, spec)
        operations = {event.key for event in recorded.key_averages()}
        assert "aten::_scaled_dot_product_flash_attention_for_cpu" in operations
        assert not operations & {"aten::bmm", "aten::matmul", "aten::softmax"}


def test_torch_is_causal_alone_would_be_wrong_for_fewer_queries_than_keys() -> None:
    """Why `dense_attention` does not pass `is_causal=True` there: torch aligns it at the top left."""
    spec = spec_of((6, 6))
    q, k, v = random_qkv(spec, 3, 9)
    top_left = F.scaled_dot_product_attention(
        q.transpose(0, 1), k.transpose(0, 1), v.transpose(0, 1), is_causal=True, scale=spec.scale
    ).transpose(0, 1)
    right = dense_attention(q, k, v, spec)
    assert (top_left - right).abs().max() > 0.1
    # What it does compute: query i over the first i+1 keys.
    torch.testing.assert_close(top_left, reference_attention(q, k[:3], v[:3], spec), atol=1e-5, rtol=0)


def test_more_queries_than_keys_are_refused() -> None:
    spec = spec_of((1, 1))
    q, k, v = random_qkv(spec, 3, 2)
    with pytest.raises(ValueError, match="3 queries for 2 keys"):
        dense_attention(q, k, v, spec)


@pytest.mark.parametrize("window", [None, 3])
def test_ragged_sequences_do_not_see_each_other(window: int | None) -> None:
    spec = spec_of((6, 2), window)
    parts = [random_qkv(spec, *shape) for shape in SHAPES]
    cu_q = torch.tensor([0, *itertools.accumulate(len(q) for q, _, _ in parts)])
    cu_k = torch.tensor([0, *itertools.accumulate(len(k) for _, k, _ in parts)])
    q, k, v = (torch.cat(each) for each in zip(*parts, strict=True))
    expected = torch.cat([reference_attention(*part, spec) for part in parts])
    out = ragged_dense_attention(q, k, v, cu_q, cu_k, spec)
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=0)


def test_ragged_borders_must_fit_the_tensors() -> None:
    spec = spec_of((1, 1))
    q, k, v = random_qkv(spec, 4, 4)
    borders = torch.tensor([0, 2, 4])
    with pytest.raises(ValueError, match="cu_seqlens_q has 3 entries, cu_seqlens_k has 2"):
        ragged_dense_attention(q, k, v, borders, torch.tensor([0, 4]), spec)
    with pytest.raises(ValueError, match="cu_seqlens end at 4 queries and 5 keys"):
        ragged_dense_attention(q, k, v, borders, torch.tensor([0, 2, 5]), spec)


@pytest.mark.parametrize("window", [None, 3, 20])
def test_uniform_windows_equal_the_ragged_path(window: int | None) -> None:
    specs = (spec_of((6, 2)), spec_of((6, 2), window))
    q, k, v = random_qkv(specs[1], 3 * 8, 3 * 8)
    ragged = RaggedCausalAttention(specs, torch.tensor([0, 8, 16, 24]))
    uniform = UniformCausalAttention(specs, num_seqs=3)
    torch.testing.assert_close(uniform(1, q, k, v), ragged(1, q, k, v), atol=1e-5, rtol=0)


def test_gradients_flow_through_the_training_path() -> None:
    spec = spec_of((6, 2))
    q, k, v = (x.requires_grad_() for x in random_qkv(spec, 8, 8))
    UniformCausalAttention((spec,), num_seqs=2)(0, q, k, v).square().sum().backward()
    assert all(x.grad is not None and x.grad.abs().sum() > 0 for x in (q, k, v))


def test_attention_dropout_drops() -> None:
    spec = spec_of((6, 2))
    q, k, v = random_qkv(spec, 8, 8)
    kept = UniformCausalAttention((spec,), num_seqs=1)(0, q, k, v)
    dropped = UniformCausalAttention((spec,), num_seqs=1, dropout=0.5)(0, q, k, v)
    assert not torch.allclose(kept, dropped)

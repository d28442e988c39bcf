"""The benchmarks' bound, held against a workload small enough to count by hand."""

import pytest

from cblab.model.config import ModelConfig
from tests.benchmarks.bound import Limits, compute_bound
from tests.benchmarks.sides.protocol import Job

# Layer weights: 8·(8 + 2·4 + 8) + 3·8·10 = 432; norms 3·8 = 24; output layer 5·8 = 40.
CONFIG = ModelConfig(
    vocab_size=5,
    hidden_size=8,
    intermediate_size=10,
    num_layers=1,
    num_heads=2,
    num_kv_heads=1,
    head_dim=4,
    max_position_embeddings=64,
)
JOBS = [Job([1] * 10, 3), Job([1] * 4, 2), Job([1] * 6, 1)]  # decode steps: of two requests, then of one
PREFILL_FLOP = 2 * 432 * (10 + 4 + 6) + 3 * 2 * 40
STEP_FLOP = 2 * (432 + 40)
WEIGHT_BYTES = 4 * (432 + 24 + 40)
KV_BYTES = 4 * 2 * 4 * ((11 + 5) + 12)


def test_products_bind_where_memory_is_fast() -> None:
    bound = compute_bound(CONFIG, JOBS, Limits(1e30, {"float32": 100.0}), "float32")
    assert bound.prefill_s == pytest.approx(PREFILL_FLOP / 100)
    assert bound.decode_products_s == pytest.approx((2 + 1) * STEP_FLOP / 100)
    assert (bound.decode_weights_s, bound.decode_kv_s) == (0, pytest.approx(0))
    assert bound.tokens_per_second == pytest.approx(6 / ((PREFILL_FLOP + 3 * STEP_FLOP) / 100))


def test_weights_bind_where_products_are_fast() -> None:
    bound = compute_bound(CONFIG, JOBS, Limits(10.0, {"float32": 1e30}), "float32")
    assert bound.decode_products_s == 0
    assert bound.decode_weights_s == pytest.approx(2 * WEIGHT_BYTES / 10)
    assert bound.decode_kv_s == pytest.approx(KV_BYTES / 10)
    assert bound.seconds == pytest.approx((2 * WEIGHT_BYTES + KV_BYTES) / 10)


def test_each_step_costs_the_larger_of_the_two() -> None:
    # 1.5 steps' products take as long as the weights: of two requests the products bind, of one the weights.
    limits = Limits(WEIGHT_BYTES / 1.5, {"float32": STEP_FLOP})
    bound = compute_bound(CONFIG, JOBS, limits, "float32")
    assert (bound.decode_products_s, bound.decode_weights_s) == (pytest.approx(2), pytest.approx(1.5))


def test_bfloat16_halves_the_bytes_and_has_its_own_rate() -> None:
    limits = Limits(10.0, {"float32": 1e30, "bfloat16": 50.0})
    bound = compute_bound(CONFIG, JOBS, limits, "bfloat16")
    assert bound.prefill_s == pytest.approx(PREFILL_FLOP / 50)
    assert bound.decode_weights_s == pytest.approx(2 * WEIGHT_BYTES / 2 / 10)


def test_a_tied_output_layer_is_read_and_computed_all_the_same() -> None:
    limits = Limits(10.0, {"float32": 100.0})
    tied = ModelConfig(**(vars(CONFIG) | {"tie_word_embeddings": True}))
    assert compute_bound(tied, JOBS, limits, "float32") == compute_bound(CONFIG, JOBS, limits, "float32")


def test_a_mixture_of_experts_is_refused() -> None:
    experts = {"mlp_impl": "moe", "num_experts": 4, "num_experts_per_token": 2}
    mixture = ModelConfig(**(vars(CONFIG) | experts))
    with pytest.raises(ValueError, match="num_experts=4"):
        compute_bound(mixture, JOBS, Limits(1.0, {"float32": 1.0}), "float32")

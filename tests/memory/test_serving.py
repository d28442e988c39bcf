"""Steps, capacity and prices, by counting them out."""

import math

import pytest

from cblab.attention import KVLayout
from cblab.core import PagedKVCache
from cblab.memory import (
    HARDWARE,
    Hardware,
    batch_curve,
    count_parameters,
    hardware,
    kv_bytes_per_token,
    largest_batch,
    max_requests,
    num_kv_blocks,
    plan_serving,
    published,
    rates,
    step_cost,
    step_seconds,
    step_sizes,
    usd_per_million_tokens,
    weights_bytes,
)
from cblab.model.config import ModelConfig

LLAMA_2_13B = ModelConfig.from_dict(published("Llama-2-13b").config)
MODEL = {"matmul_parameters": 500, "attention_width": 6, "weight_bytes": 1_000, "kv_bytes_per_token": 7}
A100 = hardware("A100 SXM 80GB")


def test_a_step_is_the_sum_of_its_queries() -> None:
    new, context = [1, 0, 4], [9, 5, 6]
    flop = sum(2 * 500 + 4 * 6 * keys for keys in (9, 3, 4, 5, 6))
    assert step_cost(MODEL, new, context) == (flop, 1_000 + 7 * (9 + 6))


def test_sizes_leave_the_look_up_of_the_token_table_out() -> None:
    sizes = step_sizes(LLAMA_2_13B, "bfloat16")
    counts = count_parameters(LLAMA_2_13B)
    assert sizes["matmul_parameters"] == counts.total - counts.embedding - counts.norms
    assert sizes["kv_bytes_per_token"] == kv_bytes_per_token(LLAMA_2_13B, "bfloat16") == 819_200
    assert sizes["attention_width"] == 40 * 5_120
    assert step_sizes(LLAMA_2_13B, "bfloat16", weight_bytes=5)["weight_bytes"] == 5
    tied = ModelConfig.from_dict(published("Llama-3.2-1B").config)
    assert step_sizes(tied, "bfloat16")["matmul_parameters"] > count_parameters(tied).embedding


def test_a_mixture_of_experts_has_no_single_cost() -> None:
    with pytest.raises(ValueError, match="mixture of experts, got num_experts=8"):
        step_sizes(ModelConfig.from_dict(published("Mixtral-8x7B-v0.1").config), "bfloat16")


def test_the_slower_of_the_two_decides() -> None:
    flop, num_bytes = step_cost(MODEL, [1, 1], [3, 4])
    assert step_seconds(MODEL, {"flop_per_s": 1.0, "bytes_per_s": 1e9}, [1, 1], [3, 4]) == flop
    assert step_seconds(MODEL, {"flop_per_s": 1e9, "bytes_per_s": 1.0}, [1, 1], [3, 4]) == num_bytes


def test_blocks_and_requests() -> None:
    assert num_kv_blocks(10_000, 0.9, 1_000, 10, 16) == 50
    assert num_kv_blocks(10_000, 0.9, 9_001, 10, 16) == 0
    assert max_requests(50, 16, 33) == 16
    assert max_requests(50, 16, 32) == 25


def test_prices() -> None:
    assert usd_per_million_tokens(3.6, 1_000) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="must be above 0, got 0"):
        usd_per_million_tokens(3.6, 0)


def test_a_curve_says_what_fits() -> None:
    points = batch_curve(MODEL, Hardware("small", 2_000, 10.0, 1_000.0), 20, (1, 5, 6), utilization=0.9)
    assert [point.fits for point in points] == [True, True, False]
    assert points[1].kv_bytes == 700
    assert points[1].tokens_per_s == pytest.approx(5 / points[1].step_s)


def test_the_largest_batch_is_the_last_that_will_do() -> None:
    machine = {"memory_bytes": 3_200, "flop_per_s": 4_000.0, "bytes_per_s": 50.0}
    for limit in (5.0, 21.0, 24.0, 35.0, 1_000.0):
        batch, usd = largest_batch(MODEL, machine, 20, limit, 3.6)
        by_hand = [
            n
            for n in range(1, 100)
            if 1_000 + n * 140 <= 3_200 and step_seconds(MODEL, machine, [1] * n, [20] * n) <= limit
        ]
        assert batch == max(by_hand, default=0)
        assert math.isinf(usd) == (not by_hand)


def test_plans_agree_with_their_parts() -> None:
    plan = plan_serving(LLAMA_2_13B, A100, context_len=1_000, batch=16, usd_per_hour=2.0)
    assert plan.weight_bytes == weights_bytes(LLAMA_2_13B, "bfloat16")
    assert plan.step_s == step_seconds(
        step_sizes(LLAMA_2_13B, "bfloat16"), rates(A100), [1] * 16, [1_000] * 16
    )
    assert plan.bound == "memory"
    assert plan.fits
    small = plan_serving(
        LLAMA_2_13B, A100, context_len=1_000, batch=16, usd_per_hour=2.0, weight_bits=4, kv_bits=8
    )
    assert small.kv_bytes_per_token * 2 == plan.kv_bytes_per_token
    assert small.weight_bytes < plan.weight_bytes / 3
    assert small.max_requests > 2 * plan.max_requests
    assert small.usd_per_million_tokens < plan.usd_per_million_tokens
    crowd = plan_serving(LLAMA_2_13B, A100, context_len=10, batch=4_000, usd_per_hour=2.0)
    assert crowd.bound == "compute"
    with pytest.raises(ValueError, match="batch must be at least 1, got 0"):
        plan_serving(LLAMA_2_13B, A100, context_len=10, batch=0, usd_per_hour=2.0)


def test_hardware_is_found_by_name_and_makes_sense() -> None:
    assert all("nvidia.com" in one.source for one in HARDWARE)
    assert A100.ridge == pytest.approx(153, abs=0.5)
    with pytest.raises(ValueError, match="no accelerator 'A100' is known; known are V100"):
        hardware("A100")
    with pytest.raises(ValueError, match="bytes_per_s of none must be above 0"):
        Hardware("none", 1, 0.0, 1.0)


def test_blocks_are_what_a_pool_takes() -> None:
    config = ModelConfig.from_dict(published("Llama-3.2-1B").config)
    per_token = kv_bytes_per_token(config, "float32")
    blocks = num_kv_blocks(10_000_000, 0.9, 1_000_000, per_token, 4)
    pool = PagedKVCache(config.attention_specs, blocks, 4, layout=KVLayout.NHD)
    assert pool.num_bytes <= 8_000_000 < pool.num_bytes + pool.bytes_per_block

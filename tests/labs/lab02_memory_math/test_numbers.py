"""The assessment's numbers, the time that the lab takes, and the numbers that its prose says."""

from typing import Any

import pytest

from cblab.lab.exercise import Exercise
from cblab.lab.labs.lab02_memory_math import EXERCISES
from cblab.memory import (
    hardware,
    kv_cache_bytes,
    max_requests,
    num_kv_blocks,
    published,
    quantized_bytes,
    rates,
    step_seconds,
    step_sizes,
    training_bytes,
)
from cblab.model.config import ModelConfig
from tests.labs.edit import solution, verdict

ASSESSMENT = [exercise for exercise in EXERCISES if exercise.variables]


@pytest.mark.parametrize("exercise", ASSESSMENT, ids=lambda exercise: exercise.id)
def test_a_wrong_number_hears_only_its_direction(exercise: Exercise) -> None:
    right: dict[str, Any] = {}
    exec("import math\n" + solution(exercise.id)[0], right)
    for name, part in zip(exercise.variables, exercise.parts, strict=True):
        for factor, direction in ((1.0173, "large"), (0.9831, "small")):
            message = verdict({name: right[name] * factor}, part.script)
            assert message.startswith(f"`{name}` is too {direction}"), message
            assert f"{right[name]:.3g}" not in message


def test_the_sittings_leave_time_to_read() -> None:
    bonus = sum(exercise.minutes for exercise in EXERCISES if exercise.bonus)
    assessment = sum(exercise.minutes for exercise in ASSESSMENT)
    core = sum(exercise.minutes for exercise in EXERCISES) - bonus - assessment
    questions, section_9 = 20, 10
    assert core <= 60
    assert assessment + bonus + questions + section_9 <= 75


def test_what_the_prose_says_of_one_model_and_another() -> None:
    bytes_a_parameter = sum(training_bytes([(1_000, 1_000)], "adam", True).values()) / 1e6
    assert bytes_a_parameter == 16
    assert round(sum(training_bytes([(1_000, 1_000)], "adafactor", True).values()) / 1e6) == 8
    assert sum(training_bytes([(1_000, 1_000)], "sgd_momentum", True).values()) == 12e6
    assert published("Llama-2-70b").parameters == 68_976_648_192  # half a byte each: 34.5 GB
    assert 16 / (8 * quantized_bytes(1, 128, 4, 128) / 128) == pytest.approx(3.88, abs=0.01)
    assert round(100 * (2**30 / 1e9 - 1), 1) == 7.4
    assert min(hardware(name).ridge for name in ("V100 SXM2 32GB", "A100 SXM 80GB", "H100 SXM 80GB")) > 100
    weights_and_cache = 2 * 13_015_864_320 + 32 * kv_cache_bytes(published("Llama-2-13b").config, 1_500, 2)
    assert weights_and_cache > hardware("V100 SXM2 32GB").memory_bytes


def test_the_answer_to_the_opening_question() -> None:
    a100, sizes = (
        hardware("A100 SXM 80GB"),
        step_sizes(ModelConfig.from_dict(published("Llama-2-13b").config), "bfloat16"),
    )
    assert round(sizes["weight_bytes"] / 1e9, 1) == 25.7  # what a step reads
    assert sizes["weight_bytes"] < 20 * 2_048 * sizes["kv_bytes_per_token"]
    seconds_a_token = []
    for bits in (16, 4 + 16 / 128):
        stored = int(13_015_864_320 * bits / 8)
        blocks = num_kv_blocks(a100.memory_bytes, 0.9, stored, sizes["kv_bytes_per_token"], 16)
        users = max_requests(blocks, 16, 2_048)
        assert 20 < users < 40
        read = {**sizes, "weight_bytes": int(sizes["matmul_parameters"] * bits / 8)}
        seconds_a_token.append(step_seconds(read, rates(a100), [1] * users, [2_048] * users) / users)
    assert round(seconds_a_token[1] / seconds_a_token[0], 1) == 0.7
    assert round(81_559 * 2**20 / 1e9, 1) == 85.5

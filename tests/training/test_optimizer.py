import math

import pytest
import torch

from cblab.training.optimizer import learning_rate, make_optimizer
from cblab.training.settings import OptimizerSettings


def test_warm_up_then_half_a_cosine() -> None:
    settings = OptimizerSettings(lr=1.0, final_lr_ratio=0.1, warmup_steps=4)
    rates = [learning_rate(step, 15, settings) for step in range(15)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    # From step 4 (the top) to step 14 (the floor) there are 10 steps; step 9 is half-way.
    assert rates[4] == 1.0
    assert rates[9] == pytest.approx(0.55)
    assert rates[5] == pytest.approx(0.1 + 0.9 * (1 + math.cos(math.pi / 10)) / 2)
    assert rates[14] == pytest.approx(0.1)
    assert rates[4:] == sorted(rates[4:], reverse=True)


def test_constant_schedule_and_none_of_warm_up() -> None:
    constant = OptimizerSettings(lr=0.5, schedule="constant", warmup_steps=2)
    assert [learning_rate(step, 5, constant) for step in range(5)] == [0.25, 0.5, 0.5, 0.5, 0.5]
    assert learning_rate(0, 5, OptimizerSettings(lr=0.5, warmup_steps=0)) == 0.5


def test_a_resumed_run_past_its_end_stays_at_the_floor() -> None:
    assert learning_rate(
        99, 10, OptimizerSettings(lr=1.0, final_lr_ratio=0.2, warmup_steps=1)
    ) == pytest.approx(0.2)


def test_only_matrices_decay() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.LayerNorm(5))
    model[0].weight.requires_grad_(True)
    optimizer = make_optimizer(model.parameters(), OptimizerSettings(weight_decay=0.3, beta2=0.9))
    matrices, vectors = optimizer.param_groups
    assert [p.shape for p in matrices["params"]] == [(5, 3)]
    assert [p.shape for p in vectors["params"]] == [(5,), (5,), (5,)]
    assert (matrices["weight_decay"], vectors["weight_decay"]) == (0.3, 0.0)
    assert matrices["betas"] == (0.9, 0.9)


def test_frozen_parameters_are_left_alone() -> None:
    model = torch.nn.Linear(3, 5)
    model.weight.requires_grad_(False)
    optimizer = make_optimizer(model.parameters(), OptimizerSettings())
    assert [len(group["params"]) for group in optimizer.param_groups] == [0, 1]

"""Bytes of training on paper, beside what torch's optimizers and autograd really hold."""

import dataclasses
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from safetensors import safe_open

from cblab.assets import path as asset_path
from cblab.lab.labs.memory_math.graphs import layers_in_segments
from cblab.lab.labs.memory_math.live import LiveMemory, kept_for_backward
from cblab.memory import (
    activation_bytes,
    parameter_shapes,
    published,
    training_bytes,
    transformer_layer_bytes,
)
from cblab.model import Decoder, ModelConfig

CONFIG = ModelConfig(
    vocab_size=61,
    hidden_size=24,
    intermediate_size=40,
    num_layers=6,
    num_heads=4,
    num_kv_heads=2,
    head_dim=8,
    max_position_embeddings=64,
    tie_word_embeddings=True,
)
MAKERS: dict[str, Callable[[list[torch.nn.Parameter]], torch.optim.Optimizer]] = {
    "adam": lambda parameters: torch.optim.Adam(parameters),
    "sgd_momentum": lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9),
    "adafactor": lambda parameters: torch.optim.Adafactor(parameters),
}


@pytest.mark.parametrize("name", MAKERS)
def test_the_optimizers_of_torch_hold_what_is_computed(name: str) -> None:
    parameters = list(Decoder(CONFIG).parameters())
    optimizer = MAKERS[name](parameters)
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    tensors = [value for state in optimizer.state.values() for value in state.values()]
    held = sum(one.nbytes for one in tensors if isinstance(one, torch.Tensor) and one.ndim)
    computed = training_bytes([tuple(parameter.shape) for parameter in parameters], name, False)
    assert held == computed["optimizer"]
    assert computed["weights"] == computed["gradients"] == sum(parameter.nbytes for parameter in parameters)
    assert computed["master_weights"] == 0


def test_mixed_precision_with_adam_takes_16_bytes_a_parameter() -> None:
    parts = training_bytes([(30, 7), (11,)], "adam", True)
    each = {"weights": 2, "gradients": 2, "master_weights": 4, "optimizer": 8}
    assert parts == {name: size * 221 for name, size in each.items()}


def test_adafactor_factors_the_last_two_sides() -> None:
    assert training_bytes([(3, 5, 7)], "adafactor", False)["optimizer"] == 4 * 3 * (5 + 7)


def test_an_unknown_optimizer_is_named() -> None:
    with pytest.raises(ValueError, match=r"unknown optimizer 'lion'; known are adam, sgd_momentum"):
        training_bytes([(2, 2)], "lion", True)


def test_recomputing_holds_what_is_computed() -> None:
    model = Decoder(CONFIG)
    windows = torch.randint(0, 61, (3, 20))
    parameters = list(model.parameters())
    kept = [
        kept_for_backward(partial(layers_in_segments, model, windows, num_layers), parameters)
        for num_layers in range(1, 7)
    ]
    layer_bytes = kept[1] - kept[0]
    assert {kept[n] - kept[n - 1] for n in range(2, 6)} == {layer_bytes}
    input_bytes = 2 * 60 * 24 * 4
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    extra = []
    for segment in (None, 6, 4, 3, 2, 1):
        with LiveMemory() as memory:
            layers_in_segments(model, windows, 6, segment).backward()
        extra.append(memory.peak - activation_bytes(6, input_bytes, layer_bytes - input_bytes, segment))
    assert all(0 < one < layer_bytes for one in extra)  # the gradients on their way through one layer


def test_segments() -> None:
    assert activation_bytes(7, 10, 100, None) == 770
    assert activation_bytes(7, 10, 100, 3) == 3 * 10 + 3 * 100 + 2 * 10
    assert activation_bytes(4, 10, 100, 9) == 440
    with pytest.raises(ValueError, match="at least one layer, got 0"):
        activation_bytes(4, 10, 100, 0)


def test_the_formula_of_korthikanti() -> None:
    batch, length, hidden, heads = 2, 16, 24, 4
    whole = batch * length * hidden * (34 + 5 * heads * length / hidden)
    assert transformer_layer_bytes(batch, length, hidden, heads, keeps_scores=True) == whole
    assert transformer_layer_bytes(batch, length, hidden, heads, keeps_scores=False) == 34 * 2 * 16 * 24


def test_shapes_are_those_of_the_bundled_file() -> None:
    folder = asset_path("story-4m")
    with safe_open(folder / "model.safetensors", framework="pt") as file:
        stored = sorted(tuple(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    assert sorted(parameter_shapes(ModelConfig.from_pretrained(folder))) == stored


@pytest.mark.parametrize("name", ["Llama-2-13b", "Llama-2-70b", "Llama-3.2-1B"])
def test_shapes_add_up_to_the_published_number(name: str) -> None:
    shapes = parameter_shapes(ModelConfig.from_dict(published(name).config))
    assert sum(map(math.prod, shapes)) == published(name).parameters


OTHERS: list[dict[str, Any]] = [
    {"qk_norm": True},
    {"mlp_impl": "gelu"},
    {"qkv_bias": True},
    {"rope": None},
]


@pytest.mark.parametrize("change", OTHERS)
def test_shapes_of_another_kind_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="shapes are known for models"):
        parameter_shapes(dataclasses.replace(CONFIG, **change))

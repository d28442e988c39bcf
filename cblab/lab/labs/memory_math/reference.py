"""Right answers to exercises of lab 2 that have no natural home in the engine."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cblab.memory.serving import num_kv_blocks

if TYPE_CHECKING:
    from torch import Tensor


def count_parameters(config: Mapping[str, Any]) -> int:
    """Count the parameters of a model of Llama's shape from its `config.json`.

    `cblab.memory.count_parameters` counts every family, part by part; this is the sum for one, written out.
    """
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    heads = config["num_attention_heads"]
    kv_heads = config.get("num_key_value_heads", heads)
    head_dim = config.get("head_dim", hidden // heads)
    attention = 2 * hidden * heads * head_dim + 2 * hidden * kv_heads * head_dim
    layer = attention + 3 * hidden * inner + 2 * hidden
    tables = 1 if config["tie_word_embeddings"] else 2
    return tables * config["vocab_size"] * hidden + config["num_hidden_layers"] * layer + hidden


def num_blocks(
    memory_bytes: int,
    utilization: float,
    weight_bytes: int,
    num_layers: int,
    layer_kv_bytes: int,
    block_size: int,
) -> int:
    """Return how many blocks of the KV cache fit beside the weights; 0 where the weights alone do not fit."""
    return num_kv_blocks(memory_bytes, utilization, weight_bytes, num_layers * layer_kv_bytes, block_size)


def quantize_rows(x: "Tensor", bits: int) -> "tuple[Tensor, Tensor]":
    """Store each row as whole numbers of `bits` bits and one scale, symmetric around 0.

    x: float32 `[num_rows, row_length]`. Returns `(codes, scales)`: int8 `[num_rows, row_length]` and float32
    `[num_rows, 1]`. The scale maps the row's largest size to the largest code, `2**(bits - 1) - 1`; a row of
    zeros has scale 1. `codes * scales` is the row again, off by half a scale at most.
    """
    import torch

    scales = x.abs().amax(dim=1, keepdim=True) / (2 ** (bits - 1) - 1)
    scales = torch.where(scales == 0, torch.ones_like(scales), scales)
    return (x / scales).round().to(torch.int8), scales

"""Capacity planning: how many requests fit, how fast they are, and what a token costs."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cblab.memory.hardware import Hardware
from cblab.memory.roofline import rates, step_seconds


def num_kv_blocks(
    memory_bytes: int, utilization: float, weight_bytes: int, kv_bytes_per_token: int, block_size: int
) -> int:
    """Return how many blocks of the KV cache fit beside the weights; 0 where the weights alone do not fit.

    memory_bytes: of the device, of which the share `utilization` may be used. kv_bytes_per_token: over all
    layers. block_size: tokens of a block.
    """
    free = int(memory_bytes * utilization) - weight_bytes
    return max(0, free // (kv_bytes_per_token * block_size))


def max_requests(num_blocks: int, block_size: int, context_len: int) -> int:
    """Return how many requests of `context_len` tokens the blocks hold; each takes whole blocks."""
    return num_blocks // -(-context_len // block_size)


def usd_per_million_tokens(usd_per_hour: float, tokens_per_s: float) -> float:
    """Return the dollars for 10^6 tokens of a machine that makes so many a second."""
    if tokens_per_s <= 0:
        raise ValueError(f"tokens_per_s must be above 0, got {tokens_per_s!r}")
    return usd_per_hour / 3600 / tokens_per_s * 1e6


@dataclass(frozen=True)
class BatchPoint:
    """One batch size: requests that decode together at one context length.

    step_s: seconds of a decode step, which is also the time between two tokens of a request.
    tokens_per_s: of all requests together.
    kv_bytes: keys and values that they hold.
    fits: whether these fit beside the weights.
    """

    batch: int
    step_s: float
    tokens_per_s: float
    kv_bytes: int
    fits: bool


def batch_curve(
    model: Mapping[str, int],
    machine: Hardware,
    context_len: int,
    batches: Iterable[int],
    utilization: float = 0.9,
) -> list[BatchPoint]:
    """Return what the roofline allows each batch size to decode at `context_len` tokens a request."""
    room = int(machine.memory_bytes * utilization) - model["weight_bytes"]
    points = []
    for batch in batches:
        seconds = step_seconds(model, rates(machine), [1] * batch, [context_len] * batch)
        kv_bytes = batch * context_len * model["kv_bytes_per_token"]
        points.append(BatchPoint(batch, seconds, batch / seconds, kv_bytes, kv_bytes <= room))
    return points


def largest_batch(
    model: Mapping[str, int],
    machine: Mapping[str, float],
    context_len: int,
    max_step_s: float,
    usd_per_hour: float,
) -> tuple[int, float]:
    """Return the largest batch that may decode together, and dollars for 10^6 of its tokens.

    It must fit: weights, keys and values take at most `memory_bytes`. And one decode step at `context_len`
    tokens a request takes at most `max_step_s`. (0, inf) where not even one request does.

    model: what `step_sizes` gives. machine: `memory_bytes`, `flop_per_s` and `bytes_per_s`.
    """
    most = int(machine["memory_bytes"] - model["weight_bytes"]) // (context_len * model["kv_bytes_per_token"])
    for batch in range(most, 0, -1):
        seconds = step_seconds(model, machine, [1] * batch, [context_len] * batch)
        if seconds <= max_step_s:
            return batch, usd_per_million_tokens(usd_per_hour, batch / seconds)
    return 0, math.inf

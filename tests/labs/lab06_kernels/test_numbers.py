"""Lab 6's numbers: those that its prose names, and what is said of a wrong one in the assessment."""

import re
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from cblab.lab import best
from cblab.lab.exercise import Exercise
from cblab.lab.labs.kernels.compiled import decode_loops
from cblab.lab.labs.kernels.measure import random_cache
from cblab.lab.labs.kernels.numerics import decode_cost
from cblab.lab.labs.lab06_kernels import EXERCISES
from cblab.lab.labs.memory_math.live import LiveMemory, storage_key
from tests.labs.edit import solution, verdict
from tests.labs.lab06_kernels.cells import cell_with
from tests.labs.submissions import ROOT

ASSESSMENT = [exercise for exercise in EXERCISES if exercise.variables]
SOURCE = (ROOT / "solutions" / "06_kernels.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("exercise", ASSESSMENT, ids=lambda exercise: exercise.id)
def test_a_wrong_number_hears_only_its_direction(exercise: Exercise) -> None:
    right: dict[str, Any] = {"math": __import__("math")}
    exec(solution(exercise.id)[0], right)
    for name, part in zip(exercise.variables, exercise.parts, strict=True):
        for factor, direction in ((1.0173, "large"), (0.9731, "small")):
            message = verdict({name: right[name] * factor}, part.script)
            assert message.startswith(f"`{name}` is too {direction}"), message


def test_the_sittings_leave_time_to_read() -> None:
    core = [exercise for exercise in EXERCISES if not exercise.bonus and not exercise.variables]
    first = [exercise for exercise in core if int(exercise.id.split(".")[1]) <= 7]
    assert len(core) == 9
    assert sum(exercise.minutes for exercise in first) <= 60
    questions = 20
    second = sum(exercise.minutes for exercise in [*core, *ASSESSMENT] if exercise not in first)
    assert second + questions <= 60


def test_two_flops_a_byte_whatever_the_batch() -> None:
    """Section 1: 2 FLOPs for each byte with 4 query heads a KV head in float32, for any contexts."""
    for lengths in ([1_000] * 8, [1], [30_000, 5]):
        flop, num_bytes = decode_cost(lengths, 16, 4, 64, 4)
        assert flop == 2 * num_bytes


class MovedBytes(TorchDispatchMode):
    """Counts what operations read and write: every new tensor, and what of each argument is not a repeat."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        given = [one for one in tree_iter(args) if isinstance(one, torch.Tensor)]
        if storage_key(result) not in map(storage_key, given):
            read = sum(min(one.nbytes, one.untyped_storage().nbytes()) for one in given)
            self.count += read + result.nbytes
        return result


def test_the_copies_of_the_gather_are_eleven_times_the_bytes() -> None:
    """Section 2, counted while it runs: 11 times the cache is moved, and 5 times is held at most."""
    names: dict[str, Any] = {"torch": torch, "np": np, "random_cache": random_cache, "best": best}
    exec(cell_with("CONTEXT_LENS, NUM_HEADS, NUM_KV_HEADS, HEAD_DIM, BLOCK_SIZE ="), names)
    exec(cell_with("def gather_decode"), names)
    with MovedBytes() as moved, LiveMemory() as memory:
        result = names["gather_decode"](*names["tensors"], names["SCALE"])
    expected = decode_loops(*names["cache"], names["SCALE"])
    assert np.abs(result.numpy() - expected).max() < 1e-5
    # A little more than the count of the keys and values: the scores, and the rest of the last blocks.
    assert 11 <= moved.count / names["kv_bytes"] < 11.6
    assert 5 <= memory.peak / names["kv_bytes"] < 5.1
    assert "11 times" in SOURCE


def test_with_the_heads_behind_the_tokens_torch_copies_once_more() -> None:
    """Section 2: 19 times the bytes."""
    q, keys, values, tables, _ = map(torch.from_numpy, random_cache([1_000] * 2, 16, 4, 64, 16))
    with MovedBytes() as moved:
        k, v = (pool[tables.long()].flatten(1, 2).repeat_interleave(4, dim=2) for pool in (keys, values))
        weights = torch.softmax(torch.einsum("shd,sthd->sht", q, k), dim=-1)
        torch.einsum("sht,sthd->shd", weights, v)
    assert 19 <= moved.count / (keys.nbytes + values.nbytes) < 19.5
    assert "(19 times)" in SOURCE


def test_the_last_block_of_1000_tokens_holds_8_stale_slots() -> None:
    """Section 4: 1,008 tokens fill 63 blocks of 16, 1,000 leave 8 slots; 25 of 32 equal weights are own."""
    assert 63 * 16 - 1_008 == 0
    assert 63 * 16 - 1_000 == 8
    assert round(7 / 32, 2) == 0.22


def test_float32_ends_near_e_to_the_88() -> None:
    with np.errstate(over="ignore"):
        assert np.isfinite(np.exp(np.float32(88)))
        assert not np.isfinite(np.exp(np.float32(89)))


def test_the_defect_of_vllm_began_at_the_block_that_the_prose_names() -> None:
    """Section 7: pages of 480 tokens of 576 numbers, as the pull request says; blocks above about 7,700."""
    assert 2**31 // (480 * 576) == 7_767
    assert re.search(r"about 7,700", SOURCE)
    assert 2**31 // (16 * 8 * 128) == 131_072

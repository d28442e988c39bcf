"""Lab 6's numbers: those that its prose names, and what is said of a wrong one in the assessment."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cblab.lab.exercise import Exercise
from cblab.lab.labs.kernels.numerics import decode_cost
from cblab.lab.labs.lab06_kernels import EXERCISES
from cblab.lab.local import LocalExecutor
from cblab.lab.trial import CheckFailed, Trial
from tests.labs.edit import solution
from tests.labs.submissions import ROOT

ASSESSMENT = [exercise for exercise in EXERCISES if exercise.variables]
SOURCE = (ROOT / "solutions" / "06_kernels.py").read_text(encoding="utf-8")


def verdict(variables: dict[str, object], script: Callable[[Trial], None]) -> str:
    """The message that these variables get, "" for none."""
    try:
        script(Trial(LocalExecutor(variables, {}), "immediate", "seed"))
    except CheckFailed as failure:
        return str(failure)
    return ""


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


def test_the_copies_of_the_gather_are_eleven_times_the_bytes() -> None:
    """Section 2: read and written once for the gather; read once, written and read 4-fold for the repeat."""
    group = 16 // 4
    assert 2 + (1 + group) + group == 11
    assert "11 times" in SOURCE


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

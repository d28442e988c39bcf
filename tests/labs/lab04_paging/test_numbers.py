"""Lab 4's numbers: those that its prose names, and what is said of a wrong one in the assessment."""

import re
from typing import Any

import pytest

from cblab.lab.exercise import Exercise
from cblab.lab.labs.lab04_paging import EXERCISES
from cblab.memory.fragmentation import FirstFit, Paged, random_workload, simulate
from tests.labs.edit import solution, verdict
from tests.labs.submissions import ROOT

ASSESSMENT = [exercise for exercise in EXERCISES if exercise.variables]
SOURCE = (ROOT / "solutions" / "04_paging.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("exercise", ASSESSMENT, ids=lambda exercise: exercise.id)
def test_a_wrong_number_hears_only_its_direction(exercise: Exercise) -> None:
    right: dict[str, Any] = {"math": __import__("math")}
    exec(solution(exercise.id)[0], right)
    for name, part in zip(exercise.variables, exercise.parts, strict=True):
        for factor, direction in ((1.0173, "large"), (0.9831, "small")):
            message = verdict({name: right[name] * factor}, part.script)
            assert message.startswith(f"`{name}` is too {direction}"), message
            assert f"{right[name]:.3g}" not in message


def test_the_sittings_leave_time_to_read() -> None:
    core = [exercise for exercise in EXERCISES if not exercise.bonus and not exercise.variables]
    assert len(core) == 8
    assert sum(exercise.minutes for exercise in core) <= 60
    questions = 20
    assert sum(exercise.minutes for exercise in ASSESSMENT) + questions <= 45
    assert sum(exercise.minutes for exercise in EXERCISES if exercise.bonus) <= 20


def test_the_workload_is_the_one_that_the_prose_describes() -> None:
    """Section 1: 120 requests, about 9,000 tokens; compaction copies more; enough was free and refused."""
    call = re.search(r"random_workload\((\d+), (\d+), prompt_lens=\(8, 60\), output_lens=\(4, 80\)", SOURCE)
    assert call
    workload = random_workload(
        int(call[1]), int(call[2]), prompt_lens=(8, 60), output_lens=(4, 80), spare_lens=(0, 60)
    )
    num_tokens = sum(one.total_len for one in workload)
    assert len(workload) == 120
    assert round(num_tokens, -3) == 9_000
    first_fit, compacting = (simulate(workload, FirstFit(768, compacts=on)) for on in (False, True))
    assert compacting.num_copied > num_tokens
    assert sum(step.is_blocked for step in first_fit.steps) > len(first_fit.steps) / 2
    assert (
        first_fit.mean_use
        < compacting.mean_use
        < 0.5
        < simulate(workload, Paged(768, block_size=16)).mean_use
    )


def test_a_reserve_trades_preemptions_for_empty_memory() -> None:
    """Section 9: without a reserve 85 are thrown out, a large one leaves the memory empty."""
    workload = random_workload(7, 120, prompt_lens=(8, 60), output_lens=(4, 80), spare_lens=(0, 60))
    none, some, large = (simulate(workload, Paged(768, block_size=16, keep_free=one)) for one in (0, 4, 16))
    assert f"there are {none.num_preemptions} preemptions for {len(workload)} requests" in SOURCE
    assert some.num_recomputed < none.num_recomputed / 3
    assert len(some.steps) < 1.05 * len(none.steps)
    assert large.mean_use < some.mean_use - 0.15

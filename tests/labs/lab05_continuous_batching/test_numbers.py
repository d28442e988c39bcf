"""Lab 5's numbers: those that its prose names, and what is said of a wrong one in the assessment."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from cblab.core.scheduler import Scheduler as EngineScheduler
from cblab.lab.exercise import Exercise
from cblab.lab.labs.continuous_batching.load import TICKS, Arrival, percentile, serve
from cblab.lab.labs.continuous_batching.plug import plugged
from cblab.lab.labs.continuous_batching.reference import token_table
from cblab.lab.labs.continuous_batching.scheduler import Scheduler
from cblab.lab.labs.continuous_batching.table import check_token_table
from cblab.lab.labs.continuous_batching.target import NUM_BLOCKS, STALL_TICKS, TTFT_TICKS, target_load
from cblab.lab.labs.lab05_continuous_batching import EXERCISES
from tests.labs.edit import solution, verdict

ASSESSMENT = [exercise for exercise in EXERCISES if exercise.variables and exercise.id != "5.9"]


@pytest.mark.parametrize("exercise", ASSESSMENT, ids=lambda exercise: exercise.id)
def test_a_wrong_number_hears_only_its_direction(exercise: Exercise) -> None:
    right: dict[str, Any] = {"math": math}
    exec(solution(exercise.id)[0], right)
    for name, part in zip(exercise.variables, exercise.parts, strict=True):
        for factor, direction in ((1.0273, "large"), (0.9731, "small")):
            message = verdict({name: right[name] * factor}, part.script)
            assert message.startswith(f"`{name}` is too {direction}"), message
            assert f"{right[name]:.3g}" not in message


def test_the_sittings_leave_time_to_read() -> None:
    *first, step = [exercise for exercise in EXERCISES if not exercise.bonus and not exercise.variables]
    assert (len(first), step.id) == (7, "5.8")
    assert sum(exercise.minutes for exercise in first) <= 60
    questions = 20
    second = [step, *(exercise for exercise in EXERCISES if exercise.variables)]
    assert sum(exercise.minutes for exercise in second) + questions <= 60


def test_ticks_are_what_the_prose_says() -> None:
    """Section 5: a step costs 1 tick and 0.02 for each token that it computes."""
    assert TICKS.seconds_per_step == 1
    assert TICKS.per_prefill_token == TICKS.per_decode_token == 0.02


def test_a_document_stalls_the_others_unless_it_comes_in_chunks() -> None:
    load = [*(Arrival(0.0, 20, 40, name) for name in "abcd"), Arrival(10.0, 900, 12, "document")]
    whole, chunked = (serve(load, EngineScheduler, budget=1024, chunk_size=size) for size in (None, 64))
    assert max(whole.gaps) > 19 > 3 > max(chunked.gaps)
    assert whole.token_times["document"][0] < chunked.token_times["document"][0]


def test_the_labs_scheduler_plans_what_the_engines_own_does_unless_it_preempts() -> None:
    runs = [
        serve(target_load()[:80], one, budget=128, chunk_size=64, num_blocks=NUM_BLOCKS)
        for one in (EngineScheduler, plugged(Scheduler))
    ]
    assert not runs[0].num_preemptions
    assert [record.plan for record in runs[0].trace] == [record.plan for record in runs[1].trace]


def keeps(**settings: Any) -> tuple[bool, bool]:
    """Which of the two promises of 5.9 the engine's scheduler keeps."""
    run = serve(target_load(), EngineScheduler, num_blocks=NUM_BLOCKS, **settings)
    return percentile(run.ttft, 99) < TTFT_TICKS, max(run.gaps) <= STALL_TICKS


def test_the_target_is_missed_by_every_row_that_the_lab_prints() -> None:
    """Exercise 5.9: small steps miss one half of the promise, large ones the other, few seats the first."""
    budgets = [keeps(budget=one, max_num_seqs=16) for one in (32, 64, 128, 256, 512, 1024)]
    assert budgets == [(False, True)] * 3 + [(True, False)] * 3
    chunks = [keeps(budget=1024, chunk_size=one, max_num_seqs=16) for one in (16, 32, 64, 128, 256, 512)]
    seats = [keeps(budget=256, max_num_seqs=one) for one in (2, 4, 8, 16)]
    assert (True, True) not in chunks + seats


def test_one_of_16_requests_of_the_target_is_a_document() -> None:
    load = target_load()
    assert round(len(load) / sum(one.num_prompt == 600 for one in load)) == 16


def test_percentiles_are_values_that_occur() -> None:
    values = [float(one) for one in range(1, 201)]
    assert (percentile(values, 50), percentile(values, 99), percentile(values, 100)) == (100, 198, 200)
    assert percentile([7.0], 99) == 7


def table_with(**changes: list[int]) -> Callable[..., dict[str, list[int]]]:
    """A `token_table` that is right but for these lists."""

    def made(rows: list[Any], block_size: int) -> dict[str, list[int]]:
        return token_table(rows, block_size) | changes

    return made


def test_of_the_token_table_only_the_wrong_list_is_shown() -> None:
    said = verdict({"token_table": table_with(logits_indices=[0, 5, 7])}, check_token_table)
    assert said.endswith("`logits_indices` is [0, 5, 7], expected [0, 5].")
    assert "input_ids" not in said

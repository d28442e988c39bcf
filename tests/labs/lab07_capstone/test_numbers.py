"""Lab 7's numbers: those that its prose names, and what is said of a wrong one in the assessment."""

import math
from typing import Any

import pytest

from cblab.assets import path as asset_path
from cblab.core.trace import StepRecord
from cblab.lab.exercise import Exercise
from cblab.lab.labs.capstone import numbers
from cblab.lab.labs.capstone.bench import Bench
from cblab.lab.labs.capstone.colleague import HastyPlan, colleagues_parts
from cblab.lab.labs.capstone.reference import PlanOnce, find_guilty, pool_sizes
from cblab.lab.labs.capstone.workload import NAMES, OWL, REQUESTS, SETTINGS, lengths, serve
from cblab.lab.labs.kernels.plug import plugged as plugged_kernel
from cblab.lab.labs.kernels.threads import decode_in_threads, plan_shares
from cblab.lab.labs.lab07_capstone import EXERCISES
from cblab.tokenization import BPETokenizer
from tests.labs.edit import solution, verdict

ASSESSMENT = [exercise for exercise in EXERCISES if exercise.variables]
NUM_BLOCKS = 36


@pytest.fixture(scope="module")
def right() -> dict[str, list[int]]:
    """The tokens of cblab's own engine in a pool with room for all."""
    return serve({}, 100).tokens


@pytest.mark.parametrize("exercise", ASSESSMENT, ids=lambda exercise: exercise.id)
def test_a_wrong_number_hears_only_its_direction(exercise: Exercise) -> None:
    answers: dict[str, Any] = {"math": math}
    exec(solution(exercise.id)[0], answers)
    for name, part in zip(exercise.variables, exercise.parts, strict=True):
        for factor, direction in ((1.0273, "large"), (0.9731, "small")):
            message = verdict({name: answers[name] * factor}, part.script)
            assert message.startswith(f"`{name}` is too {direction}"), message
            assert f"{answers[name]:.3g}" not in message


def test_the_assessments_prose_is_what_is_checked() -> None:
    assert numbers.STEP_BEFORE == 12
    assert (numbers.REQUESTS, numbers.SHARED, numbers.OWN, numbers.BLOCK) == (16, 200, 30, 16)


def test_the_sitting_leaves_time_to_read() -> None:
    assert len(EXERCISES) == 7
    questions = 8
    assert sum(exercise.minutes for exercise in EXERCISES) + questions <= 65


def test_the_load_is_what_the_prose_says() -> None:
    """Sections 1 and 4: sixteen requests, six behind one instruction of about 48 tokens."""
    tokenizer = BPETokenizer.load(asset_path("story-4m"))
    assert len(REQUESTS) == 16
    assert {min(num for _, num in REQUESTS.values()), max(num for _, num in REQUESTS.values())} == {6, 38}
    assert sum(prompt.startswith(OWL) for prompt, _ in REQUESTS.values()) == 6
    assert sum(prompt.startswith(OWL + OWL) for prompt, _ in REQUESTS.values()) == 1
    assert 44 <= len(tokenizer.encode(OWL)) <= 52
    least, enough = pool_sizes(lengths(tokenizer), SETTINGS["block_size"], SETTINGS["max_num_seqs"])
    assert least < NUM_BLOCKS < enough
    assert tuple(colleagues_parts()) == NAMES


def test_all_six_parts_serve_right_while_some_give_way(right: dict[str, list[int]]) -> None:
    mended = {"decode": plugged_kernel(decode_in_threads, PlanOnce(plan_shares))}
    for num_blocks in (NUM_BLOCKS, 24):
        run = serve(colleagues_parts() | mended, num_blocks)
        assert run.tokens == right
        assert run.errors == {}
        assert run.stats is not None
        assert run.stats.num_preemptions > 0
        assert run.stats.num_prefix_hit_tokens > 0


def test_what_section_4_says_of_three_requests() -> None:
    """r10's 42 tokens, r5's one token, and r7, which gives way while blocks are free."""
    mended = {"decode": plugged_kernel(decode_in_threads, PlanOnce(plan_shares))}
    run = serve(colleagues_parts() | mended, NUM_BLOCKS)
    assert run.stats is not None
    not_found = run.stats.num_prefix_query_tokens - run.stats.num_prefix_hit_tokens
    chunks: dict[str, list[int]] = {"r10": [], "r5": []}
    gave_way: dict[str, StepRecord] = {}
    for record in run.records:
        for one in record.plan.scheduled:
            if one.request_id in chunks:
                chunks[one.request_id].append(one.num_computed_tokens + one.num_new_tokens)
        gave_way |= dict.fromkeys(record.plan.preempted, record)
    left = len(run.prompts["r10"]) - chunks["r10"][0]
    assert left == 42
    assert chunks["r5"][:2] == [len(run.prompts["r5"]) - 1, len(run.prompts["r5"])]
    assert run.stats.num_prefill_tokens == not_found - left - 1
    assert gave_way["r7"].number == 3
    assert gave_way["r7"].num_used_blocks == 24


def test_the_colleagues_fault_is_silent_and_only_one_replacement_heals_it(
    right: dict[str, list[int]],
) -> None:
    """The question: six answers are different. Section 5: only decode is to blame."""
    run = serve(colleagues_parts(), NUM_BLOCKS)
    assert run.errors == {}
    assert sum(run.tokens[name] != tokens for name, tokens in right.items()) == 6
    bench = Bench(colleagues_parts, right, NUM_BLOCKS)
    assert find_guilty(bench) == ["decode"]
    assert len(bench.runs) == 7
    planned = HastyPlan(plan_shares)
    assert planned([5, 9], 4, 1) == planned([7, 9], 4, 1) != plan_shares([7, 9], 4, 1)

"""Runs the parts of an exercise over an executor and adds up what they earn."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from cblab.lab.executor import Executor
from cblab.lab.exercise import Exercise, Part
from cblab.lab.protocol import BlankError, StudentError
from cblab.lab.seed import PUBLIC_SEED, hidden_seed
from cblab.lab.trial import CheckFailed, Level, Trial

VISIBLE: tuple[Level, ...] = ("immediate", "random")
ALL_LEVELS: tuple[Level, ...] = ("immediate", "random", "hidden")


@dataclass(frozen=True)
class Outcome:
    """How one part ended.

    message: what the student reads, None if the part passed. level: the set of cases in which it failed.
    blank: nothing was there to judge.
    """

    part: Part
    message: str | None = None
    level: Level | None = None
    blank: bool = False

    @property
    def passed(self) -> bool:
        """Whether the part met every expectation."""
        return self.message is None

    @property
    def earned(self) -> float:
        """All of the part's points or none."""
        return self.part.points if self.passed else 0.0


@dataclass(frozen=True)
class Verdict:
    """The outcomes of an exercise's parts.

    public_seed: nbgrader is grading, and nobody has set a secret seed.
    printed: what the student's code printed.
    """

    exercise: Exercise
    outcomes: tuple[Outcome, ...]
    levels: tuple[Level, ...]
    public_seed: bool = False
    printed: str = ""

    @property
    def points(self) -> float:
        """The points earned."""
        return round(sum(outcome.earned for outcome in self.outcomes), 6)

    @property
    def passed(self) -> bool:
        """Whether every part passed."""
        return all(outcome.passed for outcome in self.outcomes)

    @property
    def blank(self) -> bool:
        """Whether there was nothing to judge in any part."""
        return all(outcome.blank for outcome in self.outcomes)


def run_exercise(exercise: Exercise, executor: Executor, levels: Sequence[Level] = VISIBLE) -> Verdict:
    """Judge what `executor` has loaded as `exercise`; `levels` says which sets of cases.

    When a call takes too long, no later part is begun: they fail with the message of the part it was in.
    """
    seed = hidden_seed() if "hidden" in levels else PUBLIC_SEED
    executor.seconds = exercise.seconds
    outcomes: list[Outcome] = []
    for part in exercise.parts:
        if executor.timed_out and outcomes and not outcomes[-1].passed:
            outcomes.append(replace(outcomes[-1], part=part))
        else:
            outcomes.append(_run_part(exercise, part, executor, levels, seed))
    public = (
        "hidden" in levels and seed == PUBLIC_SEED and os.environ.get("NBGRADER_EXECUTION") == "autograde"
    )
    return Verdict(exercise, tuple(outcomes), tuple(levels), public, executor.printed)


def _run_part(
    exercise: Exercise, part: Part, executor: Executor, levels: Sequence[Level], seed: str
) -> Outcome:
    """The first failure in the order of the levels; what is printed in hidden cases would show them."""
    for level in levels:
        chosen = seed if level == "hidden" else "visible"
        trial = Trial(executor, level, f"{chosen}/{exercise.id}/{part.name}/{level}")
        printed = executor.printed
        failure = _first_failure(part, trial)
        if level == "hidden":
            executor.printed = printed
        if failure is not None:
            return failure
    return Outcome(part)


def _first_failure(part: Part, trial: Trial) -> Outcome | None:
    try:
        part.script(trial)
    except CheckFailed as failure:
        return Outcome(part, str(failure), trial.level)
    except BlankError as error:
        return Outcome(part, str(error), trial.level, blank=True)
    except StudentError as error:
        return Outcome(part, str(error), trial.level)
    except Exception as error:
        return Outcome(
            part,
            f"the result could not be judged ({type(error).__name__}: {error}): "
            "is it of the type that the docstring asks for?",
            trial.level,
        )
    return None

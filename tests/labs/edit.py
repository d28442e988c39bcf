"""How a wrong answer is written down: as code, or the solution with some of it changed; and what it hears."""

import textwrap
from collections.abc import Callable
from pathlib import Path

from cblab.lab.local import LocalExecutor
from cblab.lab.registry import lab_of
from cblab.lab.solutions import solution_of
from cblab.lab.trial import CheckFailed, Trial

Mutant = tuple[str, tuple[str, ...], str]


def solution(exercise_id: str) -> tuple[str, ...]:
    """The blanks as the source fills them."""
    text = solution_of(lab_of(exercise_id).name, exercise_id, Path(__file__))
    assert text is not None
    return tuple(text.split("\n…\n"))


def edited(exercise_id: str, *changes: tuple[str, str]) -> tuple[str, ...]:
    """The solution with each (old, new) replaced; each old text occurs exactly once in it."""
    blanks = list(solution(exercise_id))
    for old, new in changes:
        found = [index for index, blank in enumerate(blanks) if old in blank]
        assert len(found) == 1, (exercise_id, old, found)
        assert blanks[found[0]].count(old) == 1, (exercise_id, old)
        blanks[found[0]] = blanks[found[0]].replace(old, new)
    return tuple(blanks)


def code(text: str) -> tuple[str, ...]:
    """One blank, dedented."""
    return (textwrap.dedent(text).strip("\n"),)


def verdict(variables: dict[str, object], script: Callable[[Trial], None]) -> str:
    """The message that these variables get, "" for none."""
    try:
        script(Trial(LocalExecutor(variables, {}), "immediate", "seed"))
    except CheckFailed as failure:
        return str(failure)
    return ""

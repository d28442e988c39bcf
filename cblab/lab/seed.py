"""The secret seed of the hidden cases: where it comes from, and who is not to see it."""

import os
from pathlib import Path

from cblab.lab.registry import LabError

PUBLIC_SEED = "public"
_SEED, _COURSE = "CBLAB_HIDDEN_SEED", "CBLAB_COURSE"


def hidden_seed() -> str:
    """What the hidden cases are drawn from; the public seed where nobody has set a secret one.

    It is the value of ``CBLAB_HIDDEN_SEED``, else the file ``hidden_seed`` in the folder of ``CBLAB_COURSE``.

    Raises LabError where ``CBLAB_COURSE`` is set and no seed is there: a slip must not make a course public.
    """
    if seed := os.environ.get(_SEED):
        return seed
    course = os.environ.get(_COURSE)
    if not course:
        return PUBLIC_SEED
    file = Path(course).expanduser() / "hidden_seed"
    seed = file.read_text(encoding="utf-8").strip() if file.is_file() else ""
    if not seed:
        raise LabError(f"{_COURSE}={course}: there is no seed in {file}; write a line of your own into it")
    return seed


def environment_without_seed() -> dict[str, str]:
    """This process's environment, for one that runs a student's code or makes a page for everyone."""
    return {name: value for name, value in os.environ.items() if name not in (_SEED, _COURSE)}

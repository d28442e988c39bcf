"""The secret seed of the hidden cases: where it comes from, and who is not to see it."""

import os
from pathlib import Path

PUBLIC_SEED = "public"
_SEED, _COURSE = "CBLAB_HIDDEN_SEED", "CBLAB_COURSE"


def hidden_seed() -> str:
    """What the hidden cases are drawn from; the public seed where nobody has set a secret one.

    It is the value of ``CBLAB_HIDDEN_SEED``, else the file ``hidden_seed`` in the folder of ``CBLAB_COURSE``.
    """
    if seed := os.environ.get(_SEED):
        return seed
    if course := os.environ.get(_COURSE):
        file = Path(course) / "hidden_seed"
        if file.is_file():
            return file.read_text(encoding="utf-8").strip() or PUBLIC_SEED
    return PUBLIC_SEED


def environment_without_seed() -> dict[str, str]:
    """This process's environment, for one that runs a student's code or makes a page for everyone."""
    return {name: value for name, value in os.environ.items() if name not in (_SEED, _COURSE)}

"""nbgrader's command line, as a grader runs it."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path


def nbgrader(
    root: Path, *arguments: str, environment: Mapping[str, str] | None = None, seconds: float = 280
) -> None:
    """Run one command in `root`, with these additions to the environment; it must succeed."""
    path = str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"]
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", *arguments],
        cwd=root,
        env=os.environ | {"PATH": path} | dict(environment or {}),
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    assert done.returncode == 0, done.stdout + done.stderr

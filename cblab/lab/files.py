"""Replaces a file in one step: an interruption leaves its old content or the new one, never a part of it."""

import os
import tempfile
from pathlib import Path


def replace_file(file: Path, text: str) -> None:
    """Give `file` the content `text`; it may be missing or read-only, and keeps its permissions.

    Raises OSError where its folder cannot be written to.
    """
    descriptor, name = tempfile.mkstemp(dir=file.parent, suffix=".tmp")
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as stream:
        stream.write(text)
    if file.exists():
        Path(name).chmod(file.stat().st_mode)
    Path(name).replace(file)

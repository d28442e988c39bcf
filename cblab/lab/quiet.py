"""Keeps what a student's code prints out of the way of the verdict.

nbgrader gives a test cell 0 points for any text on stderr, a mere warning included, so nothing may get there
while a check runs: neither through ``sys.stderr``, nor through a logging handler, nor from C code through
descriptor 2.
"""

import contextlib
import io
import logging
import os
import warnings
from collections.abc import Iterator


class Printed(io.TextIOBase):
    """A text stream that keeps the first `limit` characters and forgets the rest."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit
        self.text = ""

    def writable(self) -> bool:
        """Whether one may write: yes."""
        return True

    def write(self, text: str) -> int:
        """Keep what still fits of `text`."""
        room = self.limit - len(self.text)
        if room > 0:
            self.text += str(text)[:room]
        return len(text)


@contextlib.contextmanager
def captured_output(printed: Printed) -> Iterator[None]:
    """Both standard streams into `printed`, warnings and logging off."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(printed),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


@contextlib.contextmanager
def silent_stderr() -> Iterator[None]:
    """Descriptor 2 to nowhere: what C code writes there while a check runs is lost."""
    try:
        saved = os.dup(2)
    except OSError:
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)

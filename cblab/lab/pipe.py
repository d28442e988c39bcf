"""Lines to and from a worker process, each within a deadline, whatever the process does."""

import os
import selectors
import subprocess
import time

from cblab.lab.codec import MAX_BYTES

MAX_LINE = 2 * MAX_BYTES
_CHUNK = 2**16


class ProcessEnded(Exception):  # noqa: N818  (an event, not an error)
    """The process closed its end, or sent a line that is too long."""


class LinePipe:
    """One line out, one line in.

    Both ends are non-blocking, so that a process which neither reads nor writes costs its deadline (of
    ``time.monotonic``) and no more. Both methods raise TimeoutError at the deadline, and ProcessEnded.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        if process.stdin is None or process.stdout is None:
            raise ValueError("the process needs pipes for its standard input and output")
        self._out, self._in = process.stdin.fileno(), process.stdout.fileno()
        self._buffer = bytearray()
        for descriptor in (self._out, self._in):
            os.set_blocking(descriptor, False)

    def send(self, line: str, deadline: float) -> None:
        """Write `line` and a newline."""
        rest = memoryview(line.encode("utf-8") + b"\n")
        while rest:
            _wait(self._out, selectors.EVENT_WRITE, deadline)
            try:
                rest = rest[os.write(self._out, rest[:_CHUNK]) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise ProcessEnded from error

    def receive(self, deadline: float) -> str:
        """Read up to the next newline; bytes that are no UTF-8 are replaced."""
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            _wait(self._in, selectors.EVENT_READ, deadline)
            try:
                chunk = os.read(self._in, _CHUNK)
            except BlockingIOError:
                continue
            if not chunk or searched > MAX_LINE:
                raise ProcessEnded
            self._buffer += chunk
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line.decode("utf-8", errors="replace")


def _wait(descriptor: int, event: int, deadline: float) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, event)
        if not selector.select(max(0.0, deadline - time.monotonic())):
            raise TimeoutError

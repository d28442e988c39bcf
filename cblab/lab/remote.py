"""The executor over a process of its own: for graders, for ``cblab check`` and for the tests of the checks.

The verdict is formed here, out of the student code's reach. What that code can do is end its process, hang,
or send any plain data it likes; each of these is a failed check of that exercise and of nothing else.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from cblab.lab.executor import DEFAULT_SECONDS, Executor
from cblab.lab.limits import PATIENCE
from cblab.lab.notebook import without_magics
from cblab.lab.pipe import LinePipe, ProcessEnded
from cblab.lab.protocol import BlankError, StudentError, StudentProcessError, StudentTimeoutError
from cblab.lab.seed import environment_without_seed

SETUP_SECONDS = 120.0


class SubprocessExecutor(Executor):
    """Runs answer cells in a worker process, one after the other, each in a fresh namespace after the set-up.

    setup_source: the set-up cells, run once a process. cwd: the folder in which the process runs.
    seconds: how long one request may compute. After a timeout or the process's end, `load` starts another.
    """

    def __init__(
        self, setup_source: str = "", cwd: Path | None = None, seconds: float = DEFAULT_SECONDS
    ) -> None:
        super().__init__(seconds)
        self._setup_source = setup_source
        self._cwd = cwd
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: LinePipe | None = None
        self._load_error: StudentError | None = None
        self._answering = False

    def load(
        self, answer_source: str, references: Mapping[str, str] | None = None, title: str = "answer"
    ) -> None:
        """Begin an exercise: the set-up's names, then the references, then what the answer cell defines.

        references: name to ``"module:name"``, what stands in for earlier exercises.
        title: the answer cell's name in tracebacks.

        Raises StudentError for an error in the set-up. One in the answer cell is kept: it is what a request
        for a name that the cell did not come to define will raise.
        """
        self._stopped, self._load_error, self.printed = None, None, ""
        self._answering = False
        if self._process is None:
            self._start()
        with self._patience():
            self.request("load", args=(dict(references or {}),))
        self._answering = True
        try:
            self.request("run", name=f"<{title}>", source=without_magics(answer_source))
        except (StudentTimeoutError, StudentProcessError) as error:
            self._stopped = error
        except StudentError as error:
            self._load_error = error

    def close(self) -> None:
        """End the process."""
        self._end()
        super().close()

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "cblab.lab.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self._cwd,
            env=environment_without_seed() | {"MPLBACKEND": "Agg"},
            start_new_session=True,
            bufsize=0,
        )
        self._pipe = LinePipe(self._process)
        try:
            with self._patience():
                self.request("run", name="<setup>", source=without_magics(self._setup_source))
        except StudentError:
            self._end()
            raise

    @contextlib.contextmanager
    def _patience(self) -> Iterator[None]:
        """The time limit of what is not the student's own doing: imports, mostly."""
        seconds, self.seconds = self.seconds, SETUP_SECONDS
        try:
            yield
        finally:
            self.seconds = seconds

    def _exchange(self, line: str) -> str:
        if self._pipe is None:
            raise StudentProcessError("the process has ended")
        deadline = time.monotonic() + PATIENCE * self.seconds
        try:
            self._pipe.send(line, deadline)
            return self._pipe.receive(deadline)
        except TimeoutError:
            self._end()
            raise StudentTimeoutError("ran too long") from None
        except ProcessEnded:
            status = self._end()
            if status == -signal.SIGPROF:
                raise StudentTimeoutError("ran too long") from None
            raise StudentProcessError(_how_it_ended(status)) from None

    def _explained(self, error: StudentError) -> StudentError:
        missing = isinstance(error, BlankError) and not error.type_name
        if missing and self._load_error is not None:
            return self._load_error
        return _without_the_notebook(error) if self._answering else error

    def _end(self) -> int | None:
        """Kill the process and its children; its exit status if it had ended by itself."""
        process, self._process, self._pipe = self._process, None, None
        if process is None:
            return None
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.2)
        status = process.returncode
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
        return status


def _without_the_notebook(error: StudentError) -> StudentError:
    """A NameError in words for whoever sees the name defined in another cell of the notebook."""
    if error.type_name != "NameError":
        return error
    text = re.sub(
        r"name '(\w+)' is not defined",
        r"`\1` is defined neither in this answer nor in the lab's set-up cell: an answer must stand alone",
        str(error),
    )
    return type(error)(text, error.type_name, error.type_names)


def _how_it_ended(status: int | None) -> str:
    if status is None:
        return "sent more than a reply may hold"
    if status >= 0:
        return f"ended its process (exit status {status}): is there an exit in the code?"
    name = signal.Signals(-status).name
    return f"crashed its process ({name}): too much memory, or a fault in C code"

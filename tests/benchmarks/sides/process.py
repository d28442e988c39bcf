"""A side in a process of its own, as the benchmark sees it."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from tests.benchmarks.sides.protocol import Job, Served, check_lengths

ROOT = Path(__file__).parents[3]


class SideError(RuntimeError):
    """A side could not start, or broke off; the message ends with the last lines it wrote."""


@dataclass(frozen=True)
class SideSpec:
    """Which side, with which settings.

    Attributes:
        name: for tables.
        module: the module under `tests.benchmarks.sides` that answers.
        settings: the side's own.
        dtype: what it computes in, for the bound it is held against.
        python: the interpreter of the environment it lives in.
    """

    name: str
    module: str
    settings: dict[str, Any] = field(default_factory=dict)
    dtype: str = "float32"
    python: Path = Path(sys.executable)


class SideProcess:
    """A side that runs; made by `start`."""

    def __init__(self, spec: SideSpec, process: "subprocess.Popen[str]", log: IO[str]) -> None:
        self.spec = spec
        self.description = ""
        self._process = process
        self._log = log

    def load(self, checkpoint: Path, warmup: Sequence[Job], num_threads: int) -> None:
        """Let it load the checkpoint and serve some jobs that do not count."""
        first = {
            "checkpoint": str(checkpoint),
            "num_threads": num_threads,
            "settings": self.spec.settings,
            "warmup": [asdict(job) for job in warmup],
        }
        self.description = self._ask(first)["ready"]

    def serve(self, jobs: Sequence[Job]) -> Served:
        """One run; all outputs have the lengths that were asked for.

        Raises:
            SideError: the side's process ended.
            RuntimeError: it ended an output early or late.
        """
        served = Served(**self._ask({"jobs": [asdict(job) for job in jobs]}))
        check_lengths(self.spec.name, jobs, served.token_ids)
        return served

    def _ask(self, message: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self._log.seek(0)
            last = "".join(self._log.readlines()[-3:]).strip()
            raise SideError(f"{self.spec.name} ended with status {self._process.wait()}: {last}")
        return json.loads(line)


@contextmanager
def start(spec: SideSpec, checkpoint: Path, warmup: Sequence[Job], num_threads: int) -> Iterator[SideProcess]:
    """Start a side and wait until it is warm; its process ends with the context.

    Raises:
        SideError: it could not load.
    """
    threads = dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), str(num_threads))
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(
            [spec.python, "-m", f"tests.benchmarks.sides.{spec.module}"],
            cwd=ROOT,
            env=os.environ | threads,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        try:
            side = SideProcess(spec, process, log)
            side.load(checkpoint, warmup, num_threads)
            yield side
        finally:
            process.kill()

"""The toy lab of ``tests/lab/toy``, registered while these tests run; both executors behind one fixture."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cblab.lab import labs
from cblab.lab.executor import Executor
from cblab.lab.local import LocalExecutor
from cblab.lab.registry import Lab, load_lab
from cblab.lab.remote import SubprocessExecutor

TOY = Path(__file__).parent / "toy"
Load = Callable[..., Executor]


@pytest.fixture(scope="session", autouse=True)
def toy_registered() -> Iterator[None]:
    os.environ["CBLAB_LABS"] = str(TOY / "labs")
    labs.__path__.append(str(TOY / "labs"))
    yield
    labs.__path__.remove(str(TOY / "labs"))
    del os.environ["CBLAB_LABS"]


@pytest.fixture
def toy() -> Lab:
    return load_lab("90_toy")


@pytest.fixture(scope="module")
def worker() -> Iterator[SubprocessExecutor]:
    executor = SubprocessExecutor("import math, os, sys, collections", seconds=5.0)
    yield executor
    executor.close()


@pytest.fixture(params=["local", "subprocess"])
def load(request: pytest.FixtureRequest, worker: SubprocessExecutor) -> Load:
    """A function that loads the source of an answer cell, and gives the executor to call it with."""

    def load_locally(source: str, references: dict[str, str] | None = None) -> Executor:
        executor = LocalExecutor({}, references, seconds=5.0)
        for text in ("import math, os, sys, collections", source):
            executor.request("run", name="<exercise 1.1>", source=text)
        return executor

    def load_in_worker(source: str, references: dict[str, str] | None = None) -> Executor:
        worker.seconds = 5.0
        worker.load(source, references, title="exercise 1.1")
        return worker

    return load_locally if request.param == "local" else load_in_worker

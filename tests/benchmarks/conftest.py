"""What all benchmarks share: how much is to be run, the machine's limits, and where results are kept."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from rich.console import Console

from tests.benchmarks.bound import Limits
from tests.benchmarks.report import RESULTS, has_bf16_units, machine
from tests.benchmarks.workloads import THREADS


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="all sides, repeats and random tests")
    parser.addoption(
        "--peers", type=Path, help="interpreter of the environment of tests/benchmarks/peers.txt"
    )


@pytest.fixture
def full(request: pytest.FixtureRequest) -> bool:
    """Whether `make bench-full` runs."""
    return bool(request.config.getoption("--full"))


@pytest.fixture
def peers(request: pytest.FixtureRequest) -> Path | None:
    """The interpreter that the peers run in; None leaves them out."""
    path: Path | None = request.config.getoption("--peers")
    return path


@pytest.fixture
def only_in_full(full: bool) -> None:
    """For what takes too long for `make bench`."""
    if not full:
        pytest.skip("takes long: make bench-full")


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def results() -> Path:
    """The folder for tables, pictures and figures."""
    RESULTS.mkdir(exist_ok=True)
    return RESULTS


@pytest.fixture(scope="session")
def limits() -> Limits:
    """Measured once, before whatever asks for them first."""
    from tests.benchmarks.limits import measure_limits  # Numba, which is not needed to collect

    measured = measure_limits(THREADS)
    console = Console()
    console.print(f"\n{machine()}: {measured}")
    if not has_bf16_units():
        console.print("This CPU has no units for bfloat16: rows in bfloat16 are left out.")
    return measured

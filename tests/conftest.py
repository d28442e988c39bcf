"""What all tests share: system packages that may be missing, and a quiet, offline environment."""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Hypothesis without its clock: on a busy machine a slow example is no wrong one.
settings.register_profile("no clock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no clock")

os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Triton reads this when it is first imported, which parts of torch do: interpreted where there is no GPU.
if shutil.which("nvidia-smi") is None:
    os.environ.setdefault("TRITON_INTERPRET", "1")

COUNTED = "counted"  # the user property in which a test reports a figure for the end of the run


# Files that take minutes. Begun last, one would keep one core busy while the other has nothing left to do.
LONGEST = ("test_grading.py", "test_answers.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


def system_package(command: str) -> str:
    """Return the path of a system package's command.

    Where it is missing the test is skipped, or fails under CBLAB_REQUIRE_SYSTEM=1.
    """
    path = shutil.which(command)
    if path is not None:
        return path
    reason = f"the system package {command!r} is not installed"
    if os.environ.get("CBLAB_REQUIRE_SYSTEM") == "1":
        pytest.fail(f"{reason}, and CBLAB_REQUIRE_SYSTEM=1 forbids to skip")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of Debian's chromium."""
    return system_package("chromium")


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama over single bytes, with random weights wide enough to say something."""
    import torch

    from cblab.model import Decoder, ModelConfig, save_model
    from cblab.tokenization import BPETokenizer

    folder = tmp_path_factory.mktemp("checkpoint")
    tokenizer = BPETokenizer([])
    config = ModelConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=16,
        intermediate_size=24,
        num_layers=2,
        num_heads=4,
        num_kv_heads=2,
        head_dim=6,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        initializer_range=0.4,
    )
    torch.manual_seed(0)
    save_model(Decoder(config), folder)
    tokenizer.save(folder)
    return folder


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print, at the end of a run, what the lab tests have counted: kill rates."""
    reports = [
        report for outcome in ("passed", "failed") for report in terminalreporter.stats.get(outcome, ())
    ]
    lines = [value for report in reports for name, value in report.user_properties if name == COUNTED]
    if lines:
        terminalreporter.section("counted by the tests")
        for line in sorted(set(lines)):
            terminalreporter.write_line(line)

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from cblab.training.__main__ import app
from cblab.training.callbacks import read_log
from cblab.training.checkpoint import list_checkpoints, read_checkpoint
from cblab.training.plain import load_settings

from .conftest import TINY

OPTIONS = [part for name, value in TINY.items() for part in ("--set", f"{name}={value}")]


def invoke(*arguments: str, env: dict[str, str] | None = None) -> tuple[int, str]:
    # A wide terminal: Typer wraps its error panels.
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "400", "TERM": "dumb", **(env or {})})
    return result.exit_code, result.output


def weights(run: Path) -> dict[str, torch.Tensor]:
    model: dict[str, torch.Tensor] = read_checkpoint(list_checkpoints(run / "checkpoints")[-1])["model"]
    return model


def test_a_terminated_process_goes_on_to_the_same_weights(tmp_path: Path, tokenizer_folder: Path) -> None:
    arguments = ["train", "--tokenizer-dir", str(tokenizer_folder), *OPTIONS, "--max-steps", "2000"]
    interrupted, whole = tmp_path / "interrupted", tmp_path / "whole"
    command = [sys.executable, "-m", "cblab.training", *arguments, "--run-dir", str(interrupted)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    deadline = time.monotonic() + 200
    while not read_log(interrupted / "log.jsonl") and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 130, output
    assert "SIGTERM at step" in output
    assert "the same command goes on from here" in output

    reached = read_checkpoint(list_checkpoints(interrupted / "checkpoints")[-1])["step"]
    stop = ["--stop-at-step", str(reached + 6)]
    assert invoke(*arguments, "--run-dir", str(interrupted), *stop)[0] == 0
    assert invoke(*arguments, "--run-dir", str(whole), *stop)[0] == 0
    assert all(torch.equal(tensor, weights(whole)[name]) for name, tensor in weights(interrupted).items())


def test_make_all_makes_both_and_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, assets = tmp_path / "runs", tmp_path / "assets"
    arguments = ["make-all", "--runs", str(runs), "--assets", str(assets), *OPTIONS, "--set", "max_steps=5"]
    code, output = invoke(*arguments)
    assert code == 0, output
    assert {path.name for path in assets.iterdir()} == {"story-4m", "story-draft"}
    assert all((path / "model.safetensors").is_file() for path in assets.iterdir())
    before = (runs / "tokenizer" / "tokenizer.json").stat().st_mtime_ns
    code, output = invoke(*arguments)
    assert code == 0, output
    assert output.count("going on from step 5") == 2
    assert (runs / "tokenizer" / "tokenizer.json").stat().st_mtime_ns == before


def test_environment_and_options_reach_the_run(tmp_path: Path, tokenizer_folder: Path) -> None:
    arguments = ["train", "--tokenizer-dir", str(tokenizer_folder), "--runs", str(tmp_path), *OPTIONS]
    arguments += ["--stop-at-step", "1", "--dropout", "0.25"]
    env = {"CBLAB_TRAIN__LR": "0.5", "CBLAB_TRAIN__OPTIMIZER__EPS": "1e-6", "CBLAB_TRAIN__DROPOUT": "0.75"}
    code, output = invoke(*arguments, "--lr", "1e-4", env=env)
    assert code == 0, output
    settings = load_settings(tmp_path / "story-4m" / "settings.json")
    assert (settings.optimizer.lr, settings.optimizer.eps, settings.model.dropout) == (1e-4, 1e-6, 0.25)
    code, output = invoke(*arguments, env=env)
    assert code == 1
    assert "optimizer.lr: 0.0001 in the checkpoint, 0.5 now" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--lr", "-1"], "optimizer.lr: Input should be greater than 0"),
        (["train", "--preset", "story-9b"], "no preset is called 'story-9b'"),
        (["train", "--set", "lr"], "'lr' is not of the form name=value"),
        (["train", "--set", "speed=9"], "no setting is called 'speed'"),
        (["export", "no-such-run", "out"], "no-such-run holds no checkpoint"),
        (["train", "--tokenizer-dir", "no-such-tokenizer", "--run-dir", "no-such-run"], "no-such-tokenizer"),
        (
            ["train", "--task", "rlhf", "--tokenizer-dir", "TOKENIZER", "--run-dir", "RUN"],
            "unknown task 'rlhf'",
        ),
    ],
)
def test_a_mistake_is_one_clear_message(
    arguments: list[str], message: str, tmp_path: Path, tokenizer_folder: Path
) -> None:
    places = {"TOKENIZER": str(tokenizer_folder), "RUN": str(tmp_path / "run")}
    code, output = invoke(*(places.get(argument, argument) for argument in arguments))
    assert code in (1, 2)
    assert message in output
    assert "Traceback" not in output
    assert not Path("no-such-run").exists()

import json
import math
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from cblab.tokenization import BPETokenizer
from cblab.training.callbacks import (
    CheckpointCallback,
    EarlyStopCallback,
    LogCallback,
    ProgressCallback,
    QuietCallback,
    read_log,
    standard_callbacks,
)
from cblab.training.checkpoint import CheckpointError, list_checkpoints, read_checkpoint, write_checkpoint
from cblab.training.plot import plot_loss
from cblab.training.recipe import make_trainer, model_config, train
from cblab.training.settings import TrainingSettings
from cblab.training.signals import stop_on_signal
from cblab.training.trainer import StepReport, Trainer, TrainingDivergedError, ValidationReport

from .conftest import MakeSettings

NewTrainer = Callable[..., Trainer]


@pytest.fixture
def new_trainer(tmp_path: Path, tokenizer: BPETokenizer) -> NewTrainer:
    """A trainer with chosen callbacks, in the run folder `name`."""

    def make(settings: TrainingSettings, *callbacks: QuietCallback, name: str = "run") -> Trainer:
        folder = tmp_path / name
        if not (folder / "tokenizer").exists():
            tokenizer.save(folder / "tokenizer")
        trainer = make_trainer(settings, folder)
        trainer.callbacks = list(callbacks)
        return trainer

    return make


class Recorder(QuietCallback):
    """Keeps every report, and asks for a stop after one step or with one signal."""

    def __init__(self, stop_after: int | None = None, signal_number: int | None = None) -> None:
        self.stop_after = stop_after
        self.signal_number = signal_number
        self.reports: list[StepReport] = []

    def on_step_end(self, trainer: Trainer, report: StepReport) -> None:
        self.reports.append(report)
        if report.step == self.stop_after:
            if self.signal_number is None:
                trainer.request_stop("enough")
            else:
                os.kill(os.getpid(), self.signal_number)


def everything(trainer: Trainer) -> dict[str, torch.Tensor]:
    """Weights and optimizer state by name."""
    tensors = dict(trainer.model.state_dict())
    for index, state in trainer.optimizer.state_dict()["state"].items():
        tensors |= {f"{index}.{name}": value for name, value in state.items()}
    return tensors


def assert_same_bits(left: Trainer, right: Trainer) -> None:
    first, second = everything(left), everything(right)
    assert first.keys() == second.keys()
    different = [name for name in first if not torch.equal(first[name], second[name])]
    assert not different


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("stop_after", [1, 7, 11])
def test_interrupted_and_resumed_is_bit_for_bit_uninterrupted(
    tiny: MakeSettings, new_trainer: NewTrainer, precision: str, stop_after: int
) -> None:
    """With dropout (random state), over an epoch's end (data position) and into the long windows."""
    settings = tiny(precision=precision, dropout=0.1)
    whole = new_trainer(settings, seen := Recorder(), name="whole")
    assert whole.run().finished
    assert whole.data.sampler.at.epoch > 0

    first = new_trainer(settings, before := Recorder(stop_after), CheckpointCallback(5))
    assert first.run().reason == "enough"
    torch.rand(3)  # what happens between the two runs must not matter
    second = new_trainer(settings, after := Recorder())
    assert second.resume()
    assert second.step == stop_after
    assert second.run().finished

    assert_same_bits(whole, second)
    losses = [report.loss for report in [*before.reports, *after.reports]]
    assert losses == [report.loss for report in seen.reports]


def test_a_killed_run_goes_on_from_its_last_checkpoint(tiny: MakeSettings, new_trainer: NewTrainer) -> None:
    """No checkpoint at the end: steps 6 and 7 are lost and done again."""
    whole = new_trainer(tiny(), name="whole")
    whole.run()
    killed = new_trainer(tiny())
    for _ in range(5):
        killed.train_step()
    killed.save_checkpoint()
    killed.train_step()
    (killed.checkpoint_folder / "step-00000006.partial").write_bytes(b"half a check")
    resumed = new_trainer(tiny())
    assert resumed.resume()
    assert resumed.step == 5
    resumed.run()
    assert_same_bits(whole, resumed)


def test_nothing_to_resume(tiny: MakeSettings, new_trainer: NewTrainer) -> None:
    assert not new_trainer(tiny()).resume()


def test_another_runs_checkpoint_is_refused(
    tiny: MakeSettings, new_trainer: NewTrainer, tmp_path: Path
) -> None:
    new_trainer(tiny(stop_at_step=1), CheckpointCallback(5)).run()
    with pytest.raises(CheckpointError, match=r"optimizer\.lr: 0\.003 in the checkpoint, 0\.1 now"):
        new_trainer(tiny(lr=0.1)).resume()
    (next((tmp_path / "run" / "tokens").glob("train-*"))).unlink()
    with pytest.raises(CheckpointError, match="the training tokens are not those of the checkpoint"):
        new_trainer(tiny(corpus_seed=1)).resume()
    assert new_trainer(tiny(log_every=3, checkpoint_every=1, validate_every=None)).resume()


def test_accumulation_is_one_big_batch(tiny: MakeSettings, new_trainer: NewTrainer) -> None:
    """SFT counts different numbers of tokens in the parts: the mean is over the step, not over parts."""
    losses, weights = [], []
    for parts in (1, 2, 4, 8):
        settings = tiny(accumulation_steps=parts, task="sft", num_documents=150, held_out_documents=60)
        trainer = new_trainer(settings, recorder := Recorder(stop_after=4), name=f"parts-{parts}")
        trainer.run()
        losses.append([report.loss for report in recorder.reports])
        weights.append(torch.cat([p.detach().flatten() for p in trainer.model.parameters()]))
    for other in losses[1:]:
        assert other == pytest.approx(losses[0], rel=1e-5)
    for flat in weights[1:]:
        assert torch.allclose(flat, weights[0], atol=2e-5)


def test_it_learns(tiny: MakeSettings, new_trainer: NewTrainer) -> None:
    settings = tiny(max_steps=60, lr=1e-2, validate_every=20, num_documents=200, held_out_documents=40)
    trainer = new_trainer(settings, recorder := Recorder())
    trainer.run()
    assert recorder.reports[0].loss == pytest.approx(math.log(320), rel=0.02)
    assert recorder.reports[-1].loss < 4.6
    validations = [report.validation for report in recorder.reports if report.validation]
    assert [validation.step for validation in validations] == [20, 40, 60]
    assert validations[2].loss < validations[0].loss < 5.5


def test_window_lengths_and_rates_follow_the_settings(tiny: MakeSettings, new_trainer: NewTrainer) -> None:
    trainer = new_trainer(tiny(), recorder := Recorder())
    assert [trainer.window_length(step) for step in range(12)] == [16] * 9 + [32] * 3
    trainer.run()
    assert [report.num_tokens for report in recorder.reports] == [512] * 12
    assert [report.lr for report in recorder.reports[:3]] == pytest.approx([1e-3, 2e-3, 3e-3])
    assert recorder.reports[-1].lr == pytest.approx(3e-4)


def test_validation_is_the_mean_over_all_tokens_and_touches_nothing(
    tiny: MakeSettings, new_trainer: NewTrainer
) -> None:
    trainer = new_trainer(tiny(dropout=0.5))
    random = torch.get_rng_state()
    report = trainer.validate()
    windows = trainer.data.held_out_windows(16)
    assert report.num_tokens == int(windows.counted.sum())
    with torch.no_grad():
        expected = trainer._loss_sum(windows).item() / report.num_tokens
    assert report.loss == pytest.approx(expected, rel=1e-5)
    assert report.perplexity == pytest.approx(math.exp(expected), rel=1e-4)
    assert torch.equal(random, torch.get_rng_state())
    assert trainer.validate(at_most=3).num_tokens <= 48


def test_gradients_are_clipped(tiny: MakeSettings, new_trainer: NewTrainer) -> None:
    trainer = new_trainer(tiny(max_grad_norm=1e-3))
    seen: list[float] = []

    def norm_at_step(*_: Any) -> None:
        norms = [p.grad.norm() for p in trainer.model.parameters() if p.grad is not None]
        seen.append(float(torch.stack(norms).norm()))

    trainer.optimizer.register_step_pre_hook(norm_at_step)
    report = trainer.train_step()
    assert report.grad_norm > 0.1
    assert seen == [pytest.approx(1e-3, rel=1e-3)]


def test_a_diverged_run_says_so(tiny: MakeSettings, new_trainer: NewTrainer) -> None:
    trainer = new_trainer(tiny())
    torch.nn.init.constant_(trainer.model.embed_tokens.weight, math.nan)
    with pytest.raises(TrainingDivergedError, match=r"the loss of step 1 is nan: lower lr=0\.003"):
        trainer.train_step()


def test_compiled_it_computes_the_same(
    tiny: MakeSettings, new_trainer: NewTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real graph capture, without a C++ compiler behind it."""
    compiled: list[torch.nn.Module] = []
    torch_compile = torch.compile

    def capture_only(model: Any) -> Any:
        compiled.append(model)
        return torch_compile(model, backend="eager")

    monkeypatch.setattr(torch, "compile", capture_only)
    trainers = [new_trainer(tiny(compile=choice, max_steps=2, warmup_steps=1)) for choice in (False, True)]
    for trainer in trainers:
        trainer.run()
    assert compiled == [trainers[1].model]
    assert_same_bits(*trainers)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_step_saves_and_stops(
    tiny: MakeSettings, new_trainer: NewTrainer, number: signal.Signals
) -> None:
    usual = signal.getsignal(number)
    trainer = new_trainer(tiny(), recorder := Recorder(3, number), CheckpointCallback(100))
    with stop_on_signal(trainer.request_stop):
        result = trainer.run()
    assert (result.step, result.reason) == (3, number.name)
    assert len(recorder.reports) == 3
    assert [path.name for path in list_checkpoints(trainer.checkpoint_folder)] == ["step-00000003.pt"]
    assert signal.getsignal(number) is usual


def test_early_stop_counts_across_an_interruption(tiny: MakeSettings, new_trainer: NewTrainer) -> None:
    def report(step: int, loss: float) -> StepReport:
        return StepReport(step, 0.0, 0.0, 0.0, 1, 1.0, ValidationReport(step, loss, 10))

    trainer = new_trainer(tiny())
    first = EarlyStopCallback(patience=2)
    for step, loss in enumerate([3.0, 2.0, 2.5]):
        first.on_step_end(trainer, report(step, loss))
    assert trainer.stop_reason is None
    second = EarlyStopCallback(patience=2)
    second.load_state_dict(first.state_dict())
    second.on_step_end(trainer, report(3, 2.0))
    assert trainer.stop_reason == "no better held-out loss in 2 validations"


def test_standard_callbacks_save_last(tiny: MakeSettings, tmp_path: Path) -> None:
    names = [type(c).__name__ for c in standard_callbacks(tiny(early_stop_patience=1).run, tmp_path)]
    assert names == ["ProgressCallback", "LogCallback", "EarlyStopCallback", "CheckpointCallback"]


def test_the_log_of_a_resumed_run_has_every_step_once(
    tiny: MakeSettings, new_trainer: NewTrainer, tmp_path: Path
) -> None:
    path = tmp_path / "log.jsonl"
    first = new_trainer(tiny(stop_at_step=8), LogCallback(path, every=2), CheckpointCallback(5))
    first.run()
    list_checkpoints(first.checkpoint_folder)[-1].unlink()  # as if killed after the checkpoint of step 5
    path.write_text(path.read_text() + '{"step": 9, "lo')
    second = new_trainer(tiny(), LogCallback(path, every=2), CheckpointCallback(5))
    assert second.resume()
    assert second.step == 5
    second.run()
    records = read_log(path)
    assert [record["step"] for record in records] == [2, 4, 6, 8, 10, 12]
    assert [record["step"] for record in records if "held_out_perplexity" in record] == [4, 8, 12]
    assert plot_loss(path, tmp_path / "loss.png").read_bytes()[:4] == b"\x89PNG"


def test_a_plot_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no step to plot"):
        plot_loss(tmp_path / "log.jsonl", tmp_path / "loss.png")


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_shows_loss_speed_and_time_left(
    tiny: MakeSettings, new_trainer: NewTrainer, terminal: bool
) -> None:
    from io import StringIO

    from rich.console import Console

    console = Console(file=StringIO(), force_terminal=terminal, width=120)
    new_trainer(tiny(), ProgressCallback(4, console)).run()
    text = console.file.getvalue()  # type: ignore[attr-defined]
    for part in ("loss", "tokens/s", "0:00:00 left", "held-out perplexity", "finished at step 12"):
        assert part in text


def test_checkpoints_are_whole_and_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for step in (1, 2, 3):
        write_checkpoint(tmp_path, step, {"step": step, "weights": torch.ones(step)}, keep=2)
    assert [path.name for path in list_checkpoints(tmp_path)] == ["step-00000002.pt", "step-00000003.pt"]

    def fail(*_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        write_checkpoint(tmp_path, 4, {"step": 4}, keep=2)
    assert read_checkpoint(list_checkpoints(tmp_path)[-1])["step"] == 3
    assert list_checkpoints(tmp_path / "nowhere") == []


def test_the_tokenizer_must_fit_the_model(tiny: MakeSettings, tokenizer: BPETokenizer) -> None:
    with pytest.raises(ValueError, match=r"model\.vocab_size=2048, but the tokenizer has 320 tokens"):
        model_config(tiny(vocab_size=2048).model, tokenizer)


def test_train_in_one_call(tiny: MakeSettings, tmp_path: Path, tokenizer_folder: Path) -> None:
    run = tmp_path / "run"
    assert train(tiny(stop_at_step=6), run, tokenizer_folder).reason == "stop_at_step"
    assert train(tiny(), run, tmp_path / "the run has its own by now").finished
    assert sorted(path.name for path in run.iterdir()) == [
        "checkpoints",
        "log.jsonl",
        "loss.png",
        "settings.json",
        "tokenizer",
        "tokens",
    ]
    assert json.loads((run / "settings.json").read_text())["run"]["max_steps"] == 12

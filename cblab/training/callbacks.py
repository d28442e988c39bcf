"""What happens around the steps: progress, the log, checkpoints, early stopping.

They are called in the order they are given; `standard_callbacks` puts the checkpoint last, so that it holds
the state of the others.
"""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from cblab.training.settings import RunSettings
    from cblab.training.trainer import StepReport, Trainer, TrainResult


class Callback(Protocol):
    """What the trainer tells a callback, and asks of it for a checkpoint; `QuietCallback` does nothing."""

    def on_train_start(self, trainer: "Trainer") -> None:
        """Before the first step of this call of `run`; `trainer.step` is past 0 in a resumed run."""

    def on_step_end(self, trainer: "Trainer", report: "StepReport") -> None:
        """After a step, and after the validation due with it."""

    def on_train_end(self, trainer: "Trainer", result: "TrainResult") -> None:
        """After the last step, finished or stopped."""

    def state_dict(self) -> dict[str, Any]:
        """What the callback must remember across an interruption: tensors and plain values."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Remember what `state_dict` gave (an empty dictionary if the checkpoint knows nothing of it)."""


class QuietCallback:
    """A callback that does nothing; the others override what they need."""

    def on_train_start(self, trainer: "Trainer") -> None:
        """Nothing."""

    def on_step_end(self, trainer: "Trainer", report: "StepReport") -> None:
        """Nothing."""

    def on_train_end(self, trainer: "Trainer", result: "TrainResult") -> None:
        """Nothing."""

    def state_dict(self) -> dict[str, Any]:
        """Nothing to remember."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to remember."""


class ProgressCallback(QuietCallback):
    """Loss, tokens a second and time left: a Rich bar on a terminal, a line every `every` steps elsewhere."""

    def __init__(self, every: int, console: "Console | None" = None) -> None:
        self.every = every
        self.console = console
        self._bar: Progress | None = None
        self._step_seconds: float | None = None

    def on_train_start(self, trainer: "Trainer") -> None:
        """Open the bar at the step the run goes on from."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        self.console = self.console or Console()
        if self.console.is_terminal:
            columns = (
                TextColumn("training"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.description}"),
            )
            self._bar = Progress(*columns, console=self.console)
            self._bar.add_task("", total=trainer.settings.run.max_steps, completed=trainer.step)
            self._bar.start()
        elif trainer.step:
            self.console.print(f"going on from step {trainer.step}")

    def on_step_end(self, trainer: "Trainer", report: "StepReport") -> None:
        """Show the step."""
        # A moving average over about 20 steps: single steps differ too much to predict from.
        before = report.seconds if self._step_seconds is None else self._step_seconds
        self._step_seconds = 0.95 * before + 0.05 * report.seconds
        steps_left = trainer.settings.run.max_steps - report.step
        text = (
            f"loss {report.loss:.3f}  {report.num_tokens / self._step_seconds:,.0f} tokens/s  "
            f"{_duration(steps_left * self._step_seconds)} left"
        )
        if report.validation:
            text += f"  held-out perplexity {report.validation.perplexity:.3f}"
        if self._bar:
            self._bar.update(self._bar.task_ids[0], completed=report.step, description=text)
        elif self.console and (report.step % self.every == 0 or report.validation):
            self.console.print(
                f"step {report.step}/{trainer.settings.run.max_steps}  {text}",
                highlight=False,
                soft_wrap=True,
            )

    def on_train_end(self, trainer: "Trainer", result: "TrainResult") -> None:
        """Close the bar and say why the training ended."""
        if self._bar:
            self._bar.stop()
        if self.console:
            self.console.print(f"{result.reason} at step {result.step}", highlight=False)


def _duration(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}"


class LogCallback(QuietCallback):
    """A JSON line in `path` every `every` steps and validation; a resumed run goes on in the same file.

    `loss` is the mean since the line before.
    """

    def __init__(self, path: Path, every: int) -> None:
        self.path = path
        self.every = every
        self._unwritten: list[StepReport] = []

    def on_train_start(self, trainer: "Trainer") -> None:
        """Drop the lines past the step that the run goes on from: those steps will be done again."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        kept = [record for record in read_log(self.path) if record["step"] <= trainer.step]
        self.path.write_text("".join(json.dumps(record) + "\n" for record in kept))

    def on_step_end(self, trainer: "Trainer", report: "StepReport") -> None:
        """Write the step, if it is its turn, and its validation."""
        self._unwritten.append(report)
        if report.step % self.every == 0 or report.validation is not None:
            self._write()

    def on_train_end(self, trainer: "Trainer", result: "TrainResult") -> None:
        """Write what is left."""
        if self._unwritten:
            self._write()

    def _write(self) -> None:
        reports, last = self._unwritten, self._unwritten[-1]
        record: dict[str, Any] = {
            "step": last.step,
            "loss": sum(report.loss for report in reports) / len(reports),
            "lr": last.lr,
            "grad_norm": last.grad_norm,
            "tokens_per_second": sum(r.num_tokens for r in reports) / sum(r.seconds for r in reports),
            "time": time.time(),
        }
        if last.validation:
            record["held_out_loss"] = last.validation.loss
            record["held_out_perplexity"] = last.validation.perplexity
        with self.path.open("a") as file:
            file.write(json.dumps(record) + "\n")
        self._unwritten.clear()


def read_log(path: Path) -> list[dict[str, Any]]:
    """The records of a log, oldest first; none without a file. A half-written last line is left out."""
    if not path.is_file():
        return []
    lines = path.read_text().split("\n")
    return [json.loads(line) for line in lines[:-1] if line]


class CheckpointCallback(QuietCallback):
    """A checkpoint every `every` steps and at the end, whatever ended it."""

    def __init__(self, every: int) -> None:
        self.every = every

    def on_step_end(self, trainer: "Trainer", report: "StepReport") -> None:
        """Save if it is the step's turn."""
        if report.step % self.every == 0:
            trainer.save_checkpoint()

    def on_train_end(self, trainer: "Trainer", result: "TrainResult") -> None:
        """Save where the training ended."""
        trainer.save_checkpoint()


class EarlyStopCallback(QuietCallback):
    """Stops when `patience` validations in a row have not bettered the best held-out loss."""

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.best_loss: float | None = None
        self.since_best = 0

    def on_step_end(self, trainer: "Trainer", report: "StepReport") -> None:
        """Count the validation, if there was one."""
        if report.validation is None:
            return
        if self.best_loss is None or report.validation.loss < self.best_loss:
            self.best_loss, self.since_best = report.validation.loss, 0
            return
        self.since_best += 1
        if self.since_best >= self.patience:
            trainer.request_stop(f"no better held-out loss in {self.patience} validations")

    def state_dict(self) -> dict[str, Any]:
        """The best loss and the validations since."""
        return {"best_loss": self.best_loss, "since_best": self.since_best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Count on from there."""
        self.best_loss = state.get("best_loss")
        self.since_best = state.get("since_best", 0)


def standard_callbacks(run: "RunSettings", run_folder: Path) -> list[Callback]:
    """Progress, log, early stop if asked for, and the checkpoint, which holds the state of the others."""
    callbacks: list[Callback] = [
        ProgressCallback(run.log_every),
        LogCallback(run_folder / "log.jsonl", run.log_every),
    ]
    if run.early_stop_patience is not None:
        callbacks.append(EarlyStopCallback(run.early_stop_patience))
    return [*callbacks, CheckpointCallback(run.checkpoint_every)]

"""The training loop.

One step: take the next windows, add up the gradients of their parts, clip, let AdamW move the weights. Around
it: validation, callbacks, checkpoints, and a clean stop when asked. Everything that the next step depends on
is in `Trainer.state_dict`, so a run that was interrupted goes on bit for bit as if it had not been.
"""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from cblab.attention import RaggedBatch, UniformCausalAttention
from cblab.model import Decoder
from cblab.training.callbacks import Callback
from cblab.training.checkpoint import (
    CheckpointError,
    checkpoint_path,
    list_checkpoints,
    random_state,
    read_checkpoint,
    restore_random_state,
    write_checkpoint,
)
from cblab.training.data import DataPosition, TextDataModule, Windows
from cblab.training.optimizer import learning_rate, make_optimizer
from cblab.training.plain import settings_as_dict
from cblab.training.tasks import Task

if TYPE_CHECKING:
    from cblab.training.settings import TrainingSettings

# Settings that do not change what is computed: a resumed run may have other ones.
FREE_TO_CHANGE = frozenset(
    {
        "run.device",
        "run.num_threads",
        "run.compile",
        "run.stop_at_step",
        "run.log_every",
        "run.validate_every",
        "run.validation_windows",
        "run.early_stop_patience",
        "run.checkpoint_every",
        "run.keep_checkpoints",
    }
)
_AUTOCAST_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class TrainingDivergedError(RuntimeError):
    """The loss is no longer a finite number."""


@dataclass(frozen=True)
class ValidationReport:
    """Held-out loss in nats a token, and the number of tokens it was measured on."""

    step: int
    loss: float
    num_tokens: int

    @property
    def perplexity(self) -> float:
        """`exp(loss)`: among how many equally likely tokens the model hesitates, on average."""
        return math.exp(self.loss)


@dataclass(frozen=True)
class StepReport:
    """What one step did. `step` counts the steps done; `loss` is in nats a token; `seconds` of wall clock."""

    step: int
    loss: float
    lr: float
    grad_norm: float
    num_tokens: int
    seconds: float
    validation: ValidationReport | None = None


@dataclass(frozen=True)
class TrainResult:
    """Where a call of `Trainer.run` ended: the steps done and why (`"finished"` if none is left)."""

    step: int
    reason: str

    @property
    def finished(self) -> bool:
        """Whether the run reached `max_steps`."""
        return self.reason == "finished"


class Trainer:
    """Trains `model` on `data` as `task` and `settings` say; keeps its checkpoints in `run_folder`."""

    def __init__(
        self,
        settings: "TrainingSettings",
        model: Decoder,
        data: TextDataModule,
        task: Task,
        run_folder: Path,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        run = settings.run
        self.settings = settings
        self.device = torch.device(run.device)
        self.model = model.to(self.device)
        self.data = data
        self.task = task
        self.checkpoint_folder = run_folder / "checkpoints"
        self.callbacks = callbacks
        self.data_fingerprint = data.train.fingerprint()
        self.step = 0
        self.stop_reason: str | None = None
        self.optimizer = make_optimizer(self.model.parameters(), settings.optimizer)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=run.precision == "float16")
        self._forward = torch.compile(self.model) if run.compile else self.model
        torch.manual_seed(run.seed)

    def run(self) -> TrainResult:
        """Train until `max_steps`, `stop_at_step` or a requested stop; callbacks hear of every step."""
        last_step = min(
            self.settings.run.max_steps, self.settings.run.stop_at_step or self.settings.run.max_steps
        )
        self.stop_reason = None
        for callback in self.callbacks:
            callback.on_train_start(self)
        while self.step < last_step and self.stop_reason is None:
            report = self.train_step()
            for callback in self.callbacks:
                callback.on_step_end(self, report)
        reason = (
            "finished" if self.step == self.settings.run.max_steps else self.stop_reason or "stop_at_step"
        )
        result = TrainResult(self.step, reason)
        for callback in self.callbacks:
            callback.on_train_end(self, result)
        return result

    def request_stop(self, reason: str) -> None:
        """Stop after the step in progress. Safe to call from a signal handler."""
        self.stop_reason = reason

    def train_step(self) -> StepReport:
        """One move of the weights, and the validation that is due after it."""
        started = time.perf_counter()
        self.model.train()
        lr = learning_rate(self.step, self.settings.run.max_steps, self.settings.optimizer)
        windows = self._next_windows()
        loss = self._accumulate_gradients(windows)
        grad_norm = self._update(lr)
        self.step += 1
        if not math.isfinite(loss):
            raise TrainingDivergedError(
                f"the loss of step {self.step} is {loss}: lower lr={self.settings.optimizer.lr}, or "
                f"warm up for longer than {self.settings.optimizer.warmup_steps} steps"
            )
        seconds = time.perf_counter() - started
        every = self.settings.run.validate_every
        due = every is not None and (self.step % every == 0 or self.step == self.settings.run.max_steps)
        validation = self.validate(self.settings.run.validation_windows) if due else None
        return StepReport(self.step, loss, lr, grad_norm, windows.inputs.numel(), seconds, validation)

    def window_length(self, step: int) -> int:
        """Tokens a window at that step (from 0): short ones, then long ones for the last part of the run.

        Attention over long windows costs more, and most of what there is to learn is near; the last part
        teaches the positions beyond.
        """
        data, max_steps = self.settings.data, self.settings.run.max_steps
        long_from = max_steps - round(max_steps * data.long_window_fraction)
        return data.long_window_length if step >= long_from else data.window_length

    def _next_windows(self) -> Windows:
        num_blocks = self.settings.run.tokens_per_step // self.data.block_length
        return self.data.next_windows(num_blocks, self.window_length(self.step)).to(self.device)

    def _accumulate_gradients(self, windows: Windows) -> float:
        """Add up the gradients of the step's mean loss, part by part; returns that loss."""
        parts = self.settings.run.accumulation_steps
        counted = windows.counted.sum().clamp(min=1)
        loss = torch.zeros((), device=self.device)
        for part in zip(*(tensor.chunk(parts) for tensor in windows), strict=True):
            part_loss = self._loss_sum(Windows(*part)) / counted
            self.scaler.scale(part_loss).backward()
            loss += part_loss.detach()
        return loss.item()

    def _update(self, lr: float) -> float:
        """Clip the gradients, move the weights, forget the gradients; returns their norm before clipping."""
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.scaler.unscale_(self.optimizer)
        limit = self.settings.optimizer.max_grad_norm
        grad_norm = nn.utils.clip_grad_norm_(self.model.parameters(), math.inf if limit is None else limit)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        return grad_norm.item()

    def _loss_sum(self, windows: Windows) -> torch.Tensor:
        dropout = self.settings.model.dropout if self.model.training else 0.0
        attend = UniformCausalAttention(self.model.config.attention_specs, len(windows.inputs), dropout)
        with self._autocast():
            logits = self._forward(RaggedBatch.uniform(windows.inputs), attend)
        return self.task.loss_sum(logits, windows.targets.reshape(-1), windows.counted.reshape(-1))

    def _autocast(self) -> AbstractContextManager[None]:
        precision = self.settings.run.precision
        return torch.autocast(
            self.device.type, dtype=_AUTOCAST_DTYPES[precision], enabled=precision != "float32"
        )

    @torch.no_grad()
    def validate(self, at_most: int | None = None, window_length: int | None = None) -> ValidationReport:
        """The loss on the held-out windows: the first `at_most`, or all; of the usual length, or another."""
        length = window_length or self.settings.data.window_length
        windows = self.data.held_out_windows(length, at_most).to(self.device)
        self.model.eval()
        loss_sum = sum(self._loss_sum(part).item() for part in self._split(windows))
        num_tokens = int(windows.counted.sum())
        return ValidationReport(self.step, loss_sum / num_tokens, num_tokens)

    def _split(self, windows: Windows) -> Iterator[Windows]:
        """The windows in parts of at most as many tokens as one part of a training step has."""
        tokens = self.settings.run.tokens_per_step // self.settings.run.accumulation_steps
        size = max(1, tokens // windows.inputs.shape[1])
        for part in zip(*(tensor.split(size) for tensor in windows), strict=True):
            yield Windows(*part)

    def state_dict(self) -> dict[str, Any]:
        """Everything the next step depends on, as tensors and plain values."""
        return {
            "step": self.step,
            "settings": settings_as_dict(self.settings),
            "data": {"fingerprint": self.data_fingerprint, **vars(self.data.sampler.at)},
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "random": random_state(),
            "callbacks": {type(callback).__name__: callback.state_dict() for callback in self.callbacks},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state. Raises `CheckpointError` if its settings or its data are not this run's."""
        self._refuse_other_run(state)
        self.step = state["step"]
        self.data.sampler.seek(DataPosition(state["data"]["epoch"], state["data"]["position"]))
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        for callback in self.callbacks:
            callback.load_state_dict(state["callbacks"].get(type(callback).__name__, {}))
        restore_random_state(state["random"])

    def _refuse_other_run(self, state: dict[str, Any]) -> None:
        ours = settings_as_dict(self.settings)
        differing = [
            f"{section}.{name}: {theirs!r} in the checkpoint, {ours[section].get(name)!r} now"
            for section, values in state["settings"].items()
            for name, theirs in values.items()
            if ours[section].get(name) != theirs and f"{section}.{name}" not in FREE_TO_CHANGE
        ]
        if state["data"]["fingerprint"] != self.data_fingerprint:
            differing.append("the training tokens are not those of the checkpoint")
        if differing:
            raise CheckpointError(
                f"the run in {self.checkpoint_folder.parent} has other settings (take another run "
                "folder, or these settings back):\n" + "\n".join(differing)
            )

    def save_checkpoint(self) -> Path:
        """Write the checkpoint of the current step, unless it is there already."""
        path = checkpoint_path(self.checkpoint_folder, self.step)
        if path.exists():
            return path
        keep = self.settings.run.keep_checkpoints
        return write_checkpoint(self.checkpoint_folder, self.step, self.state_dict(), keep)

    def resume(self) -> bool:
        """Go on from the newest checkpoint in the run folder; False if there is none."""
        checkpoints = list_checkpoints(self.checkpoint_folder)
        if not checkpoints:
            return False
        self.load_state_dict(read_checkpoint(checkpoints[-1]))
        return True

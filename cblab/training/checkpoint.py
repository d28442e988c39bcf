"""Checkpoints: written whole or not at all, and complete enough to go on as if nothing had happened."""

import os
import re
from pathlib import Path
from typing import Any

import torch

_NAME = re.compile(r"step-(\d{8})\.pt")


class CheckpointError(ValueError):
    """A checkpoint that cannot be gone on from; the message says why and what to do."""


def checkpoint_path(folder: Path, step: int) -> Path:
    """`folder/step-00000100.pt` for step 100."""
    return folder / f"step-{step:08d}.pt"


def list_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in a folder, oldest step first; none if there is no such folder."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))


def write_checkpoint(folder: Path, step: int, state: dict[str, Any], keep: int) -> Path:
    """Save `state` as the checkpoint of `step`, then remove all but the newest `keep`.

    The file is written under another name, flushed to the disk, and renamed: a process killed half-way leaves
    the previous checkpoint as the newest.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = checkpoint_path(folder, step)
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    for old in list_checkpoints(folder)[:-keep]:
        old.unlink()
    return path


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The state in a checkpoint file, on the CPU. Only tensors and plain values are read, never code."""
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def random_state() -> dict[str, Any]:
    """The state of torch's generators: the CPU's, and those of every CUDA device."""
    return {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()}


def restore_random_state(state: dict[str, Any]) -> None:
    """Set torch's generators as `random_state` found them (CUDA's only where there are as many devices)."""
    torch.set_rng_state(state["cpu"])
    if len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])

"""Tensors for the checks of lab 3, and how a call that takes them is spelled in a message."""

import random
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from cblab.lab.labs.diagnose import Args

CLOSE = 2e-5
"""By how much a float32 number of about 1 may differ between two right answers."""


def randn(rng: random.Random, *shape: int) -> Tensor:
    """Normal numbers, float32, drawn with the seed that comes next from `rng`."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(rng.randrange(2**31)))


def written(value: Any) -> str:
    """An argument as it stands in a message: a small tensor whole, a large one by its shape."""
    if not isinstance(value, Tensor):
        return repr(value)
    if value.numel() <= 12 and value.ndim <= 2 and value.dtype != torch.bool:
        return str(_rounded(value.tolist()))
    kind = "bool " if value.dtype == torch.bool else ""
    return f"<{kind}{list(value.shape)}>"


def spelled(function: str) -> Callable[[Args], str]:
    """How a call of a function is written, with its tensors shortened."""
    return lambda args: f"{function}({', '.join(map(written, args))})"


def _rounded(value: Any) -> Any:
    return [_rounded(one) for one in value] if isinstance(value, list) else round(value, 2)

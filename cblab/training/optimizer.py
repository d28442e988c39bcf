"""AdamW in two groups, and the learning rate as a function of the step."""

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from cblab.training.settings import OptimizerSettings


def learning_rate(step: int, max_steps: int, settings: "OptimizerSettings") -> float:
    """The learning rate of step `step` (counted from 0) of `max_steps`.

    It rises linearly over `warmup_steps`, the first step taking 1/`warmup_steps` of `lr`, and then falls
    along half a cosine to `final_lr_ratio` of it, which the last step takes (Loshchilov and Hutter, 2017,
    without restarts). A `constant` schedule stays at the top.
    """
    if step < settings.warmup_steps:
        return settings.lr * (step + 1) / settings.warmup_steps
    if settings.schedule == "constant":
        return settings.lr
    span = max(1, max_steps - 1 - settings.warmup_steps)
    progress = min(1.0, (step - settings.warmup_steps) / span)
    floor = settings.lr * settings.final_lr_ratio
    return floor + (settings.lr - floor) * 0.5 * (1 + math.cos(math.pi * progress))


def make_optimizer(
    parameters: Iterable[torch.nn.Parameter], settings: "OptimizerSettings"
) -> torch.optim.AdamW:
    """AdamW that decays matrices and leaves vectors (norms, biases) alone.

    The fused implementation updates all tensors in one pass over memory; it exists for CPU and CUDA alike.
    """
    trainable = [parameter for parameter in parameters if parameter.requires_grad]
    groups = [
        {"params": [p for p in trainable if p.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in trainable if p.ndim < 2], "weight_decay": 0.0},
    ]
    fused = all(p.device.type in ("cpu", "cuda") for p in trainable)
    betas = (settings.beta1, settings.beta2)
    return torch.optim.AdamW(groups, lr=settings.lr, betas=betas, eps=settings.eps, fused=fused)

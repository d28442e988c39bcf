"""Normalization, the `norm_impl` registry: `Norm(size, eps)`, called with `[..., size]`."""

import torch
from torch import Tensor, nn

from cblab.model.fused import TORCH_OPS
from cblab.model.registry import Registry

norm_impl: Registry[type[nn.Module]] = Registry("norm_impl")


@norm_impl.register("rms_norm")
class RMSNorm(nn.Module):
    """`x / sqrt(mean(x²) + eps) * weight` (Zhang and Sennrich, 2019): LayerNorm without mean and bias."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps
        self.ops = TORCH_OPS

    def forward(self, x: Tensor) -> Tensor:
        """`[..., size]` to the same shape."""
        return self.ops.add_rms_norm(x, None, self.weight, self.eps)[0]


@norm_impl.register("layer_norm")
class LayerNorm(nn.LayerNorm):
    """torch's LayerNorm, with weight and bias, under the registry's signature."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__(size, eps=eps)


def norm_after_add(norm: nn.Module, x: Tensor, delta: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return `norm(x + delta)` and `x + delta`, in one pass over the rows where the norm can.

    Args:
        norm: a module of the registry.
        x: the stream of hidden states, `[num_tokens, size]`.
        delta: what is to be added to it, of the same shape; None is nothing.
    """
    if isinstance(norm, RMSNorm):
        return norm.ops.add_rms_norm(x, delta, norm.weight, norm.eps)
    if delta is not None:
        x = x + delta
    return norm(x), x

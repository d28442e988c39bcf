"""Normalization, the `norm_impl` registry: `Norm(size, eps)`, called with `[..., size]`."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cblab.model.registry import Registry

norm_impl: Registry[type[nn.Module]] = Registry("norm_impl")


@norm_impl.register("rms_norm")
class RMSNorm(nn.Module):
    """`x / sqrt(mean(x²) + eps) * weight` (Zhang and Sennrich, 2019): LayerNorm without mean and bias."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """`[..., size]` to the same shape."""
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)


@norm_impl.register("layer_norm")
class LayerNorm(nn.LayerNorm):
    """torch's LayerNorm, with weight and bias, under the registry's signature."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__(size, eps=eps)

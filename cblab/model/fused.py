"""What a layer does between its matrix products, as one table of functions: torch's own, or faster kernels.

A table is chosen once for a model, see `for_inference`. Training and everything that needs gradients keep
`TORCH_OPS`; the kernels behind the others know no autograd.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class FusedOps:
    """The operations that are worth a kernel of their own.

    Attributes:
        name: by which `get_fused_ops` finds it.
        add_rms_norm: `(x, delta, weight, eps) -> (normed, x + delta)`, all `[num_rows, size]`. A delta of
            None adds nothing.
        apply_rope: `(x, cos, sin) -> turned`; x is `[num_tokens, num_heads, head_dim]`, any view whose last
            axis is dense, cos and sin are `[num_tokens, 1, head_dim / 2]`. It may turn x in place.
        silu_and_mul: `gate_up -> silu(gate) * up`, `[num_tokens, 2 * size]` to `[num_tokens, size]`.
    """

    name: str
    add_rms_norm: Callable[[Tensor, Tensor | None, Tensor, float], tuple[Tensor, Tensor]]
    apply_rope: Callable[[Tensor, Tensor, Tensor], Tensor]
    silu_and_mul: Callable[[Tensor], Tensor]


def add_rms_norm(x: Tensor, delta: Tensor | None, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """`x + delta`, and that over its root mean square, times weight (Zhang and Sennrich, 2019)."""
    if delta is not None:
        x = x + delta
    return F.rms_norm(x, weight.shape, weight, eps), x


def apply_rope(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each pair (i, i + head_dim/2) of `x`, `[num_tokens, num_heads, head_dim]`, by its angle."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


def silu_and_mul(gate_up: Tensor) -> Tensor:
    """`silu(gate) * up`, the middle of SwiGLU (Shazeer, 2020)."""
    gate, up = gate_up.chunk(2, dim=-1)
    return F.silu(gate) * up


TORCH_OPS = FusedOps("torch", add_rms_norm, apply_rope, silu_and_mul)

_HOMES = {"numba": ("cblab.model.numba_ops", "NUMBA_OPS"), "triton": ("cblab.model.triton_ops", "TRITON_OPS")}


def get_fused_ops(name: str) -> FusedOps:
    """Return a table by name; the kernels' library is imported here and not before.

    Raises:
        ValueError: no table has that name; the message lists them.
        ImportError: its library is not installed.
    """
    if name == "torch":
        return TORCH_OPS
    if name not in _HOMES:
        raise ValueError(f"unknown fused operations {name!r}; there are: torch, {', '.join(_HOMES)}")
    module, attribute = _HOMES[name]
    table: FusedOps = getattr(importlib.import_module(module), attribute)
    return table

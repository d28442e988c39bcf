"""What each layer does to a token by itself, the `mlp_impl` registry: `MLP(config)`, called with
`[num_tokens, hidden_size]`, giving the same shape.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cblab.model.config import ModelConfig
from cblab.model.fused import TORCH_OPS
from cblab.model.registry import Registry

mlp_impl: Registry[type[nn.Module]] = Registry("mlp_impl")

_gelu_tanh = partial(F.gelu, approximate="tanh")

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "silu": F.silu,
    "swish": F.silu,
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_new": _gelu_tanh,
    "gelu_pytorch_tanh": _gelu_tanh,
}


def activation(name: str) -> Callable[[Tensor], Tensor]:
    """The function that a checkpoint's `hidden_act` names.

    Raises:
        ValueError: a name that is not in `ACTIVATIONS`.
    """
    if name not in ACTIVATIONS:
        raise ValueError(f"unknown activation {name!r}; known: {', '.join(sorted(ACTIVATIONS))}")
    return ACTIVATIONS[name]


@mlp_impl.register("swiglu")
class GatedMLP(nn.Module):
    """`down(act(gate(x)) * up(x))` (Shazeer, 2020): SwiGLU when the activation is SiLU.

    Gate and up are one matrix, so that a token's row is read once for both.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gate_up_proj = nn.Linear(config.hidden_size, 2 * config.intermediate_size, bias=config.mlp_bias)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=config.mlp_bias)
        self.act = activation(config.activation)
        self.ops = TORCH_OPS

    def forward(self, x: Tensor) -> Tensor:
        """`[num_tokens, hidden_size]` to the same shape."""
        gate_up = self.gate_up_proj(x)
        if self.act is F.silu:
            return self.down_proj(self.ops.silu_and_mul(gate_up))
        gate, up = gate_up.chunk(2, dim=-1)
        return self.down_proj(self.act(gate) * up)


@mlp_impl.register("gelu")
class PlainMLP(nn.Module):
    """`down(act(up(x)))`, GPT-2's; the config's activation says which GELU."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=config.mlp_bias)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=config.mlp_bias)
        self.act = activation(config.activation)

    def forward(self, x: Tensor) -> Tensor:
        """`[num_tokens, hidden_size]` to the same shape."""
        return self.down_proj(self.act(self.up_proj(x)))


@mlp_impl.register("moe")
class MixtureOfExperts(nn.Module):
    """Mixtral's sparse MLP (Jiang et al., 2024): each token goes through `num_experts_per_token` gated MLPs.

    The router's probabilities (a float32 softmax over all experts) are rescaled to sum to 1 over the chosen.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        hidden, inner, experts = config.hidden_size, config.intermediate_size, config.num_experts
        self.num_chosen = config.num_experts_per_token
        self.router = nn.Linear(hidden, experts, bias=False)
        self.gate_up_proj = nn.Parameter(torch.empty(experts, 2 * inner, hidden))
        self.down_proj = nn.Parameter(torch.empty(experts, hidden, inner))
        self.act = activation(config.activation)

    def forward(self, x: Tensor) -> Tensor:
        """`[num_tokens, hidden_size]` to the same shape."""
        probabilities = self.router(x).float().softmax(dim=-1)
        weights, chosen = probabilities.topk(self.num_chosen, dim=-1)
        weights = weights / weights.sum(dim=-1, keepdim=True)
        out = torch.zeros_like(x)
        for expert in range(self.gate_up_proj.shape[0]):
            tokens, ranks = torch.where(chosen == expert)
            if not len(tokens):
                continue
            result = self._run(expert, x[tokens]) * weights[tokens, ranks, None]
            out.index_add_(0, tokens, result.to(out.dtype))
        return out

    def _run(self, expert: int, x: Tensor) -> Tensor:
        gate, up = F.linear(x, self.gate_up_proj[expert]).chunk(2, dim=-1)
        return F.linear(self.act(gate) * up, self.down_proj[expert])

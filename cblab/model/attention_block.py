"""A layer's projections around its attention, the `attn_impl` registry: `Block(config)`, called with
`(layer, x, rope, attend)`; the attention itself comes from outside.
"""

import torch
from torch import Tensor, nn

from cblab.attention.dense import Attend
from cblab.model.config import ModelConfig
from cblab.model.fused import TORCH_OPS
from cblab.model.norms import norm_impl
from cblab.model.registry import Registry

attn_impl: Registry[type[nn.Module]] = Registry("attn_impl")


@attn_impl.register("gqa")
class GroupedQueryAttention(nn.Module):
    """Queries, keys and values, with fewer KV heads than query heads (Ainslie et al., 2023).

    Multi-head (as many KV heads) and multi-query attention (one) are its two ends. The three projections are
    one matrix, so that a token's row is read once for all. Qwen3 normalizes each head's query and key
    (`qk_norm`).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.num_heads, self.num_kv_heads, self.head_dim = (
            config.num_heads,
            config.num_kv_heads,
            config.head_dim,
        )
        heads = config.num_heads + 2 * config.num_kv_heads
        self.qkv_proj = nn.Linear(config.hidden_size, heads * config.head_dim, bias=config.qkv_bias)
        self.o_proj = nn.Linear(config.num_heads * config.head_dim, config.hidden_size, bias=config.o_bias)
        self.ops = TORCH_OPS
        self.qk_norm = config.qk_norm
        if config.qk_norm:
            self.q_norm = norm_impl[config.norm_impl](config.head_dim, config.norm_eps)
            self.k_norm = norm_impl[config.norm_impl](config.head_dim, config.norm_eps)

    def forward(self, layer: int, x: Tensor, rope: tuple[Tensor, Tensor] | None, attend: Attend) -> Tensor:
        """`[num_tokens, hidden_size]` to the same shape.

        Args:
            layer: which layer this is, for `attend`.
            x: the layer's normalized input.
            rope: cosines and sines of the tokens' positions, or None where the model has none.
            attend: see `cblab.attention.Attend`.
        """
        qkv = self.qkv_proj(x).unflatten(-1, (-1, self.head_dim))
        qk, v = qkv.split((self.num_heads + self.num_kv_heads, self.num_kv_heads), dim=1)
        if self.qk_norm:
            q, k = qk.split((self.num_heads, self.num_kv_heads), dim=1)
            qk = torch.cat((self.q_norm(q), self.k_norm(k)), dim=1)
        if rope is not None:
            qk = self.ops.apply_rope(qk, *rope)
        q, k = qk.split((self.num_heads, self.num_kv_heads), dim=1)
        return self.o_proj(attend(layer, q, k, v).flatten(1))

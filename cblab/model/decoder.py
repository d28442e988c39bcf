"""The Decoder: one model class for every family, told apart by its config alone."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cblab.attention.batch import RaggedBatch
from cblab.attention.dense import Attend
from cblab.attention.spec import AttentionSpec
from cblab.model.attention_block import attn_impl
from cblab.model.config import ModelConfig
from cblab.model.mlp import mlp_impl
from cblab.model.norms import norm_after_add, norm_impl
from cblab.model.rope import RotaryEmbedding


class DecoderLayer(nn.Module):
    """Attention, then MLP, each added to the stream of hidden states.

    ```
    norm_position="pre"    x + f(norm(x))        all families here
    norm_position="post"   norm(x + f(x))        the original Transformer (Vaswani et al., 2017)
    ```
    """

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        norm = norm_impl[config.norm_impl]
        self.layer = layer
        self.pre = config.norm_position == "pre"
        self.dropout = config.dropout
        self.attn_norm = norm(config.hidden_size, config.norm_eps)
        self.attn = attn_impl[config.attn_impl](config)
        self.mlp_norm = norm(config.hidden_size, config.norm_eps)
        self.mlp = mlp_impl[config.mlp_impl](config)

    def forward(
        self, x: Tensor, delta: Tensor | None, rope: tuple[Tensor, Tensor] | None, attend: Attend
    ) -> tuple[Tensor, Tensor | None]:
        """One layer. What it adds to the stream last is left to the next layer, whose norm adds it first.

        Args:
            x: the stream, `[num_tokens, hidden_size]`.
            delta: what has yet to be added to it, of the same shape; None is nothing.
            rope: goes to the attention block.
            attend: goes to the attention block.

        Returns:
            the stream, and what has yet to be added to it.
        """
        if self.pre:
            normed, x = norm_after_add(self.attn_norm, x, delta)
            normed, x = norm_after_add(
                self.mlp_norm, x, self._drop(self.attn(self.layer, normed, rope, attend))
            )
            return x, self._drop(self.mlp(normed))
        x, _ = norm_after_add(self.attn_norm, x, self._drop(self.attn(self.layer, x, rope, attend)))
        x, _ = norm_after_add(self.mlp_norm, x, self._drop(self.mlp(x)))
        return x, None

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training) if self.dropout else x


class Decoder(nn.Module):
    """A decoder-only language model over ragged batches.

    The model holds weights and nothing else: no cache, no requests. Its attention comes from outside, as
    `attend(layer, q, k, v)`, so that training, a dense cache and a paged cache all run this one class.

    Raises:
        ValueError: an `attn_impl`, `mlp_impl`, `norm_impl` or activation that is not registered.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.embed_positions = None
        self.rope = None
        if config.rope is None:
            self.embed_positions = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        else:
            self.rope = RotaryEmbedding(config.rope, config.head_dim)
        self.layers = nn.ModuleList([DecoderLayer(config, layer) for layer in range(config.num_layers)])
        # A post-norm layer ends in a norm; one more would only repeat it.
        pre = config.norm_position == "pre"
        self.norm = norm_impl[config.norm_impl](config.hidden_size, config.norm_eps) if pre else nn.Identity()
        tied = config.tie_word_embeddings
        self.lm_head = None if tied else nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.reset_parameters()

    @property
    def attention_specs(self) -> tuple[AttentionSpec, ...]:
        """What each layer asks of `attend`."""
        return self.config.attention_specs

    def forward(self, batch: RaggedBatch, attend: Attend) -> Tensor:
        """Logits `[num_logits, vocab_size]` of the rows in `batch.logits_indices` (None: of every row)."""
        rope = None if self.rope is None else self.rope(batch, self._compute_dtype())
        # The first hidden states not through a variable, which would keep them alive.
        x, delta = self.run_layers(self.embed(batch), rope, attend)
        if batch.logits_indices is not None:
            x = x[batch.logits_indices]
            delta = None if delta is None else delta[batch.logits_indices]
        x, _ = norm_after_add(self.norm, x, delta)
        return self.unembed(x)

    def embed(self, batch: RaggedBatch) -> Tensor:
        """The first hidden states, `[num_tokens, hidden_size]`."""
        x = self.embed_tokens(batch.input_ids)
        if self.embed_positions is not None:
            x = x + self.embed_positions(batch.positions)
        return F.dropout(x, self.config.dropout, self.training) if self.config.dropout else x

    def run_layers(
        self, x: Tensor, rope: tuple[Tensor, Tensor] | None, attend: Attend
    ) -> tuple[Tensor, Tensor | None]:
        """The stream and what is still to be added to it, both `[num_tokens, hidden_size]` as x is.

        See `DecoderLayer.forward`.
        """
        delta = None
        for layer in self.layers:
            x, delta = layer(x, delta, rope, attend)
        return x, delta

    def unembed(self, x: Tensor) -> Tensor:
        """Logits, `[num_rows, vocab_size]`, of normalized hidden states, `[num_rows, hidden_size]`."""
        return F.linear(x, self.embed_tokens.weight) if self.lm_head is None else self.lm_head(x)

    def _compute_dtype(self) -> torch.dtype:
        """What the projections compute in: under autocast narrower than the stream that they read."""
        weight = self.embed_tokens.weight
        device = weight.device.type
        return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw fresh weights as GPT-2 does (Radford et al., 2019).

        All are normal, narrower by `1 / sqrt(2 * num_layers)` where a layer adds to the stream. Norms start
        as they are made (1 and 0), biases at 0.
        """
        std = self.config.initializer_range
        for name, parameter in self.named_parameters():
            adds_to_stream = name.endswith(("o_proj.weight", "down_proj.weight", "down_proj"))
            if parameter.dim() > 1:
                narrower = 1 / math.sqrt(2 * self.config.num_layers) if adds_to_stream else 1.0
                parameter.normal_(0.0, std * narrower)
            elif name.endswith("bias"):
                parameter.zero_()

"""`TinyLLM`: the smallest model that has a KV cache."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cblab.attention.batch import RaggedBatch
from cblab.attention.dense import Attend, dense_attention
from cblab.attention.spec import AttentionSpec
from cblab.model.config import ModelConfig, RopeConfig
from cblab.model.fused import apply_rope
from cblab.model.rope import RotaryEmbedding


class TinyLLM(nn.Module):
    """One layer, one head: an embedding, Q, K, V and O projections, an output layer. No MLP, no norm.

    It runs over the same seam as `Decoder`: whatever drives one (a cache, a scheduler, a whole engine) drives
    the other, and with so little in it each number can be followed by hand.
    """

    def __init__(self, vocab_size: int, hidden_size: int = 16, max_position_embeddings: int = 2048) -> None:
        super().__init__()
        self.config = ModelConfig(
            vocab_size=vocab_size,
            hidden_size=hidden_size,
            intermediate_size=0,
            num_layers=1,
            num_heads=1,
            num_kv_heads=1,
            head_dim=hidden_size,
            max_position_embeddings=max_position_embeddings,
        )
        self.embed_tokens = nn.Embedding(vocab_size, hidden_size)
        self.q_proj = nn.Linear(hidden_size, hidden_size, bias=False)
        self.k_proj = nn.Linear(hidden_size, hidden_size, bias=False)
        self.v_proj = nn.Linear(hidden_size, hidden_size, bias=False)
        self.o_proj = nn.Linear(hidden_size, hidden_size, bias=False)
        self.lm_head = nn.Linear(hidden_size, vocab_size, bias=False)
        self.rope = RotaryEmbedding(RopeConfig(), hidden_size)

    @property
    def attention_specs(self) -> tuple[AttentionSpec, ...]:
        """What its one layer asks of `attend`."""
        return self.config.attention_specs

    def forward(self, batch: RaggedBatch, attend: Attend) -> Tensor:
        """Logits `[num_logits, vocab_size]` of the rows in `batch.logits_indices` (None: of every row)."""
        x = self.embed_tokens(batch.input_ids)
        cos, sin = self.rope(batch, x.dtype)
        q = apply_rope(self.q_proj(x)[:, None], cos, sin)
        k = apply_rope(self.k_proj(x)[:, None], cos, sin)
        v = self.v_proj(x)[:, None]
        x = x + self.o_proj(attend(0, q, k, v)[:, 0])
        if batch.logits_indices is not None:
            x = x[batch.logits_indices]
        return self.lm_head(x)

    def forward_prefill_ragged(
        self, chunks: Sequence[Sequence[int]], past: Sequence[tuple[Tensor, Tensor]] | None = None
    ) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """`forward` over chunks of several sequences, for a caller that keeps keys and values itself.

        Args:
            chunks: the new token ids of each sequence.
            past: each sequence's keys and values so far, both `[num_computed_tokens, 1, hidden_size]`; None
                where there are none yet.

        Returns:
            The logits of each chunk's last token, `[num_seqs, vocab_size]`, and each chunk's new keys and
            values, `[num_new_tokens, 1, hidden_size]`, which the caller appends to its `past`.
        """
        if past is None:
            nothing = self.embed_tokens.weight.new_empty(0, 1, self.config.head_dim)
            past = [(nothing, nothing)] * len(chunks)
        lengths = [len(chunk) for chunk in chunks]
        new: list[tuple[Tensor, Tensor]] = []

        def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            new.extend(zip(k.split(lengths), v.split(lengths), strict=True))
            outputs = [
                dense_attention(
                    queries, torch.cat((old_k, new_k)), torch.cat((old_v, new_v)), self.attention_specs[layer]
                )
                for queries, (old_k, old_v), (new_k, new_v) in zip(q.split(lengths), past, new, strict=True)
            ]
            return torch.cat(outputs)

        num_computed = [keys.shape[0] for keys, _ in past]
        batch = RaggedBatch.build(chunks, num_computed, device=self.embed_tokens.weight.device)
        return self(batch, attend), new

    def forward_decode(
        self, token_ids: Sequence[int], past: Sequence[tuple[Tensor, Tensor]]
    ) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """`forward_prefill_ragged` with one new token for each sequence."""
        return self.forward_prefill_ragged([[token] for token in token_ids], past)

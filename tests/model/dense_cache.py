"""The plainest KV cache there is, for the model's own tests: a list of tensors a sequence and layer."""

from itertools import pairwise

import torch
from torch import Tensor

from cblab.attention import AttentionSpec, RaggedBatch, ragged_dense_attention


class DenseCache:
    """Keys and values of a few sequences; `attend(batch)` is what a model calls while `batch` runs."""

    def __init__(self, specs: tuple[AttentionSpec, ...], num_seqs: int) -> None:
        self.specs = specs
        self.keys = [[torch.empty(0, s.num_kv_heads, s.head_dim)] * num_seqs for s in specs]
        self.values = [[torch.empty(0, s.num_kv_heads, s.head_dim)] * num_seqs for s in specs]
        self.batch: RaggedBatch | None = None

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        assert self.batch is not None
        borders = self.batch.cu_seqlens_q.tolist()
        for seq, (start, end) in enumerate(pairwise(borders)):
            self.keys[layer][seq] = torch.cat((self.keys[layer][seq], k[start:end]))
            self.values[layer][seq] = torch.cat((self.values[layer][seq], v[start:end]))
        cu_seqlens_k = torch.cat((torch.zeros(1, dtype=torch.int32), self.batch.context_lens.cumsum(0)))
        keys, values = torch.cat(self.keys[layer]), torch.cat(self.values[layer])
        return ragged_dense_attention(
            q, keys, values, self.batch.cu_seqlens_q, cu_seqlens_k, self.specs[layer]
        )

"""The model's `attend` for sequences that keep their keys and values in dense caches."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from cblab.attention.batch import RaggedBatch
from cblab.attention.dense import dense_attention
from cblab.core.kv_cache import SequenceKVCache


class DenseCacheAttention:
    """Attention of one step: sequence i of the batch reads and extends `caches[i]`, and no other.

    A decoding sequence brings one query and a prefill many; both see what is cached plus themselves, so that
    any mixture of the two is one batch. Hand the object to the model as `attend`, then call `advance`.
    """

    def __init__(self, caches: Sequence[SequenceKVCache], batch: RaggedBatch) -> None:
        self._caches = list(caches)
        bounds = batch.cu_seqlens_q.tolist()
        if len(self._caches) != len(bounds) - 1:
            raise ValueError(f"{len(self._caches)} caches for a batch of {len(bounds) - 1} sequences")
        self._rows = [slice(start, end) for start, end in pairwise(bounds)]
        for index, (cache, rows, context_len) in enumerate(
            zip(self._caches, self._rows, batch.context_lens.tolist(), strict=True)
        ):
            if cache.length + rows.stop - rows.start != context_len:
                raise ValueError(
                    f"sequence {index}: its cache holds {cache.length} tokens and the batch brings "
                    f"{rows.stop - rows.start}, but its context length is {context_len}"
                )

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Store k and v, `[num_tokens, num_kv_heads, head_dim]`, and return attention for q.

        q and the result are `[num_tokens, num_heads, head_dim]`.
        """
        outputs = []
        for cache, rows in zip(self._caches, self._rows, strict=True):
            cache.write(layer, k[rows], v[rows])
            outputs.append(dense_attention(q[rows], *cache.read(layer), cache.specs[layer]))
        return torch.cat(outputs)

    def advance(self) -> None:
        """Count the step's tokens as cached, after the last layer."""
        for cache, rows in zip(self._caches, self._rows, strict=True):
            cache.advance(rows.stop - rows.start)

"""The model's `attend` over the paged cache."""

from collections.abc import Callable

import torch
from torch import Tensor

from cblab.attention.backends import AttentionBackend
from cblab.attention.batch import RaggedBatch
from cblab.attention.layout import LayerKV
from cblab.attention.spec import AttentionSpec
from cblab.core.paged_cache import PagedKVCache


class PagedAttention:
    """Attention of one step: writes the new keys and values, then decodes and chunks each have their kernel.

    ```
    sequences     [ d | d | d | c c c c c | c c ]      d: one query, c: a chunk
    kernel          decode      prefill
    ```

    It moves no length: what a request has in the cache counts once the whole forward pass is done.

    Raises:
        ValueError: a batch without slot mapping and block tables, or a cache in another layout than the
            backend reads; from a call, a kernel whose output has another shape than its queries.
    """

    def __init__(self, cache: PagedKVCache, batch: RaggedBatch, backend: AttentionBackend) -> None:
        if batch.slot_mapping is None or batch.block_tables is None:
            raise ValueError("the batch has no slot_mapping and block_tables: make it with build_batch")
        if cache.layout is not backend.layout:
            raise ValueError(
                f"backend {backend.name!r} reads a pool in {backend.layout.value}, the cache is in "
                f"{cache.layout.value}: build it with layout=backend.layout"
            )
        self._cache, self._backend = cache, backend
        self._slot_mapping, self._block_tables = batch.slot_mapping, batch.block_tables
        self._context_lens = batch.context_lens
        self._num_decodes = batch.num_decodes
        self._plans: dict[AttentionSpec, Callable[[Tensor, LayerKV], Tensor]] = {}
        # Each decoding sequence has one row, so that the chunks' rows begin at `num_decodes` as well.
        self._cu_seqlens_q = batch.cu_seqlens_q[batch.num_decodes :] - batch.num_decodes

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """See `Attend`."""
        kv, spec, n = self._cache.layer(layer), self._cache.specs[layer], self._num_decodes
        if self._backend.write is None:
            self._cache.write(layer, self._slot_mapping, k, v)
        else:
            self._backend.write(kv, self._slot_mapping, k, v)
        tables, lengths = self._block_tables, self._context_lens
        outputs = []
        if n:
            outputs.append(self._shaped("paged_decode", self._decode(q[:n], kv, spec), q[:n]))
        if n < len(lengths):
            chunks = q[n:], k[n:], v[n:], kv, tables[n:], self._cu_seqlens_q, lengths[n:], spec
            outputs.append(self._shaped("paged_prefill", self._backend.prefill(*chunks), q[n:]))
        return torch.cat(outputs) if len(outputs) > 1 else outputs[0]

    def _shaped(self, kernel: str, output: Tensor, q: Tensor) -> Tensor:
        """A kernel's output, if it has the shape of its queries."""
        if output.shape != q.shape:
            raise ValueError(
                f"{kernel} of backend {self._backend.name!r} returned {list(output.shape)} for queries "
                f"{list(q.shape)}: its output has their shape"
            )
        return output

    def _decode(self, q: Tensor, kv: LayerKV, spec: AttentionSpec) -> Tensor:
        tables, lengths = self._block_tables[: len(q)], self._context_lens[: len(q)]
        if self._backend.plan_decode is None:
            return self._backend.decode(q, kv, tables, lengths, spec)
        if spec not in self._plans:
            self._plans[spec] = self._backend.plan_decode(tables, lengths, self._cache.block_size, spec)
        return self._plans[spec](q, kv)

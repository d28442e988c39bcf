"""Forward passes on a CPU as one call: their kernels are recorded once, for any number of rows.

There are two recordings. A pass that only decodes has few rows, for which fewer kernels are worth threads:

```
only decodes       layers, norm, logits of all rows                                  recorded
chunks as well     layers      recorded │ of the rows whose logits are wanted: norm, logits
```
"""

import logging
from collections import defaultdict
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor

from cblab.attention.backends import AttentionBackend
from cblab.attention.batch import RaggedBatch
from cblab.attention.spec import AttentionSpec
from cblab.core.batch_builder import BatchRow, build_batch
from cblab.core.kv_storage import StorageDtype
from cblab.core.paged_cache import PagedKVCache
from cblab.model.config import ModelConfig
from cblab.model.decoder import Decoder
from cblab.model.fused import FusedOps
from cblab.model.norms import norm_after_add

logger = logging.getLogger("cblab.core.recorded_passes")

_T = TypeVar("_T")
_FLOAT_BYTES = 4
_MOST_ROWS = 1024  # what computes more of them at once hardly notices the calls from Python


def record_passes(
    model: Decoder,
    cache: PagedKVCache,
    backend: AttentionBackend,
    ops: FusedOps,
    max_num_seqs: int,
    max_num_tokens: int,
) -> "RecordedPasses | None":
    """Return recorded passes for a model on a CPU; None elsewhere, and where something is not a kernel.

    Args:
        model: made ready by `for_inference`.
        cache: where the keys and values are.
        backend: that of the engine.
        ops: what the model computes with.
        max_num_seqs: sequences that run at once.
        max_num_tokens: tokens of a pass.
    """
    reason = why_not_recordable(model.config, backend, ops, cache.dtype)
    if reason is None:
        return RecordedPasses(model, cache, max_num_seqs, max_num_tokens)
    if "numba" in (backend.name, ops.name):
        logger.info("forward passes run one kernel at a time: %s", reason)
    return None


def why_not_recordable(
    config: ModelConfig, backend: AttentionBackend, ops: FusedOps, kv_cache_dtype: StorageDtype
) -> str | None:
    """Return why a model's passes are not kernels of Numba's alone, or None if they are."""
    for kind, found, known in (
        ("attention_backend", backend.name, ("numba",)),
        ("fused_ops", ops.name, ("numba",)),
        ("kv_cache_dtype", kv_cache_dtype, ("float32", "bfloat16", "int8")),
        ("attn_impl", config.attn_impl, ("gqa",)),
        ("qk_norm", config.qk_norm, (False,)),
        ("mlp_impl", config.mlp_impl, ("swiglu",)),
        ("activation", config.activation, ("silu", "swish")),
        ("norm_impl", config.norm_impl, ("rms_norm",)),
        ("norm_position", config.norm_position, ("pre",)),
    ):
        if found not in known:
            return f"{kind} is {found!r}"
    return None


class RecordedPasses:
    """Carries out forward passes of a model over a cache; see `cblab.attention.numba.recording`.

    Not for two threads at once: all passes share their tensors, the one for the result included.

    Args:
        model: made ready by `for_inference`.
        cache: where the keys and values are.
        max_num_seqs: sequences of the largest batch of decodes.
        max_num_tokens: tokens of the largest batch; above 1,024 batches with chunks are left to others.
    """

    def __init__(self, model: Decoder, cache: PagedKVCache, max_num_seqs: int, max_num_tokens: int) -> None:
        self._model, self._cache = model, cache
        self._max_num_seqs, self._max_num_tokens = max_num_seqs, min(max_num_tokens, _MOST_ROWS)
        self._decodes: _RecordedPass | None = None
        self._mixed: _RecordedPass | None = None

    def accepts(self, batch: RaggedBatch) -> bool:
        """Whether a batch is over the pool, and fits."""
        if batch.slot_mapping is None or batch.block_tables is None:
            return False
        return batch.num_tokens <= (self._max_num_tokens if _has_chunks(batch) else self._max_num_seqs)

    @torch.inference_mode()
    def __call__(self, batch: RaggedBatch) -> Tensor:
        """Carry out one pass, and return its logits, `[num_logits, vocab_size]`.

        They are overwritten by the next one.
        """
        if _has_chunks(batch):
            self._mixed = self._ready(self._mixed, self._max_num_tokens, has_chunks=True)
            return self._mixed(batch)
        self._decodes = self._ready(self._decodes, self._max_num_seqs, has_chunks=False)
        return self._decodes(batch)

    def _ready(self, recorded: "_RecordedPass | None", num_rows: int, *, has_chunks: bool) -> "_RecordedPass":
        """A recording for as many threads as there are now: this one, or a new one."""
        if recorded is None or recorded.num_threads != torch.get_num_threads():
            return _RecordedPass(self._model, self._cache, num_rows, has_chunks=has_chunks)
        return recorded


def _has_chunks(batch: RaggedBatch) -> bool:
    return batch.num_decodes < batch.num_seqs


class _RecordedPass:
    """A forward pass over at most `num_rows` tokens; what comes before the first kernel is done by torch."""

    def __init__(self, model: Decoder, cache: PagedKVCache, num_rows: int, *, has_chunks: bool) -> None:
        from cblab.attention.numba.decode import DecodeCall  # which other devices do not need
        from cblab.attention.numba.prefill import PrefillCall
        from cblab.attention.numba.recording import Recording

        self.num_threads = torch.get_num_threads()
        self._model, self._cache = model, cache
        batch = _any_batch(num_rows)
        assert batch.slot_mapping is not None
        # What the kernels read: each pass's own goes into the first rows.
        self._slots = batch.slot_mapping
        self._x = torch.empty_like(model.embed(batch))
        self._turns = None if model.rope is None else model.rope(batch, self._x.dtype)
        self._logits: Tensor | None = None
        self._recording = Recording()
        attend = _NotedAttention(cache, self._slots, has_chunks=has_chunks)
        with self._recording.noting():
            self._last_x, delta = model.run_layers(self._x, self._turns, attend)
            assert delta is not None  # with norms in front, the last layer leaves one
            self._last_delta = delta
            if not has_chunks:
                self._logits = _logits(model, self._last_x, delta)
        calls = [one.call for one in self._recording.calls]
        self._of_rows = [one for one in calls if not isinstance(one, DecodeCall | PrefillCall)]
        decodes = [one for one in calls if isinstance(one, DecodeCall)]
        # With the first rows of what they read and write: chunks come behind the decodes.
        prefills = [(one, one.q, one.out) for one in calls if isinstance(one, PrefillCall)]
        self._decodes = _by_spec(cache.specs, decodes)
        self._prefills = _by_spec(cache.specs, prefills) if has_chunks else {}
        what = "passes with chunks" if has_chunks else "decode steps"
        logger.info("%s run as one call of %d kernels", what, len(calls))

    def __call__(self, batch: RaggedBatch) -> Tensor:
        """`[num_logits, vocab_size]`."""
        assert batch.slot_mapping is not None
        num_rows = batch.num_tokens
        self._slots[:num_rows].copy_(batch.slot_mapping)
        self._x[:num_rows].copy_(self._model.embed(batch))
        if self._turns is not None and self._model.rope is not None:
            for own, new in zip(self._turns, self._model.rope(batch, self._x.dtype), strict=True):
                own[:num_rows].copy_(new)
        for call in self._of_rows:
            call.num_rows = num_rows
        self._plan_attention(batch)
        self._recording.run()
        wanted = batch.logits_indices
        if self._logits is None:
            rows = slice(num_rows) if wanted is None else wanted
            return _logits(self._model, self._last_x[rows], self._last_delta[rows])
        # One row a sequence: as many logits as rows are all of them, in order.
        logits = self._logits[:num_rows]
        return logits if wanted is None or len(wanted) == num_rows else logits[wanted]

    def _plan_attention(self, batch: RaggedBatch) -> None:
        from cblab.attention.numba.backend import PlannedDecode, PlannedPrefill

        assert batch.block_tables is not None
        n, block_size = batch.num_decodes, self._cache.block_size
        tables, lengths = batch.block_tables, batch.context_lens
        self._plans: list[PlannedDecode | PlannedPrefill] = []  # the kernels read their arrays
        for spec, decodes in self._decodes.items():
            decode = PlannedDecode(tables[:n], lengths[:n], block_size, spec)
            self._plans.append(decode)
            for call in decodes:
                decode.tell(call)
        for spec, prefills in self._prefills.items():
            borders = batch.cu_seqlens_q[n:] - n
            prefill = PlannedPrefill(tables[n:], borders, lengths[n:], block_size, spec)
            self._plans.append(prefill)
            for chunks, q, out in prefills:
                prefill.tell(chunks)
                chunks.q = q + n * chunks.q_stride * _FLOAT_BYTES
                chunks.out = out + n * spec.num_heads * spec.head_dim * _FLOAT_BYTES


def _by_spec(specs: Sequence[AttentionSpec], of_layers: Sequence[_T]) -> dict[AttentionSpec, list[_T]]:
    """What there is of each layer, together where layers ask for the same attention."""
    groups: dict[AttentionSpec, list[_T]] = defaultdict(list)
    for spec, one in zip(specs, of_layers, strict=True):
        groups[spec].append(one)
    return groups


class _NotedAttention:
    """The model's `attend` while kernels are noted: whom they are for is told them before each pass."""

    def __init__(self, cache: PagedKVCache, slots: Tensor, *, has_chunks: bool) -> None:
        self._cache, self._slots, self._has_chunks = cache, slots, has_chunks
        self._anybody = _any_batch(1)

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        from cblab.attention.numba.backend import PlannedDecode, PlannedPrefill, write_kv
        from cblab.attention.numba.recording import new_floats

        kv, spec, block_size = self._cache.layer(layer), self._cache.specs[layer], self._cache.block_size
        one = self._anybody
        assert one.block_tables is not None
        write_kv(kv, self._slots, k, v)
        out = new_floats(q.shape)
        PlannedDecode(one.block_tables, one.context_lens, block_size, spec).compute(q, kv, out)
        if self._has_chunks:
            plan = PlannedPrefill(one.block_tables, one.cu_seqlens_q, one.context_lens, block_size, spec)
            plan.compute(q, kv, out)
        return out


def _logits(model: Decoder, x: Tensor, delta: Tensor) -> Tensor:
    normed, _ = norm_after_add(model.norm, x, delta)
    return model.unembed(normed)


def _any_batch(num_seqs: int) -> RaggedBatch:
    """A decode batch of sequences of one token, all of which have block 0."""
    return build_batch([BatchRow([0], 0, [0])] * num_seqs, block_size=1)

"""Decode steps on a CPU as one call: the kernels of a forward pass, recorded once for any number of rows."""

import logging
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cblab.attention.backends import AttentionBackend
from cblab.attention.batch import RaggedBatch
from cblab.core.paged_attend import PagedAttention
from cblab.core.paged_cache import PagedKVCache
from cblab.model.config import ModelConfig
from cblab.model.decoder import Decoder
from cblab.model.fused import FusedOps

if TYPE_CHECKING:
    from cblab.attention.spec import AttentionSpec

logger = logging.getLogger("cblab.core.recorded_decode")


def record_decodes(
    model: Decoder, cache: PagedKVCache, backend: AttentionBackend, ops: FusedOps, max_num_seqs: int
) -> "RecordedDecode | None":
    """Return recorded decode steps for a model on a CPU; None elsewhere, and where something is not a kernel.

    Args:
        model: made ready by `for_inference`.
        cache: where the keys and values are.
        backend: that of the engine.
        ops: what the model computes with.
        max_num_seqs: sequences that run at once.
    """
    reason = why_not_recordable(model.config, backend, ops)
    if reason is None:
        return RecordedDecode(model, cache, max_num_seqs)
    if "numba" in (backend.name, ops.name):
        logger.info("decode steps run one kernel at a time: %s", reason)
    return None


def why_not_recordable(config: ModelConfig, backend: AttentionBackend, ops: FusedOps) -> str | None:
    """Return why a model's decode steps are not kernels of Numba's alone, or None if they are."""
    for kind, found, known in (
        ("attention_backend", backend.name, ("numba",)),
        ("fused_ops", ops.name, ("numba",)),
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


class RecordedDecode:
    """Carries out decode steps of a model over a cache; see `cblab.attention.numba.recording`.

    Not for two threads at once: all steps share their tensors, the one for the result included.

    Args:
        model: made ready by `for_inference`.
        cache: where the keys and values are.
        max_num_seqs: sequences of the largest batch.
    """

    def __init__(self, model: Decoder, cache: PagedKVCache, max_num_seqs: int) -> None:
        self._model, self._cache = model, cache
        self._max_num_seqs = max_num_seqs
        self._pass: _RecordedPass | None = None

    def accepts(self, batch: RaggedBatch) -> bool:
        """Whether a batch is nothing but decodes, and fits."""
        if batch.slot_mapping is None or batch.block_tables is None:
            return False
        return batch.num_decodes == batch.num_seqs <= self._max_num_seqs

    @torch.inference_mode()
    def __call__(self, batch: RaggedBatch) -> Tensor:
        """Carry out one decode step, and return its logits, `[num_logits, vocab_size]`.

        They are overwritten by the next one.
        """
        if self._pass is None or self._pass.num_threads != torch.get_num_threads():
            self._pass = _RecordedPass(self._model, self._cache, self._max_num_seqs)
        logits = self._pass(batch)
        # One row a sequence: as many logits as rows are all of them, in order.
        if batch.logits_indices is None or len(batch.logits_indices) == batch.num_seqs:
            return logits
        return logits[batch.logits_indices]


class _RecordedPass:
    """A forward pass over `max_num_seqs` sequences; what comes before the first kernel is done by torch."""

    def __init__(self, model: Decoder, cache: PagedKVCache, max_num_seqs: int) -> None:
        from cblab.attention.numba import NUMBA  # which other devices do not need
        from cblab.attention.numba.decode import DecodeCall
        from cblab.attention.numba.recording import Recording

        self.num_threads = torch.get_num_threads()
        self._model, self._cache = model, cache
        batch = _any_batch(max_num_seqs)
        assert batch.slot_mapping is not None
        # What the kernels read: each step's own goes into the first rows.
        self._slots = batch.slot_mapping
        self._x = torch.empty_like(model.embed(batch))
        self._turns = None if model.rope is None else model.rope(batch, self._x.dtype)
        attend = PagedAttention(cache, batch, NUMBA)
        self._recording = Recording()
        with self._recording.noting():
            self._logits = model.logits_from(self._x, self._turns, attend)
        calls = [one.call for one in self._recording.calls]
        self._decodes = [one for one in calls if isinstance(one, DecodeCall)]
        self._of_rows = [one for one in calls if not isinstance(one, DecodeCall)]
        logger.info("decode steps run as one call of %d kernels", len(calls))

    def __call__(self, batch: RaggedBatch) -> Tensor:
        """Logits of every row."""
        assert batch.slot_mapping is not None
        assert batch.block_tables is not None
        num_seqs = batch.num_seqs
        self._slots[:num_seqs].copy_(batch.slot_mapping)
        self._x[:num_seqs].copy_(self._model.embed(batch))
        if self._turns is not None and self._model.rope is not None:
            for own, new in zip(self._turns, self._model.rope(batch, self._x.dtype), strict=True):
                own[:num_seqs].copy_(new)
        for call in self._of_rows:
            call.num_rows = num_seqs
        self._plan_attention(batch.block_tables, batch.context_lens)
        self._recording.run()
        return self._logits[:num_seqs]

    def _plan_attention(self, block_tables: Tensor, context_lens: Tensor) -> None:
        from cblab.attention.numba.backend import PlannedDecode

        plans: dict[AttentionSpec, PlannedDecode] = {}
        for spec, call in zip(self._cache.specs, self._decodes, strict=True):
            if spec not in plans:
                plans[spec] = PlannedDecode(block_tables, context_lens, self._cache.block_size, spec)
            plans[spec].tell(call)
        self._plans = plans  # the kernels read their arrays


def _any_batch(num_seqs: int) -> RaggedBatch:
    """A decode batch of sequences of one token, all of which have block 0."""
    return RaggedBatch(
        input_ids=torch.zeros(num_seqs, dtype=torch.int64),
        positions=torch.zeros(num_seqs, dtype=torch.int64),
        cu_seqlens_q=torch.arange(num_seqs + 1, dtype=torch.int32),
        context_lens=torch.ones(num_seqs, dtype=torch.int32),
        slot_mapping=torch.zeros(num_seqs, dtype=torch.int64),
        block_tables=torch.zeros((num_seqs, 1), dtype=torch.int32),
        num_decodes=num_seqs,
    )

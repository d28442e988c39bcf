"""The kernels as an attention backend: from tensors to addresses, and the tasks of a step.

Kernels get addresses rather than arrays: turning one tensor into an array costs about a microsecond, and a
decode step of a small model calls three kernels a layer.
"""

import logging
from collections.abc import Callable
from functools import cache, partial

import numpy as np
import torch
from torch import Tensor

from cblab.attention.backends import AttentionBackend
from cblab.attention.layout import KVLayout, LayerKV
from cblab.attention.numba import decode as decoding
from cblab.attention.numba import prefill as prefilling
from cblab.attention.numba.softmax import LOG2_E
from cblab.attention.numba.threads import workers
from cblab.attention.numba.tiles import Sizes
from cblab.attention.numba.vector import LANES
from cblab.attention.numba.write import write
from cblab.attention.paged import paged_decode_torch, paged_prefill_torch
from cblab.attention.spec import AttentionSpec

logger = logging.getLogger("cblab.attention")

_COMPILES = "numba kernels: taken from the cache, or compiled now, which takes about a minute once"
_EVERYTHING = 1 << 62
# What a kernel is told of a dtype by: bfloat16 goes as its 16 bits.
_LIKE = {
    torch.float32: np.empty(0, np.float32),
    torch.bfloat16: np.empty(0, np.uint16),
    torch.int8: np.empty(0, np.int8),
}


class PlannedDecode:
    """Paged decode of one step, called once in each layer as `(q, kv)`; see `PlanDecode`."""

    def __init__(
        self, block_tables: Tensor, context_lens: Tensor, block_size: int, spec: AttentionSpec
    ) -> None:
        _say_once(logger.info, _COMPILES)
        self._by_torch = partial(
            paged_decode_torch, block_tables=block_tables, context_lens=context_lens, spec=spec
        )
        self._sizes = {has_scales: _sizes(spec, block_size, has_scales) for has_scales in (False, True)}
        self._scale = np.float32(spec.scale * LOG2_E)
        self._workers = workers()
        sizes = self._sizes[False]
        lengths = context_lens.numpy().astype(np.int64)
        first_splits = np.maximum(lengths - sizes.window, 0) // decoding.SPLIT
        counts = (lengths - 1) // decoding.SPLIT - first_splits + 1
        first_tasks = np.zeros(len(counts) + 1, np.int64)
        np.cumsum(counts, out=first_tasks[1:])
        num_tasks = int(first_tasks[-1])
        rows = num_tasks * spec.num_heads
        # Few tasks are cut into their KV heads, so that every thread has some.
        is_plenty = num_tasks >= 4 * self._workers or self._workers == 1
        self._parts = 1 if is_plenty else spec.num_kv_heads
        self._plan = decoding.Plan(
            tables=np.ascontiguousarray(block_tables.numpy()),
            context_lens=np.ascontiguousarray(context_lens.numpy()),
            seqs=np.repeat(np.arange(len(counts)), counts),
            splits=np.arange(num_tasks) + np.repeat(first_splits - first_tasks[:-1], counts),
            first_tasks=first_tasks,
            finished=np.zeros(len(counts), np.int64),
            next_task=np.empty(1, np.int64),
            highest=np.empty(rows, np.float32),
            totals=np.empty(rows, np.float32),
            sums=np.empty(rows * sizes.padded_dim if num_tasks > len(counts) else 0, np.float32),
            scratch=np.empty(self._workers * decoding.scratch_size_of.py_func(sizes), np.float32),
        )

    def __call__(self, q: Tensor, kv: LayerKV) -> Tensor:
        """`[num_seqs, num_heads, head_dim]` to the same shape."""
        kv.require(KVLayout.HDN, "numba paged_decode")
        if not _computes(q, kv):
            return self._by_torch(q, kv)
        out = torch.empty(q.shape, dtype=torch.float32)
        if q.shape[0]:
            rows = _dense_rows(q)
            decoding.decode(
                rows.data_ptr(),
                _LIKE[q.dtype],
                rows.stride(0),
                self._scale,
                *_addresses(kv),
                _LIKE[kv.keys.dtype],
                self._sizes[kv.key_scales is not None],
                self._plan,
                self._parts,
                out.data_ptr(),
                self._workers,
            )
        return out.to(q.dtype)


def paged_decode(
    q: Tensor, kv: LayerKV, block_tables: Tensor, context_lens: Tensor, spec: AttentionSpec
) -> Tensor:
    """See `PagedDecode`."""
    return PlannedDecode(block_tables, context_lens, kv.block_size, spec)(q, kv)


def paged_prefill(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    kv: LayerKV,
    block_tables: Tensor,
    cu_seqlens_q: Tensor,
    context_lens: Tensor,
    spec: AttentionSpec,
) -> Tensor:
    """See `PagedPrefill`; a task is a tile of queries of one sequence."""
    kv.require(KVLayout.HDN, "numba paged_prefill")
    _say_once(logger.info, _COMPILES)
    if not _computes(q, kv):
        return paged_prefill_torch(q, k, v, kv, block_tables, cu_seqlens_q, context_lens, spec)
    out = torch.empty(q.shape, dtype=torch.float32)
    sizes = _sizes(spec, kv.block_size, kv.key_scales is not None)
    tile_queries = max(1, prefilling.ROWS // sizes.group)
    borders = cu_seqlens_q.numpy().astype(np.int64)
    counts = -(-np.diff(borders) // tile_queries)
    ends = np.cumsum(counts)
    seqs = np.repeat(np.arange(len(counts)), counts)
    num_workers = workers()
    plan = prefilling.Plan(
        np.ascontiguousarray(block_tables.numpy()),
        np.ascontiguousarray(context_lens.numpy()),
        borders,
        seqs,
        (np.arange(len(seqs)) - np.repeat(ends - counts, counts)) * tile_queries + borders[seqs],
        np.empty(1, np.int64),
        np.empty(num_workers * prefilling.scratch_size_of.py_func(sizes), np.float32),
    )
    if len(seqs):
        rows = _dense_rows(q)
        prefilling.prefill(
            rows.data_ptr(),
            _LIKE[q.dtype],
            rows.stride(0),
            np.float32(spec.scale * LOG2_E),
            *_addresses(kv),
            _LIKE[kv.keys.dtype],
            sizes,
            plan,
            tile_queries,
            out.data_ptr(),
            num_workers,
        )
    return out.to(q.dtype)


def write_kv(kv: LayerKV, slot_mapping: Tensor, k: Tensor, v: Tensor) -> None:
    """See `WriteKV`."""
    kv.require(KVLayout.HDN, "numba write_kv")
    if not _computes(k, kv):
        kv.write(slot_mapping, k, v)
    elif slot_mapping.shape[0]:
        keys, values = _dense_rows(k), _dense_rows(v)
        write(
            keys.data_ptr(),
            keys.stride(0),
            values.data_ptr(),
            values.stride(0),
            _LIKE[k.dtype],
            slot_mapping.numpy(),
            *_addresses(kv),
            _LIKE[kv.keys.dtype],
            _LIKE[torch.float32],
            k.shape[1],
            k.shape[2],
            kv.block_size,
            workers(),
        )


NUMBA = AttentionBackend("numba", KVLayout.HDN, paged_decode, paged_prefill, PlannedDecode, write_kv)


def _computes(x: Tensor, kv: LayerKV) -> bool:
    """Whether there is a kernel for such numbers; if not, it is said once."""
    if x.dtype in (torch.float32, torch.bfloat16) and kv.keys.dtype in _LIKE:
        return True
    _say_once(
        logger.warning, f"no numba kernel computes in {x.dtype} over a cache in {kv.keys.dtype}: torch does"
    )
    return False


@cache
def _say_once(say: Callable[[str], None], what: str) -> None:
    say(what)


def _sizes(spec: AttentionSpec, block_size: int, has_scales: bool) -> Sizes:
    return Sizes(
        spec.num_heads,
        spec.num_kv_heads,
        spec.num_heads // spec.num_kv_heads,
        spec.head_dim,
        -(-spec.head_dim // LANES) * LANES,
        block_size,
        spec.sliding_window or _EVERYTHING,
        block_size % LANES == 0 and spec.head_dim >= LANES,
        has_scales,
    )


def _dense_rows(x: Tensor) -> Tensor:
    """x, `[num_tokens, heads, head_dim]`, with the numbers of a token side by side: itself, or a copy."""
    _, heads, head_dim = x.shape
    is_dense = x.stride(2) == 1 and (heads == 1 or x.stride(1) == head_dim)
    return x if is_dense else x.contiguous()


def _addresses(kv: LayerKV) -> tuple[int, int, int, int]:
    """Where keys, values and their scales begin; 0 for scales that there are not."""
    if kv.key_scales is None or kv.value_scales is None:
        return kv.keys.data_ptr(), kv.values.data_ptr(), 0, 0
    return kv.keys.data_ptr(), kv.values.data_ptr(), kv.key_scales.data_ptr(), kv.value_scales.data_ptr()

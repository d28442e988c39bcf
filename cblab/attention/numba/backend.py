"""The kernels as an attention backend: what a call is told, and what goes to torch instead."""

import ctypes
import functools
import logging

import numpy as np
import torch
from torch import Tensor

from cblab.attention.backends import AttentionBackend
from cblab.attention.layout import KVLayout, LayerKV
from cblab.attention.numba import decode as decoding
from cblab.attention.numba import prefill as prefilling
from cblab.attention.numba.decode import DecodeCall
from cblab.attention.numba.kernel import TYPES, Kernel
from cblab.attention.numba.prefill import PrefillCall
from cblab.attention.numba.recording import new_floats
from cblab.attention.numba.softmax import LOG2_E
from cblab.attention.numba.threads import workers
from cblab.attention.numba.vector import LANES
from cblab.attention.numba.write import WriteCall, write
from cblab.attention.paged import paged_decode_torch, paged_prefill_torch
from cblab.attention.spec import AttentionSpec

logger = logging.getLogger("cblab.attention")

_COMPUTED_IN = (torch.float32, torch.bfloat16)
_EVERYTHING = 1 << 30  # a window that nothing is outside of
# Where in a call that begins which all layers of a step have in common.
_OF_STEP = DecodeCall.tables.offset
_WRITTEN_ALONE = 1 << 13  # numbers that one thread has written before another has been woken


class _Planned:
    """A call that is the same in all layers of a step, but for their tensors."""

    _kernel: Kernel
    _call: DecodeCall | PrefillCall
    _workers: int

    def compute(self, q: Tensor, kv: LayerKV, out: Tensor) -> None:
        """From `[num_tokens, num_heads, head_dim]`, a token's numbers side by side, into float32 `out`."""
        call = type(self._call).from_buffer_copy(self._call)
        call.q, call.q_stride, call.out = q.data_ptr(), q.stride(0), out.data_ptr()
        _describe_pool(call, kv)
        self._kernel(call, self._workers, q.dtype, kv.keys.dtype)

    def tell(self, call: DecodeCall | PrefillCall) -> None:
        """Have a noted call of a layer do this; the layer's own tensors stay what they are."""
        size = ctypes.sizeof(call) - _OF_STEP
        ctypes.memmove(ctypes.addressof(call) + _OF_STEP, ctypes.addressof(self._call) + _OF_STEP, size)


class PlannedDecode(_Planned):
    """Attention of one new token a sequence, called once in each layer as `(q, kv)`; see `PagedDecode`."""

    _kernel = decoding.decode

    def __init__(
        self, block_tables: Tensor, context_lens: Tensor, block_size: int, spec: AttentionSpec
    ) -> None:
        self._tensors = block_tables, context_lens
        self._spec = spec
        self._workers = workers()
        # The arrays stay here for as long as the call has their addresses.
        self._tables = np.ascontiguousarray(block_tables.numpy(), np.int32)
        self._lengths = lengths = np.ascontiguousarray(context_lens.numpy(), np.int32)
        self._call = call = DecodeCall(tables=_address(self._tables), max_blocks=self._tables.shape[1])
        _describe(call, spec, block_size)
        first_splits = np.maximum(lengths - call.window, 0) // decoding.SPLIT
        num_tasks = int(((lengths - 1) // decoding.SPLIT + 1 - first_splits).sum())
        rows = num_tasks * spec.num_heads
        # The sum of each split's values is handed on where a sequence has several.
        partial = rows * call.padded_dim if num_tasks > len(lengths) else 0
        scratch = decoding.scratch_size(spec.num_heads, spec.head_dim, call.padded_dim)
        self._floats = np.empty(2 * rows + partial + self._workers * scratch, np.float32)
        self._counters = np.zeros(2 + len(lengths), np.int64)
        call.context_lens = _address(lengths)
        call.num_tasks = num_tasks
        is_enough = num_tasks >= 4 * self._workers or self._workers == 1
        call.num_parts = 1 if is_enough else spec.num_kv_heads
        call.highest = _address(self._floats)
        call.totals = call.highest + 4 * rows
        call.sums = call.totals + 4 * rows
        call.scratch = call.sums + 4 * partial
        call.next_task = _address(self._counters)
        call.num_done, call.finished = call.next_task + 8, call.next_task + 16
        call.num_workers = self._workers

    def __call__(self, q: Tensor, kv: LayerKV) -> Tensor:
        """`[num_seqs, num_heads, head_dim]` to the same shape."""
        kv.require(KVLayout.HDN, "numba paged_decode")
        if not _supports(q, kv):
            return paged_decode_torch(q, kv, *self._tensors, self._spec)
        out = new_floats(q.shape)
        if q.shape[0]:
            self.compute(_dense_rows(q), kv, out)
        return out if out.dtype == q.dtype else out.to(q.dtype)


class PlannedPrefill(_Planned):
    """Attention of chunks of sequences; see `PagedPrefill`."""

    _kernel = prefilling.prefill

    def __init__(
        self,
        block_tables: Tensor,
        cu_seqlens_q: Tensor,
        context_lens: Tensor,
        block_size: int,
        spec: AttentionSpec,
    ) -> None:
        self._workers = workers()
        # The arrays stay here for as long as the call has their addresses.
        self._arrays = tables, lengths, borders = tuple(
            np.ascontiguousarray(one.numpy(), np.int32) for one in (block_tables, context_lens, cu_seqlens_q)
        )
        self._call = call = PrefillCall(tables=_address(tables), max_blocks=tables.shape[1])
        _describe(call, spec, block_size)
        group = spec.num_heads // spec.num_kv_heads
        scratch = prefilling.scratch_size(group, spec.head_dim, call.padded_dim)
        self._room = np.empty(self._workers * scratch, np.float32)
        self._counters = np.zeros(2, np.int64)
        call.context_lens, call.borders, call.num_seqs = _address(lengths), _address(borders), len(lengths)
        call.scratch, call.num_workers = _address(self._room), self._workers
        call.next_task = _address(self._counters)
        call.num_done = call.next_task + 8


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
    """See `PagedPrefill`; the new keys and values are read back from the pool."""
    kv.require(KVLayout.HDN, "numba paged_prefill")
    if not _supports(q, kv):
        return paged_prefill_torch(q, k, v, kv, block_tables, cu_seqlens_q, context_lens, spec)
    out = torch.empty(q.shape, dtype=torch.float32)
    if not q.shape[0]:
        return out.to(q.dtype)
    plan = PlannedPrefill(block_tables, cu_seqlens_q, context_lens, kv.block_size, spec)
    plan.compute(_dense_rows(q), kv, out)
    return out.to(q.dtype)


def write_kv(kv: LayerKV, slot_mapping: Tensor, k: Tensor, v: Tensor) -> None:
    """See `LayerKV.write`, whose bits these are."""
    kv.require(KVLayout.HDN, "numba write")
    if not _supports(k, kv):
        kv.write(slot_mapping, k, v)
        return
    num_tokens, num_kv_heads, head_dim = k.shape
    k, v, slots = _dense_rows(k), _dense_rows(v), slot_mapping.contiguous()
    num_workers = workers() if k.numel() > _WRITTEN_ALONE else 1
    call = WriteCall(
        k=k.data_ptr(),
        k_stride=k.stride(0),
        v=v.data_ptr(),
        v_stride=v.stride(0),
        slots=slots.data_ptr(),
        num_rows=num_tokens,
        num_workers=num_workers,
        num_kv_heads=num_kv_heads,
        head_dim=head_dim,
        block_size=kv.block_size,
    )
    _describe_pool(call, kv)
    write(call, num_workers, k.dtype, kv.keys.dtype)


def _describe(call: DecodeCall | PrefillCall, spec: AttentionSpec, block_size: int) -> None:
    """Tell a call the sizes of a layer; see `Sizes`."""
    call.num_heads, call.num_kv_heads, call.head_dim = spec.num_heads, spec.num_kv_heads, spec.head_dim
    call.padded_dim = -(-spec.head_dim // LANES) * LANES
    call.block_size = block_size
    call.window = spec.sliding_window or _EVERYTHING
    call.in_place = block_size % LANES == 0 and spec.head_dim >= LANES
    call.scale = spec.scale * LOG2_E


def _describe_pool(call: DecodeCall | PrefillCall | WriteCall, kv: LayerKV) -> None:
    call.keys, call.values = kv.keys.data_ptr(), kv.values.data_ptr()
    call.key_scales = 0 if kv.key_scales is None else kv.key_scales.data_ptr()
    call.value_scales = 0 if kv.value_scales is None else kv.value_scales.data_ptr()


def _address(array: np.ndarray) -> int:
    return array.ctypes.data


def _dense_rows(x: Tensor) -> Tensor:
    """x, `[num_tokens, heads, head_dim]`, with the numbers of a token side by side: itself, or a copy."""
    _, heads, head_dim = x.shape
    is_dense = x.stride(2) == 1 and (heads == 1 or x.stride(1) == head_dim)
    return x if is_dense else x.contiguous()


def _supports(x: Tensor, kv: LayerKV) -> bool:
    """Whether the kernels take these; if not, say once that torch does it."""
    if x.dtype in _COMPUTED_IN and kv.keys.dtype in TYPES and x.device.type == kv.keys.device.type == "cpu":
        return True
    _warn(x.dtype, kv.keys.dtype, x.device.type)
    return False


@functools.cache
def _warn(dtype: torch.dtype, stored: torch.dtype, device: str) -> None:
    logger.warning(
        "the numba kernels compute in float32 or bfloat16 on CPUs, over float32, bfloat16 or int8: %s over "
        "%s on %s is left to torch, which is slower",
        *(dtype, stored, device),
    )


NUMBA = AttentionBackend("numba", KVLayout.HDN, paged_decode, paged_prefill, PlannedDecode, write_kv)

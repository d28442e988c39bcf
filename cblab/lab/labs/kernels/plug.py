"""The door between lab 6's decode in threads and the engine: tensors there, numpy arrays and shares here."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cblab.attention.backends import PagedDecode
from cblab.attention.layout import KVLayout, LayerKV
from cblab.attention.spec import AttentionSpec
from cblab.lab.labs.kernels.threads import Task, plan_shares

Decode = Callable[..., Any]
"""`decode(q, keys, values, block_tables, shares, scale)`, on numpy arrays; see `decode_in_threads`."""


def plugged(
    decode: Decode,
    plan: Callable[[Sequence[int], int, int], list[list[Task]]] = plan_shares,
    *,
    split_size: int = 256,
    num_threads: int = 1,
) -> PagedDecode:
    """Return what `Parts(paged_decode=…)` takes, from lab 6's `decode_in_threads` and `plan_shares`.

    Tensors become arrays over the same memory. What the lab's kernel does not know, other numbers than
    float32 and sliding windows, is refused by name.
    """

    def paged_decode(
        q: Tensor, kv: LayerKV, block_tables: Tensor, context_lens: Tensor, spec: AttentionSpec
    ) -> Tensor:
        kv.require(KVLayout.NHD, "lab 6's paged_decode")
        if spec.sliding_window is not None:
            raise ValueError(f"lab 6's kernel knows no sliding window, got {spec.sliding_window}")
        if q.dtype != torch.float32 or kv.keys.dtype != torch.float32:
            raise ValueError(f"lab 6's kernel reads float32, got {q.dtype} over {kv.keys.dtype}")
        if not len(q):
            return torch.empty_like(q)
        shares = plan(context_lens.tolist(), split_size, num_threads)
        out = decode(q.numpy(), kv.keys.numpy(), kv.values.numpy(), block_tables.numpy(), shares, spec.scale)
        return torch.from_numpy(_looked_at(out, q))

    return paged_decode


def _looked_at(out: Any, q: Tensor) -> np.ndarray:
    """What a kernel gave, if it can be the result: an array like the queries."""
    if not isinstance(out, np.ndarray) or out.shape != tuple(q.shape) or out.dtype != np.float32:
        what = f"{out.dtype} of shape {list(out.shape)}" if isinstance(out, np.ndarray) else repr(type(out))
        raise ValueError(f"the kernel gave {what}: float32 of shape {list(q.shape)} was expected")
    return out

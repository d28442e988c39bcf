"""Lab 6's paged decode once more, as a Triton kernel: a program for each KV head of each sequence.

It is the simplest that is right: no splits, one block at a time, products written as sums. The engine's own
is in `cblab.attention.triton`. This module can be imported only where Triton is.
"""

# Kernels keep Triton's customs: capitals for what is known when they are compiled, and no types.
# ruff: noqa: N803
# mypy: allow-untyped-defs

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def decode_kernel(
    q,  # [num_seqs, num_heads, head_dim]
    keys,  # [num_blocks, block_size, num_kv_heads, head_dim]
    values,
    block_tables,  # [num_seqs, max_blocks]
    context_lens,  # [num_seqs]
    out,  # like q
    scale,
    max_blocks,
    GROUP: tl.constexpr,  # query heads of a KV head; all three are powers of two
    BLOCK_SIZE: tl.constexpr,
    HEAD_DIM: tl.constexpr,
):
    """One program: all query heads of one KV head of one sequence, block by block."""
    seq, kv_head, num_kv_heads = tl.program_id(0), tl.program_id(1), tl.num_programs(1)
    context_len = tl.load(context_lens + seq)
    slots, dims = tl.arange(0, BLOCK_SIZE), tl.arange(0, HEAD_DIM)
    heads = kv_head * GROUP + tl.arange(0, GROUP)
    rows = (seq * num_kv_heads * GROUP + heads)[:, None] * HEAD_DIM + dims[None, :]
    query = tl.load(q + rows)  # [GROUP, HEAD_DIM]

    highest = tl.full([GROUP], float("-inf"), tl.float32)
    total = tl.zeros([GROUP], tl.float32)
    sums = tl.zeros([GROUP, HEAD_DIM], tl.float32)
    for index in range(0, tl.cdiv(context_len, BLOCK_SIZE)):
        block = tl.load(block_tables + seq * max_blocks + index).to(tl.int64)
        is_token = index * BLOCK_SIZE + slots < context_len
        places = (block * BLOCK_SIZE + slots) * num_kv_heads + kv_head
        places = places[:, None] * HEAD_DIM + dims[None, :]
        # Keys are [BLOCK_SIZE, HEAD_DIM], loaded once; their scores are [GROUP, BLOCK_SIZE].
        key = tl.load(keys + places, mask=is_token[:, None], other=0.0)
        scores = tl.sum(query[:, None, :] * key[None, :, :], axis=2) * scale
        scores = tl.where(is_token[None, :], scores, float("-inf"))

        top = tl.maximum(highest, tl.max(scores, axis=1))
        factor = tl.exp(highest - top)
        weights = tl.exp(scores - top[:, None])
        highest = top
        total = total * factor + tl.sum(weights, axis=1)
        value = tl.load(values + places, mask=is_token[:, None], other=0.0)
        sums = sums * factor[:, None] + tl.sum(weights[:, :, None] * value[None, :, :], axis=1)

    tl.store(out + rows, sums / total[:, None])


def decode_triton(
    q: Tensor, keys: Tensor, values: Tensor, block_tables: Tensor, context_lens: Tensor, scale: float
) -> Tensor:
    """Paged decode of tensors on a GPU, or on a CPU where Triton interprets; shapes as the kernel says."""
    num_seqs, num_heads, head_dim = q.shape
    _, block_size, num_kv_heads, _ = keys.shape
    out = torch.empty_like(q)
    decode_kernel[(num_seqs, num_kv_heads)](
        q,
        keys,
        values,
        block_tables,
        context_lens,
        out,
        scale,
        block_tables.shape[1],
        GROUP=num_heads // num_kv_heads,
        BLOCK_SIZE=block_size,
        HEAD_DIM=head_dim,
    )
    return out

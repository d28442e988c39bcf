# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Lab 6 · Kernels: attention over a paged cache
#
# > **The question.** "Our engine batches well and wastes no memory. Still, with long conversations a step
# > takes several times as long as with short ones, and the profiler says that the processor is busy with
# > attention while its arithmetic units do nothing. What is it waiting for, and how fast could it be?"
#
# In a decode step every request has one new token, and that token looks back at everything before it: all
# its keys, to find out what matters, and all its values, to take it in. They lie in blocks, anywhere in the
# pool. The function that reads them is the *kernel*, and this lab is about writing one: first as plain
# loops, then block by block, then in several threads, each time with the same question. How many bytes did
# it read, and how many did it have to?
#
# **At the end you can**
# - count the FLOPs and bytes of attention, place a kernel on the roofline, and predict its time;
# - say what a gather moves, and what it costs;
# - compute a softmax in one pass, over any parts of a context, in any order, and merge the parts;
# - write paged decode attention with Numba, share a long context out among threads, and run it in the engine;
# - read the same kernel in Triton, and tile the attention of a prompt so that its memory does not grow with
#   the square of its length.
#
# **Time.** Two sittings, reading included.
# - *First*, about 90 minutes: sections 1–6 with exercises 6.1–6.7. Your kernel runs the engine.
# - *Second*, about 75 minutes: sections 7–9 with exercises 6.8 and 6.9, and the assessment.
# - *Bonus*, about 10 minutes: section 10.
#
# **You need** Python, numpy, and a little PyTorch. Labs 1 to 5 help and are not needed. No GPU and no
# network.
#
# **How it works.** You *predict* a number, fill in a *blank*, *check* it, and then *measure* with what you
# wrote. A blank is a line that says `raise NotImplementedError`: put your own lines in its place, and
# change nothing else (6.4, 6.5 and 6.7 have two blanks each). An answer must stand alone: besides what its
# text names, it may use only what its own cell and the set-up cell (the next one) define. If you are stuck,
# `hint("6.1")` in a new cell gives the next hint. Where you skip an exercise, the cells after it use the
# course's own version and say so.
#
# **Times** in this lab are those of your machine, and nothing is graded by them. Grades are for results,
# for bytes and for work, which are counted and the same everywhere.

# %% tags=["setup"]
import math

import numpy as np
import torch
from numba import njit

from cblab.lab.labs.kernels.threads import run_in_threads

# For Numba: sums may be taken in any order, which vector instructions need; inf and NaN stay as
# they are.
FAST = {"reassoc", "contract", "nsz"}

# %%
import os
import shutil
import time

# Where there is no GPU, Triton is to interpret its kernels. It reads this when first imported.
if shutil.which("nvidia-smi") is None:
    os.environ.setdefault("TRITON_INTERPRET", "1")

from IPython.display import display

from cblab import LLM, SamplingParams, viz
from cblab.attention.backends import get_backend
from cblab.attention.layout import KVLayout
from cblab.attention.spec import AttentionSpec
from cblab.core.parts import Parts
from cblab.lab import best, check, hint, predict, reveal  # noqa: F401
from cblab.lab.labs.kernels.measure import first_call_seconds, in_layout, machine_limits, random_cache
from cblab.lab.labs.kernels.plug import plugged
from cblab.lab.labs.kernels.reading import source_of
from cblab.lab.labs.kernels.running import count_loads, count_tensor_work
from cblab.lab.labs.memory_math.live import LiveMemory
from cblab.lab.labs.memory_math.machine import best_seconds

# %% [markdown]
# ## 1 · What a step of attention has to read
#
# One new token of one request, one layer. For each query head and each token of the context there is a
# product of two rows of `head_dim` numbers (the score), and then a row of `head_dim` numbers is weighed and
# added (the value). A multiplication and an addition are 2 FLOPs. What is read are the rows of the KV heads:
# with *grouped-query attention* (GQA) several query heads share one, and its keys and values are read once
# for all of them, if the kernel is written so.
#
# ### Exercise 6.1 · Count FLOPs and bytes
# *easy · 4 minutes · about 4 lines*


# %% exercise="6.1"
def decode_cost(
    context_lens: list[int], num_heads: int, num_kv_heads: int, head_dim: int, bytes_per_number: int
) -> tuple[int, int]:
    """FLOPs and bytes of one layer's attention in a decode step: one new token a request.

    context_lens: tokens of each request, the new one counted. Each query head takes a product
    with every key of its context, and weighs every value; the softmax is not counted. Each key
    and value is read once; queries and results are too small to count. Returns (FLOPs, bytes).
    """
    ### BEGIN SOLUTION
    tokens = sum(context_lens)
    flop = 4 * num_heads * head_dim * tokens
    num_bytes = 2 * num_kv_heads * head_dim * bytes_per_number * tokens
    return flop, num_bytes
    ### END SOLUTION


# %% check="6.1"

# %% [markdown]
# Here is the cache that this lab measures on: 8 requests of 1,000 tokens, 16 query heads over 4 KV heads of
# 64 numbers, float32, in blocks of 16 tokens that lie anywhere in the pool.

# %%
CONTEXT_LENS, NUM_HEADS, NUM_KV_HEADS, HEAD_DIM, BLOCK_SIZE = [1_000] * 8, 16, 4, 64, 16
SCALE = HEAD_DIM**-0.5
cache = random_cache(CONTEXT_LENS, NUM_HEADS, NUM_KV_HEADS, HEAD_DIM, BLOCK_SIZE)
q, keys, values, block_tables, context_lens = cache
flop, kv_bytes = best("6.1")(CONTEXT_LENS, NUM_HEADS, NUM_KV_HEADS, HEAD_DIM, 4)
print(f"{flop / 1e6:.1f} MFLOP, {kv_bytes / 1e6:.1f} MB: {flop / kv_bytes:.0f} FLOP for each byte")

# %% [markdown]
# Two FLOPs for each byte, and neither the number of requests nor the length of their contexts changes that:
# both sides grow alike. Now your machine: how many bytes can it read in a second, and how many FLOPs can it
# do?

# %% tags=["nbval-ignore-output"]
bytes_per_s, flop_per_s = machine_limits()
print(f"reads {bytes_per_s / 1e9:.1f} GB/s, computes {flop_per_s / 1e9:.0f} GFLOP/s", end=": ")
print(f"{flop_per_s / bytes_per_s:.0f} FLOP in the time of a byte (the ridge)")
print(f"at least {1e3 * kv_bytes / bytes_per_s:.2f} ms for the bytes", end=", ")
print(f"{1e3 * flop / flop_per_s:.2f} ms for the arithmetic", end=": bound by ")
print("memory" if kv_bytes / bytes_per_s > flop / flop_per_s else "arithmetic, which is rare")

# %% [markdown]
# Below the ridge the bytes take longer than the arithmetic: decode attention is *bound by memory*. That is so
# on nearly every machine, and most of all on a GPU, whose ridge is far above 2 FLOPs a byte. Its time is the
# bytes that the kernel moves, divided by the bandwidth, if it is a good one.
#
# ## 2 · The naive gather
#
# **The naive way** to attend over a paged cache makes it contiguous first: copy each request's blocks side
# by side, repeat the KV heads for their query heads, and call the attention that one has.


# %%
def gather_decode(q, keys, values, block_tables, context_lens, scale):
    """Paged decode with a gather, on tensors."""
    group = q.shape[1] // keys.shape[2]
    hidden = torch.arange(block_tables.shape[1] * keys.shape[1]) >= context_lens[:, None]
    k = keys[block_tables].flatten(1, 2)  # a copy, [num_seqs, num_tokens, num_kv_heads, head_dim]
    v = values[block_tables].flatten(1, 2)
    # And a larger one, [num_seqs, num_heads, num_tokens, head_dim]: products take it as it is.
    k, v = (x.transpose(1, 2).repeat_interleave(group, dim=1) for x in (k, v))
    scores = q[:, :, None] @ k.transpose(2, 3) * scale  # [num_seqs, num_heads, 1, num_tokens]
    weights = torch.softmax(scores.masked_fill(hidden[:, None, None], float("-inf")), dim=-1)
    return (weights @ v)[:, :, 0]


arrays = q, keys, values, block_tables.astype(np.int64), context_lens
tensors = [torch.from_numpy(array) for array in arrays]
expected = gather_decode(*tensors, SCALE).numpy()

# %% [markdown]
# **Predict**: how much memory does this call need at its worst moment, in multiples of the keys and values
# that it has to read?

# %% predict="6.1a"
### BEGIN SOLUTION
times_the_cache = 5
### END SOLUTION
predict("6.1a", times_the_cache, unit="times the keys and values")

# %%
with LiveMemory() as memory:
    gather_decode(*tensors, SCALE)
print(f"{kv_bytes / 1e6:.1f} MB of keys and values, {memory.peak / 1e6:.1f} MB made in addition")
reveal("6.1a", round(memory.peak / kv_bytes, 1))

# %% [markdown]
# And every byte that is made is written and read again. Count what crosses the memory bus: the pool is read
# and the copy written (2), the copy read and the repeated one written (1 + 4, for 4 query heads a KV head),
# and the repeated one read (4): 11 times what is needed. That is the least: with the heads behind the tokens,
# as the pool has them, torch's products would silently copy once more (19 times). If memory is what it waits
# for, it takes at least 11 times the shortest time:

# %% tags=["nbval-ignore-output"]
gather_s = best_seconds(lambda: gather_decode(*tensors, SCALE), 3)
print(f"the shortest time: {1e3 * kv_bytes / bytes_per_s:6.2f} ms")
print(f"11 times that:     {11e3 * kv_bytes / bytes_per_s:6.2f} ms")
print(f"measured:          {1e3 * gather_s:6.2f} ms")

# %% [markdown]
# What is measured beyond that is the price of new memory (a system hands it out page by page) and of
# products that are not made for such shapes. cblab's own torch backend copies too, but a few blocks at a
# time, so that the copy never leaves the processor's cache; it is in section 5's table.
#
# A kernel reads each block where it lies, and copies nothing. What stands in its way is the softmax.
#
# ## 3 · Softmax in pieces
#
# Attention weighs each value with e^score and divides by the sum of all weights. **The naive way** takes it
# literally, and breaks for scores that are nothing special:

# %%
scores = np.array([20.0, 60.0, 100.0], np.float32)
with np.errstate(over="ignore", invalid="ignore"):
    literal = np.exp(scores) / np.exp(scores).sum()
shifted = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
print("e^score:            ", literal)
print("e^(score - highest):", shifted)

# %% [markdown]
# float32 ends near e^88. Taking the highest score off all of them changes nothing in the result and keeps
# every weight at most 1. But now there are *two passes*: one to find the highest score, one for the weights.
# With a long context the scores have to be kept in between, or computed twice.
#
# **Online softmax** needs one pass (Milakov and Gimelshein, 2018). Keep three things while going through the
# tokens tile by tile: the highest score so far, the sum of weights so far, and the weighted values so far.
# When a tile brings a higher score, everything so far was computed with the wrong one, and all of it by the
# same factor, e^(old highest - new highest). Multiply, and go on.
#
# ### Numba
#
# What follows is compiled: `@njit` makes machine code of a Python function over numbers and numpy arrays,
# the first time it is called with arguments of some types. That takes seconds. The cells below print how many
# wherever a kernel of yours is first called; a check compiles it once more for itself, and takes as long.
# `nogil=True` lets other threads run meanwhile.
#
# Write *loops over single numbers*: they are the right style here. Numba knows a part of numpy only: `max`
# and `min` with `axis=`, for example, are right as Python and cannot be compiled.
#
# ### Exercise 6.2 · Fold a tile into a running softmax
# *medium · 8 minutes · about 11 lines*


# %% exercise="6.2"
@njit(nogil=True, fastmath=FAST)
def fold(scores, count, highest, total, sums):
    """Take a tile of scores into a running softmax, in place; returns nothing.

    scores: `[num_heads, tile]`, float32. The first `count` (at least 1) of each row are scores
    and become their weights, `math.exp(score - new highest)`; the rest is not touched.
    highest, total: `[num_heads]`, the highest score so far (-inf at the beginning) and the sum
    of weights.
    sums: `[num_heads, head_dim]`, the weighted values so far. Brought to the new highest score;
    the tile's own values are added later, by the caller.
    """
    ### BEGIN SOLUTION
    for head in range(len(highest)):
        top = highest[head]
        for slot in range(count):
            top = max(top, scores[head, slot])
        factor = math.exp(highest[head] - top)
        highest[head] = top
        total[head] *= factor
        for d in range(sums.shape[1]):
            sums[head, d] *= factor
        for slot in range(count):
            scores[head, slot] = math.exp(scores[head, slot] - top)
            total[head] += scores[head, slot]
    ### END SOLUTION


# %% check="6.2"

# %% [markdown]
# The check runs your function twice: as Python first, where an index that is out of bounds is an error, and
# then compiled. How long does compiling take on your machine? **Predict**, in seconds:

# %% predict="6.2a"
### BEGIN SOLUTION
seconds_to_compile = 1.0
### END SOLUTION
predict("6.2a", seconds_to_compile, unit="s")

# %% tags=["nbval-ignore-output"]
fold_tile = best("6.2")
state = np.full(2, -np.inf, np.float32), np.zeros(2, np.float32), np.zeros((2, 4), np.float32)
tile = np.array([[1.0, 3.0, 2.0], [0.0, -1.0, 5.0]], np.float32)
seconds = [first_call_seconds(fold_tile, tile.copy(), 3, *state) for _ in range(2)]
print(f"first call {seconds[0]:.2f} s, second call {1e6 * seconds[1]:.0f} µs")
reveal("6.2a", round(seconds[0], 2))

# %% [markdown]
# ### Partial results
#
# The state after some tiles, `(highest, total, sums)`, is all that is worth knowing about those tokens: a
# *partial result*. Two partial results of different tokens can be merged, in the same way in which a tile
# is folded in. So the tokens of a context may be visited in any order, by anybody, in any pieces. That is
# the whole secret of fast attention.
#
# ### Exercise 6.3 · Merge partial results
# *medium · 6 minutes · about 7 lines*


# %% exercise="6.3"
def merge(partials: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> np.ndarray:
    """The attention over all tokens, `[num_heads, head_dim]`, from partial results.

    partials: (highest `[num_heads]`, total `[num_heads]`, sums `[num_heads, head_dim]`) of each
    part; its weights are e^(score - its own highest). A part without any token has -inf, 0 and
    0; there is always one with tokens.
    """
    ### BEGIN SOLUTION
    highest = np.max([part[0] for part in partials], axis=0)
    total, sums = np.zeros_like(partials[0][1]), np.zeros_like(partials[0][2])
    for part_highest, part_total, part_sums in partials:
        factor = np.exp(part_highest - highest)
        total += factor * part_total
        sums += factor[:, None] * part_sums
    return sums / total[:, None]
    ### END SOLUTION


# %% check="6.3"

# %% [markdown]
# The proof is a test: cut a context at random places, compute each part alone, shuffle the parts, merge. The
# result has to be that of the definition, always.

# %%
rng = np.random.default_rng(0)
merge_parts, worst = best("6.3"), 0.0
for _ in range(300):
    one_q, (ks, vs) = rng.standard_normal((3, 8)), rng.standard_normal((2, 40, 8))
    all_scores = one_q @ ks.T
    weights = np.exp(all_scores - all_scores.max(axis=1, keepdims=True))
    definition = weights @ vs / weights.sum(axis=1, keepdims=True)
    parts = []
    cuts = np.sort(rng.choice(np.arange(1, 40), rng.integers(0, 9)))
    for part in np.split(rng.permutation(40), cuts):
        if len(part):
            top = all_scores[:, part].max(axis=1)
            weights = np.exp(all_scores[:, part] - top[:, None])
            parts.append((top, weights.sum(axis=1), weights @ vs[part]))
    rng.shuffle(parts)
    worst = max(worst, np.abs(merge_parts(parts) - definition).max())
print("300 random cuts, largest difference below 1e-12:", worst < 1e-12)

# %% [markdown]
# ## 4 · A kernel in loops
#
# Now the first kernel: no copy, no gather, nothing clever. One query head after the other walks through its
# context, looking up each token's block, and takes the softmax in two passes.
#
# ### Exercise 6.4 · Paged decode in loops
# *medium · 10 minutes · about 7 lines and about 7 lines*


# %% exercise="6.4"
@njit(nogil=True, fastmath=FAST)
def decode_loops(q, keys, values, block_tables, context_lens, scale):
    """Paged decode: each sequence's one query over its whole context; returns an array
    like `q`. All numbers are float32.

    q: `[num_seqs, num_heads, head_dim]`.
    keys, values: `[num_blocks, block_size, num_kv_heads, head_dim]`.
    block_tables: `[num_seqs, max_blocks]`; position p of a sequence is in block
    `table[p // block_size]`, slot `p % block_size`.
    context_lens: `[num_seqs]`; behind a context's end there is what others left.

    Query head h reads KV head `h // group`. Scores are multiplied with `scale`.
    """
    num_seqs, num_heads, head_dim = q.shape
    _, block_size, num_kv_heads, _ = keys.shape
    group = num_heads // num_kv_heads
    out = np.zeros_like(q)
    scores = np.empty(block_tables.shape[1] * block_size, np.float32)
    for seq in range(num_seqs):
        for head in range(num_heads):
            highest = np.float32(-np.inf)
            # First pass: scores[position] of every token, and the highest of them.
            ### BEGIN SOLUTION
            for position in range(context_lens[seq]):
                block, slot = block_tables[seq, position // block_size], position % block_size
                score = np.float32(0.0)
                for d in range(head_dim):
                    score += q[seq, head, d] * keys[block, slot, head // group, d]
                scores[position] = score * scale
                highest = max(highest, scores[position])
            ### END SOLUTION
            total = np.float32(0.0)
            # Second pass: weights in the place of the scores, and their sum; then weighted values.
            ### BEGIN SOLUTION
            for position in range(context_lens[seq]):
                scores[position] = math.exp(scores[position] - highest)
                total += scores[position]
            for position in range(context_lens[seq]):
                block, slot = block_tables[seq, position // block_size], position % block_size
                for d in range(head_dim):
                    out[seq, head, d] += scores[position] / total * values[block, slot, head // group, d]
            ### END SOLUTION
    return out


# %% check="6.4"

# %% tags=["nbval-ignore-output"]
loops = best("6.4")
arguments = q, keys, values, block_tables, context_lens, SCALE
print(f"first call (compiles): {first_call_seconds(loops, *arguments):.2f} s")
loops_s = best_seconds(lambda: loops(*arguments), 3)
print(f"gather {1e3 * gather_s:.1f} ms, loops {1e3 * loops_s:.1f} ms in one thread", end=", ")
print(f"the shortest time is {1e3 * kv_bytes / bytes_per_s:.2f} ms")

# %%
difference = np.abs(loops(*arguments) - expected).max()
print("largest difference to the definition below 1e-5:", difference < 1e-5)

# %% [markdown]
# ### Break it: the end of the last block
#
# A request of 1,008 tokens fills 63 blocks exactly. One of 1,000 does not: 8 slots of its last block hold
# what their former owner left. **Predict**: if a kernel reads the last block to its end, what share of a
# request's weight goes to somebody else's tokens, in a context of 25 tokens in blocks of 16? (All scores
# alike; 0 to 1.)

# %% predict="6.4a"
### BEGIN SOLUTION
share_leaked = 0.2
### END SOLUTION
predict("6.4a", share_leaked, unit="of the weight")

# %%
leaky = np.zeros((1, 2, 2), np.float32)  # queries of 0: all scores are alike
pool_k, pool_v = np.zeros((3, 16, 1, 2), np.float32), np.zeros((3, 16, 1, 2), np.float32)
table = np.array([[2, 1]], np.int32)
pool_v[1, 9:] = 1.0  # the former owner's values: 1, and the request's own are 0
for name, length in (("to the context's end", 25), ("to the block's end", 32)):
    leaked = loops(leaky, pool_k, pool_v, table, np.array([length], np.int32), 1.0)
    print(f"read {name}: {leaked[0, 0, 0]:.3f} of the result is somebody else's")
reveal("6.4a", round(7 / 32, 2))

# %% [markdown]
# No error, no NaN: an answer that is a fifth somebody else's. In the cache of a real model the stale scores
# are not alike, and the leak is anything from nothing to all.
#
# ### Where the bytes go
#
# The loops need no copy, and are still far from the shortest time. Count what they read. `count_loads` runs
# a kernel as Python over arrays that count: a *row* is one token's keys (or values) of one KV head, and a
# row has to be loaded unless it is among the last few used. **Predict**: 300 tokens, 6 query heads over 2
# KV heads, so 600 rows of keys. How often is a row of keys loaded by the loops, if 32 rows are kept?

# %% predict="6.5a"
### BEGIN SOLUTION
loads_of_keys = 1800
### END SOLUTION
predict("6.5a", loads_of_keys, unit="loads")

# %%
small = random_cache([300], 6, 2, 4, 16)
loads = count_loads(loops, small[:1], *small[1:3], (*small[3:], 0.5), 32)
print(f"{300 * 2} rows of keys, {loads[0]} loads; {300 * 2} rows of values, {loads[1]} loads")
reveal("6.5a", loads[0])

# %% [markdown]
# Each query head walks through the whole context before the next one begins, and by then the rows are gone
# from the small, fast caches. How far they have to come from then depends on the machine: the last and
# largest cache of a server's processor may hold all 16 MB of section 1. From anywhere further, it is `group`
# times the bytes: GQA was bought for nothing.
#
# ## 5 · Block by block
#
# Turn the loops around: take a *block*, and let all query heads use it while it is there. Now a head cannot
# finish its softmax before the next head begins, so it keeps a running one: `fold`, from exercise 6.2. And
# since a running softmax may begin anywhere, the kernel takes a range of tokens and leaves a partial result.
#
# ### Exercise 6.5 · Block by block
# *medium · 10 minutes · about 5 lines and about 4 lines*
#
# The second part of the check counts loads with a single row kept: the heads of a group have to use a row
# one after the other.


# %% exercise="6.5"
@njit(nogil=True, fastmath=FAST)
def attend(q, keys, values, block_table, start, end, scale, highest, total, sums):
    """One sequence's query over its tokens `start` to `end - 1`: a partial result, in place.

    q: `[num_heads, head_dim]`.
    keys, values: `[num_blocks, block_size, num_kv_heads, head_dim]`.
    block_table: `[max_blocks]`. start: a multiple of block_size.
    highest, total: `[num_heads]`, -inf and 0 at the beginning. sums: `[num_heads, head_dim]`, 0
    at the beginning. `fold` is there to be used. Returns nothing.
    """
    num_heads, head_dim = q.shape
    _, block_size, num_kv_heads, _ = keys.shape
    group = num_heads // num_kv_heads
    scores = np.empty((num_heads, block_size), np.float32)
    for first in range(start, end, block_size):
        block = block_table[first // block_size]
        count = min(block_size, end - first)
        # scores[head, slot] of the block's first `count` slots, times scale.
        ### BEGIN SOLUTION
        for slot in range(count):
            for head in range(num_heads):
                score = np.float32(0.0)
                for d in range(head_dim):
                    score += q[head, d] * keys[block, slot, head // group, d]
                scores[head, slot] = score * scale
        ### END SOLUTION
        fold(scores, count, highest, total, sums)
        # The scores are weights now: add the weighted values of these slots to sums.
        ### BEGIN SOLUTION
        for slot in range(count):
            for head in range(num_heads):
                for d in range(head_dim):
                    sums[head, d] += scores[head, slot] * values[block, slot, head // group, d]
        ### END SOLUTION


# %% check="6.5"

# %% tags=["nbval-ignore-output"]
block_kernel = best("6.5")


def new_state(num_heads, head_dim):
    """A running softmax before its first token."""
    return (
        np.full(num_heads, -np.inf, np.float32),
        np.zeros(num_heads, np.float32),
        np.zeros((num_heads, head_dim), np.float32),
    )


one_request = q[0], keys, values, block_tables[0], 0, CONTEXT_LENS[0], SCALE
seconds = first_call_seconds(block_kernel, *one_request, *new_state(NUM_HEADS, HEAD_DIM))
print(f"first call (compiles): {seconds:.2f} s")


# %%
def decode_blocks(q, keys, values, block_tables, context_lens, scale):
    """Paged decode with your `attend`, one sequence after the other."""
    out = np.empty_like(q)
    for seq, length in enumerate(context_lens):
        highest, total, sums = new_state(*q.shape[1:])
        own = q[seq], keys, values, block_tables[seq], 0, length, scale
        block_kernel(*own, highest, total, sums)
        out[seq] = sums / total[:, None]
    return out


print("largest difference below 1e-5:", np.abs(decode_blocks(*arguments) - expected).max() < 1e-5)
after = (small[3][0], 0, 300, 0.5, *new_state(6, 4))
loads = count_loads(block_kernel, (small[0][0],), *small[1:3], after, 1)
print(f"600 rows of keys, {loads[0]} loads; 600 rows of values, {loads[1]} loads")

# %% [markdown]
# Now all of them beside each other, and cblab's own kernel with them. **It is compiled the first time that it
# runs on a machine**: 10 to 30 seconds, once, and then it is kept on disk. `compiling the kernel …` on a red
# ground is that, and no error.

# %% tags=["nbval-ignore-output"]
blocks_s = best_seconds(lambda: decode_blocks(*arguments), 3)
numba_cblab = get_backend("numba", "cpu")
spec = AttentionSpec(NUM_HEADS, NUM_KV_HEADS, HEAD_DIM, SCALE)
own_pool = in_layout(keys, values, numba_cblab.layout)
own_arguments = tensors[0], own_pool, torch.from_numpy(block_tables), tensors[4], spec
seconds = first_call_seconds(numba_cblab.decode, *own_arguments)
print(f"cblab's own kernel, first call: {seconds:.2f} s")
own_s = best_seconds(lambda: numba_cblab.decode(*own_arguments), 5)
torch_pool = in_layout(keys, values, KVLayout.NHD)
torch_decode = get_backend("torch", "cpu").decode
torch_s = best_seconds(lambda: torch_decode(tensors[0], torch_pool, *own_arguments[2:]), 3)
times = {"gather": gather_s, "torch, grouped": torch_s, "loops": loops_s, "blocks": blocks_s}
count = torch.get_num_threads()
times[f"cblab's own, {count} thread{'s' * (count > 1)}"] = own_s
bytes_now, flop_now = machine_limits()  # once more: the first time something else may have run
bytes_per_s, flop_per_s = max(bytes_per_s, bytes_now), max(flop_per_s, flop_now)
for name, seconds in times.items():
    rate = kv_bytes / seconds
    print(f"{name:26} {1e3 * seconds:7.2f} ms, {rate / 1e9:5.1f} GB/s,", end=" ")
    print(f"{rate / bytes_per_s:4.0%} of the bandwidth")

# %% [markdown]
# The bandwidth is the better of two measurements. More than 100 % of it means that a part came from a cache,
# or that something else ran both times.
#
# On the roofline each kernel stands at the FLOPs that it does for each byte *that it moves*. How far up is
# measured. How far right is *counted*: the gather moves 11 times the bytes, and the loops load each row once
# for each of its 4 query heads, if no cache keeps it.

# %% tags=["nbval-ignore-output"]
moved = {"gather": 11, "loops": 4}
points = {}
for name, seconds in times.items():
    if name != "torch, grouped":
        label = f"{name} ({moved[name]} times the bytes)" if name in moved else name
        points[label] = flop / (kv_bytes * moved.get(name, 1)), flop / seconds
viz.roofline_picture(
    bytes_per_s,
    flop_per_s,
    points,
    caption="The same work: further right moves fewer bytes (counted), further up takes less time.",
)

# %% [markdown]
# cblab's own kernel computes with 16 tokens at a time, which needs another order of the axes in the pool
# (`KVLayout.HDN`), and asks for blocks before it needs them. It is in `cblab/attention/numba`; `decode.py`
# and `tiles.py` are yours to read now.
#
# ## 6 · Which thread reads what
#
# One thread rarely asks for bytes as fast as memory could deliver them. So the work is shared out, and the
# first idea is one request a thread. **Predict**: three requests of 320, 32 and 32 tokens and 2 threads,
# each request as a whole to one thread, as well as it goes. What is the best speed-up over one thread?

# %% predict="6.6a"
### BEGIN SOLUTION
speed_up = 1.2
### END SOLUTION
predict("6.6a", speed_up, unit="times")

# %% [markdown]
# A long request has to be *split* (Flash-Decoding, 2023): partial results make it possible. How? Splits of a
# fixed *size* and not of a fixed *number*. Sums of floating-point numbers depend on their order, so with a
# number that follows from the batch or the machine the same request would give other bits in other company.
#
# ### Exercise 6.6 · Share out the work
# *medium · 6 minutes · about 9 lines*


# %% exercise="6.6"
def plan_shares(
    context_lens: list[int], split_size: int, num_threads: int
) -> list[list[tuple[int, int, int]]]:
    """Cut every context into splits, and share them out among threads.

    Splits begin at multiples of `split_size`; only a context's last one may be shorter. A task
    is (sequence, first token, token behind the last). Returns one list of tasks for each
    thread. The busiest thread has to have at most `split_size` tokens more than the average: it
    is enough to give each task to the thread that has the fewest tokens so far.
    """
    ### BEGIN SOLUTION
    shares = [[] for _ in range(num_threads)]
    tokens = [0] * num_threads
    for seq, length in enumerate(context_lens):
        for start in range(0, length, split_size):
            end = min(start + split_size, length)
            thread = tokens.index(min(tokens))
            shares[thread].append((seq, start, end))
            tokens[thread] += end - start
    return shares
    ### END SOLUTION


# %% check="6.6"

# %%
plan = best("6.6")
three_lens = [320, 32, 32]
three = random_cache(three_lens, 4, 2, 8, 16)
whole = [[(0, 0, 320)], [(1, 0, 32), (2, 0, 32)]]
busiest = max(sum(end - start for _, start, end in share) for share in whole)
display(reveal("6.6a", sum(three_lens) / busiest))
viz.thread_blocks(
    [("whole requests", whole), ("your splits of 64", plan(three_lens, 64, 2))],
    [row[: -(-length // 16)].tolist() for row, length in zip(three[3], three_lens, strict=True)],
    block_size=16,
    caption="A box is a block, with its place in the pool; its colour is the thread that reads it.",
)

# %% [markdown]
# ### Break it: two threads, one state
#
# The tasks of a sequence could all fold into the *same* `(highest, total, sums)`: one after the other that
# is exactly right. In two threads at once it is not, because each reads, multiplies and writes back without
# knowing of the other. **Predict**: in how many of 100 runs is the result wrong?

# %% predict="6.7a"
### BEGIN SOLUTION
wrong_runs = 100
### END SOLUTION
predict("6.7a", wrong_runs, unit="of 100 runs")

# %% tags=["nbval-ignore-output"]
halves = [[(0, 0, 496)], [(0, 496, 1_000)]]
wrong = 0
for _ in range(100):
    shared = new_state(NUM_HEADS, HEAD_DIM)  # one for both

    def attend_to_shared(task):
        seq, start, end = task
        own = q[seq], keys, values, block_tables[seq], start, end, SCALE
        block_kernel(*own, *shared)  # noqa: B023

    run_in_threads(attend_to_shared, halves)
    wrong += bool(np.abs(shared[2] / shared[1][:, None] - expected[0]).max() > 1e-4)
reveal("6.7a", wrong)

# %% [markdown]
# A *race*: it may be wrong nearly always or nearly never, depending on the machine and on what else runs on
# it, and a test that passes proves nothing. The cure is not to share: each task has a state of its own, and
# the states are merged when all are finished.
#
# ### Exercise 6.7 · Decode in threads
# *hard · 10 minutes · about 6 lines and about 2 lines*


# %% exercise="6.7"
def decode_in_threads(
    q: np.ndarray,
    keys: np.ndarray,
    values: np.ndarray,
    block_tables: np.ndarray,
    shares: list[list[tuple[int, int, int]]],
    scale: float,
) -> np.ndarray:
    """Paged decode by tasks, a thread for each share of them.

    `run_in_threads(work, shares)` calls `work(task)` for every task.

    Shapes as in `decode_loops`; shares as from `plan_shares`. Every task writes a partial
    result of its own to `partials[task]`; a sequence's parts are merged in the order of its
    tokens, so that the result is the same to the last bit whoever was finished first. `attend`
    and `merge` are there to be used. Returns an array like `q`.
    """
    num_seqs, num_heads, head_dim = q.shape
    partials = {}

    def work(task: tuple[int, int, int]) -> None:
        ### BEGIN SOLUTION
        seq, start, end = task
        highest = np.full(num_heads, -np.inf, np.float32)
        total = np.zeros(num_heads, np.float32)
        sums = np.zeros((num_heads, head_dim), np.float32)
        attend(q[seq], keys, values, block_tables[seq], start, end, scale, highest, total, sums)
        partials[task] = highest, total, sums
        ### END SOLUTION

    run_in_threads(work, shares)
    out = np.zeros_like(q)
    ### BEGIN SOLUTION
    for seq in range(num_seqs):
        out[seq] = merge([partials[task] for task in sorted(partials) if task[0] == seq])
    ### END SOLUTION
    return out


# %% check="6.7"

# %%
threaded = best("6.7")
results = {
    count: threaded(q, keys, values, block_tables, plan(CONTEXT_LENS, 256, count), SCALE)
    for count in (1, 2, 3)
}
print("largest difference below 1e-5:", np.abs(results[2] - expected).max() < 1e-5)
same = all(np.array_equal(results[1], one) for one in results.values())
print("the same bits in 1, 2 and 3 threads:", same)
one_long = plan([20_000], 256, 8)
busiest = max(sum(end - start for _, start, end in share) for share in one_long)
print(f"one request of 20,000 tokens, 8 threads: {sum(map(len, one_long))} splits,", end=" ")
print(f"{busiest:,} tokens for the busiest")

# %% tags=["nbval-ignore-output"]
long_cache = random_cache([8_000], NUM_HEADS, NUM_KV_HEADS, HEAD_DIM, BLOCK_SIZE)
for name, (a, b, c, d, lens) in (("8 requests", cache), ("one long request", long_cache)):
    for count in (1, 2):
        shares = plan(lens.tolist(), 256, count)
        seconds = best_seconds(lambda: threaded(a, b, c, d, shares, SCALE), 3)  # noqa: B023
        print(f"{name:17} {count} thread{'s' * (count > 1)}: {1e3 * seconds:6.2f} ms,", end=" ")
        print(f"{(b.nbytes + c.nbytes) / seconds / 1e9:5.1f} GB/s")

# %% [markdown]
# A second thread helps where a core is free for it and memory can deliver more than one core asks for. On a
# busy or a small machine it may be no faster, or even slower: starting threads and merging parts cost time
# too.
#
# ### Plug it in
#
# The engine takes a kernel through `Parts(paged_decode=…)`; `plugged` hands it the tensors as arrays and
# your plan. Prompts are still computed by torch: yours is the kernel of every token after them, in one
# thread, because for contexts as short as these starting more takes longer than the work.
#
# The same eight requests by three kernels, each twice: a kernel that has to be compiled first shows it in
# its first run. The first time on a machine, cblab's own compiles two more kernels here, which takes as long
# again as it did in section 5.

# %% tags=["nbval-ignore-output"]
openings = [
    "Once upon a time, there was a little fox",
    "In a small house near the sea, there lived",
    "There once was a clever mouse",
    "The capital of France is",
    "One day, a small bird",
    "The king had a daughter",
    "Count by twos from 2 to 20:",
    "Once upon a time, there was a brave girl",
]
params = SamplingParams(temperature=0, max_tokens=8, ignore_eos=True)
yours = Parts(paged_decode=plugged(threaded, plan, split_size=256, num_threads=1))
settings = {"block_size": 16, "num_blocks": 80, "max_num_seqs": 8, "fused_ops": "torch"}
engines = {
    "torch": LLM("story-4m", attention_backend="torch", **settings),
    "yours": LLM("story-4m", attention_backend="torch", parts=yours, **settings),
    "cblab's own": LLM("story-4m", attention_backend="numba", **settings),
}
tokens = {}
for name, llm in engines.items():
    for run in ("first", "second"):
        started = time.perf_counter()
        outputs = llm.generate(openings, params, use_tqdm=False)
        seconds = time.perf_counter() - started
        print(f"{name:12} {run:6} run: {seconds:5.2f} s, {8 * 8 / seconds:5.0f} tokens/s")
    tokens[name] = [one.outputs[0].token_ids for one in outputs]

# %%
for name in ("yours", "cblab's own"):
    print(f"{name:12} the same tokens as with torch: {tokens[name] == tokens['torch']}")

# %% [markdown]
# The bundled model's contexts are short and its caches small, so attention is a small part of a step here:
# measure the kernel alone to judge the kernel, and the engine to see whether it matters.
#
# *The second sitting begins here. In a fresh kernel, run the cells above again first; your predictions are
# kept.*
#
# ## 7 · Find the bug: a larger pool
#
# A kernel for a GPU computes addresses by hand. This function, from such a kernel, says where in the pool a
# token's keys begin. It passed all tests, and served for months. Then the service moved to a GPU with more
# memory:


# %%
def offsets_as_found(block_table, positions, block_size, num_kv_heads, head_dim):
    """Where each position's keys begin, counted in numbers from the pool's beginning."""
    blocks = block_table[positions // block_size]
    slots = blocks * block_size + positions % block_size
    return slots * (num_kv_heads * head_dim)


positions = np.array([5, 17], np.int32)
for pool_blocks in (50_000, 200_000):
    table = np.array([pool_blocks - 2, pool_blocks - 1], np.int32)
    print(f"a pool of {pool_blocks:,} blocks: {offsets_as_found(table, positions, 16, 8, 128)}")

# %% [markdown]
# Block tables are int32, and so is what is computed from them. On a GPU a wrapped address is somebody else's
# memory, or a crash that is reported by whatever kernel runs next. vLLM's Triton decode kernel had this
# defect (mended in [pull request 47671](https://github.com/vllm-project/vllm/pull/47671)): block ids above
# about 7,700 were enough there.
#
# **Predict**: with 16 slots a block, 8 KV heads and a head size of 128, what is the first block whose
# offset is wrong?

# %% predict="6.8a"
### BEGIN SOLUTION
first_wrong_block = 2**31 // (16 * 8 * 128)
### END SOLUTION
predict("6.8a", first_wrong_block, unit="(block id)")

# %%
ids = np.arange(100_000, 150_000, dtype=np.int32)
wrapped = offsets_as_found(ids, np.arange(0, 16 * len(ids), 16, dtype=np.int32), 16, 8, 128) < 0
reveal("6.8a", int(ids[wrapped][0]))

# %% [markdown]
# ### Exercise 6.8 · Find the bug: a larger pool
# *medium · 4 minutes · about 3 lines*


# %% exercise="6.8"
def block_offsets(
    block_table: np.ndarray, positions: np.ndarray, block_size: int, num_kv_heads: int, head_dim: int
) -> np.ndarray:
    """Where each position's keys begin in the pool as a flat array.

    The pool is `[num_blocks, block_size, num_kv_heads, head_dim]`.

    block_table: int32, `[max_blocks]`. positions: int32, `[num_positions]`. Returns int64,
    `[num_positions]`, counted in numbers; right for pools of far more than 2^31 numbers.
    """
    ### BEGIN SOLUTION
    blocks = block_table[positions // block_size].astype(np.int64)
    slots = blocks * block_size + positions % block_size
    return slots * (num_kv_heads * head_dim)
    ### END SOLUTION


# %% check="6.8"

# %% [markdown]
# ## 8 · The same kernel in Triton
#
# On a GPU thousands of threads run at once, in *programs* that each have a piece of the work. Triton is a
# language in Python for them: a kernel is what *one* program does, on whole tiles at a time. Read this one
# beside your `attend`: the loop over blocks, the running softmax, the mask of the last block, the row of a
# KV head that is loaded once for its group, and the int64 of section 7 are all there.

# %%
print(source_of("cblab.lab.labs.kernels.triton_decode", "decode_kernel"))

# %% [markdown]
# The next cell runs it, and says where: on a GPU if there is one; in Triton's interpreter, slowly and
# exactly, on a CPU; and where there is no Triton (macOS, Windows) it says what it would print.

# %% tags=["nbval-ignore-output"]
try:
    from cblab.lab.labs.kernels import triton_decode
except ImportError:
    triton_decode = None

device = "cuda" if torch.cuda.is_available() else "cpu"
if triton_decode is None:
    print("There is no Triton for this system. Where there is one, this cell prints:")
    print("Triton, interpreted on the CPU: 6 programs, largest difference below 1e-5: True")
else:
    name = torch.cuda.get_device_name() if device == "cuda" else ""
    where = f"compiled for {name}" if name else "interpreted on the CPU"
    few = random_cache([40, 16, 3], 4, 2, 16, 16)
    on_device = [torch.from_numpy(array).to(device) for array in few]
    result = triton_decode.decode_triton(*on_device, 0.25).cpu().numpy()
    difference = np.abs(result - best("6.4")(*few, 0.25)).max()
    print(f"Triton, {where}: {3 * 2} programs,", end=" ")
    print(f"largest difference below 1e-5: {difference < 1e-5}")

# %% [markdown]
# A program for each KV head of each sequence: with 64 requests and 8 KV heads that is 512, and a GPU is
# busy. With one long request it is 8, and most of the GPU sleeps: split-KV again, with a second kernel that
# merges. The engine's own (`cblab/attention/triton/decode.py`) does that, in splits of a fixed size, and
# multiplies on tensor cores.
#
# ## 9 · Tiles of a prompt
#
# Decode has one query a request. A prompt has as many queries as keys, each key and value is used by many
# of them, and it is the arithmetic that counts. There the trouble is memory: **the naive way** holds the
# score of every query with every key.


# %%
def naive_attention(q, k, v, scale, tile=None):
    """Causal attention that holds all scores; all are `[num_heads, num_tokens, head_dim]`."""
    num_tokens = q.shape[1]
    hidden = torch.ones(num_tokens, num_tokens, dtype=torch.bool).triu(1)
    scores = (q @ k.transpose(1, 2) * scale).masked_fill(hidden, float("-inf"))
    return torch.softmax(scores, dim=-1) @ v


for num_tokens in (512, 1_024, 8_192, 32_768):
    gib = 32 * num_tokens**2 * 4 / 2**30
    print(f"{num_tokens:6,} tokens, 32 heads, float32: {gib:8.3f} GiB of scores a layer")

# %% [markdown]
# FlashAttention (Dao and others, 2022) computes the scores tile by tile, with a running softmax, so that no
# more than one tile of them exists at a time. Its first version held a tile of keys and went through the
# queries. We do as FlashAttention-2 (Dao, 2023): hold a tile of queries, and take it through the keys. Tiles
# in which every key lies behind every query need not be computed at all:

# %%
viz.score_tiles(
    128,
    16,
    caption="128 tokens in tiles of 16: above the diagonal they are left out, and none is kept.",
)

# %% [markdown]
# **Predict**: with 256 tokens and tiles of 16, what share of the tiles is computed (0 to 1)?

# %% predict="6.9a"
### BEGIN SOLUTION
share_computed = 0.53
### END SOLUTION
predict("6.9a", share_computed, unit="of the tiles")

# %% [markdown]
# ### Exercise 6.9 · Tiles of a prompt
# *hard · 10 minutes · about 10 lines*


# %% exercise="6.9"
def flash_attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float, tile: int
) -> torch.Tensor:
    """Causal attention of a prompt over itself, tile by tile; returns a tensor like `q`.

    q, k, v: `[num_heads, num_tokens, head_dim]`. Query i sees the keys 0 to i. Tiles have
    `tile` queries and `tile` keys, fewer at the end. No tensor is larger than the result or one
    tile of scores, and tiles in which no query sees a key are not computed.
    """
    num_tokens = q.shape[1]
    out = torch.empty_like(q)
    for first in range(0, num_tokens, tile):
        rows = q[:, first : first + tile]
        last = first + rows.shape[1]  # behind the last query of this tile
        query_positions = torch.arange(first, last)[:, None]
        highest = torch.full_like(rows[..., :1], float("-inf"))
        total, sums = torch.zeros_like(highest), torch.zeros_like(rows)
        # Fold the tiles of keys that these queries see into highest, total and sums, one by one.
        ### BEGIN SOLUTION
        for start in range(0, last, tile):
            keys, values = k[:, start : start + tile], v[:, start : start + tile]
            hidden = torch.arange(start, start + keys.shape[1]) > query_positions
            scores = (rows @ keys.transpose(1, 2) * scale).masked_fill(hidden, float("-inf"))
            top = torch.maximum(highest, scores.amax(dim=-1, keepdim=True))
            weights, factor = torch.exp(scores - top), torch.exp(highest - top)
            total = total * factor + weights.sum(dim=-1, keepdim=True)
            sums = sums * factor + weights @ values
            highest = top
        ### END SOLUTION
        out[:, first:last] = sums / total
    return out


# %% check="6.9"

# %%
flash = best("6.9")
prompt = torch.randn(3, 4, 256, 32, generator=torch.Generator().manual_seed(0))
difference = (flash(*prompt, 0.2, 16) - naive_attention(*prompt, 0.2)).abs().max().item()
print("largest difference below 1e-5:", difference < 1e-5)
flops = {}
for name, function in (("naive", naive_attention), ("tiles of 16", flash)):
    with LiveMemory() as memory:
        function(*prompt, 0.2, 16)
    flops[name] = count_tensor_work(function, *prompt, 0.2, 16)[1]
    print(f"{name:12} {memory.peak / 2**20:6.2f} MiB at most,", end=" ")
    print(f"{flops[name] / 1e6:6.1f} MFLOP of products")
reveal("6.9a", round(flops["tiles of 16"] / flops["naive"], 2))

# %%
for name, function in (("naive", naive_attention), ("tiles of 16", flash)):
    peaks = []
    for num_tokens in (64, 128, 256):
        with LiveMemory() as memory:
            function(*prompt[:, :, :num_tokens], 0.2, 16)
        peaks.append(memory.peak / 2**20)
    print(f"{name:12} MiB at 64, 128 and 256 tokens: {', '.join(f'{peak:.2f}' for peak in peaks)}")

# %% [markdown]
# Twice the tokens are four times the memory in the first line. In the second a tile of scores is always the
# same size, and only the result grows. That, and half of the arithmetic, is what tiling saves on any
# machine. On a GPU a tile's scores never leave the chip, and it is a good deal faster as well. In plain torch
# each of these steps is a call of its own, so this version is not: torch's own
# `scaled_dot_product_attention` does the same in one kernel.
#
# ## Assessment
#
# Numbers go into the variables named in the text, in the unit that their names say. Where an answer is not
# a count, it may be off by 0.5 %: three digits are enough.
#
# ### Exercise 6.10 · One step of attention
# *medium · 5 minutes*
#
# A model has 32 layers, 32 query heads over 8 KV heads, a head size of 128, and stores keys and values as
# bfloat16. 16 requests decode, each with 8,192 tokens, on a GPU that reads 2,039 GB/s and computes 312
# TFLOP/s.
# - `kv_gb`: keys and values that the attention of one step reads, over all layers, in GB;
# - `attention_ms`: the least time for that, in milliseconds;
# - `gather_ms`: the same if each layer copies its blocks side by side first (KV heads not repeated), and
#   everything is bound by memory.

# %% exercise="6.10"
# To be assigned: kv_gb, attention_ms, gather_ms
### BEGIN SOLUTION
step_bytes = 2 * 32 * 8 * 128 * 2 * 16 * 8_192
kv_gb = step_bytes / 1e9
attention_ms = step_bytes / 2.039e12 * 1e3
gather_ms = 3 * attention_ms
### END SOLUTION

# %% check="6.10"

# %% [markdown]
# ### Exercise 6.11 · From memory to arithmetic
# *medium · 5 minutes*
#
# The same model and GPU.
# - `decode_flop_per_byte`: FLOPs of decode attention for each byte of keys and values that is read;
# - `ridge_flop_per_byte`: FLOPs that the GPU can do while it reads a byte;
# - `tokens_to_ridge`: the smallest whole number of new tokens of one request that, using the same keys and
#   values together, reach the ridge (the chunk is short beside the context: each token sees all of it).

# %% exercise="6.11"
# To be assigned: decode_flop_per_byte, ridge_flop_per_byte, tokens_to_ridge
### BEGIN SOLUTION
decode_flop_per_byte = 4 * 32 * 128 / (2 * 8 * 128 * 2)
ridge_flop_per_byte = 312e12 / 2.039e12
tokens_to_ridge = math.ceil(ridge_flop_per_byte / decode_flop_per_byte)
### END SOLUTION

# %% check="6.11"

# %% [markdown]
# ### Exercise 6.12 · One long request
# *medium · 5 minutes*
#
# One request with 100,000 tokens decodes alone on a GPU with 108 multiprocessors: 32 query heads over 8 KV
# heads of 128. A program serves the query heads of one KV head, over the whole context or over one split of
# 256 tokens. With splits, each of the 32 query heads leaves a partial result in float32 for each split:
# `highest`, `total`, and 128 numbers of `sums`.
# - `programs_without_splits`: programs in one layer, without splits;
# - `programs_with_splits`: programs in one layer, with them;
# - `partial_mb`: partial results of one layer, in MB.

# %% exercise="6.12"
# To be assigned: programs_without_splits, programs_with_splits, partial_mb
### BEGIN SOLUTION
num_splits = math.ceil(100_000 / 256)
programs_without_splits = 8
programs_with_splits = num_splits * 8
partial_mb = num_splits * 32 * (128 + 2) * 4 / 1e6
### END SOLUTION

# %% check="6.12"

# %% [markdown] manual="6.13" points=3
# ### Question 6.13 · Twice as fast
#
# A colleague has written a decode kernel that does half as many FLOPs as yours, by a clever way to compute
# e^x, and expects half the time. You measure 2 % less. Say why, which measurement you would have made before
# the work, and name two changes that could really halve the time of decode attention, with their price.
#
# <!-- BEGIN SOLUTION -->
# **Rubric (3 points).**
# - 1 point: decode attention is bound by memory: at a few FLOPs a byte the arithmetic is hidden behind the
#   reading of keys and values, and fewer FLOPs leave the bytes as they are.
# - 1 point: the measurement: bytes read over time taken, against the machine's bandwidth (and FLOPs over
#   bytes against the ridge). If the kernel is at 90 % of the bandwidth, no arithmetic can help.
# - 1 point: two changes that halve bytes, e.g. keys and values in 8 bits (a little quality, a scale to keep),
#   fewer KV heads (another model), a sliding window (no sight of what is far), a shared prefix that is read
#   once for all its requests (only where there is one), or a kernel that reads each row once for its group
#   where it did not.
# <!-- END SOLUTION -->

# %% [markdown] manual="6.14" points=3
# ### Question 6.14 · The same question, another answer
#
# A service runs at temperature 0. A customer sends the same prompt twice and gets two answers that part
# after 60 tokens. The kernel chooses the *number* of splits by how many requests are in the batch. Explain
# how that can change a token, why a test with one request never shows it, and what you would change, with
# its price.
#
# <!-- BEGIN SOLUTION -->
# **Rubric (3 points).**
# - 1 point: floating-point sums depend on their order. Another number of splits merges in another order, the
#   logits differ in their last bits, and where two tokens are nearly tied the other one wins; from there on
#   the texts differ.
# - 1 point: with one request the batch is always the same, so the split is too: every run gives the same
#   bits. It needs other requests beside it, that is, traffic.
# - 1 point: a fixed split *size*, merged in the order of the tokens. Price: a short context is not cut finely
#   enough to fill the machine when the batch is small, and a long one has more parts to merge than needed.
# <!-- END SOLUTION -->

# %% [markdown]
# ## 10 · Bonus
#
# GPU libraries hand out *finished* results of a split, already divided, with one more number: the logarithm
# of the sum of e^score, the `lse`. It is all that is needed to merge them.
#
# ### Exercise 6.15 (bonus) · Merge finished results
# *medium · 8 minutes · about 3 lines*


# %% exercise="6.15"
def merge_lse(outputs: np.ndarray, lse: np.ndarray) -> np.ndarray:
    """The attention over all tokens, `[num_heads, head_dim]`, from that over splits of them.

    outputs: `[num_splits, num_heads, head_dim]`, each split's own result.
    lse: `[num_splits, num_heads]`, the natural logarithm of each split's sum of e^score; it may
    be larger than 88. Every split has a token.
    """
    ### BEGIN SOLUTION
    weights = np.exp(lse - lse.max(axis=0))
    weights /= weights.sum(axis=0)
    return (outputs * weights[:, :, None]).sum(axis=0)
    ### END SOLUTION


# %% check="6.15"

# %%
halves_of_first = [new_state(NUM_HEADS, HEAD_DIM) for _ in range(2)]
for half, (start, end) in zip(halves_of_first, ((0, 496), (496, 1_000)), strict=True):
    block_kernel(q[0], keys, values, block_tables[0], start, end, SCALE, *half)
finished = np.stack([sums / total[:, None] for _, total, sums in halves_of_first])
logs = np.stack([highest + np.log(total) for highest, total, _ in halves_of_first])
difference = np.abs(best("6.15")(finished, logs) - expected[0]).max()
print("two halves, merged by their lse; largest difference below 1e-5:", difference < 1e-5)

# %% [markdown]
# ## Checklist
#
# - [ ] I can count the FLOPs and bytes of a decode step, and say which of them takes the time, and how much.
# - [ ] I can say what a gather and a repeat of the KV heads move.
# - [ ] I can derive the factor by which a running softmax is corrected, and merge partial results.
# - [ ] I know why a kernel must stop at the context's end and not at the block's.
# - [ ] I can say which loop order reads a row once for its group.
# - [ ] I can share one long context out among threads, with the same bits whoever computes what.
# - [ ] I can read a Triton kernel, and say what one program does.
# - [ ] I know what tiling saves in a prompt, and where it stops helping in decode.
#
# **What comes next.** The capstone puts your tokenizer, cache, block manager, batch builder, scheduler and
# this kernel into one engine.
#
# **Further reading**
# - Milakov and Gimelshein: *Online normalizer calculation for softmax*, 2018,
#   [arXiv:1805.02867](https://arxiv.org/abs/1805.02867)
# - Dao and others: *FlashAttention: Fast and Memory-Efficient Exact Attention with IO-Awareness*, 2022,
#   [arXiv:2205.14135](https://arxiv.org/abs/2205.14135)
# - Dao: *FlashAttention-2: Faster Attention with Better Parallelism and Work Partitioning*, 2023,
#   [arXiv:2307.08691](https://arxiv.org/abs/2307.08691)
# - Dao, Haziza, Massa and Sizov: [Flash-Decoding for long-context
#   inference](https://pytorch.org/blog/flash-decoding/), 2023
# - Williams, Waterman and Patterson: *Roofline: an insightful visual performance model for multicore
#   architectures*, Communications of the ACM 52 (4), 2009
# - Kwon and others: *Efficient Memory Management for Large Language Model Serving with PagedAttention*,
#   2023, [arXiv:2309.06180](https://arxiv.org/abs/2309.06180), section 5.1 on its kernels

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
# # Lab 4 · Paging: memory in blocks
#
# > **The question.** "By the spreadsheet our KV cache has room for twenty conversations. An hour after the
# > start the service refuses the sixth, and the monitor says that a third of the memory is free. And all
# > our conversations begin with the same long instruction: do we really keep it twenty times?"
#
# Every token that a model has read leaves a *key* and a *value* in each layer, and every later token of the
# same request looks back at them. That is the KV cache, and for this lab it is enough to know three things
# of it: it holds one row for each token, it grows by one row a step, and it is what fills the memory of an
# inference server. Where the rows *are* is up to the server. In this lab you see what goes wrong when they
# have to lie side by side, then write what has replaced it: blocks, block tables, reference counts, copy on
# write, a prefix cache with eviction. At the end your block manager runs the engine.
#
# **At the end you can**
# - say why contiguous memory fragments, and what compaction costs, with numbers that you have measured;
# - allocate, grow, share and free blocks, and find any token through a block table;
# - say what a prefix cache must put into a hash, why only full blocks have one, and why one token is always
#   computed again;
# - say what happens when the blocks run out, and choose a block size by measuring.
#
# **Time.** Two sittings, reading included.
# - *First, the core*, about 90 minutes: sections 1–8 with exercises 4.1–4.8. Your block manager runs the
#   engine.
# - *Second*, about 45 minutes: sections 9 and 10 and the assessment.
# - *Bonus*, about 20 minutes: section 11.
#
# **You need** Python and a little PyTorch (indexing a tensor). Labs 1 to 3 help and are not needed. No GPU
# and no network.
#
# **How it works.** You *predict* a number, fill in a *blank*, *check* it, and then *measure* with what you
# wrote. A blank is one line that says `raise NotImplementedError`: put your own lines in its place, and
# change nothing else. An answer must stand alone: besides what its text names, it may use only what its own
# cell and the set-up cell (the next one) define. If you are stuck, `hint("4.1")` in a new cell gives the
# next hint. Where you skip an exercise, the cells after it use the course's own version and say so.

# %% tags=["setup"]
import math
from collections import OrderedDict, deque

import torch

from cblab.core.prefix_cache import hash_block

ROOT = 0  # what stands in the place of a parent's hash for a first block

# %%
from IPython.display import display

from cblab import LLM, SamplingParams, viz
from cblab.core.parts import Parts
from cblab.core.trace import Trace
from cblab.lab import best, check, hint, predict, reveal  # noqa: F401
from cblab.lab.labs.paging.plug import plugged
from cblab.memory.fragmentation import FirstFit, Paged, random_workload, simulate

# %% [markdown]
# ## 1 · A third of the memory is free, and nobody fits
#
# **The naive way** to keep a request's rows is side by side, as one tensor. Nobody knows how long an answer
# will be, so the request reserves what it *may* become: its prompt and `max_tokens`. The first hole that is
# long enough is taken (*first fit*), and given back at the end.
#
# Here is a service with memory for 768 tokens, a *slot* each, and 120 requests that arrive faster than they
# can be served. Each has a prompt of 8 to 60 tokens, an answer of 4 to 80, and allows up to 60 tokens more
# than its answer will have.
#
# **Predict** two numbers before you run the simulation. While somebody waits, what share of the slots holds
# a token under first fit (0 to 1)? And in blocks of 16 slots, taken when a token needs one (`keep_free=4`
# leaves four of them for those that run; section 9)?

# %% predict="4.0a"
### BEGIN SOLUTION
use_first_fit = 0.6
### END SOLUTION
predict("4.0a", use_first_fit, unit="of the slots")

# %% predict="4.0b"
### BEGIN SOLUTION
use_paged = 0.9
### END SOLUTION
predict("4.0b", use_paged, unit="of the slots")

# %% [markdown]
# And one more. When no hole is long enough, a server can stop and push all reservations together
# (*compaction*), which copies the rows of those that move. The 120 requests have about 9,000 tokens in all.
# **Predict**: how many rows does compaction copy?

# %% predict="4.0c"
### BEGIN SOLUTION
rows_copied = 2000
### END SOLUTION
predict("4.0c", rows_copied, unit="rows")

# %%
NUM_SLOTS = 768
workload = random_workload(7, 120, prompt_lens=(8, 60), output_lens=(4, 80), spare_lens=(0, 60))
runs = {
    "first fit": simulate(workload, FirstFit(NUM_SLOTS)),
    "first fit with compaction": simulate(workload, FirstFit(NUM_SLOTS, compacts=True)),
    "blocks of 16 slots": simulate(workload, Paged(NUM_SLOTS, block_size=16, keep_free=4)),
}
print(f"{sum(request.total_len for request in workload):,} tokens in all")
for name, run in runs.items():
    print(
        f"{name:26} {run.mean_use:4.0%} of the slots used, {run.mean_running:4.1f} requests run, "
        f"{len(run.steps):3} steps, {run.num_copied:5,} rows copied"
    )
paged = runs["blocks of 16 slots"]
again = f"{paged.num_recomputed} tokens computed again"
print(f"in blocks: {paged.num_preemptions} preemptions, {again}")
display(reveal("4.0a", round(runs["first fit"].mean_use, 2)))
display(reveal("4.0b", round(paged.mean_use, 2)))
reveal("4.0c", runs["first fit with compaction"].num_copied)

# %%
viz.memory_over_time(
    runs,
    num_steps=220,
    caption="Grey is reserved and empty, white is free: contiguous memory is full of both.",
)

# %% [markdown]
# Three kinds of waste are in the first panel:
# - **reserved**: room for tokens that will come, but have not yet;
# - **internal**: room for tokens that never come, because the answer was shorter than allowed;
# - **external**: white stripes, each too narrow for the next request.
#
# The first two have one grey: they cannot be told apart until the request ends.
#
# **Two claims to test.** "A contiguous block strategy has no fragmentation, since freed neighbours always
# coalesce." They do coalesce, in this simulator too: a hole is as long as it can be. Count the steps in
# which the next request was refused although as many slots as it asked for were free, and look at one of
# them. And "allocation is O(1), a linear scan": it cannot be both. Count the places that were looked at.

# %%
first_fit_run = runs["first fit"]
blocked = [step for step in first_fit_run.steps if step.is_blocked]
one = max(blocked, key=lambda step: NUM_SLOTS - step.num_reserved)
print(f"refused with enough slots free: {len(blocked)} of {len(first_fit_run.steps)} steps")
num_free = NUM_SLOTS - one.num_reserved
print(f"at worst {num_free} slots were free, the longest hole had {one.largest_hole}")
print(
    f"places looked at for {len(workload)} requests: {first_fit_run.num_looked_at:,} by first fit, "
    f"{paged.num_looked_at:,} with a free list (a block is one look)"
)

# %% [markdown]
# **A third claim**: "contiguous allocation wastes 60 to 80 percent of the memory." Here it wasted what you
# see above; the figure belongs to a workload, not to a method. It depends on how much more clients allow
# than they use, and you can turn it into nearly any number:

# %%
lengths = {"prompt_lens": (8, 60), "output_lens": (4, 80)}
for spare in (0, 30, 120, 480):
    requests = random_workload(7, 60, **lengths, spare_lens=(spare, spare))
    use = simulate(requests, FirstFit(NUM_SLOTS)).mean_use
    print(f"clients allow {spare:3} tokens more than they use: {1 - use:.0%} of the slots wasted")

# %% [markdown]
# Compaction mends the external part alone, and stops the service while it copies: here it has copied more
# rows than the requests have tokens.
#
# ## 2 · Blocks
#
# Operating systems had the same problem with programs in memory, and solved it in the 1960s by *paging*:
# memory is cut into frames of one size, and a table says which frame holds which piece of a program.
# Applied to the KV cache (vLLM, 2023) a frame is a *block* of, say, 16 slots. Any free block is as good as
# any other: there is nothing left to be fragmented but the last block of each request.
#
# **Predict**: requests of 1 to 1,600 tokens, each length once, in blocks of 16. How many slots stay empty
# in a request's last block, on average? A widespread text works out 14 for a request of 50 tokens and adds
# that this is the maximum. Is it? Predict the true maximum too.

# %% predict="4.1a"
### BEGIN SOLUTION
mean_empty_slots = 7.5
### END SOLUTION
predict("4.1a", mean_empty_slots, unit="slots")

# %% predict="4.1b"
### BEGIN SOLUTION
most_empty_slots = 15
### END SOLUTION
predict("4.1b", most_empty_slots, unit="slots")

# %%
empty_slots = {length: math.ceil(length / 16) * 16 - length for length in range(1, 1_601)}
print("50 tokens leave", empty_slots[50], "slots empty; 49 tokens leave", empty_slots[49])
display(reveal("4.1a", sum(empty_slots.values()) / len(empty_slots)))
reveal("4.1b", max(empty_slots.values()))

# %% [markdown]
# So the waste is at most `block_size - 1` slots a request and `(block_size - 1) / 2` on average, whatever
# its length and whatever it was allowed to become.
#
# A block is free, or some table holds it. Further on several tables will hold the same block, so the pool
# counts holders from the start: a block is free again when the last one lets go.
#
# ### Exercise 4.1 · A pool that counts holders
# *easy · 5 minutes · about 12 lines*


# %% exercise="4.1"
class BlockPool:
    """The blocks of the KV cache by number: which are free, and how many tables hold the others."""

    def __init__(self, num_blocks: int) -> None:
        self.free = deque(range(num_blocks))  # in the order in which they will be given out
        self.ref_counts = [0] * num_blocks  # how many tables hold each block; 0 for a free one

    @property
    def num_available(self) -> int:
        """How many blocks `take` can give out."""
        return len(self.free)

    def state(self) -> tuple[list[int], list[int]]:
        """Free blocks in order, and reference counts; the check looks here."""
        return list(self.free), list(self.ref_counts)

    def take(self) -> int:
        """Give out the front of `free`, with a count of 1; ValueError if no block is free."""
        ### BEGIN SOLUTION
        if not self.free:
            raise ValueError("no block is free")
        block_id = self.free.popleft()
        self.ref_counts[block_id] = 1
        return block_id
        ### END SOLUTION

    def share(self, block_id: int) -> None:
        """Count one holder more; ValueError for a free block, which nobody holds."""
        ### BEGIN SOLUTION
        if self.ref_counts[block_id] == 0:
            raise ValueError(f"block {block_id} is free: nobody can share it")
        self.ref_counts[block_id] += 1
        ### END SOLUTION

    def release(self, block_id: int) -> None:
        """Count one holder less; without any the block goes to the end of `free`.

        ValueError for a free block, which nobody holds.
        """
        ### BEGIN SOLUTION
        if self.ref_counts[block_id] == 0:
            raise ValueError(f"block {block_id} is free already")
        self.ref_counts[block_id] -= 1
        if self.ref_counts[block_id] == 0:
            self.free.append(block_id)
        ### END SOLUTION


# %% check="4.1"

# %% [markdown]
# A block here is a *number*. Some texts make it an object with its own pair of tensors instead. Count what
# that means for a pool of 20,000 blocks over 32 layers, and for writing one token a request for 64 requests
# in a layer:

# %%
num_blocks, num_layers, batch = 20_000, 32, 64
for what, num_tensors, num_copies in (
    ("each block and layer", 2 * num_layers * num_blocks, 2 * batch),
    ("each layer", 2 * num_layers, 2),
):
    tensors = f"{num_tensors:9,} tensors, {num_copies:3} copies"
    print(f"a pair of tensors for {what:20} {tensors} a layer in each step")

# %% [markdown]
# One indexed write takes all keys, another all values. So a real cache is one tensor of keys and one of
# values for each layer, `[num_blocks, block_size, num_kv_heads, head_dim]`, on the device that the model is
# on, and everything about ownership is done with numbers beside it.
#
# ## 3 · Block tables
#
# A request's *block table* lists its blocks in the order of its tokens. **The naive way**, again from a
# widespread text, allocates once, for the prompt:


# %%
class OnceOnly:
    """Allocates for the prompt and never again."""

    def __init__(self, num_blocks: int, block_size: int) -> None:
        self.free, self.block_size, self.tables = deque(range(num_blocks)), block_size, {}

    def allocate(self, request_id: str, num_tokens: int) -> None:
        needed = math.ceil(num_tokens / self.block_size)
        self.tables[request_id] = [self.free.popleft() for _ in range(needed)]


once = OnceOnly(num_blocks=8, block_size=4)
once.allocate("a", 6)
for position in range(6, 10):
    table, index = once.tables["a"], position // 4
    print(
        f"token {position} belongs in entry {index} of",
        table,
        "" if index < len(table) else "→ no such entry",
    )

# %% [markdown]
# A request that decodes needs another block every `block_size` tokens. So the call says how many tokens the
# request has *in all*, and is made again as it grows. It can fail at any time, and must then leave
# everything as it was: the caller will make room and ask again. A request that ends releases its last block
# first, so that its beginning, which others may share, is given away last (section 7 tells more).
#
# **Predict**: blocks of 4, and a request with a prompt of 6 tokens that generates 20. In how many of the 20
# calls does it get a new block?

# %% predict="4.2a"
### BEGIN SOLUTION
calls_with_a_block = 5
### END SOLUTION
predict("4.2a", calls_with_a_block, unit="calls")

# %% [markdown]
# ### Exercise 4.2 · Allocate, grow, free
# *medium · 8 minutes · about 9 lines*


# %% exercise="4.2"
class BlockTables:
    """The block table of each request, over a pool. `BlockPool` is there to be used."""

    def __init__(self, num_blocks: int, block_size: int) -> None:
        self.pool = BlockPool(num_blocks)
        self.block_size = block_size
        self.tables: dict[str, list[int]] = {}  # request id: its blocks in the order of its tokens

    def state(self) -> tuple[dict[str, list[int]], list[int], list[int]]:
        """Tables, free blocks in order, and reference counts; the check looks here."""
        return dict(self.tables), *self.pool.state()

    def allocate_slots(self, request_id: str, num_tokens: int) -> list[int] | None:
        """Make room for `num_tokens` tokens of a request in all, never fewer than before.

        The request is new or grows. Returns the blocks that were added at the end of its table, in
        order, often none ([]); or None, with nothing changed at all, if the pool has too few.
        """
        ### BEGIN SOLUTION
        table = self.tables.get(request_id, [])
        num_new = math.ceil(num_tokens / self.block_size) - len(table)
        if num_new > self.pool.num_available:
            return None
        new_blocks = [self.pool.take() for _ in range(num_new)]
        self.tables[request_id] = table + new_blocks
        return new_blocks
        ### END SOLUTION

    def free(self, request_id: str) -> None:
        """Forget a request and release its blocks, the last first; an unknown id is no error."""
        ### BEGIN SOLUTION
        for block_id in reversed(self.tables.pop(request_id, [])):
            self.pool.release(block_id)
        ### END SOLUTION


# %% check="4.2"

# %%
manager = best("4.2")(num_blocks=12, block_size=4)
lengths = {"a": 6, "b": 9, "c": 3}
moments = []


def note(label: str) -> None:
    """Remember what the pool looks like now."""
    tables = {name: list(table) for name, table in manager.tables.items()}
    moments.append(viz.PoolStep(label, tables, dict(lengths)))


with_a_block = 0
for name, length in lengths.items():
    manager.allocate_slots(name, length)
note("three prompts")
for step in range(1, 21):
    lengths["a"] += 1
    with_a_block += bool(manager.allocate_slots("a", lengths["a"]))
    if step == 3:
        note("a has 3 tokens more")
        manager.free("b")
        note("b has ended")
    if step == 4:
        manager.allocate_slots("d", lengths.setdefault("d", 10))
        note("d, 10 tokens")
note("a has 20 tokens more")
display(reveal("4.2a", with_a_block))
viz.pool_steps(
    moments,
    num_blocks=12,
    block_size=4,
    caption="Your manager at work: what b gives back is used again, wherever it lies.",
)

# %%
viz.table_arrows(
    manager.tables,
    lengths,
    num_blocks=12,
    block_size=4,
    names=lengths,
    caption="These tables as arrows: positions above, blocks below. Only a table's order counts.",
)

# %% [markdown]
# ## 4 · Through the table
#
# The engine writes all new rows of a step at once, so it needs each token's *slot*, its place in the whole
# pool: `block_id * block_size + place in the block`. Reading a sequence is the way back: take its blocks in
# the order of the table, lay them end to end, and cut off what is behind the last token.
#
# ### Exercise 4.3 · Write and read through the table
# *medium · 6 minutes · about 2 lines and about 1 line*


# %% exercise="4.3"
def slot_mapping(block_table: list[int], first: int, num_new: int, block_size: int) -> list[int]:
    """The slots of a sequence's tokens at positions `first` to `first + num_new - 1`.

    The token at position p is in block `block_table[p // block_size]`, at place `p % block_size`;
    slot 0 is the first of block 0. Returns `num_new` slots, in order.
    """
    ### BEGIN SOLUTION
    positions = range(first, first + num_new)
    return [block_table[p // block_size] * block_size + p % block_size for p in positions]
    ### END SOLUTION


def gather(pool: torch.Tensor, block_table: list[int], num_tokens: int) -> torch.Tensor:
    """Copy out the rows of one sequence, in the order of its tokens.

    pool: `[num_blocks, block_size, num_kv_heads, head_dim]`.
    Returns `[num_tokens, num_kv_heads, head_dim]`.
    """
    ### BEGIN SOLUTION
    return pool[block_table].flatten(0, 1)[:num_tokens]
    ### END SOLUTION


# %% check="4.3"

# %% [markdown]
# Now with the bundled model. A *dense* cache keeps one sequence's rows side by side; let it read a prompt,
# copy its rows into a pool through your slots, read them back through your table, and compare, layer by
# layer.

# %%
from cblab.attention.batch import RaggedBatch
from cblab.core.dense_attend import DenseCacheAttention
from cblab.core.kv_cache import DenseKVCache

SETTINGS = {
    "attention_backend": "torch",
    "fused_ops": "torch",
    "max_num_batched_tokens": 256,
    "watermark": 0.0,
}
llm = LLM("story-4m", num_blocks=64, **SETTINGS)
model, tokenizer = llm.engine.runner.model, llm.tokenizer


@torch.inference_mode()
def keys_and_values(token_ids: list[int]) -> DenseKVCache:
    """A dense cache that holds the keys and values of a text, in every layer."""
    cache = DenseKVCache(model.config.attention_specs)
    batch = RaggedBatch.build([token_ids])
    attend = DenseCacheAttention([cache], batch)
    model(batch, attend)
    attend.advance()
    return cache


# %%
slots_of, read_back = best("4.3", "slot_mapping"), best("4.3", "gather")
opening = "Once upon a time, there was a little fox who lived in a small house near the sea."
prompt = tokenizer.encode(opening)
dense = keys_and_values(prompt)
tables = best("4.2")(num_blocks=16, block_size=4)
tables.allocate_slots("somebody else", 10)
tables.allocate_slots("fox", len(prompt))
table = tables.tables["fox"]
equal = True
for layer, spec in enumerate(dense.specs):
    for rows in dense.read(layer):
        pool = torch.zeros(16, 4, spec.num_kv_heads, spec.head_dim)
        pool.flatten(0, 1)[slots_of(table, 0, len(prompt), 4)] = rows
        equal &= torch.equal(read_back(pool, table, len(prompt)), rows)
print(f"{len(prompt)} tokens in the blocks {table}, {len(dense.specs)} layers, keys and values")
print("paged and gathered, they equal the dense cache:", equal)

# %% [markdown]
# **Break it on purpose.** Suppose that the one who computes slots believes that a request's blocks lie one
# behind the other, as many a first version does: `block_table[0] * block_size + position`. Three requests
# are answered together by the engine, with that in the place of its own. **Predict**: how many of the three
# will be told that something went wrong, by an error? And of how many will the answer be another one?

# %% predict="4.3a"
### BEGIN SOLUTION
requests_with_an_error = 0
### END SOLUTION
predict("4.3a", requests_with_an_error, unit="requests")

# %% predict="4.3b"
### BEGIN SOLUTION
answers_that_differ = 3
### END SOLUTION
predict("4.3b", answers_that_differ, unit="answers")

# %%
from dataclasses import replace

from cblab.core.batch_builder import build_batch


def one_behind_the_other(rows, block_size, device="cpu"):
    """The engine's batch, with slots computed from the first block alone."""
    batch = build_batch(rows, block_size, device)
    first_blocks = torch.tensor([row.block_table[0] for row in rows])
    first_of_each_token = first_blocks.repeat_interleave(batch.cu_seqlens_q.diff().long())
    slots = first_of_each_token * block_size + batch.positions
    return replace(batch, slot_mapping=slots % (64 * 8))


GREEDY = SamplingParams(temperature=0, max_tokens=24, ignore_eos=True)
questions = [
    "The capital of France is",
    "Once upon a time, there was a little fox",
    "One, two, three, four,",
]
texts = {}
for name, parts in (
    ("right slots", Parts()),
    ("wrong slots", Parts(build_batch=one_behind_the_other)),
):
    served = LLM(model, tokenizer, parts=parts, num_blocks=64, block_size=8, **SETTINGS)
    outputs = served.generate(questions, GREEDY, use_tqdm=False)
    texts[name] = [output.outputs[0].text for output in outputs]
    print(name)
    for text in texts[name]:
        print("   ", repr(text[:72]))
display(reveal("4.3a", sum(output.outputs[0].finish_reason == "error" for output in outputs)))
reveal("4.3b", sum(right != wrong for right, wrong in zip(*texts.values(), strict=True)))

# %% [markdown]
# No error, and the first words are right: as long as a request stays in its first block, nothing is wrong.
# Then each writes into the blocks of its neighbours, and France begins to count. In a service that is one
# customer's text in another one's answer. No length check and no assertion about shapes sees it; comparing
# tokens with a reference does.
#
# ## 5 · Sharing
#
# A client asks for four answers to one prompt (`n=4`). The prompt's rows are the same for all four, and a
# block is only a number: the tables can simply name the same blocks. *Forking* a table copies no row.
#
# What if somebody writes? A full block is never written again: the next token goes into the next block.
# Only a *partly filled last block* is in danger, because the two answers go on differently from there. So
# the one who writes first takes a copy of that block, and of that block alone: *copy on write*. The last
# one that holds the old block writes into it without a copy.
#
# **Predict**: a prompt of 50 tokens in blocks of 16, four samples. How many blocks are copied in all? (A
# widespread text says: all shared blocks.)

# %% predict="4.4a"
### BEGIN SOLUTION
blocks_copied = 3
### END SOLUTION
predict("4.4a", blocks_copied, unit="blocks")

# %% [markdown]
# ### Exercise 4.4 · Share, and copy on write
# *medium · 8 minutes · about 3 lines and about 5 lines*


# %% exercise="4.4"
def fork(pool: BlockPool, block_table: list[int]) -> list[int]:
    """A second table of the same blocks, a *new list*; the pool counts one holder more for each."""
    ### BEGIN SOLUTION
    for block_id in block_table:
        pool.share(block_id)
    return list(block_table)
    ### END SOLUTION


def copy_on_write(
    pool: BlockPool, block_table: list[int], num_tokens: int, block_size: int
) -> tuple[list[int], list[tuple[int, int]]]:
    """Make the place of the next token safe to write.

    num_tokens: tokens that the sequence has, at least one; the next one goes to position
    `num_tokens`. If that lies in the last block of the table, and others hold this block too
    (`pool.ref_counts`), then a block from the pool takes its place in this table, and this table
    lets go of the old one.
    Returns the table, a new list or this one, and the copies that the engine has to make, [(old
    block, new block)]; [] for none.
    """
    ### BEGIN SOLUTION
    last = block_table[-1]
    if num_tokens % block_size == 0 or pool.ref_counts[last] == 1:
        return list(block_table), []
    new = pool.take()
    pool.release(last)
    return [*block_table[:-1], new], [(last, new)]
    ### END SOLUTION


# %% check="4.4"

# %%
make_pool, fork_table, write_safely = best("4.1"), best("4.4", "fork"), best("4.4", "copy_on_write")
num_samples, num_tokens = 4, 50
pool = make_pool(20)
samples = {"s0": [pool.take() for _ in range(math.ceil(num_tokens / 16))]}
copies, held, moments = [], {"s0": num_tokens}, []


def look(label: str) -> None:
    """Remember what the samples' tables look like now."""
    tables = {name: list(table) for name, table in samples.items()}
    moments.append(viz.PoolStep(label, tables, dict(held)))


look("the prompt")
samples |= {f"s{i}": fork_table(pool, samples["s0"]) for i in range(1, num_samples)}
held = dict.fromkeys(samples, num_tokens)
look("three forks")
for name in samples:
    samples[name], made = write_safely(pool, samples[name], num_tokens, 16)
    copies += made
    held[name] += 1
    look(f"{name} writes")
used = sum(count > 0 for count in pool.ref_counts)
print(f"copies: {copies}; {used} blocks instead of {num_samples * len(samples['s0'])}")
display(reveal("4.4a", len(copies)))
viz.pool_steps(
    moments,
    num_blocks=9,
    block_size=16,
    caption="Four samples of one prompt: full blocks stay shared, the partly filled one is copied.",
)

# %% [markdown]
# With a longer prompt the difference grows: copying all shared blocks costs as much as not sharing, while
# copy on write copies less than one block for each sample, whatever the prompt's length.
#
# ## 6 · The prefix cache
#
# Requests that come one after the other can share too. When one ends, its full blocks still hold their rows
# until somebody needs the space. If the next prompt begins with the same tokens, its first blocks are there
# already. To find them, each full block gets a hash; a dict leads from the hash to the block.
#
# **Hash of what?** The naive way is to hash the block's tokens. But a row depends on more than its token:
# from the second layer on, a key is computed from what attention has gathered from *everything before it*.
# Here are the same eight tokens behind two different beginnings of eight tokens each.

# %%
EIGHT = 8
texts_before = ("Lily had a red ball.", "Lily had a blue kite.")
beginnings = {text: tokenizer.encode(text) for text in texts_before}
after = " One day, Lily went outside to play with"
middle = tokenizer.encode(after, add_special_tokens=False)[:EIGHT]
num_before = [len(tokens) for tokens in beginnings.values()]
print(num_before, "tokens before", repr(tokenizer.decode(middle)))
one, other = (keys_and_values(tokens + middle) for tokens in beginnings.values())
for layer in range(len(one.specs)):
    (keys, values), (other_keys, other_values) = one.read(layer), other.read(layer)
    keys_apart, values_apart = (
        (mine - theirs)[EIGHT:].abs().max().item()
        for mine, theirs in ((keys, other_keys), (values, other_values))
    )
    equal = keys_apart == values_apart == 0
    apart = f"keys up to {keys_apart:.1f} apart, values up to {values_apart:.1f}"
    print(f"layer {layer}: equal {equal!s:5}  {apart}")

# %% [markdown]
# In the first layer they are equal (the same tokens at the same positions), and in no layer after it. So a
# block is named by its tokens *and the hash of the block before it*, its parent: the hash of block i covers
# everything from the first token on, at a constant cost a block. What else decides the rows belongs into it
# too: the model (where one pool serves several), an adapter, and the tenant where customers must not find
# out about each other's prompts.
#
# **Only full blocks** have a hash. The content of a partly filled one changes with each token, and whoever
# found it would write into it.
#
# ### Exercise 4.5 · Chained hashes
# *medium · 4 minutes · about 6 lines*


# %% exercise="4.5"
def block_hashes(token_ids: list[int], block_size: int) -> list[int]:
    """The hash of each full block of a sequence, in order.

    A block's hash is `hash_block(parent, tokens)` (from the set-up cell): parent is the hash of the
    block before it, `ROOT` for the first one; tokens is a tuple of its `block_size` token ids.
    Returns `len(token_ids) // block_size` hashes.
    """
    ### BEGIN SOLUTION
    hashes = []
    parent = ROOT
    for start in range(0, len(token_ids) - block_size + 1, block_size):
        parent = hash_block(parent, tuple(token_ids[start : start + block_size]))
        hashes.append(parent)
    return hashes
    ### END SOLUTION


# %% check="4.5"

# %%
hashes_of = best("4.5")
sequences = [tokens + middle for tokens in beginnings.values()]
plain = {hash(tuple(one[EIGHT:])) for one in sequences}
chained = {hashes_of(one, EIGHT)[1] for one in sequences}
print("the same middle block, plain hashes:  ", len(plain), "name")
print("the same middle block, chained hashes:", len(chained), "names")

# %% [markdown]
# **Break it on purpose.** The engine answers three requests, one after the other: `red ball` with the
# middle, `blue kite` without it, and `blue kite` with it. With plain hashes the third finds the kite's
# first block, and behind it the middle that was computed for the ball. **Predict**: of the 12 tokens of the
# third answer, how many are right before the first wrong one?

# %% predict="4.5a"
### BEGIN SOLUTION
tokens_right = 4
### END SOLUTION
predict("4.5a", tokens_right, unit="tokens")

# %%
from cblab.lab.labs.paging.tables import BlockManager as Reference


class Unchained(Reference):
    """A block manager whose hashes know nothing of what is before a block."""

    def hashes(self, token_ids: list[int]) -> list[int]:
        starts = range(0, len(token_ids) - self.block_size + 1, self.block_size)
        return [hash_block(ROOT, tuple(token_ids[at : at + self.block_size])) for at in starts]


ball, kite = beginnings.values()
tail = tokenizer.encode(". The", add_special_tokens=False)
SHORT = SamplingParams(temperature=0, max_tokens=12, ignore_eos=True)
third = {}
for name, manager_class in (("chained hashes", Reference), ("plain hashes", Unchained)):
    parts = Parts(block_manager=plugged(manager_class))
    served = LLM(model, tokenizer, parts=parts, num_blocks=40, block_size=EIGHT, **SETTINGS)
    for tokens in (ball + middle + tail, kite + tail, kite + middle + tail):
        (output,) = served.generate([tokens], SHORT, use_tqdm=False)
    third[name] = output.outputs[0]
    print(f"{name:15}{third[name].text!r}")


def equal_at_first(one: list[int], other: list[int]) -> int:
    """How many tokens two answers have in common before the first that differs."""
    pairs = zip(one, other, strict=True)
    return next((count for count, (a, b) in enumerate(pairs) if a != b), len(one))


reveal("4.5a", equal_at_first(*(answer.token_ids for answer in third.values())))

# %% [markdown]
# ### Find the bug: a full hit
#
# Finding a prefix is now a walk along the hashes. This is how a first version does it:


# %%
def match_everything(
    hashes: list[int], cached: dict[int, int], num_tokens: int, block_size: int
) -> list[int]:
    """The blocks of the longest cached prefix."""
    blocks = []
    for block_hash in hashes:
        if block_hash not in cached:
            break
        blocks.append(cached[block_hash])
    return blocks


class FullHit(Reference):
    """A block manager that looks for prefixes as above."""

    def get_computed_blocks(self, token_ids: list[int]) -> list[int]:
        hashes = self.hashes(token_ids)
        return match_everything(hashes, self.pool.cached, len(token_ids), self.block_size)


def ask_twice(manager_class: type, num_tokens: int) -> str:
    """Ask the same prompt of `num_tokens` tokens twice; what became of the second request."""
    parts = Parts(block_manager=plugged(manager_class))
    served = LLM(model, tokenizer, parts=parts, num_blocks=40, block_size=4, **SETTINGS)
    try:
        for _ in range(2):
            served.generate([prompt[:num_tokens]], SHORT, use_tqdm=False)
    except Exception as error:
        return f"{type(error).__name__}: {error.__cause__}"
    return f"answered, {served.engine.stats().num_prefix_hit_tokens} tokens of the prompt found"


for num_tokens in (11, 13, 12):
    print(f"{num_tokens} tokens: {ask_twice(FullHit, num_tokens)}")

# %% [markdown]
# It works for almost every prompt, which is how it got through its tests. When the prompt ends exactly at
# the end of a block, and has been asked before, all of it is found, nothing is left to compute, and
# *without computing a token there are no logits* to choose the next token from. So the last token of a
# prompt is always computed, even if its row is in the cache; as only whole blocks can be taken, that costs
# the last block. (vLLM does the same: the longest hit is one token short of the prompt.)
#
# ### Exercise 4.6 · Mend the full hit
# *medium · 5 minutes · about 6 lines*


# %% exercise="4.6"
def match_prefix(
    hashes: list[int],
    cached: dict[int, int],
    num_tokens: int,
    block_size: int,
) -> list[int]:
    """The blocks of the longest cached prefix of a prompt, with at least one token left to compute.

    hashes: of the prompt's full blocks, in order. cached: {hash: block}. num_tokens: of the prompt,
    at least 1. A prefix has no gaps: behind the first hash that is not cached nothing is of use.
    Returns the blocks in order, [] for none.
    """
    ### BEGIN SOLUTION
    blocks = []
    for block_hash in hashes[: (num_tokens - 1) // block_size]:
        if block_hash not in cached:
            break
        blocks.append(cached[block_hash])
    return blocks
    ### END SOLUTION


# %% check="4.6"

# %%
match = best("4.6")


class Mended(Reference):
    """The same with your search."""

    def get_computed_blocks(self, token_ids: list[int]) -> list[int]:
        return match(self.hashes(token_ids), self.pool.cached, len(token_ids), self.block_size)


for num_tokens in (11, 13, 12):
    print(f"{num_tokens} tokens: {ask_twice(Mended, num_tokens)}")

# %% [markdown]
# ## 7 · Eviction
#
# A block whose last holder has let go, and which has a hash, is worth keeping, but only while nobody needs
# the space. So there is a third state between held and free:
#
# | state | holders | findable | given out by `take` |
# |---|---|---|---|
# | held | 1 or more | if it is full | no |
# | evictable | none | yes | when no block is free, the one let go longest ago first (*LRU*) |
# | free | none | no | first |
#
# A table lets go of its last block first, so that of a cached prefix the tail is evicted before the head:
# without its head a tail could not be found.
#
# ### Find the bug: a stale hash
#
# Here is a pool that evicts. A pool of 6 blocks serves three requests one after the other; the third asks
# the same as the first. **Predict**: how many of its 12 tokens does the third answer have in common with
# the first answer, before one differs?

# %% predict="4.7a"
### BEGIN SOLUTION
tokens_in_common = 12
### END SOLUTION
predict("4.7a", tokens_in_common, unit="tokens")

# %%
from cblab.lab.labs.paging.pools import CachingPool as ReferencePool


class StalePool(ReferencePool):
    """A pool that finds cached blocks again. Something is missing in it."""

    def take(self) -> int:
        if self.free:
            block_id = self.free.popleft()
        elif self.evictable:
            block_id, _ = self.evictable.popitem(last=False)  # the one let go longest ago
        else:
            raise ValueError("no block is free, and none can be evicted")
        self.ref_counts[block_id] = 1
        return block_id


SPAIN = "The capital of France is Paris. The capital of Japan is Tokyo. The capital of Spain is"
FOX = "Once upon a time, there was a little fox who lived in a small house near the sea. One day"


def ask_again_later(pool_class: type) -> list:
    """The answers to three requests in a pool of 6 blocks; the third asks what the first did."""

    class Manager(Reference):
        def __init__(self, num_blocks: int, block_size: int) -> None:
            super().__init__(num_blocks, block_size)
            self.pool = pool_class(num_blocks)

    parts = Parts(block_manager=plugged(Manager))
    served = LLM(model, tokenizer, parts=parts, num_blocks=6, block_size=EIGHT, **SETTINGS)
    outputs = [served.generate(one, SHORT, use_tqdm=False)[0] for one in (SPAIN, FOX, SPAIN)]
    return [output.outputs[0] for output in outputs]


answers = ask_again_later(StalePool)
for question, answer in zip((SPAIN, FOX, SPAIN), answers, strict=True):
    print(f"…{question[-26:]} → {answer.text!r}")
reveal("4.7a", equal_at_first(answers[0].token_ids, answers[2].token_ids))

# %% [markdown]
# The fox's request was given blocks that had belonged to Spain. Their old hashes still led to them, so the
# third request "found" its prefix in blocks that by then held the fox's story, and went on telling it. A
# freed block that keeps its stale hash is the worst kind of defect: it needs a full pool to show, it raises
# no error, and what it shows is somebody else's conversation. (The engine compares the tokens of a hit as
# well, for the same reason: two prompts may have one hash by chance.)
#
# ### Exercise 4.7 · Mend the stale hash
# *hard · 8 minutes · about 15 lines*


# %% exercise="4.7"
class CachingPool:
    """A block pool that finds full blocks again by their hash, until it has to give them away."""

    def __init__(self, num_blocks: int) -> None:
        self.free = deque(range(num_blocks))  # neither held nor cached; the front is given out next
        self.ref_counts = [0] * num_blocks
        self.cached: dict[int, int] = {}  # {hash: block}
        self.hash_of: dict[int, int] = {}  # {block: hash}, the same the other way round
        # Cached and held by nobody, the oldest first:
        self.evictable: OrderedDict[int, None] = OrderedDict()
        self.num_remembered = 0

    @property
    def num_available(self) -> int:
        """How many blocks `take` can give out."""
        return len(self.free) + len(self.evictable)

    def state(self) -> tuple[list[int], list[int], list[int], dict[int, int], dict[int, int]]:
        """Free and evictable blocks, counts, `cached` and `hash_of`; the check looks here."""
        lists = list(self.free), list(self.evictable), list(self.ref_counts)
        return *lists, dict(self.cached), dict(self.hash_of)

    def remember(self, block_id: int, block_hash: int) -> None:
        """Make a full block findable, unless its content is cached already, here or elsewhere."""
        if block_hash not in self.cached:
            self.cached[block_hash] = block_id
            self.hash_of[block_id] = block_hash
            self.num_remembered += 1

    def take(self) -> int:
        """Give out a block, with a count of 1: the front of `free`, else the oldest evictable one.

        A block that is evicted can be found no more. ValueError if no block is available.
        """
        ### BEGIN SOLUTION
        if self.free:
            block_id = self.free.popleft()
        elif self.evictable:
            block_id, _ = self.evictable.popitem(last=False)
            del self.cached[self.hash_of.pop(block_id)]
        else:
            raise ValueError("no block is free, and none can be evicted")
        self.ref_counts[block_id] = 1
        return block_id
        ### END SOLUTION

    def share(self, block_id: int) -> None:
        """Count one holder more of a held or evictable block; it is not evictable from now on."""
        ### BEGIN SOLUTION
        self.evictable.pop(block_id, None)
        self.ref_counts[block_id] += 1
        ### END SOLUTION

    def release(self, block_id: int) -> None:
        """Count one holder less of a held block.

        Without any it is the newest evictable one if it is cached (it stays findable), else it goes
        to the end of `free`.
        """
        ### BEGIN SOLUTION
        self.ref_counts[block_id] -= 1
        if self.ref_counts[block_id] == 0:
            if block_id in self.hash_of:
                self.evictable[block_id] = None
            else:
                self.free.append(block_id)
        ### END SOLUTION


# %% check="4.7"

# %%
answers = ask_again_later(best("4.7"))
in_common = equal_at_first(answers[0].token_ids, answers[2].token_ids)
num_tokens = len(answers[0].token_ids)
print(f"with the hash forgotten in time: {in_common} of {num_tokens} tokens in common")

# %% [markdown]
# ## 8 · Plug it in
#
# Everything comes together in the part that the engine's scheduler talks to. For each new request it asks
# `get_computed_blocks`, then `allocate_slots`; for each running one `allocate_slots` once a step. After the
# forward pass the full blocks are made findable with `cache_blocks`; samples of one prompt are made with
# `fork`; a request that ends, or has to give way, is freed.
#
# Only `allocate_slots` is left to write, and its order matters. Blocks that were found and that nobody
# holds are *evictable*: they count as available, and the next `take` may give them away. So whoever takes
# new blocks first may evict the very prefix that was found.
#
# ### Exercise 4.8 · A block manager for the engine
# *hard · 10 minutes · about 13 lines*


# %% exercise="4.8"
class BlockManager:
    """Which block belongs to whom.

    `CachingPool`, `block_hashes`, `match_prefix` and `copy_on_write` are there to be used.
    """

    def __init__(self, num_blocks: int, block_size: int) -> None:
        self.pool = CachingPool(num_blocks)
        self.block_size = block_size
        self.tables: dict[str, list[int]] = {}  # request id: its blocks in the order of its tokens
        self.num_tokens: dict[str, int] = {}  # request id: tokens that it has been given room for

    def get_computed_blocks(self, token_ids: list[int]) -> list[int]:
        """The cached blocks of the longest prefix; no reference is taken."""
        hashes = block_hashes(token_ids, self.block_size)
        return match_prefix(hashes, self.pool.cached, len(token_ids), self.block_size)

    def must_copy(self, request_id: str, num_tokens: int) -> bool:
        """Whether growing to `num_tokens` writes into a block that somebody else holds too."""
        held = self.num_tokens.get(request_id, 0)
        if num_tokens == held or held % self.block_size == 0:
            return False
        return self.pool.ref_counts[self.tables[request_id][-1]] > 1

    def allocate_slots(
        self, request_id: str, num_tokens: int, computed_blocks: list[int]
    ) -> list[tuple[int, int]] | None:
        """Make room for `num_tokens` tokens of a request in all.

        computed_blocks: from `get_computed_blocks`, for a new request; its table begins with them,
        and they are shared before anything is taken from the pool. [] for one that has blocks.
        Returns the copies to be made, [(old block, new block)] or [], from `copy_on_write` if
        `must_copy` (it gets the tokens that the request had so far, before growing); or None, with
        nothing changed, if all this takes more than `self.pool.num_available` blocks: new ones, one
        for a copy, and those of the computed ones that nobody holds (they are available now, and
        will not be). Writes down `self.tables` and `self.num_tokens`.
        """
        ### BEGIN SOLUTION
        table = self.tables.get(request_id, list(computed_blocks))
        must_copy = self.must_copy(request_id, num_tokens)
        num_new = math.ceil(num_tokens / self.block_size) - len(table)
        num_revived = sum(self.pool.ref_counts[block_id] == 0 for block_id in computed_blocks)
        if num_new + must_copy + num_revived > self.pool.num_available:
            return None
        for block_id in computed_blocks:
            self.pool.share(block_id)
        copies = []
        if must_copy:
            num_held = self.num_tokens[request_id]
            table, copies = copy_on_write(self.pool, table, num_held, self.block_size)
        self.tables[request_id] = table + [self.pool.take() for _ in range(num_new)]
        self.num_tokens[request_id] = num_tokens
        return copies
        ### END SOLUTION

    def cache_blocks(self, request_id: str, token_ids: list[int], num_computed_tokens: int) -> None:
        """Make the full blocks among the computed tokens findable."""
        hashes = block_hashes(token_ids[:num_computed_tokens], self.block_size)
        for index, block_hash in enumerate(hashes):
            self.pool.remember(self.tables[request_id][index], block_hash)

    def free(self, request_id: str) -> None:
        """Forget a request and release its blocks, the last first; an unknown id is no error."""
        self.num_tokens.pop(request_id, None)
        for block_id in reversed(self.tables.pop(request_id, [])):
            self.pool.release(block_id)

    def fork(self, parent_id: str, child_id: str) -> None:
        """Let a new request share all blocks of another."""
        for block_id in self.tables[parent_id]:
            self.pool.share(block_id)
        self.tables[child_id] = list(self.tables[parent_id])
        self.num_tokens[child_id] = self.num_tokens[parent_id]

    def block_table(self, request_id: str) -> list[int]:
        """A request's blocks in order; none for an unknown id."""
        return list(self.tables.get(request_id, []))

    def counts(self) -> dict[str, int]:
        """How many blocks are used, free, cached though nobody holds them, and were evicted."""
        return {
            "used": sum(count > 0 for count in self.pool.ref_counts),
            "free": len(self.pool.free),
            "cached": len(self.pool.evictable),
            "evictions": self.pool.num_remembered - len(self.pool.hash_of),
        }

    def state(self) -> tuple[dict[str, list[int]], dict[str, int], list[int], list[int], list[int]]:
        """Tables, tokens, free and evictable blocks, and counts; the check looks here."""
        return dict(self.tables), dict(self.num_tokens), *self.pool.state()[:3]


# %% check="4.8"

# %% [markdown]
# Now the question from the beginning. Eight customers ask behind one instruction; the pool is too small for
# eight whole prompts. The engine runs three times: its own manager without a prefix cache, its own with
# one, and yours.
#
# **Predict**: what share of all prompt tokens does the prefix cache find (0 to 1)? The instruction is about
# 50 tokens long, a question 2 to 10 (a request that was preempted asks again and counts again).

# %% predict="4.8a"
### BEGIN SOLUTION
share_found = 0.7
### END SOLUTION
predict("4.8a", share_found, unit="of the prompt tokens")

# %%
instruction = (
    "Once upon a time, there was an old owl who lived in a tall tree. The owl knew many things, "
    "and all the animals came to ask. The owl was kind and patient, and told everyone what they "
    "wanted to know. "
)
questions = (
    "The capital of France is",
    "The cow says",
    "The capital of Japan is",
    "Count by twos from 2 to 20:",
    "7 + 5 =",
    "The capital of Spain is",
    "The dog says",
    "The capital of Italy is",
)
prompts = [instruction + question for question in questions]
prompt_lengths = [len(tokenizer.encode(text)) for text in prompts]
print(
    f"the instruction has {len(tokenizer.encode(instruction))} tokens, "
    f"the prompts {min(prompt_lengths)} to {max(prompt_lengths)}"
)
small_pool = SETTINGS | {"num_blocks": 32, "block_size": 8, "max_num_seqs": 8}


def serve(served: LLM) -> dict:
    """Answer the prompts, somebody having asked the first one before; what was seen on the way."""
    engine = served.engine
    served.generate(prompts[0], SamplingParams(temperature=0, max_tokens=1), use_tqdm=False)
    for number, text in enumerate(prompts):
        engine.add_request(text, GREEDY, request_id=f"r{number}")
    tokens, most, entries, used = {}, 0, 0, 0
    while engine.has_unfinished:
        for output in engine.step():
            tokens[output.request_id] = output.outputs[0].token_ids
        engine.check_integrity()
        running = engine.scheduler.running
        tables = [engine.block_manager.block_table(one.request_id) for one in running]
        if len(tables) > most:
            most, entries = len(tables), sum(map(len, tables))
            used = engine.block_manager.stats().used
    return {
        "tokens": tokens,
        "stats": engine.stats(),
        "most": most,
        "entries": entries,
        "used": used,
    }


yours = Parts(block_manager=plugged(best("4.8")))
seen = {}
for name, parts, caching in (
    ("no prefix cache", Parts(), False),
    ("the engine's own", Parts(), True),
    ("plugged in", yours, True),
):
    served = LLM(model, tokenizer, parts=parts, enable_prefix_caching=caching, **small_pool)
    seen[name] = serve(served)
same = all(one["tokens"] == seen["no prefix cache"]["tokens"] for one in seen.values())
print("the same tokens, all three:", same)
reveal("4.8a", round(seen["plugged in"]["stats"].prefix_hit_rate, 2))

# %%
for name, one in seen.items():
    stats, entries, used = one["stats"], one["entries"], one["used"]
    found = f"{stats.num_prefill_tokens} prompt tokens computed, {stats.prefix_hit_rate:.0%} found"
    lost = f"{stats.num_preemptions} preemptions, {stats.blocks.evictions} evictions"
    print(f"{name}: {found}; {lost}, {stats.num_steps} steps")
    tables = f"at most {one['most']} requests at once, with {entries} blocks in their tables"
    print(f"    {tables}: {used} blocks used, {entries - used} saved")

# %%
with_samples = LLM(model, tokenizer, parts=yours, **(small_pool | {"num_blocks": 20}))
sampled = SamplingParams(temperature=0.9, n=4, seed=5, max_tokens=24, ignore_eos=True)
with_samples.engine.add_request(instruction, sampled, request_id="owl")
for _ in range(3):
    with_samples.engine.step()
owners = ["owl", "owl#1", "owl#2", "owl#3"]
held_tables = {name: with_samples.engine.block_manager.block_table(name) for name in owners}
num_owl = len(tokenizer.encode(instruction)) + 2
print("copies so far:", with_samples.engine.stats().blocks.copies)
viz.block_pool_picture(
    held_tables,
    dict.fromkeys(owners, num_owl),
    num_blocks=20,
    block_size=8,
    columns=10,
    caption="Four samples of one prompt in the engine, by your manager: one prompt, four tails.",
)

# %% [markdown]
# That is the answer to the second half of the question: no, the instruction is kept once, and computed
# once. It is also the reason why instructions belong at the *beginning* of a prompt and the user's name
# behind them: a prefix ends at the first token that differs.
#
# *The second sitting begins here. In a fresh kernel, run the cells above again first (where a check of an
# exercise that you skipped stops it, go on from the cell below); your predictions are kept.*
#
# ## 9 · Out of blocks
#
# A contiguous cache refuses at the door. A paged one lets more in than can ever finish together, because
# most will not need what they may need, and then sometimes runs dry in the middle. There are four things to
# do, and most engines do most of them:
# - **evict** what is only cached (you did);
# - **preempt**: the request that came last loses its blocks and goes back to the queue. Its rows are
#   computed again when it returns (so does vLLM), or were moved to host memory and are *swapped* back;
# - **leave room**: admit a newcomer only if some blocks stay free for those that run (a *watermark*);
# - **refuse** at the door what could never fit, with an error that says why.
#
# A preempted request keeps its tokens, and its answer is the same as without. Here are six requests in a
# pool that holds about half of what they will need, by your manager. **Predict**: how many preemptions?

# %% predict="4.9a"
### BEGIN SOLUTION
num_preemptions = 4
### END SOLUTION
predict("4.9a", num_preemptions, unit="preemptions")

# %%
openings = (
    "Once upon a time, there was a little fox",
    "In a small house near the sea, there lived",
    "There once was a clever mouse",
    "Once upon a time, there was a brave girl",
    "One day, a small bird",
    "The king had a daughter",
)
long_answers = SamplingParams(temperature=0, max_tokens=40, ignore_eos=True)
answers_by_pool, trace = {}, Trace()
for num_blocks in (100, 20):
    served = LLM(
        model, tokenizer, parts=yours, trace=trace if num_blocks == 20 else None,
        **(SETTINGS | {"num_blocks": num_blocks, "block_size": 8, "max_num_seqs": 6}),
    )  # fmt: skip
    answers_by_pool[num_blocks] = [
        one.outputs[0].token_ids for one in served.generate(openings, long_answers, use_tqdm=False)
    ]
print("the same answers as with room for all:", answers_by_pool[20] == answers_by_pool[100])
print("tokens computed:", sum(len(ids) for ids in answers_by_pool[20]), "were generated,", end=" ")
print(sum(record.plan.num_tokens for record in trace), "went through the model")
display(reveal("4.9a", served.engine.stats().num_preemptions))
viz.timeline(
    trace,
    caption="Above, what each step computed; below, the blocks as they are after the step.",
)

# %% [markdown]
# A row is a request: orange is a step that computes its prompt, blue one that decodes a token, hatched the
# time after it lost its blocks. (Waiting, grey, is for those that arrive when there is no room; here all six
# begin at once.) What comes back is orange again: its rows are computed once more, except those that the
# cache still holds. `length` says why a request ended: it had its `max_tokens`. The blocks are counted at the
# end of a step, so the step in which a request ends already shows its blocks as given back.
#
# How much room should be left? Back to the simulator of section 1, where lost rows are always computed
# again. A step counts the same there however much it computes, so compare the tokens too; "in all" are the
# requests' own and those computed again.

# %%
for keep_free in (0, 1, 2, 4, 8, 16):
    run = simulate(workload, Paged(NUM_SLOTS, block_size=16, keep_free=keep_free))
    computed = sum(request.total_len for request in workload) + run.num_recomputed
    again = f"{run.num_preemptions:3} preemptions, {run.num_recomputed:5,} tokens computed again"
    used = f"{computed:6,} in all, {run.mean_use:.0%} used, {len(run.steps)} steps"
    print(f"{keep_free:2} of 48 left free: {again}, {used}")

# %% [markdown]
# Without a reserve there are 85 preemptions for 120 requests; with a large one the memory stands empty
# again. In between a few blocks save most of what is computed again and cost few steps. Preemption is a
# safety net; an engine that preempts in every step is too small, or admits too much.
#
# ## 10 · Which block size?
#
# Small blocks waste less and share more. Large blocks make short tables: fewer entries for a kernel to look
# up, longer stretches of memory to read at once. Measure both sides on what the bundled model has been
# trained on: 200 stories, and pairs of prompts that begin with the same instruction.
#
# **Predict**: which of the block sizes 1, 4, 16, 64, 256 is the largest that wastes less than 10 % of the
# slots?

# %% predict="4.10a"
### BEGIN SOLUTION
largest_under_ten_percent = 16
### END SOLUTION
predict("4.10a", largest_under_ten_percent, unit="tokens")

# %%
import itertools

from cblab.training.corpus import iter_labelled_documents

documents = iter_labelled_documents(1)
stories = list(itertools.islice((text for kind, text in documents if kind == "story"), 200))
story_lengths = [len(tokenizer.encode(story)) for story in stories]
prompt_ids = [tokenizer.encode(text) for text in prompts]
match, hashes_of = best("4.6"), best("4.5")
block_sizes, wasted, entries, found = (1, 4, 16, 64, 256), [], [], []
for size in block_sizes:
    blocks = [math.ceil(length / size) for length in story_lengths]
    wasted.append(1 - sum(story_lengths) / (size * sum(blocks)))
    entries.append(sum(blocks) / len(blocks))
    cached = dict.fromkeys(hashes_of(prompt_ids[0], size), 0)
    others = prompt_ids[1:]
    hits = [size * len(match(hashes_of(ids, size), cached, len(ids), size)) for ids in others]
    found.append(sum(hits) / sum(map(len, others)))
    waste = f"{wasted[-1]:6.1%} wasted, {entries[-1]:5.1f} entries"
    print(f"{size:3} tokens: {waste}, {found[-1]:4.0%} found")
print(f"mean length of a story: {sum(story_lengths) / len(stories):.0f} tokens")
reveal("4.10a", max(size for size, share in zip(block_sizes, wasted, strict=True) if share < 0.1))

# %%
viz.block_size_tradeoff(
    block_sizes,
    wasted,
    entries,
    found,
    caption="Larger blocks waste more slots and miss more of a prefix; their tables are shorter.",
)

# %% [markdown]
# The authors of vLLM settled on 16 as well (section 7.2 of their paper). With requests of many thousands of
# tokens the waste hardly counts, and larger blocks do no harm; the number belongs to the workload and the
# kernel, so measure yours. What a table costs in time shows when attention reads through it:

# %% tags=["nbval-ignore-output"]
import time

from cblab.attention.layout import KVLayout, LayerKV

spec, context = model.config.attention_specs[0], 2_048
decode = llm.engine.backend.decode
for size in (1, 4, 16, 64, 256):
    kv = LayerKV.allocate(
        context // size,
        size,
        spec.num_kv_heads,
        spec.head_dim,
        layout=KVLayout.NHD,
        dtype=torch.float32,
    )
    table = torch.randperm(context // size, generator=torch.Generator().manual_seed(0))[None].int()
    query = torch.ones(1, spec.num_heads, spec.head_dim)
    times = []
    for _ in range(30):
        started = time.perf_counter()
        decode(query, kv, table, torch.tensor([context], dtype=torch.int32), spec)
        times.append(time.perf_counter() - started)
    print(f"blocks of {size:3}: {1e6 * min(times):5.0f} µs to attend to {context:,} tokens")

# %% [markdown]
# ## Assessment
#
# Numbers go into the variables named in the text, in the unit that their names say. Where an answer is not
# a count, it may be off by 0.5 %: three digits are enough.
#
# ### Exercise 4.9 · Blocks of 16
# *medium · 5 minutes*
#
# A model with 8 billion parameters leaves 131,072 bytes a token in the KV cache, keys and values of all
# layers together. The pool has 40 GiB, in blocks of 16 tokens. Requests hold 900 tokens on average, and the
# number of tokens modulo 16 is anything from 0 to 15 with equal probability. An entry of a block table is
# an int32.
# - `blocks_in_pool`: how many blocks the pool has;
# - `mean_waste_share`: expected empty slots of a request over all slots of its blocks, 0 to 1, for one with
#   the average number of tokens;
# - `table_bytes`: the block table of a request with 131,072 tokens, in bytes.

# %% exercise="4.9"
# To be assigned: blocks_in_pool, mean_waste_share, table_bytes
### BEGIN SOLUTION
blocks_in_pool = 40 * 2**30 // (131_072 * 16)
mean_waste_share = 7.5 / (900 + 7.5)
table_bytes = 131_072 // 16 * 4
### END SOLUTION

# %% check="4.9"

# %% [markdown]
# ### Exercise 4.10 · One instruction, 64 requests
# *medium · 5 minutes*
#
# 64 requests run at once, in blocks of 16. Each has the same instruction of 1,000 tokens, then a question
# of its own of 200 tokens, and has generated 300 tokens by now. No two questions begin alike.
# - `blocks_without_sharing`: blocks held by all of them without a prefix cache;
# - `blocks_with_sharing`: with one;
# - `prefill_tokens_saved`: prompt tokens that need not be computed, if one request came first and the other
#   63 when its prompt was done.

# %% exercise="4.10"
# To be assigned: blocks_without_sharing, blocks_with_sharing, prefill_tokens_saved
### BEGIN SOLUTION
blocks_per_request = math.ceil((1_000 + 200 + 300) / 16)
shared_blocks = 1_000 // 16
blocks_without_sharing = 64 * blocks_per_request
blocks_with_sharing = shared_blocks + 64 * (blocks_per_request - shared_blocks)
prefill_tokens_saved = 63 * shared_blocks * 16
### END SOLUTION

# %% check="4.10"

# %% [markdown]
# ### Exercise 4.11 · Reserve or page
# *medium · 5 minutes*
#
# Memory for 327,680 tokens, 131,072 bytes each. Clients may use 4,096 tokens, prompt and answer together;
# they use 700. Blocks have 16 slots. The memory's bandwidth is 1,500 GB/s, for what is read and what is
# written together.
# - `contiguous_requests`: requests that fit at once if each reserves 4,096 slots side by side;
# - `paged_requests`: requests of 700 tokens that fit in blocks;
# - `compaction_ms`: milliseconds to move 60 requests with 700 tokens each.

# %% exercise="4.11"
# To be assigned: contiguous_requests, paged_requests, compaction_ms
### BEGIN SOLUTION
contiguous_requests = 327_680 // 4_096
paged_requests = (327_680 // 16) // math.ceil(700 / 16)
compaction_ms = 2 * 60 * 700 * 131_072 / 1_500e9 * 1_000
### END SOLUTION

# %% check="4.11"

# %% [markdown] manual="4.12" points=3
# ### Question 4.12 · Two tenants, one cache
#
# Two companies use one service and one prefix cache. A request of company B gets its first token in 20 ms
# if its prompt is cached, and in 300 ms if not. What can B find out about A's prompts, and how? What would
# you change in the hash, what does the change cost, and which sharing should stay? At most ten sentences.
#
# <!-- BEGIN SOLUTION -->
# **Rubric (3 points).**
# - 1 point: B can guess. It sends a prompt that A may have sent and measures the time to the first token; a
#   fast answer says that the prefix is cached. Block by block, B can test continuations of a known
#   beginning, so that a secret behind it is guessed piece by piece and not all at once.
# - 1 point: put something that is A's alone (a salt) into the hash of the *first* block. As every hash
#   covers its parent's, that separates all blocks after it too; salting only later blocks would leave the
#   beginning shared.
# - 1 point: the price is that equal prefixes of different tenants are computed and kept once each: hit rate
#   and memory. Sharing within a tenant stays; a public instruction, the same for all, can keep a common
#   salt if its being cached is no secret.
# <!-- END SOLUTION -->

# %% [markdown] manual="4.13" points=3
# ### Question 4.13 · The pool is full
#
# At noon a service preempts in nearly every step, and the time to the last token has tripled. Somebody
# suggests to double the block size "so that allocation happens half as often". Say what this would change,
# what you would look at first, and which two remedies you would choose, with their price.
#
# <!-- BEGIN SOLUTION -->
# **Rubric (3 points).**
# - 1 point: larger blocks make it worse or leave it as it is: the pool has as many slots as before, more of
#   them are wasted in last blocks and fewer prefixes are found. How often `take` is called is not the
#   problem.
# - 1 point: look at how many tokens are computed again, how many requests run, how much of the pool is held
#   and how much only cached, how long answers are against what was expected.
# - 1 point: two remedies with a price, e.g. a higher watermark or a lower `max_num_seqs` (requests wait
#   longer for their first token), swapping instead of computing again (host memory and bus traffic; good
#   for long contexts), KV cache in 8 bits (a little quality), more memory or fewer weights bytes, refusing
#   at the door (some get an error, the rest a good service).
# <!-- END SOLUTION -->

# %% [markdown]
# ## 11 · Bonus
#
# The two functions below are what the simulator of section 1 is made of.
#
# ### Exercise 4.14 (bonus) · First fit
# *medium · 10 minutes · about 6 lines*


# %% exercise="4.14"
def first_fit(reserved: list[tuple[int, int]], num_slots: int, wanted: int) -> int | None:
    """Where the first hole of at least `wanted` slots begins.

    reserved: (start, number of slots) of each reservation, in any order; they do not overlap.
    num_slots: of the whole memory, slots 0 to num_slots - 1. wanted: at least 1. Returns None if no
    hole is long enough.
    """
    ### BEGIN SOLUTION
    end = 0
    for start, size in sorted(reserved):
        if start - end >= wanted:
            return end
        end = start + size
    return end if num_slots - end >= wanted else None
    ### END SOLUTION


# %% check="4.14"

# %% [markdown]
# ### Exercise 4.15 (bonus) · Compact
# *medium · 8 minutes · about 7 lines*


# %% exercise="4.15"
def slide_down(runs: list[tuple[int, int, int]]) -> tuple[list[int], int]:
    """Move reservations to the front of the memory, in their order, without gaps.

    runs: (start, number of slots, tokens in them) of each reservation, sorted by start. Returns the
    new starts, and how many rows are copied: the tokens of every one that moves, and none of one
    that stays.
    """
    ### BEGIN SOLUTION
    starts = []
    end = copied = 0
    for start, size, used in runs:
        starts.append(end)
        if start != end:
            copied += used
        end += size
    return starts, copied
    ### END SOLUTION


# %% check="4.15"

# %%
fit, compact = best("4.14"), best("4.15")
three = [(0, 200, 150), (320, 180, 90), (600, 100, 100)]
print("room for 200 of 768 slots:", fit([run[:2] for run in three], 768, 200))
starts, copied = compact(three)
moved = [(start, run[1]) for start, run in zip(starts, three, strict=True)]
print(f"after copying {copied} rows: {fit(moved, 768, 200)}")

# %% [markdown]
# ## Checklist
#
# - [ ] I can say which waste of contiguous memory compaction mends, which it does not, and what it costs.
# - [ ] I can follow a position through a block table to its slot and back.
# - [ ] I know which block copy on write copies, and when it copies none.
# - [ ] I can say what is in a block's hash and why, and why a prefix hit ends before the last token.
# - [ ] I know what must happen to a block's hash when the block is given away, and what happens otherwise.
# - [ ] I can name four things to do when blocks run out, and the price of each.
#
# **What comes next.** Lab 5 writes the scheduler that decides who gets blocks and what is in the batch of a
# step, and lab 6 the kernel that reads through the tables. The engine's own manager is
# `cblab/core/block_manager.py`; you can read it now.
#
# **Further reading**
# - Kwon and others: *Efficient Memory Management for Large Language Model Serving with PagedAttention*,
#   2023, [arXiv:2309.06180](https://arxiv.org/abs/2309.06180); section 3.1 on the kinds of waste, section
#   7.2 on the block size
# - vLLM: [automatic prefix caching](https://docs.vllm.ai/en/latest/design/prefix_caching.html), with its
#   hash and its eviction
# - Zheng and others: *SGLang: Efficient Execution of Structured Language Model Programs*, 2023,
#   [arXiv:2312.07104](https://arxiv.org/abs/2312.07104): the same idea with a radix tree in the place of
#   hashes

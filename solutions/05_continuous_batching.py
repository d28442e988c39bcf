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
# # Lab 5 · Continuous batching: who computes what, and when
#
# > **The question.** "We batch eight requests, because one at a time the GPU idles. Now everybody waits for
# > the slowest of the eight, and when somebody sends a long document the whole service stands still for two
# > seconds. Somebody proposed to serve the short ones first; since then one customer gets no answer at all."
#
# A language model reads its weights once for each forward pass, whether the pass computes one token or a
# hundred. So requests share passes. In this lab you write what decides which tokens of which requests share
# the next one: the *scheduler*; and what lays them side by side without a single token of padding: the
# *ragged batch*. At the end both run the engine, and you write the engine's `step()` yourself.
#
# **At the end you can**
# - say what a static batch wastes and why, and draw it;
# - lay the tokens of a step end to end, and prove that no request reads another one's;
# - write a scheduler: decodes first, chunked prefill, admission in order, preemption that loses nothing;
# - name three defects that such schedulers have had, and what each looks like from outside;
# - choose a token budget and a number of seats for a latency that was promised.
#
# **Time.** Two sittings, reading included.
# - *First, the core*, about 90 minutes: sections 1–8 with exercises 5.1–5.7. Your scheduler runs the
#   engine.
# - *Second*, about 60 minutes: sections 9 and 10 with exercises 5.8 and 5.9, and the assessment.
# - *Bonus*, about 10 minutes: section 11.
#
# **You need** Python and a little PyTorch. Of labs 3 and 4 you need to know only this: every token that a
# model has read leaves a key and a value in each layer, in the *KV cache*; the cache is made of *blocks* of
# some tokens each; and a request's *block table* lists its blocks in the order of its tokens. No GPU and no
# network.
#
# **How it works.** You *predict* a number, fill in a *blank*, *check* it, and then *measure* with what you
# wrote. A blank is one line that says `raise NotImplementedError`: put your own lines in its place, and
# change nothing else. An answer must stand alone: besides what its text names, it may use only what its own
# cell and the set-up cell (the next one) define. If you are stuck, `hint("5.1")` in a new cell gives the
# next hint. Where you skip an exercise, the cells after it use the course's own version and say so.

# %% tags=["setup"]
import math

import torch

from cblab.core.request import Request, RequestStatus
from cblab.lab.labs.continuous_batching.given import Counts

# %%
from IPython.display import display

from cblab import LLM, SamplingParams, viz
from cblab.core.clock import SimulatedClock
from cblab.core.parts import Parts
from cblab.core.scheduler import Scheduler as EngineScheduler
from cblab.core.trace import Trace
from cblab.lab import best, check, hint, predict, reveal  # noqa: F401
from cblab.lab.labs.continuous_batching.load import TICKS, Arrival, percentile, random_load, serve
from cblab.lab.labs.continuous_batching.plug import plugged, plugged_table
from cblab.lab.labs.continuous_batching.scheduler import Scheduler as ReferenceScheduler

# %% [markdown]
# ## 1 · Everybody waits for the slowest
#
# **The naive way** is a *static batch*: take as many requests as there are seats, compute until the last of
# them is done, then take the next ones. Here are 18 requests for six seats, in order of arrival; the
# numbers are how many tokens each will generate.

# %%
LENGTHS = (6, 90, 12, 40, 8, 24, 64, 10, 16, 80, 5, 30, 12, 48, 9, 20, 70, 14)
SEATS = 6
print(sum(LENGTHS), "tokens in all; with every seat always taken that is", sum(LENGTHS) / SEATS, "steps")

# %% [markdown]
# **Predict**: how many steps does the static way take, three batches of six? And how many if a seat is
# filled in the very step after it became free?

# %% predict="5.0a"
### BEGIN SOLUTION
static_steps = 90 + 80 + 70
### END SOLUTION
predict("5.0a", static_steps, unit="steps")

# %% predict="5.0b"
### BEGIN SOLUTION
continuous_steps = 120
### END SOLUTION
predict("5.0b", continuous_steps, unit="steps")

# %%
SETTINGS = {
    "attention_backend": "torch",
    "fused_ops": "torch",
    "enable_prefix_caching": False,
    "watermark": 0.0,
}
llm = LLM("story-4m", num_blocks=200, **SETTINGS)
model, tokenizer = llm.engine.runner.model, llm.tokenizer
OPENINGS = ("Once upon a time, there was", "The capital of Italy is", "One day, a small bird")


def answer(batches: list[range]) -> tuple[list, dict]:
    """Let the engine answer one batch after another; its steps, and everybody's tokens."""
    trace, tokens = Trace(), {}
    served = LLM(model, tokenizer, trace=trace, num_blocks=200, max_num_seqs=SEATS, **SETTINGS)
    for batch in batches:
        for index in batch:
            greedy = SamplingParams(temperature=0, max_tokens=LENGTHS[index], ignore_eos=True)
            served.engine.add_request(OPENINGS[index % 3], greedy, request_id=f"{index}")
        while served.engine.has_unfinished:
            tokens |= {one.request_id: one.outputs[0].token_ids for one in served.engine.step()}
    return list(trace), tokens


static, static_tokens = answer([range(start, start + SEATS) for start in range(0, 18, SEATS)])
continuous, continuous_tokens = answer([range(18)])
print("the same tokens both ways:", static_tokens == continuous_tokens)
display(reveal("5.0a", len(static)))
reveal("5.0b", len(continuous))

# %%
viz.seat_timeline(
    {"static": static, "continuous": continuous},
    SEATS,
    caption="Hatched: empty seats. Above they wait for the longest of a batch; below nobody is left to wait.",
)

# %% [markdown]
# The engine was the same both times; only the moment of admission differed. Deciding anew in *every step*
# who takes part is called *iteration-level scheduling* (Orca, 2022) or *continuous batching*. What is left
# hatched at the end of the second run is only that nobody waits any more.
#
# How much it gains depends on how different the lengths are; with requests of equal lengths that are all
# there from the start it gains nothing:

# %%
for lengths in ((30, 30, 30, 30), (20, 30, 30, 40), (5, 10, 15, 90)):
    use = sum(lengths) / (len(lengths) * max(lengths))
    print(f"a static batch of {lengths}: {use:.0%} of the seats in use")

# %% [markdown]
# ## 2 · The life of a request
#
# If anything may happen between any two steps, it must be clear what can happen to whom:
#
# ```
#              admit                 finish
#   waiting ───────────► running ───────────► finished
#                         │    ▲
#                 preempt │    │ admit           from waiting, running and preempted:
#                         ▼    │                     abort ──► cancelled
#                        preempted                   fail  ──► failed
# ```
#
# *waiting* requests hold no memory. A *running* one holds blocks, and takes part in the steps. When the
# blocks run out, somebody is *preempted*: its blocks go to the others, and it will be admitted again. What
# has ended stays so. Every arrow that is not listed is a bug in an engine: a request that is aborted after
# it has finished frees its blocks twice.
#
# ### Exercise 5.1 · The states of a request
# *easy · 5 minutes · about 10 lines*


# %% exercise="5.1"
def next_status(status: str, event: str) -> str:
    """Where a request goes that is in `status` when `event` happens.

    Raises ValueError if there is no such arrow.
    status: "waiting", "running", "preempted", "finished", "cancelled" or "failed".
    event: "admit", "preempt", "finish", "abort" or "fail".
    """
    ### BEGIN SOLUTION
    arrows = {
        ("waiting", "admit"): "running",
        ("preempted", "admit"): "running",
        ("running", "preempt"): "preempted",
        ("running", "finish"): "finished",
    }
    for alive in ("waiting", "running", "preempted"):
        arrows[alive, "abort"] = "cancelled"
        arrows[alive, "fail"] = "failed"
    if (status, event) not in arrows:
        raise ValueError(f"a request that is {status} cannot {event}")
    return arrows[status, event]
    ### END SOLUTION


# %% check="5.1"

# %%
go = best("5.1")
status = "waiting"
for event in ("admit", "preempt", "admit", "finish", "abort"):
    try:
        status = go(status, event)
        print(f"{event:8} → {status}")
    except ValueError as error:
        print(f"{event:8} → refused: {error}")

# %% [markdown]
# The engine's own `Request` does the same with `request.become(RequestStatus.RUNNING)`; you will use it
# soon.
#
# Note what is *not* a state: there is no prefill phase and no decode phase. A request knows some tokens
# (`num_tokens`, prompt and output), and some of them are computed, that is, their keys and values are in
# the cache (`num_computed_tokens`). A step lets the second number chase the first. When it has caught up, a
# new token is sampled, and the chase goes on.
#
# ## 3 · A step without padding
#
# So one step may hold one token of a request that decodes, 40 tokens from the middle of a prompt, and a
# whole short prompt. **The naive way** is a rectangle, `[requests, longest]`, filled up with padding.
#
# **Predict**: 15 requests decode one token each, one computes a chunk of 100. What share of the rectangle
# is padding (0 to 1)?

# %% predict="5.2a"
### BEGIN SOLUTION
padding_share = 0.93
### END SOLUTION
predict("5.2a", padding_share, unit="of the rectangle")

# %%
shares = [1] * 15 + [100]
print(sum(shares), "tokens in", len(shares) * max(shares), "places")
reveal("5.2a", round(1 - sum(shares) / (len(shares) * max(shares)), 3))

# %% [markdown]
# Instead, the tokens are laid end to end in one list, and a few more lists say what is whose:
#
# ```
#                   a       b           c
# input_ids       [ 31      14 15 16    21 22     ]
# positions       [ 6       4  5  6     0  1      ]   in its own sequence
# slot_mapping    [ 10      4  5  6     12 13     ]   where keys and values go
# cu_seqlens_q    [ 0       1           4       6 ]   where each begins, and the end
# context_lens    [ 7       7           2         ]   computed and new tokens
# logits_indices  [ 0                      5      ]   rows that are sampled from
# ```
#
# a decodes one token, 6 are computed. b has three tokens from the middle of its prompt, 4 are computed. c
# brings its whole prompt of two.
#
# Blocks of 4, block tables [5, 2], [7, 1] and [3]. Position 6 of a is in its second block, block 2, at
# place 2: slot 10. The chunk of b ends in the middle of the prompt. Its last token has no "next token" to
# choose: the next one is known. So only a and c are sampled from.
#
# ### Exercise 5.2 · The token table
# *medium · 8 minutes · about 9 lines*


# %% exercise="5.2"
def token_table(
    rows: list[tuple[list[int], int, list[int], bool]],
    block_size: int,
) -> dict[str, list[int]]:
    """Lay the tokens of a step end to end.

    rows: (token ids to compute, tokens computed before, block table, samples) of each request;
    samples: whether the last of its tokens is sampled from. The token at position p of a request
    belongs into slot `block_table[p // block_size] * block_size + p % block_size`.
    Returns the six lists: input_ids, positions and slot_mapping have an entry for each token,
    context_lens one for each row, cu_seqlens_q one more than that (it begins with 0),
    logits_indices one for each row that samples: where its last token is in input_ids.
    """
    table = {"input_ids": [], "positions": [], "slot_mapping": []}
    table |= {"cu_seqlens_q": [0], "context_lens": [], "logits_indices": []}
    ### BEGIN SOLUTION
    for token_ids, num_computed, blocks, samples in rows:
        context_len = num_computed + len(token_ids)
        positions = range(num_computed, context_len)
        table["input_ids"] += token_ids
        table["positions"] += positions
        table["slot_mapping"] += [blocks[p // block_size] * block_size + p % block_size for p in positions]
        table["cu_seqlens_q"].append(len(table["input_ids"]))
        table["context_lens"].append(context_len)
        if samples:
            table["logits_indices"].append(len(table["input_ids"]) - 1)
    ### END SOLUTION
    return table


# %% check="5.2"

# %%
three_rows = [([31], 6, [5, 2], True), ([14, 15, 16], 4, [7, 1], False), ([21, 22], 0, [3], True)]
table = best("5.2")(three_rows, 4)
for name, values in table.items():
    print(f"{name:15}{values}")

# %% [markdown]
# ## 4 · Nobody reads another one's tokens
#
# Laid end to end, the tokens of different requests are neighbours. Attention has to know where one request
# ends. The definition is a mask: a row a new token (query), a column a token whose key is there, cached or
# new; True where the query may see the key. Keys of all requests lie end to end, too.
#
# Within one request, query i of a chunk is at position `num_computed + i` and sees the keys up to its own
# position. Of another request it sees nothing.
#
# ### Exercise 5.3 · The ragged causal mask
# *medium · 8 minutes · about 8 lines*


# %% exercise="5.3"
def ragged_causal_mask(cu_seqlens_q: torch.Tensor, context_lens: torch.Tensor) -> torch.Tensor:
    """Who may see whom.

    cu_seqlens_q: `[num_seqs + 1]`, where each sequence's queries (new tokens) begin and end.
    context_lens: `[num_seqs]`, keys of each sequence: first the cached ones, then those of its new
    tokens.
    Returns bool `[cu_seqlens_q[-1], context_lens.sum()]`.
    """
    borders, lengths = cu_seqlens_q.tolist(), context_lens.tolist()
    ### BEGIN SOLUTION
    mask = torch.zeros(borders[-1], sum(lengths), dtype=torch.bool)
    left = 0
    for start, end, length in zip(borders[:-1], borders[1:], lengths, strict=True):
        num_cached = length - (end - start)
        for row in range(start, end):
            mask[row, left : left + num_cached + row - start + 1] = True
        left += length
    return mask
    ### END SOLUTION


# %% check="5.3"

# %%
borders, lengths = (torch.tensor(table[name]) for name in ("cu_seqlens_q", "context_lens"))
viz.ragged_mask_picture(
    best("5.3")(borders, lengths),
    borders,
    lengths,
    labels=("a", "b", "c"),
    caption="Your mask for the step above: each request sees its own keys, up to its own position.",
)

# %% [markdown]
# **Break it on purpose.** The quick way to write a causal mask is one triangle. With several requests in
# one pass it lets each read those before it. Three prompts go through the bundled model in one pass, once
# with each mask. **Predict**: for how many of the three does the triangle change the logits of the next
# token?

# %% predict="5.3a"
### BEGIN SOLUTION
requests_changed = 2
### END SOLUTION
predict("5.3a", requests_changed, unit="requests")

# %%
from cblab.attention.batch import RaggedBatch
from cblab.attention.dense import masked_attention

TEXTS = ("The capital of Spain is", "The cow says", "The capital of Japan is")
prompts = [tokenizer.encode(text) for text in TEXTS]


@torch.inference_mode()
def next_logits(token_ids: list[list[int]], make_mask) -> torch.Tensor:
    """Logits of each prompt's next token, all prompts in one pass under the mask of `make_mask`."""
    batch = RaggedBatch.prefill(token_ids)
    mask, specs = make_mask(batch.cu_seqlens_q, batch.context_lens), model.config.attention_specs
    return model(batch, lambda layer, q, k, v: masked_attention(q, k, v, mask, specs[layer]))


def one_triangle(cu_seqlens_q: torch.Tensor, context_lens: torch.Tensor) -> torch.Tensor:
    """Causal over everything, as if it were one text."""
    return torch.ones(int(cu_seqlens_q[-1]), int(context_lens.sum()), dtype=torch.bool).tril()


mine = best("5.3")
alone = torch.cat([next_logits([ids], mine) for ids in prompts])
together, leaking = next_logits(prompts, mine), next_logits(prompts, one_triangle)
for row, text in enumerate(TEXTS):
    words = [tokenizer.decode([int(logits[row].argmax())]) for logits in (alone, together, leaking)]
    print(f"{text:25} alone:{words[0]!r:10} your mask:{words[1]!r:10} one triangle:{words[2]!r}")
reveal("5.3a", sum(not torch.allclose(alone[row], leaking[row], atol=1e-3) for row in range(3)))

# %% [markdown]
# Shapes are right, no error is raised, and with luck even the words are. So how is a leak *found*? By its
# definition: change one token of a request and see whose logits move. Everybody else's must stay as they
# are, to the last bits of rounding.

# %%
changed_by = {}
for name, make_mask in (("your mask", mine), ("one triangle", one_triangle)):
    before = next_logits(prompts, make_mask)
    print(f"{name}: change the first token of … and the logits of … move")
    for source in range(3):
        other = [[5, *ids[1:]] if index == source else ids for index, ids in enumerate(prompts)]
        moved = (next_logits(other, make_mask) - before).abs().amax(dim=1) > 1e-3
        changed_by[name, source] = moved.tolist()
        print(f"    {'abc'[source]}: {', '.join(x for x, m in zip('abc', moved, strict=True) if m)}")

# %%
viz.ragged_mask_picture(
    one_triangle(torch.tensor([0, *map(len, prompts)]).cumsum(0), torch.tensor([*map(len, prompts)])),
    torch.tensor([0, *map(len, prompts)]).cumsum(0),
    torch.tensor([*map(len, prompts)]),
    labels=("a", "b", "c"),
    caption="The leak drawn: crosses are keys of somebody else, or of the future.",
)

# %% [markdown]
# A test that lets requests share a pass and compares each with itself alone is the most valuable test that
# an inference engine has.
#
# ## 5 · The budget of a step
#
# A pass costs something to begin (the weights are read), and something for each token. From here on we
# measure in *ticks* of a simulated clock: a step costs 1 tick and 0.02 for each token that it computes, and
# a little for each token that it looks back at. The clock makes all numbers the same on your machine and on
# ours; everything else (requests, blocks, the scheduler) is real, only the forward pass is left out.
#
# **Break it on purpose.** Four requests decode. At tick 10 a document of 900 tokens arrives, and its whole
# prompt goes through in one step. **Predict**: how long is the longest pause between two tokens of the
# four, in ticks?

# %% predict="5.4a"
### BEGIN SOLUTION
longest_pause = 1 + 900 * 0.02
### END SOLUTION
predict("5.4a", longest_pause, unit="ticks")

# %%
four = [Arrival(0.0, 20, 40, name) for name in ("a", "b", "c", "d")]
document = Arrival(10.0, 900, 12, "document")
arrivals = {one.name: one.time for one in [*four, document]}
runs = {
    "the whole prompt in one step": serve([*four, document], EngineScheduler, budget=1024),
    "in chunks of at most 64 tokens": serve([*four, document], EngineScheduler, budget=1024, chunk_size=64),
}
for name, run in runs.items():
    first = run.token_times["document"][0] - 10
    print(f"{name}: longest pause {max(run.gaps):.1f} ticks, the document's first token after {first:.1f}")
display(reveal("5.4a", round(max(runs["the whole prompt in one step"].gaps), 1)))
viz.token_times(
    {name: run.token_times for name, run in runs.items()},
    arrivals=arrivals,
    caption="Thick line: the longest pause. Chunks let the four go on while the document is read.",
)

# %% [markdown]
# *Chunked prefill* cuts a prompt into pieces that share steps with decodes. The document pays for it: each
# chunk pays for a step of its own, and looks back at the ones before it.
#
# So a step has a **budget**: at most so many tokens in all, at most a *chunk* of them for one request. Who
# runs already is served first, in order of arrival. But a long prompt early in that order must not use up
# what the others need: it leaves *one token for each request behind it*. That is enough for a decode, and
# nobody ever stands still.
#
# ### Exercise 5.4 · Share the budget
# *easy · 5 minutes · about 6 lines*


# %% exercise="5.4"
def share_budget(wanted: list[int], budget: int, chunk_size: int) -> list[int]:
    """How many tokens each running request computes in a step, in their order.

    wanted: how many tokens each of them lacks, at least 1 (a decode lacks exactly 1).
    budget: for all together, at least `len(wanted)`.
    Each gets what it wants, but at most `chunk_size`, and at most what is left of the budget when
    one token is kept for each request behind it.
    """
    ### BEGIN SOLUTION
    shares = []
    for index, num_wanted in enumerate(wanted):
        behind = len(wanted) - index - 1
        shares.append(min(num_wanted, chunk_size, budget - behind))
        budget -= shares[-1]
    return shares
    ### END SOLUTION


# %% check="5.4"

# %%
share = best("5.4")
lacking = {"document": 40, "a": 1, "b": 1, "poem": 25, "c": 1}
for step in range(6):
    wanted = list(lacking.values())
    given = share(wanted, 16, 12)
    text = "  ".join(f"{name} {new}/{lack}" for name, new, lack in zip(lacking, given, wanted, strict=True))
    print(f"step {step}, {sum(given):2} of 16 tokens:  {text}")
    lacking = {n: max(1, lack - new) for n, new, lack in zip(lacking, given, wanted, strict=True)}

# %% [markdown]
# ## 6 · Who may begin
#
# What the running ones leave of budget, seats and blocks goes to those that wait. In which order?
#
# **A claim to test.** A widespread text sorts the waiting requests by prompt length, "smaller first for
# efficiency", and passes over whoever does not fit. Short requests keep four seats full: one comes about
# every 3 ticks, each wants 10 to 20 tokens, and a step takes about 1.2 ticks. One prompt of 300 tokens
# arrives among them, at tick 60. **Predict**: for how many ticks does it wait for its first token, if 300
# short ones come? And in order of arrival?

# %% predict="5.5a"
### BEGIN SOLUTION
wait_shortest_first = 900
### END SOLUTION
predict("5.5a", wait_shortest_first, unit="ticks")

# %% predict="5.5b"
### BEGIN SOLUTION
wait_in_order = 30
### END SOLUTION
predict("5.5b", wait_in_order, unit="ticks")


# %%
from statistics import mean, median


class ShortestFirst(ReferenceScheduler):
    """Sorts those that wait by length."""

    def schedule(self):
        self.waiting.sort(key=lambda name: self.counts[name].num_tokens)
        return super().schedule()


def with_a_long_one(num_short: int) -> list[Arrival]:
    """Short requests, somewhat more than four seats can serve, and one long prompt at tick 60."""
    short = random_load(3, num_short, every=3.0, prompt_lens=(8, 40), output_lens=(10, 20))
    return [*short, Arrival(60.0, 300, 10, "long")]


def waits(run, load: list[Arrival]) -> list[tuple[int, float]]:
    """(prompt tokens, ticks until the first token) of each request."""
    ordered = sorted(load, key=lambda one: one.time)
    names = [one.name or f"r{number}" for number, one in enumerate(ordered)]
    return [
        (one.num_prompt, run.token_times[name][0] - run.arrivals[name])
        for name, one in zip(names, ordered, strict=True)
    ]


found = {}
for num_short in (75, 150, 300):
    load = with_a_long_one(num_short)
    for name, scheduler in (("shortest first", ShortestFirst), ("order of arrival", ReferenceScheduler)):
        found[name] = waits(serve(load, plugged(scheduler), max_num_seqs=4), load)
        print(f"{num_short:3} short ones, {name:16}", end=" ")
        print(f"the long one waits {dict(found[name])[300]:6.1f} ticks", end="; ")
        everybody = [wait for _, wait in found[name]]
        print(f"all: median {median(everybody):5.1f}, mean {mean(everybody):5.1f}")
display(reveal("5.5a", round(dict(found["shortest first"])[300])))
reveal("5.5b", round(dict(found["order of arrival"])[300]))

# %%
viz.waits_by_length(
    found,
    caption="Shortest first: most wait less, and the one at the right for as long as short ones keep coming.",
)

# %% [markdown]
# The claim is not silly. More arrives here than can be served, and shortest first the median wait is far
# smaller; even the mean is. The price is the tail: the wait of the long one grows with the number of short
# ones, it has no bound. That is *starvation*, and it hits whoever is largest, usually the one who pays most.
# In order of arrival the queue grows too, but all share it. (The 28 ticks of the long one flatter this order:
# it came at tick 60, when the queue was short. The last to come wait longest. And an urgent request may go
# first, in an order that *ages*: section 11.)
#
# So: order of arrival, and at the first that does not fit **stop**. Whoever looks for a smaller one behind
# it lets the large one starve just as well, since the small ones take each block that comes free.
#
# ### Find the bug: counted before allocating
#
# Here is an admission as it is often written. There is room for everybody, it says.


# %%
def admit_by_the_first_count(waiting, budget, chunk_size, seats, free_blocks, block_size):
    """Who may begin. Something is wrong in it."""
    shares = []
    for num_tokens in waiting:
        num_new = min(num_tokens, chunk_size, budget)
        if len(shares) == seats or num_new == 0 or math.ceil(num_new / block_size) > free_blocks:
            break
        shares.append(num_new)
        budget -= num_new
    return shares


class Hasty(ReferenceScheduler):
    """A scheduler that admits by it."""

    admit = staticmethod(admit_by_the_first_count)


begun = admit_by_the_first_count([8, 8, 8], 64, 16, 8, 4, 4)
print("three prompts of 8 tokens, 4 free blocks of 4:", begun)
try:
    serve([Arrival(0.0, 30, 10)] * 6, plugged(Hasty), num_blocks=10, block_size=8)
except ValueError as error:
    print("ValueError:", error)

# %% [markdown]
# Alone each of them fits. `free_blocks` was counted before anybody was given anything. The pool here
# refuses to give what it does not have; an engine that trusts the count instead writes two requests into
# one block.
#
# ### Exercise 5.5 · Mend the admission
# *medium · 6 minutes · about 9 lines*


# %% exercise="5.5"
def admit(
    waiting: list[int],
    budget: int,
    chunk_size: int,
    seats: int,
    free_blocks: int,
    block_size: int,
) -> list[int]:
    """The first chunk of each request that may begin, in tokens.

    waiting: tokens of each request that waits (at least 1), in order of arrival.
    budget: tokens that are left in this step.
    chunk_size: tokens of one request in one step, at most.
    seats: how many may begin at most.
    free_blocks: blocks that nobody holds. A chunk takes the blocks for its own tokens, of
    `block_size` each.
    Stops at the first that cannot begin: no seat, no budget, or too few blocks for its chunk.
    """
    ### BEGIN SOLUTION
    shares = []
    for num_tokens in waiting:
        num_new = min(num_tokens, chunk_size, budget)
        num_blocks = math.ceil(num_new / block_size)
        if len(shares) == seats or num_new == 0 or num_blocks > free_blocks:
            break
        shares.append(num_new)
        budget -= num_new
        free_blocks -= num_blocks
    return shares
    ### END SOLUTION


# %% check="5.5"

# %%
print("three prompts of 8 tokens, 4 free blocks of 4:", best("5.5")([8, 8, 8], 64, 16, 8, 4, 4))

# %% [markdown]
# ## 7 · When the blocks run out
#
# Nobody knows how long answers will be, so more requests are admitted than could all end together. When one
# needs a block and none is free, somebody has to give way: the one that came **last**. Its blocks go to the
# others; later it is admitted again and computes its keys and values anew (*preempt by recompute*).
#
# What must survive? Everything that cannot be computed again: the prompt, the tokens that were sampled (the
# client has seen them), the seed, the time of arrival, its place in the queue. What is lost are the keys
# and values.
#
# ### Find the bug: the token that came last
#
# A running request always knows one token more than it has computed: the one sampled last. Here is a
# preemption that is careful to keep "what was computed".


# %%
def keep_what_was_computed(request: Request, blocks) -> None:
    """Take a request's blocks. Something is wrong in it."""
    num_kept = max(0, request.num_computed_tokens - request.num_prompt_tokens)
    blocks.free(request.request_id)
    request.output_token_ids = request.output_token_ids[:num_kept]
    request.num_computed_tokens = 0
    request.num_preemptions += 1
    request.become(RequestStatus.PREEMPTED)


# %% [markdown]
# Six requests want 40 tokens each, in a pool that is too small, from the real engine with the bundled
# model. Each client notes the tokens that are streamed to it. **Predict**: a request that is preempted
# once: how many tokens does its client receive?

# %% predict="5.6a"
### BEGIN SOLUTION
tokens_streamed = 41
### END SOLUTION
predict("5.6a", tokens_streamed, unit="tokens")

# %%
STORIES = (
    "Once upon a time, there was a little fox",
    "In a small house near the sea, there lived",
    "There once was a clever mouse",
    "Once upon a time, there was a brave girl",
    "One day, a small bird",
    "The king had a daughter",
)
FORTY = SamplingParams(temperature=0, max_tokens=40, ignore_eos=True)


def stream(preempt) -> dict[str, tuple[int, list[int], str]]:
    """Answer the stories in a small pool; preemptions, streamed tokens and text of each."""
    parts = Parts(scheduler=plugged(ReferenceScheduler, preempt))
    engine = LLM(model, tokenizer, parts=parts, num_blocks=24, block_size=8, **SETTINGS).engine
    streamed, results = {}, {}
    for number, text in enumerate(STORIES):
        name = f"r{number}"
        streamed[name] = []
        engine.add_request(
            text,
            FORTY,
            request_id=name,
            on_token=lambda request, token: streamed[request.request_id].append(token),
        )
    while engine.has_unfinished:
        for one in engine.step():
            results[one.request_id] = (
                one.metrics.num_preemptions, streamed[one.request_id], one.outputs[0].text,
            )  # fmt: skip
    return dict(sorted(results.items()))


broken = stream(keep_what_was_computed)
for name, (count, tokens, text) in broken.items():
    print(f"{name}: preempted {count} times, {len(tokens)} tokens streamed, …{text[-34:]!r}")
reveal("5.6a", next(len(tokens) for count, tokens, _ in broken.values() if count == 1))

# %% [markdown]
# Nothing crashes, and most answers still look like stories. The proof stands in r3: "OneOne day,". Whoever
# was preempted got one token twice, because it was forgotten and sampled again; and with random sampling
# that draws anew, the second one would be another token, and the client would hold a sentence that the
# model never said.
#
# The forgetting costs r4 more. When it gives way it knows 33 tokens, for which it needs five blocks of 8,
# and four are free: it should wait. With 32 it fits, comes back at once, samples its 33rd token anew, lacks
# the fifth block and is thrown out. That happens twice.
#
# ### Exercise 5.6 · Mend the preemption
# *medium · 4 minutes · about 4 lines*


# %% exercise="5.6"
def preempt(request: Request, blocks) -> None:
    """Take the blocks of a running request: it will be admitted again, and loses nothing else.

    `blocks.free(request_id)` gives blocks back. `request.num_computed_tokens` says how much is in
    the cache, `request.num_preemptions` how often this has happened;
    `request.become(RequestStatus.PREEMPTED)` sets the status.
    """
    ### BEGIN SOLUTION
    blocks.free(request.request_id)
    request.num_computed_tokens = 0
    request.num_preemptions += 1
    request.become(RequestStatus.PREEMPTED)
    ### END SOLUTION


# %% check="5.6"

# %%
mended = stream(best("5.6"))
undisturbed = LLM(model, tokenizer, num_blocks=200, **SETTINGS).generate(STORIES, FORTY, use_tqdm=False)
for (name, (count, tokens, _)), right in zip(mended.items(), undisturbed, strict=True):
    same = tokens == right.outputs[0].token_ids
    print(f"{name}: preempted {count} times, {len(tokens)} tokens streamed, as with room for all: {same}")

# %% [markdown]
# ## 8 · The scheduler
#
# Now all of it in one place. A scheduler knows ids and counts, never tensors. Each step it
# 1. makes room: while those that run need more new blocks than are free, the last of them gives way;
# 2. gives each running request its share;
# 3. admits, in order, what still fits.
#
# One question is left. In a step that preempted, blocks may be left over. Should somebody be admitted into
# them? The one who was just thrown out stands first in the queue.
#
# ### Find the bug: in through the same door
#
# Here is a scheduler that admits in every step, on a load whose answers need more blocks than there are.
# **Predict**: by what factor does the number of preemptions grow?

# %% predict="5.7a"
### BEGIN SOLUTION
factor = 2
### END SOLUTION
predict("5.7a", factor, unit="times as many")


# %%
class Eager(ReferenceScheduler):
    """Admits in every step, also in one that has just preempted."""

    def may_admit(self, preempted):
        return True


crowd = random_load(5, 40, every=2.0, prompt_lens=(10, 40), output_lens=(20, 60))
counted = {}
for name, scheduler in (("not after preempting", ReferenceScheduler), ("in every step", Eager)):
    run = serve(crowd, plugged(scheduler), num_blocks=60, block_size=4, budget=64, chunk_size=16)
    computed = sum(record.plan.num_tokens for record in run.trace)
    counted[name] = run.num_preemptions
    print(
        f"admits {name:21} {run.num_preemptions:4} preemptions, {computed:6,} tokens computed, "
        f"{run.trace[-1].end:5.0f} ticks"
    )
reveal("5.7a", round(counted["in every step"] / counted["not after preempting"], 1))

# %% [markdown]
# The newcomer takes blocks that those who run will need a step or two later; then it is thrown out again,
# and what it computed was for nothing. It goes in and out through the same door. The rule is short: *in a
# step that has preempted, nobody is admitted.*
#
# It is no cure. It looks at one step only: in the step after, the one who gave way may come back into
# blocks that the others are about to need, and you will soon see a request to which that happens four
# times. Real engines therefore also hold back a reserve: who is admitted must leave a share of the pool
# free for those who run, the `watermark`. In this lab it is 0 (the `"watermark": 0.0` of `SETTINGS`), so
# that each step of the rule can be seen.
#
# ### Exercise 5.7 · The scheduler
# *hard · 20 minutes · about 6 lines and about 9 lines*
#
# Only counts here: no `Request`, no block. Who is preempted gets the `Counts` of one that has computed
# nothing and holds no block; the engine calls your `preempt` of 5.6 on the request itself.


# %% exercise="5.7"
class Scheduler:
    """Who computes how many tokens in a step. `share_budget` and `admit` are there to be used.

    running, waiting: request ids in order of arrival. counts: {request id: `Counts`}, with the
    fields num_tokens (known), num_computed (of them, in the cache) and num_blocks (that it holds).
    """

    def __init__(
        self, num_blocks: int, block_size: int, budget: int, chunk_size: int, max_num_seqs: int
    ) -> None:
        self.num_blocks = self.free_blocks = num_blocks
        self.block_size, self.budget = block_size, budget
        self.chunk_size, self.max_num_seqs = chunk_size, max_num_seqs
        self.counts: dict[str, Counts] = {}
        self.running: list[str] = []
        self.waiting: list[str] = []

    def add(self, request_id: str, num_tokens: int, max_length: int) -> None:
        """Queue a request; ValueError for one that could not even run alone."""
        if max_length > self.num_blocks * self.block_size:
            raise ValueError(f"{request_id} may need {max_length} slots: more than there are")
        self.counts[request_id] = Counts(num_tokens)
        self.waiting.append(request_id)

    def advance(self, progress: dict[str, tuple[int, int]]) -> None:
        """Note what the engine has done: {request id: (tokens known, tokens computed)}."""
        for request_id, (num_tokens, num_computed) in progress.items():
            self.counts[request_id].num_tokens = num_tokens
            self.counts[request_id].num_computed = num_computed

    def remove(self, request_id: str) -> None:
        """Forget a request, and count its blocks as free."""
        self.free_blocks += self.counts.pop(request_id).num_blocks
        for queue in (self.running, self.waiting):
            if request_id in queue:
                queue.remove(request_id)

    def state(self) -> tuple[list[str], list[str], int, dict[str, tuple[int, int, int]]]:
        """Running, waiting, free blocks, and each request's counts; the check looks here."""
        counts = {
            name: (one.num_tokens, one.num_computed, one.num_blocks) for name, one in self.counts.items()
        }
        return list(self.running), list(self.waiting), self.free_blocks, counts

    def shares(self) -> list[int]:
        """How many tokens each running request would compute now, in their order."""
        wanted = [self.counts[one].num_tokens - self.counts[one].num_computed for one in self.running]
        return share_budget(wanted, self.budget, self.chunk_size)

    def new_blocks(self, request_id: str, num_new: int) -> int:
        """How many blocks a request lacks to compute so many tokens."""
        one = self.counts[request_id]
        return math.ceil((one.num_computed + num_new) / self.block_size) - one.num_blocks

    def give(self, request_id: str, num_new: int) -> tuple[str, int]:
        """Count the blocks for a request's tokens as taken; returns the pair for the plan."""
        num_blocks = self.new_blocks(request_id, num_new)
        self.counts[request_id].num_blocks += num_blocks
        self.free_blocks -= num_blocks
        return request_id, num_new

    def schedule(self) -> dict[str, list]:
        """Decide the next step: scheduled (pairs (id, tokens)), admitted and preempted (ids)."""
        preempted = []
        # While the running ones lack more blocks for their shares than are free: the last of them
        # gives its blocks back and waits in front of all others. Only counts here: its Counts become
        # those of one that has computed nothing and holds no block; the engine calls `preempt` itself.
        ### BEGIN SOLUTION
        while sum(map(self.new_blocks, self.running, self.shares())) > self.free_blocks:
            victim = self.running.pop()
            self.free_blocks += self.counts[victim].num_blocks
            self.counts[victim].num_computed = self.counts[victim].num_blocks = 0
            self.waiting.insert(0, victim)
            preempted.append(victim)
        ### END SOLUTION
        scheduled = [self.give(*pair) for pair in zip(self.running, self.shares(), strict=True)]
        admitted = []
        # Unless somebody was preempted: those that `admit` lets in go from `waiting` to the end of
        # `running`, are put into `admitted`, and get their first chunks, behind the others in
        # `scheduled`.
        ### BEGIN SOLUTION
        if not preempted:
            budget = self.budget - sum(num_new for _, num_new in scheduled)
            lengths = [self.counts[name].num_tokens for name in self.waiting]
            seats = self.max_num_seqs - len(self.running)
            firsts = admit(lengths, budget, self.chunk_size, seats, self.free_blocks, self.block_size)
            admitted = self.waiting[: len(firsts)]
            self.waiting = self.waiting[len(firsts) :]
            self.running += admitted
            scheduled += [self.give(*pair) for pair in zip(admitted, firsts, strict=True)]
        ### END SOLUTION
        return {"scheduled": scheduled, "admitted": admitted, "preempted": preempted}


# %% check="5.7"

# %% [markdown]
# **Plug it in.** Your scheduler, preemption and token table go through the engine's front door, `Parts`, and
# run the bundled model. Prompts of different lengths, chunks of 12 tokens, a pool that is too small. Its
# answers must be, token for token, those of one request at a time.

# %%
yours = Parts(scheduler=plugged(best("5.7"), best("5.6")), build_batch=plugged_table(best("5.2")))
SMALL = SETTINGS | {
    "num_blocks": 16,
    "block_size": 8,
    "max_num_seqs": 5,
    "max_num_batched_tokens": 24,
    "prefill_chunk_size": 12,
}
LONG = "Once upon a time, there was an old owl who lived in a tall tree. All the animals came to ask the owl."
texts = [*STORIES[:3], LONG, *STORIES[3:]]
params = [SamplingParams(temperature=0, max_tokens=20 + 5 * i, ignore_eos=True) for i in range(len(texts))]
trace = Trace()
served = LLM(model, tokenizer, parts=yours, trace=trace, clock=SimulatedClock(TICKS), **SMALL)
batched = served.generate(texts, params, use_tqdm=False)
served.engine.check_integrity()
single = LLM(model, tokenizer, num_blocks=200, **SETTINGS)
equal = [
    single.generate(text, one, use_tqdm=False)[0].outputs[0].token_ids == output.outputs[0].token_ids
    for text, one, output in zip(texts, params, batched, strict=True)
]
print(f"{sum(equal)} of {len(equal)} answers are those of one request at a time, token for token")
stats = served.engine.stats()
print(f"{stats.num_steps} steps, {stats.num_preemptions} preemptions;", end=" ")
print("one at a time it takes", single.engine.stats().num_steps, "steps")

# %%
viz.timeline(
    trace,
    caption="Chunks of prompts beside decodes, and who gave way. length: it has all tokens that it wanted.",
)

# %% [markdown]
# request-4 is the one that gives way four times: each time it is the last of those that run.
#
# The same run, step by step. (If you see only one line of text below, run the cell.) Use the buttons, the
# slider or the arrow keys, and find: a step that holds a chunk *and* decodes; the step in which somebody is
# preempted, and who gets the blocks; the step in which it comes back.

# %%
viz.player(
    trace,
    block_size=8,
    prompts={output.request_id: len(output.prompt_token_ids) for output in batched},
    unit="ticks",
    caption="The run, step by step. It is one page of its own: no kernel and no network behind it.",
)

# %% [markdown]
# (`viz.player(…).save("run.html")` writes the page as a file that you can send to somebody, and
# `trace.save("run.json")` one that https://ui.perfetto.dev opens.)
#
# *The second sitting begins here. In a fresh kernel, run the cells above again first (where a check of an
# exercise that you skipped stops it, go on from the cell below); your predictions are kept.*
#
# ## 9 · One whole step
#
# What is left of the engine is the loop itself. **A claim to test.** A widespread engine gives each batch a
# flag, `is_prefill`, and calls `model.prefill` or `model.decode` by it. How many steps of the run above fit
# under one flag?

# %%
kinds = [{share.is_decode for share in record.plan.scheduled} for record in trace]
mixed = sum(len(kind) == 2 for kind in kinds)
print(f"{mixed} of {len(kinds)} steps hold chunks and decodes side by side: no flag is right for them")

# %% [markdown]
# The same text then fetches "the last key and value" after the forward pass, to append them to the cache.
# Look when they are written: here is one pass over a prompt, and the slots that are not zero after it.

# %%
from cblab.lab.labs.continuous_batching.small_engine import SmallEngine

small = SmallEngine(model, best("5.7"), best("5.2"), num_blocks=4, block_size=8)
small.add("a", tokenizer.encode("The capital of France is"), max_tokens=8)
((request, num_new),) = small.schedule()
row = (request.token_ids(), 0, small.block_table(request), True)
(sampled,) = small.sample(small.forward(small.build([row])))
keys, _ = small.cache.flatten(0)
slots = [slot for slot in range(32) if keys[slot].abs().sum() > 0]
print(f"{request.num_tokens} tokens; written during the pass: slots {slots}")
print(f"then {tokenizer.decode([sampled])!r} is sampled: the next slot, {len(slots)}, is still empty")

# %% [markdown]
# Keys and values are written *inside* the pass, at the slots of your `slot_mapping`, because each layer
# reads them there at once. The token that was sampled has none yet: it is an input of the *next* step. That
# is why `num_computed_tokens` grows by what the plan said, and never by the sampled token.
#
# ### Exercise 5.8 · One whole step
# *hard · 12 minutes · about 18 lines*


# %% exercise="5.8"
def step(engine) -> list[tuple[str, int]]:
    """Compute one step; return (request id, token) for each that got a token, in plan order.

    The engine's parts:
    - `engine.schedule()` returns pairs (request, num_new): who computes how many tokens. [] means
      that there is nothing to do: return [] without any other call. Blocks are allocated by then.
    - `engine.block_table(request)`: its blocks.
    - `engine.build(rows)` makes a batch of rows as in 5.2: (token ids to compute, tokens computed
      before, block table, samples), one for each pair, in order.
    - `engine.forward(batch)` runs the model once and returns logits for the rows that sample.
    - `engine.sample(logits)` returns one token for each of them.
    - `engine.finish(request)` ends a request and frees its blocks.

    A request has `request_id`, `num_tokens` (known), `num_computed_tokens`,
    `token_ids(start, end)`, `output_token_ids`, `stop_token_ids` and `max_length` (prompt and
    output). It samples if this step computes all that it knows. A sampled token belongs to the
    output even if it ends the request: one of `stop_token_ids` does, and so does reaching
    `max_length`.
    """
    ### BEGIN SOLUTION
    shares = engine.schedule()
    if not shares:
        return []
    rows, due = [], []
    for request, num_new in shares:
        start, end = request.num_computed_tokens, request.num_computed_tokens + num_new
        samples = end == request.num_tokens
        rows.append((request.token_ids(start, end), start, engine.block_table(request), samples))
        if samples:
            due.append(request)
    tokens = engine.sample(engine.forward(engine.build(rows)))
    for request, num_new in shares:
        request.num_computed_tokens += num_new
    for request, token in zip(due, tokens, strict=True):
        request.output_token_ids.append(token)
        if token in request.stop_token_ids or request.num_tokens == request.max_length:
            engine.finish(request)
    return [(request.request_id, token) for request, token in zip(due, tokens, strict=True)]
    ### END SOLUTION


# %% check="5.8"

# %%
take_step = best("5.8")
small = SmallEngine(
    model,
    best("5.7"),
    best("5.2"),
    preempt=best("5.6"),
    num_blocks=16,
    budget=24,
    chunk_size=12,
    max_num_seqs=5,
)
mine = [
    small.add(f"r{i}", tokenizer.encode(text), max_tokens=one.max_tokens)
    for i, (text, one) in enumerate(zip(texts, params, strict=True))
]
num_sampled = 0
while small.requests:
    num_sampled += len(take_step(small))
same = sum(
    one.output_token_ids == output.outputs[0].token_ids for one, output in zip(mine, batched, strict=True)
)
num_preemptions = sum(one.num_preemptions for one in mine)
print(f"{small.num_passes} passes for {num_sampled} tokens, {num_preemptions} preemptions")
print(f"{same} of {len(mine)} answers are those of the engine, by the four parts that are named above")

# %% [markdown]
# That is an engine. What cblab's own `Engine.step` adds to it are callbacks, aborts from other threads,
# stop strings, deadlines and statistics; the shape is the same.
#
# ## 10 · Latency, and what it costs
#
# Two numbers say how a service feels: the **time to the first token** (TTFT), and the **pause** between two
# tokens. A third says what it costs: output tokens a tick, the **throughput**. Because one bad answer in a
# hundred is what people talk about, latencies are given as *p99*: the value that 99 of 100 stay within.
#
# **Predict** for the load below, in which one of 16 requests is a document of 600 tokens: you raise the
# token budget of a step from 32 to 1,024, without chunks smaller than that. By what factor does the longest
# pause grow?

# %% predict="5.9a"
### BEGIN SOLUTION
pause_factor = 6
### END SOLUTION
predict("5.9a", pause_factor, unit="times as long")

# %%
from cblab.lab.labs.continuous_batching.target import NUM_BLOCKS, target_load

steady = target_load()
documents = sum(one.num_prompt == 600 for one in steady)
print(f"{len(steady)} requests, one every 12 ticks; {documents} documents of 600 tokens", end="; ")
print(f"{sum(one.num_output for one in steady):,} tokens to be generated")
mine = plugged(best("5.7"))


def measured(load: list[Arrival], **settings: int):
    """Serve a load with your scheduler and such settings, and say what came of it."""
    run = serve(load, mine, num_blocks=NUM_BLOCKS, **settings)
    print(f"p99 TTFT {percentile(run.ttft, 99):6.1f}, pauses up to {max(run.gaps):4.1f}", end=", ")
    print(f"p50 {percentile(run.gaps, 50):.2f} ticks; {run.tokens_per_tick:.2f} tokens a tick")
    return run


by_budget, by_chunk, by_seats = {}, {}, {}
for one in (32, 64, 128, 256, 512, 1024):
    print(f"budget {one:5}", end=": ")
    by_budget[one] = measured(steady, budget=one, max_num_seqs=16)
reveal("5.9a", round(max(by_budget[1024].gaps) / max(by_budget[32].gaps), 1))

# %%
print("budget 1,024, 16 seats:")
for one in (16, 32, 64, 128, 256, 512):
    print(f"chunks of {one:3}", end=": ")
    by_chunk[one] = measured(steady, budget=1024, chunk_size=one, max_num_seqs=16)
print("budget 256:")
for one in (2, 4, 8, 16):
    print(f"{one:2} seats", end=": ")
    by_seats[one] = measured(steady, budget=256, max_num_seqs=one)
panels = {
    name: (
        list(found),
        {
            "p99 time to first token": [percentile(run.ttft, 99) for run in found.values()],
            "longest pause": [max(run.gaps) for run in found.values()],
        },
    )
    for name, found in (
        ("token budget", by_budget),
        ("chunk size (budget 1,024)", by_chunk),
        ("seats (budget 256)", by_seats),
    )
}
viz.latency_curves(
    panels,
    y="ticks (log scale)",
    caption="Larger steps: documents are read sooner, the others wait longer. Too few seats: a queue.",
)

# %% [markdown]
# With eight seats or more this service is not full: requests come slowly enough that throughput hardly
# changes. With two or four, requests wait for a seat while a step could hold more of them, and throughput
# falls.
#
# What happens when requests come faster? Time to the first token does not grow in proportion: it explodes
# when the queue cannot drain any more. Settings move the edge a little, and pay with pauses: here 64 seats
# and a budget of 1,024 beside 16 and 256. Beyond the edge only fewer requests or a faster machine help.

# %%
for every in (20.0, 12.0, 8.0, 6.0, 5.0, 4.0):
    load = random_load(1, 250, every=every, output_lens=(8, 60), long_share=0.05)
    for budget, seats in ((256, 16), (1024, 64)):
        print(f"every {every:4.1f}, {seats} seats", end=": ")
        measured(load, budget=budget, max_num_seqs=seats)

# %% [markdown]
# ### Exercise 5.9 · Reach a target
# *medium · 8 minutes*
#
# The service has promised, under the load `steady`: **p99 of the time to the first token below 25 ticks,
# and no pause between two tokens longer than 6 ticks.** The pool has 150 blocks of 16. No row above keeps
# both promises. Choose
# - `token_budget`: tokens of a step;
# - `chunk_size`: tokens of one request in a step, at most;
# - `max_num_seqs`: requests that run at once.
#
# There are several right answers. Measure with
# `run = measured(steady, budget=…, chunk_size=…, max_num_seqs=…)` in a cell of your own.

# %% exercise="5.9"
# To be assigned: token_budget, chunk_size, max_num_seqs
### BEGIN SOLUTION
token_budget = 192
chunk_size = 192
max_num_seqs = 16
### END SOLUTION

# %% check="5.9"

# %% [markdown]
# ## Assessment
#
# Numbers go into the variables named in the text, in the unit that their names say. Where an answer is not
# a count, it may be off by 0.5 %: three digits are enough.
#
# ### Exercise 5.10 · A long prompt arrives
# *medium · 5 minutes*
#
# 40 requests decode, and go on doing so. A prompt of 3,000 tokens arrives. The budget of a step is 512
# tokens, a chunk has at most 256. A step costs 6 ms, and 0.05 ms for each token that it computes.
# - `steps_to_first_token`: steps from the prompt's first chunk to the one that samples its first token, both
#   counted;
# - `chunk_step_ms`: milliseconds of a step with a full chunk;
# - `whole_prompt_step_ms`: milliseconds of the step if the whole prompt went through in one, beside the
#   decodes.

# %% exercise="5.10"
# To be assigned: steps_to_first_token, chunk_step_ms, whole_prompt_step_ms
### BEGIN SOLUTION
steps_to_first_token = math.ceil(3_000 / min(256, 512 - 40))
chunk_step_ms = 6 + 0.05 * (40 + 256)
whole_prompt_step_ms = 6 + 0.05 * (40 + 3_000)
### END SOLUTION

# %% check="5.10"

# %% [markdown]
# ### Exercise 5.11 · Seats and second chances
# *medium · 5 minutes*
#
# A static batch of 8 requests generates 20, 30, 40, 50, 60, 80, 120 and 400 tokens; prompts cost no step of
# their own.
# - `static_seat_use`: share of the seats in use until the batch ends, 0 to 1.
#
# Elsewhere a request with a prompt of 700 tokens has 150 output tokens, the last of them sampled in the
# step before, when it is preempted by recompute. It comes back when the pool is nearly empty; chunks have
# at most 256 tokens, the budget is 512.
# - `tokens_computed_again`: tokens whose keys and values had been computed and are computed a second time;
# - `steps_until_the_next_token`: steps from its first chunk to its next new token, both counted.

# %% exercise="5.11"
# To be assigned: static_seat_use, tokens_computed_again, steps_until_the_next_token
### BEGIN SOLUTION
static_seat_use = (20 + 30 + 40 + 50 + 60 + 80 + 120 + 400) / (8 * 400)
tokens_computed_again = 700 + 150 - 1
steps_until_the_next_token = math.ceil((700 + 150) / 256)
### END SOLUTION

# %% check="5.11"

# %% [markdown] manual="5.12" points=3
# ### Question 5.12 · The last one gives way
#
# When blocks run out, your scheduler preempts the request that came last. Somebody proposes to preempt the
# one that holds the most blocks, "because that frees the most memory at once". Compare the two: what is
# lost in each case, who may starve, and on which load would you take the proposal? At most ten sentences.
#
# <!-- BEGIN SOLUTION -->
# **Rubric (3 points).**
# - 1 point: what is lost. The one with the most blocks has the most to compute again, so one preemption frees
#   more and costs more; the last one usually has computed least.
# - 1 point: starvation. Whoever is longest can be thrown out again each time it has come back and grown, and
#   never ends. With the last one first, the oldest request always makes progress and ends; then the next one
#   is the oldest. So nobody waits for ever.
# - 1 point: a load where the proposal is reasonable, with its condition: e.g. swapping to host memory instead
#   of computing again, or a limit on how often one request may be preempted; short answers with a few
#   enormous ones of low priority.
# <!-- END SOLUTION -->

# %% [markdown] manual="5.13" points=3
# ### Question 5.13 · Twice the budget
#
# A service runs with a budget of 256 and p99 pauses of 70 ms; 50 ms were promised. Its time to the first
# token is fine. A colleague doubles the budget, "so that more is done in each step"; another one halves
# `max_num_seqs`. Say what each will change in the three measures (time to the first token, pauses,
# throughput), and what you would try first.
#
# <!-- BEGIN SOLUTION -->
# **Rubric (3 points).**
# - 1 point: a larger budget lets steps be longer, so pauses grow; the time to the first token of long prompts
#   falls; throughput grows a little, because fewer steps are begun.
# - 1 point: fewer seats make the decodes' part of a step smaller, so the usual pause falls somewhat; the
#   longest hardly does, for a full chunk makes it. Requests wait for a seat, so the time to the first token
#   grows, without bound if the seats are too few for the load; throughput falls.
# - 1 point: first a smaller chunk or budget: the longest pause is a step with a full chunk, and time to the
#   first token has room. Measured on a recorded load, one setting at a time.
# <!-- END SOLUTION -->

# %% [markdown]
# ## 11 · Bonus: priorities that age
#
# Some requests are urgent, a chat beside a nightly batch job. Strict priority starves just as
# shortest-first did. The way out: waiting makes a request more urgent. If one unit of priority is worth so
# many ticks of waiting (`aging`), then what arrives late enough comes after the unimportant one, however
# urgent it is.
#
# ### Exercise 5.14 (bonus) · Priorities that age
# *medium · 5 minutes · about 1 line*


# %% exercise="5.14"
def urgency(arrival: float, priority: int, aging: float) -> float:
    """The key by which requests wait: the smallest goes first.

    arrival: ticks. priority: a smaller number is more urgent. aging: how many ticks of waiting make
    up for one unit of priority. All age alike, so two requests never change places: the key need
    not know the time.
    """
    ### BEGIN SOLUTION
    return arrival + priority * aging
    ### END SOLUTION


# %% check="5.14"

# %%
key = best("5.14")
chats = [
    Arrival(one.time, one.num_prompt, one.num_output, f"chat{number}")
    for number, one in enumerate(random_load(3, 300, every=3.0, prompt_lens=(8, 40), output_lens=(10, 20)))
]
facts = {one.name: (one.time, 0) for one in chats} | {"job": (60.0, 3)}


def by_urgency(aging: float) -> type:
    """A scheduler whose queue is in the order of your key."""

    class ByUrgency(ReferenceScheduler):
        def schedule(self):
            self.waiting.sort(key=lambda name: key(*facts[name], aging))
            return super().schedule()

    return ByUrgency


for aging in (0.0, 20.0, 50.0, 200.0, 1e6):
    run = serve([*chats, Arrival(60.0, 100, 10, "job")], plugged(by_urgency(aging)), max_num_seqs=4)
    print(f"aging {aging:9,.0f} ticks: the job waits {run.token_times['job'][0] - 60:6.1f} ticks")

# %% [markdown]
# ## Checklist
#
# - [ ] I can say what a static batch wastes, and when it wastes nothing.
# - [ ] I can lay a step's tokens end to end, and say what each of the six lists is for.
# - [ ] I know how to find a leak between two requests, without looking at the mask.
# - [ ] I know why a chunk leaves one token for each request behind it.
# - [ ] I can say what starves under shortest-first, and why passing over does the same.
# - [ ] I know what a preempted request must keep, and why nobody is admitted in that step.
# - [ ] I can say which setting moves which latency, and which promise no setting can keep.
#
# **What comes next.** Lab 6 writes the attention kernels that read through block tables. The engine's own
# scheduler is `cblab/core/scheduler.py`; you can read it now, and `python -m cblab.demos.scheduler_steps`
# shows it at work.
#
# **Further reading**
# - Yu and others: *Orca: A Distributed Serving System for Transformer-Based Generative Models*, OSDI 2022:
#   iteration-level scheduling
# - Agrawal and others: *Taming Throughput-Latency Tradeoff in LLM Inference with Sarathi-Serve*, 2024,
#   [arXiv:2403.02310](https://arxiv.org/abs/2403.02310): chunked prefill
# - Kwon and others: *Efficient Memory Management for Large Language Model Serving with PagedAttention*,
#   2023, [arXiv:2309.06180](https://arxiv.org/abs/2309.06180), section 4.5: preemption

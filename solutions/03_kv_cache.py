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
# # Lab 3 · The KV cache: compute once, read often
#
# > **The question.** "Our first version of the service called the model in a loop: text in, one token out,
# > append it, again. The demo was fine. Then somebody asked for a page instead of a line. Every token took
# > longer than the one before, and one user kept the machine busy. We added a cache, and it flies, but now
# > the memory is full with a third of it in use. And since last week some replies are subtly off, and no test
# > fails."
#
# In this lab you write attention from its definition, run the bundled model with it, and watch the loop slow
# down. Then you find out what can be kept between two steps, keep it, and get the same tokens for a fraction
# of the work. Then you break it in the three ways in which it is usually broken, and see which of them
# anybody would notice.
#
# **At the end you can**
# - write scaled dot-product attention with grouped queries, rotary positions and a causal mask, equal to the
#   engine's;
# - say what a KV cache holds and why nothing else is needed, and count what it saves and what it does not;
# - run a real model over a cache of your own, token for token as without it;
# - tell a wrong position, a wrong mask and a wrong length apart by their symptoms;
# - say where the slots of a reserved cache go, and how many bytes a decode step reads.
#
# **Time.** Two sittings, reading included, and a third if you want it.
# - *First, the core, 90 minutes*: sections 1–6 with exercises 3.1–3.7: attention, the cache, and the model
#   over it.
# - *Second, 65 minutes*: sections 7–10 with exercise 3.8, and the assessment: what goes wrong, and caches for
#   a batch. (Exercise 3.9, in section 9, is a bonus: its cells run without your answer too.)
# - *Bonus*, about 55 minutes: exercise 3.9 and section 11.
#
# **You need** Python, tensors (shapes, indexing, broadcasting), and a first idea of attention. No GPU and no
# network. Labs 1 and 2 are not needed.
#
# **How it works.** As in lab 1: *predict*, fill in the *blank*, *check*, *measure*.
# - To predict, put a number in the place of the dots and run the cell before the next one. It is kept beside
#   the notebook.
# - A blank is one line that says `raise NotImplementedError`; put your own lines in its place and change
#   nothing else. An answer must stand alone: besides the functions that its docstring names, it may use only
#   what its own cell and the set-up cell define. The first of the two import cells is the set-up cell.
# - `hint("3.1")` in a new cell gives the next hint. Where you skip an exercise, the cells after it use the
#   course's own version and say so.

# %% tags=["setup"]
import math

import torch
from torch import Tensor

# %%
import itertools
from collections.abc import Callable

import torch.nn.functional as F

from IPython.display import display

from cblab import viz
from cblab.lab import best, check, hint, predict, reveal  # noqa: F401

# %% [markdown]
# ## 1 · Attention, from its definition
#
# A layer of the model turns each token's hidden state into three vectors for each head: a *query* (what am I
# looking for?), a *key* (what do I have?) and a *value* (what do I give?). The output of a token is a
# weighted mean of values; the weights say how well its query fits the keys:
#
#     weights = softmax(q · kᵀ / √head_dim)
#     output  = weights · v
#
# Three things in these two lines are easily got wrong.
#
# **Why the square root?** A dot product is a sum of `head_dim` products, so the longer the vectors, the
# larger its spread. Large scores make the softmax pick one key and ignore all others:

# %%
generator = torch.Generator().manual_seed(0)
for head_dim in (8, 32, 128):
    q, k = torch.randn(2, 2_000, 64, head_dim, generator=generator).unbind()
    scores = (q[:, :1] * k).sum(-1)  # 2,000 queries, 64 keys each
    divided = scores / math.sqrt(head_dim)
    unscaled, scaled = (x.softmax(-1).amax(-1).mean() for x in (scores, divided))
    print(
        f"head_dim {head_dim:3}: spread of scores {scores.std():5.1f}; "
        f"mean of the largest weight of 64: {unscaled:.2f} unscaled, {scaled:.2f} scaled"
    )

# %% [markdown]
# The spread grows as √head_dim, and dividing by it keeps the weights alike whatever the dimension is.
#
# **The softmax** turns scores into weights that sum to 1. The naive way is to write it as it stands in a
# textbook:


# %%
def naive_softmax(scores: Tensor) -> Tensor:
    """exp, over the sum of exp."""
    return scores.exp() / scores.exp().sum(dim=-1, keepdim=True)


for scores in ([1.0, 2.0, 3.0], [87.0, 88.0, 89.0], [-120.0, -121.0, -122.0]):
    weights = naive_softmax(torch.tensor(scores)).tolist()
    print(f"{scores!s:26} {[round(weight, 3) for weight in weights]}")

# %% [markdown]
# All three rows have the same differences between scores and should have the same weights (in reverse order
# in the third). In float32, exp(89) is already infinite and exp(−120) is 0. In float16, exp(12) is infinite
# already.
#
# ### Exercise 3.1 · A softmax that does not overflow
# *easy · 5 minutes · about 3 lines*
#
# Adding the same number to all scores of a row changes no weight. So choose the number well, for each row.


# %% exercise="3.1"
def softmax(scores: Tensor) -> Tensor:
    """Softmax over the last dimension, for scores of any size.

    scores: float32 `[..., num_keys]`. A masked place holds -inf; every row has a score that is not.
    Returns the weights, shaped like `scores`: each row sums to 1, a masked place has weight 0.
    """
    ### BEGIN SOLUTION
    shifted = scores - scores.amax(dim=-1, keepdim=True)
    weights = shifted.exp()
    return weights / weights.sum(dim=-1, keepdim=True)
    ### END SOLUTION


# %% check="3.1"

# %%
safe = best("3.1")
for scores in ([87.0, 88.0, 89.0], [-120.0, -121.0, -122.0], [5.0, -math.inf, 5.0]):
    print(f"{scores!s:26} {[round(weight, 3) for weight in safe(torch.tensor(scores)).tolist()]}")

# %% [markdown]
# **Several heads.** A layer has many heads, each with queries, keys and values of its own. Today's models
# have fewer heads for keys and values than for queries (*grouped-query attention*, GQA): the bundled model
# has 8 query heads and 4 KV heads, so that query heads 0 and 1 share KV head 0, heads 2 and 3 share KV head
# 1, and so on. It saves little work; what it does save, section 4 will show.
#
# ### Exercise 3.2 · Attention
# *medium · 10 minutes · about 5 lines*
#
# `einsum` spells a sum over dimensions by letters: `torch.einsum("qhd,khd->hqk", q, k)` gives, for every head
# h, query q and key k, the sum over d.


# %% exercise="3.2"
def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """Scaled dot-product attention with grouped queries.

    q: `[num_queries, num_heads, head_dim]`. k, v: `[num_keys, num_kv_heads, head_dim]`; `num_heads`
    is a multiple of `num_kv_heads`, and neighbouring query heads share a KV head. mask: bool
    `[num_queries, num_keys]`, True where the query may see the key. Returns `[num_queries,
    num_heads, head_dim]`. `softmax` is there to be used.
    """
    ### BEGIN SOLUTION
    group = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
    scores = torch.einsum("qhd,khd->hqk", q, k) / math.sqrt(q.shape[2])
    weights = softmax(scores.masked_fill(~mask, float("-inf")))
    return torch.einsum("hqk,khd->qhd", weights, v)
    ### END SOLUTION


# %% check="3.2"

# %% [markdown]
# Compare it with torch's own, which is what the engine calls in its simplest path:

# %%
attend_with = best("3.2")
q = torch.randn(6, 8, 32, generator=generator)
k, v = torch.randn(2, 6, 4, 32, generator=generator).unbind()
triangle = torch.ones(6, 6).tril().bool()
mine = attend_with(q, k, v, triangle)
heads_first = [x.transpose(0, 1) for x in (q, k, v)]
torchs = F.scaled_dot_product_attention(*heads_first, is_causal=True, enable_gqa=True)
print("the same as torch's, within 1e-5:", torch.allclose(mine, torchs.transpose(0, 1), atol=1e-5))

# %% [markdown]
# The mask is the triangle below the diagonal: a token sees itself and those before it. That is what makes a
# language model *causal*, and section 4 will show that it is also what makes a cache possible.
#
# ## 2 · Positions
#
# Nothing in attention knows about order: shuffle the keys and values together, and the output is the same.

# %%
shuffled = torch.randperm(6, generator=generator)
everyone = torch.ones(6, 6).bool()
print(
    "keys and values shuffled, same output:",
    torch.allclose(
        attend_with(q, k, v, everyone),
        attend_with(q, k[shuffled], v[shuffled], everyone),
        atol=1e-5,
    ),
)

# %% [markdown]
# Llama and most models since put the order in by *turning*: each query and each key is cut into pairs of
# numbers, and each pair is turned, as a point in the plane, by an angle that is proportional to the token's
# position (rotary position embedding, RoPE; Su and others 2021). Pair i turns by `position · theta ** (−2i /
# head_dim)`: the first by one radian a token, the last so slowly that it hardly moves. A point (a, b) turned
# by an angle φ is (a·cos φ − b·sin φ, b·cos φ + a·sin φ).
#
# ### Exercise 3.3 · Rotary positions
# *medium · 9 minutes · about 6 lines*
#
# In the checkpoints of Llama and its relatives, the partner of dimension i is dimension i + head_dim/2, and
# not its neighbour.


# %% exercise="3.3"
def apply_rope(x: Tensor, positions: Tensor, theta: float = 10_000.0) -> Tensor:
    """Turn the queries or keys of some tokens by their positions.

    x: float32 `[num_tokens, num_heads, head_dim]`, head_dim even. positions: int64 `[num_tokens]`,
    any. Pair i, dimensions (i, i + head_dim/2), is turned by position · theta ** (−2i / head_dim)
    radians. Returns a new tensor, shaped like x.
    """
    ### BEGIN SOLUTION
    half = x.shape[-1] // 2
    frequencies = theta ** (-torch.arange(half) / half)
    angles = (positions[:, None] * frequencies)[:, None]
    first, second = x[..., :half], x[..., half:]
    cos, sin = angles.cos(), angles.sin()
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
    ### END SOLUTION


# %% check="3.3"

# %% [markdown]
# What is gained by turning? Take one query and one key, and look at their score while both move through the
# text. Each line below is a query at another position.

# %%
rope = best("3.3")
one_query, one_key = torch.randn(2, 1, 1, 32, generator=generator).unbind()
distances = list(range(0, 65))
scores = {}
for position in (64, 200, 1500):
    turned_query = rope(one_query, torch.tensor([position]))
    keys = rope(one_key.expand(65, 1, 32), position - torch.arange(65))
    scores[f"query at position {position:,}"] = (turned_query * keys).sum(-1)[:, 0].tolist()
viz.score_by_distance(
    distances,
    scores,
    caption="Three lines on one another: the score depends on the distance of the positions alone.",
)

# %% [markdown]
# That is the point of RoPE: "three tokens back" means the same everywhere in the text. Keep it in mind: in
# section 7 it will hide a bug from you. Two more facts that a cache relies on:
# - a key is turned by *its own* position, which never changes;
# - the values are not turned at all.
#
# ## 3 · Generation by recomputation
#
# Now run the bundled model with your attention. Its class takes attention from outside: in every layer it
# calls `attend(layer, q, k, v)` and goes on with what comes back. The model has 5 layers, 8 query heads, 4 KV
# heads, `head_dim` 32. Its own RoPE is switched off, so that q and k arrive as they were projected and the
# positions are your business too.

# %%
from cblab import LLM, SamplingParams
from cblab.assets import path as asset_path
from cblab.attention.batch import RaggedBatch
from cblab.model import load_model
from cblab.tokenization import BPETokenizer

tokenizer = BPETokenizer.load(asset_path("story-4m"))
model = load_model(asset_path("story-4m"), dtype="float32")
config = model.config
model.rope = None  # q and k are not turned by the model


# %%
class Work:
    """What was computed: tokens through all layers, and pairs of a query and a key that it met."""

    def __init__(self) -> None:
        self.token_forwards = 0
        self.pairs = 0  # in one head of one layer

    def add(self, num_new: int, num_cached: int) -> None:
        """One pass over `num_new` tokens behind `num_cached`; each meets the keys up to its own."""
        self.token_forwards += num_new
        self.pairs += sum(num_cached + i + 1 for i in range(num_new))


@torch.inference_mode()
def run_all(ids: list[int], work: Work) -> Tensor:
    """The logits behind the last token, with the whole sequence computed from nothing."""
    batch = RaggedBatch.prefill([ids])
    triangle = torch.ones(len(ids), len(ids)).tril().bool()

    def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return attend_with(rope(q, batch.positions), rope(k, batch.positions), v, triangle)

    work.add(len(ids), 0)
    return model(batch, attend)[0]


def generate_by_recomputation(prompt: list[int], num_new_tokens: int, work: Work) -> list[int]:
    """Greedy decoding in a loop: the whole sequence in, one token out."""
    new: list[int] = []
    for _ in range(num_new_tokens):
        new.append(int(run_all(prompt + new, work).argmax()))
    return new


# %% [markdown]
# **Predict**: to a prompt of 10 tokens the loop adds 100 new ones. How many tokens go through the model in
# all? (Running it takes some seconds.)

# %% predict="3.3a"
### BEGIN SOLUTION
token_forwards = 5_950
### END SOLUTION
predict("3.3a", token_forwards, unit="tokens")

# %%
prompt = tokenizer.encode("Once upon a time there was a small fox")
recomputed = Work()
story = generate_by_recomputation(prompt, 100, recomputed)
print(tokenizer.decode(prompt + story))
display(reveal("3.3a", recomputed.token_forwards))
print(f"prompt {len(prompt)} tokens, {len(story)} new", end="; ")
print(f"pairs in a head of a layer: {recomputed.pairs:,}")

# %%
engine_model = load_model(asset_path("story-4m"), dtype="float32")
greedy = SamplingParams(temperature=0.0, max_tokens=100, ignore_eos=True)
# In torch there is nothing to compile:
engine = LLM(engine_model, tokenizer, attention_backend="torch", fused_ops="torch")
(reply,) = engine.generate([prompt], greedy, use_tqdm=False)
print("the same tokens as the engine's:", story == reply.outputs[0].token_ids)

# %% [markdown]
# So your attention is right. What do the heads of the model look at? Two of its 40, on a short text:

# %%
sentence = tokenizer.encode("Once upon a time there was a small fox named Bruno. Bruno")
heads = ((1, 5), (3, 7))  # (layer, head)
looks: dict[str, Tensor] = {}


def looking(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention as before, which keeps the weights of some heads."""
    places = torch.arange(len(q))
    q, k, triangle = rope(q, places), rope(k, places), torch.ones(len(q), len(q)).tril().bool()
    for head in (head for where, head in heads if where == layer):
        scores = q[:, head] @ k[:, head // 2].T / math.sqrt(q.shape[2])
        looks[f"layer {layer}, head {head}"] = safe(scores.masked_fill(~triangle, -math.inf))
    return attend_with(q, k, v, triangle)


with torch.inference_mode():
    model(RaggedBatch.prefill([sentence]), looking)
viz.attention_weights(
    looks,
    [tokenizer.decode([token], skip_special_tokens=False) for token in sentence],
    caption="The last token, a name, looks at what was named (left), at the same name (right).",
)

# %% [markdown]
# And the loop is wasteful: 110 tokens exist, the last of them never goes in, and 5,950 went through the
# model. Nearly all of them had been there before.
#
# ## 4 · What must be stored?
#
# What would have to be kept so that the next pass needs only the newest token? Go through what a layer
# computes for an old token.
# - Its **query** asked its question in its own pass. Nobody asks it again.
# - Its **output** went to the next layer, and in the end to logits that have been sampled already.
# - Its **key and value** are met by every later query.
#
# So keys and values, in every layer. But that only works if they stay what they were when more tokens come.
#
# **Predict**: run 12 tokens, then the same 12 and one more. In how many of the 5 layers do keys of the first
# 12 tokens change?

# %% predict="3.4a"
### BEGIN SOLUTION
layers_causal = 0
### END SOLUTION
predict("3.4a", layers_causal, unit="of 5 layers")

# %% [markdown]
# And if the mask were not causal, so that every token sees every other, as in BERT?

# %% predict="3.4b"
### BEGIN SOLUTION
layers_without_mask = 4
### END SOLUTION
predict("3.4b", layers_without_mask, unit="of 5 layers")


# %%
@torch.inference_mode()
def keys_of(ids: list[int], causal: bool) -> Tensor:
    """The keys, as they enter attention, `[num_layers, num_tokens, num_kv_heads, head_dim]`."""
    batch = RaggedBatch.prefill([ids])
    mask = torch.ones(len(ids), len(ids)).bool()
    kept = []

    def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        kept.append(rope(k, batch.positions))
        return attend_with(rope(q, batch.positions), kept[-1], v, mask.tril() if causal else mask)

    model(batch, attend)
    return torch.stack(kept)


twelve, thirteen = (prompt + story)[:12], (prompt + story)[:13]
changes = {}
for name, causal in (("causal mask", True), ("no mask: everyone sees everyone", False)):
    later, before = keys_of(thirteen, causal)[:, :12], keys_of(twelve, causal)
    difference = (later - before).abs().amax(dim=(2, 3))
    changes[name] = difference
    per_layer = (difference.amax(dim=1) > 1e-3).tolist()
    display(reveal("3.4a" if causal else "3.4b", sum(per_layer)))
viz.changed_keys(
    changes,
    caption="One more token: with a causal mask no old key changes, without it all behind layer 0.",
)

# %% [markdown]
# With a causal mask an old token never learns of a later one: not in layer 0, where its key depends on itself
# alone, and so not in any layer behind it. Its keys and values are final. Without the mask the new token
# changes what the old ones compute in layer 0, and from layer 1 on every key is another. That is why BERT has
# no KV cache.
#
# What is kept is therefore, for each token and each layer, one key and one value for each *KV head*. Here
# grouped queries pay off: with 4 KV heads for 8 query heads the cache is half as large.
#
# ## 5 · The dense cache
#
# Four pieces, each small: a mask for fewer queries than keys, the cache itself, a layer that uses it, and the
# loop around the model.
#
# So far there were as many queries as keys. From now on the queries are those of the *new* tokens, the last
# ones of the sequence, and the keys are those of all tokens.
#
# ### Exercise 3.4 · Fewer queries than keys
# *easy · 4 minutes · about 3 lines*


# %% exercise="3.4"
def causal_mask(num_queries: int, num_keys: int) -> Tensor:
    """Which key each query may see, when the queries are those of the last `num_queries` tokens.

    Returns bool `[num_queries, num_keys]`, True where it may: its own key and all before it. The
    last query sees every key. num_keys is at least num_queries.
    """
    ### BEGIN SOLUTION
    query_positions = torch.arange(num_keys - num_queries, num_keys)[:, None]
    key_positions = torch.arange(num_keys)[None, :]
    return key_positions <= query_positions
    ### END SOLUTION


# %% check="3.4"

# %%
mask_of = best("3.4")
viz.ragged_mask_picture(
    mask_of(3, 8),
    [0, 3],
    [8],
    labels=["one sequence"],
    caption="Three new tokens behind five cached ones: the triangle stands at the right.",
)

# %% [markdown]
# Now the cache. In one forward pass every layer *writes* the keys and values of the new tokens and *reads*
# those of all tokens. How many tokens are there? All layers must agree on that while the pass runs, so the
# number `length` moves once a pass, when the last layer is done.
#
# ### Exercise 3.5 · The cache of one sequence
# *medium · 9 minutes · about 2 lines, 1 line, 1 line and 1 line*
#
# A pass may be given up in the middle (an error, an interrupt). It never calls `advance`, so `length` still
# says what is complete, and the next pass writes over what was left behind.


# %% exercise="3.5"
class KVCache:
    """Keys and values of one sequence, in every layer. `length`: tokens that all layers wrote."""

    def __init__(self, num_layers: int, num_kv_heads: int, head_dim: int) -> None:
        self.length = 0
        self.keys = [torch.empty(0, num_kv_heads, head_dim) for _ in range(num_layers)]  # float32
        self.values = [torch.empty(0, num_kv_heads, head_dim) for _ in range(num_layers)]

    def write(self, layer: int, k: Tensor, v: Tensor) -> None:
        """Put k and v of new tokens behind the layer's first `length`.

        k, v: `[num_new, num_kv_heads, head_dim]`. Whatever the layer holds behind the first
        `length`, from a pass that was given up, goes.
        """
        ### BEGIN SOLUTION
        self.keys[layer] = torch.cat((self.keys[layer][: self.length], k))
        self.values[layer] = torch.cat((self.values[layer][: self.length], v))
        ### END SOLUTION

    def read(self, layer: int) -> tuple[Tensor, Tensor]:
        """Return (keys, values), new ones included: `[num_tokens, num_kv_heads, head_dim]` each."""
        ### BEGIN SOLUTION
        return self.keys[layer], self.values[layer]
        ### END SOLUTION

    def advance(self, num_tokens: int) -> None:
        """Count `num_tokens` new tokens as complete. Called once a pass, after the last layer."""
        ### BEGIN SOLUTION
        self.length += num_tokens
        ### END SOLUTION

    def num_bytes(self) -> int:
        """Bytes of the keys and values of the complete tokens, over all layers."""
        ### BEGIN SOLUTION
        return sum(stored[: self.length].nbytes for stored in (*self.keys, *self.values))
        ### END SOLUTION


# %% check="3.5"

# %% [markdown]
# A layer now does five things. In which order?
#
# ### Exercise 3.6 · One layer over a cache
# *medium · 7 minutes · about 5 lines*


# %% exercise="3.6"
def cached_attention(
    cache: KVCache, layer: int, q: Tensor, k: Tensor, v: Tensor, positions: Tensor
) -> Tensor:
    """Attention of one layer for new tokens behind those in the cache, which then holds them too.

    q: `[num_new, num_heads, head_dim]`; k, v: `[num_new, num_kv_heads, head_dim]`; none of them
    turned yet. positions: int64 `[num_new]`, of the new tokens in their sequence. The cache holds
    keys as they were turned. Returns `[num_new, num_heads, head_dim]`. `cache.advance` is left to
    the caller, after the last layer. `attention`, `apply_rope` and `causal_mask` are there to be
    used.
    """
    ### BEGIN SOLUTION
    q, k = apply_rope(q, positions), apply_rope(k, positions)
    cache.write(layer, k, v)
    keys, values = cache.read(layer)
    mask = causal_mask(q.shape[0], keys.shape[0])
    return attention(q, keys, values, mask)
    ### END SOLUTION


# %% check="3.6"

# %% [markdown]
# And the loop. A *runner* is a model together with its cache: `runner.forward(token_ids, positions)` runs the
# model over new tokens and returns the likeliest next token. What to feed it, and at which positions, is up
# to you. The check hands you a runner that writes down what it is asked.
#
# ### Exercise 3.7 · Generate
# *medium · 9 minutes · about 7 lines*


# %% exercise="3.7"
def generate(runner, prompt_ids: list[int], num_new_tokens: int) -> list[int]:
    """Greedy decoding over a cache.

    runner.forward(token_ids, positions): two lists of int of one length, at least 1. It runs the
    model over these tokens behind those of all passes before, and returns the id of the likeliest
    token after the last. prompt_ids: at least one; left as it is. num_new_tokens: perhaps 0, and
    then the model is not run. Returns the new ids. The prompt goes in in one pass, each new token
    in one of its own, and the last new token not at all. Positions count from 0.
    """
    ### BEGIN SOLUTION
    new: list[int] = []
    ids, num_cached = list(prompt_ids), 0
    while len(new) < num_new_tokens:
        positions = list(range(num_cached, num_cached + len(ids)))
        new.append(runner.forward(ids, positions))
        num_cached += len(ids)
        ids = new[-1:]
    return new
    ### END SOLUTION


# %% check="3.7"

# %% [markdown]
# ## 6 · Plug it in
#
# A runner for the bundled model: your cache, your layer, your loop.


# %%
class ModelRunner:
    """The bundled model over a cache of one sequence; `layer_attention` as in exercise 3.6."""

    def __init__(self, layer_attention, cache_class, place: Callable[[int], int] = int) -> None:
        self.layer_attention = layer_attention
        self.place = place  # place(position) is put in the position's stead
        self.cache = cache_class(config.num_layers, config.num_kv_heads, config.head_dim)
        self.work = Work()

    @torch.inference_mode()
    def logits(self, token_ids: list[int], positions: list[int]) -> Tensor:
        """The logits behind the last of the new tokens, `[vocab_size]`."""
        batch = RaggedBatch.build([token_ids], [self.cache.length])
        places = torch.tensor([self.place(position) for position in positions])

        def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            return self.layer_attention(self.cache, layer, q, k, v, places)

        self.work.add(len(token_ids), self.cache.length)
        row = model(batch, attend)[0]
        self.cache.advance(len(token_ids))  # once, after all layers
        return row

    def forward(self, token_ids: list[int], positions: list[int]) -> int:
        """The likeliest next token."""
        return int(self.logits(token_ids, positions).argmax())


layer_attention, cache_class, generate_with = best("3.6"), best("3.5"), best("3.7")
runner = ModelRunner(layer_attention, cache_class)
from_cache = generate_with(runner, prompt, 100)
print("the same 100 tokens as by recomputation:", from_cache == story)
print("the same as the engine's:", from_cache == reply.outputs[0].token_ids)
for name, work in (("by recomputation", recomputed), ("with the cache", runner.work)):
    forwards, pairs = f"{work.token_forwards:6,} tokens through the model", f"{work.pairs:8,} pairs"
    print(f"{name:17} {forwards}, {pairs} in each head")
num_held, held_bytes = runner.cache.length, runner.cache.num_bytes()
per_token = held_bytes // num_held
print(f"the cache holds {num_held} tokens in {held_bytes:,} B, {per_token:,} B each")

# %% [markdown]
# **A claim to test.** It is often said that a decoded token costs O(1) with a cache, and for a reply of 100
# tokens that 5,050 "attention computations" become 100, "50 times fewer". Count it for the case that is
# meant, a prompt of one token and 100 new ones. The cell takes about ten seconds.

# %%
bos = [tokenizer.bos_token_id]
without, with_cache = Work(), ModelRunner(layer_attention, cache_class)
same = generate_by_recomputation(bos, 100, without) == generate_with(with_cache, bos, 100)
for name, count in (("token forwards", "token_forwards"), ("query-key pairs", "pairs")):
    before, after = getattr(without, count), getattr(with_cache.work, count)
    print(f"{name:15} {before:8,} → {after:6,}, {before / after:.1f} times fewer")
print("same tokens:", same)

# %% [markdown]
# The 5,050 and the 100 are *tokens through the model* (projections and MLP). That work is constant for each
# new token, and it is what falls from quadratic to linear. Attention is another matter: token number t still
# meets t keys, so its share of the work still grows with every token, and its total is still quadratic, only
# far smaller. A decoded token is O(1) in the one and O(t) in the other.
#
# **Predict** the times, on this machine, with the model's two kinds of work added up: a new token behind
# 1,024 others takes how many times as long as one behind 64? First by recomputation, then with the cache. The
# cell that measures them takes about half a minute.

# %% predict="3.6a"
### BEGIN SOLUTION
recomputed_times = 16.0
### END SOLUTION
predict("3.6a", recomputed_times, unit="times")

# %% predict="3.6b"
### BEGIN SOLUTION
cached_times = 1.5
### END SOLUTION
predict("3.6b", cached_times, unit="times")

# %% tags=["nbval-ignore-output"]
from cblab.lab.labs.kv_cache.measure import Stopwatch, quickest

lengths = [64, 128, 256, 512, 1024]
text_ids = (prompt + story) * 10
by_recomputation = [
    quickest(lambda n=n: run_all(text_ids[: n + 1], Work()), repeats=2)  # the quicker of two
    for n in lengths
]
watches = {length: Stopwatch(layer_attention) for length in lengths}
timed = {length: ModelRunner(watches[length], cache_class) for length in lengths}
steps: dict[int, list[tuple[float, float]]] = {length: [] for length in lengths}
for length, one in timed.items():
    one.forward(text_ids[:length], list(range(length)))
for _ in range(20):  # in turn, so that whatever else this machine does hits all lengths alike
    for length, one in timed.items():
        watches[length].milliseconds, step = 0.0, Stopwatch(one.forward)
        step([7], [one.cache.length])
        steps[length].append((step.milliseconds, watches[length].milliseconds))
fastest = [min(steps[length]) for length in lengths]  # both numbers of the same step
by_cache, in_attention = [whole for whole, _ in fastest], [part for _, part in fastest]
display(reveal("3.6a", round(by_recomputation[-1] / by_recomputation[0], 1)))
display(reveal("3.6b", round(by_cache[-1] / by_cache[0], 1)))
viz.cost_per_token(
    lengths,
    {
        "query-key pairs, recomputed": [(length + 1) * (length + 2) // 2 for length in lengths],
        "tokens recomputed (and pairs with the cache)": [length + 1 for length in lengths],
        "tokens through the model with the cache": [1 for _ in lengths],
    },
    {
        "recomputed": by_recomputation,
        "with the cache": by_cache,
        "of it in attention": in_attention,
    },
    caption="Of the work with a cache only attention grows with the length.",
)

# %% [markdown]
# By recomputation the time of a token grows with the length, and faster where the pairs of all tokens with
# all others begin to count. With the cache it grows far more slowly: projections, MLP and the fixed cost of
# calling some hundred small operations are the same for every token. What grows is attention, which meets one
# more key each time; in large models with long texts it is what decides (section 10). On a machine that is
# busy with other things the whole line moves too.
#
# A step of one token does almost no arithmetic. That is why engines put many requests into one step.
#
# ## 7 · Break it on purpose
#
# ### An un-shifted mask
#
# A mask of the right shape that stands at the top left: `torch.ones(num_queries, num_keys).tril()`. It is
# what `scaled_dot_product_attention(…, is_causal=True)` uses, in torch, when there are fewer queries than
# keys.
#
# **Predict**: how many of 8 keys does a decoding query, one row, see through it?

# %% predict="3.7a"
### BEGIN SOLUTION
keys_seen = 1
### END SOLUTION
predict("3.7a", keys_seen, unit="of 8 keys")


# %%
def top_left(num_queries: int, num_keys: int) -> Tensor:
    """A causal mask that is not shifted."""
    return torch.ones(num_queries, num_keys).tril().bool()


def attention_top_left(
    cache,
    layer: int,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    positions: Tensor,
) -> Tensor:
    """Exercise 3.6 with the un-shifted mask."""
    cache.write(layer, rope(k, positions), v)
    keys, values = cache.read(layer)
    return attend_with(rope(q, positions), keys, values, top_left(len(q), len(keys)))


display(reveal("3.7a", int(top_left(1, 8).sum())))
last_two = [heads_first[0][:, -2:], *heads_first[1:]]
newest = F.scaled_dot_product_attention(*last_two, is_causal=True, enable_gqa=True)
by_hand = attend_with(q[-2:], k, v, top_left(2, 6)).transpose(0, 1)
print(
    "torch's is_causal with 2 queries and 6 keys is that mask:",
    torch.allclose(newest, by_hand, atol=1e-5),
)
broken = generate_with(ModelRunner(attention_top_left, cache_class), prompt, 40)
print("right: ", repr(tokenizer.decode(story[:40])[:84]))
print("broken:", repr(tokenizer.decode(broken)[:84]))

# %%
num_should, num_missing = int(mask_of(3, 8).sum()), int((mask_of(3, 8) & ~top_left(3, 8)).sum())
viz.ragged_mask_picture(
    top_left(3, 8),
    [0, 3],
    [8],
    labels=["one sequence"],
    caption="The un-shifted mask: the newest tokens see only the beginning of the text, not even "
    f"themselves. Of {num_should} keys that should be seen, {num_missing} are not.",
)

# %% [markdown]
# The first token is right (in the prompt's pass there are as many queries as keys), and from the second on
# each token sees only the first key. That is loud: everybody notices. The next one is not.
#
# ### A position that is off by one
#
# The prompt stands at positions 0 to 9, so the first new token belongs at 10. Four ways to get the position
# of decoded tokens wrong:
# - *one too far*: 11, 12, 13, …
# - *one too near*: 9, 10, 11, …, so that two tokens stand at 9;
# - *counted anew*: 1, 2, 3, …, the number of the pass;
# - *frozen*: 10, 10, 10, …
#
# **Predict**: of the first 60 tokens, how many are still the same where every position is *one too far*? The
# cell that runs all five, the right way included, takes about half a minute.

# %% predict="3.7b"
### BEGIN SOLUTION
same_of_60 = 60
### END SOLUTION
predict("3.7b", same_of_60, unit="tokens")

# %%
from cblab.training.corpus import iter_labelled_documents

held_out = next(text for kind, text in iter_labelled_documents(2, True) if kind == "story")


ways: dict[str, Callable[[int], int]] = {
    "right": lambda place: place,
    "one too far": lambda place: place + 1,
    "one too near": lambda place: place - 1,
    "counted anew": lambda place: place - 9,
    "frozen": lambda place: 10,
}


def displaced(way: str) -> ModelRunner:
    """A runner that puts tokens behind the prompt's ten somewhere else."""
    return ModelRunner(layer_attention, cache_class, lambda p: p if p < 10 else ways[way](p))


def known_text(runner: ModelRunner, ids: list[int]) -> Tensor:
    """The logits behind each token of a known text, ten in one pass and the others one by one."""
    rows = [runner.logits(ids[:10], list(range(10)))]
    rows += [runner.logits([ids[place]], [place]) for place in range(10, len(ids) - 1)]
    return torch.stack(rows)


text_tokens = tokenizer.encode(held_out)[:160]
targets = torch.tensor(text_tokens[10:])
replies = {way: generate_with(displaced(way), prompt, 60) for way in ways}
rows = {way: known_text(displaced(way), text_tokens) for way in ways}
for way, tokens in replies.items():
    equal = sum(itertools.accumulate((a == b for a, b in zip(tokens, story, strict=False)), min))
    nats = F.cross_entropy(rows[way], targets)
    off = (rows[way] - rows["right"]).abs().max()
    same = f"first {equal:2} tokens the same; {nats:.2f} nats a token"
    print(f"{way:12} {same}; logits off by up to {off:4.1f}")
reveal("3.7b", sum(a == b for a, b in zip(replies["one too far"], story, strict=False)))

# %%
for way, tokens in replies.items():
    print(f"{way:12} {tokenizer.decode(tokens)[:80]!r}")

# %% [markdown]
# - **One too far** changes nothing *here* that a reader of the replies, or a metric of quality, could see.
#   RoPE knows distances only: among the reply's tokens they are right, and from the reply to the prompt each
#   is longer by one. But the logits are not the right ones.
# - **One too near** tells another story, as good as the right one.
# - **Counted anew** is a little worse by the text, and reads well.
# - **Frozen** is the only loud one: all new tokens stand on one spot, and their order is nearly lost.
#
# So no look at the output finds the first three. They are found by comparing *logits* with a pass without a
# cache, within a tolerance, which is how this engine is tested. And they add up: a position that goes off by
# one in every turn of a conversation is off by fifty after fifty turns.
#
# The third classic, a length that is advanced once a layer, deserves a section of its own.
#
# ## 8 · Find the bug: a cache for a batch
#
# A cache that grows by `torch.cat` copies everything for every token, and a service has many sequences. The
# next idea is to reserve room once: `max_batch` rows of `max_length` *slots*, a slot for each token. It is
# often written like this:


# %%
class BuggyBatchKVCache:
    """Room for `max_batch` sequences of `max_length` tokens, a row each. There is a bug in it."""

    def __init__(self, num_layers, max_batch, max_length, num_kv_heads, head_dim):
        shape = (num_layers, max_batch, max_length, num_kv_heads, head_dim)
        self.keys, self.values = torch.zeros(shape), torch.zeros(shape)
        self.max_length = max_length
        self.lengths = [0] * max_batch

    def update(self, layer, row, k, v):
        """Write new tokens of a row, and return all of its keys and values."""
        start, end = self.lengths[row], self.lengths[row] + len(k)
        if end > self.max_length:
            raise ValueError(f"row {row} has room for {self.max_length} tokens, not for {end}")
        self.keys[layer, row, start:end] = k
        self.values[layer, row, start:end] = v
        self.lengths[row] += len(k)
        return self.keys[layer, row, :end], self.values[layer, row, :end]

    def advance(self, row, num_tokens):
        """Nothing left to do."""


# %% [markdown]
# With one layer it works. The bundled model has five. **Predict**: with a prompt of 10 tokens and rows of 64
# slots there is room for 54 new tokens. How many does this cache give before it raises?

# %% predict="3.8a"
### BEGIN SOLUTION
tokens_before_overflow = 3
### END SOLUTION
predict("3.8a", tokens_before_overflow, unit="tokens")


# %%
class BatchRunner:
    """The bundled model over a cache with a row for each sequence; one pass serves any of them."""

    def __init__(self, cache) -> None:
        self.cache = cache
        self.num_fed: dict[int, int] = {}  # tokens of each row that have gone through the model

    @torch.inference_mode()
    def step(self, new_tokens: dict[int, list[int]]) -> dict[int, int]:
        """Run the new tokens of several rows in one pass; the likeliest next token of each row."""
        done = [self.num_fed.get(row, 0) for row in new_tokens]
        batch = RaggedBatch.build(list(new_tokens.values()), done)
        borders = list(itertools.pairwise(batch.cu_seqlens_q.tolist()))

        def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            q, k = rope(q, batch.positions), rope(k, batch.positions)
            outputs = []
            for row, (start, end) in zip(new_tokens, borders, strict=True):
                keys, values = self.cache.update(layer, row, k[start:end], v[start:end])
                mask = mask_of(end - start, len(keys))
                outputs.append(attend_with(q[start:end], keys, values, mask))
            return torch.cat(outputs)

        best_ids = model(batch, attend).argmax(-1).tolist()
        for row, num_done in zip(new_tokens, done, strict=True):
            self.cache.advance(row, len(new_tokens[row]))
            self.num_fed[row] = num_done + len(new_tokens[row])
        return dict(zip(new_tokens, best_ids, strict=True))


sizes = (config.num_layers, 1, 64, config.num_kv_heads, config.head_dim)
buggy = BatchRunner(BuggyBatchKVCache(*sizes))
tokens: list[int] = []
try:
    while len(tokens) < 54:
        tokens.append(buggy.step({0: tokens[-1:] or prompt})[0])
except ValueError as error:
    print("ValueError:", error)
display(reveal("3.8a", len(tokens)))
print("right: ", repr(tokenizer.decode(story[: len(tokens)])))
print("buggy: ", repr(tokenizer.decode(tokens)))
filled = (buggy.cache.keys[:, 0].abs().sum(dim=(2, 3)) > 0).int()
for layer in range(config.num_layers):
    print(f"layer {layer}: ", "".join("#" if slot else "." for slot in filled[layer].tolist()))

# %% [markdown]
# Each layer moves the length, so the next layer writes behind the place where it should: `#` is a slot that
# was written, and they run down in a staircase. In front of its tokens each layer reads slots that hold
# nothing, or what it wrote for other tokens. Zeros are no harmless padding: a key of zeros has score 0, and 0
# is a score like any other. The few tokens before the error are no warning, they read well; with one layer,
# or in a test that looks at shapes, nothing would be seen at all.
#
# ### Exercise 3.8 · Mend the cache of a batch
# *medium · 10 minutes · about 7 lines, 1 line and 1 line*


# %% exercise="3.8"
class BatchKVCache:
    """Room for `max_batch` sequences of `max_length` tokens, reserved at once, a row each."""

    def __init__(
        self, num_layers: int, max_batch: int, max_length: int, num_kv_heads: int, head_dim: int
    ) -> None:
        shape = (num_layers, max_batch, max_length, num_kv_heads, head_dim)
        self.keys, self.values = torch.zeros(shape), torch.zeros(shape)
        self.max_length = max_length
        self.lengths = [0] * max_batch  # complete tokens of each row

    def update(self, layer: int, row: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Write the new tokens of a row, k and v `[num_new, num_kv_heads, head_dim]`, in one layer.

        Returns the row's keys and values in that layer, new ones included, `[num_tokens,
        num_kv_heads, head_dim]` each. Raises ValueError, and writes nothing, if the row has no room
        for them.
        """
        ### BEGIN SOLUTION
        start = self.lengths[row]
        end = start + k.shape[0]
        if end > self.max_length:
            raise ValueError(f"row {row} has room for {self.max_length} tokens, not for {end}")
        self.keys[layer, row, start:end] = k
        self.values[layer, row, start:end] = v
        return self.keys[layer, row, :end], self.values[layer, row, :end]
        ### END SOLUTION

    def advance(self, row: int, num_tokens: int) -> None:
        """Count new tokens of a row as complete. Called once a pass, after the last layer."""
        ### BEGIN SOLUTION
        self.lengths[row] += num_tokens
        ### END SOLUTION

    def utilisation(self) -> float:
        """The share of all reserved slots that holds a complete token, from 0 to 1."""
        ### BEGIN SOLUTION
        return sum(self.lengths) / (len(self.lengths) * self.max_length)
        ### END SOLUTION


# %% check="3.8"

# %% [markdown]
# Three requests in one batch, with rows for four sequences of 160 tokens. They want 20, 60 and 100 new
# tokens, and each pass serves all that are not done yet: no padding, each row at its own length. The cell
# also runs each request alone, to compare; it takes about five seconds.

# %%
mended = BatchRunner(best("3.8")(config.num_layers, 4, 160, config.num_kv_heads, config.head_dim))
prompts = [tokenizer.encode(text) for text in ("The capital of France is", "The cow says")]
prompts.append(prompt)
wanted = [20, 60, 100]
news: list[list[int]] = [[], [], []]
picture_rows = {}
while unfinished := [row for row in range(3) if len(news[row]) < wanted[row]]:
    feed = {row: news[row][-1:] or prompts[row] for row in unfinished}
    for row, token in mended.step(feed).items():
        news[row].append(token)
    if max(map(len, news)) in (1, 50, 100):
        step = max(map(len, news))
        used = mended.cache.utilisation()
        print(f"after step {step:3}: {len(feed)} rows in the pass, utilisation {used:.1%}")
alone = [
    generate_with(ModelRunner(layer_attention, cache_class), ids, n)
    for ids, n in zip(prompts, wanted, strict=True)
]
print("each request as if it were alone:", news == alone)
for row in range(4):
    held = mended.cache.lengths[row]
    picture_rows[f"row {row}"] = [("held", held), ("never" if row < 3 else "free", 160 - held)]
viz.slot_strips(
    picture_rows,
    caption="Rows of one length for requests of any length: most slots never hold a token.",
)

# %% [markdown]
# The tokens are right and the slots are wasted. How many, and why, is the next section.
#
# ## 9 · Where have the slots gone?
#
# Rows need not be of one length. Say a client states `max_tokens`, the service reserves prompt + `max_tokens`
# slots in one run, somewhere in an *arena* of slots, and gives them back when the request ends. Look at the
# arena at one moment. A slot is
# - **held**: there is a token in it;
# - reserved for **later**: empty now, and its request will fill it before it ends;
# - reserved for **never**: its request will end before it gets there (*internal fragmentation*);
# - in a **hole** between two runs that is too short for the next request (*external fragmentation*);
# - **free**, in a hole that is long enough.
#
# The first three kinds of empty slot are the waste that the vLLM paper distinguishes (Kwon and others 2023,
# [arXiv:2309.06180](https://arxiv.org/abs/2309.06180), section 3.1).
#
# ### Exercise 3.9 (bonus) · Three kinds of waste
# *medium · 10 minutes · about 11 lines*


# %% exercise="3.9"
def count_waste(
    runs: list[tuple[int, int, int, int]],
    num_slots: int,
    wanted: int,
) -> dict[str, int]:
    """Count what the slots of an arena, 0 … num_slots − 1, are at one moment.

    runs: (start, reserved, held, final) of each running sequence, in any order: its first slot, how
    many it has reserved, tokens that it holds now, tokens that it will hold at its end; held <=
    final <= reserved. Runs do not overlap. wanted: slots that the next request needs, in one run.
    Returns {"held", "later", "never", "holes", "free"}, slots of each kind; together they are
    num_slots. "holes" are free slots in gaps shorter than `wanted`, "free" those in all other gaps.
    """
    ### BEGIN SOLUTION
    counts = {
        "held": sum(held for _, _, held, _ in runs),
        "later": sum(final - held for _, _, held, final in runs),
        "never": sum(reserved - final for _, reserved, _, final in runs),
        "holes": 0,
        "free": 0,
    }
    end = 0
    for start, reserved, _, _ in [*sorted(runs), (num_slots, 0, 0, 0)]:
        gap = start - end
        counts["free" if gap >= wanted else "holes"] += gap
        end = start + reserved
    return counts
    ### END SOLUTION


# %% check="3.9"

# %% [markdown]
# Now a workload: 200 requests, prompts of 20 to 400 tokens, `max_tokens` of 128, 256, 512 or 1,024 as the
# client pleases, replies of 150 tokens on average. They wait in a queue; an arena of 8,192 slots takes the
# first one as soon as there is a run of slots for it (*first fit*). Each step gives every running sequence a
# token.
#
# **Predict**: while there is always somebody waiting, what share of the slots holds a token, on average?

# %% predict="3.9a"
### BEGIN SOLUTION
percent_held = 33.0
### END SOLUTION
predict("3.9a", percent_held, unit="%")

# %%
from cblab.lab.labs.kv_cache.waste import random_jobs, serve

num_slots = 8_192
count = best("3.9")
served = serve(random_jobs(1, 200), num_slots)
moments = [(runs, wanted, count(runs, num_slots, wanted)) for runs, wanted in served]
counts = [moment[2] for moment in moments]
at_a_time = sum(len(runs) for runs, _, _ in moments) / len(moments)
print(f"{len(counts):,} steps; {at_a_time:.0f} running at a time")
shares = {kind: sum(one[kind] for one in counts) / len(counts) / num_slots for kind in counts[0]}
for kind, share in shares.items():
    print(f"{kind:6} {share:6.1%}")
display(reveal("3.9a", round(100 * shares["held"], 1)))
viz.waste_over_time(
    counts,
    num_slots,
    caption="An arena that is always full, and holds tokens in a third of its slots.",
)

# %% [markdown]
# A third. The vLLM paper measured 20.4 % to 38.2 % in the systems of its day (its figure 2). One moment of
# it, as a strip:

# %%
runs, wanted, at_once = next(moment for moment in moments if moment[2]["holes"] > 1.5 * moment[1])
strip: list[tuple[str, int]] = []
end = 0
for start, reserved, held, final in [*sorted(runs), (num_slots, 0, 0, 0)]:
    strip.append(("free" if start - end >= wanted else "holes", start - end))
    strip += [("held", held), ("later", final - held), ("never", reserved - final)]
    end = start + reserved
print(f"the next request wants {wanted} slots in one run; {at_once['holes']:,} are free, in holes")
viz.slot_strips(
    {"arena": strip},
    caption="One moment: nobody is admitted, though more slots are free than the next one wants.",
)

# %% [markdown]
# - *Later* is no defect: somebody will use it. But nobody else can meanwhile.
# - *Never* is the price of not knowing how long a reply will be.
# - *Holes* is the price of wanting slots side by side.
#
# Both prices vanish if a sequence takes slots a few at a time, wherever they are. That is paging, lab 4.
#
# ## 10 · What a step reads
#
# In section 6 attention was the part that grew. In a large model with long texts it decides. A decode step
# does almost no arithmetic for the bytes it needs: it reads all weights once, and the keys and values of
# every sequence in the batch. So its time is, at best, bytes over bandwidth.
#
# **Claims to test.** A widespread text says of a 13-billion-parameter model (40 layers, 40 KV heads of 128,
# float16): 2,048 tokens of cache are 256 MB, which an "A100 with 900 GB/s" reads in 0.28 ms. And of 32
# sequences of 1,500 tokens: 9.83 GB, 10.2 ms a step, 3,137 tokens a second. Recompute it. The bandwidths are
# those in NVIDIA's data sheets: 900 GB/s is the V100's, the A100 80 GB SXM has 2,039 GB/s.

# %%
from cblab.memory.kv_cache import kv_bytes_per_token as bytes_per_token

computed = bytes_per_token(config, "float32")
print(f"bundled model, float32: {computed:,} B a token, your cache {per_token:,} B")
per_token_13b = 2 * 40 * 40 * 128 * 2  # K and V, layers, KV heads, head_dim, bytes a number
one_gb = 2_048 * per_token_13b / 1e9
print(f"13B: {per_token_13b:,} B a token; 2,048 tokens are {one_gb:.2f} GB, not 0.256 GB")
cache_gb, weights_gb = 32 * 1_500 * per_token_13b / 1e9, 26.0
cache_gib = cache_gb * 1e9 / 2**30
print(f"32 sequences of 1,500 tokens: {cache_gb:.1f} GB ({cache_gib:.1f} GiB), and not 9.83 GB")
for name, gb_per_s in (("V100", 900), ("A100 80 GB SXM", 2_039)):
    cache_ms, whole_ms = 1e3 * cache_gb / gb_per_s, 1e3 * (cache_gb + weights_gb) / gb_per_s
    print(
        f"{name:14} {gb_per_s:5,} GB/s: the cache {cache_ms:4.1f} ms, "
        f"with {weights_gb:.0f} GB of weights {whole_ms:4.1f} ms: "
        f"at most {32e3 / whole_ms:,.0f} tokens a second"
    )

# %% [markdown]
# The 256 MB are those of another model (8 KV heads, 32 layers: 131,072 B a token). The 9.83 GB lack a factor
# of four (K and V, and two bytes a number). The bandwidth is another machine's, and a step also reads the
# weights. Each looks like a detail: 3,137 tokens a second become about 440, or about 1,000 on the better
# machine. And that is by bandwidth alone: 65 GB would not fit into a V100.
#
# And the cure that is nearest at hand is in the model: with 8 KV heads instead of 40, as newer models of this
# size have (Qwen3 14B, by its `config.json`), the cache is a fifth.
#
# ## Assessment
#
# Numbers go into the variables named in the text, in the unit that their names say. Compute in the cell, or
# on paper. Where an answer is not a count, it may be off by 0.5 %: three digits are enough. These answers
# stand alone too: what other cells define is not there when they are graded.
#
# ### Exercise 3.10 · Count the work
# *medium · 5 minutes*
#
# A prompt of 20 tokens, a reply of 100 tokens, greedy.
# - `token_forwards_recomputed`: tokens that go through the model, over all passes, by recomputation;
# - `token_forwards_cached`: the same with a cache;
# - `pairs_cached`: pairs of a query and a key that it meets, in one head of one layer, with a cache, the
#   prompt's pass included.

# %% exercise="3.10"
# To be assigned: token_forwards_recomputed, token_forwards_cached, pairs_cached
### BEGIN SOLUTION
token_forwards_recomputed = sum(20 + step for step in range(100))
token_forwards_cached = 20 + 99
pairs_cached = 119 * 120 // 2
### END SOLUTION

# %% check="3.10"

# %% [markdown]
# ### Exercise 3.11 · Bytes and seconds
# *medium · 7 minutes*
#
# Llama 3.1 8B: 32 layers, 32 query heads, 8 KV heads, `head_dim` 128; weights and cache in bfloat16, the
# weights are 16.06 GB. It runs on a GPU with 3,350 GB/s and decodes 24 sequences of 6,000 tokens at once.
# - `kv_bytes_per_token`: what one token holds in the cache, in bytes;
# - `kv_total_gb`: the whole cache, in GB;
# - `step_ms`: the least time of one decode step in milliseconds, if reading weights and cache is all that
#   counts;
# - `tokens_per_second`: new tokens a second, of all sequences together, at that rate.

# %% exercise="3.11"
# To be assigned: kv_bytes_per_token, kv_total_gb, step_ms, tokens_per_second
### BEGIN SOLUTION
kv_bytes_per_token = 2 * 32 * 8 * 128 * 2
kv_total_gb = kv_bytes_per_token * 24 * 6_000 / 1e9
step_ms = (16.06 + kv_total_gb) / 3_350 * 1e3
tokens_per_second = 24 / step_ms * 1e3
### END SOLUTION

# %% check="3.11"

# %% [markdown]
# ### Exercise 3.12 · Slots
# *medium · 5 minutes*
#
# The same model, 131,072 bytes a token. 3 GiB are left for the cache. The service reserves rows of 2,048
# slots; at its end a request holds 420 tokens on average.
# - `rows_preallocated`: rows that fit;
# - `utilisation_at_end`: the share of a row's slots that hold a token when its request ends, from 0 to 1;
# - `requests_if_exact`: how many such requests would fit if each took exactly 420 slots.

# %% exercise="3.12"
# To be assigned: rows_preallocated, utilisation_at_end, requests_if_exact
### BEGIN SOLUTION
slots = 3 * 2**30 // 131_072
rows_preallocated = slots // 2_048
utilisation_at_end = 420 / 2_048
requests_if_exact = slots // 420
### END SOLUTION

# %% check="3.12"

# %% [markdown] manual="3.13" points=3
# ### Question 3.13 · "A token costs the same, however long the text"
#
# A colleague plans capacity with "with the KV cache, decoding is O(1) a token". In at most ten sentences:
# what is right in this, what is wrong, and from which length on does it matter? Say how you would find that
# length for the model of exercise 3.11 with one sequence, and what changes with 24.
#
# <!-- BEGIN SOLUTION -->
# **Rubric (3 points).**
# - 1 point: projections and MLP are constant for each new token (one token goes through the model); attention
#   reads t keys and values at step t, so it grows linearly for a token and quadratically for a reply.
# - 1 point: it matters when the cache's bytes are no longer small beside the weights'. For one sequence:
#   16.06 GB / 131,072 B are about 122,500 tokens until the cache reads as much as the weights; a tenth of
#   that is noticed already.
# - 1 point: with 24 sequences the weights are read once and the caches 24 times, so it is about 5,100 tokens
#   each; in exercise 3.11, at 6,000 tokens, the cache is already the larger part of a step.
# <!-- END SOLUTION -->

# %% [markdown] manual="3.14" points=3
# ### Question 3.14 · Store something smaller?
#
# A colleague proposes: "K and V are both computed from the layer's input x. Store x instead, one vector
# instead of two, and compute K and V when they are needed. That halves the cache." Is it right for a model
# with as many KV heads as query heads? For the bundled model (hidden size 256, 4 KV heads of 32)? What does
# it do to the work of a decode step, and to the claim that old tokens go through the projections only once?
#
# <!-- BEGIN SOLUTION -->
# **Rubric (3 points).**
# - 1 point: with multi-head attention x has hidden_size numbers and K with V has 2 · hidden_size: the cache
#   would be half. With grouped queries it would not: in the bundled model K and V are 2 · 4 · 32 = 256
#   numbers, as many as x; with fewer KV heads x would be larger.
# - 1 point: every step has to project (and turn) all t old tokens again, in every layer: the work for a token
#   grows with t by far more than attention does, and what fell from quadratic to linear is quadratic again.
# - 1 point: a trade of memory for work, which may pay where memory is the limit and arithmetic is idle; the
#   projection can be made small (multi-head latent attention stores one small vector from which K and V are
#   made). Any argued condition counts.
# <!-- END SOLUTION -->

# %% [markdown]
# ## 11 · Bonus
#
# ### Exercise 3.15 (bonus) · Attention in parts
# *hard · 12 minutes · about 4 lines*
#
# A sequence's keys may lie in several places: a system prompt that many requests share, and a part of one's
# own; or a long cache that several processor cores read at once. Each part gives its own softmax. How do two
# of them become one, without looking at the scores again? (This is also the core of FlashAttention, which
# never holds all scores at once.)


# %% exercise="3.15"
def merge_attention(parts: list[tuple[float, float, Tensor]]) -> Tensor:
    """Attention of one query over all keys, from what it is over each part of them.

    parts: (largest, total, mean) of each part, at least one: its largest score, any size; the sum
    of exp(score − largest) over its keys; the softmax-weighted mean of its values, float32
    `[head_dim]`. Returns what one softmax over all keys would give, `[head_dim]`.
    """
    ### BEGIN SOLUTION
    top = max(largest for largest, _, _ in parts)
    weights = [total * math.exp(largest - top) for largest, total, _ in parts]
    means = torch.stack([mean for _, _, mean in parts])
    return torch.tensor(weights) @ means / sum(weights)
    ### END SOLUTION


# %% check="3.15"


# %%
def part_of(query: Tensor, keys: Tensor, values: Tensor) -> tuple[float, float, Tensor]:
    """(largest, total, mean) of one query, `[head_dim]`, over some keys, `[num_keys, head_dim]`."""
    scores = keys @ query / math.sqrt(len(query))
    weights = (scores - scores.max()).exp()
    return float(scores.max()), float(weights.sum()), weights @ values / weights.sum()


query = 3 * torch.randn(32, generator=generator)
shared_keys, shared_values = torch.randn(2, 500, 32, generator=generator).unbind()
own_keys, own_values = torch.randn(2, 20, 32, generator=generator).unbind()
shared, own = part_of(query, shared_keys, shared_values), part_of(query, own_keys, own_values)
merged = best("3.15")([shared, own])
all_keys, all_values = torch.cat((shared_keys, own_keys)), torch.cat((shared_values, own_values))
whole = part_of(query, all_keys, all_values)[2]
print(
    "500 shared keys and 20 of its own, in two parts or in one: the same",
    torch.allclose(merged, whole, atol=1e-5),
)

# %% [markdown]
# ### Exercise 3.16 (bonus) · A ring for a window
# *medium · 12 minutes · about 3 lines and 2 lines*
#
# In a layer with a *sliding window* of w a token sees itself and the w − 1 tokens before it (the first
# Mistral 7B has such layers). What is further back is never read again, so w slots are enough for ever: a new
# token takes the slot of the oldest.


# %% exercise="3.16"
class RingKVCache:
    """Keys and values of the last `window` tokens of one sequence, in one layer."""

    def __init__(self, window: int, num_kv_heads: int, head_dim: int) -> None:
        self.window = window
        self.length = 0  # tokens appended so far, those that have gone again included
        self.keys = torch.zeros(window, num_kv_heads, head_dim)
        self.values = torch.zeros(window, num_kv_heads, head_dim)

    def append(self, k: Tensor, v: Tensor) -> None:
        """Store one more token, k and v `[num_kv_heads, head_dim]`."""
        ### BEGIN SOLUTION
        slot = self.length % self.window
        self.keys[slot], self.values[slot] = k, v
        self.length += 1
        ### END SOLUTION

    def read(self) -> tuple[Tensor, Tensor]:
        """Return (keys, values), oldest first: `[num_held, num_kv_heads, head_dim]` each."""
        ### BEGIN SOLUTION
        slots = [n % self.window for n in range(max(0, self.length - self.window), self.length)]
        return self.keys[slots], self.values[slots]
        ### END SOLUTION


# %% check="3.16"

# %%
from cblab.attention.masks import causal_mask as engine_mask

window, num_tokens = 5, 23
ring = best("3.16")(window, 4, 32)
ring_q = torch.randn(num_tokens, 8, 32, generator=generator)
ring_k, ring_v = torch.randn(2, num_tokens, 4, 32, generator=generator).unbind()
outputs = []
for token in range(num_tokens):
    ring.append(ring_k[token], ring_v[token])
    held_keys, held_values = ring.read()
    one_query = ring_q[token : token + 1]
    outputs.append(attend_with(one_query, held_keys, held_values, mask_of(1, len(held_keys))))
mask = engine_mask(num_tokens, num_tokens, sliding_window=window)
windowed = attend_with(ring_q, ring_k, ring_v, mask)
print(f"{num_tokens} tokens through {window} slots, the same as with the engine's mask:", end=" ")
print(torch.allclose(torch.cat(outputs), windowed, atol=1e-5))

# %% [markdown]
# ### Exercise 3.17 (bonus) · Eight bits a number
# *medium · 10 minutes · about 3 lines*
#
# Some texts say that the cache has to stay in 16 bits because quantizing it costs too much quality. Measure
# it: store each key and value in eight bits, with one scale for each token and head. The cell that runs the
# model with it takes about ten seconds.


# %% exercise="3.17"
def quantize(x: Tensor) -> tuple[Tensor, Tensor]:
    """Eight bits a number, and one scale for each token and head.

    x: float32 `[num_tokens, num_heads, head_dim]`. Returns (codes, scales): int8, shaped like x,
    from −127 to 127, and float32 `[num_tokens, num_heads, 1]`, so that codes * scales is as near to
    x as it can be and the largest number of a row, by its size, has code 127 or −127. A row of
    zeros has codes 0 and scale 1.
    """
    ### BEGIN SOLUTION
    scales = x.abs().amax(dim=-1, keepdim=True) / 127
    scales = torch.where(scales == 0, 1.0, scales)
    return (x / scales).round().to(torch.int8), scales
    ### END SOLUTION


# %% check="3.17"

# %%
to_codes = best("3.17")


class EightBitKVCache(cache_class):
    """As exercise 3.5, and what is read back is what eight bits have kept of it."""

    def write(self, layer: int, k: Tensor, v: Tensor) -> None:
        """Store codes times scales."""
        kept = [codes * scales for codes, scales in (to_codes(k), to_codes(v))]
        super().write(layer, *kept)

    def num_bytes(self) -> int:
        """A byte for each code, four for the scale of each token and head."""
        return super().num_bytes() // 4 * (config.head_dim + 4) // config.head_dim


for name, kind in (("float32", cache_class), ("eight bits", EightBitKVCache)):
    runner = ModelRunner(layer_attention, kind)
    nats = F.cross_entropy(known_text(runner, text_tokens), targets)
    print(f"{name:10} {runner.cache.num_bytes():7,} B, {nats:.3f} nats a token of held-out text")
eight = generate_with(ModelRunner(layer_attention, EightBitKVCache), prompt, 100)
print(
    "greedy tokens the same as before:",
    sum(a == b for a, b in zip(eight, story, strict=True)),
    "of 100",
)

# %% [markdown]
# A bit more than a quarter of the bytes of float32 (the scales count too), and the model does not notice. One
# small model on easy text proves nothing about others, but it disproves "it cannot be done"; 8-bit caches are
# an option of vLLM (`kv_cache_dtype`) and of this engine.
#
# ## Checklist
#
# - [ ] I can write attention for fewer queries than keys, and say where its mask's triangle stands.
# - [ ] I can say why keys and values are stored and queries are not, and why a causal mask makes it possible.
# - [ ] I can say what falls from quadratic to linear with a cache, and what stays quadratic.
# - [ ] I know why a wrong position is not seen in the text, and what kind of test finds it.
# - [ ] I know when the length advances, and what each layer reads if it advances too early.
# - [ ] I can name three ways in which a reserved slot is wasted.
# - [ ] I can compute the bytes of a cache and the least time of a decode step.
#
# **What comes next.** Lab 4 takes the slots in small blocks from wherever they are free: *never* shrinks to
# less than a block a sequence, *holes* to nothing, and two requests can share what they have in common.
#
# **Further reading**
# - Vaswani and others: *Attention Is All You Need*, 2017,
#   [arXiv:1706.03762](https://arxiv.org/abs/1706.03762)
# - Su and others: *RoFormer: Enhanced Transformer with Rotary Position Embedding*, 2021,
#   [arXiv:2104.09864](https://arxiv.org/abs/2104.09864)
# - Ainslie and others: *GQA: Training Generalized Multi-Query Transformer Models*, 2023,
#   [arXiv:2305.13245](https://arxiv.org/abs/2305.13245)
# - Kwon and others: *Efficient Memory Management for Large Language Model Serving with PagedAttention*, 2023,
#   [arXiv:2309.06180](https://arxiv.org/abs/2309.06180)
# - Dao and others: *FlashAttention*, 2022, [arXiv:2205.14135](https://arxiv.org/abs/2205.14135)

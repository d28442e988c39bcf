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
# # Lab 2 · Memory math: what a service pays for
#
# > **The question.** "We trained our 13-billion-parameter model on eight 80 GB GPUs. It is served on one, and
# > the GPU's arithmetic units are nearly idle. With 20 users of about 2,000 tokens each it is quick; with 40
# > it stops for lack of memory. Finance wants to know what a million tokens cost, and somebody says that
# > 4-bit weights would change nothing. Who is right, and how would you know before renting anything?"
#
# Bytes can be computed on paper exactly, from a `config.json`, and seconds can be bounded, with a data sheet.
# In this lab you write that arithmetic, part by part, hold each part against something real (a file, an
# optimizer's state, autograd's memory, the engine's block pool, this machine's clock), and at the end your
# function drives the clock of the engine.
#
# **At the end you can**
# - compute the parameters of a model, and its bytes in training and in inference, from its `config.json`;
# - say what autograd keeps, what inference does without, and show it by measurement;
# - compute the bytes of a KV cache with any kind of attention, and tell when it outgrows the weights;
# - draw the roofline of a machine, and say why prefill and decode lie on different sides of it;
# - answer: how many users, how many tokens a second, how many dollars for a million tokens.
#
# **Time.** Two sittings.
# - *First, the core*: sections 1–8 with exercises 2.1–2.8, about 90 minutes, reading included.
# - *Second*: section 9, the assessment and the bonus exercises, about 75 minutes.
#
# **You need** Python and a little PyTorch; lab 1 is not required. No GPU and no network.
#
# **How it works.** You *predict* a number, fill in a *blank*, *check* it, and then *measure*.
# - A blank is one line that says `raise NotImplementedError`; put your own lines in its place, inside the
#   function, and change nothing else.
# - An answer must stand alone: besides the functions that its docstring names, it may use only what its own
#   cell and the set-up cell (the next one) define.
# - If you are stuck, `hint("2.1")` in a new cell gives the next hint. Where you skip an exercise, the cells
#   after it use the course's own version and say so.

# %% tags=["setup"]
import math

import torch

# %%
import json

from IPython.display import display

from cblab import viz
from cblab.assets import path as asset_path
from cblab.lab import best, check, hint, predict, reveal  # noqa: F401
from cblab.memory import published

# %% [markdown]
# ## 1 · Parameters, from a `config.json`
#
# Every checkpoint comes with a small file that says what shape the model has. This is the bundled model's:

# %%
bundled = json.loads((asset_path("story-4m") / "config.json").read_text(encoding="utf-8"))
shape_keys = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "tie_word_embeddings",
)
for key in shape_keys:
    print(f"{key:22} {bundled[key]}")

# %% [markdown]
# It is a *Llama*, and most open models are shaped like one. From bottom to top:
#
# | part | shape |
# |---|---|
# | token table | vocabulary × hidden |
# | in each layer: norm before attention | hidden |
# | queries | hidden × (heads · head_dim) |
# | keys, values | hidden × (KV heads · head_dim), twice |
# | attention output | (heads · head_dim) × hidden |
# | norm before the MLP | hidden |
# | MLP: gate, up, down | three times hidden × intermediate |
# | last norm | hidden |
# | output head | vocabulary × hidden; *tied* means that it is the token table itself |
#
# Several query heads may share one KV head (grouped-query attention, GQA; with a single KV head it is called
# MQA). Older files leave `num_key_value_heads` out: then there are as many as query heads. Many leave
# `head_dim` out: then it is hidden / heads.
#
# **Predict** the number of parameters of the bundled model, in millions.

# %% predict="2.1a"
### BEGIN SOLUTION
million_parameters = 4.0
### END SOLUTION
predict("2.1a", million_parameters, unit="million")

# %% [markdown]
# ### Exercise 2.1 · Count the parameters
# *easy · 8 minutes · about 9 lines*


# %% exercise="2.1"
def count_parameters(config: dict) -> int:
    """Count the parameters of a model of Llama's shape.

    config: the content of its `config.json`, with at least `vocab_size`, `hidden_size`,
    `intermediate_size`, `num_hidden_layers`, `num_attention_heads`, `tie_word_embeddings`, and
    perhaps `num_key_value_heads` (missing: as many as query heads) and `head_dim` (missing:
    hidden size // heads). There are no biases.
    """
    ### BEGIN SOLUTION
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    kv_heads = config.get("num_key_value_heads", heads)
    head_dim = config.get("head_dim", hidden // heads)
    q_size, kv_size = heads * head_dim, kv_heads * head_dim
    attention = hidden * q_size + 2 * hidden * kv_size + q_size * hidden
    mlp = 3 * hidden * config["intermediate_size"]
    layers = config["num_hidden_layers"] * (attention + mlp + 2 * hidden)
    tables = 1 if config["tie_word_embeddings"] else 2
    return tables * config["vocab_size"] * hidden + layers + hidden
    ### END SOLUTION


# %% check="2.1"

# %% [markdown]
# Beside published models, and beside the bundled model's file. A safetensors file is 8 bytes that say how
# long its header is, the header, and the numbers; the bundled one holds bfloat16, 2 bytes each.

# %%
count = best("2.1")
llamas = ["Llama-2-7b", "Llama-2-13b", "Llama-2-70b", "Llama-3-8B", "Llama-3.2-1B"]
for name in (*llamas, "Mistral-7B-v0.1"):
    model = published(name)
    computed = count(model.config)
    difference = computed - model.parameters
    print(f"{name:16} {computed:15,} published {model.parameters:15,} difference {difference}")

# %%
weight_file = asset_path("story-4m") / "model.safetensors"
with weight_file.open("rb") as stream:
    header_bytes = 8 + int.from_bytes(stream.read(8), "little")
file_bytes = weight_file.stat().st_size
computed_bytes = header_bytes + 2 * count(bundled)
print(f"header {header_bytes:,} B + 2 × {count(bundled):,} B = {computed_bytes:,} B")
print(f"the file has {file_bytes:,} B; difference {file_bytes - computed_bytes}")
reveal("2.1a", count(bundled) / 1e6)

# %% [markdown]
# To the byte. `cblab info` on the command line prints the same comparison part by part for any checkpoint. A
# formula for one family is off by the small things of another, which is how a family is told from its
# look-alikes:

# %%
qwen = published("Qwen3-0.6B")
qwen_difference = qwen.parameters - count(qwen.config)
print(f"Qwen3-0.6B: {qwen_difference:,} parameters more than a Llama of its shape")
print(f"28 layers × 2 norms (of queries, of keys) × head_dim 128 = {28 * 2 * 128:,}")

# %% [markdown]
# **A claim to test.** Texts still give GPT-2's sizes as 117 and 345 million. GPT-2 is no Llama (learned
# positions, LayerNorm with bias, two MLP matrices, biases everywhere), so cblab's own counter does it:

# %%
from cblab.memory import count_parameters as count_any
from cblab.model.config import ModelConfig

for name, claimed in (("gpt2", 117), ("gpt2-medium", 345)):
    counted = count_any(ModelConfig.from_dict(published(name).config)).total
    print(f"{name:12} claimed {claimed} M, counted {counted / 1e6:.1f} M")

# %% [markdown]
# The counted numbers are right. The [README of the repository](https://github.com/openai/gpt-2#readme) admits
# that the first counts, in the paper and in posts about it, "were wrong due to an error".
#
# ## 2 · Bytes, GB and GiB
#
# Parameters times bytes a number gives bytes. Two units share one name in everyday speech: a **GB** is 10⁹
# bytes, a **GiB** is 2³⁰ bytes, 7.4 % more. Operating systems and drivers mostly count in GiB, whatever they
# call it. The memory of GPUs is sold as GB but often measured in GiB: an "80 GB" H100 [reports 81,559
# MiB](https://thundergolfer.com/blog/nvidia-gpu-memory-capacity), which is 85.5·10⁹ bytes. This lab plans
# with 80·10⁹, rounded down on purpose. A plan that mixes the units is off by several gigabytes on one GPU:

# %%
llama_13b = count(published("Llama-2-13b").config)
for dtype, size in (("float32", 4), ("bfloat16", 2), ("int8", 1)):
    num_bytes = llama_13b * size
    print(f"13B in {dtype:8} {num_bytes / 1e9:6.2f} GB = {num_bytes / 2**30:6.2f} GiB")

# %% [markdown]
# Below 8 bits, numbers are packed: two 4-bit codes share a byte. A code alone says little, so each *group* of
# neighbouring numbers shares a float16 *scale*, and a number is its code times its scale. The naive formula
# forgets the scales:
#
# **Predict**: the 70 billion parameters of a Llama-2-70b, its layers in 4 bits with a scale for each group of
# 128, the two tables in 16 bits: how many GB?

# %% predict="2.2a"
### BEGIN SOLUTION
int4_gb = 35.0
### END SOLUTION
predict("2.2a", int4_gb, unit="GB")

# %% [markdown]
# ### Exercise 2.2 · Quantized weights
# *easy · 5 minutes · about 3 lines*


# %% exercise="2.2"
def quantized_bytes(num_rows: int, row_length: int, bits: int, group_size: int) -> int:
    """Count the bytes of a matrix stored in `bits` bits a number, with a scale for each group.

    Each row `[row_length]` is packed on its own: its codes take a whole number of bytes. It is
    cut into groups of `group_size` numbers (the last may be shorter), and each group has a
    float16 scale.
    """
    ### BEGIN SOLUTION
    code_bytes = math.ceil(row_length * bits / 8)
    scale_bytes = 2 * math.ceil(row_length / group_size)
    return num_rows * (code_bytes + scale_bytes)
    ### END SOLUTION


# %% check="2.2"


# %%
from cblab.memory import parameter_shapes

quantized = best("2.2")
big = published("Llama-2-70b").config
matrices = [shape for shape in parameter_shapes(ModelConfig.from_dict(big)) if len(shape) == 2]
in_layers = [shape for shape in matrices if big["vocab_size"] not in shape]
rest = 2 * 2 * big["vocab_size"] * big["hidden_size"]  # the two tables, in 16 bits
for bits in (8, 4):
    layers = sum(quantized(*shape, bits, 128) for shape in in_layers)
    naive_gb, whole_gb = count(big) * bits / 8 / 1e9, (layers + rest) / 1e9
    print(f"70B in {bits} bits: {whole_gb:.2f} GB; parameters × bits / 8: {naive_gb:.2f} GB")
reveal("2.2a", round(whole_gb, 2))

# %% [markdown]
# **A claim to test**: "Llama-2 70B in INT4 takes about 17 GB." Half a byte a parameter is 34.5 GB before any
# scale; 17 GB would be 2 bits. A plan for one 24 GB GPU that rests on the claim fails.
#
# Here, and in the calculator of section 9, the two tables stay in 16 bits. Everywhere else in this lab "4
# bits" means all parameters: 4 + 16/128 bits each.
#
# ## 3 · What training holds
#
# Serving holds the weights. Training holds for each parameter also its *gradient*, and what the *optimizer*
# remembers of earlier steps. SGD with momentum remembers one number a parameter, Adam two (the moments). Adam
# on a matrix of a million entries holds two million numbers; *Adafactor* ([Shazeer and Stern
# 2018](https://arxiv.org/abs/1804.04235)) replaces the second moment of a matrix by its row means and column
# means, and without momentum that is all it keeps.
#
# *Mixed precision* ([Micikevicius and others 2017](https://arxiv.org/abs/1710.03740)) computes with 16-bit
# weights and gradients. An update is often smaller than the last digit of a 16-bit weight and would be lost:

# %%
weight = torch.tensor(1.0, dtype=torch.bfloat16)
for _ in range(1_000):
    weight += 0.001
print("1 + 1,000 × 0.001 in bfloat16:", weight.item())

# %% [markdown]
# So a float32 *master copy* of the weights takes the updates, and the optimizer's states stay in float32.
#
# **Predict**: with Adam and mixed precision, how many bytes does a parameter take, all together?

# %% predict="2.3a"
### BEGIN SOLUTION
bytes_a_parameter = 16
### END SOLUTION
predict("2.3a", bytes_a_parameter, unit="bytes")

# %% [markdown]
# ### Exercise 2.3 · What training holds
# *medium · 9 minutes · about 12 lines*


# %% exercise="2.3"
def training_bytes(
    shapes: list[tuple[int, ...]],
    optimizer: str,
    mixed_precision: bool,
) -> dict[str, int]:
    """Count the bytes that training holds for a model's parameters, by part.

    shapes: of all parameters, each `(rows, columns)` or `(length,)`.
    optimizer: "adam" (two float32 numbers a parameter), "sgd_momentum" (one), or "adafactor"
    (float32: of a matrix one number a row and one a column, of a vector one for each entry).
    Returns the keys "weights", "gradients" (16-bit numbers under mixed precision, else float32),
    "master_weights" (float32 under mixed precision, else 0) and "optimizer".
    """
    ### BEGIN SOLUTION
    num_parameters = sum(math.prod(shape) for shape in shapes)
    working = 2 if mixed_precision else 4
    if optimizer == "adam":
        states = 2 * num_parameters
    elif optimizer == "sgd_momentum":
        states = num_parameters
    else:
        states = sum(sum(shape) for shape in shapes)
    return {
        "weights": working * num_parameters,
        "gradients": working * num_parameters,
        "master_weights": 4 * num_parameters if mixed_precision else 0,
        "optimizer": 4 * states,
    }
    ### END SOLUTION


# %% check="2.3"

# %% [markdown]
# Beside torch's own optimizers, after one step on the bundled model in float32:

# %%
from cblab.model import load_model

training = best("2.3")
optimizers = {
    "adam": torch.optim.AdamW,
    "sgd_momentum": lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9),
    "adafactor": torch.optim.Adafactor,
}
for name, make in optimizers.items():
    trained = load_model(asset_path("story-4m"), dtype="float32")
    optimizer = make(trained.parameters())
    for parameter in trained.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    states = [value for state in optimizer.state.values() for value in state.values()]
    held = sum(value.nbytes for value in states if torch.is_tensor(value) and value.ndim)
    computed = training([tuple(p.shape) for p in trained.parameters()], name, False)["optimizer"]
    print(f"{name:13} torch holds {held:12,} B, computed {computed:12,} B")

# %%
config_13b = published("Llama-2-13b").config
shapes_13b = parameter_shapes(ModelConfig.from_dict(config_13b))
parts = training(shapes_13b, "adam", True)
display(reveal("2.3a", sum(parts.values()) / llama_13b))
for part, size in parts.items():
    print(f"{part:15} {size / 1e9:6.1f} GB")
state = sum(parts.values())
print(f"{'together':15} {state / 1e9:6.1f} GB, {state / parts['weights']:.0f} times the weights")

# %%
training_rows = {}
ways = (("adam", True), ("adam", False), ("sgd_momentum", True), ("adafactor", True))
for optimizer, mixed in ways:
    sizes = training(shapes_13b, optimizer, mixed)
    label = f"{optimizer}, {'mixed' if mixed else 'float32'}"
    training_rows[label] = {part.replace("_", " "): size / 1e9 for part, size in sizes.items()}
training_rows["inference, bfloat16"] = {"weights": 2 * llama_13b / 1e9}
training_rows["inference, 4 bits"] = {"weights": llama_13b * (4 + 16 / 128) / 8 / 1e9}
viz.memory_bars(
    training_rows,
    caption="13B without activations: training holds 8–16 bytes a parameter, inference 2 or less.",
)

# %% [markdown]
# Mixed precision with Adam saves nothing here: 16 bytes a parameter, as in float32. It saves activations and
# time.
#
# **Two claims to test.** "Adam's states of a 13B model in mixed precision take 52 GB, and training it about
# 144 GB with activations": the moments alone are 104 GB, and the state 208 GB, before activations. "Gradients
# and optimizer make training 3–4 times the weights": the printed factor is 8, over 16-bit weights.
#
# ## 4 · Two graphs
#
# To compute gradients, the backward pass needs what the forward pass has computed: autograd keeps the inputs
# of almost every operation alive, the *activations*. Inference lets each go as soon as the next operation has
# used it. The graph is the same; what is kept differs. `LiveMemory` counts the bytes of all tensors that
# torch makes, for as long as they live:

# %%
from cblab.lab.labs.memory_math.graphs import (
    greedy_tokens,
    inference_logits,
    layers_in_segments,
    training_loss,
)
from cblab.lab.labs.memory_math.live import LiveMemory, kept_for_backward

model = load_model(asset_path("story-4m"), dtype="float32")
weight_bytes = sum(parameter.nbytes for parameter in model.parameters())
windows = torch.randint(0, 2_000, (4, 129), generator=torch.Generator().manual_seed(2))
print(f"weights {weight_bytes / 1e6:.1f} MB")
print(f"a batch of {len(windows)} windows of {windows.shape[1] - 1} tokens")

# %% [markdown]
# **Predict**: one training step (forward, backward, Adam) and one forward pass for inference, on the same
# tokens, in float32. Not counting the weights, how many times as much memory does training need at its peak?

# %% predict="2.4a"
### BEGIN SOLUTION
times_the_memory = 10
### END SOLUTION
predict("2.4a", times_the_memory, unit="times")

# %%
with torch.inference_mode(), LiveMemory() as inference:
    inference_logits(model, windows[:, :-1])

trained = load_model(asset_path("story-4m"), dtype="float32")
adam = torch.optim.AdamW(trained.parameters(), foreach=False)
with LiveMemory() as step:
    loss = training_loss(trained, windows)
    after_forward = step.now
    loss.backward()
    after_backward = step.now
    adam.step()
    after_step = step.now
print(f"inference: at most {inference.peak / 1e6:4.1f} MB alive")
print(f"training:  at most {step.peak / 1e6:4.1f} MB alive")
print(f"  after the forward pass  {after_forward / 1e6:4.1f} MB: activations")
print(f"  after the backward pass {after_backward / 1e6:4.1f} MB: gradients, like the weights")
print(f"  after the first step    {after_step / 1e6:4.1f} MB: gradients and Adam's two moments")
reveal("2.4a", round(step.peak / inference.peak, 1))

# %%
viz.live_memory(
    {"training step": step.history, "inference": inference.history},
    caption="Training climbs forward, falls backward, keeps Adam's moments; inference stays flat.",
)

# %% [markdown]
# What went away: the activations, the gradients, the optimizer's states, and the master weights where there
# were any. What stays: the weights, and the tensors of one layer at a time. What is new in serving, and
# grows, is the KV cache (section 5).
#
# ### Keep or compute again
#
# Training can trade arithmetic for memory: keep only the *input* of a segment of layers, and compute the
# segment again when the backward pass comes to it (*recomputation*, or checkpointing; [Chen and others
# 2016](https://arxiv.org/abs/1604.06174)).

# %%
parameters = list(model.parameters())
kept = [
    kept_for_backward(lambda n=n: layers_in_segments(model, windows[:, :-1], n), parameters)
    for n in range(1, 6)
]
layer_bytes = kept[1] - kept[0]
print("kept with 1 to 5 layers, in MB:", [round(num_bytes / 1e6, 2) for num_bytes in kept])
print("each layer adds, in bytes:", {kept[n] - kept[n - 1] for n in range(1, 5)})
num_tokens = len(windows) * (windows.shape[1] - 1)
stream_bytes = num_tokens * model.config.hidden_size * 4  # float32
input_bytes = 2 * stream_bytes  # the stream, and what has yet to be added to it
inner_bytes = layer_bytes - input_bytes
print(f"of these, its input {input_bytes:,} and the rest {inner_bytes:,}")

# %% [markdown]
# ### Exercise 2.4 · Keep or compute again
# *medium · 7 minutes · about 5 lines*


# %% exercise="2.4"
def activation_bytes(
    num_layers: int,
    input_bytes: int,
    inner_bytes: int,
    segment: int | None,
) -> int:
    """Count the most bytes of activations that training holds at once.

    Of each layer autograd keeps its input and `inner_bytes` more. segment: None keeps all of it.
    Otherwise the layers are taken in segments of so many (the last may be shorter). The input of
    each segment is kept throughout. One segment at a time is computed again: while it is, the
    inner bytes of all its layers are alive, and the inputs of all its layers but the first,
    whose input is the segment's and counted already. Count the longest segment.
    """
    ### BEGIN SOLUTION
    if segment is None:
        return num_layers * (input_bytes + inner_bytes)
    longest = min(segment, num_layers)
    kept_inputs = math.ceil(num_layers / segment) * input_bytes
    return kept_inputs + longest * inner_bytes + (longest - 1) * input_bytes
    ### END SOLUTION


# %% check="2.4"

# %%
activations = best("2.4")
for parameter in parameters:
    parameter.grad = torch.zeros_like(parameter)
for segment in (None, 3, 2, 1):
    with LiveMemory() as memory:
        layers_in_segments(model, windows[:, :-1], 5, segment).backward()
    computed, peak = activations(5, input_bytes, inner_bytes, segment) / 1e6, memory.peak / 1e6
    print(f"segments of {segment!s:4}: computed {computed:5.1f} MB, alive {peak:5.1f} MB")
for parameter in parameters:
    parameter.grad = None

# %% [markdown]
# What is alive beyond the computed bytes, about 3 MB each time, are gradients on their way back through one
# layer. Memory for time: the forward pass is computed twice, a third more arithmetic in all. For a large
# model the saving is the difference between fitting and not:

# %%
from cblab.memory import transformer_layer_bytes

for keeps_scores in (True, False):
    layer = transformer_layer_bytes(1, 2_048, 5_120, 40, keeps_scores=keeps_scores)
    stream = 2 * 2_048 * 5_120
    everything, again = (activations(40, stream, layer - stream, segment) for segment in (None, 1))
    name = "scores kept" if keeps_scores else "fused attention"
    gb = f"{everything / 1e9:5.1f} GB, computed layer by layer again {again / 1e9:.1f} GB"
    print(f"13B, 2,048 tokens, {name:15} {gb}")

# %% [markdown]
# (The bytes of a layer are equation 1 of [Korthikanti and others 2022](https://arxiv.org/abs/2205.05198),
# `s·b·h·(34 + 5·a·s/h)`, for a GPT with dropout in 16 bits.)
#
# ### Break it on purpose: serving with autograd on
#
# A service generates 60 tokens for one request, over a cache of keys and values. Somebody forgot
# `torch.inference_mode()`. The tokens are the same; nobody calls `backward`. (Both curves jump where the
# cache runs out of room and doubles it, so the factor depends on where one looks: a guess will do.)
#
# **Predict** the symptom: after 60 tokens, how many times as many bytes are alive as with autograd off?

# %% predict="2.4b"
### BEGIN SOLUTION
times_alive = 10
### END SOLUTION
predict("2.4b", times_alive, unit="times")

# %%
alive: dict[str, list[int]] = {}
replies = {}
for name, with_autograd in (("autograd off", False), ("autograd on", True)):
    alive[name], replies[name] = [], []
    with torch.set_grad_enabled(with_autograd), LiveMemory() as memory:
        for token in greedy_tokens(model, [2_045, 300, 301], 60):
            alive[name].append(memory.now)
            replies[name].append(token)
print("same tokens:", replies["autograd off"] == replies["autograd on"])
display(reveal("2.4b", round(alive["autograd on"][-1] / alive["autograd off"][-1], 1)))
viz.live_memory(
    alive,
    caption="Same tokens, but the graph of every step stays reachable through the cache.",
    x="token",
)

# %% [markdown]
# The cause: a cache row that was computed under autograd remembers how, and with it the activations of its
# whole step. Memory grows with every token and is freed when the request ends, which is why it looks like a
# leak under load and like nothing in a test.
#
# ## 5 · The KV cache
#
# Attention needs the keys and values of all earlier tokens in every step, so an engine keeps them (lab 3 is
# about how). This is what grows with users. The naive formula takes the hidden size, or all query heads:


# %%
def kv_naive(config: dict, num_tokens: int, bytes_per_number: int) -> int:
    """K and V as wide as the hidden size: right for models whose heads share nothing."""
    return 2 * config["num_hidden_layers"] * config["hidden_size"] * num_tokens * bytes_per_number


from cblab.core.kv_cache import DenseKVCache

cache = DenseKVCache(model.config.attention_specs)
for layer, spec in enumerate(cache.specs):
    rows = torch.zeros(64, spec.num_kv_heads, spec.head_dim)
    cache.write(layer, rows, rows)
cache.advance(64)
print(f"64 tokens of the bundled model in float32: naive {kv_naive(bundled, 64, 4):9,} B")
print(f"a real cache of them holds                       {cache.num_bytes:9,} B")

# %% [markdown]
# Calculators that people planned with had this defect, and its relatives: [issue 12 of
# LLM-Viewer](https://github.com/hahnyuan/LLM-Viewer/issues/12) (query heads instead of KV heads), [issue 688
# of LMCache](https://github.com/LMCache/LMCache/issues/688) (head_dim taken as hidden / heads, DeepSeek
# wrong). Five facts decide:
# - K and V have `num_key_value_heads` heads of `head_dim` numbers; both entries may be missing, as before.
# - **MLA** (multi-head latent attention, DeepSeek): a token leaves *one* latent vector of `kv_lora_rank`
#   numbers, from which all heads' keys and values are made again, and one rotary key of `qk_rope_head_dim`
#   numbers that they share. Nothing is kept twice.
# - A **sliding window** lets a layer see only that many tokens back; it keeps no more of them.
# - `layer_types` says which layers slide (`"sliding_attention"`); in this lab, without it a window holds for
#   all layers.
# - The window may be there and `null`: then there is none.
#
# **Predict**: the bytes of one token in Llama-2-70b's cache, in 16 bits (80 layers, 64 heads on 8 KV heads of
# 128), in kB.

# %% predict="2.5a"
### BEGIN SOLUTION
kv_kb_per_token = 328
### END SOLUTION
predict("2.5a", kv_kb_per_token, unit="kB")

# %% [markdown]
# ### Exercise 2.5 · Bytes of the KV cache
# *medium · 10 minutes · about 10 lines*


# %% exercise="2.5"
def kv_cache_bytes(config: dict, num_tokens: int, bytes_per_number: int) -> int:
    """Count the bytes that one sequence of `num_tokens` tokens keeps, over all layers.

    config: `num_hidden_layers`, `hidden_size`, `num_attention_heads`, and perhaps
    `num_key_value_heads`, `head_dim`, `kv_lora_rank` with `qk_rope_head_dim` (MLA),
    `sliding_window` (may be None) and `layer_types` (a list, one a layer, of "sliding_attention"
    and "full_attention").
    """
    ### BEGIN SOLUTION
    heads = config["num_attention_heads"]
    if config.get("kv_lora_rank"):
        numbers = config["kv_lora_rank"] + config["qk_rope_head_dim"]
    else:
        head_dim = config.get("head_dim", config["hidden_size"] // heads)
        numbers = 2 * config.get("num_key_value_heads", heads) * head_dim
    window = config.get("sliding_window") or num_tokens
    types = config.get("layer_types", ["sliding_attention"] * config["num_hidden_layers"])
    slides = [kind == "sliding_attention" for kind in types]
    held = sum(min(num_tokens, window) if slide else num_tokens for slide in slides)
    return held * numbers * bytes_per_number
    ### END SOLUTION


# %% check="2.5"

# %%
kv = best("2.5")
display(reveal("2.5a", kv(big, 1, 2) / 1e3))
print(f"64 tokens, bundled model: computed {kv(bundled, 64, 4):,} B")
print(f"                      a real cache {cache.num_bytes:,} B")
kinds = {
    "Llama-2-13b": "every head its own",
    "Llama-2-70b": "GQA, 8 of 64",
    "Qwen3-0.6B": "GQA, head_dim in the file",
    "gemma-2b": "MQA, 1 of 8",
    "Mistral-7B-v0.1": "GQA, window 4,096",
    "gpt-oss-20b": "GQA, window 128 in every other layer",
    "DeepSeek-V3": "MLA",
}
for name, kind in kinds.items():
    config = published(name).config
    first, at_32k = kv(config, 1, 2), kv(config, 32_768, 2)
    print(f"{name:16} {first:9,} B for a token, {at_32k / 1e9:6.2f} GB for 32,768  {kind}")

# %% [markdown]
# **A claim to test**: "Llama-2 70B at 4,096 tokens, batch 32, needs about 70 GB of cache", and a program that
# counts `num_heads` says more still:

# %%
shared = kv(big, 4_096, 2)
unshared = kv({**big, "num_key_value_heads": big["num_attention_heads"]}, 4_096, 2)
print(f"with its 8 KV heads: {32 * shared / 1e9:.1f} GB = {32 * shared / 2**30:.1f} GiB")
print(f"if no head were shared: {32 * unshared / 1e9:.1f} GB, {unshared // shared} times as much")

# %% [markdown]
# ### When the cache outgrows the weights
#
# Weights are a constant. Keys and values grow with tokens × requests, so there is always a point where they
# are the larger part: weights / bytes a token.

# %%
for name in ("Llama-2-13b", "Llama-3-8B", "Llama-2-70b"):
    config = published(name).config
    crossing = 2 * count(config) / kv(config, 1, 2)
    print(f"{name:12} from {crossing:9,.0f} tokens on: {crossing / 2_048:5.1f} requests of 2,048")

# %%
held = [2**power for power in range(8, 21)]
viz.cache_growth(
    held,
    {
        name: [kv(published(name).config, 1, 2) * tokens / 1e9 for tokens in held]
        for name in ("Llama-2-13b", "Llama-2-70b", "Llama-3-8B", "gemma-2b", "DeepSeek-V3")
    },
    {"weights of Llama-3-8B": 2 * count(published("Llama-3-8B").config) / 1e9, "80 GB": 80.0},
    caption="A cache grows in proportion to its tokens; sharing heads moves the line down, "
    "not its slope (on these logarithmic axes).",
)

# %% [markdown]
# ### A quantized cache
#
# **A claim to test**: "the KV cache must stay in 16 bits, because quantizing it degrades quality
# significantly." The engine can store keys and values as int8, with a float32 scale for each token and KV
# head. Perplexity on held-out stories tells the loss (1.0 would be a model that is always sure and right).
#
# **Predict** by how many per cent the perplexity rises.

# %% predict="2.5b"
### BEGIN SOLUTION
perplexity_rise_percent = 1.0
### END SOLUTION
predict("2.5b", perplexity_rise_percent, unit="%")

# %%
from cblab import LLM, SamplingParams
from cblab.lab.labs.memory_math.quality import held_out_stories, perplexity
from cblab.tokenization import BPETokenizer

tokenizer = BPETokenizer.load(asset_path("story-4m"))
# Runs too short to compile kernels for:
in_torch = {"attention_backend": "torch", "fused_ops": "torch"}
stories = held_out_stories(8)
measured = {}
for dtype in ("float32", "int8"):
    pool = {"kv_cache_dtype": dtype, "num_blocks": 256, "prefill_chunk_size": 32}
    engine = LLM(model, tokenizer, **in_torch, **pool)
    measured[dtype] = perplexity(engine, stories)
    a_token = engine.engine.cache.bytes_per_block // 16
    print(f"keys and values as {dtype:8} {a_token:6,} B a token, perplexity {measured[dtype]:.4f}")
reveal("2.5b", round(100 * (measured["int8"] / measured["float32"] - 1), 2))

# %% [markdown]
# INT8 and FP8 caches are in everyday use; what they cost is a question for a measurement on the service's own
# model and text, as here. Fewer bits, or one scale for too many numbers, do hurt: bonus exercise 2.15.
#
# ## 6 · FLOPs, bytes and the roofline
#
# A step of an engine does two things at once: it *reads* (all weights once, and each request's keys and
# values) and it *computes* (each new token with all weights, and with the keys that it sees). In numbers:
# - a product with a matrix is one multiplication and one addition for each weight: **2 FLOPs** a weight and
#   token;
# - attention costs, for each pair of a query and a key that it sees, **4 FLOPs** for each unit of width (2
#   for the score, 2 for the weighted sum), where the width is heads · head_dim, over all layers. A token sees
#   what is cached, the new tokens before it, and itself;
# - weights are read **once a step**, however many tokens there are; not the token table, of which a token
#   only looks up its row (so that of Llama-2-13b's 26.0 GB a step reads 25.7);
# - the keys and values of a request's whole context are read or written once, if it computes anything.
#
# **Predict**: one decode step for one request at 1,000 tokens of context, on Llama-2-13b in 16 bits: how many
# FLOPs for each byte of memory traffic?

# %% predict="2.6a"
### BEGIN SOLUTION
flop_per_byte = 1.0
### END SOLUTION
predict("2.6a", flop_per_byte, unit="FLOP/B")

# %% [markdown]
# ### Exercise 2.6 · FLOPs and bytes of a step
# *hard · 10 minutes · about 8 lines*


# %% exercise="2.6"
def step_cost(
    model: dict[str, int],
    new_tokens: list[int],
    context_lens: list[int],
) -> tuple[int, int]:
    """Count the FLOPs and the bytes of memory traffic of one step of an engine.

    model: "matmul_parameters" (weights that each new token is multiplied with), "attention_width"
    (heads · head_dim, over all layers), "weight_bytes" and "kv_bytes_per_token".
    new_tokens: how many tokens each request computes in this step; 0 for one that waits.
    context_lens: how many tokens each request has in all, the new ones included.
    Returns `(flop, num_bytes)`.
    """
    ### BEGIN SOLUTION
    pairs = kv_tokens = 0
    for new, context in zip(new_tokens, context_lens, strict=True):
        if new:
            pairs += new * (context - new) + new * (new + 1) // 2
            kv_tokens += context
    flop = 2 * model["matmul_parameters"] * sum(new_tokens) + 4 * model["attention_width"] * pairs
    num_bytes = model["weight_bytes"] + model["kv_bytes_per_token"] * kv_tokens
    return flop, num_bytes
    ### END SOLUTION


# %% check="2.6"

# %%
from cblab.memory import hardware, rates, step_sizes

cost = best("2.6")
sizes_13b = step_sizes(ModelConfig.from_dict(config_13b), "bfloat16")
a100, v100, h100 = hardware("A100 SXM 80GB"), hardware("V100 SXM2 32GB"), hardware("H100 SXM 80GB")
work = {
    "decode, 1 request at 1,000": ([1], [1_000]),
    "decode, 16 requests at 1,000": ([1] * 16, [1_000] * 16),
    "decode, 256 requests at 1,000": ([1] * 256, [1_000] * 256),
    "prefill, 1 prompt of 1,000": ([1_000], [1_000]),
    "both: that prompt and 16 decodes": ([1_000] + [1] * 16, [1_000] * 17),
}
for name, (new, context) in work.items():
    flop, num_bytes = cost(sizes_13b, new, context)
    intensity = flop / num_bytes
    print(f"{name:33} {flop / 1e12:7.3f} TFLOP, {num_bytes / 1e9:6.1f} GB, {intensity:6.1f} FLOP/B")
for gpu in (v100, a100, h100):
    rates_of = f"{gpu.flop_per_s / 1e12:.0f} TFLOP/s, {gpu.bytes_per_s / 1e9:,.0f} GB/s"
    print(f"{gpu.name}: {rates_of}, ridge at {gpu.ridge:.0f} FLOP/B")
flop, num_bytes = cost(sizes_13b, [1], [1_000])
reveal("2.6a", round(flop / num_bytes, 2))

# %% [markdown]
# FLOPs over bytes is the *arithmetic intensity*. A machine has a number of the same kind, its *ridge*: FLOP/s
# over bytes/s. Work below the ridge waits for memory, work above it for arithmetic. The ridge of these GPUs
# is above 100: a decode step of one request uses less than a hundredth of their arithmetic.
#
# ### Exercise 2.7 · The roofline
# *easy · 4 minutes · about 2 lines*


# %% exercise="2.7"
def step_seconds(
    model: dict[str, int], machine: dict[str, float], new_tokens: list[int], context_lens: list[int]
) -> float:
    """The least seconds that one step can take on a machine.

    machine: "flop_per_s" and "bytes_per_s", its best rates. Arithmetic and memory traffic
    overlap: the slower of the two decides. `step_cost` is there to be used.
    """
    ### BEGIN SOLUTION
    flop, num_bytes = step_cost(model, new_tokens, context_lens)
    return max(flop / machine["flop_per_s"], num_bytes / machine["bytes_per_s"])
    ### END SOLUTION


# %% check="2.7"

# %% [markdown]
# ### The roofline of this machine
#
# Two numbers make a roof: the fastest that memory can be read (a matrix too large for any cache, times a
# vector) and the fastest arithmetic (two large matrices). Then real work goes under it: a decoder with fresh
# weights, larger than the caches, as the bundled one (17 MB in float32) is not.

# %% tags=["nbval-ignore-output"]
from cblab.lab.labs.memory_math.machine import best_seconds, timed_step, wide_decoder
from cblab.model.inference import choose_fused_ops, for_inference

matrix, vector, square = torch.ones(8_192, 8_192), torch.ones(8_192), torch.ones(1_024, 1_024)
bytes_per_s = matrix.nbytes / best_seconds(lambda: torch.mv(matrix, vector))
flop_per_s = 2 * 1_024**3 / best_seconds(lambda: torch.mm(square, square))
print(f"this machine reads {bytes_per_s / 1e9:.1f} GB/s")
ridge = flop_per_s / bytes_per_s
print(f"and computes {flop_per_s / 1e9:.0f} GFLOP/s: a ridge at {ridge:.1f} FLOP/B")

# %% tags=["nbval-ignore-output"]
wide = wide_decoder()
sizes_wide = step_sizes(wide.config, "float32")
# As the engine runs it:
ready = for_inference(wide, choose_fused_ops("auto", wide.embed_tokens.weight))
print(f"a decoder of {sizes_wide['weight_bytes'] / 1e6:.0f} MB")
placed = {}
for name, new, cached, batch in (
    ("decode, batch 1", 1, 127, 1),
    ("decode, batch 4", 1, 127, 4),
    ("decode, batch 16", 1, 127, 16),
    ("prefill of 256", 256, 0, 1),
):
    seconds = timed_step(ready, new, cached, batch)
    flop, num_bytes = cost(sizes_wide, [new] * batch, [new + cached] * batch)
    placed[name] = (flop / num_bytes, flop / seconds)
    print(f"{name:17} {1e3 * seconds:7.1f} ms, {batch * new / seconds:7.0f} tokens/s")
viz.roofline_picture(
    bytes_per_s,
    flop_per_s,
    placed,
    caption="Decode is at the left, prefill at the right; points far below the roof are overhead, "
    "or a busy machine.",
)

# %% [markdown]
# *Under the slope* more arithmetic is free: each further request of a batch brings a token for the price of
# its own keys and values. *Under the flat roof* nothing is free. Prefill lies there with a single prompt, if
# it is longer than about the ridge, because its tokens share one reading of the weights. A CPU's ridge is
# low: here a batch of 16 may already be past it.
#
# ### A bigger batch: nearly free, until it is not
#
# **Predict**: on an A100, 13B in 16 bits, requests of 1,000 tokens. From batch 1 to batch 16, by how much
# does the time of a step grow, in per cent?

# %% predict="2.7a"
### BEGIN SOLUTION
step_grows_percent = 50
### END SOLUTION
predict("2.7a", step_grows_percent, unit="%")

# %%
seconds_of = best("2.7")
alone = seconds_of(sizes_13b, rates(a100), [1], [1_000])
sixteen = seconds_of(sizes_13b, rates(a100), [1] * 16, [1_000] * 16)
print(f"batch  1: {1e3 * alone:5.1f} ms a step, {1 / alone:6,.0f} tokens/s")
print(f"batch 16: {1e3 * sixteen:5.1f} ms a step, {16 / sixteen:6,.0f} tokens/s")
reveal("2.7a", round(100 * (sixteen / alone - 1)))

# %%
from cblab.memory import batch_curve

batches = [2**power for power in range(11)]
viz.batch_picture(
    {
        "13B, 100 tokens": batch_curve(sizes_13b, a100, 100, batches),
        "13B, 1,000 tokens": batch_curve(sizes_13b, a100, 1_000, batches),
        "13B, 4,000 tokens": batch_curve(sizes_13b, a100, 4_000, batches),
    },
    caption="An A100: throughput grows until K and V outweigh the weights, or do not fit.",
)

# %% [markdown]
# Three ends to the free ride: reading K and V takes longer than reading the weights (the curve bends; longer
# contexts bend it sooner), the memory is full (hollow marks), or, with short contexts, arithmetic becomes the
# limit. Long before, somebody's reply may have become too slow: the time of a step is what a user waits for
# each token.
#
# **Two claims to test.** First, an exercise that went round: "13B, 32 requests of 1,500 tokens, 900 GB/s: the
# cache is 9.83 GB, a step reads it in 10.2 ms, that is 3,137 tokens/s."

# %%
kv_batch = 32 * kv(config_13b, 1_500, 2)
times_claimed = kv_batch / 9.83e9
print(f"the cache is {kv_batch / 1e9:.1f} GB, {times_claimed:.0f} times the claim:")
print("K and V, 2 bytes each")
read_ms = [1e3 * num_bytes / 900e9 for num_bytes in (kv_batch, sizes_13b["weight_bytes"])]
print(f"at 900 GB/s: {read_ms[0]:.1f} ms to read it, and {read_ms[1]:.1f} ms for the weights")
for gpu in (v100, a100):
    seconds = seconds_of(sizes_13b, rates(gpu), [1] * 32, [1_500] * 32)
    speed = f"{1e3 * seconds:.1f} ms a step, {32 / seconds:,.0f} tokens/s"
    print(f"at {gpu.bytes_per_s / 1e9:,.0f} GB/s: {speed}")

# %% [markdown]
# (900 GB/s is a V100; weights and cache together would not fit into its 32 GB. An A100 80GB reads 2,039
# GB/s.)
#
# Second: "INT4 weights give the same throughput, because decode is bound by memory." It is bound by memory,
# so fewer bytes are less time:

# %%
sizes_int4 = {**sizes_13b, "weight_bytes": int(sizes_13b["matmul_parameters"] * (4 + 16 / 128) / 8)}
for batch, context in ((1, 1_000), (16, 1_000), (64, 1_000), (512, 100)):
    step = ([1] * batch, [context] * batch)
    faster = seconds_of(sizes_13b, rates(a100), *step) / seconds_of(sizes_int4, rates(a100), *step)
    print(f"batch {batch:3} at {context:5,} tokens: 4-bit weights are {faster:.2f} times as fast")

# %% [markdown]
# Most of the possible 3.9 times for one request, less when K and V are most of what is read, and nothing
# where arithmetic decides (the codes are turned into 16-bit numbers before they are multiplied).
#
# ## 7 · Find the bug
#
# An engine asks at its start: how many blocks of the KV cache fit beside the weights? This planner has three
# defects:


# %%
def num_blocks_buggy(
    memory_bytes,
    utilization,
    weight_bytes,
    num_layers,
    layer_kv_bytes,
    block_size,
) -> int:
    """How many blocks fit."""
    free = (memory_bytes - weight_bytes) * utilization
    return round(free / (block_size * layer_kv_bytes))


one_layer = kv(config_13b, 1, 2) // 40
for name, memory in (("80 GB", 80 * 10**9), ("24 GB", 24 * 10**9)):
    blocks = num_blocks_buggy(memory, 0.9, 2 * llama_13b, 40, one_layer, 16)
    planned = blocks * 16 * kv(config_13b, 1, 2)
    print(f"{name}: {blocks:7,} blocks, {planned / 1e9:8,.1f} GB beside 26.0 GB of weights")

# %% [markdown]
# An engine has had the first of them: a pool whose blocks were counted in one layer and allocated in 28
# ([issue 357 of vllm.cpp](https://github.com/mudler/vllm.cpp/issues/357)).
#
# ### Exercise 2.8 · Mend the planner
# *medium · 7 minutes · about 3 lines*


# %% exercise="2.8"
def num_blocks(
    memory_bytes: int,
    utilization: float,
    weight_bytes: int,
    num_layers: int,
    layer_kv_bytes: int,
    block_size: int,
) -> int:
    """How many blocks of the KV cache fit beside the weights; 0 where the weights alone do not fit.

    memory_bytes: of the GPU, of which the share `utilization`, weights included, may be used.
    layer_kv_bytes: keys and values of one token in one layer. block_size: tokens of a block,
    which holds their keys and values in all layers.
    """
    ### BEGIN SOLUTION
    free = int(memory_bytes * utilization) - weight_bytes
    block_bytes = block_size * num_layers * layer_kv_bytes
    return max(0, free // block_bytes)
    ### END SOLUTION


# %% check="2.8"

# %% [markdown]
# Beside the engine, which sizes its pool from bytes: your number of blocks, and those that it makes.

# %%
plan_blocks = best("2.8")
layer_kv = kv(bundled, 1, 4) // bundled["num_hidden_layers"]
memory = 24 * 10**6
planned = plan_blocks(memory, 0.9, weight_bytes, bundled["num_hidden_layers"], layer_kv, 16)
engine = LLM(model, tokenizer, **in_torch, kv_cache_memory_bytes=int(memory * 0.9) - weight_bytes)
pool = engine.engine.cache
weight_mb = weight_bytes / 1e6
print(f"{memory / 1e6:.0f} MB, of which weights {weight_mb:.1f} MB: planned {planned} blocks")
print(f"the engine makes {pool.num_blocks} blocks of {pool.bytes_per_block:,} B")

# %% [markdown]
# ### Break it on purpose: planning with the prompts
#
# A pool is planned for 8 requests, and only their prompts are counted; the replies are forgotten. Every
# prompt fits, so all 8 are admitted. Then each of them grows.
#
# **Predict**: with that pool, how many times does a running request lose its blocks and start over (a
# *preemption*)?

# %% predict="2.8a"
### BEGIN SOLUTION
preemptions_prompts_only = 4
### END SOLUTION
predict("2.8a", preemptions_prompts_only, unit="preemptions")

# %%
prompts = [[2_045, *range(300, 300 + length)] for length in (20, 30, 40, 50, 60, 70, 80, 90)]
reply_len = 48
params = SamplingParams(temperature=0.0, max_tokens=reply_len, ignore_eos=True)
replies_by_pool, preemptions = {}, {}
for planned_reply in (reply_len, 0):
    blocks = sum(math.ceil((len(prompt) + planned_reply) / 16) for prompt in prompts)
    engine = LLM(model, tokenizer, **in_torch, num_blocks=blocks, enable_prefix_caching=False)
    outputs = engine.generate(prompts, params, use_tqdm=False)
    stats = engine.engine.stats()
    replies_by_pool[planned_reply] = [output.outputs[0].token_ids for output in outputs]
    preemptions[planned_reply] = stats.num_preemptions
    again = stats.num_prefill_tokens - sum(map(len, prompts))
    print(f"room for {planned_reply:2} tokens of reply: {blocks} blocks, {stats.num_steps} steps,")
    print(f"  {stats.num_preemptions} preemptions, {again} tokens computed again")
print("same tokens both times:", replies_by_pool[0] == replies_by_pool[reply_len])
reveal("2.8a", preemptions[0])

# %% [markdown]
# Nothing breaks and nothing is wrong but the time: the engine takes the blocks of the newest request, and
# computes it again when there is room. That is why such a plan passes every test and fails on the bill. A
# plan needs prompts *and* replies.
#
# ## 8 · Plug it in
#
# The engine can go by a clock that stands still but for what a *cost model* says a step costs. Your
# `step_seconds` becomes that model: the engine schedules and computes the bundled model, and time passes as
# it would for a 13B model on an A100, on every machine the same.

# %%
from cblab.core import SimulatedClock

params = SamplingParams(temperature=0.0, max_tokens=16, ignore_eos=True)


def served(max_num_seqs: int, seconds) -> tuple[list[list[int]], float]:
    """Replies of 12 requests, and the simulated seconds until the last is done."""

    def cost_model(plan) -> float:
        new = [one.num_new_tokens for one in plan.scheduled]
        context = [one.num_computed_tokens + one.num_new_tokens for one in plan.scheduled]
        return seconds(sizes_13b, rates(a100), new, context)

    clock = SimulatedClock(cost_model)
    engine = LLM(model, tokenizer, **in_torch, clock=clock, max_num_seqs=max_num_seqs)
    requests = [[2_045, *range(300 + 3 * number, 340 + 3 * number)] for number in range(12)]
    outputs = engine.generate(requests, params, use_tqdm=False)
    return [output.outputs[0].token_ids for output in outputs], clock.now()


# %% [markdown]
# **Predict**: 12 requests of 41 + 16 tokens. How many times as fast are they all done with 12 at once, as one
# after the other?

# %% predict="2.9a"
### BEGIN SOLUTION
times_as_fast = 10
### END SOLUTION
predict("2.9a", times_as_fast, unit="times")

# %%
times, tokens_of = {}, {}
for seats in (1, 4, 12):
    tokens_of[seats], times[seats] = served(seats, seconds_of)
    rate = 12 * 16 / times[seats]
    same = tokens_of[seats] == tokens_of[1]
    print(f"{seats:2} at once: {times[seats]:5.2f} s, {rate:4.0f} tokens/s, same tokens: {same}")

from cblab.memory import step_seconds as reference_seconds

_, by_reference = served(12, reference_seconds)
print("the same time with the reference:", math.isclose(by_reference, times[12]))
reveal("2.9a", round(times[1] / times[12], 1))

# %% [markdown]
# The replies are those of the engine, the seconds are yours. This clock is how later labs compare schedulers
# without a GPU, and why their figures are the same on every machine.
#
# ## 9 · Capacity and price
#
# *The second sitting begins here.* How many users fit is blocks over blocks a user. What a million tokens
# cost is the price of an hour over the tokens of an hour. The prices of a GPU hour below are assumptions, and
# not offers: put your own.

# %%
from cblab.memory import max_requests, usd_per_million_tokens

prices = {"V100 SXM2 32GB": 0.60, "L4 24GB": 0.80, "A100 SXM 80GB": 2.00, "H100 SXM 80GB": 3.00}
usd_per_hour = prices[a100.name]
for name in ("Llama-3-8B", "Llama-2-13b"):
    config = published(name).config
    sizes = step_sizes(ModelConfig.from_dict(config), "bfloat16")
    layer_bytes_kv = kv(config, 1, 2) // config["num_hidden_layers"]
    blocks = plan_blocks(
        a100.memory_bytes, 0.9, 2 * count(config), config["num_hidden_layers"], layer_bytes_kv, 16
    )
    for context in (1_000, 4_000):
        users = max_requests(blocks, 16, context)
        rate = users / seconds_of(sizes, rates(a100), [1] * users, [context] * users)
        single = 1 / seconds_of(sizes, rates(a100), [1], [context])
        print(
            f"{name:11} {context:5,} tokens: {users:3} users, {rate:6,.0f} tokens/s, "
            f"{usd_per_million_tokens(usd_per_hour, rate):.3f} USD per 10⁶; "
            f"one alone: {usd_per_million_tokens(usd_per_hour, single):.2f} USD"
        )

# %% [markdown]
# These are ceilings: no engine reaches its bound (you saw above how far this machine stays below it), prompts
# cost time too, and no service is full around the clock. But they show what decides: the price of a token is
# set by the batch, and the batch by the memory that is left for keys and values.
#
# Now the question at the top, for a Llama-2-13b on one A100:

# %%
layer_bytes_13b = kv(config_13b, 1, 2) // 40
for label, bits, sizes in (("16 bits", 16, sizes_13b), ("4 bits", 4 + 16 / 128, sizes_int4)):
    held_bytes = int(llama_13b * bits / 8)
    blocks = plan_blocks(a100.memory_bytes, 0.9, held_bytes, 40, layer_bytes_13b, 16)
    users = max_requests(blocks, 16, 2_048)
    print(f"weights in {label}, {held_bytes / 1e9:.1f} GB: {users} users of 2,048 tokens fit")
    for batch in (20, users):
        seconds = seconds_of(sizes, rates(a100), [1] * batch, [2_048] * batch)
        usd = usd_per_million_tokens(usd_per_hour, batch / seconds)
        print(
            f"  {batch} users: {1e3 * seconds:.1f} ms a step, {batch / seconds:,.0f} tokens/s, "
            f"{usd:.2f} USD per 10⁶"
        )

# %% [markdown]
# So 4-bit weights do change something: the same 20 users get their tokens sooner, more users fit, and a full
# GPU makes a token for about 0.7 of the price. They change less than their size promises, because keys and
# values are the larger part of what a step reads; and 40 such users fit neither way: for them the keys and
# values have to shrink too (section 5). All of it follows from a `config.json`, a data sheet and a price.
#
# ### The calculator
#
# All of it in one place. In JupyterLab these are sliders; a rendered page shows a few plans.

# %%
from cblab.lab.labs.memory_math.calculator import calculator

calculator(prices)

# %% [markdown]
# ## Assessment
#
# Numbers go into the variables named in the text, in the unit that their names say. Where an answer is not a
# count, it may be off by 0.5 %. GB are 10⁹ bytes.
#
# ### Exercise 2.9 · Fine-tuning
# *medium · 5 minutes*
#
# A model of 13.0 billion parameters is fine-tuned with Adam in mixed precision (16-bit weights and gradients,
# float32 master weights and moments). The state is shared out evenly over GPUs; on each of them 72 of 80 GB
# can be used, and each needs 30 GB of these for activations of its own.
# - `moments_gb`: Adam's moments alone;
# - `state_gb`: weights, gradients, master weights and moments;
# - `num_gpus`: the fewest GPUs that hold it.

# %% exercise="2.9"
# To be assigned: moments_gb, state_gb, num_gpus
### BEGIN SOLUTION
moments_gb = 13.0e9 * 8 / 1e9
state_gb = 13.0e9 * (2 + 2 + 4 + 8) / 1e9
num_gpus = math.ceil(state_gb / (72 - 30))
### END SOLUTION

# %% check="2.9"

# %% [markdown]
# ### Exercise 2.10 · Who fits
# *medium · 6 minutes*
#
# A model of 34 billion parameters is stored in 4 bits, with a float16 scale for each 128 weights (take all
# parameters as quantized). It has 48 layers and 64 query heads on 8 KV heads of 128; keys and values are
# bfloat16. The GPU has 48 GB, of which 0.9 may be used. Blocks hold 16 tokens. A request has a prompt of
# 1,650 tokens and a reply of 320.
# - `weights_gb`: the weights with their scales;
# - `kv_bytes_per_token`: keys and values of one token, over all layers;
# - `requests_that_fit`: how many such requests can be held at their full length.

# %% exercise="2.10"
# To be assigned: weights_gb, kv_bytes_per_token, requests_that_fit
### BEGIN SOLUTION
weights_gb = 34e9 * (4 + 16 / 128) / 8 / 1e9
kv_bytes_per_token = 2 * 48 * 8 * 128 * 2
blocks_that_fit = (0.9 * 48e9 - weights_gb * 1e9) // (16 * kv_bytes_per_token)
requests_that_fit = int(blocks_that_fit // math.ceil((1_650 + 320) / 16))
### END SOLUTION

# %% check="2.10"

# %% [markdown]
# ### Exercise 2.11 · Speed and price
# *medium · 5 minutes*
#
# Weights of 17.5 GB are read in each step, and keys and values take 196,608 bytes a token. The GPU reads 864
# GB/s and costs 1.20 dollars an hour; arithmetic is not the limit. 40 requests decode together, at 1,800
# tokens of context each.
# - `step_ms`: time of one step, in milliseconds;
# - `tokens_per_s`: of all requests together;
# - `price_usd_per_million_tokens`: price of 10⁶ output tokens.

# %% exercise="2.11"
# To be assigned: step_ms, tokens_per_s, price_usd_per_million_tokens
### BEGIN SOLUTION
step_ms = 1e3 * (17.5e9 + 40 * 1_800 * 196_608) / 864e9
tokens_per_s = 40 / (step_ms / 1e3)
price_usd_per_million_tokens = 1.20 / 3_600 / tokens_per_s * 1e6
### END SOLUTION

# %% check="2.11"

# %% [markdown] manual="2.12" points=3
# ### Question 2.12 · Four bits
#
# A client reads: "4-bit weights make the service four times as fast and a quarter as dear." Another: "they
# change nothing, since the KV cache is the bottleneck." In at most ten sentences: when is each nearly right?
# Name the quantities that decide, and what you would measure before choosing.
#
# <!-- BEGIN SOLUTION -->
# **Rubric (3 points).**
# - 1 point: decode reads weights once a step and K and V of every request; with a small batch or short
#   contexts the weights are most of it, and the step becomes up to 3.9 times as fast (4.125 bits for 16).
#   Large batches at long contexts are bound by K and V, prefill and very large batches by arithmetic: nothing
#   is gained in time.
# - 1 point: the memory that weights give up holds more requests: a larger batch, and so more tokens for the
#   same hour, also where a step is not faster. Fewer GPUs may do.
# - 1 point: to measure: quality on the service's own text (perplexity and tasks), tokens/s at the service's
#   own batch and context lengths, and the time between tokens; not the size of a file.
# <!-- END SOLUTION -->

# %% [markdown] manual="2.13" points=3
# ### Question 2.13 · The same GPU
#
# A 7B model is served from one 24 GB GPU. A colleague wants to fine-tune it there at night. Say with numbers
# why plain Adam in mixed precision cannot work, name three changes that reduce what training holds, each with
# what it saves and what it costs, and say which parts of the serving engine would have to be gone while it
# trains.
#
# <!-- BEGIN SOLUTION -->
# **Rubric (3 points).**
# - 1 point: 16 bytes × 7·10⁹ = 112 GB of state before activations; already weights and gradients in 16 bits
#   are 28 GB.
# - 1 point: three of: SGD with momentum (12 bytes a parameter instead of 16, worse convergence) or Adafactor
#   (about 8); recomputation (activations of one layer at a time, a third more arithmetic); adapters such as
#   LoRA (gradients and states of a few parameters only, weights frozen, perhaps quantized); smaller batches
#   with accumulation (activations only, time); offloading (host memory, time).
# - 1 point: the engine's weights can be the frozen ones of an adapter, but its block pool takes what is left
#   of the memory at the start: it has to be gone, or sized smaller. Inference keeps no activations, so
#   nothing else of it can be reused.
# <!-- END SOLUTION -->

# %% [markdown]
# ## Bonus
#
# ### Exercise 2.14 (bonus) · The largest batch
# *medium · 12 minutes · about 7 lines*
#
# Each further request makes a token cheaper and every user slower. So a service asks: the largest batch that
# fits, and whose steps are fast enough.


# %% exercise="2.14"
def largest_batch(
    model: dict[str, int],
    machine: dict[str, float],
    context_len: int,
    max_step_s: float,
    usd_per_hour: float,
) -> tuple[int, float]:
    """Find the largest batch that may decode together, and dollars for 10⁶ of its tokens.

    model: as for `step_cost`. machine: "memory_bytes", "flop_per_s", "bytes_per_s". Weights, and
    keys and values of the whole batch at `context_len` tokens a request, take at most the
    memory; one decode step of all of them takes at most `max_step_s` seconds. Where not even one
    request will do: `(0, math.inf)`. `step_seconds` is there to be used.
    """
    ### BEGIN SOLUTION
    room = machine["memory_bytes"] - model["weight_bytes"]
    most = int(room // (context_len * model["kv_bytes_per_token"]))
    for batch in range(most, 0, -1):
        seconds = step_seconds(model, machine, [1] * batch, [context_len] * batch)
        if seconds <= max_step_s:
            return batch, usd_per_hour / 3600 / (batch / seconds) * 1e6
    return 0, math.inf
    ### END SOLUTION


# %% check="2.14"

# %%
choose = best("2.14")
machine = {**rates(a100), "memory_bytes": 0.9 * a100.memory_bytes}
for limit_ms in (15, 20, 25, 30, 40):
    batch, usd = choose(sizes_13b, machine, 1_000, limit_ms / 1e3, usd_per_hour)
    print(f"at most {limit_ms} ms between tokens: batch {batch:3}, {usd:6.3f} USD per 10⁶ tokens")

# %% [markdown]
# ### Exercise 2.15 (bonus) · Quantize
# *medium · 12 minutes · about 4 lines*
#
# How much does it hurt? Quantize the bundled model's own weights, group by group, and let it tell stories.


# %% exercise="2.15"
def quantize_rows(x: torch.Tensor, bits: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Store each row as whole numbers of `bits` bits and one scale, symmetric around 0.

    x: float32 `[num_rows, row_length]`. bits: at most 8.
    Returns `(codes, scales)`, int8 `[num_rows, row_length]` and float32 `[num_rows, 1]`: the
    scale turns the row's largest size into the largest code, 2^(bits-1) - 1, and a row of zeros
    has scale 1. Codes are rounded to the nearest whole number, and `codes * scales` is about
    `x`.
    """
    ### BEGIN SOLUTION
    scales = x.abs().amax(dim=1, keepdim=True) / (2 ** (bits - 1) - 1)
    scales = torch.where(scales == 0, torch.ones_like(scales), scales)
    codes = (x / scales).round().to(torch.int8)
    return codes, scales
    ### END SOLUTION


# %% check="2.15"

# %%
quantize = best("2.15")


def with_quantized_layers(bits: int, group_size: int):
    """The bundled model with every matrix of its layers quantized in groups, and turned back."""
    changed = load_model(asset_path("story-4m"), dtype="float32")
    with torch.no_grad():
        for parameter in changed.layers.parameters():
            if parameter.ndim == 2:
                groups = parameter.reshape(-1, group_size or parameter.shape[1])
                codes, scales = quantize(groups, bits)
                parameter.copy_((codes * scales).reshape(parameter.shape))
    return changed


print(f"{'as it is':21} perplexity {measured['float32']:.3f}")
for bits, group_size in ((8, 16), (4, 16), (4, 0), (3, 16), (2, 16)):
    engine = LLM(with_quantized_layers(bits, group_size), tokenizer, **in_torch, num_blocks=256)
    label = f"{bits} bits, " + (f"groups of {group_size}" if group_size else "whole rows")
    print(f"{label:21} perplexity {perplexity(engine, stories):.3f}")

# %% [markdown]
# Rounding to the nearest, as here, is the simplest way; methods that look at activations too (GPTQ, AWQ) lose
# less. A small model trained on narrow text also forgives less, or more, than a large one: measure yours.
#
# ## Checklist
#
# - [ ] I can count a model's parameters from its `config.json`, and say where two families differ.
# - [ ] I say GB or GiB and mean it; I do not forget scales.
# - [ ] I can say what 16 bytes a parameter are, and which of them inference does not have.
# - [ ] I can say what autograd keeps, what recomputation saves, and why serving turns autograd off.
# - [ ] I can compute a KV cache with GQA, MQA, MLA and windows, and tell where it outgrows the weights.
# - [ ] I can place prefill and decode on a roofline, and say when a bigger batch stops being free.
# - [ ] I can plan users, tokens a second and dollars for a GPU, and say what the plan leaves out.
#
# **What comes next.** Lab 3 builds the cache whose bytes you have counted; lab 4 gives it out in blocks.
#
# **Further reading**
# - Williams, Waterman, Patterson: *Roofline: An Insightful Visual Performance Model*, 2009
# - Rajbhandari and others: *ZeRO: Memory Optimizations Toward Training Trillion Parameter Models*, 2019,
#   [arXiv:1910.02054](https://arxiv.org/abs/1910.02054), section 3: where the 16 bytes come from
# - Korthikanti and others: *Reducing Activation Recomputation in Large Transformer Models*, 2022,
#   [arXiv:2205.05198](https://arxiv.org/abs/2205.05198)
# - Pope and others: *Efficiently Scaling Transformer Inference*, 2022,
#   [arXiv:2211.05102](https://arxiv.org/abs/2211.05102)
# - DeepSeek-AI: *DeepSeek-V2*, 2024, [arXiv:2405.04434](https://arxiv.org/abs/2405.04434), on multi-head
#   latent attention

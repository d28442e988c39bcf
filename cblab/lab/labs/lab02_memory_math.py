"""The exercises of lab 2, memory math: what is asked for, the hints, and which check judges it."""

from cblab.lab.exercise import Exercise, Part
from cblab.lab.labs.memory_math import cache, counting, numbers, pool, rows, speed, training

_REFERENCE = "cblab.lab.labs.memory_math.reference"

_SIZES = (
    Exercise(
        "2.1",
        "Count the parameters",
        symbols={"count_parameters": f"{_REFERENCE}:count_parameters"},
        parts=(Part("parameters", 3, counting.check_count_parameters),),
        minutes=8,
        difficulty="easy",
        lines=9,
        hints=(
            "Go through the model as a token does: token table, then each layer's attention, MLP and norms, "
            "then the last norm and the output head.",
            "Queries: hidden × (heads · head_dim). Keys and values: hidden × (KV heads · head_dim) each. "
            "Output: "
            "(heads · head_dim) × hidden. MLP: three matrices hidden × inner. Norms: hidden each.",
            "attention = hidden * q_size + 2 * hidden * kv_size + q_size * hidden\n"
            "layer = attention + 3 * hidden * inner + 2 * hidden\n"
            "tables = 1 if tied else 2\n"
            "tables * vocab * hidden + layers * layer + hidden",
        ),
    ),
    Exercise(
        "2.2",
        "Quantized weights",
        symbols={"quantized_bytes": "cblab.memory.quantization:quantized_bytes"},
        parts=(Part("bytes", 2, counting.check_quantized_bytes),),
        minutes=5,
        difficulty="easy",
        lines=3,
        hints=(
            "Count one row, then multiply. A row has two parts: its packed codes and its scales.",
            "Codes: row_length · bits, in bytes, rounded up. Scales: 2 bytes for each group, and the "
            "number of "
            "groups is rounded up too.",
            "codes = ceil(row_length * bits / 8)\n"
            "scales = 2 * ceil(row_length / group_size)\n"
            "num_rows * (codes + scales)",
        ),
    ),
    Exercise(
        "2.3",
        "What training holds",
        symbols={"training_bytes": "cblab.memory.training:training_bytes"},
        parts=(Part("bytes by part", 3, training.check_training_bytes),),
        minutes=9,
        difficulty="medium",
        lines=12,
        hints=(
            "First the number of parameters, then each part as so many bytes for each of them. Adafactor "
            "alone "
            "needs the shapes.",
            "Mixed: 2 + 2 + 4 bytes for weights, gradients, master weights; else 4 + 4 + 0. States are "
            "float32: "
            "Adam 2 numbers a parameter, SGD with momentum 1, Adafactor rows + columns of a matrix and "
            "all of a "
            "vector.",
            "numbers = sum of the products of the shapes\n"
            "working = 2 if mixed_precision else 4\n"
            "states = 2 * numbers, numbers, or the sum over shapes of\n"
            "    rows + columns (two sides) or its length (one side)\n"
            "return the four entries; the optimizer's is 4 * states",
        ),
    ),
    Exercise(
        "2.4",
        "Keep or compute again",
        symbols={"activation_bytes": "cblab.memory.activations:activation_bytes"},
        parts=(Part("bytes at the peak", 2, training.check_activation_bytes),),
        minutes=7,
        difficulty="medium",
        lines=5,
        hints=(
            "Two kinds of memory: what is kept all the time, and what one segment needs while it is computed "
            "again.",
            "Kept: one input for each segment, ceil(num_layers / segment). Again: `inner_bytes` for each "
            "layer "
            "of the longest segment, and an input for each of them but the first.",
            "None: num_layers * (input + inner)\n"
            "else:\n"
            "    longest = min(segment, num_layers)\n"
            "    segments * input + longest * inner + (longest - 1) * input",
        ),
    ),
    Exercise(
        "2.5",
        "Bytes of the KV cache",
        symbols={"kv_cache_bytes": "cblab.memory.kv_cache:kv_cache_bytes"},
        parts=(Part("bytes", 3, cache.check_kv_cache_bytes),),
        minutes=10,
        difficulty="medium",
        lines=10,
        hints=(
            "Two questions: how many numbers does a token leave in a layer, and how many tokens does each "
            "layer keep?",
            "Numbers: 2 · KV heads · head_dim, or kv_lora_rank + qk_rope_head_dim. Tokens: num_tokens, "
            "or with "
            "a window at most the window; `layer_types` says in which layers.",
            "numbers = latent + rotary if the file has kv_lora_rank, else 2 * kv_heads * head_dim\n"
            'types = layer_types, or "sliding_attention" for every layer\n'
            "held = sum over types of min(num_tokens, window) if there is a window and the type slides,\n"
            "    else num_tokens\n"
            "held * numbers * bytes_per_number",
        ),
    ),
)

_SPEED = (
    Exercise(
        "2.6",
        "FLOPs and bytes of a step",
        symbols={"step_cost": "cblab.memory.roofline:step_cost"},
        parts=(Part("FLOPs and bytes", 3, speed.check_step_cost),),
        minutes=10,
        difficulty="hard",
        lines=8,
        hints=(
            "FLOPs follow the new tokens, bytes follow what is read: the weights once, and the context "
            "of each "
            "request that computes something.",
            "A request with `new` new tokens and `context` in all has new · (context − new) pairs with "
            "cached "
            "keys, and new · (new + 1) / 2 among the new ones.",
            "for each request with new > 0:\n"
            "    pairs += new * (context - new) + new * (new + 1) // 2\n"
            "    kv_tokens += context\n"
            "flop = 2 * matmul_parameters * all new tokens + 4 * attention_width * pairs\n"
            "num_bytes = weight_bytes + kv_bytes_per_token * kv_tokens",
        ),
    ),
    Exercise(
        "2.7",
        "The roofline",
        symbols={"step_seconds": "cblab.memory.roofline:step_seconds"},
        needs=("step_cost",),
        parts=(Part("seconds", 2, speed.check_step_seconds),),
        minutes=4,
        difficulty="easy",
        lines=2,
        hints=(
            "Arithmetic and memory traffic go on at the same time: the step ends when the slower one does.",
            "FLOPs over FLOP/s, bytes over bytes/s: two times in seconds.",
            "flop, num_bytes = step_cost(...)\nmax of the two times",
        ),
    ),
    Exercise(
        "2.8",
        "Mend the planner",
        symbols={"num_blocks": f"{_REFERENCE}:num_blocks"},
        parts=(Part("blocks", 3, pool.check_num_blocks),),
        minutes=7,
        difficulty="medium",
        lines=3,
        hints=(
            "Work out by hand what a block must hold, and what may be used of the memory. Then try a model "
            "that does not fit.",
            "A block holds `block_size` tokens, with keys and values in all `num_layers`. The weights are "
            "within the share that may be used.",
            "free = int(memory_bytes * utilization) - weight_bytes\n"
            "size = block_size * num_layers * layer_kv_bytes\n"
            "free // size, and at least 0",
        ),
    ),
)

_ASSESSMENT = (
    Exercise(
        "2.9",
        "Fine-tuning",
        variables=("moments_gb", "state_gb", "num_gpus"),
        parts=(
            Part("moments", 1, numbers.MOMENTS_GB),
            Part("whole state", 1, numbers.STATE_GB),
            Part("GPUs", 1, numbers.NUM_GPUS),
        ),
        minutes=5,
        difficulty="medium",
        hints=(
            "Bytes a parameter first, then GB, then what each GPU has left for its share.",
            "Moments: 2 × 4 bytes. All: 2 + 2 + 4 + 8. Each GPU has 72 − 30 GB for the state.",
            "num_gpus = state_gb / (72 - 30), rounded up",
        ),
    ),
    Exercise(
        "2.10",
        "Who fits",
        variables=("weights_gb", "kv_bytes_per_token", "requests_that_fit"),
        parts=(
            Part("weights", 1, numbers.WEIGHTS_GB),
            Part("KV bytes", 1, numbers.KV_BYTES),
            Part("requests", 1, numbers.REQUESTS),
        ),
        minutes=6,
        difficulty="medium",
        hints=(
            "Weights, then a token's keys and values, then whole blocks, then whole requests.",
            "A weight has 4 + 16 / 128 bits. K and V, 48 layers, 8 KV heads, 128 numbers, 2 bytes.",
            "blocks = (0.9 * 48e9 - weights) // (16 * kv_bytes_per_token)\n"
            "requests = blocks // ceil((1650 + 320) / 16)",
        ),
    ),
    Exercise(
        "2.11",
        "Speed and price",
        variables=("step_ms", "tokens_per_s", "price_usd_per_million_tokens"),
        parts=(
            Part("step", 1, numbers.STEP_MS),
            Part("tokens a second", 1, numbers.TOKENS_PER_S),
            Part("price", 1, numbers.USD_PER_MILLION),
        ),
        minutes=5,
        difficulty="medium",
        hints=(
            "Decoding at this batch is bound by memory: bytes of a step over bytes a second.",
            "A step reads 17.5 GB of weights and 40 × 1,800 tokens of keys and values; it makes 40 tokens.",
            "price = dollars an hour / 3600 / tokens a second * 1e6",
        ),
    ),
)

_BONUS = (
    Exercise(
        "2.14",
        "The largest batch",
        symbols={"largest_batch": "cblab.memory.serving:largest_batch"},
        needs=("step_seconds",),
        parts=(Part("batch and price", 2, speed.check_largest_batch),),
        minutes=12,
        difficulty="medium",
        lines=7,
        bonus=True,
        hints=(
            "Begin with the largest batch that fits and make it smaller until its step is fast enough.",
            "Room: memory_bytes − weight_bytes; a request takes context_len · kv_bytes_per_token of it. "
            "A step "
            "makes one token for each request.",
            "for batch from most down to 1:\n"
            "    seconds = step_seconds(model, machine, [1] * batch, [context_len] * batch)\n"
            "    if seconds <= max_step_s: return batch, dollars\n"
            "return 0, math.inf",
        ),
    ),
    Exercise(
        "2.15",
        "Quantize",
        symbols={"quantize_rows": f"{_REFERENCE}:quantize_rows"},
        parts=(Part("codes and scales", 2, rows.check_quantize_rows),),
        minutes=12,
        difficulty="medium",
        lines=4,
        bonus=True,
        hints=(
            "One scale a row, so that the number with the largest size becomes the largest code.",
            "x.abs().amax(dim=1, keepdim=True) is [num_rows, 1]. The largest code of 4 bits is 7.",
            "scales = largest size of each row / (2**(bits - 1) - 1), and 1 where that is 0\n"
            "codes = x / scales, rounded to the nearest, as int8",
        ),
    ),
)

EXERCISES: tuple[Exercise, ...] = (*_SIZES, *_SPEED, *_ASSESSMENT, *_BONUS)

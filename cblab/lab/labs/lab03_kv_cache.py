"""The exercises of lab 3, the KV cache: what is asked for, the hints, and which check judges it."""

from cblab.lab.exercise import Exercise, Part
from cblab.lab.labs.kv_cache import (
    attention,
    batch_cache,
    decoding,
    extras,
    layer,
    numbers,
    positions,
    sequence_cache,
    slots,
)

_REFERENCE = "cblab.lab.labs.kv_cache.reference"
_CACHES = "cblab.lab.labs.kv_cache.caches"
_BONUS_CODE = "cblab.lab.labs.kv_cache.bonus"

_ATTENTION = (
    Exercise(
        "3.1",
        "A softmax that does not overflow",
        symbols={"softmax": f"{_REFERENCE}:softmax"},
        parts=(Part("weights", 2, attention.check_softmax),),
        minutes=5,
        difficulty="easy",
        lines=3,
        hints=(
            "exp(a − c) / Σ exp(b − c) does not depend on c. Choose c for each row so that nothing "
            "overflows.",
            "The largest score of each row, `[..., 1]`, keeps its dimension (`keepdim=True`), so that it "
            "can be "
            "subtracted from `[..., num_keys]`. The sum likewise.",
            "shifted = scores - the largest of each row\n"
            "weights = exp(shifted)\n"
            "return weights / the sum of each row",
        ),
    ),
    Exercise(
        "3.2",
        "Attention",
        symbols={"attention": f"{_REFERENCE}:attention"},
        needs=("softmax",),
        parts=(Part("outputs", 3, attention.check_attention),),
        minutes=10,
        difficulty="medium",
        lines=5,
        hints=(
            "First give every query head keys and values of its own, then do for all heads at once what the "
            "definition does for one.",
            "`repeat_interleave(group, dim=1)` turns [num_keys, num_kv_heads, head_dim] into [num_keys, "
            "num_heads, head_dim]. Scores and weights are [num_heads, num_queries, num_keys], so that the "
            "mask "
            "[num_queries, num_keys] lines up with them.",
            "group = query heads // KV heads; repeat k and v\n"
            'scores = einsum("qhd,khd->hqk", q, k) / sqrt(head_dim)\n'
            "scores where the mask is False = -inf\n"
            'einsum("hqk,khd->qhd", softmax(scores), v)',
        ),
    ),
    Exercise(
        "3.3",
        "Rotary positions",
        symbols={"apply_rope": f"{_REFERENCE}:apply_rope"},
        parts=(Part("turned vectors", 3, positions.check_rope),),
        minutes=9,
        difficulty="medium",
        lines=6,
        hints=(
            "One angle for each token and each pair. Then a plain rotation of the pair.",
            "frequencies is [head_dim / 2], angles is [num_tokens, head_dim / 2] and needs a dimension "
            "for the "
            "heads: [num_tokens, 1, head_dim / 2]. The halves of x are [num_tokens, num_heads, head_dim / "
            "2].",
            "frequencies = theta ** (-2 * i / head_dim) for i = 0 … head_dim/2 - 1\n"
            "angles = positions times frequencies, with a dimension for the heads\n"
            "a, b = first half, second half of the last dimension\n"
            "cat((a * cos - b * sin, b * cos + a * sin), dim=-1)",
        ),
    ),
)

_CACHE = (
    Exercise(
        "3.4",
        "Fewer queries than keys",
        symbols={"causal_mask": "cblab.attention.masks:causal_mask"},
        parts=(Part("mask", 2, positions.check_causal_mask),),
        minutes=4,
        difficulty="easy",
        lines=3,
        hints=(
            "Which position does query i have, when the queries are the last num_queries of num_keys tokens?",
            "Query positions as a column [num_queries, 1], key positions as a row [1, num_keys]; "
            "comparing them "
            "gives [num_queries, num_keys].",
            "query_positions = num_keys - num_queries + (0, 1, …), a column\n"
            "key_positions = 0, 1, …, a row\n"
            "key_positions <= query_positions",
        ),
    ),
    Exercise(
        "3.5",
        "The cache of one sequence",
        symbols={"KVCache": f"{_CACHES}:KVCache"},
        parts=(Part("a session", 3, sequence_cache.check_cache),),
        minutes=9,
        difficulty="medium",
        lines=5,
        hints=(
            "`length` is the only thing that says what is in the cache. `write` and `read` never change it.",
            "keys[layer] is [num_tokens, num_kv_heads, head_dim]; keep its first `length` rows and put k "
            "behind "
            "them, along the first dimension. The same for values.",
            "write: keys[layer] = cat((the first length of keys[layer], k)), values likewise\n"
            "read: return both of the layer\n"
            "advance: length += num_tokens\n"
            "num_bytes: numbers of a token in all layers, K and V, times 4 bytes, times length",
        ),
    ),
    Exercise(
        "3.6",
        "One layer over a cache",
        symbols={"cached_attention": f"{_REFERENCE}:cached_attention"},
        needs=("softmax", "attention", "apply_rope", "causal_mask", "KVCache"),
        parts=(Part("outputs and cache", 3, layer.check_layer),),
        minutes=7,
        difficulty="medium",
        lines=5,
        hints=(
            "Five things, each in one line: turn, write, read, mask, attend. The order matters.",
            "q and k are of the new tokens, what `read` gives is of all of them: the mask is [new tokens, "
            "all "
            "tokens]. Only q and k are turned, and only the new ones.",
            "q and k turned by positions\n"
            "cache.write(layer, k, v)\n"
            "keys, values = cache.read(layer)\n"
            "mask of (new tokens, tokens in keys)\n"
            "return attention(q, keys, values, mask)",
        ),
    ),
    Exercise(
        "3.7",
        "Generate",
        symbols={"generate": "cblab.lab.labs.kv_cache.generation:generate"},
        parts=(Part("passes and positions", 3, decoding.check_generate),),
        minutes=9,
        difficulty="medium",
        lines=7,
        hints=(
            "Keep three things: the new tokens, the tokens that the next pass gets, and how many are cached.",
            "The first pass gets the whole prompt at positions 0, 1, …; each further pass one token, at the "
            "number of tokens that went in before it. n new tokens take n passes.",
            "ids, num_cached = the prompt, 0\n"
            "until there are num_new_tokens:\n"
            "    token = runner.forward(ids, positions from num_cached on)\n"
            "    num_cached += len(ids)\n"
            "    remember token; ids = [token]",
        ),
    ),
)

_BATCH = (
    Exercise(
        "3.8",
        "Mend the cache of a batch",
        symbols={"BatchKVCache": f"{_CACHES}:BatchKVCache"},
        parts=(Part("a session", 3, batch_cache.check_batch_cache),),
        minutes=10,
        difficulty="medium",
        lines=9,
        hints=(
            "All layers of a pass must write at the same place. So who may change the length, and when?",
            "The new tokens go to [layer, row, start:end] with start = lengths[row]. What comes back is "
            "[layer, row, :end]. Slots in all: max_batch × max_length.",
            "update: start, end; ValueError if end > max_length; write k and v; return [:end] of both\n"
            "advance: lengths[row] += num_tokens\n"
            "utilisation: sum of lengths / all slots",
        ),
    ),
    Exercise(
        "3.9",
        "Three kinds of waste",
        symbols={"count_waste": "cblab.lab.labs.kv_cache.waste:count_waste"},
        parts=(Part("slots", 3, slots.check_waste),),
        minutes=10,
        difficulty="medium",
        lines=11,
        bonus=True,
        hints=(
            "Three of the five are sums over the runs. For the other two walk over the arena from left to "
            "right.",
            "A run covers slots start … start + reserved − 1. There is a gap before each run in order of "
            "their "
            "starts, and one behind the last; some are empty.",
            "held, later, never: sums of held, final - held, reserved - final\n"
            "end = 0\n"
            "for each run by its start, and for the end of the arena:\n"
            "    gap = its start - end; add it to free if gap >= wanted, else to holes\n"
            "    end = start + reserved",
        ),
    ),
)

_ASSESSMENT = (
    Exercise(
        "3.10",
        "Count the work",
        variables=("token_forwards_recomputed", "token_forwards_cached", "pairs_cached"),
        parts=(
            Part("by recomputation", 1, numbers.RECOMPUTED_FORWARDS),
            Part("with a cache", 1, numbers.CACHED_FORWARDS),
            Part("pairs", 1, numbers.CACHED_PAIRS),
        ),
        minutes=5,
        difficulty="medium",
        hints=(
            "Write down how many tokens go into the first pass, the second, the last.",
            "By recomputation the passes have 20, 21, …, 119 tokens. With a cache: 20, 1, 1, …",
            "pairs: the query at position i meets i + 1 keys; sum that over all tokens that go in",
        ),
    ),
    Exercise(
        "3.11",
        "Bytes and seconds",
        variables=("kv_bytes_per_token", "kv_total_gb", "step_ms", "tokens_per_second"),
        parts=(
            Part("bytes of a token", 1, numbers.BYTES),
            Part("cache", 1, numbers.TOTAL_GB),
            Part("time of a step", 1, numbers.STEP),
            Part("throughput", 1, numbers.THROUGHPUT),
        ),
        minutes=7,
        difficulty="medium",
        hints=(
            "A step reads everything that it needs once: all weights, and the cache of every sequence.",
            "K and V, layers, KV heads, head_dim, bytes a number. GB over GB/s are seconds.",
            "step = (weights + cache) / bandwidth; tokens a second = sequences / step",
        ),
    ),
    Exercise(
        "3.12",
        "Slots",
        variables=("rows_preallocated", "utilisation_at_end", "requests_if_exact"),
        parts=(
            Part("rows", 1, numbers.ROWS),
            Part("utilisation", 1, numbers.AT_END),
            Part("exact slots", 1, numbers.EXACT),
        ),
        minutes=5,
        difficulty="medium",
        hints=(
            "First how many slots fit into the memory.",
            "A slot has room for one token in all layers, 131,072 B. A GiB is 2³⁰ bytes.",
            "rows = slots // 2,048; utilisation = 420 / 2,048; exact = slots // 420",
        ),
    ),
)

_BONUS = (
    Exercise(
        "3.15",
        "Attention in parts",
        symbols={"merge_attention": f"{_BONUS_CODE}:merge_attention"},
        parts=(Part("merged output", 2, extras.check_merge),),
        minutes=12,
        difficulty="hard",
        lines=4,
        bonus=True,
        hints=(
            "Write the softmax over all keys as a sum over the parts. Which factor does each part's mean "
            "get?",
            "`total` is relative to the part's own largest score. Relative to the largest of all it is "
            "total · exp(largest − largest of all).",
            "top = the largest of all\n"
            "weight of a part = total * exp(largest - top)\n"
            "sum of weight * mean / sum of weights",
        ),
    ),
    Exercise(
        "3.16",
        "A ring for a window",
        symbols={"RingKVCache": f"{_BONUS_CODE}:RingKVCache"},
        parts=(Part("a session", 2, extras.check_ring),),
        minutes=12,
        difficulty="medium",
        lines=5,
        bonus=True,
        hints=(
            "Token number n, counted from 0, always goes into the same slot. Which one?",
            "Held are the tokens with numbers max(0, length − window) … length − 1; their slots are these "
            "numbers modulo window. A list of slots indexes a tensor.",
            "append: slot = length % window; store k and v there; length += 1\n"
            "read: slots of the tokens held, the oldest first; return keys[slots], values[slots]",
        ),
    ),
    Exercise(
        "3.17",
        "Eight bits a number",
        symbols={"quantize": f"{_BONUS_CODE}:quantize"},
        parts=(Part("codes and scales", 2, extras.check_quantize),),
        minutes=10,
        difficulty="medium",
        lines=3,
        bonus=True,
        hints=(
            "The largest number of a row, by its size, gets code 127 or −127; the others in proportion.",
            "scales is [num_tokens, num_heads, 1]: the maximum over the last dimension with `keepdim=True`, "
            "over 127. `torch.where` replaces the zeros among them.",
            "scales = largest size over the last dimension / 127\n"
            "scales = 1 where they are 0\n"
            "codes = x / scales, rounded, as int8",
        ),
    ),
)

EXERCISES: tuple[Exercise, ...] = (*_ATTENTION, *_CACHE, *_BATCH, *_ASSESSMENT, *_BONUS)

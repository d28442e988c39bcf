"""The exercises of lab 6, kernels: what is asked for, the hints, and which check judges it."""

from cblab.lab.exercise import Exercise, Part
from cblab.lab.labs.kernels import (
    blocks,
    costs,
    looping,
    merging,
    numbers,
    offsets,
    planning,
    softmax,
    splitting,
    tiling,
)

_COMPILED = "cblab.lab.labs.kernels.compiled"
_NUMERICS = "cblab.lab.labs.kernels.numerics"
_THREADS = "cblab.lab.labs.kernels.threads"
# A Numba function's first call compiles it, and what it calls: seconds of computing, on a slow machine many.
_COMPILES = 60.0

_SOFTMAX = (
    Exercise(
        "6.1",
        "Count FLOPs and bytes",
        symbols={"decode_cost": f"{_NUMERICS}:decode_cost"},
        parts=(Part("FLOPs and bytes", 2, costs.check_decode_cost),),
        minutes=4,
        difficulty="easy",
        lines=4,
        hints=(
            "Both grow with the number of tokens in all contexts together. The FLOPs belong to query "
            "heads, the "
            "bytes to KV heads.",
            "A query head and a token: head_dim multiplications and additions for the score, and as many "
            "for the "
            "value. A KV head and a token: head_dim numbers of the key, and as many of the value.",
            "tokens = sum of the contexts\n"
            "flop = 4 * query heads * head_dim * tokens\n"
            "bytes = 2 * KV heads * head_dim * bytes a number * tokens",
        ),
    ),
    Exercise(
        "6.2",
        "Fold a tile into a running softmax",
        symbols={"fold": f"{_COMPILED}:fold"},
        parts=(Part("weights and state", 3, softmax.check_fold),),
        minutes=8,
        difficulty="medium",
        lines=11,
        seconds=_COMPILES,
        hints=(
            "For each head: find the new highest score, make what was summed up under the old one smaller, "
            "then "
            "add the new weights.",
            "The factor is math.exp(old highest - new highest), and belongs to total[head] and to every "
            "sums[head, d]. Only scores[head, 0] to scores[head, count - 1] are there.",
            "for each head:\n"
            "    top = the largest of highest[head] and the first count scores\n"
            "    factor = e^(highest[head] - top); total and sums times factor; highest = top\n"
            "    for each slot below count: scores = e^(scores - top), and add it to total",
        ),
    ),
    Exercise(
        "6.3",
        "Merge partial results",
        symbols={"merge": f"{_NUMERICS}:merge"},
        parts=(Part("result", 3, merging.check_merge),),
        minutes=6,
        difficulty="medium",
        lines=7,
        hints=(
            "Bring all parts to one highest score, add them up, divide once.",
            "A part's factor is e^(its highest - the highest of all), `[num_heads]`: for the sums it needs "
            "[:, None].",
            "highest = the largest of the parts' highest, head by head\n"
            "for each part: factor = exp(its highest - highest)\n"
            "    total += factor * its total; sums += factor[:, None] * its sums\n"
            "sums / total[:, None]",
        ),
    ),
)

_KERNELS = (
    Exercise(
        "6.4",
        "Paged decode in loops",
        symbols={"decode_loops": f"{_COMPILED}:decode_loops"},
        parts=(Part("attention", 3, looping.check_decode_loops),),
        minutes=10,
        difficulty="medium",
        lines=14,
        seconds=_COMPILES,
        hints=(
            "Three loops over the positions: scores and their highest; weights and their sum; weighted "
            "values.",
            "Position p is in block block_tables[seq, p // block_size], slot p % block_size. Query head h "
            "reads "
            "KV head h // group.",
            "for each position: score = sum over d of q * key, times scale; keep it, and the highest\n"
            "for each position: weight = math.exp(score - highest); total += weight\n"
            "for each position and d: out[seq, head, d] += weight / total * value",
        ),
    ),
    Exercise(
        "6.5",
        "Block by block",
        symbols={"attend": f"{_COMPILED}:attend"},
        needs=("fold",),
        parts=(
            Part("partial results", 3, blocks.check_attend),
            Part("rows loaded", 2, blocks.check_loads),
        ),
        minutes=10,
        difficulty="medium",
        lines=9,
        seconds=_COMPILES,
        hints=(
            "The block and how many of its slots count are given. Fill scores[head, slot] before `fold`, "
            "and add "
            "the weighted values to sums after it.",
            "Let the slots be the outer loop and the heads the inner one: then the heads of a group follow "
            "each "
            "other, and use the same row.",
            "before: for slot below count: for head: scores[head, slot] = sum over d of q[head, d] * "
            "keys[block, slot, head // group, d], times scale\n"
            "after: for slot: for head: for d: sums[head, d] += scores[head, slot] * "
            "values[block, slot, head // group, d]",
        ),
    ),
    Exercise(
        "6.6",
        "Share out the work",
        symbols={"plan_shares": f"{_THREADS}:plan_shares"},
        parts=(Part("tasks and balance", 3, planning.check_plan),),
        minutes=6,
        difficulty="medium",
        lines=9,
        hints=(
            "First cut every context into tasks, then give each task to the thread that has the least to do.",
            "range(0, length, split_size) gives the starts; the last split ends at the length. Count "
            "tokens, not "
            "tasks.",
            "shares = an empty list, and 0 tokens, for each thread\n"
            "for each sequence, for each start:\n"
            "    end = min(start + split_size, length)\n"
            "    the thread with the fewest tokens gets (seq, start, end)",
        ),
    ),
    Exercise(
        "6.7",
        "Decode in threads",
        symbols={"decode_in_threads": f"{_THREADS}:decode_in_threads"},
        needs=("attend", "merge"),
        parts=(
            Part("result", 2, splitting.check_decode_in_threads),
            Part("same bits", 1, splitting.check_bits),
            Part("in the engine", 2, splitting.check_in_the_engine),
        ),
        minutes=10,
        difficulty="hard",
        lines=8,
        seconds=_COMPILES,
        hints=(
            "Each task writes its own partial result; when all are finished, each sequence's are merged.",
            "A new state for each task: highest `[num_heads]` of -inf, total `[num_heads]` and sums "
            "`[num_heads, head_dim]` of 0, all float32. Sorted tasks are in the order of sequences and "
            "tokens.",
            "work(task): make a state, attend(q[seq], keys, values, block_tables[seq], start, end, scale, "
            "*state), "
            "partials[task] = state\n"
            "after run_in_threads: for each seq:\n"
            "    out[seq] = merge of partials[task] for the sorted tasks of that seq",
        ),
    ),
    Exercise(
        "6.8",
        "Find the bug: a larger pool",
        symbols={"block_offsets": f"{_NUMERICS}:block_offsets"},
        parts=(Part("offsets", 2, offsets.check_block_offsets),),
        minutes=4,
        difficulty="medium",
        lines=3,
        hints=(
            "Print the dtype of what is multiplied, and the largest number that it holds.",
            "An int32 array times a Python int is an int32 array. One factor that is int64 makes the product "
            "int64.",
            "take the blocks out of the table, make them int64, then multiply",
        ),
    ),
    Exercise(
        "6.9",
        "Tiles of a prompt",
        symbols={"flash_attention": "cblab.lab.labs.kernels.prefill:flash_attention"},
        parts=(
            Part("attention", 3, tiling.check_flash),
            Part("memory and work", 2, tiling.check_memory_and_work),
        ),
        minutes=10,
        difficulty="hard",
        lines=10,
        hints=(
            "For each tile of queries, go through the tiles of keys from the first to the one on the "
            "diagonal, "
            "and fold each into a running softmax, as in 6.2.",
            "rows is [num_heads, rows, head_dim], scores are [num_heads, rows, keys]. A key at position "
            "start + j is hidden from a query at position first + i if it is larger.",
            "for start in range(0, first + number of rows, tile):\n"
            "    scores = rows @ keys of the tile, transposed, * scale; hidden ones -inf\n"
            "    top = maximum(highest, the largest of each row)\n"
            "    weights = exp(scores - top), factor = exp(highest - top)\n"
            "    total = total * factor + sum of weights; sums = sums * factor + weights @ values\n"
            "    highest = top",
        ),
    ),
)

_ASSESSMENT = (
    Exercise(
        "6.10",
        "One step of attention",
        variables=("kv_gb", "attention_ms", "gather_ms"),
        parts=(
            Part("bytes", 1, numbers.KV_GB),
            Part("time", 1, numbers.ATTENTION_MS),
            Part("with a gather", 1, numbers.GATHER_MS),
        ),
        minutes=5,
        difficulty="medium",
        hints=(
            "Bytes of a token over all layers, times the tokens; then the time that the memory needs for "
            "them.",
            "keys and values × layers × KV heads × head_dim × 2 bytes × 16 × 8,192. GB are 10⁹ bytes.",
            "kv_gb = bytes / 1e9; attention_ms = bytes / 2.039e12 * 1e3; gather_ms: three times the traffic",
        ),
    ),
    Exercise(
        "6.11",
        "From memory to arithmetic",
        variables=("decode_flop_per_byte", "ridge_flop_per_byte", "tokens_to_ridge"),
        parts=(
            Part("intensity", 1, numbers.DECODE_INTENSITY),
            Part("ridge", 1, numbers.RIDGE_INTENSITY),
            Part("tokens", 1, numbers.TOKENS_TO_RIDGE),
        ),
        minutes=5,
        difficulty="medium",
        hints=(
            "Divide the two numbers of exercise 6.1; divide the two numbers of the machine.",
            "FLOPs of a token: 4 × 32 × 128. Bytes of a token: 2 × 8 × 128 × 2.",
            "tokens_to_ridge = ridge / intensity of one token, rounded up",
        ),
    ),
    Exercise(
        "6.12",
        "One long request",
        variables=("programs_without_splits", "programs_with_splits", "partial_mb"),
        parts=(
            Part("without splits", 1, numbers.WITHOUT_SPLITS),
            Part("with splits", 1, numbers.WITH_SPLITS),
            Part("partial results", 1, numbers.PARTIAL_MB),
        ),
        minutes=5,
        difficulty="medium",
        hints=(
            "One program for each KV head, or one for each KV head and split.",
            "100,000 tokens are 391 splits of 256. A query head leaves 128 values and 2 numbers for each "
            "split.",
            "8; 391 * 8; 391 * 32 * 130 * 4 / 1e6",
        ),
    ),
)

_BONUS = (
    Exercise(
        "6.15",
        "Merge finished results",
        symbols={"merge_lse": f"{_NUMERICS}:merge_lse"},
        parts=(Part("result", 2, merging.check_merge_lse),),
        minutes=8,
        difficulty="medium",
        lines=3,
        bonus=True,
        hints=(
            "A split counts the sum of its weights, e^lse. Taken together these must add up to 1.",
            "That is a softmax over the splits, axis 0, for each head: subtract the largest lse first.",
            "weights = exp(lse - the largest over axis 0)\n"
            "weights /= their sum over axis 0\n"
            "sum over axis 0 of outputs * weights[:, :, None]",
        ),
    ),
)

EXERCISES: tuple[Exercise, ...] = (*_SOFTMAX, *_KERNELS, *_ASSESSMENT, *_BONUS)

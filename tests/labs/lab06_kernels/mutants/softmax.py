"""Wrong answers to 6.1, 6.2, 6.3 and 6.15: costs, a running softmax, and merging."""

from tests.labs.edit import code, edited

_FLOP = "4 * num_heads * head_dim * tokens"
_BYTES = "2 * num_kv_heads * head_dim * bytes_per_number * tokens"

COST = [
    (
        "keys alone",
        edited("6.1", (_FLOP, "2 * num_heads * head_dim * tokens")),
        "the values are weighed too",
    ),
    (
        "half of both",
        edited(
            "6.1",
            (_FLOP, "2 * num_heads * head_dim * tokens"),
            (_BYTES, "num_kv_heads * head_dim * bytes_per_number * tokens"),
        ),
        "are 2 FLOPs: half",
    ),
    (
        "bytes of the keys",
        edited("6.1", (_BYTES, "num_kv_heads * head_dim * bytes_per_number * tokens")),
        "Half of the bytes",
    ),
    (
        "bytes of query heads",
        edited("6.1", (_BYTES, "2 * num_heads * head_dim * bytes_per_number * tokens")),
        "counted for every query head",
    ),
    (
        "FLOPs of KV heads",
        edited("6.1", (_FLOP, "4 * num_kv_heads * head_dim * tokens")),
        "every query head computes its own scores",
    ),
    (
        "numbers for bytes",
        edited("6.1", (_BYTES, "2 * num_kv_heads * head_dim * tokens")),
        "`bytes_per_number` is missing",
    ),
    ("swapped", edited("6.1", ("return flop, num_bytes", "return num_bytes, flop")), "the wrong way round"),
    (
        "padded",
        edited("6.1", ("sum(context_lens)", "max(context_lens, default=0) * len(context_lens)")),
        "nothing is padded here",
    ),
    (
        "first request",
        edited("6.1", ("sum(context_lens)", "sum(context_lens[:1])")),
        "Only the first request",
    ),
    (
        "a whole prompt",
        edited("6.1", (_FLOP, "4 * num_heads * head_dim * sum(n * n for n in context_lens)")),
        "the square of its length",
    ),
    ("no head_dim", edited("6.1", (_FLOP, "4 * num_heads * tokens")), "`head_dim` is missing in the FLOPs"),
    (
        "half the FLOPs, and bytes of query heads",
        edited(
            "6.1",
            (_FLOP, "2 * num_heads * head_dim * tokens"),
            (_BYTES, "2 * num_heads * head_dim * bytes_per_number * tokens"),
        ),
        "The FLOPs are half of what is expected",
    ),
    (
        "one FLOP for a key, and numbers for bytes",
        edited(
            "6.1",
            (_FLOP, "num_heads * head_dim * tokens"),
            (_BYTES, "2 * num_kv_heads * head_dim * tokens"),
        ),
        "The FLOPs are a quarter of what is expected",
    ),
    (
        "FLOPs of KV heads, and numbers for bytes",
        edited(
            "6.1",
            (_FLOP, "4 * num_kv_heads * head_dim * tokens"),
            (_BYTES, "2 * num_kv_heads * head_dim * tokens"),
        ),
        "The FLOPs are too few by the size of a group",
    ),
    (
        "keys' bytes, and all values for FLOPs",
        edited(
            "6.1",
            (_FLOP, "4 * num_heads * tokens * tokens"),
            (_BYTES, "num_kv_heads * head_dim * bytes_per_number * tokens"),
        ),
        "The bytes are half of what is expected",
    ),
    (
        "numbers for bytes, and no head_dim",
        edited(
            "6.1",
            (_FLOP, "2 * num_heads * tokens"),
            (_BYTES, "2 * num_kv_heads * head_dim * tokens"),
        ),
        "The bytes are not yet bytes",
    ),
]

_TOP = "top = highest[head]"
_ADD = "total[head] += scores[head, slot]"
_WEIGHT = "math.exp(scores[head, slot] - top)"

FOLD = [
    (
        "whole tile",
        tuple(blank.replace("range(count)", "range(scores.shape[1])") for blank in edited("6.2")),
        "The whole tile is taken",
    ),
    (
        "the tile's top",
        edited("6.2", (_TOP, "top = scores[head, 0]")),
        "The highest score so far is forgotten",
    ),
    (
        "top from 0",
        edited("6.2", (_TOP, "top = max(highest[head], np.float32(0.0))")),
        "The highest score begins at 0",
    ),
    (
        "upside down",
        edited("6.2", ("math.exp(highest[head] - top)", "np.exp(top - highest[head])")),
        "The factor is upside down",
    ),
    ("total not rescaled", edited("6.2", ("total[head] *= factor", "pass")), "`total` is not made smaller"),
    ("sums not rescaled", edited("6.2", ("sums[head, d] *= factor", "pass")), "`sums` is not made smaller"),
    (
        "nothing rescaled",
        edited("6.2", ("math.exp(highest[head] - top)", "np.float32(1.0)")),
        "What was gathered before is not brought to the new highest score",
    ),
    ("highest not kept", edited("6.2", ("highest[head] = top", "pass")), "`highest` is not written back"),
    (
        "scores stay",
        edited(
            "6.2",
            (f"scores[head, slot] = {_WEIGHT}\n        {_ADD}", f"total[head] += {_WEIGHT}"),
        ),
        "The scores are still scores",
    ),
    (
        "total of the tile",
        edited("6.2", ("total[head] *= factor", "total[head] = 0.0")),
        "this tile's weights alone",
    ),
    (
        "rescaled at the end",
        edited("6.2", ("total[head] *= factor", "pass"), (_ADD, f"{_ADD}\n    total[head] *= factor")),
        "The new weights are made smaller too",
    ),
    (
        "nothing subtracted",
        edited("6.2", (_WEIGHT, "np.exp(scores[head, slot])")),
        "is not subtracted from the scores",
    ),
    (
        "whole arrays",
        code("""
            top = np.maximum(highest, scores[:, :count].max(axis=1))
            factor = np.exp(highest - top)
            highest[:] = top
            total *= factor
            sums *= factor[:, None]
            scores[:, :count] = np.exp(scores[:, :count] - top[:, None])
            total += scores[:, :count].sum(axis=1)
        """),
        "Right as Python, but Numba cannot compile it (it has no max(",
    ),
]

_FACTOR = "np.exp(part_highest - highest)"

MERGE = [
    (
        "mean",
        ("return np.mean([sums / total[:, None] for _, total, sums in partials if total.all()], axis=0)",),
        "The parts' results are averaged",
    ),
    ("added", edited("6.3", (_FACTOR, "np.ones_like(highest)")), "The parts are added as they are"),
    ("upside down", edited("6.3", (_FACTOR, "np.exp(highest - part_highest)")), "The factor is upside down"),
    ("total alone", edited("6.3", ("factor * part_total", "part_total")), "The sums of weights are not"),
    (
        "sums as they are",
        edited("6.3", ("factor[:, None] * part_sums", "part_sums")),
        "The weighted values are not multiplied",
    ),
    (
        "not divided",
        edited("6.3", ("sums / total[:, None]", "sums")),
        "not divided by the sum of all weights",
    ),
    (
        "divided twice",
        edited(
            "6.3",
            (
                "factor[:, None] * part_sums",
                "factor[:, None] * part_sums / np.maximum(part_total, 1e-9)[:, None]",
            ),
        ),
        "divided by its own sum of weights",
    ),
    (
        "no exp",
        edited("6.3", (_FACTOR, "part_highest - highest")),
        "The factors are the scores' differences",
    ),
    (
        "one highest for all heads",
        edited("6.3", ("axis=0)\ntotal", "axis=0).max()\ntotal")),
        "One highest score is taken for all heads",
    ),
    ("first part", edited("6.3", ("in partials:", "in partials[:1]:")), "Only the first part"),
    (
        "last part",
        ("_, total, sums = partials[-1]\nreturn sums / total[:, None]",),
        "Only the last part",
    ),
    (
        "one after the other",
        (
            "highest, total, sums = partials[0]\n"
            "for one, part_total, part_sums in partials[1:]:\n"
            "    top = np.maximum(highest, one)\n"
            "    mine, other = np.exp(highest - top), np.exp(one - top)\n"
            "    total = mine * total + other * part_total\n"
            "    sums = mine[:, None] * sums + other[:, None] * part_sums\n"
            "    highest = top\n"
            "return sums / total[:, None]",
        ),
        "A part without any token makes the result NaN",
    ),
]

_WEIGHTS = "weights = np.exp(lse - lse.max(axis=0))"
_NORM = "weights /= weights.sum(axis=0)"

LSE = [
    ("mean", ("return outputs.mean(axis=0)",), "The results are averaged"),
    ("sum", ("return outputs.sum(axis=0)",), "The results are added"),
    (
        "lse as weights",
        edited("6.15", (_WEIGHTS, "weights = lse.copy()")),
        "are taken for the weights themselves",
    ),
    (
        "over the heads",
        (
            "weights = np.exp(lse - lse.max(axis=1, keepdims=True))\n"
            "weights /= weights.sum(axis=1, keepdims=True)\n"
            "return (outputs * weights[:, :, None]).sum(axis=0)",
        ),
        "The softmax runs over the heads",
    ),
    ("sign", edited("6.15", (_WEIGHTS, "weights = np.exp(lse.min(axis=0) - lse)")), "a sign is wrong"),
    ("not divided", edited("6.15", (_NORM, "pass")), "are not divided by their sum"),
    (
        "base 2",
        edited("6.15", (_WEIGHTS, "weights = np.exp2(lse - lse.max(axis=0))")),
        "The lse is to base e",
    ),
    (
        "head 0",
        (
            "weights = np.exp(lse[:, :1] - lse[:, :1].max(axis=0))\n"
            "weights /= weights.sum(axis=0)\n"
            "return (outputs * weights[:, :, None]).sum(axis=0)",
        ),
        "All heads are weighed alike",
    ),
    (
        "one highest for all heads",
        edited("6.15", (_WEIGHTS, "weights = np.exp(lse - lse.max())")),
        "The highest lse of all heads",
    ),
    ("overflow", edited("6.15", (_WEIGHTS, "weights = np.exp(lse)")), "overflows: subtract the highest"),
]

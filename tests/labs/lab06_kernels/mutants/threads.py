"""Wrong answers to 6.6, 6.7 and 6.8: plans, threads, offsets."""

from tests.labs.edit import code, edited

_THREAD = "thread = tokens.index(min(tokens))"
_END = "end = min(start + split_size, length)"
_RANGE = "range(0, length, split_size)"

PLAN = [
    ("past the end", edited("6.6", (_END, "end = start + split_size")), "stop at its end"),
    (
        "no rest",
        edited("6.6", (_RANGE, "range(0, length - length % split_size, split_size)")),
        "every token is in one",
    ),
    (
        "an empty task",
        edited("6.6", (_RANGE, "range(0, length + 1, split_size)")),
        "A task has no token",
    ),
    (
        "whole requests as tasks",
        edited("6.6", (_RANGE, "range(0, length, length)"), (_END, "end = length")),
        "no split is longer",
    ),
    (
        "a number of splits",
        code("""
            shares = [[] for _ in range(num_threads)]
            for seq, length in enumerate(context_lens):
                step = max(1, min(split_size, math.ceil(length / num_threads)))
                for start in range(0, length, step):
                    busy = [sum(end - begin for _, begin, end in share) for share in shares]
                    shares[busy.index(min(busy))].append((seq, start, min(start + step, length)))
            return shares
        """),
        "whatever the number of threads",
    ),
    ("round robin", edited("6.6", (_THREAD, "thread = sum(map(len, shares)) % num_threads")), "Count tokens"),
    ("one thread", edited("6.6", (_THREAD, "thread = 0")), "All the work goes to one thread"),
    ("by sequence", edited("6.6", (_THREAD, "thread = seq % num_threads")), "All splits of a sequence"),
    (
        "tasks twice",
        edited(
            "6.6",
            (_END, "end = min(start + split_size, length)\n        shares[0].append((seq, start, end))"),
        ),
        "given out twice",
    ),
    ("one list", edited("6.6", ("return shares", "return [sum(shares, [])]")), "one for each of the"),
    ("flat", edited("6.6", ("return shares", "return sum(shares, [])")), "A list of lists of"),
    ("no return", edited("6.6", ("return shares", "pass")), "is a `return` missing"),
]

_PART = "partials[task] = highest, total, sums"
_LOOP = "for seq in range(num_seqs):"
_MERGE = "merge([partials[task] for task in sorted(partials) if task[0] == seq])"

THREADS = [
    (
        "a result for each sequence",
        (
            edited("6.7", (_PART, "partials[seq] = highest, total, sums"))[0],
            "for seq in range(num_seqs):\n    out[seq] = merge([partials[seq]])",
        ),
        "Only one split of each sequence counts",
    ),
    (
        "first split",
        edited("6.7", (_MERGE, "merge([partials[task] for task in sorted(partials) if task[0] == seq][:1])")),
        "Only each sequence's first split counts",
    ),
    ("table 0", edited("6.7", ("block_tables[seq]", "block_tables[0]")), "the blocks of sequence 0"),
    ("query 0", edited("6.7", ("q[seq]", "q[0]")), "the query of sequence 0"),
    (
        "not divided",
        edited(
            "6.7",
            (
                f"out[seq] = {_MERGE}",
                "parts = [partials[task] for task in sorted(partials) if task[0] == seq]\n"
                "    top = np.max([part[0] for part in parts], axis=0)\n"
                "    out[seq] = sum(np.exp(part[0] - top)[:, None] * part[2] for part in parts)",
            ),
        ),
        "not divided by the sum of all weights",
    ),
    (
        "averaged",
        edited(
            "6.7",
            (
                _MERGE,
                "np.mean([partials[task][2] / partials[task][1][:, None] for task in sorted(partials) "
                "if task[0] == seq], axis=0)",
            ),
        ),
        "The splits' results are averaged",
    ),
    (
        "added",
        edited(
            "6.7",
            (
                f"out[seq] = {_MERGE}",
                "parts = [partials[task] for task in sorted(partials) if task[0] == seq]\n"
                "    out[seq] = sum(part[2] for part in parts) / sum(part[1] for part in parts)[:, None]",
            ),
        ),
        "without bringing them to one highest score",
    ),
    ("sequence 0", edited("6.7", (_LOOP, "for seq in range(1):")), "Only sequence 0 has a result"),
    (
        "float64",
        edited("6.7", (_LOOP, f"out = out.astype(np.float64)\n{_LOOP}")),
        "float32 all the way",
    ),
    ("nothing", edited("6.7", (f"out[seq] = {_MERGE}", f"result = {_MERGE}")), "Nothing was computed"),
    ("as finished", edited("6.7", ("in sorted(partials)", "in partials")), "in the order of its tokens"),
    ("inf", edited("6.7", ("-np.inf", "np.inf")), "Something is NaN"),
    (
        "one state",
        (
            "seq, start, end = task\n"
            "if not partials:\n"
            "    partials[None] = (\n"
            "        np.full(num_heads, -np.inf, np.float32),\n"
            "        np.zeros(num_heads, np.float32),\n"
            "        np.zeros((num_heads, head_dim), np.float32),\n"
            "    )\n"
            "state = partials[None]\n"
            "attend(q[seq], keys, values, block_tables[seq], start, end, scale, *state)\n"
            "partials[task] = state",
            "for seq in range(num_seqs):\n    out[seq] = merge([partials[None]])",
        ),
        "the same state is handed to several",
    ),
]

_BLOCKS = "block_table[positions // block_size].astype(np.int64)"
_SLOTS = "blocks * block_size + positions % block_size"
_RESULT = "slots * (num_kv_heads * head_dim)"

OFFSETS = [
    ("as found", edited("6.8", (".astype(np.int64)", "")), "Still computed in int32"),
    (
        "too late",
        edited("6.8", (".astype(np.int64)", ""), (_RESULT, f"({_RESULT}).astype(np.int64)")),
        "too late",
    ),
    (
        "uint32",
        edited(
            "6.8",
            ("np.int64", "np.uint32"),
            ("positions % block_size", "(positions % block_size).astype(np.uint32)"),
        ),
        "and no further",
    ),
    (
        "uint32 in between",
        edited(
            "6.8",
            ("np.int64", "np.uint32"),
            ("positions % block_size", "(positions % block_size).astype(np.uint32)"),
            (_RESULT, f"({_RESULT}).astype(np.int64)"),
        ),
        "begin at 0 again",
    ),
    (
        "float32",
        edited("6.8", (_RESULT, f"({_RESULT}).astype(np.float32).astype(np.int64)")),
        "come out rounded",
    ),
    ("floats", edited("6.8", ("np.int64", "np.float64")), "Offsets are whole numbers"),
    (
        "absolute value",
        edited("6.8", (".astype(np.int64)", ""), (_RESULT, f"np.abs(({_RESULT}).astype(np.int64))")),
        "The sign was taken off",
    ),
    (
        "clipped",
        edited("6.8", (_RESULT, f"np.minimum({_RESULT}, 2**31 - 1)")),
        "cut off at the largest int32",
    ),
    ("no heads", edited("6.8", (_RESULT, "slots * head_dim")), "The KV heads are gone"),
    ("no head_dim", edited("6.8", (_RESULT, "slots * num_kv_heads")), "`head_dim` is gone"),
    ("block as slot", edited("6.8", ("blocks * block_size +", "blocks +")), "A block was taken for a slot"),
    ("bytes", edited("6.8", (_RESULT, f"4 * {_RESULT}")), "The offsets are in bytes"),
]

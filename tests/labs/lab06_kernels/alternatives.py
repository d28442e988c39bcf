"""Right answers to the exercises of lab 6, written differently; each must get full marks.

`ALTERNATIVES[exercise]` lists (name, blanks): one dedented source for each solution region of the
answer cell.
"""

import textwrap

from tests.labs.edit import solution


def code(*texts: str) -> tuple[str, ...]:
    """The blanks, dedented."""
    return tuple(textwrap.dedent(text).strip("\n") for text in texts)


_SOFTMAX: dict[str, list[tuple[str, tuple[str, ...]]]] = {
    "6.1": [
        (
            "request by request",
            code("""
                flop = num_bytes = 0
                for length in context_lens:
                    flop += 2 * 2 * length * num_heads * head_dim
                    num_bytes += length * num_kv_heads * head_dim * bytes_per_number * 2
                return flop, num_bytes
            """),
        ),
        (
            "by the group",
            code("""
                numbers = 2 * sum(context_lens) * num_kv_heads * head_dim
                return 2 * numbers * (num_heads // num_kv_heads), numbers * bytes_per_number
            """),
        ),
        (
            "numpy",
            code("""
                tokens = np.array(context_lens, dtype=np.int64).sum()
                row = bytes_per_number * head_dim
                return int(tokens * 4 * num_heads * head_dim), int(tokens * 2 * num_kv_heads * row)
            """),
        ),
    ],
    "6.2": [
        (
            "array expressions",
            code("""
                for head in range(scores.shape[0]):
                    seen = scores[head, :count]
                    top = max(highest[head], seen.max())
                    factor = np.exp(highest[head] - top)
                    seen[:] = np.exp(seen - top)
                    highest[head] = top
                    total[head] = total[head] * factor + seen.sum()
                    sums[head] = sums[head] * factor
            """),
        ),
        (
            "corrected only when needed",
            code("""
                for head in range(len(highest)):
                    for slot in range(count):
                        if scores[head, slot] > highest[head]:
                            factor = math.exp(highest[head] - scores[head, slot])
                            total[head] *= factor
                            sums[head] *= factor
                            highest[head] = scores[head, slot]
                    for slot in range(count):
                        scores[head, slot] = math.exp(scores[head, slot] - highest[head])
                        total[head] += scores[head, slot]
            """),
        ),
        (
            "one loop for all heads' tops",
            code("""
                num_heads = scores.shape[0]
                for head in range(num_heads):
                    before = highest[head]
                    for slot in range(count):
                        if scores[head, slot] > highest[head]:
                            highest[head] = scores[head, slot]
                    added = 0.0
                    for slot in range(count):
                        weight = math.exp(scores[head, slot] - highest[head])
                        scores[head, slot] = weight
                        added += weight
                    factor = math.exp(before - highest[head])
                    total[head] = factor * total[head] + added
                    for d in range(sums.shape[1]):
                        sums[head, d] = factor * sums[head, d]
            """),
        ),
    ],
    "6.3": [
        (
            "stacked",
            code("""
                highest, total, sums = (np.stack(one) for one in zip(*partials))
                factor = np.exp(highest - highest.max(axis=0))
                return (factor[:, :, None] * sums).sum(axis=0) / (factor * total).sum(axis=0)[:, None]
            """),
        ),
        (
            "one after the other, without the empty ones",
            code("""
                parts = [part for part in partials if np.isfinite(part[0]).all()]
                highest, total, sums = parts[0]
                for one, part_total, part_sums in parts[1:]:
                    top = np.maximum(highest, one)
                    mine, other = np.exp(highest - top), np.exp(one - top)
                    total = mine * total + other * part_total
                    sums = mine[:, None] * sums + other[:, None] * part_sums
                    highest = top
                return sums / total[:, None]
            """),
        ),
        (
            "head by head",
            code("""
                out = np.zeros_like(partials[0][2])
                for head in range(len(out)):
                    top = max(part[0][head] for part in partials)
                    factors = [np.exp(part[0][head] - top) for part in partials]
                    total = sum(f * part[1][head] for f, part in zip(factors, partials))
                    out[head] = sum(f * part[2][head] for f, part in zip(factors, partials)) / total
                return out
            """),
        ),
    ],
    "6.15": [
        (
            "torch",
            code("""
                weights = torch.softmax(torch.from_numpy(lse), dim=0).numpy()
                return np.einsum("sh,shd->hd", weights, outputs)
            """),
        ),
        (
            "logaddexp",
            code("""
                total = np.logaddexp.reduce(lse, axis=0)
                return np.sum(outputs * np.exp(lse - total)[..., None], axis=0)
            """),
        ),
        (
            "loop",
            code("""
                top = lse.max(axis=0)
                total, sums = np.zeros_like(top), np.zeros_like(outputs[0])
                for one, part in zip(outputs, lse):
                    total += np.exp(part - top)
                    sums += np.exp(part - top)[:, None] * one
                return sums / total[:, None]
            """),
        ),
    ],
}

_KERNELS: dict[str, list[tuple[str, tuple[str, ...]]]] = {
    "6.4": [
        (
            "block by block",
            code(
                """
                kv_head = head // group
                for start in range(0, context_lens[seq], block_size):
                    block = block_tables[seq, start // block_size]
                    for slot in range(min(block_size, context_lens[seq] - start)):
                        score = np.float32(0.0)
                        for d in range(head_dim):
                            score += q[seq, head, d] * keys[block, slot, kv_head, d]
                        scores[start + slot] = scale * score
                        if scores[start + slot] > highest:
                            highest = scores[start + slot]
                """,
                """
                for position in range(context_lens[seq]):
                    weight = math.exp(scores[position] - highest)
                    total += weight
                    block = block_tables[seq, position // block_size]
                    for d in range(head_dim):
                        out[seq, head, d] += weight * values[block, position % block_size, head // group, d]
                for d in range(head_dim):
                    out[seq, head, d] /= total
                """,
            ),
        ),
        (
            "rows",
            code(
                """
                for position in range(context_lens[seq]):
                    block = block_tables[seq, position // block_size]
                    row = keys[block, position % block_size, head // group]
                    scores[position] = (q[seq, head] * row).sum() * scale
                    highest = max(highest, scores[position])
                """,
                """
                seen = scores[: context_lens[seq]]
                seen[:] = np.exp(seen - highest)
                total = seen.sum()
                for position in range(context_lens[seq]):
                    block = block_tables[seq, position // block_size]
                    row = values[block, position % block_size, head // group]
                    out[seq, head] += seen[position] / total * row
                """,
            ),
        ),
        (
            "while, and a double's sum",
            code(
                """
                position = 0
                while position < context_lens[seq]:
                    block = block_tables[seq, position // block_size]
                    score = 0.0
                    for d in range(head_dim):
                        score += q[seq, head, d] * keys[block, position % block_size, head // group, d]
                    scores[position] = score * scale
                    highest = max(highest, scores[position])
                    position += 1
                """,
                solution("6.4")[1],
            ),
        ),
    ],
    "6.5": [
        (
            "rows held",
            code(
                """
                for slot in range(count):
                    for kv_head in range(num_kv_heads):
                        key = keys[block, slot, kv_head]
                        for head in range(kv_head * group, (kv_head + 1) * group):
                            score = np.float32(0.0)
                            for d in range(head_dim):
                                score += q[head, d] * key[d]
                            scores[head, slot] = scale * score
                """,
                """
                for slot in range(count):
                    for kv_head in range(num_kv_heads):
                        value = values[block, slot, kv_head]
                        for member in range(group):
                            head = kv_head * group + member
                            for d in range(head_dim):
                                sums[head, d] += scores[head, slot] * value[d]
                """,
            ),
        ),
        (
            "KV heads outside",
            code(
                """
                for kv_head in range(num_kv_heads):
                    for slot in range(count):
                        for member in range(group):
                            head = kv_head * group + member
                            total_score = 0.0
                            for d in range(head_dim):
                                total_score += q[head, d] * keys[block, slot, kv_head, d]
                            scores[head, slot] = total_score * scale
                """,
                """
                for kv_head in range(num_kv_heads):
                    for slot in range(count):
                        for member in range(group):
                            head = kv_head * group + member
                            for d in range(head_dim):
                                sums[head, d] += values[block, slot, kv_head, d] * scores[head, slot]
                """,
            ),
        ),
        (
            "array expressions",
            code(
                """
                for slot in range(count):
                    for kv_head in range(num_kv_heads):
                        key = keys[block, slot, kv_head]
                        for head in range(kv_head * group, kv_head * group + group):
                            scores[head, slot] = (q[head] * key).sum() * scale
                """,
                """
                for slot in range(count):
                    for kv_head in range(num_kv_heads):
                        value = values[block, slot, kv_head]
                        for head in range(kv_head * group, kv_head * group + group):
                            sums[head] += scores[head, slot] * value
                """,
            ),
        ),
    ],
    "6.7": [
        (
            "a list of states for each sequence",
            code(
                """
                state = (
                    np.full(num_heads, float("-inf"), dtype=np.float32),
                    np.zeros(num_heads, dtype=np.float32),
                    np.zeros((num_heads, head_dim), dtype=np.float32),
                )
                attend(q[task[0]], keys, values, block_tables[task[0]], task[1], task[2], scale, *state)
                partials[task] = state
                """,
                """
                parts = [[] for _ in range(num_seqs)]
                for task in sorted(partials):
                    parts[task[0]].append(partials[task])
                for seq, own in enumerate(parts):
                    out[seq] = merge(own)
                """,
            ),
        ),
        (
            "keys of two",
            code(
                """
                seq, start, end = task
                highest = np.zeros(num_heads, np.float32) - np.float32(np.inf)
                total, sums = np.zeros_like(highest), np.zeros_like(q[seq])
                attend(q[seq], keys, values, block_tables[seq], start, end, scale, highest, total, sums)
                partials[seq, start] = (highest, total, sums)
                """,
                """
                for seq in range(num_seqs):
                    starts = sorted(start for other, start in partials if other == seq)
                    out[seq, :, :] = merge([partials[seq, start] for start in starts])
                """,
            ),
        ),
        (
            "sorted once",
            code(
                """
                seq, start, end = task
                empty = np.zeros(num_heads, "float32")
                made = np.full(num_heads, -np.inf, "float32"), empty, np.zeros_like(q[seq])
                attend(q[seq], keys, values, block_tables[seq], start, end, scale, *made)
                partials[task] = made
                """,
                """
                in_order = sorted(partials.items(), key=lambda item: item[0])
                for seq in range(num_seqs):
                    out[seq] = merge([part for task, part in in_order if task[0] == seq])
                """,
            ),
        ),
    ],
}

_REST: dict[str, list[tuple[str, tuple[str, ...]]]] = {
    "6.6": [
        (
            "longest tasks first",
            code("""
                tasks = [
                    (seq, start, min(start + split_size, length))
                    for seq, length in enumerate(context_lens)
                    for start in range(0, length, split_size)
                ]
                tasks.sort(key=lambda task: task[1] - task[2])
                shares = [[] for _ in range(num_threads)]
                for task in tasks:
                    min(shares, key=lambda share: sum(end - start for _, start, end in share)).append(task)
                return shares
            """),
        ),
        (
            "contiguous pieces",
            code("""
                shares, done = [[] for _ in range(num_threads)], 0
                average = sum(context_lens) / num_threads
                for seq, length in enumerate(context_lens):
                    for start in range(0, length, split_size):
                        end = min(start + split_size, length)
                        shares[min(num_threads - 1, int(done / average))].append((seq, start, end))
                        done += end - start
                return shares
            """),
        ),
        (
            "a heap",
            code("""
                import heapq

                heap = [(0, thread) for thread in range(num_threads)]
                shares = [[] for _ in heap]
                for seq, length in enumerate(context_lens):
                    start = 0
                    while start < length:
                        size = min(split_size, length - start)
                        tokens, thread = heapq.heappop(heap)
                        shares[thread].append((seq, start, start + size))
                        heapq.heappush(heap, (tokens + size, thread))
                        start += size
                return shares
            """),
        ),
    ],
    "6.8": [
        (
            "int64 first",
            code("""
                table, positions = block_table.astype(np.int64), positions.astype(np.int64)
                index, slot = np.divmod(positions, block_size)
                return (table[index] * block_size + slot) * num_kv_heads * head_dim
            """),
        ),
        (
            "a factor of int64",
            code("""
                blocks = block_table[positions // block_size]
                width = np.int64(num_kv_heads * head_dim)
                return blocks * (width * block_size) + (positions % block_size) * width
            """),
        ),
        (
            "Python's own numbers",
            code("""
                blocks = [int(block_table[p // block_size]) for p in positions.tolist()]
                slots = [b * block_size + p % block_size for b, p in zip(blocks, positions.tolist())]
                return np.array([slot * num_kv_heads * head_dim for slot in slots], np.int64)
            """),
        ),
    ],
    "6.9": [
        (
            "keys cut by tile number",
            code("""
                for number in range(-(-last // tile)):
                    part = slice(number * tile, (number + 1) * tile)
                    scores = torch.matmul(rows, k[:, part].mT).mul(scale)
                    positions = torch.arange(num_tokens)[part]
                    scores = torch.where(positions <= query_positions, scores, -torch.inf)
                    before, highest = highest, torch.maximum(highest, scores.max(dim=2, keepdim=True).values)
                    weights = (scores - highest).exp()
                    total = total * (before - highest).exp() + weights.sum(2, keepdim=True)
                    sums = sums * (before - highest).exp() + torch.matmul(weights, v[:, part])
            """),
        ),
        (
            "in place",
            code("""
                for start in range(0, last, tile):
                    keys = k[:, start : start + tile]
                    scores = torch.einsum("hqd,hkd->hqk", rows, keys) * scale
                    if start + tile > first:
                        hidden = torch.arange(start, start + keys.shape[1])[None, :] > query_positions
                        scores.masked_fill_(hidden, float("-inf"))
                    top = torch.maximum(highest, scores.amax(-1, keepdim=True))
                    scores.sub_(top).exp_()
                    factor = (highest - top).exp_()
                    total.mul_(factor).add_(scores.sum(-1, keepdim=True))
                    sums.mul_(factor).add_(scores @ v[:, start : start + tile])
                    highest = top
            """),
        ),
        (
            "backwards",
            code("""
                starts = list(range(0, last, tile))
                for start in reversed(starts):
                    keys, values = k[:, start : start + tile], v[:, start : start + tile]
                    seen = torch.arange(start, start + keys.shape[1]) <= query_positions
                    scores = (rows @ keys.transpose(-1, -2)) * scale
                    scores = scores.masked_fill(~seen, float("-inf"))
                    top = torch.maximum(highest, scores.amax(dim=-1, keepdim=True))
                    weights = torch.exp(scores - top)
                    factor = torch.exp(highest - top)
                    total, sums, highest = (
                        factor * total + weights.sum(dim=-1, keepdim=True),
                        factor * sums + weights @ values,
                        top,
                    )
            """),
        ),
    ],
    "6.10": [
        (
            "step by step",
            code("""
                token = 2 * 8 * 128 * 2 * 32
                kv_gb = token * 16 * 8192 / 10**9
                attention_ms = kv_gb / 2039 * 1000
                gather_ms = kv_gb * 3 / 2039 * 1000
            """),
        ),
        ("rounded", code("kv_gb = 17.18\nattention_ms = 8.43\ngather_ms = 25.3")),
        (
            "by a layer",
            code("""
                layer = 16 * 8192 * 8 * 128 * 2 * 2
                kv_gb = 32 * layer / 1e9
                attention_ms = 32 * (layer / 2039e9) * 1e3
                gather_ms = 32 * (3 * layer / 2039e9) * 1e3
            """),
        ),
    ],
    "6.11": [
        (
            "by the group",
            code(
                "decode_flop_per_byte = 32 / 8\nridge_flop_per_byte = 312_000 / 2_039\ntokens_to_ridge = 39"
            ),
        ),
        ("rounded", code("decode_flop_per_byte = 4.0\nridge_flop_per_byte = 153.0\ntokens_to_ridge = 39")),
        (
            "counted up",
            code("""
                decode_flop_per_byte, ridge_flop_per_byte = 4, 312 / 2.039
                tokens_to_ridge = 1
                while tokens_to_ridge * decode_flop_per_byte < ridge_flop_per_byte:
                    tokens_to_ridge += 1
            """),
        ),
    ],
    "6.12": [
        ("plain", code("programs_without_splits = 8\nprograms_with_splits = 3128\npartial_mb = 6.506")),
        (
            "floor and one",
            code("""
                programs_without_splits = 8
                splits = 100_000 // 256 + 1
                programs_with_splits = 8 * splits
                partial_mb = splits * 32 * 520 / 10**6
            """),
        ),
        (
            "negative floor",
            code("""
                splits = -(-100_000 // 256)
                programs_without_splits, programs_with_splits = 8, splits * 8
                partial_mb = (splits * 32 * 128 + 2 * splits * 32) * 4 / 1e6
            """),
        ),
    ],
}

ALTERNATIVES = {**_SOFTMAX, **_KERNELS, **_REST}

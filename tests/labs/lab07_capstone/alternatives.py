"""Right answers to the exercises of lab 7, written differently; each must get full marks.

`ALTERNATIVES[exercise]` lists (name, blanks): one dedented source for each solution region of its answer.
"""

from tests.labs.edit import code

Rows = list[tuple[str, tuple[str, ...]]]

_PREFILL: Rows = [
    (
        "whole tables",
        code(
            """
            for seq in range(len(context_lens)):
                start, end, length = cu_seqlens_q[seq], cu_seqlens_q[seq + 1], context_lens[seq]
                k, v = (gather(pool, block_tables[seq], length) for pool in (keys, values))
                out[start:end] = attention(q[start:end], k, v, causal_mask(end - start, length))
            """
        ),
    ),
    (
        "put together",
        code(
            """
            pieces = []
            for start, end, table, length in zip(cu_seqlens_q, cu_seqlens_q[1:], block_tables, context_lens):
                k, v = gather(keys, table, length), gather(values, table, length)
                pieces.append(attention(q[start:end], k, v, causal_mask(end - start, length)))
            out = torch.cat(pieces)
            """
        ),
    ),
    (
        "row by row",
        code(
            """
            for seq, length in enumerate(context_lens):
                start, end = cu_seqlens_q[seq], cu_seqlens_q[seq + 1]
                for row in range(start, end):
                    seen = length - (end - 1 - row)
                    k, v = gather(keys, block_tables[seq], seen), gather(values, block_tables[seq], seen)
                    everything = torch.ones(1, seen, dtype=torch.bool)
                    out[row] = attention(q[row : row + 1], k, v, everything)[0]
            """
        ),
    ),
    (
        "an index of slots",
        code(
            """
            size = keys.shape[1]
            for seq, length in enumerate(context_lens):
                rows = slice(cu_seqlens_q[seq], cu_seqlens_q[seq + 1])
                slots = [block_tables[seq][p // size] * size + p % size for p in range(length)]
                k, v = keys.flatten(0, 1)[slots], values.flatten(0, 1)[slots]
                out[rows] = attention(q[rows], k, v, causal_mask(len(q[rows]), length))
            """
        ),
    ),
]

_CHUNK: Rows = [
    (
        "a loop",
        code(
            """
            num_blocks = 0
            while num_blocks < num_found and num_new > block_size:
                num_blocks += 1
                num_new -= block_size
            return num_blocks, num_new
            """
        ),
    ),
    (
        "rounded up, less one",
        code(
            """
            blocks = min(num_found, math.ceil(num_new / block_size) - 1)
            return blocks, num_new - block_size * blocks
            """
        ),
    ),
    (
        "full, then one back",
        code(
            """
            blocks = min(num_found, num_new // block_size)
            if blocks * block_size == num_new:
                blocks -= 1
            return (blocks, num_new - blocks * block_size)
            """
        ),
    ),
]

_POOL: Rows = [
    (
        "whole numbers",
        code(
            """
            blocks = [-(-length // block_size) for length in lengths]
            blocks.sort()
            return max(blocks), sum(blocks[::-1][:max_num_seqs])
            """
        ),
    ),
    (
        "by tokens",
        code(
            """
            largest = sorted(lengths)[-max_num_seqs:]
            return math.ceil(max(lengths) / block_size), sum(math.ceil(one / block_size) for one in largest)
            """
        ),
    ),
    (
        "one by one",
        code(
            """
            rest = [(length + block_size - 1) // block_size for length in lengths]
            least, enough = max(rest), 0
            for _ in range(min(max_num_seqs, len(lengths))):
                enough += max(rest)
                rest.remove(max(rest))
            return least, enough
            """
        ),
    ),
]

_DIFFERENCE: Rows = [
    (
        "position by position",
        code(
            """
            longest = max(len(tokens) for run in (want, got) for tokens in run.values())
            for position in range(longest):
                for name in want:
                    if want[name][position : position + 1] != got[name][position : position + 1]:
                        return name, position
            return None
            """
        ),
    ),
    (
        "a list of all",
        code(
            """
            differ = []
            for name in want:
                one, other = want[name], got[name]
                for position in range(max(len(one), len(other))):
                    if position >= len(one) or position >= len(other) or one[position] != other[position]:
                        differ.append((name, position))
                        break
            return min(differ, key=lambda pair: pair[1], default=None)
            """
        ),
    ),
    (
        "prefixes",
        code(
            """
            best = None
            for name, tokens in want.items():
                if tokens == got[name]:
                    continue
                common = 0
                while tokens[: common + 1] == got[name][: common + 1]:
                    common += 1
                if best is None or common < best[1]:
                    best = (name, common)
            return best
            """
        ),
    ),
]

_GUILTY: Rows = [
    (
        "a loop",
        code(
            """
            if bench.agrees(bench.names):
                return []
            found = []
            for index, name in enumerate(bench.names):
                if bench.agrees(bench.names[:index] + bench.names[index + 1 :]):
                    found.append(name)
            if not found:
                found = list(bench.names)
            return found
            """
        ),
    ),
    (
        "from the end",
        code(
            """
            if bench.agrees(list(bench.names)):
                return []
            found = []
            for name in reversed(bench.names):
                if bench.agrees([one for one in bench.names if one != name]):
                    found.insert(0, name)
            return found or list(bench.names)
            """
        ),
    ),
    (
        "a dict of runs",
        code(
            """
            everybody = list(bench.names)
            if bench.agrees(everybody):
                return []
            heals = {name: bench.agrees([one for one in everybody if one is not name]) for name in everybody}
            return [name for name, right in heals.items() if right] if any(heals.values()) else everybody
            """
        ),
    ),
]

_PLAN: Rows = [
    (
        "a copy of the list",
        code(
            """
            asked = [list(context_lens), split_size, num_threads]
            if asked != self.key:
                self.last = self.plan(context_lens, split_size, num_threads)
                self.key = asked
            return self.last
            """
        ),
    ),
    (
        "early return",
        code(
            """
            if self.key == (*context_lens, -1, split_size, num_threads):
                return self.last
            self.key = (*context_lens, -1, split_size, num_threads)
            self.last = self.plan(context_lens, split_size, num_threads)
            return self.last
            """
        ),
    ),
    (
        "a dict of one",
        code(
            """
            key = str((list(context_lens), split_size, num_threads))
            if self.last is None or key not in self.last:
                self.last = {key: self.plan(context_lens, split_size, num_threads)}
            return self.last[key]
            """
        ),
    ),
]

_SCENARIO: Rows = [
    (
        "as numbers",
        code(
            """
            step_ms = 9
            speed_up_limit = 1.5
            prefill_tokens = 800
            """
        ),
    ),
    (
        "rounded",
        code(
            """
            step_ms = 9.01
            speed_up_limit = round(12 / 8, 2)
            prefill_tokens = 16 * 230 - 15 * 192
            """
        ),
    ),
    (
        "step by step",
        code(
            """
            rest = 5 + 2 + 1
            step_ms = rest + 1.0
            speed_up_limit = (rest + 4) / rest
            found = 12 * 16
            prefill_tokens = (200 + 30) + 15 * (200 + 30 - found)
            """
        ),
    ),
]

ALTERNATIVES: dict[str, Rows] = {
    "7.1": _PREFILL,
    "7.2": _CHUNK,
    "7.3": _POOL,
    "7.4": _DIFFERENCE,
    "7.5": _GUILTY,
    "7.6": _PLAN,
    "7.7": _SCENARIO,
}

"""Right answers to the exercises of lab 1, written differently; each must get full marks.

`ALTERNATIVES[exercise]` lists (name, blanks): one dedented source for each solution region of the
answer cell.
"""

import textwrap


def code(*texts: str) -> tuple[str, ...]:
    """The blanks, dedented."""
    return tuple(textwrap.dedent(text).strip("\n") for text in texts)


ALTERNATIVES: dict[str, list[tuple[str, tuple[str, ...]]]] = {
    "1.1": [
        ("Counter over zip", code("return Counter(pair for ids in sequences for pair in zip(ids, ids[1:]))")),
        (
            "index loop and defaultdict",
            code("""
            from collections import defaultdict
            counts = defaultdict(int)
            for ids in sequences:
                for i in range(len(ids) - 1):
                    counts[ids[i], ids[i + 1]] += 1
            return counts
        """),
        ),
        (
            "numpy",
            code("""
            import numpy as np
            long = [ids for ids in sequences if len(ids) > 1]
            pairs = [np.stack([np.array(ids[:-1]), np.array(ids[1:])], 1) for ids in long]
            if not pairs:
                return {}
            rows, counts = np.unique(np.concatenate(pairs), axis=0, return_counts=True)
            return {tuple(row): n for row, n in zip(rows.tolist(), counts.tolist())}
        """),
        ),
    ],
    "1.2": [
        (
            "look at what was written last",
            code("""
            out, last = [], -1
            for i, token in enumerate(ids):
                if i > 0 and i - 1 != last and (ids[i - 1], token) == pair:
                    out[-1] = new_id
                    last = i
                else:
                    out.append(token)
            return out
        """),
        ),
        (
            "in place on a copy",
            code("""
            ids, i = list(ids), 0
            while i < len(ids) - 1:
                if ids[i] == pair[0] and ids[i + 1] == pair[1]:
                    ids[i:i + 2] = [new_id]
                i += 1
            return ids
        """),
        ),
        (
            "an iterator",
            code("""
            out, rest = [], iter(ids)
            held = next(rest, None)
            while held is not None:
                following = next(rest, None)
                if (held, following) == pair:
                    out.append(new_id)
                    held = next(rest, None)
                else:
                    out.append(held)
                    held = following
            return out
        """),
        ),
    ],
    "1.3": [
        (
            "lists with weights",
            code("""
            words = [[list(piece), weight] for piece, weight in piece_counts.items()]
            merges = []
            for rank in range(num_merges):
                counts = {}
                for ids, weight in words:
                    for pair in zip(ids, ids[1:]):
                        counts[pair] = counts.get(pair, 0) + weight
                if not counts:
                    return merges
                top = max(counts.values())
                pair = min((p for p, n in counts.items() if n == top), key=tie_order)
                for word in words:
                    word[0] = merge_pair(word[0], pair, 256 + rank)
                merges.append(pair)
            return merges
        """),
        ),
        (
            "pieces written out",
            code("""
            sequences = [list(piece) for piece, count in piece_counts.items() for _ in range(count)]
            merges = []
            while len(merges) < num_merges and (counts := count_pairs(sequences)):
                best, _ = min(counts.items(), key=lambda item: (-item[1], tie_order(item[0])))
                sequences = [merge_pair(ids, best, 256 + len(merges)) for ids in sequences]
                merges += [best]
            return merges
        """),
        ),
        (
            "sorted candidates",
            code("""
            words = {tuple(piece): weight for piece, weight in piece_counts.items()}
            merges = []
            for new_id in range(256, 256 + num_merges):
                counts = Counter()
                for ids, weight in words.items():
                    for i in range(1, len(ids)):
                        counts[ids[i - 1], ids[i]] += weight
                ranked = sorted(counts, key=lambda pair: (-counts[pair], tie_order(pair)))
                if ranked:
                    merged = [tuple(merge_pair(list(ids), ranked[0], new_id)) for ids in words]
                    words = dict(zip(merged, words.values()))
                    merges.append(ranked[0])
            return merges
        """),
        ),
    ],
    "1.4": [
        (
            "rank by rank",
            code("""
            ids = list(piece)
            for pair, rank in sorted(ranks.items(), key=lambda item: item[1]):
                ids = merge_pair(ids, pair, 256 + rank)
            return ids
        """),
        ),
        (
            "one place at a time",
            code("""
            ids = list(piece)
            while True:
                found = [(ranks[pair], i) for i, pair in enumerate(zip(ids, ids[1:])) if pair in ranks]
                if not found:
                    return ids
                rank, at = min(found)
                ids = ids[:at] + [256 + rank] + ids[at + 2:]
        """),
        ),
        (
            "recursive",
            code("""
            def step(ids):
                known = [pair for pair in zip(ids, ids[1:]) if pair in ranks]
                if not known:
                    return ids
                pair = min(known, key=ranks.get)
                return step(merge_pair(ids, pair, 256 + ranks[pair]))
            return step(list(piece))
        """),
        ),
    ],
    "1.5": [
        (
            "comprehensions",
            code(
                """
            pieces = regex.findall(DEFAULT_PATTERN, text)
            ids = [token for piece in pieces for token in encode_piece(piece.encode(), self.ranks)]
            return [self.bos_token_id] * add_special_tokens + ids
            """,
                """
            names = {} if skip_special_tokens else self.special_names
            parts = [names[i].encode() if i in names else self.token_bytes(i) for i in ids]
            return b"".join(parts).decode("utf-8", "replace")
            """,
            ),
        ),
        (
            "finditer and bytearray",
            code(
                """
            ids = []
            if add_special_tokens:
                ids.append(self.bos_token_id)
            for match in regex.finditer(DEFAULT_PATTERN, text):
                ids.extend(encode_piece(bytes(match.group(), "utf-8"), self.ranks))
            return ids
            """,
                """
            data = bytearray()
            for i in ids:
                if i < len(self.table):
                    data.extend(self.table[i])
                elif skip_special_tokens:
                    continue
                else:
                    data.extend(bytes(self.special_names[i], "utf-8"))
            return str(data, "utf-8", "replace")
            """,
            ),
        ),
        (
            "remembered pieces",
            code(
                """
            known, ids = {}, [self.bos_token_id] if add_special_tokens else []
            for piece in regex.compile(DEFAULT_PATTERN).findall(text):
                if piece not in known:
                    known[piece] = encode_piece(piece.encode("utf8"), self.ranks)
                ids += known[piece]
            return ids
            """,
                """
            if skip_special_tokens:
                ids = [i for i in ids if i not in self.special_names]
            table = dict(enumerate(self.table)) | {i: name.encode() for i, name in self.special_names.items()}
            return b"".join(map(table.__getitem__, ids)).decode(errors="replace")
            """,
            ),
        ),
    ],
    "1.6": [
        (
            "bit masks",
            code("""
            for length, byte in enumerate(reversed(data[-3:]), start=1):
                if byte >> 6 != 0b10:
                    needed = 2 if byte >> 5 == 0b110 else 3 if byte >> 4 == 0b1110 else 4
                    needed = needed if byte >> 7 else 1
                    return length if needed > length else 0
            return 0
        """),
        ),
        (
            "three questions",
            code("""
            if data[-1:] >= b"\\xc0":
                return 1
            if data[-2:-1] >= b"\\xe0" and 0x80 <= data[-1] < 0xC0:
                return 2
            if data[-3:-2] >= b"\\xf0" and all(0x80 <= byte < 0xC0 for byte in data[-2:]):
                return 3
            return 0
        """),
        ),
        (
            "regular expression",
            code("""
            import re
            pattern = rb"(?:[\\xc0-\\xff]|[\\xe0-\\xff][\\x80-\\xbf]|[\\xf0-\\xff][\\x80-\\xbf]{2})\\Z"
            found = re.search(pattern, data)
            return len(found.group()) if found else 0
        """),
        ),
    ],
    "1.7": [
        (
            "fill a tensor",
            code("""
            longest = max(map(len, sequences))
            input_ids = torch.full((len(sequences), longest), pad_id)
            mask = torch.zeros_like(input_ids)
            for row, ids in enumerate(sequences):
                where = slice(longest - len(ids), longest) if side == "left" else slice(0, len(ids))
                input_ids[row, where] = torch.tensor(ids)
                mask[row, where] = 1
            return input_ids, mask
        """),
        ),
        (
            "mask from lengths",
            code("""
            lengths = torch.tensor([len(ids) for ids in sequences])
            longest = int(lengths.max())
            places = torch.arange(longest)
            if side == "left":
                mask = places >= longest - lengths[:, None]
            else:
                mask = places < lengths[:, None]
            input_ids = torch.full(mask.shape, pad_id)
            input_ids[mask] = torch.tensor([token for ids in sequences for token in ids])
            return input_ids, mask.long()
        """),
        ),
        (
            "pad_sequence",
            code("""
            from torch.nn.utils.rnn import pad_sequence
            rows = [torch.tensor(ids) for ids in sequences]
            ones = [torch.ones(len(ids), dtype=torch.int64) for ids in sequences]
            return (pad_sequence(rows, batch_first=True, padding_value=pad_id, padding_side=side),
                    pad_sequence(ones, batch_first=True, padding_side=side))
        """),
        ),
    ],
    "1.8": [
        ("functional", code("return torch.nn.functional.embedding(input_ids, table)")),
        (
            "index_select",
            code("return table.index_select(0, input_ids.flatten()).reshape(*input_ids.shape, -1)"),
        ),
        (
            "one-hot product",
            code("return torch.nn.functional.one_hot(input_ids, table.shape[0]).to(table.dtype) @ table"),
        ),
        ("loop", code("return torch.stack([torch.stack([table[i] for i in row]) for row in input_ids])")),
    ],
    "1.9": [
        (
            "whole text and a position",
            code("""
            text, done, shown = "", 0, []
            for delta in deltas:
                text += delta
                at = text.find(stop)
                if at >= 0:
                    return shown + [text[done:at]]
                safe = len(text)
                for start in range(max(0, len(text) - len(stop) + 1), len(text) + 1):
                    if stop.startswith(text[start:]):
                        safe = start
                        break
                shown.append(text[done:safe])
                done = safe
            return shown + [text[done:]]
        """),
        ),
        (
            "partition",
            code("""
            shown, held = [], ""
            for delta in deltas:
                before, found, _ = (held + delta).partition(stop)
                if found:
                    return [*shown, before]
                held = before
                n = min(len(stop) - 1, len(held))
                while n and held[-n:] != stop[:n]:
                    n -= 1
                shown.append(held[:len(held) - n])
                held = held[len(held) - n:]
            return [*shown, held]
        """),
        ),
        (
            "the automaton of Knuth, Morris and Pratt",
            code("""
            fail = [0] * (len(stop) + 1)
            for i in range(1, len(stop)):
                k = fail[i]
                while k and stop[i] != stop[k]:
                    k = fail[k]
                fail[i + 1] = k + (stop[i] == stop[k])
            text, state, done, shown = "", 0, 0, []
            for delta in deltas:
                for char in delta:
                    text += char
                    while state and stop[state] != char:
                        state = fail[state]
                    state += stop[state] == char
                    if state == len(stop):
                        return shown + [text[done:len(text) - len(stop)]]
                shown.append(text[done:len(text) - state])
                done = len(text) - state
            return shown + [text[done:]]
        """),
        ),
    ],
    "1.10": [
        (
            "plain numbers",
            code("english_prompts_per_batch, hindi_prompts_per_batch, hindi_cost_ratio = 91, 25, 3.52"),
        ),
        (
            "math.floor",
            code("""
            english_prompts_per_batch = math.floor(65_536 / (550 * 1.3 + 1))
            hindi_prompts_per_batch = math.floor(65_536 / (600 * 4.2 + 1))
            hindi_cost_ratio = (600 * 4.2 + 1) / (550 * 1.3 + 1)
        """),
        ),
        (
            "floor division of floats",
            code("""
            english_prompts_per_batch = 65_536 // (550 * 1.3 + 1)
            hindi_prompts_per_batch = 65_536 // (600 * 4.2 + 1)
            hindi_cost_ratio = 2520 / 715
        """),
        ),
    ],
    "1.11": [
        ("plain numbers", code("old_table_gb, new_table_gib, extra_gb = 0.262, 0.979, 1.577")),
        (
            "from bits",
            code("""
            old_table_gb = 32_000 * 4_096 * 16 / 8 / 10**9
            new_table_gib = 128_256 * 4_096 * 16 / 8 / 1024**3
            extra_gb = 2 * (128_256 * 4_096 * 2 / 10**9 - old_table_gb)
        """),
        ),
        (
            "torch",
            code("""
            size = torch.bfloat16.itemsize
            old_table_gb = torch.tensor(32_000.0 * 4_096 * size / 1e9).item()
            new_table_gib = 128_256 * 4_096 * size / (1 << 30)
            extra_gb = (128_256 - 32_000) * 4_096 * 2 * size / 1e9
        """),
        ),
    ],
    "1.12": [
        ("plain numbers", code("waste_one_batch, waste_two_batches, slots_saved = 0.629, 0.309, 1910")),
        (
            "a function",
            code("""
            def slots(*lengths):
                return len(lengths) * max(lengths)
            one, two = slots(12, 75, 410, 1_030), slots(12, 75) + slots(410, 1_030)
            waste_one_batch = (one - 1_527) / one
            waste_two_batches = (two - 1_527) / two
            slots_saved = one - two
        """),
        ),
        (
            "count the padding",
            code("""
            padding_one = (1_030 - 12) + (1_030 - 75) + (1_030 - 410)
            padding_two = (75 - 12) + (1_030 - 410)
            waste_one_batch = padding_one / (4 * 1_030)
            waste_two_batches = padding_two / (2 * 75 + 2 * 1_030)
            slots_saved = float(padding_one - padding_two)
        """),
        ),
    ],
    "1.15": [
        (
            "count changed sequences again",
            code("""
            out, counts, touched = [], dict(counts), 0
            for ids in sequences:
                new_ids = merge_pair(ids, pair, new_id)
                if new_ids != ids:
                    touched += 1
                    for sign, some in ((-1, ids), (1, new_ids)):
                        for neighbours in zip(some, some[1:]):
                            counts[neighbours] = counts.get(neighbours, 0) + sign
                            if counts[neighbours] == 0:
                                del counts[neighbours]
                out.append(new_ids)
            return out, counts, touched
        """),
        ),
        (
            "Counter arithmetic",
            code("""
            held = [i for i, ids in enumerate(sequences) if pair in zip(ids, ids[1:])]
            merged = [merge_pair(ids, pair, new_id) for ids in sequences]
            old = Counter(count_pairs([sequences[i] for i in held]))
            new = Counter(count_pairs([merged[i] for i in held]))
            return merged, Counter(counts) - old + new, len(held)
        """),
        ),
        (
            "in place on copies",
            code("""
            sequences, counts, touched = [list(ids) for ids in sequences], Counter(counts), 0
            for i, ids in enumerate(sequences):
                before = count_pairs([ids])
                if pair not in before:
                    continue
                touched += 1
                sequences[i] = merge_pair(ids, pair, new_id)
                counts.subtract(before)
                counts.update(count_pairs([sequences[i]]))
            for key in [key for key in counts if counts[key] == 0]:
                del counts[key]
            return sequences, counts, touched
        """),
        ),
    ],
    "1.16": [
        (
            "spans",
            code(
                """
            self.held += chunk
            spans = [match.span() for match in regex.finditer(DEFAULT_PATTERN, self.held)]
            ids = []
            for start, stop in spans[:-2]:
                ids += encode_piece(self.held[start:stop].encode(), self.ranks)
            if len(spans) > 2:
                self.held = self.held[spans[-2][0]:]
            return ids
            """,
                """
            ids = []
            for piece in regex.findall(DEFAULT_PATTERN, self.held):
                ids.extend(encode_piece(piece.encode(), self.ranks))
            self.held = ""
            return ids
            """,
            ),
        ),
        (
            "pop from the front",
            code(
                """
            pieces = regex.findall(DEFAULT_PATTERN, self.held + chunk)
            ids = []
            while len(pieces) > 2:
                ids += encode_piece(pieces.pop(0).encode("utf-8"), self.ranks)
            self.held = "".join(pieces)
            return ids
            """,
                """
            ids, text = [], self.held
            self.held = ""
            for match in regex.finditer(DEFAULT_PATTERN, text):
                ids += encode_piece(match[0].encode("utf-8"), self.ranks)
            return ids
            """,
            ),
        ),
        (
            "early return",
            code(
                """
            self.held = self.held + chunk
            pieces = regex.findall(DEFAULT_PATTERN, self.held)
            if len(pieces) <= 2:
                return []
            done, self.held = pieces[:-2], pieces[-2] + pieces[-1]
            return list(itertools.chain.from_iterable(encode_piece(p.encode(), self.ranks) for p in done))
            """,
                """
            done = regex.findall(DEFAULT_PATTERN, self.held)
            self.held = ""
            return list(itertools.chain.from_iterable(encode_piece(p.encode(), self.ranks) for p in done))
            """,
            ),
        ),
    ],
    "1.17": [
        (
            "for and else",
            code("""
            rows, free = [], []
            for length, index in sorted((-n, i) for i, n in enumerate(lengths)):
                for row in range(len(rows)):
                    if free[row] + length >= 0:
                        break
                else:
                    row = len(rows)
                    rows.append([])
                    free.append(row_length)
                rows[row].append(index)
                free[row] += length
            return rows
        """),
        ),
        (
            "sums instead of rooms",
            code("""
            rows = []
            for index in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True):
                for row in rows:
                    if sum(lengths[i] for i in row) + lengths[index] <= row_length:
                        row.append(index)
                        break
                else:
                    rows.append([index])
            return rows
        """),
        ),
        (
            "take the longest out again and again",
            code("""
            left, rows = list(range(len(lengths))), []
            while left:
                index = max(left, key=lambda i: (lengths[i], -i))
                left.remove(index)
                fitting = [row for row in rows if sum(lengths[i] for i in row) + lengths[index] <= row_length]
                if fitting:
                    fitting[0].append(index)
                else:
                    rows.append([index])
            return rows
        """),
        ),
    ],
}

"""Right answers to the exercises of lab 3, written differently; each must get full marks.

`ALTERNATIVES[exercise]` lists (name, blanks): one dedented source for each solution region of the answer
cell.
"""

import textwrap


def code(*texts: str) -> tuple[str, ...]:
    """The blanks, dedented."""
    return tuple(textwrap.dedent(text).strip("\n") for text in texts)


ALTERNATIVES: dict[str, list[tuple[str, tuple[str, ...]]]] = {
    "3.1": [
        ("torch's own", code("return torch.softmax(scores, dim=-1)")),
        ("logsumexp", code("return (scores - torch.logsumexp(scores, dim=-1, keepdim=True)).exp()")),
        (
            "row by row",
            code("""
            rows = scores.reshape(-1, scores.shape[-1])
            out = torch.empty_like(rows)
            for i, row in enumerate(rows):
                e = torch.exp(row - row.max())
                out[i] = e / e.sum()
            return out.reshape(scores.shape)
        """),
        ),
        (
            "in double precision",
            code("""
            wide = scores.double()
            wide = wide - wide.max(dim=-1, keepdim=True).values
            return (wide.exp() / wide.exp().sum(-1, keepdim=True)).to(scores.dtype)
        """),
        ),
    ],
    "3.2": [
        (
            "head by head",
            code("""
            group = q.shape[1] // k.shape[1]
            out = torch.empty_like(q)
            for h in range(q.shape[1]):
                scores = q[:, h] @ k[:, h // group].T / q.shape[2] ** 0.5
                scores[~mask] = float("-inf")
                out[:, h] = softmax(scores) @ v[:, h // group]
            return out
        """),
        ),
        (
            "grouped, without repeating",
            code("""
            queries, heads, dim = q.shape
            grouped = q.reshape(queries, k.shape[1], -1, dim) * dim ** -0.5
            scores = torch.einsum("qngd,knd->ngqk", grouped, k)
            weights = softmax(torch.where(mask, scores, -math.inf))
            return torch.einsum("ngqk,knd->qngd", weights, v).reshape(queries, heads, dim)
        """),
        ),
        (
            "torch's own",
            code("""
            first = [x.transpose(0, 1)[None] for x in (q, k, v)]
            out = torch.nn.functional.scaled_dot_product_attention(*first, attn_mask=mask, enable_gqa=True)
            return out[0].transpose(0, 1)
        """),
        ),
        (
            "mask added",
            code("""
            group = q.shape[1] // k.shape[1]
            keys = k.transpose(0, 1).repeat_interleave(group, 0)
            values = v.transpose(0, 1).repeat_interleave(group, 0)
            bias = torch.zeros(mask.shape).masked_fill(mask == False, float("-inf"))
            weights = softmax(q.transpose(0, 1) @ keys.transpose(1, 2) / math.sqrt(q.shape[-1]) + bias)
            return (weights @ values).transpose(0, 1).contiguous()
        """),
        ),
    ],
    "3.3": [
        (
            "complex numbers",
            code("""
            half = x.shape[-1] // 2
            speed = theta ** (-torch.arange(0, x.shape[-1], 2).double() / x.shape[-1])
            angles = positions.double()[:, None] * speed
            turn = torch.polar(torch.ones_like(angles), angles)[:, None]
            turned = torch.complex(x[..., :half].double(), x[..., half:].double()) * turn
            return torch.cat((turned.real, turned.imag), dim=-1).float()
        """),
        ),
        (
            "rotate half",
            code("""
            dim = x.shape[-1]
            inv_freq = 1.0 / (theta ** (torch.arange(0, dim, 2, dtype=torch.float32) / dim))
            emb = torch.outer(positions.float(), inv_freq).repeat(1, 2).unsqueeze(1)
            one, two = x.chunk(2, dim=-1)
            return x * emb.cos() + torch.cat((-two, one), dim=-1) * emb.sin()
        """),
        ),
        (
            "pair by pair",
            code("""
            half = x.shape[-1] // 2
            out = x.clone()
            for i in range(half):
                angle = positions.float() * theta ** (-2 * i / x.shape[-1])
                c, s = angle.cos()[:, None], angle.sin()[:, None]
                out[:, :, i] = x[:, :, i] * c - x[:, :, i + half] * s
                out[:, :, i + half] = x[:, :, i + half] * c + x[:, :, i] * s
            return out
        """),
        ),
    ],
    "3.4": [
        (
            "tril",
            code("return torch.ones(num_queries, num_keys, dtype=torch.bool).tril(num_keys - num_queries)"),
        ),
        (
            "two blocks",
            code("""
            cached = torch.ones(num_queries, num_keys - num_queries)
            return torch.cat((cached, torch.ones(num_queries, num_queries).tril()), dim=1).bool()
        """),
        ),
        (
            "loops",
            code("""
            mask = torch.zeros(num_queries, num_keys, dtype=torch.bool)
            for i in range(num_queries):
                mask[i, : num_keys - num_queries + i + 1] = True
            return mask
        """),
        ),
        (
            "the last rows",
            code("return torch.ones(num_keys, num_keys).tril().bool()[num_keys - num_queries :]"),
        ),
    ],
    "3.5": [
        (
            "by formula",
            code(
                """
            self.keys[layer] = torch.cat([self.keys[layer][0:self.length], k], dim=0)
            self.values[layer] = torch.cat([self.values[layer][0:self.length], v], dim=0)
            """,
                "return (self.keys[layer], self.values[layer])",
                "self.length = self.length + num_tokens",
                """
            _, heads, dim = self.keys[0].shape
            return 2 * len(self.keys) * self.length * heads * dim * 4
            """,
            ),
        ),
        (
            "a loop over both",
            code(
                """
            for stored, new in ((self.keys, k), (self.values, v)):
                stored[layer] = torch.vstack((stored[layer][: self.length], new))
            """,
                "return tuple(stored[layer] for stored in (self.keys, self.values))",
                "self.length += num_tokens",
                """
            total = 0
            for layer in range(len(self.keys)):
                for tensor in (self.keys[layer], self.values[layer]):
                    total += self.length * tensor.shape[1] * tensor.shape[2] * tensor.element_size()
            return total
            """,
            ),
        ),
        (
            "copied into a new tensor",
            code(
                """
            end = self.length + len(k)
            for stored, new in ((self.keys, k), (self.values, v)):
                grown = new.new_empty(end, *new.shape[1:])
                grown[: self.length] = stored[layer][: self.length]
                grown[self.length :] = new
                stored[layer] = grown
            """,
                "return self.keys[layer], self.values[layer]",
                "self.length += num_tokens",
                "return 8 * len(self.keys) * self.length * self.keys[0].stride(0)",
            ),
        ),
    ],
    "3.6": [
        (
            "nested",
            code("""
            cache.write(layer, apply_rope(k, positions), v)
            keys, values = cache.read(layer)
            return attention(apply_rope(q, positions), keys, values, causal_mask(len(q), len(keys)))
        """),
        ),
        (
            "turned together",
            code("""
            both = apply_rope(torch.cat((q, k), dim=1), positions)
            q, k = both.split((q.shape[1], k.shape[1]), dim=1)
            cache.write(layer, k, v)
            held = cache.read(layer)
            return attention(q, *held, causal_mask(q.shape[0], held[0].shape[0]))
        """),
        ),
        (
            "mask by hand, positions of the cache",
            code("""
            places = cache.length + torch.arange(q.shape[0])
            cache.write(layer, apply_rope(k, places), v)
            keys, values = cache.read(layer)
            mask = torch.arange(keys.shape[0])[None] <= places[:, None]
            return attention(apply_rope(q, places), keys, values, mask)
        """),
        ),
        (
            "query by query",
            code("""
            q, k = apply_rope(q, positions), apply_rope(k, positions)
            cache.write(layer, k, v)
            keys, values = cache.read(layer)
            rows = []
            for i in range(len(q)):
                seen = len(keys) - len(q) + i + 1
                rows.append(attention(q[i : i + 1], keys[:seen], values[:seen], torch.ones(1, seen).bool()))
            return torch.cat(rows)
        """),
        ),
    ],
    "3.7": [
        (
            "prompt first",
            code("""
            if num_new_tokens == 0:
                return []
            n = len(prompt_ids)
            new = [runner.forward(prompt_ids, list(range(n)))]
            for i in range(num_new_tokens - 1):
                new.append(runner.forward([new[-1]], [n + i]))
            return new
        """),
        ),
        (
            "the whole sequence at hand",
            code("""
            ids, done = list(prompt_ids), 0
            for _ in range(num_new_tokens):
                ids.append(runner.forward(ids[done:], list(range(done, len(ids)))))
                done = len(ids) - 1
            return ids[len(prompt_ids):]
        """),
        ),
        (
            "a feed of pairs",
            code("""
            feed, new = list(zip(prompt_ids, range(len(prompt_ids)))), []
            for _ in range(num_new_tokens):
                tokens, places = zip(*feed)
                new.append(runner.forward(list(tokens), list(places)))
                feed = [(new[-1], places[-1] + 1)]
            return new
        """),
        ),
    ],
    "3.8": [
        (
            "slices kept",
            code(
                """
            end = self.lengths[row] + len(k)
            if not end <= self.max_length:
                raise ValueError(f"row {row} is full")
            new = slice(self.lengths[row], end)
            for stored, fresh in ((self.keys, k), (self.values, v)):
                stored[layer][row][new] = fresh
            return self.keys[layer][row][:end], self.values[layer][row][:end]
            """,
                "self.lengths[row] = self.lengths[row] + num_tokens",
                "return sum(self.lengths) / self.max_length / len(self.lengths)",
            ),
        ),
        (
            "copies come back",
            code(
                """
            start, num_new = self.lengths[row], k.size(0)
            if self.max_length - start < num_new:
                raise ValueError(f"no room in row {row}")
            self.keys[layer, row].narrow(0, start, num_new).copy_(k)
            self.values[layer, row].narrow(0, start, num_new).copy_(v)
            end = start + num_new
            return self.keys[layer, row, :end].clone(), self.values[layer, row, :end].clone()
            """,
                "self.lengths[row] += num_tokens",
                "return sum(self.lengths) / self.keys[0, :, :, 0, 0].numel()",
            ),
        ),
        (
            "index_copy",
            code(
                """
            places = torch.arange(self.lengths[row], self.lengths[row] + k.shape[0])
            if len(places) and int(places[-1]) >= self.max_length:
                raise ValueError(row)
            self.keys[layer, row].index_copy_(0, places, k)
            self.values[layer, row].index_copy_(0, places, v)
            seen = self.lengths[row] + k.shape[0]
            return self.keys[layer, row][:seen], self.values[layer, row][:seen]
            """,
                "self.lengths[row] += num_tokens",
                "return float(torch.tensor(self.lengths, dtype=torch.float64).mean() / self.max_length)",
            ),
        ),
    ],
    "3.9": [
        (
            "slot by slot",
            code("""
            taken = [False] * num_slots
            counts = dict.fromkeys(("held", "later", "never", "holes", "free"), 0)
            for start, reserved, held, final in runs:
                taken[start : start + reserved] = [True] * reserved
                counts["held"] += held
                counts["later"] += final - held
                counts["never"] += reserved - final
            gap = 0
            for slot in [*taken, True]:
                if slot:
                    counts["free" if gap >= wanted else "holes"] += gap
                    gap = 0
                else:
                    gap += 1
            return counts
        """),
        ),
        (
            "borders",
            code("""
            ordered = sorted(runs, key=lambda run: run[0])
            ends = [0] + [start + reserved for start, reserved, _, _ in ordered]
            starts = [start for start, _, _, _ in ordered] + [num_slots]
            gaps = [start - end for start, end in zip(starts, ends)]
            return {
                "held": sum(run[2] for run in runs),
                "later": sum(run[3] - run[2] for run in runs),
                "never": sum(run[1] - run[3] for run in runs),
                "holes": sum(gap for gap in gaps if gap < wanted),
                "free": sum(gap for gap in gaps if gap >= wanted),
            }
        """),
        ),
        (
            "what is left",
            code("""
            held, final, reserved = (sum(run[i] for run in runs) for i in (2, 3, 1))
            free, end = 0, 0
            for start, room in sorted((run[0], run[1]) for run in runs) + [(num_slots, 0)]:
                if start - end >= wanted:
                    free += start - end
                end = start + room
            return dict(
                held=held, later=final - held, never=reserved - final,
                free=free, holes=num_slots - reserved - free,
            )
        """),
        ),
    ],
    "3.10": [
        (
            "closed forms",
            code("""
            token_forwards_recomputed = 100 * 20 + 99 * 100 // 2
            token_forwards_cached = 119
            pairs_cached = 7_140
        """),
        ),
        (
            "counted",
            code("""
            token_forwards_recomputed = token_forwards_cached = pairs_cached = 0
            for step in range(100):
                token_forwards_recomputed += 20 + step
                for position in range(20) if step == 0 else [19 + step]:
                    token_forwards_cached += 1
                    pairs_cached += position + 1
        """),
        ),
        (
            "helper",
            code("""
            def total(n):
                return n * (n + 1) // 2
            token_forwards_recomputed = total(119) - total(19)
            token_forwards_cached = 120 - 1
            pairs_cached = total(token_forwards_cached)
        """),
        ),
    ],
    "3.11": [
        (
            "three digits",
            code("""
            kv_bytes_per_token = 131_072
            kv_total_gb = 18.9
            step_ms = 10.4
            tokens_per_second = 2_300
        """),
        ),
        (
            "seconds",
            code("""
            kv_bytes_per_token = 32 * 8 * 128 * 4
            cache = kv_bytes_per_token * 24 * 6_000
            kv_total_gb = cache / 10**9
            seconds = (16.06e9 + cache) / 3_350e9
            step_ms = 1_000 * seconds
            tokens_per_second = 24 / seconds
        """),
        ),
        (
            "numpy",
            code("""
            import numpy as np
            kv_bytes_per_token = int(np.prod([2, 32, 8, 128, 2]))
            kv_total_gb = float(np.float64(kv_bytes_per_token) * 144_000 / 1e9)
            step_ms = (kv_total_gb + 16.06) / 3.35
            tokens_per_second = 24_000 / step_ms
        """),
        ),
    ],
    "3.12": [
        (
            "whole bytes",
            code("""
            rows_preallocated = 3 * 2**30 // (2_048 * 131_072)
            utilisation_at_end = 0.205
            requests_if_exact = 3 * 2**30 // (420 * 131_072)
        """),
        ),
        (
            "rounded down",
            code("""
            memory = 3 * 1024**3
            rows_preallocated = int(memory / 131_072 / 2_048)
            utilisation_at_end = round(420 / 2_048, 4)
            requests_if_exact = math.floor(memory / 131_072 / 420)
        """),
        ),
        (
            "256 MiB a row",
            code("""
            rows_preallocated = 3 * 1024 // 256
            requests_if_exact = rows_preallocated * 2_048 // 420
            utilisation_at_end = 420 / 2**11
        """),
        ),
    ],
    "3.15": [
        (
            "two at a time",
            code("""
            largest, total, mean = parts[0]
            for other, more, its_mean in parts[1:]:
                top = max(largest, other)
                mine, its = total * math.exp(largest - top), more * math.exp(other - top)
                mean = (mine * mean + its * its_mean) / (mine + its)
                largest, total = top, mine + its
            return mean
        """),
        ),
        (
            "a softmax over the parts",
            code("""
            logs = torch.tensor([one + math.log(total) for one, total, _ in parts], dtype=torch.float64)
            weights = torch.softmax(logs, dim=0).float()
            return (weights[:, None] * torch.stack([mean for _, _, mean in parts])).sum(dim=0)
        """),
        ),
        (
            "sums",
            code("""
            top = max(part[0] for part in parts)
            above = sum(mean * (total * math.exp(largest - top)) for largest, total, mean in parts)
            below = sum(total * math.exp(largest - top) for largest, total, _ in parts)
            return above / below
        """),
        ),
    ],
    "3.16": [
        (
            "rolled",
            code(
                """
            self.keys[self.length % self.window] = k
            self.values[self.length % self.window] = v
            self.length = self.length + 1
            """,
                """
            if self.length <= self.window:
                return self.keys[: self.length], self.values[: self.length]
            shift = -(self.length % self.window)
            return self.keys.roll(shift, 0), self.values.roll(shift, 0)
            """,
            ),
        ),
        (
            "shifted along",
            code(
                """
            self.keys = torch.cat((self.keys[1:], k[None]))
            self.values = torch.cat((self.values[1:], v[None]))
            self.length += 1
            """,
                """
            held = min(self.length, self.window)
            return self.keys[self.window - held :], self.values[self.window - held :]
            """,
            ),
        ),
        (
            "two pieces",
            code(
                """
            slot = self.length % self.window
            self.length += 1
            self.keys[slot].copy_(k)
            self.values[slot].copy_(v)
            """,
                """
            cut = self.length % self.window if self.length > self.window else 0
            end = min(self.length, self.window)
            return tuple(torch.cat((one[cut:end], one[:cut])) for one in (self.keys, self.values))
            """,
            ),
        ),
    ],
    "3.17": [
        (
            "filled",
            code("""
            largest = x.abs().max(dim=-1, keepdim=True).values
            scales = (largest / 127).masked_fill(largest == 0, 1.0)
            return torch.round(x / scales).clamp(-127, 127).char(), scales
        """),
        ),
        (
            "times 127",
            code("""
            largest = x.abs().amax(-1, keepdim=True)
            scales = largest / 127.0
            scales[scales == 0] = 1.0
            return (x * (1.0 / scales)).round().to(torch.int8), scales
        """),
        ),
        (
            "row by row",
            code("""
            codes = torch.zeros(x.shape, dtype=torch.int8)
            scales = torch.ones(x.shape[0], x.shape[1], 1)
            for token in range(x.shape[0]):
                for head in range(x.shape[1]):
                    size = x[token, head].abs().max()
                    if size > 0:
                        scales[token, head] = size / 127
                    codes[token, head] = (x[token, head] / scales[token, head]).round().to(torch.int8)
            return codes, scales
        """),
        ),
    ],
}

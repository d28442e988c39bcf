"""Right answers to the exercises of lab 5, written differently; each must get full marks.

`ALTERNATIVES[exercise]` lists (name, blanks): one dedented source for each solution region of its answer.
"""

from tests.labs.lab04_paging.alternatives import code

Rows = list[tuple[str, tuple[str, ...]]]

_STATES: Rows = [
    (
        "if by if",
        code(
            """
            if status in ("waiting", "running", "preempted"):
                if event == "abort":
                    return "cancelled"
                if event == "fail":
                    return "failed"
            if event == "admit" and status in ("waiting", "preempted"):
                return "running"
            if status == "running" and event in ("preempt", "finish"):
                return "preempted" if event == "preempt" else "finished"
            raise ValueError(event)
            """
        ),
    ),
    (
        "a table by status",
        code(
            """
            ends = {"abort": "cancelled", "fail": "failed"}
            table = {
                "waiting": {"admit": "running"} | ends,
                "running": {"preempt": "preempted", "finish": "finished"} | ends,
                "preempted": {"admit": "running"} | ends,
            }
            try:
                return table[status][event]
            except KeyError:
                raise ValueError(f"{event} while {status}") from None
            """
        ),
    ),
    (
        "match",
        code(
            """
            match status, event:
                case ("waiting" | "preempted"), "admit":
                    return "running"
                case "running", "preempt":
                    return "preempted"
                case "running", "finish":
                    return "finished"
                case ("waiting" | "running" | "preempted"), "abort":
                    return "cancelled"
                case ("waiting" | "running" | "preempted"), "fail":
                    return "failed"
            raise ValueError
            """
        ),
    ),
]

_TABLE: Rows = [
    (
        "token by token",
        code(
            """
            for token_ids, num_computed, blocks, samples in rows:
                for offset, token in enumerate(token_ids):
                    position = num_computed + offset
                    table["input_ids"].append(token)
                    table["positions"].append(position)
                    block, place = divmod(position, block_size)
                    table["slot_mapping"].append(blocks[block] * block_size + place)
                table["cu_seqlens_q"].append(table["cu_seqlens_q"][-1] + len(token_ids))
                table["context_lens"].append(num_computed + len(token_ids))
                if samples:
                    table["logits_indices"].append(table["cu_seqlens_q"][-1] - 1)
            """
        ),
    ),
    (
        "list by list",
        code(
            """
            from itertools import accumulate
            table["input_ids"] = [token for ids, *_ in rows for token in ids]
            table["positions"] = [start + i for ids, start, *_ in rows for i in range(len(ids))]
            table["slot_mapping"] = [
                blocks[(start + i) // block_size] * block_size + (start + i) % block_size
                for ids, start, blocks, _ in rows
                for i in range(len(ids))
            ]
            table["cu_seqlens_q"] += accumulate(len(ids) for ids, *_ in rows)
            table["context_lens"] = [start + len(ids) for ids, start, *_ in rows]
            ends = table["cu_seqlens_q"][1:]
            table["logits_indices"] = [end - 1 for end, row in zip(ends, rows) if row[3]]
            """
        ),
    ),
    (
        "slots of whole blocks",
        code(
            """
            for ids, start, blocks, samples in rows:
                every = [block * block_size + place for block in blocks for place in range(block_size)]
                stop = start + len(ids)
                table["slot_mapping"].extend(every[start:stop])
                table["input_ids"].extend(ids)
                table["positions"].extend(range(start, stop))
                table["context_lens"].append(stop)
                table["cu_seqlens_q"].append(len(table["positions"]))
                table["logits_indices"] += [len(table["positions"]) - 1] * samples
            """
        ),
    ),
]

_MASK: Rows = [
    (
        "compared",
        code(
            """
            new = [end - start for start, end in zip(borders, borders[1:])]
            owner_q = torch.repeat_interleave(torch.arange(len(new)), torch.tensor(new))
            owner_k = torch.repeat_interleave(torch.arange(len(new)), torch.tensor(lengths))
            at_q = torch.cat([torch.arange(length - n, length) for n, length in zip(new, lengths)])
            at_k = torch.cat([torch.arange(length) for length in lengths])
            return (owner_q[:, None] == owner_k) & (at_k <= at_q[:, None])
            """
        ),
    ),
    (
        "blocks on the diagonal",
        code(
            """
            parts = []
            for start, end, length in zip(borders, borders[1:], lengths):
                full = torch.ones(length, length, dtype=torch.bool).tril()
                parts.append(full[length - (end - start):])
            return torch.block_diag(*parts).bool()
            """
        ),
    ),
    (
        "cell by cell",
        code(
            """
            mask = torch.zeros(borders[-1], sum(lengths), dtype=torch.bool)
            for seq, length in enumerate(lengths):
                first = sum(lengths[:seq])
                num_new = borders[seq + 1] - borders[seq]
                for i in range(num_new):
                    for key in range(length):
                        if key <= length - num_new + i:
                            mask[borders[seq] + i, first + key] = True
            return mask
            """
        ),
    ),
]

_SHARE: Rows = [
    (
        "one for each first",
        code(
            """
            shares = [1] * len(wanted)
            spare = budget - len(wanted)
            for index, one in enumerate(wanted):
                more = min(one - 1, chunk_size - 1, spare)
                shares[index] += more
                spare -= more
            return shares
            """
        ),
    ),
    (
        "counting down",
        code(
            """
            result, behind = [], len(wanted)
            for one in wanted:
                behind -= 1
                share = min((one, chunk_size, budget - sum(result) - behind))
                result.append(share)
            return result
            """
        ),
    ),
    (
        "recursive",
        code(
            """
            if not wanted:
                return []
            first = min(wanted[0], chunk_size, budget - len(wanted[1:]))
            return [first, *share_budget(wanted[1:], budget - first, chunk_size)]
            """
        ),
    ),
]

_ADMIT: Rows = [
    (
        "while",
        code(
            """
            shares = []
            while len(shares) < min(seats, len(waiting)) and budget > 0:
                chunk = min(waiting[len(shares)], chunk_size, budget)
                needed = -(-chunk // block_size)
                if needed > free_blocks:
                    return shares
                free_blocks, budget = free_blocks - needed, budget - chunk
                shares.append(chunk)
            return shares
            """
        ),
    ),
    (
        "recursive",
        code(
            """
            if not waiting or seats < 1 or budget < 1:
                return []
            first = min(waiting[0], chunk_size, budget)
            blocks = (first + block_size - 1) // block_size
            if blocks > free_blocks:
                return []
            rest = admit(
                waiting[1:], budget - first, chunk_size, seats - 1, free_blocks - blocks, block_size
            )
            return [first] + rest
            """
        ),
    ),
    (
        "slots of the pool",
        code(
            """
            shares, used = [], 0
            for whole in waiting[:seats]:
                chunk = min(whole, chunk_size, budget - sum(shares))
                used += math.ceil(chunk / block_size)
                if not chunk or used > free_blocks:
                    break
                shares.append(chunk)
            return shares
            """
        ),
    ),
]

_PREEMPT: Rows = [
    (
        "another order",
        code(
            """
            request.become(RequestStatus.PREEMPTED)
            request.num_preemptions = request.num_preemptions + 1
            request.num_computed_tokens = 0
            blocks.free(request.request_id)
            """
        ),
    ),
    (
        "hits too",
        code(
            """
            request.num_computed_tokens = request.num_cached_tokens = 0
            request.num_preemptions += 1
            blocks.free(request.request_id)
            request.status = RequestStatus.PREEMPTED
            """
        ),
    ),
    (
        "subtracting",
        code(
            """
            request.num_computed_tokens -= request.num_computed_tokens
            name = request.request_id
            blocks.free(name)
            request.num_preemptions, status = request.num_preemptions + 1, RequestStatus("preempted")
            request.become(status)
            """
        ),
    ),
]

_SCHEDULER: Rows = [
    (
        "one by one",
        code(
            """
            while True:
                needed = 0
                for name, num_new in zip(self.running, self.shares()):
                    needed += self.new_blocks(name, num_new)
                if needed <= self.free_blocks:
                    break
                name = self.running[-1]
                del self.running[-1]
                one = self.counts[name]
                self.free_blocks += one.num_blocks
                one.num_blocks = one.num_computed = 0
                self.waiting = [name, *self.waiting]
                preempted.append(name)
            """,
            """
            if len(preempted) == 0:
                left = self.budget
                for _, used in scheduled:
                    left -= used
                firsts = admit(
                    [self.counts[one].num_tokens for one in self.waiting],
                    left,
                    self.chunk_size,
                    self.max_num_seqs - len(self.running),
                    self.free_blocks,
                    self.block_size,
                )
                for first in firsts:
                    name = self.waiting.pop(0)
                    self.running.append(name)
                    admitted.append(name)
                    scheduled.append(self.give(name, first))
            """,
        ),
    ),
    (
        "a fresh Counts",
        code(
            """
            def lacking():
                pairs = zip(self.running, self.shares())
                return sum(self.new_blocks(*pair) for pair in pairs) - self.free_blocks

            while lacking() > 0:
                victim = self.running.pop()
                old = self.counts[victim]
                self.free_blocks += old.num_blocks
                self.counts[victim] = Counts(old.num_tokens)
                self.waiting[:0] = [victim]
                preempted += [victim]
            """,
            """
            lengths = [self.counts[name].num_tokens for name in self.waiting]
            seats = 0 if preempted else self.max_num_seqs - len(self.running)
            used = sum(pair[1] for pair in scheduled)
            chunks = admit(
                lengths, self.budget - used, self.chunk_size, seats, self.free_blocks, self.block_size
            )
            for name, chunk in zip(list(self.waiting), chunks):
                scheduled.append(self.give(name, chunk))
                self.waiting.remove(name)
                self.running.append(name)
                admitted.append(name)
            """,
        ),
    ),
    (
        "from the back",
        code(
            """
            def fits():
                return sum(map(self.new_blocks, self.running, self.shares())) <= self.free_blocks

            while not fits():
                preempted.append(self.running[-1])
                self.running = self.running[:-1]
                gone = self.counts[preempted[-1]]
                self.free_blocks, gone.num_blocks = self.free_blocks + gone.num_blocks, 0
                gone.num_computed = 0
                self.waiting.insert(0, preempted[-1])
            """,
            """
            if preempted:
                return {"scheduled": scheduled, "admitted": [], "preempted": preempted}
            tokens = sum(num_new for _, num_new in scheduled)
            first_chunks = admit(
                [self.counts[one].num_tokens for one in self.waiting],
                self.budget - tokens,
                self.chunk_size,
                self.max_num_seqs - len(scheduled),
                self.free_blocks,
                self.block_size,
            )
            count = len(first_chunks)
            admitted, self.waiting = self.waiting[:count], self.waiting[count:]
            self.running = self.running + admitted
            scheduled = scheduled + [self.give(*pair) for pair in zip(admitted, first_chunks)]
            """,
        ),
    ),
]

_STEP: Rows = [
    (
        "advancing while building",
        code(
            """
            rows, due = [], []
            for request, num_new in engine.schedule():
                start = request.num_computed_tokens
                request.num_computed_tokens = start + num_new
                samples = request.num_computed_tokens == request.num_tokens
                ids = request.token_ids(start, start + num_new)
                rows.append((ids, start, engine.block_table(request), samples))
                due += [request] * samples
            if not rows:
                return []
            logits = engine.forward(engine.build(rows))
            got = []
            for request, token in zip(due, engine.sample(logits)):
                request.output_token_ids.append(token)
                got.append((request.request_id, token))
                if request.num_tokens >= request.max_length or token in request.stop_token_ids:
                    engine.finish(request)
            return got
            """
        ),
    ),
    (
        "an iterator of tokens",
        code(
            """
            shares = list(engine.schedule())
            if len(shares) == 0:
                return []
            is_due = [one.num_computed_tokens + new == one.num_tokens for one, new in shares]
            rows = [
                (
                    one.token_ids(one.num_computed_tokens, one.num_computed_tokens + new),
                    one.num_computed_tokens,
                    engine.block_table(one),
                    due,
                )
                for (one, new), due in zip(shares, is_due)
            ]
            tokens = iter(engine.sample(engine.forward(engine.build(rows))))
            result = []
            for (request, new), due in zip(shares, is_due):
                request.num_computed_tokens += new
                if not due:
                    continue
                token = next(tokens)
                request.output_token_ids += [token]
                result.append((request.request_id, token))
                stops = token in request.stop_token_ids
                if stops or len(request.token_ids()) == request.max_length:
                    engine.finish(request)
            return result
            """
        ),
    ),
    (
        "all tokens sliced",
        code(
            """
            shares = engine.schedule()
            if shares == []:
                return []
            batch, due = [], []
            for request, num_new in shares:
                done = request.num_computed_tokens
                everything = request.prompt_token_ids + request.output_token_ids
                last = done + num_new == len(everything)
                batch.append((everything[done : done + num_new], done, engine.block_table(request), last))
                if last:
                    due.append(request)
            batch = engine.build(batch)
            logits = engine.forward(batch)
            sampled = engine.sample(logits)
            for request, num_new in shares:
                request.num_computed_tokens = request.num_computed_tokens + num_new
            pairs = []
            for index, request in enumerate(due):
                token = sampled[index]
                pairs.append((request.request_id, token))
                request.output_token_ids.append(token)
                ended = token in request.stop_token_ids
                if ended or request.max_length - request.num_tokens <= 0:
                    engine.finish(request)
            return pairs
            """
        ),
    ),
]


def _settings(budget: int, chunk: int, seats: int) -> tuple[str, tuple[str, ...]]:
    source = f"token_budget = {budget}\nchunk_size = {chunk}\nmax_num_seqs = {seats}"
    return f"{budget}, {chunk}, {seats}", (source,)


ALTERNATIVES: dict[str, Rows] = {
    "5.1": _STATES,
    "5.2": _TABLE,
    "5.3": _MASK,
    "5.4": _SHARE,
    "5.5": _ADMIT,
    "5.6": _PREEMPT,
    "5.7": _SCHEDULER,
    "5.8": _STEP,
    "5.9": [
        _settings(160, 160, 32),
        _settings(176, 176, 16),
        _settings(192, 160, 10),
        _settings(200, 600, 64),
    ],
    "5.10": [
        (
            "rounded literals",
            ("steps_to_first_token = 12\nchunk_step_ms = 20.8\nwhole_prompt_step_ms = 158",),
        ),
        (
            "other roundings",
            ("steps_to_first_token = -(-3000 // 256)\nchunk_step_ms = 20.81\nwhole_prompt_step_ms = 158.2",),
        ),
        (
            "a loop",
            (
                "left, steps_to_first_token = 3000, 0\nwhile left > 0:\n    left -= 256\n"
                "    steps_to_first_token += 1\n"
                "chunk_step_ms = 6 + 296 / 20\nwhole_prompt_step_ms = 6 + 3040 / 20",
            ),
        ),
    ],
    "5.11": [
        (
            "literals",
            ("static_seat_use = 0.25\ntokens_computed_again = 849\nsteps_until_the_next_token = 4",),
        ),
        (
            "floats",
            (
                "static_seat_use = 800 / 3200\n"
                "tokens_computed_again = 849.0\nsteps_until_the_next_token = 4.0",
            ),
        ),
        (
            "lists",
            (
                "lengths = [20, 30, 40, 50, 60, 80, 120, 400]\n"
                "static_seat_use = sum(lengths) / len(lengths) / max(lengths)\n"
                "tokens_computed_again = 700 + 149\nsteps_until_the_next_token = -(-850 // 256)",
            ),
        ),
    ],
    "5.14": [
        ("the other way round", ("return aging * priority + arrival",)),
        ("a later arrival", ("delay = priority * aging\nreturn arrival + delay",)),
        ("summed", ("return sum((arrival, aging * priority))",)),
    ],
}

"""Wrong answers to 3.5 to 3.7: the cache of one sequence, a layer over it, the loop."""

from tests.labs.edit import code, edited

_OLD_KEYS = "self.keys[layer] = torch.cat((self.keys[layer][: self.length], k))"
_OLD_VALUES = "self.values[layer] = torch.cat((self.values[layer][: self.length], v))"
_READ = "return self.keys[layer], self.values[layer]"
_BYTES = "sum(stored[: self.length].nbytes for stored in (*self.keys, *self.values))"
_ADVANCE = "self.length += num_tokens"
_COUNT = f"{_OLD_VALUES}\nself.length += k.shape[0]"
CACHE = [
    (
        "per layer",
        edited("3.5", (_OLD_VALUES, _COUNT), (_ADVANCE, "pass")),
        "Each layer advances the length in `write`",
    ),
    ("per layer and pass", edited("3.5", (_OLD_VALUES, _COUNT)), "advanced by `write` and by `advance` too"),
    (
        "only the new ones",
        edited("3.5", (_OLD_KEYS, "self.keys[layer] = k"), (_OLD_VALUES, "self.values[layer] = v")),
        "`write` keeps only the new tokens",
    ),
    (
        "in front",
        edited(
            "3.5",
            (_OLD_KEYS, "self.keys[layer] = torch.cat((k, self.keys[layer][: self.length]))"),
            (_OLD_VALUES, "self.values[layer] = torch.cat((v, self.values[layer][: self.length]))"),
        ),
        "The new tokens stand in front",
    ),
    (
        "behind everything",
        edited(
            "3.5",
            (_OLD_KEYS, "self.keys[layer] = torch.cat((self.keys[layer], k))"),
            (_OLD_VALUES, "self.values[layer] = torch.cat((self.values[layer], v))"),
        ),
        "What a pass that was given up has written stays",
    ),
    (
        "along the heads",
        edited(
            "3.5",
            ("self.length], k))", "self.length], k), dim=1)"),
            ("self.length], v))", "self.length], v), dim=1)"),
        ),
        "joined along the heads",
    ),
    (
        "swapped",
        edited(
            "3.5",
            ("self.length], k))", "self.length], v))"),
            (_OLD_VALUES, _OLD_VALUES.replace(", v))", ", k))")),
        ),
        "Keys and values are swapped",
    ),
    (
        "layer 0",
        edited(
            "3.5",
            (_OLD_KEYS, "self.keys[0] = torch.cat((self.keys[0][: self.length], k))"),
            (_OLD_VALUES, "self.values[0] = torch.cat((self.values[0][: self.length], v))"),
        ),
        "Every layer is written to layer 0",
    ),
    ("no values", edited("3.5", (_OLD_VALUES, "")), "The values are not stored"),
    (
        "without the new ones",
        edited("3.5", (_READ, "return self.keys[layer][: self.length], self.values[layer][: self.length]")),
        "`read` leaves the new tokens out",
    ),
    (
        "keys twice",
        edited("3.5", (_READ, "return self.keys[layer], self.keys[layer]")),
        "gives the keys twice",
    ),
    ("keys only", edited("3.5", (_READ, "return self.keys[layer]")), "gives the keys only"),
    ("all layers", edited("3.5", (_READ, "return self.keys, self.values")), "gives all layers"),
    ("set", edited("3.5", (_ADVANCE, "self.length = num_tokens")), "sets the length to the number"),
    ("no advance", edited("3.5", (_ADVANCE, "pass")), "`advance` does nothing"),
    ("one", edited("3.5", (_ADVANCE, "self.length += 1")), "counts one token however many"),
    (
        "bytes of K",
        edited("3.5", ("(*self.keys, *self.values)", "self.keys")),
        "are V's bytes counted, or only K's",
    ),
    (
        "bytes of a layer",
        edited("3.5", ("(*self.keys, *self.values)", "(self.keys[0], self.values[0])")),
        "is that of one layer",
    ),
    ("numbers", edited("3.5", (".nbytes", ".numel()")), "`num_bytes` counts numbers"),
    (
        "no heads",
        edited("3.5", (_BYTES, "2 * 4 * len(self.keys) * self.length * self.keys[0].shape[-1]")),
        "leaves the heads out",
    ),
    ("pending ones", edited("3.5", ("stored[: self.length]", "stored")), "of a pass that is not complete"),
    (
        "of one token",
        edited("3.5", (_BYTES, "2 * 4 * len(self.keys) * self.keys[0].shape[1] * self.keys[0].shape[2]")),
        "does not depend on `length`",
    ),
]

_TURN = "q, k = apply_rope(q, positions), apply_rope(k, positions)"
_WRITE = "cache.write(layer, k, v)"
_READ_ALL = "keys, values = cache.read(layer)"
_MASK = "causal_mask(q.shape[0], keys.shape[0])"
_ATTEND = "return attention(q, keys, values, mask)"
LAYER = [
    (
        "advance in the layer",
        edited("3.6", (_READ_ALL, f"{_READ_ALL}\ncache.advance(len(k))")),
        "The length is advanced in here",
    ),
    ("k not turned", edited("3.6", (_TURN, "q = apply_rope(q, positions)")), "The keys are not turned:"),
    ("q not turned", edited("3.6", (_TURN, "k = apply_rope(k, positions)")), "The queries are not turned"),
    ("nothing turned", edited("3.6", (_TURN, "")), "Nothing is turned"),
    (
        "v turned",
        edited("3.6", (_TURN, f"{_TURN}\nv = apply_rope(v, positions)")),
        "The values are turned too",
    ),
    (
        "turned when read",
        edited(
            "3.6",
            (_TURN, "q = apply_rope(q, positions)"),
            (_READ_ALL, f"{_READ_ALL}\nkeys = apply_rope(keys, torch.arange(len(keys)))"),
        ),
        "The outputs are right, but the cache holds unturned keys",
    ),
    (
        "turned twice",
        edited("3.6", (_READ_ALL, f"{_READ_ALL}\nkeys = apply_rope(keys, torch.arange(len(keys)))")),
        "turned a second time",
    ),
    (
        "written before turning",
        code("""
        cache.write(layer, k, v)
        q, k = apply_rope(q, positions), apply_rope(k, positions)
        keys, values = cache.read(layer)
        keys = torch.cat((keys[: len(keys) - len(k)], k))
        return attention(q, keys, values, causal_mask(len(q), len(keys)))
    """),
        "The keys are written unturned and turned only in their own pass",
    ),
    (
        "positions from 0",
        edited("3.6", (_TURN, f"positions = torch.arange(len(q))\n{_TURN}")),
        "`positions` is not used, tokens are counted from 0",
    ),
    (
        "one too far",
        edited("3.6", (_TURN, f"positions = positions + 1\n{_TURN}")),
        "Positions are one too far",
    ),
    (
        "read first",
        code("""
        q, k = apply_rope(q, positions), apply_rope(k, positions)
        keys, values = cache.read(layer)
        cache.write(layer, k, v)
        return attention(q, keys, values, causal_mask(len(q), len(keys)))
    """),
        "read before the new tokens are written",
    ),
    (
        "only the new ones",
        edited("3.6", (_READ_ALL, "keys, values = k, v")),
        "Only the new tokens are seen",
    ),
    (
        "not written",
        edited(
            "3.6",
            (_WRITE, ""),
            (_READ_ALL, f"{_READ_ALL}\nkeys, values = torch.cat((keys, k)), torch.cat((values, v))"),
        ),
        "The new tokens are not written",
    ),
    ("written swapped", edited("3.6", (_WRITE, "cache.write(layer, v, k)")), "written in the wrong order"),
    (
        "read swapped",
        edited("3.6", (_READ_ALL, "values, keys = cache.read(layer)")),
        "read in the wrong order",
    ),
    (
        "layer 0",
        edited("3.6", (_WRITE, "cache.write(0, k, v)"), (_READ_ALL, "keys, values = cache.read(0)")),
        "All layers share layer 0",
    ),
    (
        "no mask",
        edited("3.6", (_MASK, "torch.ones(len(q), len(keys), dtype=torch.bool)")),
        "No mask: the tokens of a prompt",
    ),
    (
        "not shifted",
        edited("3.6", (_MASK, "torch.ones(len(q), len(keys)).tril().bool()")),
        "The mask is not shifted",
    ),
    ("square", edited("3.6", (_MASK, "causal_mask(len(q), len(q))")), "The mask is square"),
    (
        "a row for each key",
        edited("3.6", (_MASK, "causal_mask(len(keys), len(keys))")),
        "The mask needs a row for each query",
    ),
    (
        "turned by the newest positions",
        edited(
            "3.6",
            (_TURN, "q = apply_rope(q, positions)"),
            (_READ_ALL, f"{_READ_ALL}\nkeys = apply_rope(keys, positions)"),
        ),
        "turned after reading, by the positions of the new tokens",
    ),
    (
        "joined and written",
        edited(
            "3.6",
            (_WRITE, "keys, values = cache.read(layer)"),
            (
                f"{_READ_ALL}\nmask",
                "keys, values = torch.cat((keys, k)), torch.cat((values, v))\n"
                "cache.write(layer, keys, values)\nmask",
            ),
        ),
        "Old and new tokens are joined here",
    ),
    (
        "joined, written and read",
        edited(
            "3.6",
            (
                _WRITE,
                "old = cache.read(layer)\ncache.write(layer, torch.cat((old[0], k)), torch.cat((old[1], v)))",
            ),
        ),
        "What is read holds the old tokens twice",
    ),
]

_FORWARD = "new.append(runner.forward(ids, positions))"
_PLACES = "list(range(num_cached, num_cached + len(ids)))"
_NEXT = "ids = new[-1:]"
_START = "ids, num_cached = list(prompt_ids), 0"
_COUNTED = "num_cached += len(ids)"
GENERATE = [
    (
        "recomputed",
        code("""
        new = []
        while len(new) < num_new_tokens:
            ids = list(prompt_ids) + new
            new.append(runner.forward(ids, list(range(len(ids)))))
        return new
    """),
        "The whole sequence goes through the model in every pass",
    ),
    (
        "all new ones again",
        edited(
            "3.7",
            (_NEXT, "ids = list(new)"),
            (_COUNTED, "num_cached = len(prompt_ids)"),
        ),
        "All new tokens so far go in again",
    ),
    (
        "one too far",
        edited("3.7", (_COUNTED, "num_cached += len(ids) + (num_cached == 0)")),
        "Decoded tokens are one position too far",
    ),
    (
        "one too near",
        edited("3.7", (_COUNTED, "num_cached += len(ids) - (num_cached == 0 and not new[1:])")),
        "Decoded tokens are one position too near",
    ),
    ("position 0", edited("3.7", (_COUNTED, "")), "all at position 0"),
    (
        "new ones only",
        edited("3.7", (_COUNTED, "num_cached = len(new) - 1")),
        "count new tokens only",
    ),
    ("number of the pass", edited("3.7", (_COUNTED, "num_cached += 1")), "numbered by the pass"),
    (
        "frozen",
        edited("3.7", (_COUNTED, "num_cached = len(prompt_ids)")),
        "All decoded tokens stand at the position behind the prompt",
    ),
    ("from one", edited("3.7", (_START, "ids, num_cached = list(prompt_ids), 1")), "Positions count from 1"),
    (
        "a pass too many",
        edited(
            "3.7",
            (
                "return new",
                "if new:\n    runner.forward(ids, [num_cached])\nreturn new",
            ),
        ),
        "One pass too many",
    ),
    (
        "runs for nothing",
        edited(
            "3.7",
            ("len(new) < num_new_tokens", "len(new) < max(1, num_new_tokens)"),
            ("return new", "return new[:num_new_tokens]"),
        ),
        "The model is run although no token is wanted",
    ),
    (
        "one for nothing",
        edited("3.7", ("len(new) < num_new_tokens", "len(new) < max(1, num_new_tokens)")),
        "A token comes back although none is wanted",
    ),
    (
        "one more",
        edited("3.7", ("len(new) < num_new_tokens", "len(new) <= num_new_tokens")),
        "One new token too many",
    ),
    (
        "one fewer",
        edited("3.7", ("len(new) < num_new_tokens", "len(new) < num_new_tokens - 1")),
        "One new token is missing",
    ),
    (
        "with the prompt",
        edited("3.7", ("return new", "return list(prompt_ids) + new")),
        "The prompt came back",
    ),
    ("the last one", edited("3.7", ("return new", "return new[-1:]")), "Only the last new token came back"),
    (
        "token by token",
        code("""
        new = []
        for place in range(len(prompt_ids) + num_new_tokens - 1 if num_new_tokens else 0):
            ids = prompt_ids + new
            token = runner.forward([ids[place]], [place])
            if place >= len(prompt_ids) - 1:
                new.append(token)
        return new
    """),
        "The prompt goes in token by token",
    ),
    (
        "last one twice",
        code("""
        runner.forward(prompt_ids, list(range(len(prompt_ids))))
        ids = list(prompt_ids)
        for _ in range(num_new_tokens):
            ids.append(runner.forward([ids[-1]], [len(ids)]))
        return ids[len(prompt_ids):]
    """),
        "The prompt's last token goes in twice",
    ),
    (
        "last one alone",
        code("""
        ids = list(prompt_ids)
        if num_new_tokens and len(ids) > 1:
            runner.forward(ids[:-1], list(range(len(ids) - 1)))
        for _ in range(num_new_tokens):
            ids.append(runner.forward([ids[-1]], [len(ids) - 1]))
        return ids[len(prompt_ids):]
    """),
        "The prompt's last token has a pass of its own",
    ),
    (
        "prompt again",
        edited("3.7", (_NEXT, "ids = list(prompt_ids)")),
        "The prompt goes in again in each pass",
    ),
    (
        "argument changed",
        code("""
        start = len(prompt_ids)
        ids, done = list(prompt_ids), 0
        for _ in range(num_new_tokens):
            token = runner.forward(ids, list(range(done, done + len(ids))))
            done += len(ids)
            prompt_ids.append(token)
            ids = [token]
        return prompt_ids[start:]
    """),
        "changed its argument `prompt_ids`",
    ),
]

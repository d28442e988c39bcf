"""Wrong answers to 1.1 to 1.4: counting, merging, training, encoding."""

from tests.labs.edit import code, edited

COUNT_PAIRS = [
    (
        "skips after a match",
        code("""
        counts = {}
        for ids in sequences:
            i = 0
            while i < len(ids) - 1:
                pair = (ids[i], ids[i + 1])
                counts[pair] = counts.get(pair, 0) + 1
                if i + 2 < len(ids) and (ids[i + 1], ids[i + 2]) == pair:
                    i += 1
                i += 1
        return counts
    """),
        "counted once too few",
    ),
    (
        "steps of two",
        code("""
        counts = Counter()
        for ids in sequences:
            for i in range(0, len(ids) - 1, 2):
                counts[ids[i], ids[i + 1]] += 1
        return counts
    """),
        "skip the pairs between",
    ),
    (
        "return inside the loop",
        code("""
        counts = {}
        for ids in sequences:
            for pair in itertools.pairwise(ids):
                counts[pair] = counts.get(pair, 0) + 1
            return counts
    """),
        "Only the first sequence",
    ),
    (
        "all sequences joined",
        code("""
        flat = sum(sequences, [])
        return Counter(zip(flat, flat[1:]))
    """),
        "across the border",
    ),
    (
        "order ignored",
        edited(
            "1.1",
            (
                "counts[pair] = counts.get(pair, 0) + 1",
                "pair = tuple(sorted(pair)); counts[pair] = counts.get(pair, 0) + 1",
            ),
        ),
        "thrown together",
    ),
    (
        "right before left",
        code("""
        counts = Counter()
        for ids in sequences:
            counts.update(zip(ids[1:], ids))
        return counts
    """),
        "wrong way round",
    ),
    (
        "range ends too early",
        code("""
        counts = Counter()
        for ids in sequences:
            for i in range(len(ids) - 2):
                counts[ids[i], ids[i + 1]] += 1
        return counts
    """),
        "The last pair of each sequence is missing",
    ),
    (
        "range starts too late",
        code("""
        counts = Counter()
        for ids in sequences:
            for i in range(1, len(ids) - 1):
                counts[ids[i], ids[i + 1]] += 1
        return counts
    """),
        "The first pair of each sequence is missing",
    ),
    ("sets instead of adding", edited("1.1", ("counts.get(pair, 0) + 1", "1")), "Every pair has the count 1"),
    (
        "a set of pairs a sequence",
        edited("1.1", ("in itertools.pairwise(ids)", "in set(itertools.pairwise(ids))")),
        "at most once for each sequence",
    ),
    (
        "single tokens",
        code("return Counter(token for ids in sequences for token in ids)"),
        "counts of single tokens",
    ),
    (
        "a list of pairs",
        code("return [pair for ids in sequences for pair in itertools.pairwise(ids)]"),
        "a list of the pairs",
    ),
]

MERGE_PAIR = [
    (
        "a list is no tuple",
        edited("1.2", ("(ids[i], ids[i + 1]) == pair", "ids[i : i + 2] == pair")),
        "Nothing is ever merged",
    ),
    (
        "first occurrence only",
        code("""
        for i in range(len(ids) - 1):
            if (ids[i], ids[i + 1]) == pair:
                return ids[:i] + [new_id] + ids[i + 2:]
        return list(ids)
    """),
        "Only the first occurrence",
    ),
    (
        "moves by one after a merge",
        edited("1.2", ("i += 2", "i += 1")),
        "A token that was merged is used again",
    ),
    (
        "from the right",
        code("""
        out, i = [], len(ids) - 1
        while i >= 0:
            if i > 0 and (ids[i - 1], ids[i]) == pair:
                out.insert(0, new_id)
                i -= 2
            else:
                out.insert(0, ids[i])
                i -= 1
        return out
    """),
        "from right to left",
    ),
    (
        "loop ends at the last pair",
        edited("1.2", ("while i < len(ids):", "while i < len(ids) - 1:")),
        "The last token is lost",
    ),
    (
        "unordered pair",
        edited("1.2", ("(ids[i], ids[i + 1]) == pair", "{ids[i], ids[i + 1]} == set(pair)")),
        "the other way round too",
    ),
    (
        "left token decides",
        edited("1.2", ("(ids[i], ids[i + 1]) == pair", "ids[i] == pair[0]")),
        "The left token of the pair alone",
    ),
    (
        "always moves by two",
        code("""
        out = []
        for i in range(0, len(ids), 2):
            if tuple(ids[i:i + 2]) == tuple(pair):
                out.append(new_id)
            else:
                out.extend(ids[i:i + 2])
        return out
    """),
        "begin at an even position",
    ),
    (
        "keeps the pair as a tuple",
        edited("1.2", ("merged.append(new_id)", "merged.append(tuple(pair))")),
        "The pair itself stands",
    ),
    ("forgets the new token", edited("1.2", ("merged.append(new_id)", "pass")), "nothing took its place"),
    (
        "new token beside the pair",
        edited("1.2", ("merged.append(new_id)", "merged.extend([ids[i], ids[i + 1], new_id])")),
        "beside the pair",
    ),
    ("no return", edited("1.2", ("return merged", "ids = merged")), "Nothing came back"),
    (
        "changes the argument",
        code("""
        i = 0
        while i < len(ids) - 1:
            if (ids[i], ids[i + 1]) == tuple(pair):
                ids[i:i + 2] = [new_id]
            i += 1
        return ids
    """),
        "work on a copy",
    ),
]

_BEST = "min(counts, key=lambda pair: (-counts[pair], tie_order(pair)))"
TRAIN_BPE = [
    (
        "never applies a merge",
        edited(
            "1.3",
            ("sequences = [merge_pair(ids, best_pair, 256 + len(merges)) for ids in sequences]", "pass"),
        ),
        "The same pair is found in every round",
    ),
    (
        "ignores the weights",
        edited("1.3", ("+= count * weight", "+= count")),
        "How often a piece occurs is not used",
    ),
    (
        "first seen wins a tie",
        edited("1.3", (_BEST, "max(counts, key=counts.get)")),
        "the pair that was seen first is taken",
    ),
    (
        "smallest ids win a tie",
        edited("1.3", (_BEST, "min(counts, key=lambda pair: (-counts[pair], pair))")),
        "the smallest pair of ids is taken",
    ),
    (
        "largest wins a tie",
        edited("1.3", (_BEST, "max(counts, key=lambda pair: (counts[pair], tie_order(pair)))")),
        "the largest `tie_order(pair)` is taken",
    ),
    (
        "rarest pair",
        edited("1.3", (_BEST, "min(counts, key=lambda pair: (counts[pair], tie_order(pair)))")),
        "The rarest pair is merged",
    ),
    (
        "ids from 257",
        edited("1.3", ("256 + len(merges)) for", "257 + len(merges)) for")),
        "off by one: merge number 0",
    ),
    ("rank as id", edited("1.3", ("256 + len(merges)) for", "len(merges)) for")), "has the id of its rank"),
    (
        "one long sequence",
        edited(
            "1.3",
            (
                "sequences = [list(piece) for piece in piece_counts]",
                "sequences = [list(b''.join(piece * n for piece, n in piece_counts.items()))]",
            ),
            ("zip(sequences, piece_counts.values(), strict=True)", "zip(sequences, [1])"),
        ),
        "across the borders of pieces",
    ),
    ("no stop", edited("1.3", ("if not counts:\n        break", "")), "When no pair is left"),
    (
        "vocabulary size",
        edited("1.3", ("while len(merges) < num_merges:", "while len(merges) < num_merges - 256:")),
        "not the size of the vocabulary",
    ),
    (
        "one too many",
        edited("1.3", ("while len(merges) < num_merges:", "while len(merges) <= num_merges:")),
        "One merge too many",
    ),
    (
        "one too few",
        edited("1.3", ("while len(merges) < num_merges:", "while len(merges) < num_merges - 1:")),
        "One merge too few",
    ),
    (
        "dict of merges",
        edited("1.3", ("return merges", "return {pair: 256 + rank for rank, pair in enumerate(merges)}")),
        "a dict of merges",
    ),
    (
        "pairs of bytes",
        edited(
            "1.3",
            (
                "return merges",
                "table = token_table(merges); return [(table[a], table[b]) for a, b in merges]",
            ),
        ),
        "given as bytes",
    ),
]

_PICK = "min(itertools.pairwise(ids), key=lambda pair: ranks.get(pair, math.inf))"
ENCODE_PIECE = [
    (
        "rank of every pair",
        code("""
        ids = list(piece)
        while len(ids) > 1:
            pair = min(zip(ids, ids[1:]), key=lambda pair: ranks[pair])
            ids = merge_pair(ids, pair, 256 + ranks[pair])
        return ids
    """),
        "has no rank",
    ),
    (
        "left-most",
        code("""
        ids = list(piece)
        while True:
            for i in range(len(ids) - 1):
                if (ids[i], ids[i + 1]) in ranks:
                    ids[i:i + 2] = [256 + ranks[ids[i], ids[i + 1]]]
                    break
            else:
                return ids
    """),
        "The left-most known pair",
    ),
    (
        "right-most",
        code("""
        ids = list(piece)
        while True:
            for i in reversed(range(len(ids) - 1)):
                if (ids[i], ids[i + 1]) in ranks:
                    ids[i:i + 2] = [256 + ranks[ids[i], ids[i + 1]]]
                    break
            else:
                return ids
    """),
        "The right-most known pair",
    ),
    (
        "highest rank",
        edited("1.4", (_PICK, "max(itertools.pairwise(ids), key=lambda pair: ranks.get(pair, -1))")),
        "with the highest rank",
    ),
    (
        "longest match",
        code("""
        table = token_table(sorted(ranks, key=ranks.get))
        lookup = {data: i for i, data in enumerate(table)}
        ids = []
        while piece:
            size = max(n for n in range(1, len(piece) + 1) if piece[:n] in lookup)
            ids.append(lookup[piece[:size]])
            piece = piece[size:]
        return ids
    """),
        "Longest match first",
    ),
    (
        "one merge",
        code("""
        ids = list(piece)
        known = [pair for pair in zip(ids, ids[1:]) if pair in ranks]
        if known:
            at = list(zip(ids, ids[1:])).index(min(known, key=ranks.get))
            ids[at:at + 2] = [256 + ranks[ids[at], ids[at + 1]]]
        return ids
    """),
        "Only one merge is made",
    ),
    (
        "id is the rank",
        code("""
        ids = list(piece)
        while len(ids) > 1:
            pair = min(itertools.pairwise(ids), key=lambda pair: ranks.get(pair, math.inf))
            if pair not in ranks:
                break
            ids = merge_pair(ids, pair, 256 + ranks[pair])
        return [i - 256 if i > 255 else i for i in ids]
    """),
        "256 too small",
    ),
    (
        "id off by one",
        code("""
        ids = list(piece)
        while len(ids) > 1:
            pair = min(itertools.pairwise(ids), key=lambda pair: ranks.get(pair, math.inf))
            if pair not in ranks:
                break
            ids = merge_pair(ids, pair, 256 + ranks[pair])
        return [i + 1 if i > 255 else i for i in ids]
    """),
        "merged tokens are off by one",
    ),
    (
        "min of nothing",
        edited("1.4", ("while len(ids) > 1:", "while True:")),
        "A single token has no pair to choose from",
    ),
    (
        "min of the known pairs",
        code("""
        ids = list(piece)
        while len(ids) > 1:
            pair = min((pair for pair in zip(ids, ids[1:]) if pair in ranks), key=ranks.get)
            ids = merge_pair(ids, pair, 256 + ranks[pair])
        return ids
    """),
        "No known pair is left",
    ),
    ("forgets 256", edited("1.4", ("256 + ranks[pair]", "ranks[pair]")), "256 is forgotten"),
    ("no break", edited("1.4", ("if pair not in ranks:\n        break\n", "\n")), "the loop goes on"),
    ("stops at two", edited("1.4", ("len(ids) > 1", "len(ids) > 2")), "The last merge is missing"),
    ("bytes only", code("return list(piece)"), "No merge is made at all"),
    (
        "bytes of the tokens",
        edited("1.4", ("return ids", "return [token_table(sorted(ranks, key=ranks.get))[i] for i in ids]")),
        "the tokens' bytes",
    ),
]

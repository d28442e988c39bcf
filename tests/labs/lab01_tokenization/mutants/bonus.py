"""Wrong answers to 1.15 to 1.17: counts kept up to date, streaming in, packing."""

import textwrap

from tests.labs.edit import code, edited, solution

MERGE_AND_UPDATE = [
    ("old pairs stay", edited("1.15", ("updated.subtract(count_pairs([ids]))", "pass")), "are still counted"),
    (
        "only the pair goes",
        edited("1.15", ("updated.subtract(count_pairs([ids]))", "updated.pop(pair, None)")),
        "Only the merged pair is taken off",
    ),
    (
        "new pairs missing",
        edited("1.15", ("updated.update(count_pairs([ids]))", "pass")),
        "The pairs that the merge made",
    ),
    (
        "each pair once",
        edited(
            "1.15", ("updated.subtract(count_pairs([ids]))", "updated.subtract(set(itertools.pairwise(ids)))")
        ),
        "taken off once for a sequence",
    ),
    (
        "zeros stay",
        edited("1.15", ("{pair: count for pair, count in updated.items() if count}", "dict(updated)")),
        "with the count 0",
    ),
    (
        "sequences unchanged",
        edited("1.15", ("return merged,", "return sequences,")),
        "come back as they were",
    ),
    (
        "touched is all",
        edited("1.15", (" if count}, touched", " if count}, len(sequences)")),
        "counts all sequences",
    ),
    (
        "touched is occurrences",
        edited("1.15", ("touched += 1", "touched += list(itertools.pairwise(ids)).count(pair)")),
        "counts occurrences",
    ),
    (
        "counts only changed ones",
        edited("1.15", ("Counter(counts)", "Counter()"), ("updated.subtract(count_pairs([ids]))", "pass")),
        "only the sequences that changed",
    ),
    (
        "counts everything again",
        code("""
        merged = [merge_pair(ids, pair, new_id) for ids in sequences]
        touched = sum(old != new for old, new in zip(sequences, merged))
        return merged, dict(count_pairs(merged)), touched
    """),
        "Everything is counted again",
    ),
    (
        "drops the others",
        edited("1.15", ("\n    merged.append(ids)", "\n        merged.append(ids)")),
        "Sequences without the pair are missing",
    ),
    ("two results", edited("1.15", (" if count}, touched", " if count}")), "Two of three results"),
]

_CUT = "pieces = regex.findall(DEFAULT_PATTERN, self.held)\nself.held"
STREAMING_ENCODER = [
    (
        "chunk by chunk",
        (
            textwrap.dedent("""
        pieces = regex.findall(DEFAULT_PATTERN, chunk)
        return [token for piece in pieces for token in encode_piece(piece.encode("utf-8"), self.ranks)]
    """).strip(),
            "return []",
        ),
        "Every chunk is encoded on its own",
    ),
    (
        "holds one",
        edited("1.16", ("pieces[-2:]", "pieces[-1:]"), ("pieces[:-2]", "pieces[:-1]")),
        "Only the last piece is held back",
    ),
    (
        "holds three",
        edited("1.16", ("pieces[-2:]", "pieces[-3:]"), ("pieces[:-2]", "pieces[:-3]")),
        "Three pieces are held back",
    ),
    ("holds everything", ("self.held += chunk\nreturn []", solution("1.16")[1]), "before the end"),
    (
        "forgets the rest",
        edited("1.16", ('self.held = "".join(pieces[-2:])', 'self.held = ""')),
        "The last two pieces of each chunk are lost",
    ),
    ("never shortens", edited("1.16", ('self.held = "".join(pieces[-2:])\n', "")), "stay in `self.held`"),
    (
        "cuts the chunk alone",
        edited(
            "1.16",
            ("self.held += chunk\n", ""),
            (_CUT + ' = "".join', 'pieces = regex.findall(DEFAULT_PATTERN, chunk)\nself.held += "".join'),
        ),
        "without the text that was held",
    ),
    ("empty flush", (solution("1.16")[0], 'self.held = ""\nreturn []'), "`flush` gives nothing"),
    (
        "flush keeps",
        edited(
            "1.16",
            (
                'pieces, self.held = regex.findall(DEFAULT_PATTERN, self.held), ""',
                "pieces = regex.findall(DEFAULT_PATTERN, self.held)",
            ),
        ),
        "does not empty",
    ),
    (
        "flush in one go",
        (
            solution("1.16")[0],
            'held, self.held = self.held, ""\nreturn encode_piece(held.encode("utf-8"), self.ranks)',
        ),
        "in one go",
    ),
    (
        "cuts at spaces",
        (
            textwrap.dedent("""
        self.held += chunk
        cut = self.held.rfind(" ") + 1
        done, self.held = self.held[:cut], self.held[cut:]
        pieces = regex.findall(DEFAULT_PATTERN, done)
        return [token for piece in pieces for token in encode_piece(piece.encode("utf-8"), self.ranks)]
    """).strip(),
            solution("1.16")[1],
        ),
        "cut at its last space",
    ),
    (
        "strips",
        edited("1.16", ("self.held += chunk\n", "self.held += chunk.strip()\n")),
        "The chunks are stripped",
    ),
]

_ORDER = "sorted(range(len(lengths)), key=lambda index: -lengths[index])"
_ROW = "next((row for row, room in enumerate(free) if room >= lengths[index]), len(rows))"
PACK = [
    ("in order", edited("1.17", (_ORDER, "range(len(lengths))")), "taken as they come"),
    (
        "shortest first",
        edited("1.17", (_ORDER, "sorted(range(len(lengths)), key=lambda index: lengths[index])")),
        "The shortest goes first",
    ),
    (
        "ties backwards",
        edited(
            "1.17", (_ORDER, "sorted(range(len(lengths)), key=lambda index: (lengths[index], index))[::-1]")
        ),
        "the larger index goes first",
    ),
    (
        "last row only",
        edited("1.17", (_ROW, "len(rows) - 1 if rows and free[-1] >= lengths[index] else len(rows)")),
        "Only the last row",
    ),
    (
        "best fit",
        edited(
            "1.17",
            (
                _ROW,
                "min((r for r in range(len(rows)) if free[r] >= lengths[index]), key=lambda r: "
                "free[r], default=len(rows))",
            ),
        ),
        "best fit",
    ),
    (
        "emptiest row",
        edited(
            "1.17",
            (
                _ROW,
                "max((r for r in range(len(rows)) if free[r] >= lengths[index]), key=lambda r: "
                "free[r], default=len(rows))",
            ),
        ),
        "The emptiest row",
    ),
    (
        "strictly more room",
        edited("1.17", ("room >= lengths[index]", "room > lengths[index]")),
        "`>=`, not `>`",
    ),
    (
        "places in the sorted list",
        edited("1.17", ("rows: list", "lengths = sorted(lengths, reverse=True)\nrows: list")),
        "places in the sorted list",
    ),
    (
        "lengths instead of indices",
        edited("1.17", ("rows[row].append(index)", "rows[row].append(lengths[index])")),
        "The rows hold lengths",
    ),
    (
        "one each",
        code("return [[index] for index in sorted(range(len(lengths)), key=lambda index: -lengths[index])]"),
        "a row of its own",
    ),
    ("room never shrinks", edited("1.17", ("free[row] -= lengths[index]", "pass")), "more than `row_length`"),
    ("number of rows", edited("1.17", ("return rows", "return len(rows)")), "Only the number of rows"),
]

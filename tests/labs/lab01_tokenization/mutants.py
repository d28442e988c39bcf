"""Wrong answers to the exercises of lab 1, as students write them, with what the message must say.

`MUTANTS[exercise]` lists (name, blanks, fragment): one dedented source for each solution region of the answer
cell, and a part of the message that this mistake alone gets.
"""

import textwrap
from pathlib import Path

from cblab.lab.solutions import solution_of

Mutant = tuple[str, tuple[str, ...], str]


def solution(exercise_id: str) -> tuple[str, ...]:
    """The blanks as the source fills them."""
    text = solution_of("01_tokenization", exercise_id, Path(__file__))
    assert text is not None
    return tuple(text.split("\n…\n"))


def edited(exercise_id: str, *changes: tuple[str, str]) -> tuple[str, ...]:
    """The solution with each (old, new) replaced; each old text occurs exactly once in it."""
    blanks = list(solution(exercise_id))
    for old, new in changes:
        found = [index for index, blank in enumerate(blanks) if old in blank]
        assert len(found) == 1, (exercise_id, old, found)
        assert blanks[found[0]].count(old) == 1, (exercise_id, old)
        blanks[found[0]] = blanks[found[0]].replace(old, new)
    return tuple(blanks)


def code(text: str) -> tuple[str, ...]:
    """One blank, dedented."""
    return (textwrap.dedent(text).strip("\n"),)


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

_FIND = "regex.findall(DEFAULT_PATTERN, text)"
_LAST = 'return data.decode("utf-8", errors="replace")'
BYTE_LEVEL_TOKENIZER = [
    ("split", edited("1.5", (_FIND, "text.split()")), "`split()` throws them away"),
    ("words and punctuation", edited("1.5", (_FIND, r"regex.findall(r'\w+|[^\w\s]', text)")), "matches none"),
    ("no bos", edited("1.5", ("[self.bos_token_id] if add_special_tokens else []", "[]")), "bos is missing"),
    (
        "bos always",
        edited("1.5", ("[self.bos_token_id] if add_special_tokens else []", "[self.bos_token_id]")),
        "although `add_special_tokens` is False",
    ),
    ("eos too", edited("1.5", ("return ids", "return ids + [self.eos_token_id]")), "eos stands at the end"),
    (
        "eos by the option",
        edited("1.5", ("return ids", "return [*ids, self.eos_token_id] if add_special_tokens else ids")),
        "that option is for bos only",
    ),
    (
        "text in one go",
        edited("1.5", (_FIND, "[text]")),
        "encoded in one go, so that tokens cross",
    ),
    (
        "text in one go, no bos",
        ('return encode_piece(text.encode("utf-8"), self.ranks)', solution("1.5")[1]),
        "bos is missing, and the text is encoded in one go",
    ),
    (
        "pieces not encoded",
        edited("1.5", ('encode_piece(piece.encode("utf-8"), self.ranks)', "encode_piece(piece, self.ranks)")),
        "Characters stand among the ids",
    ),
    (
        "latin-1",
        edited("1.5", ('piece.encode("utf-8")', 'piece.encode("latin-1", "replace")')),
        "one byte each (Latin-1)",
    ),
    (
        "lower case",
        edited("1.5", (_FIND, "regex.findall(DEFAULT_PATTERN, text.lower())")),
        "lower case first",
    ),
    (
        "normalised",
        edited(
            "1.5",
            (_FIND, "regex.findall(DEFAULT_PATTERN, __import__('unicodedata').normalize('NFKC', text))"),
        ),
        "normalised first",
    ),
    ("stripped", edited("1.5", (_FIND, "regex.findall(DEFAULT_PATTERN, text.strip())")), "was stripped"),
    (
        "no merges",
        edited("1.5", ('encode_piece(piece.encode("utf-8"), self.ranks)', 'list(piece.encode("utf-8"))')),
        "No merge is used",
    ),
    (
        "append",
        edited(
            "1.5",
            (
                'ids += encode_piece(piece.encode("utf-8"), self.ranks)',
                'ids.append(encode_piece(piece.encode("utf-8"), self.ranks))',
            ),
        ),
        "A list of lists",
    ),
    (
        "specials in text",
        edited(
            "1.5",
            (_FIND, r"regex.findall(r'<\|(?:bos|eos|pad)\|>|' + DEFAULT_PATTERN, text)"),
            (
                'ids += encode_piece(piece.encode("utf-8"), self.ranks)',
                "known = {name: i for i, name in self.special_names.items()}; ids += [known[piece]] if "
                'piece in known else encode_piece(piece.encode("utf-8"), self.ranks)',
            ),
        ),
        "recognised inside the text",
    ),
    (
        "token by token",
        (
            solution("1.5")[0],
            textwrap.dedent("""
        text = ""
        for token_id in ids:
            if token_id not in self.special_names:
                text += self.table[token_id].decode("utf-8", errors="replace")
            elif not skip_special_tokens:
                text += self.special_names[token_id]
        return text
    """).strip(),
        ),
        "a character in two tokens becomes",
    ),
    (
        "token by token, ignoring",
        (
            solution("1.5")[0],
            textwrap.dedent("""
        text = ""
        for token_id in ids:
            if token_id not in self.special_names:
                text += self.table[token_id].decode("utf-8", errors="ignore")
            elif not skip_special_tokens:
                text += self.special_names[token_id]
        return text
    """).strip(),
        ),
        "half characters are dropped",
    ),
    (
        "token by token, strict",
        (
            solution("1.5")[0],
            textwrap.dedent("""
        text = ""
        for token_id in ids:
            if token_id not in self.special_names:
                text += self.table[token_id].decode("utf-8")
            elif not skip_special_tokens:
                text += self.special_names[token_id]
        return text
    """).strip(),
        ),
        "half a character is an error",
    ),
    (
        "names are text",
        edited("1.5", ('self.special_names[token_id].encode("utf-8")', "self.special_names[token_id]")),
        "is text, which cannot be added to bytes",
    ),
    (
        "token by token, no names",
        (
            solution("1.5")[0],
            'return "".join(self.token_bytes(i).decode("utf-8", errors="replace") for i in ids)',
        ),
        "Probably: Each token is decoded on its own",
    ),
    ("errors ignored", edited("1.5", ('errors="replace"', 'errors="ignore"')), "Invalid bytes disappear"),
    ("errors strict", edited("1.5", (', errors="replace"', "")), "raise a UnicodeDecodeError"),
    (
        "joined with spaces",
        (
            solution("1.5")[0],
            textwrap.dedent("""
        parts = []
        for token_id in ids:
            if token_id not in self.special_names:
                parts.append(self.table[token_id])
            elif not skip_special_tokens:
                parts.append(self.special_names[token_id].encode())
        return b" ".join(parts).decode("utf-8", errors="replace")
    """).strip(),
        ),
        "joined with spaces",
    ),
    (
        "specials always shown",
        edited("1.5", ("elif not skip_special_tokens:", "else:")),
        "although `skip_special_tokens` is True",
    ),
    (
        "specials never shown",
        edited("1.5", ("elif not skip_special_tokens:", "elif False:")),
        "although `skip_special_tokens` is False",
    ),
    (
        "switch reversed",
        edited("1.5", ("elif not skip_special_tokens:", "elif skip_special_tokens:")),
        "the wrong way round",
    ),
    (
        "only bos skipped",
        edited(
            "1.5",
            (
                "elif not skip_special_tokens:",
                "elif not skip_special_tokens or token_id != self.bos_token_id:",
            ),
        ),
        "Only bos is skipped",
    ),
    (
        "specials in the table",
        (solution("1.5")[0], 'return b"".join(self.table[i] for i in ids).decode("utf-8", errors="replace")'),
        "looked up in `self.table`",
    ),
    ("latin-1 back", edited("1.5", (_LAST, 'return data.decode("latin-1")')), "read as Latin-1"),
    ("bytes", edited("1.5", (_LAST, "return data")), "Bytes came back"),
]

UNFINISHED_TAIL = [
    ("nothing held", code("return 0"), "Nothing is ever held back"),
    (
        "missing bytes",
        edited(
            "1.6",
            ("return length if length < needed else 0", "return needed - length if length < needed else 0"),
        ),
        "how many bytes are still missing",
    ),
    (
        "complete ones too",
        edited("1.6", ("length < needed", "length <= needed")),
        "A complete character is held back as well",
    ),
    (
        "without the first byte",
        edited(
            "1.6", ("return length if length < needed else 0", "return length - 1 if length < needed else 0")
        ),
        "Only continuation bytes are counted",
    ),
    (
        "last byte only",
        edited("1.6", ("min(3, len(data)) + 1", "min(1, len(data)) + 1")),
        "the very last byte",
    ),
    (
        "last two bytes only",
        edited("1.6", ("min(3, len(data)) + 1", "min(2, len(data)) + 1")),
        "Only the last two bytes",
    ),
    (
        "three taken for four",
        edited("1.6", ("3 if byte < 0xF0 else 4", "4")),
        "Characters of 3 bytes are taken for 4",
    ),
    (
        "whole buffer",
        code("""
        try:
            data.decode("utf-8")
            return 0
        except UnicodeDecodeError:
            return len(data)
    """),
        "Everything is held back",
    ),
    (
        "all high bytes",
        code("""
        count = 0
        while count < len(data) and data[-1 - count] >= 0x80:
            count += 1
        return count
    """),
        "All bytes above 0x7F",
    ),
    (
        "stray continuation bytes",
        code("""
        length = 0
        for byte in reversed(data[-3:]):
            if byte < 0x80:
                return length
            length += 1
            if byte >= 0xC0:
                needed = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
                return length if length < needed else 0
        return length
    """),
        "Continuation bytes without a first byte",
    ),
    (
        "from the first error",
        code("""
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as error:
            return len(data) - error.start
        return 0
    """),
        "the first byte that cannot be decoded",
    ),
    (
        "Python's decoder",
        code("""
        import codecs
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        decoder.decode(data)
        return len(decoder.getstate()[0])
    """),
        "Bytes that can never become valid",
    ),
    (
        "empty buffer",
        edited("1.6", ("for length in range", "if data[-1] < 0x80:\n    return 0\nfor length in range")),
        "An empty buffer",
    ),
    (
        "a truth value",
        code("""
        for length in range(1, min(3, len(data)) + 1):
            byte = data[-length]
            if byte < 0x80:
                return False
            if byte >= 0xC0:
                return length < (2 if byte < 0xE0 else 3 if byte < 0xF0 else 4)
        return False
    """),
        "True or False",
    ),
]

_MASK = "torch.tensor(mask, dtype=torch.int64)"
PAD_BATCH = [
    (
        "mask from ids",
        edited(
            "1.7",
            (
                f"return torch.tensor(rows, dtype=torch.int64), {_MASK}",
                "ids = torch.tensor(rows, dtype=torch.int64)\nreturn ids, (ids != pad_id).long()",
            ),
        ),
        "comparing ids with `pad_id`",
    ),
    (
        "always right",
        code("""
        longest = max(map(len, sequences))
        rows = [ids + [pad_id] * (longest - len(ids)) for ids in sequences]
        mask = [[1] * len(ids) + [0] * (longest - len(ids)) for ids in sequences]
        return torch.tensor(rows), torch.tensor(mask)
    """),
        "always on the right",
    ),
    (
        "always left",
        code("""
        longest = max(map(len, sequences))
        rows = [[pad_id] * (longest - len(ids)) + ids for ids in sequences]
        mask = [[0] * (longest - len(ids)) + [1] * len(ids) for ids in sequences]
        return torch.tensor(rows), torch.tensor(mask)
    """),
        "always on the left",
    ),
    (
        "sides swapped",
        edited(
            "1.7",
            ('padding + ids if side == "left"', 'padding + ids if side != "left"'),
            ('zeros + ones if side == "left"', 'zeros + ones if side != "left"'),
        ),
        "Left and right are swapped",
    ),
    ("filled with zeros", edited("1.7", ("[pad_id] * (longest", "[0] * (longest")), "filled with 0"),
    ("inverted mask", edited("1.7", (_MASK, "1 - " + _MASK)), "The mask is inverted"),
    (
        "mask always left",
        edited("1.7", ('zeros + ones if side == "left" else ones + zeros', "ones + zeros")),
        "stand on the left whatever",
    ),
    (
        "mask always right",
        edited("1.7", ('zeros + ones if side == "left" else ones + zeros', "zeros + ones")),
        "stand on the right whatever",
    ),
    (
        "mask of ones",
        edited("1.7", (_MASK, "torch.ones(len(rows), longest, dtype=torch.int64)")),
        "1 everywhere",
    ),
    (
        "cut to the shortest",
        edited(
            "1.7",
            (
                "longest = max(len(ids) for ids in sequences)",
                "longest = min(len(ids) for ids in sequences)\nsequences = [ids[:longest] for ids in "
                "sequences]",
            ),
        ),
        "cut to the shortest",
    ),
    (
        "one slot more",
        edited("1.7", ("max(len(ids) for ids in sequences)", "max(len(ids) for ids in sequences) + 1")),
        "one slot too long",
    ),
    ("float mask", edited("1.7", (_MASK, "torch.tensor(mask, dtype=torch.float32)")), "of floating point"),
    ("bool mask", edited("1.7", (_MASK, "torch.tensor(mask, dtype=torch.bool)")), "of type bool"),
    ("no mask", edited("1.7", (f", {_MASK}", "")), "Only the ids came back"),
    (
        "lists",
        edited("1.7", (f"return torch.tensor(rows, dtype=torch.int64), {_MASK}", "return rows, mask")),
        "Lists came back",
    ),
    (
        "swapped results",
        edited(
            "1.7",
            (
                f"return torch.tensor(rows, dtype=torch.int64), {_MASK}",
                f"return {_MASK}, torch.tensor(rows, dtype=torch.int64)",
            ),
        ),
        "The two results are swapped",
    ),
]

EMBED = [
    ("scaled", code("return table[input_ids] * table.shape[1] ** 0.5"), "√hidden_size times too large"),
    ("divided", code("return table[input_ids] / table.shape[1] ** 0.5"), "√hidden_size times too small"),
    (
        "positions",
        code("return table[input_ids] + table[torch.arange(input_ids.shape[1])]"),
        "depends on the position",
    ),
    ("ids from one", code("return table[input_ids - 1]"), "the row before its own"),
    (
        "padding index",
        code("return table[input_ids].masked_fill((input_ids == 0)[..., None], 0.0)"),
        "as zeros",
    ),
    ("flat", code("return table[input_ids.flatten()]"), "are one dimension"),
    (
        "normalised",
        code("rows = table[input_ids]\nreturn rows / rows.norm(dim=-1, keepdim=True)"),
        "were normalised",
    ),
    ("transposed", code("return table[input_ids].transpose(1, 2)"), "last two dimensions are swapped"),
    ("averaged", code("return table[input_ids].mean(dim=1)"), "were averaged"),
    ("first sequence", code("return table[input_ids[0]]"), "Only the first sequence"),
]

_KEEP = "keep = max(n for n in range(len(stop)) if held.endswith(stop[:n]))"
STREAM_UNTIL_STOP = [
    (
        "the bug itself",
        code("""
        shown = []
        for delta in deltas:
            if stop in delta:
                shown.append(delta[: delta.index(stop)])
                return shown
            shown.append(delta)
        return shown
    """),
        "in each delta alone",
    ),
    (
        "nothing held back",
        code("""
        shown, text = [], ""
        for delta in deltas:
            start = len(text)
            text += delta
            if stop in text:
                shown.append(text[start:max(start, text.index(stop))])
                return shown
            shown.append(delta)
        return shown + [""]
    """),
        "its first half was already shown",
    ),
    (
        "nothing held back, by slices",
        code("""
        shown, text = [], ""
        for delta in deltas:
            text += delta
            if stop in text:
                shown.append(text[len(text) - len(delta):text.index(stop)])
                return shown
            shown.append(delta)
        return shown
    """),
        "Each delta is shown at once",
    ),
    (
        "no empty last entry",
        edited("1.9", ("\nshown.append(held)\n", "\nif held:\n    shown.append(held)\n")),
        "The entry after the last delta is missing",
    ),
    (
        "last entry always empty",
        edited("1.9", ("\nshown.append(held)\n", '\nshown.append("")\n')),
        "is dropped when the deltas end",
    ),
    ("smallest n", edited("1.9", ("keep = max(", "keep = min(")), "Every text ends with stop[:0]"),
    (
        "no empty entries",
        edited(
            "1.9",
            (
                "    shown.append(held[: len(held) - keep])",
                "    if len(held) > keep:\n        shown.append(held[: len(held) - keep])",
            ),
        ),
        "An empty entry is left out",
    ),
    ("no flush", edited("1.9", ("\nshown.append(held)\n", "\n")), "lost when the deltas end"),
    (
        "shows the stop string",
        edited("1.9", ("held[: held.index(stop)]", "held[: held.index(stop) + len(stop)]")),
        "The stop string itself is shown",
    ),
    (
        "shows what follows",
        edited("1.9", ("held[: held.index(stop)]", 'held.replace(stop, "")')),
        "Text after the stop string",
    ),
    (
        "loses what stands before",
        edited("1.9", ("held[: held.index(stop)]", '""')),
        "in front of the stop string is lost",
    ),
    ("last occurrence", edited("1.9", ("held.index(stop)", "held.rindex(stop)")), "The last occurrence ends"),
    (
        "goes on",
        edited(
            "1.9",
            (
                "        return shown\n",
                "        held = held[held.index(stop) + len(stop):]\n        continue\n",
            ),
        ),
        "goes on after the stop string",
    ),
    ("always holds", edited("1.9", (_KEEP, "keep = min(len(held), len(stop) - 1)")), "are always held back"),
    (
        "holds one",
        edited("1.9", (_KEEP, "keep = 1 if len(stop) > 1 and held.endswith(stop[0]) else 0")),
        "Only one character is ever",
    ),
    (
        "all or nothing",
        edited("1.9", (_KEEP, "keep = len(held) if stop.startswith(held) else 0")),
        "only when all of it",
    ),
    (
        "shortest end",
        edited("1.9", (_KEEP, "keep = next((n for n in range(1, len(stop)) if held.endswith(stop[:n])), 0)")),
        "The shortest fitting end",
    ),
    ("at the end", code('return ["".join(deltas).split(stop)[0]]'), "Nothing is shown before the end"),
]


def _number(exercise_id: str, name: str, expression: str) -> tuple[str, ...]:
    """The solution with one variable overwritten afterwards."""
    return (f"{solution(exercise_id)[0]}\n{name} = {expression}",)


def _numbers(exercise_id: str, rows: list[tuple[str, str, str]]) -> list[Mutant]:
    return [
        (f"{name} = {expression}", _number(exercise_id, name, expression), fragment)
        for name, expression, fragment in rows
    ]


CAPACITY = _numbers(
    "1.10",
    [
        ("english_prompts_per_batch", "65_536 / 716", "Half a prompt cannot be served"),
        ("english_prompts_per_batch", "round(65_536 / 716)", "Rounded up"),
        ("english_prompts_per_batch", "65_536 // 551", "An English word was counted as one token"),
        ("english_prompts_per_batch", "int(65_536 // (550 / 1.3 + 1))", "were divided by 1.3"),
        ("hindi_prompts_per_batch", "65_536 // 2_520", "One Hindi prompt too many"),
        ("hindi_prompts_per_batch", "65_536 / 2_521", "`hindi_prompts_per_batch` is a whole number"),
        ("hindi_prompts_per_batch", "65_536 // 601", "A Hindi word was counted as one token"),
        ("hindi_prompts_per_batch", "65_536 // 781", "with the English 1.3"),
        ("hindi_cost_ratio", "716 / 2_521", "upside down"),
        ("hindi_cost_ratio", "4.2 / 1.3", "ratio of tokens a word"),
        ("hindi_cost_ratio", "2_521 / 716 - 1", "how much *more*"),
        ("hindi_cost_ratio", "91 / 25", "rounded prompts per batch"),
    ],
)

MEMORY = _numbers(
    "1.11",
    [
        ("old_table_gb", "32_000 * 4_096 * 2 / 2**30", "That is `old_table_gb` in GiB"),
        ("old_table_gb", "32_000 * 4_096 * 4 / 1e9", "Twice too much for `old_table_gb`"),
        ("old_table_gb", "32_000 * 4_096 / 1e9", "Half of what is expected for `old_table_gb`"),
        ("old_table_gb", "32_000 * 4_096 * 2 / 1e6", "`old_table_gb` in MB"),
        ("new_table_gib", "128_256 * 4_096 * 2 / 1e9", "That is `new_table_gib` in GB"),
        ("new_table_gib", "128_256 * 4_096 * 2", "That is `new_table_gib` in bytes"),
        ("extra_gb", "2 * (128_256 - 32_000) * 4_096 * 2", "That is `extra_gb` in bytes"),
        ("new_table_gib", "128_256 * 4_096 / 2**30", "Half of what is expected for `new_table_gib`"),
        ("new_table_gib", "32_000 * 4_096 * 2 / 2**30", "computed with the old vocabulary"),
        ("extra_gb", "(128_256 - 32_000) * 4_096 * 2 / 1e9", "Only one table grows"),
        ("extra_gb", "2 * (128_256 - 32_000) * 4_096 * 2 / 2**30", "That is `extra_gb` in GiB"),
        ("extra_gb", "2 * 128_256 * 4_096 * 2 / 1e9", "the size of both new tables"),
    ],
)

PADDING = _numbers(
    "1.12",
    [
        ("waste_one_batch", "100 * (1 - 1_527 / 4_120)", "`waste_one_batch` is in percent"),
        ("waste_one_batch", "1_527 / 4_120", "`waste_one_batch` is the share of padding"),
        ("waste_one_batch", "(4_120 - 1_527) / 1_527", "Padding was divided by the real tokens"),
        ("waste_one_batch", "4_120 - 1_527", "That is a number of slots"),
        (
            "waste_two_batches",
            "((1 - 87 / 150) + (1 - 1_440 / 2_060)) / 2",
            "the mean of the two batches' waste",
        ),
        ("waste_two_batches", "(1 - 87 / 150) + (1 - 1_440 / 2_060)", "shares were added"),
        ("waste_two_batches", "1 - 87 / 150", "the short batch alone"),
        ("waste_two_batches", "(2_210 - 1_527) / 4_120", "divided by the slots of the one batch"),
        ("slots_saved", "2_210 - 4_120", "came out negative"),
        ("slots_saved", "2_210", "what the two batches need"),
        ("slots_saved", "2_210 - 1_527", "left in the two batches: `slots_saved`"),
    ],
)

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

MUTANTS: dict[str, list[Mutant]] = {
    "1.1": COUNT_PAIRS,
    "1.2": MERGE_PAIR,
    "1.3": TRAIN_BPE,
    "1.4": ENCODE_PIECE,
    "1.5": BYTE_LEVEL_TOKENIZER,
    "1.6": UNFINISHED_TAIL,
    "1.7": PAD_BATCH,
    "1.8": EMBED,
    "1.9": STREAM_UNTIL_STOP,
    "1.10": CAPACITY,
    "1.11": MEMORY,
    "1.12": PADDING,
    "1.15": MERGE_AND_UPDATE,
    "1.16": STREAMING_ENCODER,
    "1.17": PACK,
}

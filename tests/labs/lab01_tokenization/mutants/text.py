"""Wrong answers to 1.5, 1.6 and 1.9: whole texts, in and out."""

import textwrap

from tests.labs.edit import code, edited, solution

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

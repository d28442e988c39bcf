"""Wrong answers to 7.4 to 7.6: where two runs part, who is guilty, and what a plan is remembered under."""

from tests.labs.edit import Mutant, code, edited

_RETURN = "return found"


def _difference(name: str, old: str, new: str, says: str) -> Mutant:
    return name, edited("7.4", (old, new)), says


DIFFERENCE: list[Mutant] = [
    _difference(
        "the first request",
        "if found is None or position < found[1]:",
        "if found is None:",
        "That is the first request that differs",
    ),
    _difference(
        "as far as both go",
        "zip_longest(tokens, got[name])",
        "zip(tokens, got[name])",
        "compared only as far as both go",
    ),
    _difference("ties", "position < found[1]", "position <= found[1]", "the last came back"),
    (
        "ties by name",
        code(
            """
            found = []
            for name, tokens in want.items():
                for position, (one, other) in enumerate(zip_longest(tokens, got[name])):
                    if one != other:
                        found.append((position, name))
                        break
            return min(found)[::-1] if found else None
            """
        ),
        "the order of `want` is wanted",
    ),
    (
        "by index",
        code(
            """
            found = None
            for name, tokens in want.items():
                for position in range(len(tokens)):
                    if tokens[position] != got[name][position]:
                        if found is None or position < found[1]:
                            found = name, position
                        break
            return found
            """
        ),
        "Each position of `want` is looked up in `got`",
    ),
    _difference("the latest", "position < found[1]", "position > found[1]", "differs *latest*"),
    (
        "the last position",
        code(
            """
            found = None
            for name, tokens in want.items():
                last = None
                for position, (one, other) in enumerate(zip_longest(tokens, got[name])):
                    if one != other:
                        last = position
                if last is not None and (found is None or last < found[1]):
                    found = name, last
            return found
            """
        ),
        "the *last* position that differs",
    ),
    (
        "lengths first",
        code(
            """
            for name, tokens in want.items():
                if len(tokens) != len(got[name]):
                    return name, min(len(tokens), len(got[name]))
            found = None
            for name, tokens in want.items():
                for position, (one, other) in enumerate(zip(tokens, got[name])):
                    if one != other:
                        if found is None or position < found[1]:
                            found = name, position
                        break
            return found
            """
        ),
        "Different lengths are reported before",
    ),
    _difference("from 1", _RETURN, "return found and (found[0], found[1] + 1)", "Positions count from 0"),
    (
        "the token",
        code(
            """
            best = None
            for name, tokens in want.items():
                for position, (one, other) in enumerate(zip_longest(tokens, got[name])):
                    if one != other:
                        if best is None or position < best[1]:
                            best = name, position, other
                        break
            return best and (best[0], best[2])
            """
        ),
        "The token came back in place of its position",
    ),
    _difference("flipped", _RETURN, "return found and (found[1], found[0])", "The request comes first"),
    _difference("the request", _RETURN, "return found and found[0]", "Only the request came back"),
    _difference("the position", _RETURN, "return found and found[1]", "Only the position came back"),
    _difference("no None", _RETURN, 'return found or ("", -1)', "Where nothing differs, None is wanted"),
    (
        "anywhere",
        code(
            """
            found = None
            for name, tokens in want.items():
                for position, token in enumerate(tokens):
                    if token not in got[name]:
                        if found is None or position < found[1]:
                            found = name, position
                        break
            return found
            """
        ),
        "A token counts as right wherever it stands",
    ),
    (
        "all of them",
        code(
            """
            found = []
            for name, tokens in want.items():
                for position, (one, other) in enumerate(zip_longest(tokens, got[name])):
                    if one != other:
                        found.append((name, position))
                        break
            return found
            """
        ),
        "All differences came back",
    ),
]

_HEALED = "guilty = [name for name in names if bench.agrees([one for one in names if one != name])]"


def _guilty(name: str, old: str, new: str, says: str) -> Mutant:
    return name, edited("7.5", (old, new)), says


GUILTY: list[Mutant] = [
    _guilty(
        "each alone",
        _HEALED,
        "return [name for name in names if not bench.agrees([name])]",
        "Each part was tried *alone*",
    ),
    _guilty("nobody for two", "return guilty or names", "return guilty", "no single replacement helps"),
    (
        "no run of all",
        code(
            """
            names = list(bench.names)
            guilty = [name for name in names if bench.agrees([one for one in names if one != name])]
            return [] if len(guilty) == len(names) else guilty or names
            """
        ),
        "The run with all parts as they are is missing",
    ),
    _guilty(
        "all for none", "    return []", "    return names", "Where the run is right as it is, all parts"
    ),
    _guilty("nothing kept", "if bench.agrees(names):", "if bench.agrees([]):", "the parts *kept*"),
    _guilty(
        "the innocent",
        "if bench.agrees([one",
        "if not bench.agrees([one",
        "The innocent parts came back",
    ),
    _guilty(
        "growing",
        _HEALED,
        "guilty = [name for i, name in enumerate(names) if not bench.agrees(names[: i + 1])]",
        "all from the first break on were named",
    ),
    _guilty(
        "the first break",
        _HEALED,
        "guilty = []\n"
        "for i, name in enumerate(names):\n"
        "    if not bench.agrees(names[: i + 1]):\n"
        "        return [name]",
        "the first that broke the run was named",
    ),
    _guilty(
        "not put back",
        _HEALED,
        "guilty, own = [], list(names)\n"
        "for name in names:\n"
        "    own.remove(name)\n"
        "    if bench.agrees(own):\n"
        "        return [name]",
        "A part that was replaced stays replaced",
    ),
    _guilty(
        "not the last",
        "for name in names if",
        "for name in names[:-1] if",
        "The last part was never replaced",
    ),
    _guilty(
        "a string",
        "return guilty or names",
        "return guilty[0] if guilty else names",
        "One name came back as a string",
    ),
    _guilty(
        "stops at the first",
        _HEALED,
        "guilty = []\n"
        "for name in names:\n"
        "    if bench.agrees([one for one in names if one != name]):\n"
        "        return [name]",
        "The search stops at the first",
    ),
    _guilty(
        "stops at the last",
        _HEALED,
        "guilty = []\n"
        "for name in reversed(names):\n"
        "    if bench.agrees([one for one in names if one != name]):\n"
        "        return [name]",
        "The search begins at the end",
    ),
    _guilty("a set", "return guilty or names", "return set(guilty or names)", "A set came back"),
    _guilty("reversed", "return guilty or names", "return (guilty or names)[::-1]", "in reverse order"),
    _guilty(
        "places",
        "return guilty or names",
        "return [names.index(name) for name in guilty or names]",
        "The places of the parts came back",
    ),
    _guilty(
        "a name for a list",
        _HEALED,
        "guilty = [name for name in names if not bench.agrees(name)]",
        "wants a list of names",
    ),
    _guilty(
        "asked twice",
        _HEALED,
        "guilty = []\n"
        "for name in names:\n"
        "    rest = [one for one in names if one != name]\n"
        "    if not bench.agrees(names) and bench.agrees(rest):\n"
        "        guilty.append(name)",
        "it takes more runs than one for all parts",
    ),
]

_KEY = "key = (tuple(context_lens), split_size, num_threads)"


def _plan(name: str, key: str, says: str) -> Mutant:
    return name, edited("7.6", (_KEY, f"key = {key}")), says


PLAN: list[Mutant] = [
    _plan(
        "the longest",
        "(len(context_lens), max(context_lens), split_size, num_threads)",
        "the same longest one",
    ),
    _plan("how many", "(len(context_lens), split_size, num_threads)", "their lengths grow with every step"),
    _plan(
        "tokens in all", "(sum(context_lens), split_size, num_threads)", "as many tokens in all get the same"
    ),
    _plan(
        "many and tokens",
        "(len(context_lens), sum(context_lens), split_size, num_threads)",
        "as many requests and tokens in all",
    ),
    _plan("sorted", "(tuple(sorted(context_lens)), split_size, num_threads)", "in another order"),
    _plan("a set", "(frozenset(context_lens), split_size, num_threads)", "counts once in the key"),
    _plan("no split size", "(tuple(context_lens), num_threads)", "`split_size` is not part of the key"),
    _plan("no threads", "(tuple(context_lens), split_size)", "`num_threads` is not part of the key"),
    _plan("lengths alone", "tuple(context_lens)", "The lengths are the whole key"),
    _plan("nothing", "1", "The first plan is kept for ever"),
    _plan("as found", "(len(context_lens), max(context_lens))", "as the defect had"),
    _plan("the caller's list", "(context_lens, split_size, num_threads)", "The key is the caller's own list"),
    (
        "never remembered",
        code("return self.plan(context_lens, split_size, num_threads)"),
        "The plan is made anew in every call",
    ),
    (
        "all kept",
        code(
            """
            key = (tuple(context_lens), split_size, num_threads)
            if self.last is None:
                self.last = {}
            if key not in self.last:
                self.last[key] = self.plan(context_lens, split_size, num_threads)
            return self.last[key]
            """
        ),
        "All plans are kept",
    ),
    (
        "no return",
        code(
            """
            key = (tuple(context_lens), split_size, num_threads)
            if key != self.key:
                self.key = key
                self.last = self.plan(context_lens, split_size, num_threads)
                return self.last
            """
        ),
        "Nothing comes back where the plan was remembered",
    ),
    (
        "the one before",
        code(
            """
            key = (tuple(context_lens), split_size, num_threads)
            before = self.last
            if key != self.key:
                self.key = key
                self.last = self.plan(context_lens, split_size, num_threads)
            return before or self.last
            """
        ),
        "The plan of the step *before* comes back",
    ),
]

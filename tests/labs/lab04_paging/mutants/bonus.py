"""Wrong answers to 4.14 and 4.15: first fit, compaction."""

from tests.labs.edit import code, edited

_HOLES = """
end, holes = 0, []
for start, size in sorted(reserved):
    if start > end:
        holes.append((end, start - end))
    end = start + size
if num_slots > end:
    holes.append((end, num_slots - end))
""".strip()


def _by_holes(answer: str) -> tuple[str, ...]:
    return (f"{_HOLES}\n{answer}",)


FIRST_FIT = [
    (
        "sum of the holes",
        _by_holes("return holes[0][0] if holes and sum(size for _, size in holes) >= wanted else None"),
        "The free slots are added up",
    ),
    (
        "best fit",
        _by_holes(
            "fit = [(size, start) for start, size in holes if size >= wanted]\nreturn min(fit)[1] if "
            "fit else None"
        ),
        "that is best fit",
    ),
    (
        "worst fit",
        _by_holes(
            "fit = [(-size, start) for start, size in holes if size >= wanted]\nreturn min(fit)[1] if "
            "fit else None"
        ),
        "that is worst fit",
    ),
    (
        "last fit",
        _by_holes(
            "fit = [start for start, size in holes if size >= wanted]\nreturn fit[-1] if fit else None"
        ),
        "The last hole is taken",
    ),
    (
        "too strict",
        edited(
            "4.14",
            ("start - end >= wanted", "start - end > wanted"),
            ("num_slots - end >= wanted", "num_slots - end > wanted"),
        ),
        "A hole of exactly the size",
    ),
    ("unsorted", edited("4.14", ("sorted(reserved)", "reserved")), "come in any order"),
    (
        "nothing behind the last",
        edited(
            "4.14",
            (
                "return end if num_slots - end >= wanted else None",
                "return end if not reserved and num_slots >= wanted else None",
            ),
        ),
        "behind the last reservation is a hole too",
    ),
    (
        "nothing before the first",
        edited("4.14", ("end = 0\nfor", "end = min((one[0] for one in reserved), default=0)\nfor")),
        "before the first reservation is a hole too",
    ),
    (
        "only the end",
        code("""
        end = max((start + size for start, size in reserved), default=0)
        return end if num_slots - end >= wanted else None
    """),
        "Only the room behind the last",
    ),
    ("minus one", edited("4.14", ("else None", "else -1")), "-1 came back"),
    (
        "start and size",
        _by_holes("return next((hole for hole in holes if hole[1] >= wanted), None)"),
        "Start and size of the hole",
    ),
]

SLIDE_DOWN = [
    ("behind the tokens", edited("4.15", ("end += size", "end += used")), "behind the *tokens*"),
    ("empty slots too", edited("4.15", ("copied += used", "copied += size")), "Empty slots are copied"),
    (
        "stayers too",
        edited("4.15", ("    if start != end:\n        copied += used", "    copied += used")),
        "stays where it is costs nothing",
    ),
    ("counts moves", edited("4.15", ("copied += used", "copied += 1")), "Reservations are counted"),
    ("distances", edited("4.15", ("copied += used", "copied += start - end")), "distances were added up"),
    (
        "to the end",
        code("""
        end = max((start + size for start, size, _ in runs), default=0)
        starts, copied = [], 0
        for start, size, used in reversed(runs):
            end -= size
            starts.insert(0, end)
            copied += used if start != end else 0
        return starts, copied
    """),
        "slid to the end",
    ),
    (
        "biggest first",
        code("""
        order = sorted(range(len(runs)), key=lambda i: -runs[i][1])
        starts, end, copied = [0] * len(runs), 0, 0
        for i in order:
            starts[i] = end
            copied += runs[i][2] if runs[i][0] != end else 0
            end += runs[i][1]
        return starts, copied
    """),
        "sorted by size",
    ),
    (
        "first gap only",
        code("""
        starts, end, shift, copied = [], 0, 0, 0
        for start, size, used in runs:
            if not shift:
                shift = start - end
            starts.append(start - shift)
            copied += used if shift else 0
            end = start + size
        return starts, copied
    """),
        "Only the first gap",
    ),
    ("starts only", edited("4.15", ("return starts, copied", "return starts")), "Only the starts"),
    ("copied only", edited("4.15", ("return starts, copied", "return copied")), "Only the tokens copied"),
    (
        "pairs",
        edited("4.15", ("starts.append(end)", "starts.append((start, end))")),
        "as pairs",
    ),
    ("counted twice", edited("4.15", ("return starts, copied", "return starts, 2 * copied")), "counts twice"),
]

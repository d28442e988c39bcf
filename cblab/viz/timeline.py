"""The picture of a run: who computed what in which step, and how full the pool was."""

from collections.abc import Iterable, Sequence

from matplotlib.axes import Axes
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator

from cblab.core.trace import Span, SpanKind, StepRecord, spans
from cblab.viz.picture import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PALE,
    PAPER,
    VERMILION,
    Picture,
    label_axes,
    new_figure,
)

_WORDS: dict[SpanKind, str] = {
    "waiting": "waiting",
    "prefill": "prefill chunk",
    "decode": "decode",
    "preempted": "preempted",
}
_COLOURS: dict[SpanKind, str] = {
    "waiting": "#c3cad1",
    "prefill": ORANGE,
    "decode": BLUE,
    "preempted": PAPER,
}
_WIDTH = 8.6
_MOST_NUMBERED = 60  # steps, beyond which numbers do not fit into the cells


def timeline(records: Iterable[StepRecord], *, caption: str) -> Picture:
    """A row for each request over the steps of a run, and below how many blocks of the pool were in use.

    Prefill chunks show their number of tokens where there is room for it; behind its last step a request
    shows why it ended.

    Args:
        records: a `Trace`, or some of its records.
        caption: one line that says what to see.

    Raises:
        ValueError: there is no record.
    """
    records = list(records)
    if not records:
        raise ValueError("the trace has no steps: run the engine first")
    found = spans(records)
    names = list(dict.fromkeys(span.request_id for span in sorted(found, key=lambda one: one.start)))
    ends = {name: (record.number + 1, why) for record in records for name, why in record.finished}
    row_height = 0.3 if len(names) <= 24 else 0.15
    heights = [row_height * len(names) + 0.2, 1.1]
    figure, (lives, pool) = new_figure(_WIDTH, sum(heights) + 1.4, rows=2, row_heights=heights)
    font = 9.5 if len(names) <= 24 else 6
    for span in found:
        _draw_span(lives, span, names.index(span.request_id), is_numbered=len(records) <= _MOST_NUMBERED)
    for name, (step, why) in ends.items():
        if name in names:
            lives.text(step - 0.4, names.index(name), why, va="center", fontsize=font - 1, color=MUTED)
    _label_lives(lives, names, font)
    _draw_pool(pool, records)
    for axis in (lives, pool):
        axis.set_xlim(records[0].number - 0.5, records[-1].number + 0.5 + len(records) * 0.06)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    has_cached = any(record.num_cached_blocks for record in records)
    figure.legend(
        handles=_legend(found, has_cached=has_cached),
        loc="outside upper left",
        ncols=6,
        fontsize=9.5,
        frameon=False,
    )
    return Picture.from_figure(figure, alt=_alt(records, found, names), caption=caption)


def _draw_span(axis: Axes, span: Span, row: int, *, is_numbered: bool) -> None:
    """Draw a step's share as a cell around its number, what lasts without any share as a thin bar."""
    height = 0.8 if span.num_new_tokens else 0.3
    corner = (span.first_step - 0.5, row - height / 2)
    box = Rectangle(corner, span.end_step - span.first_step, height, facecolor=_COLOURS[span.kind])
    is_lost = span.kind == "preempted"
    box.set(edgecolor=VERMILION if is_lost else PAPER, linewidth=0.8 if is_lost or is_numbered else 0)
    box.set_hatch("/////" if is_lost else "")
    axis.add_patch(box)
    if is_numbered and span.kind == "prefill":
        words = str(span.num_new_tokens)
        axis.text(span.first_step, row, words, ha="center", va="center", fontsize=8, color=INK)


def _label_lives(axis: Axes, names: Sequence[str], font: float) -> None:
    label_axes(axis, x="", y="")
    axis.set_yticks(range(len(names)), names, fontsize=font)
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.grid(False, axis="y")


def _draw_pool(axis: Axes, records: Sequence[StepRecord]) -> None:
    places = [record.number for record in records]
    used = [record.num_used_blocks for record in records]
    cached = [record.num_cached_blocks for record in records]
    axis.bar(places, used, 1, color=GREEN)
    axis.bar(places, cached, 1, used, color=PALE[2], hatch="....", edgecolor=MUTED, linewidth=0)
    label_axes(axis, x="step", y="blocks")
    axis.set_ylim(0, max(1, *(r.num_used_blocks + r.num_cached_blocks + r.num_free_blocks for r in records)))
    axis.yaxis.set_major_locator(MaxNLocator(4, integer=True))


def _legend(found: Sequence[Span], *, has_cached: bool) -> list[Patch]:
    present = {span.kind for span in found}
    kinds: list[SpanKind] = [kind for kind in _WORDS if kind in present]
    handles = [
        Patch(
            facecolor=_COLOURS[kind],
            edgecolor=VERMILION if kind == "preempted" else MUTED,
            hatch="/////" if kind == "preempted" else "",
            label=_WORDS[kind],
        )
        for kind in kinds
    ]
    handles.append(Patch(facecolor=GREEN, label="used blocks"))
    if has_cached:
        handles.append(Patch(facecolor=PALE[2], edgecolor=MUTED, hatch="....", label="cached blocks"))
    return handles


def _alt(records: Sequence[StepRecord], found: Sequence[Span], names: Sequence[str]) -> str:
    def life(name: str) -> str:
        own = [span for span in found if span.request_id == name]
        counts = {kind: sum(span.kind == kind for span in own) for kind in _WORDS}
        chunks, decodes, losses = counts["prefill"], counts["decode"], counts["preempted"]
        return f"{name}: {chunks} prefill chunks, {decodes} decodes, {losses} preemptions"

    steps = f"Steps {records[0].number} to {records[-1].number}"
    return f"{steps} of {len(names)} requests. {'; '.join(map(life, names))}."

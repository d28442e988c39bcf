"""Pictures of attention over a cache: weights, rotary positions, what changes, what a token costs, slots."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator, StrMethodFormatter
from numpy.typing import ArrayLike

from cblab.viz.picture import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PAPER,
    SKY,
    VERMILION,
    Picture,
    label_axes,
    new_figure,
)

_LINES = (("o", BLUE), ("s", VERMILION), ("^", GREEN), ("D", ORANGE))
SLOT_KINDS = {
    "held": ("holds a token", BLUE, ""),
    "later": ("reserved, used before its end", SKY, ""),
    "never": ("reserved, never used", ORANGE, "//"),
    "holes": ("free, in a hole too short", VERMILION, "xx"),
    "free": ("free", "#ffffff", ""),
}
"""What a slot is: `name: (words, colour, hatch)`."""


def attention_weights(weights: Mapping[str, ArrayLike], tokens: Sequence[str], *, caption: str) -> Picture:
    """One panel a head: how much each token (a row) takes from each token before it (a column).

    `weights[title]` is `[num_tokens, num_tokens]`, rows that sum to 1.
    """
    count = len(tokens)
    figure, axes = new_figure(1.2 + 3.7 * len(weights), 1.2 + 0.29 * count, columns=len(weights))
    words = []
    for axis, (title, values) in zip(axes, weights.items(), strict=True):
        matrix = np.asarray(values, dtype=float)
        image = axis.imshow(np.where(np.tri(count, dtype=bool), matrix, np.nan), cmap="Blues", vmin=0, vmax=1)
        for ticks in (axis.set_xticks, axis.set_yticks):
            ticks(range(count), list(tokens))
        for label in axis.get_xticklabels():
            label.set(rotation=60, ha="right", rotation_mode="anchor")
        axis.tick_params(axis="x", labelsize=9, length=0)
        axis.tick_params(axis="y", labelsize=9, length=0)
        axis.set_title(title, color=INK, fontsize=11, loc="left")
        axis.set_xlabel("key of token", color=INK, fontsize=10.5)
        axis.set_ylabel("query of token", color=INK, fontsize=10.5)
        row = int(matrix[-1].argmax())
        words.append(f"{title}: the last token takes most, {matrix[-1, row]:.2f}, from {tokens[row]!r}")
    figure.colorbar(image, ax=axes, shrink=0.8, label="weight")
    return Picture.from_figure(figure, alt=f"Attention weights. {'; '.join(words)}.", caption=caption)


def score_by_distance(
    distances: Sequence[int], scores: Mapping[str, Sequence[float]], *, caption: str
) -> Picture:
    """The score of one query and one key over the distance of their positions, a line a query position."""
    figure, (axis,) = new_figure(8.6, 3.2)
    for index, ((marker, colour), (label, values)) in enumerate(zip(_LINES, scores.items(), strict=False)):
        axis.plot(
            distances,
            values,
            marker=marker,
            markevery=(4 * index, 12),
            color=colour,
            linewidth=4.5 - 1.4 * index,
            alpha=0.9,
            label=label,
        )
    label_axes(axis, x="distance of query and key (tokens)", y="score before the softmax")
    axis.legend(fontsize=10, frameon=False)
    lines = [np.asarray(values, dtype=float) for values in scores.values()]
    apart = max(float(np.abs(line - lines[0]).max()) for line in lines)
    alt = f"{len(lines)} lines, {', '.join(scores)}; they differ by at most {apart:.4f}."
    return Picture.from_figure(figure, alt=alt, caption=caption)


def changed_keys(panels: Mapping[str, ArrayLike], *, caption: str) -> Picture:
    """How much each token's key changes in each layer, `[num_layers, num_tokens]` a panel."""
    figure, axes = new_figure(8.6, 0.9 + 1.7 * len(panels), rows=len(panels))
    top = max(float(np.asarray(values).max()) for values in panels.values())
    words = []
    for axis, (title, values) in zip(axes, panels.items(), strict=True):
        matrix = np.asarray(values, dtype=float)
        image = axis.imshow(matrix, cmap="Oranges", vmin=0, vmax=top, aspect="auto")
        axis.set_yticks(range(matrix.shape[0]))
        axis.set_ylabel("layer", color=INK, fontsize=10.5)
        axis.set_title(title, color=INK, fontsize=11, loc="left")
        axis.tick_params(length=0)
        changed = int((matrix.max(axis=1) > 1e-3).sum())
        words.append(f"{title}: keys change in {changed} of {matrix.shape[0]} layers")
    axes[-1].set_xlabel("token (position)", color=INK, fontsize=10.5)
    figure.colorbar(image, ax=axes, label="largest change in a key")
    return Picture.from_figure(figure, alt="; ".join(words) + ".", caption=caption)


def cost_per_token(
    lengths: Sequence[int],
    counted: Mapping[str, Sequence[float]],
    measured: Mapping[str, Sequence[float]],
    *,
    caption: str,
) -> Picture:
    """Two panels over the length of the sequence, both logarithmic: work counted, and time measured in ms."""
    figure, (left, right) = new_figure(8.8, 4.6, columns=2)
    for axis, lines, y, title in (
        (left, counted, "tokens or pairs for one new token", "Counted"),
        (right, measured, "milliseconds for one new token", "Measured on this machine"),
    ):
        for (marker, colour), (label, values) in zip(_LINES, lines.items(), strict=False):
            axis.plot(lengths, values, marker=marker, color=colour, linewidth=1.8, label=label)
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
        label_axes(axis, x="tokens before it", y=y, title=title)
        axis.xaxis.set_major_locator(FixedLocator(list(lengths)))
        axis.xaxis.set_minor_locator(NullLocator())
        axis.xaxis.set_major_formatter(StrMethodFormatter("{x:.0f}"))
        axis.yaxis.set_major_formatter(
            FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}")
        )
        values = [value for line in lines.values() for value in line]
        axis.set_ylim(min(values) / 1.5, max(values) * 1.5)
        axis.legend(fontsize=8.5, frameon=False, loc="upper left", bbox_to_anchor=(-0.02, -0.19))
    ends = [
        f"{label}: {values[0]:,.3g} at {lengths[0]}, {values[-1]:,.3g} at {lengths[-1]}"
        for lines in (counted, measured)
        for label, values in lines.items()
    ]
    return Picture.from_figure(figure, alt="; ".join(ends) + ".", caption=caption)


def slot_strips(rows: Mapping[str, Sequence[tuple[str, int]]], *, caption: str) -> Picture:
    """Strips of slots, one a row: `rows[label]` lists `(kind, slots)` from left to right.

    A kind is one of `SLOT_KINDS`.

    Raises:
        ValueError: a kind that is not one of them.
    """
    unknown = {kind for segments in rows.values() for kind, _ in segments} - SLOT_KINDS.keys()
    if unknown:
        raise ValueError(f"unknown kinds of slots {sorted(unknown)}; there are {', '.join(SLOT_KINDS)}")
    figure, (axis,) = new_figure(8.6, 0.42 * len(rows) + 1.3)
    for line, segments in enumerate(rows.values()):
        start = 0
        for kind, slots in segments:
            _, colour, hatch = SLOT_KINDS[kind]
            edge = PAPER if colour in (BLUE, SKY) else MUTED
            bars = axis.barh(line, slots, 0.72, left=start, color=colour, edgecolor=edge, hatch=hatch)
            bars[0].set(linewidth=0.8, clip_on=False)
            start += slots
    axis.set_yticks(range(len(rows)), list(rows), fontsize=10)
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.set_xlim(0, max(sum(slots for _, slots in segments) for segments in rows.values()))
    label_axes(axis, x="slots (one holds a token in all layers)", y="")
    axis.grid(False)
    present = {kind for segments in rows.values() for kind, slots in segments if slots}
    _slot_legend(axis, present)
    totals = {
        kind: sum(n for segments in rows.values() for one, n in segments if one == kind) for kind in present
    }
    words = ", ".join(f"{SLOT_KINDS[kind][0]}: {totals[kind]:,}" for kind in SLOT_KINDS if kind in present)
    return Picture.from_figure(figure, alt=f"Slots in {len(rows)} rows. {words}.", caption=caption)


def waste_over_time(counts: Sequence[Mapping[str, int]], num_slots: int, *, caption: str) -> Picture:
    """What the slots of an arena are, step by step, as shares that add up to all of it."""
    figure, (axis,) = new_figure(8.6, 3.6)
    kinds = [kind for kind in SLOT_KINDS if any(count[kind] for count in counts)]
    shares = np.array([[100 * count[kind] / num_slots for count in counts] for kind in kinds])
    areas = axis.stackplot(range(len(counts)), shares, colors=[SLOT_KINDS[kind][1] for kind in kinds])
    for area, kind in zip(areas, kinds, strict=True):
        area.set_hatch(SLOT_KINDS[kind][2])
        area.set_edgecolor(PAPER if kind in ("held", "later") else MUTED)
        area.set_linewidth(0.0)
    axis.set_xlim(0, len(counts) - 1)
    axis.set_ylim(0, 100)
    label_axes(axis, x="step (each running sequence gains one token)", y="share of the slots (%)")
    axis.grid(False)
    _slot_legend(axis, set(kinds))
    means = ", ".join(
        f"{SLOT_KINDS[kind][0]} {share:.0f}%" for kind, share in zip(kinds, shares.mean(axis=1), strict=True)
    )
    return Picture.from_figure(figure, alt=f"Over {len(counts)} steps, on average: {means}.", caption=caption)


def _slot_legend(axis: Axes, present: set[str]) -> None:
    handles = [
        Patch(facecolor=colour, edgecolor=MUTED, hatch=hatch, label=words)
        for kind, (words, colour, hatch) in SLOT_KINDS.items()
        if kind in present
    ]
    axis.legend(
        handles=handles, fontsize=9.5, frameon=False, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2
    )

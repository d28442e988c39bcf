"""Pictures of memory: what a model's bytes are for, what is alive while it runs, and how the cache grows."""

import itertools
from collections.abc import Mapping, Sequence

from cblab.viz.picture import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PINK,
    SKY,
    VERMILION,
    Picture,
    label_axes,
    new_figure,
)

_FILLS = ((BLUE, ""), (ORANGE, "////"), (GREEN, "...."), (SKY, "xx"), (PINK, "\\\\\\\\"), (VERMILION, "++"))
_LINES = ((BLUE, "-"), (VERMILION, "--"), (GREEN, "-."), (ORANGE, ":"), (PINK, (0, (5, 1, 1, 1))), (SKY, "-"))


def memory_bars(rows: Mapping[str, Mapping[str, float]], *, caption: str, unit: str = "GB") -> Picture:
    """One stacked bar a row; `rows[name]` maps each part to its size in `unit`; parts of size 0 are left out.

    The parts are drawn in the order in which they first appear, the total behind the bar.
    """
    parts = list(dict.fromkeys(part for row in rows.values() for part, size in row.items() if size))
    figure, (axis,) = new_figure(8.6, 0.5 * len(rows) + 1.3)
    starts = [0.0] * len(rows)
    for (colour, hatch), part in zip(itertools.cycle(_FILLS), parts, strict=False):
        sizes = [row.get(part, 0.0) for row in rows.values()]
        axis.barh(
            range(len(rows)),
            sizes,
            0.66,
            left=starts,
            color=colour,
            hatch=hatch,
            edgecolor="white",
            linewidth=0.6,
            label=part,
        )
        starts = [start + size for start, size in zip(starts, sizes, strict=True)]
    for line, total in enumerate(starts):
        axis.annotate(
            f" {total:,.3g}" if total < 100 else f" {total:,.0f}",
            (total, line),
            va="center",
            color=INK,
            fontsize=10,
        )
    axis.set_yticks(range(len(rows)), list(rows), fontsize=10)
    axis.invert_yaxis()
    axis.set_xlim(0, max(starts) * 1.08)
    label_axes(axis, x=unit, y="")
    axis.grid(False, axis="y")
    axis.legend(fontsize=9.5, frameon=False, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=len(parts))
    alt = "; ".join(
        f"{name}: {sum(row.values()):,.3g} {unit} ("
        + ", ".join(f"{part} {size:,.3g}" for part, size in row.items() if size)
        + ")"
        for name, row in rows.items()
    )
    return Picture.from_figure(figure, alt=f"{alt}.", caption=caption)


def live_memory(histories: Mapping[str, Sequence[int]], *, caption: str, x: str = "operation") -> Picture:
    """Bytes alive after each operation, one line a computation; the peak of each is marked."""
    figure, (axis,) = new_figure(8.6, 3.4)
    for (colour, style), (name, history) in zip(itertools.cycle(_LINES), histories.items(), strict=False):
        sizes = [num_bytes / 1e6 for num_bytes in history]
        peak = max(range(len(sizes)), key=sizes.__getitem__)
        label = f"{name}: at most {sizes[peak]:,.3g} MB"
        axis.plot(range(1, len(sizes) + 1), sizes, linestyle=style, color=colour, linewidth=1.8, label=label)
        axis.plot(peak + 1, sizes[peak], "o", color=colour, markersize=6)
    axis.set_ylim(0, max(max(history) for history in histories.values()) / 1e6 * 1.08)
    label_axes(axis, x=x, y="alive (MB)")
    axis.legend(fontsize=10, frameon=False, loc="upper left", bbox_to_anchor=(0, 1.14), ncols=len(histories))
    alt = "; ".join(
        f"{name}: at most {max(history) / 1e6:.3g} MB, {history[-1] / 1e6:.3g} MB at the end"
        for name, history in histories.items()
    )
    return Picture.from_figure(figure, alt=f"{alt}.", caption=caption)


def cache_growth(
    num_tokens: Sequence[int],
    sizes: Mapping[str, Sequence[float]],
    levels: Mapping[str, float],
    *,
    caption: str,
) -> Picture:
    """GB of keys and values over the tokens held, on two logarithmic axes, and levels to compare them with.

    `sizes[name]` has one number in GB for each of `num_tokens`; `levels[name]` is a horizontal line in GB.
    """
    figure, (axis,) = new_figure(8.6, 4.0)
    for (colour, style), (name, values) in zip(itertools.cycle(_LINES), sizes.items(), strict=False):
        axis.plot(num_tokens, values, linestyle=style, color=colour, linewidth=1.9, label=name)
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    for name, level in levels.items():
        axis.axhline(level, color=MUTED, linewidth=1.1, linestyle=(0, (2, 2)))
        axis.annotate(
            name,
            (num_tokens[0], level),
            xytext=(4, 3),
            textcoords="offset points",
            ha="left",
            color=INK,
            fontsize=9.5,
        )
    ticks = [count for count in num_tokens if count.bit_length() % 2 == num_tokens[0].bit_length() % 2]
    axis.set_xticks(ticks, [f"{count:,}" for count in ticks])
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    label_axes(axis, x="tokens held, over all requests", y="keys and values (GB)")
    axis.legend(fontsize=9.5, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    ends = [f"{name}: {values[-1]:.3g} GB at {num_tokens[-1]:,} tokens" for name, values in sizes.items()]
    ends += [f"{name}: a line at {level:.3g} GB" for name, level in levels.items()]
    return Picture.from_figure(figure, alt="; ".join(ends) + ".", caption=caption)

"""Curves and bars: tokens by vocabulary size, the work of decoding, the cost of a sentence by language."""

import itertools
from collections.abc import Mapping, Sequence

from matplotlib.ticker import StrMethodFormatter

from cblab.viz.picture import BLUE, GREEN, INK, ORANGE, SKY, VERMILION, Picture, label_axes, new_figure

_MARKS = (("o", BLUE), ("s", VERMILION), ("^", GREEN), ("D", ORANGE))


def tokens_by_vocabulary(
    sizes: Sequence[int],
    tokens_per_byte: Mapping[str, Sequence[float]],
    embedding_mib: Sequence[float],
    *,
    table: str,
    caption: str,
) -> Picture:
    """Two panels over the vocabulary size: tokens per byte of each text, and the embedding table's MiB.

    `tokens_per_byte[text]` and `embedding_mib` have one number for each of `sizes`. `table` says what kind of
    embedding table it is: its hidden size and data type.
    """
    figure, (left, right) = new_figure(8.6, 3.5, columns=2)
    for (marker, colour), (label, shares) in zip(
        itertools.cycle(_MARKS), tokens_per_byte.items(), strict=False
    ):
        left.plot(sizes, shares, marker=marker, color=colour, linewidth=1.8, label=label)
    right.plot(sizes, embedding_mib, marker="o", color=BLUE, linewidth=1.8)
    for axis in (left, right):
        axis.set_ylim(bottom=0)
    label_axes(
        left, x="vocabulary (tokens)", y="tokens per byte of text", title="What a bigger vocabulary saves"
    )
    label_axes(right, x="vocabulary (tokens)", y="embedding table (MiB)", title=f"What it costs ({table})")
    left.legend(fontsize=9.5, frameon=False)
    ends = "; ".join(
        f"{label}: {shares[0]:.2f} tokens per byte at {sizes[0]}, {shares[-1]:.2f} at {sizes[-1]}"
        for label, shares in tokens_per_byte.items()
    )
    alt = f"Tokens fall and the embedding table grows with the vocabulary. {ends}."
    return Picture.from_figure(figure, alt=alt, caption=caption)


def decode_work(work: Mapping[str, Sequence[int]], *, caption: str) -> Picture:
    """Tokens decoded in total after each token of a reply, one line a way of decoding."""
    figure, (axis,) = new_figure(8.6, 3.3)
    for (marker, colour), (label, totals) in zip(itertools.cycle(_MARKS), work.items(), strict=False):
        every = max(1, len(totals) // 8)
        axis.plot(
            range(1, len(totals) + 1),
            totals,
            marker=marker,
            markevery=every,
            color=colour,
            linewidth=1.8,
            label=f"{label}: {totals[-1]:,} in the end",
        )
    axis.set_ylim(bottom=0)
    axis.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    label_axes(axis, x="tokens of the reply so far", y="tokens decoded in total")
    axis.legend(fontsize=10, frameon=False)
    alt = "; ".join(
        f"{label}: {totals[-1]} tokens decoded for a reply of {len(totals)}" for label, totals in work.items()
    )
    return Picture.from_figure(figure, alt=alt + ".", caption=caption)


def language_bars(rows: Mapping[str, Mapping[str, int]], *, caption: str, x_label: str = "count") -> Picture:
    """One group of bars a language; `rows[language]` maps a quantity (bytes, tokens, …) to its count."""
    quantities = list(next(iter(rows.values())))
    figure, (axis,) = new_figure(8.6, 0.75 * len(rows) + 0.9)
    thickness = 0.8 / len(quantities)
    hatches = ("", "////", "....", "xx")
    for index, quantity in enumerate(quantities):
        counts = [row[quantity] for row in rows.values()]
        places = [line + (index - (len(quantities) - 1) / 2) * thickness for line in range(len(rows))]
        colour = (SKY, ORANGE, BLUE, GREEN)[index % 4]
        bars = axis.barh(
            places, counts, thickness, color=colour, edgecolor=INK, linewidth=0.5, label=quantity
        )
        for bar in bars:
            bar.set_hatch(hatches[index % 4])
        axis.bar_label(bars, padding=3, fontsize=9, color=INK)
    axis.set_yticks(range(len(rows)), list(rows), fontsize=10)
    axis.invert_yaxis()
    label_axes(axis, x=x_label, y="")
    axis.grid(False, axis="y")
    axis.legend(fontsize=10, frameon=False, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=len(quantities))
    alt = "; ".join(
        f"{name}: " + ", ".join(f"{count} {what}" for what, count in row.items())
        for name, row in rows.items()
    )
    return Picture.from_figure(figure, alt=alt + ".", caption=caption)

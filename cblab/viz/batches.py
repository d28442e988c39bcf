"""Pictures of padded batches."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from cblab.viz.picture import BLUE, INK, MUTED, Picture, label_axes, new_figure


def padding_grid(batches: Mapping[str, Sequence[Sequence[int]]], *, caption: str) -> Picture:
    """Attention masks as grids, one panel a batch: blue is a real token, hatched is padding.

    `batches` maps a panel's title to a mask `[num_seqs, longest]` of 1 (a token) and 0 (padding).
    """
    height = 0.8 * len(batches) + 0.3 * sum(len(mask) for mask in batches.values()) + 0.4
    figure, axes = new_figure(
        8.6, height, rows=len(batches), row_heights=[len(mask) + 0.1 for mask in batches.values()]
    )
    widest = max(len(mask[0]) for mask in batches.values())
    words = []
    for axis, (title, mask) in zip(axes, batches.items(), strict=True):
        slots = sum(len(row) for row in mask)
        waste = 1 - sum(map(sum, mask)) / slots
        words.append(f"{title}: {slots} slots, {waste:.1%} of them padding")
        _draw_mask(axis, mask)
        label_axes(axis, x="", y="sequence", title=words[-1])
        axis.grid(False)
        axis.set_xlim(0, widest)
    axes[-1].set_xlabel("position in the padded row (tokens)", color=INK, fontsize=10.5)
    return Picture.from_figure(figure, alt="Padded batches. " + "; ".join(words) + ".", caption=caption)


def _draw_mask(axis: Axes, mask: Sequence[Sequence[int]]) -> None:
    for row, values in enumerate(mask):
        for column, value in enumerate(values):
            box = Rectangle((column, row - 0.4), 1, 0.8, linewidth=0.4)
            box.set_facecolor(BLUE if value else "#ffffff")
            box.set_edgecolor("#ffffff" if value else MUTED)
            box.set_hatch("" if value else "////")
            axis.add_patch(box)
    axis.set_ylim(len(mask) - 0.45, -0.55)
    axis.set_yticks(range(len(mask)))

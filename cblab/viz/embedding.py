"""The embedding table as what it is: rows that are looked up."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.patches import ConnectionPatch, Rectangle

from cblab.viz.picture import INK, VERMILION, Picture, new_figure


def embedding_lookup(
    ids: Sequence[int], labels: Sequence[str], table: Sequence[Sequence[float]], *, caption: str
) -> Picture:
    """The rows of a table that the ids of a text take, one line a look-up.

    `ids` and their `labels`: `[num_tokens]`; `table`: `[vocab_size, hidden_size]`, a small one.
    """
    figure, (left, right) = new_figure(8.6, 0.27 * max(len(table), len(ids)) + 1.3, columns=2)
    figure.get_layout_engine().set(wspace=0.2)  # type: ignore[call-arg, union-attr]
    rows = [list(table[token]) for token in ids]
    peak = max(abs(value) for row in table for value in row)
    for axis, values in ((left, table), (right, rows)):
        axis.imshow([list(row) for row in values], cmap="cividis", vmin=-peak, vmax=peak, aspect="auto")
        axis.set_xlabel("hidden dimension", color=INK, fontsize=10.5)
        axis.set_xticks(range(len(table[0])))
    left.set_yticks(range(len(table)), [str(row) for row in range(len(table))], fontsize=9)
    left.set_ylabel("token id (row of the table)", color=INK, fontsize=10.5)
    left.set_title(f"table [{len(table)}, {len(table[0])}]", loc="left", fontsize=11, color=INK)
    right.set_yticks(
        range(len(ids)), [f"{label} = {token}" for label, token in zip(labels, ids, strict=True)], fontsize=10
    )
    right.yaxis.tick_right()
    right.spines["left"].set_visible(False)
    right.set_title(f"result [{len(ids)}, {len(table[0])}]", loc="left", fontsize=11, color=INK)
    _draw_lookups(left, right, ids, len(table[0]))
    taken = ", ".join(f"row {token} for {label}" for label, token in zip(labels, ids, strict=True))
    return Picture.from_figure(
        figure, alt=f"The embedding of each token is a row of the table: {taken}.", caption=caption
    )


def _draw_lookups(left: Axes, right: Axes, ids: Sequence[int], hidden_size: int) -> None:
    for row, token in enumerate(ids):
        left.add_patch(
            Rectangle((-0.5, token - 0.5), hidden_size, 1, fill=False, edgecolor=VERMILION, linewidth=2)
        )
        line = ConnectionPatch(
            (hidden_size - 0.5, token),
            (-0.5, row),
            "data",
            "data",
            axesA=left,
            axesB=right,
            color=INK,
            linewidth=1.4,
            arrowstyle="->",
            zorder=5,
        )
        right.figure.add_artist(line)

"""Pictures of kernels: which thread reads which blocks, and which tiles of a prompt's scores are computed."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from cblab.viz.picture import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PALE,
    PINK,
    SKY,
    VERMILION,
    Picture,
    new_figure,
)

_THREADS = (SKY, ORANGE, GREEN, PINK, BLUE, VERMILION)

Share = Sequence[tuple[int, int, int]]
"""Tasks of one thread: a sequence, its first token, and the token behind its last one."""


def thread_blocks(
    plans: Sequence[tuple[str, Sequence[Share]]],
    block_tables: Sequence[Sequence[int]],
    *,
    block_size: int,
    caption: str,
) -> Picture:
    """Each plan's blocks in the colour of the thread that reads them; a box is a block, with its id.

    plans: (name, one share for each thread). block_tables: the blocks of each sequence, in order.
    """
    widest = max(map(len, block_tables))
    height = 0.9 + 0.36 * len(block_tables)
    figure, axes = new_figure(9.2, height * len(plans), rows=len(plans))
    words = []
    for axis, (name, shares) in zip(axes, plans, strict=True):
        _draw_plan(axis, shares, block_tables, block_size)
        tokens = [sum(end - start for _, start, end in share) for share in shares]
        busy = ", ".join(f"thread {thread}: {count} tokens" for thread, count in enumerate(tokens))
        axis.set_title(f"{name} · {busy}", color=INK, fontsize=10.5, loc="left")
        axis.set_xlim(-0.2, widest + 0.2)
        words.append(f"{name}: {busy}")
    axes[-1].set_xlabel(
        f"blocks in the order of the tokens ({block_size} tokens each)", color=INK, fontsize=10
    )
    return Picture.from_figure(
        figure, alt=f"Blocks by the thread that reads them. {'; '.join(words)}.", caption=caption
    )


def _draw_plan(
    axis: Axes, shares: Sequence[Share], block_tables: Sequence[Sequence[int]], block_size: int
) -> None:
    for thread, share in enumerate(shares):
        colour = _THREADS[thread % len(_THREADS)]
        for seq, start, end in share:
            for index in range(start // block_size, -(-end // block_size)):
                filled = min(end - index * block_size, block_size) / block_size
                axis.add_patch(Rectangle((index, seq - 0.4), filled, 0.8, facecolor=colour, alpha=0.75))
                axis.add_patch(Rectangle((index, seq - 0.4), 1, 0.8, facecolor="none", edgecolor=MUTED))
                axis.text(
                    index + 0.5, seq, str(block_tables[seq][index]), ha="center", va="center", fontsize=8
                )
            left, right = start / block_size, end / block_size
            axis.plot([left, left], [seq - 0.46, seq + 0.46], color=INK, linewidth=2)
            axis.plot([right, right], [seq - 0.46, seq + 0.46], color=INK, linewidth=2)
        axis.plot([], [], "s", color=colour, alpha=0.75, markersize=9, label=f"thread {thread}")
    axis.set_ylim(len(block_tables) - 0.45, -0.55)
    axis.set_yticks(range(len(block_tables)), [f"request {seq}" for seq in range(len(block_tables))])
    axis.set_xticks([])
    axis.spines["bottom"].set_visible(False)
    axis.legend(fontsize=9, frameon=False, loc="center right")


def score_tiles(num_tokens: int, tile: int, *, caption: str) -> Picture:
    """A prompt's scores, cut into tiles: computed as a whole, computed under the mask, or left out."""
    count = -(-num_tokens // tile)
    figure, (axis,) = new_figure(5.6, 3.9)
    kinds = {"computed": PALE[0], "computed, under the mask": PALE[1], "left out": "#ffffff"}
    step = 0
    for row in range(count):
        for column in range(count):
            kind = "left out" if column > row else "computed" if column < row else "computed, under the mask"
            box = Rectangle((column, row), 1, 1, facecolor=kinds[kind], edgecolor=MUTED)
            axis.add_patch(box)
            if kind != "left out":
                step += 1
                axis.text(column + 0.5, row + 0.5, str(step), ha="center", va="center", fontsize=9, color=INK)
    for kind, colour in kinds.items():
        axis.plot([], [], "s", color=colour, markeredgecolor=MUTED, markersize=10, label=kind)
    axis.set_xlim(0, count)
    axis.set_ylim(count, 0)
    axis.set_aspect("equal")
    ticks = list(range(0, count + 1, max(1, count // 4)))
    axis.set_xticks(ticks, [str(min(num_tokens, one * tile)) for one in ticks])
    axis.set_yticks(ticks, [str(min(num_tokens, one * tile)) for one in ticks])
    axis.set_xlabel("key (position)", color=INK, fontsize=10)
    axis.set_ylabel("query (position)", color=INK, fontsize=10)
    axis.legend(fontsize=9, frameon=False, loc="center left", bbox_to_anchor=(1.02, 0.5))
    alt = (
        f"Scores of {num_tokens} tokens in tiles of {tile}: {step} of {count * count} tiles are computed, "
        f"in the "
        "order of their numbers; those above the diagonal are left out."
    )
    return Picture.from_figure(figure, alt=alt, caption=caption)

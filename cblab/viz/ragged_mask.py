"""The picture of a ragged batch's attention mask."""

from collections.abc import Sequence
from itertools import accumulate, pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch, Rectangle
from numpy.typing import ArrayLike, NDArray

from cblab.viz.picture import BLUE, INK, MUTED, PAPER, SKY, VERMILION, Picture, new_figure

_FOREIGN, _HIDDEN, _CACHED, _NEW, _WRONG = range(5)
_COLOURS = ("#e9ecef", PAPER, SKY, BLUE, VERMILION)
_WORDS = (
    "key of another sequence",
    "own key, not seen",
    "own key, seen: from the cache",
    "own key, seen: new",
    "seen, but must not be",
)


def ragged_mask_picture(
    mask: ArrayLike,
    cu_seqlens_q: ArrayLike,
    context_lens: ArrayLike,
    *,
    caption: str,
    labels: Sequence[str] | None = None,
) -> Picture:
    """Who sees whom in one forward pass over several sequences: a row a query, a column a key.

    What a query sees although it must not, of another sequence or of its own future, is marked as wrong.

    Args:
        mask: bool `[num_tokens, sum(context_lens)]`, as `ragged_causal_mask` makes it.
        cu_seqlens_q: `[num_seqs + 1]`, where each sequence's queries begin and end.
        context_lens: `[num_seqs]`, cached and new tokens of each.
        caption: one line that says what to see.
        labels: a short name of each sequence; "A", "B", … where none are given.

    Raises:
        ValueError: the mask has another shape than the lengths say.
    """
    seen = np.asarray(mask, dtype=bool)
    rows = [int(row) for row in np.asarray(cu_seqlens_q)]
    columns = [0, *accumulate(int(length) for length in np.asarray(context_lens))]
    if seen.shape != (rows[-1], columns[-1]) or len(rows) != len(columns):
        raise ValueError(
            f"the mask is {list(seen.shape)}, cu_seqlens_q and context_lens say [{rows[-1]}, {columns[-1]}]"
        )
    names = list(labels or (chr(ord("A") + index) for index in range(len(rows) - 1)))
    kinds = _kinds(seen, rows, columns)
    cell = min(0.34, 6.0 / columns[-1])
    figure, (axis,) = new_figure(cell * columns[-1] + 2.6, cell * rows[-1] + 1.5)
    _draw_cells(axis, kinds, has_lines=cell > 0.12)
    _draw_sequences(axis, names, rows, columns)
    words = _write_lengths(axis, names, rows, columns, apart=0.19 / cell)
    _label_axes(axis, rows, columns, apart=0.2 / cell)
    present = [kind for kind in range(5) if (kinds == kind).any()]
    handles = [Patch(facecolor=_COLOURS[kind], edgecolor=MUTED, label=_WORDS[kind]) for kind in present]
    figure.legend(handles=handles, loc="outside lower left", ncols=2, fontsize=9.5, frameon=False)
    alt = f"Attention mask of {len(names)} sequence{'s'[: len(names) > 1]}. {'; '.join(words)}. "
    alt += f"Wrongly seen keys: {int((kinds == _WRONG).sum())}."
    missing = _num_missing(kinds, rows, columns)
    if missing:
        alt += f" Not seen, of the keys up to each query's own: {missing}."
    return Picture.from_figure(figure, alt=alt, caption=caption)


def _kinds(seen: NDArray[np.bool_], rows: list[int], columns: list[int]) -> NDArray[np.int8]:
    """What each cell is, one of the five kinds."""
    kinds = np.where(seen, _WRONG, _FOREIGN).astype(np.int8)
    for (top, bottom), (left, right) in zip(pairwise(rows), pairwise(columns), strict=True):
        first_new = right - (bottom - top)
        for row in range(top, bottom):
            end = first_new + row - top + 1  # behind the query's own key
            own = kinds[row, left:right]
            own[~seen[row, left:right]] = _HIDDEN
            own[: first_new - left][seen[row, left:first_new]] = _CACHED
            own[first_new - left : end - left][seen[row, first_new:end]] = _NEW
    return kinds


def _num_missing(kinds: NDArray[np.int8], rows: list[int], columns: list[int]) -> int:
    """How many own keys, up to the query's own, are not seen: a window hides some, and so does a mistake."""
    return sum(
        int((kinds[row, left : right - (bottom - 1 - row)] == _HIDDEN).sum())
        for (top, bottom), (left, right) in zip(pairwise(rows), pairwise(columns), strict=True)
        for row in range(top, bottom)
    )


def _draw_cells(axis: Axes, kinds: NDArray[np.int8], *, has_lines: bool) -> None:
    axis.pcolormesh(
        kinds,
        cmap=ListedColormap(_COLOURS),
        vmin=0,
        vmax=len(_COLOURS) - 1,
        edgecolors="#c3cad1" if has_lines else "none",
        linewidth=0.5 if has_lines else 0,
    )
    for row, column in np.argwhere(kinds == _WRONG):
        axis.plot(column + 0.5, row + 0.5, marker="x", color=PAPER, markersize=5, markeredgewidth=1.6)


def _draw_sequences(axis: Axes, names: Sequence[str], rows: list[int], columns: list[int]) -> None:
    for name, (top, bottom), (left, right) in zip(names, pairwise(rows), pairwise(columns), strict=True):
        box = Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=INK, linewidth=1.6)
        axis.add_patch(box).set_clip_on(False)
        axis.text((left + right) / 2, -0.3, name, ha="center", va="bottom", color=INK, weight="bold")


def _write_lengths(
    axis: Axes, names: Sequence[str], rows: list[int], columns: list[int], *, apart: float
) -> list[str]:
    """Write beside each sequence how long it is; lines keep `apart` from each other, in rows."""
    words = []
    last = -apart
    for name, (top, bottom), (left, right) in zip(names, pairwise(rows), pairwise(columns), strict=True):
        num_new = bottom - top
        words.append(f"{name}: {num_new} new, {right - left - num_new} cached")
        last = max((top + bottom) / 2, last + apart)
        behind = axis.get_yaxis_transform()  # x in widths of the axes, y in rows
        axis.text(1.02, last, words[-1], va="center", color=INK, fontsize=10, transform=behind)
    return words


def _label_axes(axis: Axes, rows: list[int], columns: list[int], *, apart: float) -> None:
    """Tick keys and queries with their positions in their own sequences, where there is room for it."""
    axis.set_xlim(0, columns[-1])
    axis.set_ylim(rows[-1], 0)
    axis.set_aspect("equal")
    keys = [(left + i, i) for left, right in pairwise(columns) for i in range(right - left)]
    queries = [
        (row, right - left - (bottom - row))
        for (top, bottom), (left, right) in zip(pairwise(rows), pairwise(columns), strict=True)
        for row in range(top, bottom)
    ]
    for ticks, set_ticks in ((keys, axis.set_xticks), (queries, axis.set_yticks)):
        shown = ticks[:1]
        for place, position in ticks[1:]:
            if place - shown[-1][0] >= apart:
                shown.append((place, position))
        set_ticks([place + 0.5 for place, _ in shown], [str(position) for _, position in shown])
    axis.tick_params(length=0, labelsize=8)
    axis.set_xlabel("key (position in its sequence)", color=INK, fontsize=10.5)
    axis.set_ylabel("query (position)", color=INK, fontsize=10.5)
    for spine in axis.spines.values():
        spine.set_visible(False)

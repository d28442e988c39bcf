"""Pictures of text in tokens: tokens coloured over a text, merges in their order, a word's merge tree."""

import html
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from cblab.viz.picture import BLUE, INK, MUTED, PALE, Picture, new_figure

_CHIP = (
    "display:inline-block;color:#1b1f24;background-color:{colour};border:1px solid #5b6570;border-radius:3px;"
    "padding:0 2px;margin:1px 0;font-family:monospace;font-size:13px;line-height:1.5;white-space:pre"
)
_ROW = "display:flex;align-items:flex-start;margin:0.35em 0"
_ROW_LABEL = "flex:0 0 auto;min-width:9em;padding-right:0.9em;text-align:right"


def printable(piece: bytes) -> str:
    """How one token is written in a picture: a space as a visible mark, half a character as hex bytes."""
    try:
        text = piece.decode("utf-8")
    except UnicodeDecodeError:
        return "".join(f"‹{byte:02X}›" for byte in piece)
    shown = text.replace(" ", "␣").replace("\n", "↵").replace("\t", "⇥")
    return shown if shown.isprintable() and shown else "".join(f"‹{byte:02X}›" for byte in piece)


def token_strip(rows: Mapping[str, Sequence[bytes | str]], *, caption: str) -> Picture:
    """Tokens coloured over a text, one row a text.

    `rows` maps a row's label to its tokens: `bytes` for ordinary tokens, `str` for special ones (drawn in
    bold). It is HTML and not an image, so that every script is drawn by the reader's own fonts.
    """
    lines = []
    for label, tokens in rows.items():
        chips = "".join(_chip(token, PALE[index % len(PALE)]) for index, token in enumerate(tokens))
        count = f"{len(tokens)} token{'' if len(tokens) == 1 else 's'}"
        lines.append(
            f'<div style="{_ROW}"><div style="{_ROW_LABEL}">{html.escape(label)}<br>'
            f'<span style="opacity:0.75;font-size:0.9em">{count}</span></div>'
            f'<div style="flex:1;line-height:1.8;word-break:break-word">{chips}</div></div>'
        )
    body = "".join(lines)
    alt = "; ".join(f"{label}: {len(tokens)} tokens" for label, tokens in rows.items())
    return Picture(body, f"Tokens marked over each text. {alt}.", caption)


def _chip(token: bytes | str, colour: str) -> str:
    if isinstance(token, str):
        return f'<b style="{_CHIP.format(colour="#ffffff")}">{html.escape(token)}</b>'
    return f'<span style="{_CHIP.format(colour=colour)}">{html.escape(printable(token))}</span>'


def merge_steps(steps: Sequence[tuple[str, Sequence[bytes]]], *, caption: str) -> Picture:
    """A sequence after each merge, one row a step: `steps` holds (what was merged, the tokens after it)."""
    longest = max(sum(len(token) for token in tokens) for _, tokens in steps)
    figure, (axis,) = new_figure(8.6, 0.55 * len(steps) + 0.35)
    colours: dict[bytes, str] = {}
    for row, (label, tokens) in enumerate(steps):
        axis.text(-0.35, -row, label, ha="right", va="center", fontsize=10.5, color=INK)
        axis.text(
            longest + 0.35, -row, f"{len(tokens)} tokens", ha="left", va="center", fontsize=10.5, color=MUTED
        )
        left = 0
        for token in tokens:
            fill = "#ffffff" if len(token) == 1 else colours.setdefault(token, PALE[len(colours) % len(PALE)])
            _box(axis, left, -row, len(token), printable(token), fill)
            left += len(token)
    axis.set_xlim(-0.38 * longest, longest * 1.22)
    axis.set_ylim(-len(steps) + 0.45, 0.55)
    axis.axis("off")
    alt = "; ".join(f"{label}: {' '.join(printable(token) for token in tokens)}" for label, tokens in steps)
    return Picture.from_figure(figure, alt=f"The text after each merge. {alt}.", caption=caption)


def _box(
    axis: Axes, left: float, middle: float, width: float, text: str, fill: str, size: float = 11
) -> None:
    patch = FancyBboxPatch(
        (left + 0.05, middle - 0.33),
        width - 0.1,
        0.66,
        boxstyle="round,pad=0,rounding_size=0.1",
        facecolor=fill,
        edgecolor=MUTED,
        linewidth=1,
    )
    axis.add_patch(patch)
    axis.text(
        left + width / 2, middle, text, ha="center", va="center", fontsize=size, color=INK, family="monospace"
    )


def merge_tree(ids: Sequence[int], merges: Sequence[tuple[int, int]], *, caption: str) -> Picture:
    """The merges that made each token of a word: bytes at the bottom, the word's tokens at the top.

    `ids` are the word's tokens, `merges[rank]` is the pair of ids that token `256 + rank` is made of.
    """
    width = sum(_leaf_count(token, merges) for token in ids)
    height = max(_depth(token, merges) for token in ids)
    figure, (axis,) = new_figure(min(8.6, max(4.5, 0.85 * width)), 0.85 * height + 0.9)
    left = 0.0
    for token in ids:
        left = _draw_node(axis, token, left, merges)
    axis.set_xlim(-0.3, width + 0.3)
    axis.set_ylim(-0.6, height + 0.6)
    axis.axis("off")
    words = " ".join(printable(_bytes_of(token, merges)) for token in ids)
    return Picture.from_figure(
        figure, alt=f"Tree of merges; the tokens at the top are: {words}.", caption=caption
    )


def _draw_node(axis: Axes, token: int, left: float, merges: Sequence[tuple[int, int]]) -> float:
    """Draw `token` with everything below it from x = `left`; return where the next one starts."""
    width, depth = _leaf_count(token, merges), _depth(token, merges)
    middle = left + width / 2
    if token >= 256:
        child_left = left
        for child in merges[token - 256]:
            child_middle = child_left + _leaf_count(child, merges) / 2
            axis.plot(
                [middle, child_middle], [depth, _depth(child, merges)], color=BLUE, linewidth=1.3, zorder=0
            )
            child_left = _draw_node(axis, child, child_left, merges)
    text = printable(_bytes_of(token, merges))
    if token >= 256:
        text = f"{text}\nrank {token - 256}"
    span = max(0.85, 0.14 * max(map(len, text.split("\n"))) + 0.3)
    _box(axis, middle - span / 2, depth, span, text, PALE[0] if token >= 256 else "#ffffff", 10)
    return left + width


def _leaf_count(token: int, merges: Sequence[tuple[int, int]]) -> int:
    return 1 if token < 256 else sum(_leaf_count(child, merges) for child in merges[token - 256])


def _depth(token: int, merges: Sequence[tuple[int, int]]) -> int:
    return 0 if token < 256 else 1 + max(_depth(child, merges) for child in merges[token - 256])


def _bytes_of(token: int, merges: Sequence[tuple[int, int]]) -> bytes:
    if token < 256:
        return bytes([token])
    left, right = merges[token - 256]
    return _bytes_of(left, merges) + _bytes_of(right, merges)

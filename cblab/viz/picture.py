"""What every picture of the course is: HTML with an alternative text and a one-line caption."""

import base64
import html
import io
from dataclasses import dataclass

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK = "#1b1f24"
MUTED = "#5b6570"
PAPER = "#ffffff"
GRID = "#d5dae0"
# Okabe and Ito's palette, which stays distinct for the common kinds of colour blindness.
BLUE, ORANGE, GREEN, PINK, SKY, VERMILION = "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00"
PALE = ("#cfe6f7", "#fbe2ae", "#c8eee0", "#f3d6e7")

_FIGURE_STYLE = "margin:0.4em 0;max-width:100%"
_CAPTION_STYLE = "font-size:0.92em;opacity:0.85;margin-top:0.3em"


@dataclass(frozen=True)
class Picture:
    """One picture as it stands in a notebook.

    `body` is the HTML of the drawing alone, `alt` says in words what it shows, `caption` says in one line
    what to see. Pictures have their own light background and dark ink, so that they read on light and dark
    pages.
    """

    body: str
    alt: str
    caption: str
    png: bytes | None = None

    @classmethod
    def from_figure(cls, figure: Figure, *, alt: str, caption: str, dpi: int = 130) -> "Picture":
        """Render a matplotlib figure; the same figure gives the same bytes on every run."""
        buffer = io.BytesIO()
        with matplotlib.rc_context({"savefig.facecolor": PAPER}):
            figure.savefig(
                buffer,
                format="png",
                dpi=dpi,
                bbox_inches="tight",
                pad_inches=0.12,
                metadata={"Software": None},
            )
        png = buffer.getvalue()
        data = base64.b64encode(png).decode("ascii")
        body = (
            f'<img alt="{html.escape(alt, quote=True)}" src="data:image/png;base64,{data}" '
            'style="max-width:100%;height:auto;border-radius:6px">'
        )
        return cls(body, alt, caption, png)

    def _repr_html_(self) -> str:
        return (
            f'<figure style="{_FIGURE_STYLE}">{self.body}'
            f'<figcaption style="{_CAPTION_STYLE}">{html.escape(self.caption)}</figcaption></figure>'
        )

    def __repr__(self) -> str:
        return f"Picture: {self.alt}"


def new_figure(
    width: float, height: float, columns: int = 1, rows: int = 1, row_heights: list[float] | None = None
) -> tuple[Figure, list[Axes]]:
    """A figure of `width` x `height` inches in the course's style, with its axes in reading order.

    `row_heights` shares the height out among the rows; equal shares by default. The figure is made without
    pyplot: nothing is registered globally, so a picture shows once, where its cell returns it.
    """
    figure = Figure(figsize=(width, height), facecolor=PAPER, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, height_ratios=row_heights)
    axes = [axis for row in grid for axis in row]
    for axis in axes:
        axis.set_facecolor(PAPER)
        axis.tick_params(colors=INK, labelsize=10)
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
        for side in ("left", "bottom"):
            axis.spines[side].set_color(MUTED)
    return figure, axes


def label_axes(axis: Axes, *, x: str, y: str, title: str = "") -> None:
    """Put labels (with units) and a title on `axis` in the course's sizes."""
    axis.set_xlabel(x, color=INK, fontsize=10.5)
    axis.set_ylabel(y, color=INK, fontsize=10.5)
    if title:
        axis.set_title(title, color=INK, fontsize=11, loc="left")
    axis.grid(True, color=GRID, linewidth=0.7)
    axis.set_axisbelow(True)

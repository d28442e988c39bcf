"""The one look of what the course writes into a notebook: legible in light and dark, without colour too."""

import re
from collections.abc import Iterable, Sequence
from html import escape

# Blue and vermilion stay apart for every kind of colour vision.
_GOOD, _BAD, _PLAIN = "#0072b2", "#d55e00", "#8c8c8c"


def card(title: str, body: str, notes: Iterable[str] = (), good: bool | None = None) -> str:
    """HTML with a coloured edge: blue for good, vermilion for bad, grey where `good` is None.

    `title` is plain text, with code between backticks; `body` and `notes` are HTML already.
    """
    edge = _PLAIN if good is None else _GOOD if good else _BAD
    small = "".join(f'<div style="opacity:.75;font-size:90%;margin-top:.4em">{note}</div>' for note in notes)
    return (
        f'<div style="border-left:5px solid {edge};padding:.3em .9em;margin:.3em 0;max-width:60em">'
        f'<div style="font-weight:600;margin-bottom:.2em">{prose(title)}</div>{body}{small}</div>'
    )


def prose(text: str) -> str:
    """Plain text as HTML; what stands between backticks becomes code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """An HTML table, left aligned; cells are HTML already. An empty `header` makes no header row."""
    lines = [_row("th", header)] if header else []
    lines += [_row("td", row) for row in rows]
    return f'<table style="border-collapse:collapse;margin:0">{"".join(lines)}</table>'


def _row(tag: str, cells: Sequence[str]) -> str:
    style = "text-align:left;vertical-align:top;padding:.1em .9em .1em 0"
    return "<tr>" + "".join(f'<{tag} style="{style}">{cell}</{tag}>' for cell in cells) + "</tr>"


class Shown:
    """Something that a cell shows: a card in a notebook, plain text elsewhere."""

    def __init__(self, text: str, html: str) -> None:
        self.text = text
        self.html = html

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return self.html

"""The last page of the course: what an engine is made of, whether it is right, and how fast."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import median

from cblab.viz.picture import BLUE, GREEN, GRID, INK, MUTED, PAPER, SKY, VERMILION, Picture
from cblab.viz.player import Player

_STYLE = f"""
body {{ margin: 0 auto; max-width: 60rem; padding: 1.2rem 1.6rem; background: {PAPER}; color: {INK};
  font: 15px/1.45 system-ui, sans-serif }}
h1 {{ font-size: 1.5rem; margin: 0 0 .2rem }} h2 {{ font-size: 1.08rem; margin: 1.5rem 0 .4rem }}
.verdict {{ font-size: 1.08rem; border-left: 6px solid var(--mark); padding: .3rem .8rem; margin: .7rem 0 }}
table {{ border-collapse: collapse; width: 100% }}
th {{ text-align: left; font-weight: 600; color: {MUTED} }}
th, td {{ padding: .22rem .6rem .22rem 0; border-bottom: 1px solid {GRID}; vertical-align: top }}
td.number, th.number {{ text-align: right; font-variant-numeric: tabular-nums }}
td.number {{ white-space: nowrap }}
.bar {{ display: block; height: .8rem; min-width: 2px; background: {BLUE} }}
.own, .other {{ min-width: 4rem }} .speeds td:nth-child(2) {{ width: 50% }}
.scroll {{ overflow-x: auto }}
.other .bar {{ background: {SKY} }}
.facts {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(8.4rem, 1fr)); gap: .5rem }}
.facts div {{ border: 1px solid {GRID}; border-radius: 6px; padding: .4rem .7rem }}
.facts b {{ display: block; font-size: 1.2rem }} .facts span, figcaption, .note {{ color: {MUTED} }}
figure {{ margin: .4rem 0 }} figure img {{ max-width: 100% }}
iframe {{ width: 100%; border: 1px solid {GRID} }}
.new {{ background: #cfe6f7 }} .wrong {{ color: {VERMILION}; font-weight: 600 }}
"""


@dataclass(frozen=True)
class Speed:
    """How fast one way of serving the requests was.

    tokens_per_second: of all requests together, one number a round. first_token_s: seconds to each request's
    first token, of all rounds.
    """

    tokens_per_second: Sequence[float]
    first_token_s: Sequence[float]

    @property
    def median(self) -> float:
        """The middle round's tokens per second."""
        return median(self.tokens_per_second)

    @property
    def median_s(self) -> float:
        """The middle one of the seconds to the first token."""
        return median(self.first_token_s)


@dataclass(frozen=True)
class Answer:
    """One request: its prompt, the text that was generated, and whether the tokens are the right ones."""

    prompt: str
    text: str
    is_right: bool


class EngineReport(Player):
    """The page as it stands in a notebook; `save` writes it as a file."""

    def __repr__(self) -> str:
        return f"EngineReport: {self.alt}"


def engine_report(
    parts: Sequence[tuple[str, str, str]],
    answers: Sequence[Answer],
    speeds: Mapping[str, Speed],
    facts: Mapping[str, str],
    *,
    reference: str,
    title: str,
    caption: str,
    notes: Sequence[str] = (),
    timeline: Picture | None = None,
    player: Player | None = None,
) -> EngineReport:
    """Make the page; it needs neither a kernel nor a network.

    Args:
        parts: (part, what it is in the code, whose it is).
        answers: of all requests.
        speeds: the engine's own first, then what it is held against.
        facts: what was counted, as {label: value}.
        reference: whose tokens are the right ones.
        title: the page's heading.
        caption: one line that says what to see.
        notes: what to know when reading the speeds, a paragraph each.
        timeline: of the run.
        player: of the run.

    Raises:
        ValueError: no part, no answer or no speed.
    """
    for name, given in (("parts", parts), ("answers", answers), ("speeds", speeds)):
        if not given:
            raise ValueError(f"the page needs {name}: none were given")
    num_right = sum(one.is_right for one in answers)
    only = "" if num_right == len(answers) else "only "
    verdict = f"{only}{num_right} of {len(answers)} answers are those of {reference}, token for token"
    body = [
        f"<h1>{_text(title)}</h1>",
        f'<p class="verdict" style="--mark:{GREEN if num_right == len(answers) else VERMILION}">'
        f"{_text(verdict[0].upper() + verdict[1:])}.</p>",
        "<h2>What it is made of</h2>",
        _table(("part", "what", "whose"), [[_text(cell) for cell in row] for row in parts]),
        "<h2>How fast</h2>",
        _speeds(speeds),
        *(f'<p class="note">{_text(note)}</p>' for note in notes),
        "<h2>What happened</h2>",
        _facts(facts),
        *_figures(timeline, player),
        "<h2>What it said</h2>",
        _answers(answers),
    ]
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{_text(title)}</title>'
        f"<style>{_STYLE}</style></head><body>{''.join(body)}</body></html>"
    )
    own = next(iter(speeds))
    alt = f"{title}: {verdict}; {speeds[own].median:.0f} tokens a second."
    return EngineReport(page, alt, caption, height=760)


def _text(value: str) -> str:
    return html.escape(value)


def _table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int] = (), kind: str = "words"
) -> str:
    """A table of HTML cells; `numbers` are the columns that are aligned to the right, `kind` its class."""

    def cell(tag: str, column: int, content: str) -> str:
        align = ' class="number"' if column in numbers else ""
        return f"<{tag}{align}>{content}</{tag}>"

    head = "".join(cell("th", column, one) for column, one in enumerate(heads))
    body = ("".join(cell("td", column, one) for column, one in enumerate(row)) for row in rows)
    lines = "".join(f"<tr>{row}</tr>" for row in body)
    return f'<div class="scroll"><table class="{kind}"><tr>{head}</tr>{lines}</table></div>'


def _speeds(speeds: Mapping[str, Speed]) -> str:
    most = max(one.median for one in speeds.values())
    rows = []
    for index, (name, one) in enumerate(speeds.items()):
        bar = f'<span class="bar" style="width:{one.median / most:.1%}"></span>'
        rows.append(
            [
                f"<b>{_text(name)}</b>" if index == 0 else _text(name),
                f'<div class="{"other" if index else "own"}">{bar}</div>',
                f"{one.median:,.0f}",
                _range(one.tokens_per_second),
                f"{one.median_s:.2f}",
                f"{max(one.first_token_s):.2f}",
            ]
        )
    heads = ("", "", "tokens/s", "range", "first token, median s", "longest s")
    num_rounds = len(next(iter(speeds.values())).tokens_per_second)
    measured = (
        "Measured once" if num_rounds == 1 else f"Medians of {num_rounds} rounds by turns, with their range"
    )
    note = f"{measured}; all requests there at the beginning."
    return f'{_table(heads, rows, (2, 3, 4, 5), "speeds")}<p class="note">{note}</p>'


def _range(values: Sequence[float]) -> str:
    return "one run" if len(values) == 1 else f"{min(values):,.0f} to {max(values):,.0f}"


def _facts(facts: Mapping[str, str]) -> str:
    tiles = (f"<div><b>{_text(value)}</b><span>{_text(label)}</span></div>" for label, value in facts.items())
    return f'<div class="facts">{"".join(tiles)}</div>'


def _answers(answers: Sequence[Answer]) -> str:
    rows = [
        [
            f'{_text(one.prompt)}<span class="new">{_text(one.text)}</span>',
            "right" if one.is_right else '<span class="wrong">wrong</span>',
        ]
        for one in answers
    ]
    return _table(("prompt and answer", "tokens"), rows)


def _figures(timeline: Picture | None, player: Player | None) -> list[str]:
    timelines = [] if timeline is None else ["<h2>Step by step</h2>", timeline._repr_html_()]
    players = [] if player is None else [player._repr_html_()]
    return list(chain(timelines, players))

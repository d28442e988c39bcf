"""A verdict as a notebook shows it: a number to nbgrader, a card to the reader."""

from html import escape

from cblab.lab.card import card, prose, table
from cblab.lab.runner import Outcome, Verdict


class Score(float):
    """The points earned.

    Its text form is the number alone, which nbgrader reads as partial credit; its HTML form is a card that
    says what passed and what is wrong; `report` is the same in plain text.
    """

    verdict: Verdict

    def __new__(cls, verdict: Verdict) -> "Score":
        """The score that a verdict amounts to."""
        score = super().__new__(cls, verdict.points)
        score.verdict = verdict
        return score

    def __repr__(self) -> str:
        return float.__repr__(self)

    @property
    def report(self) -> str:
        """One line a part, for a terminal."""
        return report(self.verdict)

    def _repr_html_(self) -> str:
        return verdict_card(self.verdict)


def verdict_card(verdict: Verdict) -> str:
    """A verdict as HTML: a row for each part, with its message if it failed."""
    rows = [
        (
            _unbroken(_mark(outcome)),
            prose(outcome.part.name),
            _unbroken(_points(outcome)),
            prose(_message(outcome)),
        )
        for outcome in verdict.outcomes
    ]
    notes = [note for note in (_summary(verdict),) if note]
    if verdict.public_seed:
        notes.append(
            "The hidden cases come from the public seed; set CBLAB_HIDDEN_SEED or CBLAB_COURSE to grade."
        )
    body = table(("", "part", "points", ""), rows)
    if verdict.printed:
        printed = escape(verdict.printed)
        body += f"<details><summary>what your code printed</summary><pre>{printed}</pre></details>"
    return card(_headline(verdict), body, notes, good=verdict.passed)


def report(verdict: Verdict) -> str:
    """A verdict in plain text: one line for the exercise, one for each part."""
    lines = [_headline(verdict)]
    for outcome in verdict.outcomes:
        message = f": {_message(outcome)}" if outcome.message else ""
        lines.append(f"  {_mark(outcome)} {outcome.part.name} ({_points(outcome)}){message}")
    return "\n".join(lines)


def _headline(verdict: Verdict) -> str:
    exercise = verdict.exercise
    return f"{exercise.id} {exercise.title}: {verdict.points:g} of {exercise.points:g} points"


def _mark(outcome: Outcome) -> str:
    return "✓ passed" if outcome.passed else "○ blank" if outcome.blank else "✗ failed"


def _unbroken(text: str) -> str:
    return f'<span style="white-space:nowrap">{escape(text)}</span>'


def _points(outcome: Outcome) -> str:
    return f"{outcome.earned:g} of {outcome.part.points:g}"


def _message(outcome: Outcome) -> str:
    if outcome.message is None:
        return ""
    return f"in a hidden case, {outcome.message}" if outcome.level == "hidden" else outcome.message


def _summary(verdict: Verdict) -> str:
    """The note under a card; "" where there is nothing to add: number exercises have no further cases."""
    failed = [outcome for outcome in verdict.outcomes if not outcome.passed and not outcome.blank]
    if len(failed) > 1:
        return "Mend what the first message says: the others may go with it."
    if not verdict.passed or not verdict.exercise.symbols:
        return ""
    if "hidden" in verdict.levels:
        return "Passed on the small cases, on random ones and on the hidden ones."
    return "Passed on the small cases and on random ones. Grading adds hidden cases."

"""What a story plot is: sentences as templates, and the things that it picks by itself."""

from dataclasses import dataclass, field

from cblab.training.corpus.template import Template

Rows = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Plot:
    """One skeleton of a story, told after its opening.

    `paragraphs` holds the beginning, the turn and the end, each a tuple of templates (a leading `?` makes a
    sentence optional). `picks` gives slots that are chosen independently; `rows` gives slots that belong
    together: the key names them, separated by spaces, and one row is chosen. `not_for` lists the animals that
    cannot be its hero.
    """

    name: str
    paragraphs: tuple[tuple[str, ...], ...]
    picks: dict[str, tuple[str, ...]] = field(default_factory=dict)
    rows: dict[str, Rows] = field(default_factory=dict)
    not_for: tuple[str, ...] = ()

    def compiled(self) -> tuple[tuple[tuple[bool, Template], ...], ...]:
        """Return the paragraphs as (optional, template) pairs; raise ValueError for a malformed template."""
        return tuple(
            tuple((line.startswith("?"), Template(line.removeprefix("?"))) for line in paragraph)
            for paragraph in self.paragraphs
        )

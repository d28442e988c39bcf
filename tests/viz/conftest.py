"""What the tests of pictures share."""

import pytest
from matplotlib.figure import Figure

from cblab import viz


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that pictures are made of, instead of their images."""
    seen: list[Figure] = []

    def keep(cls: type[viz.Picture], figure: Figure, *, alt: str, caption: str) -> viz.Picture:
        seen.append(figure)
        return cls("", alt, caption)

    monkeypatch.setattr(viz.Picture, "from_figure", classmethod(keep))
    return seen

"""What an exercise is: what the student defines, what it needs, its points, hints and checks."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from cblab.lab.executor import DEFAULT_SECONDS

if TYPE_CHECKING:
    from cblab.lab.trial import Trial

Difficulty = Literal["easy", "medium", "hard"]


@dataclass(frozen=True)
class Part:
    """A piece of an exercise that can be right on its own.

    script: expectations on a Trial; the part's points are lost with the first that fails.
    """

    name: str
    points: float
    script: "Callable[[Trial], None]"


@dataclass(frozen=True)
class Exercise:
    """One blank of a lab and how it is judged.

    id: lab number and position, ``"1.3"``.
    symbols: what the answer cell defines, name to the reference's path (``"module:name"`` within cblab).
    variables: for assessments, the names of the plain variables that the answer cell assigns.
    needs: symbols of earlier exercises of the same lab; while this one is judged they are the reference's.
    hints: in the order in which they are given: the idea, the shapes, the pseudocode.
    minutes, difficulty, lines: what the student is told to expect; lines of all blanks together, 0 if untold.
    seconds: the time limit of one call.
    """

    id: str
    title: str
    parts: tuple[Part, ...]
    symbols: Mapping[str, str] = field(default_factory=dict)
    variables: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    minutes: int = 5
    difficulty: Difficulty = "easy"
    lines: int = 0
    bonus: bool = False
    seconds: float = DEFAULT_SECONDS

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\d+\.\d+[a-z]?", self.id):
            raise ValueError(f"exercise id {self.id!r}: lab number and position were expected, as in '1.3'")
        if not self.parts or any(part.points <= 0 for part in self.parts):
            raise ValueError(f"exercise {self.id}: it needs parts, each with points above 0")
        names = [part.name for part in self.parts]
        if len(set(names)) != len(names):
            raise ValueError(f"exercise {self.id}: two parts share a name")
        if not self.symbols and not self.variables:
            raise ValueError(f"exercise {self.id}: it defines no symbol and no variable")

    @property
    def points(self) -> float:
        """The points of all parts together."""
        return round(sum(part.points for part in self.parts), 6)

    @property
    def lab_number(self) -> int:
        """The number of the lab that the exercise belongs to."""
        return int(self.id.split(".")[0])

"""Which exercises there are, by lab: one module a lab, such as ``cblab.lab.labs.lab01_tokenization``."""

import importlib
import pkgutil
import re
from collections.abc import Mapping
from dataclasses import dataclass

from cblab.lab import labs
from cblab.lab.exercise import Exercise


class LabError(ValueError):
    """A mistake in using the course's tools; the text is one line for the person who made it."""

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows of it: that line, without the frames that it came through."""
        return [f"{type(self).__name__}: {self}"]


@dataclass(frozen=True)
class Lab:
    """A lab's exercises, in their order. name: its folder, ``"01_tokenization"``."""

    name: str
    exercises: tuple[Exercise, ...]

    def __post_init__(self) -> None:
        seen: dict[str, str] = {}
        for exercise in self.exercises:
            if exercise.lab_number != int(self.name.split("_")[0]):
                raise ValueError(f"exercise {exercise.id} does not belong to lab {self.name}")
            unknown = [name for name in exercise.needs if name not in seen]
            if unknown:
                raise ValueError(
                    f"exercise {exercise.id} needs {unknown[0]!r}, which no earlier exercise defines"
                )
            seen.update(exercise.symbols)
        ids = [exercise.id for exercise in self.exercises]
        if len(set(ids)) != len(ids):
            raise ValueError(f"lab {self.name}: two exercises share an id")

    def exercise(self, exercise_id: str) -> Exercise:
        """The exercise of that id; LabError if there is none."""
        for exercise in self.exercises:
            if exercise.id == exercise_id:
                return exercise
        known = ", ".join(exercise.id for exercise in self.exercises)
        raise LabError(f"there is no exercise {exercise_id} in lab {self.name}; it has {known}")

    def references(self, exercise: Exercise) -> Mapping[str, str]:
        """Name to path of what stands in for earlier exercises while `exercise` is judged."""
        paths = {name: path for other in self.exercises for name, path in other.symbols.items()}
        return {name: paths[name] for name in exercise.needs}

    def built_on(self, exercise: Exercise) -> tuple[Exercise, ...]:
        """The earlier exercises whose answers `exercise` uses, itself or through one of them, in order."""
        needs, found = set(exercise.needs), []
        for other in reversed(self.exercises[: self.exercises.index(exercise)]):
            if needs & other.symbols.keys():
                needs.update(other.needs)
                found.append(other)
        return tuple(reversed(found))


def lab_names() -> tuple[str, ...]:
    """The labs that have exercises, ``("01_tokenization", …)``; none of their modules is loaded for it."""
    found = (re.fullmatch(r"lab(\d+_\w+)", module.name) for module in pkgutil.iter_modules(labs.__path__))
    return tuple(sorted(match[1] for match in found if match))


def load_lab(number_or_name: int | str) -> Lab:
    """The lab of that number or folder name; LabError if there is none."""
    for name in lab_names():
        if number_or_name in (name, int(name.split("_")[0])):
            module = importlib.import_module(f"cblab.lab.labs.lab{name}")
            return Lab(name, tuple(module.EXERCISES))
    raise LabError(f"there is no lab {number_or_name}; there are {', '.join(lab_names()) or 'none yet'}")


def lab_of(exercise_id: str) -> Lab:
    """The lab that an exercise id such as ``"1.3"`` belongs to; LabError if there is none."""
    number = exercise_id.partition(".")[0]
    if not number.isdigit():
        raise LabError(f"{exercise_id!r} is no exercise id; one looks like 1.3")
    return load_lab(int(number))

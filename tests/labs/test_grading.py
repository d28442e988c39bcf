"""The real grading path: stock `nbgrader autograde` over the solution, the untouched release, and answers.

Exercises are graded on their own, so that submission k carries answer k of every exercise. A submission takes
nbgrader seconds, so that of an exercise's answers only MOST_ROUNDS are graded here, from all over its list;
``CBLAB_GRADING_ROUNDS=99`` grades all. Every one is judged in a worker process (``test_answers.py``).
"""

import html
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from nbgrader.api import Gradebook

from cblab.lab.notebook import cell_id
from cblab.lab.release import to_text
from tests.conftest import COUNTED
from tests.labs.submissions import (
    LABS,
    ROOT,
    Answer,
    alternatives,
    filled,
    lab_and_solution,
    lean,
    mutants,
    release,
    rounds,
)
from tests.nbgrader_command import nbgrader

pytestmark = pytest.mark.timeout(1800)
MOST_ROUNDS = int(os.environ.get("CBLAB_GRADING_ROUNDS", "2"))


@dataclass(frozen=True)
class Graded:
    """What became of one answer in one submission: its points of how many, and the card that was shown."""

    answer: Answer
    points: float | None
    most: float
    card: str


@dataclass
class Course:
    """A course of one lab in a folder of its own, graded by nbgrader's command line."""

    root: Path
    lab: str
    carried: dict[str, dict[str, Answer]] = field(default_factory=dict)

    def submit(self, student: str, notebook: NotebookNode, carried: dict[str, Answer] | None = None) -> None:
        folder = self.root / "submitted" / student / self.lab
        folder.mkdir(parents=True)
        (folder / f"{self.lab}.ipynb").write_text(to_text(notebook), encoding="utf-8")
        self.carried[student] = carried or {}

    def nbgrader(self, command: str) -> None:
        environment = {"OMP_NUM_THREADS": "1", "CBLAB_HIDDEN_SEED": "a seed of the tests"}
        nbgrader(self.root, command, self.lab, environment=environment, seconds=1700)

    def scores(self, student: str) -> dict[str, tuple[float | None, float]]:
        """Points and maximum of each graded cell, by grade id."""
        with Gradebook(f"sqlite:///{self.root / 'gradebook.db'}") as gradebook:
            notebook = gradebook.find_submission_notebook(self.lab, self.lab, student)
            return {grade.name: (grade.auto_score, grade.max_score) for grade in notebook.grades}

    def shown(self, student: str, grade_id: str) -> str:
        """The card that a check cell showed to the grader, its code between backticks again."""
        path = self.root / "autograded" / student / self.lab / f"{self.lab}.ipynb"
        (cell,) = (cell for cell in nbformat.read(path, as_version=4).cells if cell.id == grade_id)
        page = "".join(str(output.get("data", {}).get("text/html", output)) for output in cell.outputs)
        return re.sub("</?code>", "`", page)

    def graded(self, kind: str) -> Iterator[Graded]:
        """Every answer that the submissions of a kind, "mutants" or "alternatives", carry."""
        for student, carried in self.carried.items():
            scores = self.scores(student) if student.startswith(kind) else {}
            for exercise, answer in carried.items() if scores else ():
                check = cell_id("check", exercise)
                yield Graded(answer, *scores[check], self.shown(student, check))


@pytest.fixture(scope="module", params=LABS)
def course(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Course:
    """Everything submitted and graded, in one process of nbgrader."""
    name: str = request.param
    made = Course(tmp_path_factory.mktemp("course"), name)
    shutil.copy(ROOT / "nbgrader_config.py", made.root)
    source = made.root / "solutions" / name
    source.mkdir(parents=True)
    (source / f"{name}.ipynb").write_text(to_text(lab_and_solution(name)[1]), encoding="utf-8")
    made.nbgrader("generate_assignment")
    made.submit("solution", lean(lab_and_solution(name)[1]))  # nbval runs the whole of it
    made.submit("untouched", lean(release(name)))
    for kind, answers in (("mutants", mutants(name)), ("alternatives", alternatives(name))):
        for index, carried in enumerate(rounds(answers, MOST_ROUNDS)):
            made.submit(f"{kind}-{index:02}", filled(name, carried), carried)
    made.nbgrader("autograde")
    return made


def test_the_release_of_the_source_is_what_nbgrader_makes(course: Course) -> None:
    made = course.root / "labs" / course.lab / f"{course.lab}.ipynb"
    assert made.read_text(encoding="utf-8") == to_text(release(course.lab))


def test_the_solution_gets_full_marks(course: Course) -> None:
    scores = course.scores("solution")
    assert {name: score for name, (score, _) in scores.items() if name.startswith("check-")} == {
        cell_id("check", exercise.id): exercise.points
        for exercise in lab_and_solution(course.lab)[0].exercises
    }
    assert {score for name, (score, _) in scores.items() if not name.startswith("check-")} <= {None}


def test_the_untouched_release_gets_nothing_and_every_check_is_a_named_error(course: Course) -> None:
    assert {score for score, _ in course.scores("untouched").values()} == {0.0}
    for exercise in lab_and_solution(course.lab)[0].exercises:
        said = course.shown("untouched", cell_id("check", exercise.id))
        assert "NotImplementedError" in said
        assert f"exercise {exercise.id}" in said


def test_wrong_answers_lose_points_and_the_grader_sees_why(
    course: Course, record_property: Callable[[str, object], None]
) -> None:
    graded = list(course.graded("mutants"))
    survivors = [one.answer for one in graded if one.points is None or one.points >= one.most]
    unnamed = [one.answer for one in graded if html.escape(str(one.answer.says)) not in one.card]
    killed = len(graded) - len(survivors)
    record_property(
        COUNTED,
        f"lab {course.lab}: {killed} of {len(graded)} mutants lose points under nbgrader "
        f"(at most {MOST_ROUNDS} an exercise; there are {len(mutants(course.lab))})",
    )
    assert survivors == []
    assert unnamed == []


def test_right_answers_get_full_marks(course: Course, record_property: Callable[[str, object], None]) -> None:
    graded = list(course.graded("alternatives"))
    rejected = [one for one in graded if one.points != one.most]
    accepted = len(graded) - len(rejected)
    record_property(
        COUNTED,
        f"lab {course.lab}: {accepted} of {len(graded)} alternatives get full marks under nbgrader",
    )
    assert rejected == []

"""The real grading path: stock `nbgrader autograde` over the solution, the untouched release, and answers.

Exercises are graded on their own, so that submission k carries answer k of every exercise.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from nbgrader.api import Gradebook

from cblab.lab.notebook import cell_id
from cblab.lab.release import to_text
from tests.labs.conftest import COUNTED
from tests.labs.submissions import (
    LABS,
    ROOT,
    Answer,
    alternatives,
    filled,
    lab_and_solution,
    mutants,
    release,
    rounds,
)

pytestmark = pytest.mark.timeout(600)


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

    def nbgrader(self, command: str, *arguments: str) -> str:
        """Run a command; what it says on both streams."""
        path = str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"]
        done = subprocess.run(
            [sys.executable, "-m", "nbgrader", command, self.lab, *arguments],
            cwd=self.root,
            env=os.environ
            | {"PATH": path, "OMP_NUM_THREADS": "1", "CBLAB_HIDDEN_SEED": "a seed of the tests"},
            capture_output=True,
            text=True,
            timeout=580,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def scores(self, student: str) -> dict[str, tuple[float | None, float]]:
        """Points and maximum of each graded cell, by grade id."""
        with Gradebook(f"sqlite:///{self.root / 'gradebook.db'}") as gradebook:
            notebook = gradebook.find_submission_notebook(self.lab, self.lab, student)
            return {grade.name: (grade.auto_score, grade.max_score) for grade in notebook.grades}

    def shown(self, student: str, grade_id: str) -> str:
        """The card that a check cell showed to the grader."""
        path = self.root / "autograded" / student / self.lab / f"{self.lab}.ipynb"
        (cell,) = (cell for cell in nbformat.read(path, as_version=4).cells if cell.id == grade_id)
        return "".join(str(output.get("data", {}).get("text/html", output)) for output in cell.outputs)


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
    made.submit("solution", lab_and_solution(name)[1])
    made.submit("untouched", release(name))
    for kind, answers in (("mutants", mutants(name)), ("alternatives", alternatives(name))):
        for index, carried in enumerate(rounds(answers)):
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
    survivors, unnamed, count = [], [], 0
    for student, carried in course.carried.items():
        if student.startswith("mutants"):
            scores = course.scores(student)
            for exercise, mutant in carried.items():
                count += 1
                score, most = scores[cell_id("check", exercise)]
                if score is None or score >= most:
                    survivors.append(f"{exercise} {mutant.name}")
                elif escaped(str(mutant.says)) not in course.shown(student, cell_id("check", exercise)):
                    unnamed.append(f"{exercise} {mutant.name}")
    killed = count - len(survivors)
    record_property(COUNTED, f"lab {course.lab}: {killed} of {count} mutants lose points under nbgrader")
    assert survivors == []
    assert unnamed == []


def test_right_answers_get_full_marks(course: Course, record_property: Callable[[str, object], None]) -> None:
    rejected, count = [], 0
    for student, carried in course.carried.items():
        if student.startswith("alternatives"):
            scores = course.scores(student)
            for exercise, answer in carried.items():
                count += 1
                score, most = scores[cell_id("check", exercise)]
                if score != most:
                    rejected.append(f"{exercise} {answer.name}: {score} of {most}")
    record_property(
        COUNTED,
        f"lab {course.lab}: {count - len(rejected)} of {count} alternatives get full marks under nbgrader",
    )
    assert rejected == []


def escaped(text: str) -> str:
    import html

    return html.escape(text)

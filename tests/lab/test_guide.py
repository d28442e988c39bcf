"""The guides hold what they say: the map, the times, the points, the links, the commands."""

import json
import re
from pathlib import Path

import pytest
import typer.main

from cblab import cli
from cblab.lab.notebook import open_questions
from cblab.lab.registry import lab_names, load_lab

ROOT = Path(__file__).parents[2]
GUIDE, TROUBLE, INSTRUCTORS = (
    ROOT / name for name in ("labs/README.md", "labs/TROUBLESHOOTING.md", "solutions/README.md")
)
PAGES = (GUIDE, TROUBLE, INSTRUCTORS)
LABS = lab_names()  # as they are before the toy lab joins them


def rows(page: Path, section: str) -> list[list[str]]:
    """The cells of a section's first table, without its header."""
    text = page.read_text(encoding="utf-8")
    lines = text.partition(f"\n## {section}\n")[2].partition("\n## ")[0].splitlines()
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    assert len(table) > 2, f"{page} has no table in {section!r}"
    return table[2:]


def times(page: Path, section: str) -> dict[str, str]:
    """What each lab, by its number, takes by the last column of a table."""
    return {row[0].lstrip("[")[:2]: row[-1] for row in rows(page, section)}


def test_every_lab_is_on_the_map_with_the_time_that_the_readme_gives() -> None:
    here, there = times(GUIDE, "The map"), times(ROOT / "README.md", "For students")
    assert {name[:2] for name in LABS} <= here.keys()
    assert {name[:2] for name in LABS if (ROOT / "labs" / name).is_dir()} <= there.keys()
    assert {lab: here[lab] for lab in there} == there


@pytest.mark.parametrize("name", LABS)
def test_the_time_on_the_map_is_the_one_that_the_lab_gives(name: str) -> None:
    opening = (ROOT / "solutions" / f"{name}.py").read_text(encoding="utf-8").partition("**Time.**")[2]
    opening = opening.partition("**You need**")[0]
    said = re.findall(r"(\d+) min", times(GUIDE, "The map")[name[:2]])
    assert said
    assert not [minutes for minutes in said if not re.search(rf"\b{minutes}\b", opening)]


@pytest.mark.parametrize("name", LABS)
def test_the_map_names_the_labs_file(name: str) -> None:
    assert f"{name}/{name}.ipynb" in GUIDE.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", LABS)
def test_the_points_are_those_of_the_lab(name: str) -> None:
    exercises = load_lab(name).exercises
    notebook = json.loads((ROOT / "solutions" / name / f"{name}.ipynb").read_text(encoding="utf-8"))
    checked = sum(one.points for one in exercises if not one.bonus)
    bonus = sum(one.points for one in exercises if one.bonus)
    by_hand = sum(question.points for question in open_questions(notebook))
    numbers = [checked, by_hand, checked + by_hand, bonus, checked + by_hand + bonus]
    (row,) = (row for row in rows(INSTRUCTORS, "Points") if row[0] == name)
    assert row[1:] == [f"{number:g}" for number in numbers]


def test_the_instructors_know_the_hard_exercises() -> None:
    text = " ".join(INSTRUCTORS.read_text(encoding="utf-8").split())
    said = re.findall(r"\d\.\d+", text.partition("The hard exercises are ")[2].partition(". When")[0])
    exercises = [one for name in LABS for one in load_lab(name).exercises]
    assert said == [one.id for one in exercises if one.difficulty == "hard" and not one.bonus]


SYLLABUS = "Syllabus: six meetings of 90 minutes"


def test_the_syllabus_names_exercises_that_there_are() -> None:
    known = {one.id for name in LABS for one in load_lab(name).exercises}
    named = re.findall(r"\b\d\.\d+\b", " ".join(" ".join(row) for row in rows(INSTRUCTORS, SYLLABUS)))
    assert len(named) > 10
    assert not set(named) - known


def test_what_is_done_in_class_takes_as_long_as_the_syllabus_says() -> None:
    minutes = []
    for row in rows(INSTRUCTORS, SYLLABUS)[:6]:
        first, last = re.findall(r"\d\.\d+", row[1])
        exercises = load_lab(int(row[0])).exercises
        ids = [one.id for one in exercises]
        chosen = exercises[ids.index(first) : ids.index(last) + 1]
        minutes.append(sum(one.minutes for one in chosen))
    assert f"{min(minutes)} to {max(minutes)} minutes" in INSTRUCTORS.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.name}")
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
    inside = [link for link in links if not link.startswith("https://")]
    assert not [link for link in inside if not (page.parent / link.partition("#")[0]).exists()]
    for link in inside:
        target, _, anchor = link.partition("#")
        if anchor:
            headings = re.findall(r"^#+ (.+)$", (page.parent / target).read_text(encoding="utf-8"), re.M)
            assert anchor in {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}


@pytest.mark.parametrize("page", [GUIDE, TROUBLE], ids=lambda page: page.name)
def test_a_students_page_leads_nowhere_that_students_do_not_have(page: Path) -> None:
    assert not re.findall(r"\]\(\.\.[^)]*\)", page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.name}")
def test_commands_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    command = typer.main.get_command(cli.app)
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    known = set(getattr(command, "commands", {}))
    assert known
    assert not set(re.findall(r"(?:^ *|`|/)cblab ([a-z]+)", text, re.M)) - known
    assert not set(re.findall(r"(?:^ *|`|=\w* )make ([a-z-]+)", text, re.M)) - set(targets)


def test_the_guide_shows_every_command_for_a_lab() -> None:
    named = set(re.findall(r"^cblab ([a-z]+)", GUIDE.read_text(encoding="utf-8"), re.M))
    assert named == {"check", "reset", "progress"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.name}")
def test_lines_are_short(page: Path) -> None:
    lines = page.read_text(encoding="utf-8").splitlines()
    assert not [line for line in lines if len(line) > 120 and not line.startswith("|")]

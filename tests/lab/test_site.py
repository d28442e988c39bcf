"""The static site: complete, readable without a network, and without answers unless they are asked for."""

import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import nbformat
import pytest
from playwright.sync_api import expect, sync_playwright

from cblab.lab import site
from cblab.lab.build import lab_sources
from cblab.lab.registry import LabError
from cblab.lab.site import Page, build_site, pages

ROOT = Path(__file__).parent.parent.parent
LABS = lab_sources(ROOT)
CHROMIUM_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
SOURCES = {"script": "src", "img": "src", "iframe": "src", "link": "href"}  # what a page loads by itself


class Addresses(HTMLParser):
    """What a page loads, and where its links lead."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.loaded += [values[SOURCES[tag]] or ""] if tag in SOURCES and SOURCES[tag] in values else []
        self.links += [values["href"] or ""] if tag == "a" and "href" in values else []


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    build_site(ROOT, folder, package="cblab.serving")
    return folder


def text_of(page: str) -> str:
    """A page's text without its tags and its frames."""
    return unescape(re.sub(r"<[^>]+>", "", page))


def test_there_is_a_page_for_every_lab_and_guide(built: Path) -> None:
    expected = {"index.html", "troubleshooting.html", "instructors.html", "engine.html"}
    expected |= {f"labs/{name}.html" for name in LABS}
    found = {str(path.relative_to(built)) for path in built.rglob("*.html")}
    assert {one for one in found if not one.startswith("api/")} == expected
    assert "api/cblab/serving/llm.html" in found


def test_nothing_is_loaded_from_a_network_and_no_local_link_is_dead(built: Path) -> None:
    dead = []
    for path in built.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        addresses = Addresses(text)
        assert not re.findall(r"@import|url\(\s*['\"]?(?:https?:)?//", text), path
        for address in addresses.loaded:
            assert address.startswith("data:") or (path.parent / address).is_file(), (path, address)
        for link in addresses.links:
            place, _, fragment = link.partition("#")
            if re.match(r"https?:|mailto:", link):
                continue
            target = path.parent / unquote(place) if place else path
            if not target.is_file() or (fragment and f'id="{fragment}"' not in target.read_text("utf-8")):
                dead.append((str(path.relative_to(built)), link))
    # The whole reference has these pages; the test writes that of one package.
    assert {link for _, link in dead if not link.endswith(site.API.target)} == set()


@pytest.mark.parametrize("lab", LABS)
def test_a_lab_shows_blanks_and_the_outputs_of_the_reference(built: Path, lab: str) -> None:
    shown = text_of((built / "labs" / f"{lab}.html").read_text(encoding="utf-8"))
    release = nbformat.read(ROOT / "labs" / lab / f"{lab}.ipynb", as_version=4)
    solution = nbformat.read(ROOT / "solutions" / lab / f"{lab}.ipynb", as_version=4)
    given = "\n".join(cell.source for cell in release.cells)
    answers = [
        line.strip()
        for cell in solution.cells
        if cell.metadata.get("nbgrader", {}).get("solution") and cell.cell_type == "code"
        for line in cell.source.splitlines()
        if len(line.strip()) > 30 and line.strip() not in given
    ]
    assert answers
    assert [line for line in answers if line in shown] == []
    assert 'raise NotImplementedError("exercise' in shown
    assert re.search(r"\d of \d points", shown)


def test_the_answers_are_shown_where_they_are_asked_for() -> None:
    page = next(one for one in pages(ROOT) if one.target == "labs/01_tokenization.html")
    shown = text_of(site._rendered(ROOT, page, with_solutions=True))
    assert 'NotImplementedError("exercise' not in shown
    assert site._LAB_NOTE not in shown


def test_a_reader_without_a_network_goes_from_the_guide_to_a_lab_and_steps_through_its_run(
    built: Path, chromium: str
) -> None:
    requested: list[str] = []
    failed: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        page = browser.new_page(viewport={"width": 1100, "height": 900})
        page.on("request", lambda request: requested.append(request.url))
        page.on("pageerror", lambda error: failed.append(str(error)))
        page.goto(f"file://{built / 'index.html'}")
        page.get_by_role("navigation").get_by_role("link", name="05 continuous batching").click()
        expect(page.locator("h1").first).to_contain_text("ontinuous batching")
        player = page.frame_locator("iframe").first
        expect(player.locator("#label")).to_contain_text("step 0,")
        player.get_by_role("button", name="next step").click()
        expect(player.locator("#label")).to_contain_text("step 1,")
        page.goto(f"file://{built / 'api/cblab/serving/llm.html'}")
        expect(page.get_by_role("link", name="The course")).to_be_visible()
        browser.close()
    assert [url for url in requested if not url.startswith(("file://", "data:", "blob:", "about:"))] == []
    assert failed == []


def test_a_link_that_leads_to_no_page_is_named() -> None:
    page = Page("Guide", "index.html", ("labs/README.md",))
    with pytest.raises(LabError, match=r"labs/README.md links to nowhere.md, which is no page of the site"):
        site._relinked('<main><a href="nowhere.md">there</a>', page, [page])


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(LabError, match="is not empty and holds no site"):
        build_site(ROOT, tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "mine"

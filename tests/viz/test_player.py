"""The trace player: its page holds what the trace holds, and a browser clicks through it with no network."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from playwright.sync_api import Page, expect, sync_playwright

from cblab import viz
from cblab.core.config import EngineConfig
from cblab.core.engine import Engine
from cblab.core.sampling_params import SamplingParams
from cblab.core.trace import Trace
from cblab.model import TinyLLM
from cblab.viz.player import _steps

CHROMIUM_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(scope="module")
def trace() -> Trace:
    """Three requests in a pool that is too small for them: one is preempted."""
    torch.manual_seed(0)
    trace = Trace()
    config = EngineConfig(
        num_blocks=9,
        block_size=4,
        max_num_seqs=3,
        max_num_batched_tokens=16,
        prefill_chunk_size=10,
        watermark=0.0,
        enable_prefix_caching=False,
    )
    engine = Engine(TinyLLM(vocab_size=50), None, config, trace=trace)
    for name, num_prompt, num_new in (("A", 5, 9), ("B", 14, 8), ("</script>", 3, 9)):
        params = SamplingParams(temperature=0, max_tokens=num_new, ignore_eos=True)
        engine.add_request(list(range(num_prompt)), params, request_id=name)
    while engine.has_unfinished:
        engine.step()
    return trace


@pytest.fixture(scope="module")
def made(trace: Trace) -> viz.Player:
    return viz.player(trace, block_size=4, caption="A run.", prompts={"A": 5}, unit="ticks")


@pytest.fixture
def page(chromium: str, tmp_path: Path, made: viz.Player) -> Iterator[Page]:
    """The saved page, in a browser that may load nothing else; no script may fail in it."""
    made.save(tmp_path / "run.html")
    requested: list[str] = []
    failed: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        page = browser.new_page(viewport={"width": 900, "height": 900})
        page.on("request", lambda request: requested.append(request.url))
        page.on("pageerror", lambda error: failed.append(str(error)))
        page.goto(f"file://{tmp_path / 'run.html'}")
        yield page
        browser.close()
    assert requested == [f"file://{tmp_path / 'run.html'}"]
    assert failed == []


def test_a_reader_steps_through_the_run(page: Page, trace: Trace) -> None:
    label, rows = page.locator("#label"), page.locator("#requests tr")
    expect(label).to_contain_text("step 0,")
    expect(rows).to_have_count(3)
    expect(page.locator("#events")).to_contain_text("A arrives")
    expect(page.locator("#events")).to_contain_text("A is admitted")
    page.get_by_role("button", name="next step").click()
    expect(label).to_contain_text("step 1,")
    page.keyboard.press("ArrowRight")
    expect(label).to_contain_text("step 2,")
    page.get_by_role("button", name="previous step").click()
    expect(label).to_contain_text("step 1,")
    page.get_by_role("button", name="last step").click()
    expect(label).to_contain_text(f"step {len(trace) - 1},")
    for name in ("A", "B", "</script>"):
        expect(page.locator(f'#requests tr[data-name="{name}"]')).to_have_attribute("data-status", "finished")
    page.get_by_role("button", name="next step").click()  # behind the end there is nothing
    expect(label).to_contain_text(f"step {len(trace) - 1},")


def test_every_step_shows_what_its_record_says(page: Page, trace: Trace) -> None:
    for record in trace:
        expect(page.locator("#label")).to_contain_text(f"step {record.number},")
        expect(page.locator("#budget .share")).to_have_count(len(record.plan.scheduled))
        words = f"this step computes {record.plan.num_tokens} token{'s'[: record.plan.num_tokens > 1]} of "
        words += f"{len(record.plan.scheduled)} request{'s'[: len(record.plan.scheduled) > 1]}"
        expect(page.locator("#budgetTitle")).to_have_text(words)
        expect(page.locator("#poolTitle")).to_contain_text(f"{record.num_used_blocks} of 9 used")
        owned = page.locator('#pool div:not([title$="free"])')
        expect(owned).to_have_count(record.num_used_blocks)
        for name in record.plan.preempted:
            expect(page.locator("#events")).to_contain_text(f"{name} loses its blocks")
        page.get_by_role("button", name="next step").click()


@pytest.mark.parametrize("width", [420, 900])
def test_a_label_is_whole_or_not_there_and_the_tooltip_always_is(page: Page, width: int) -> None:
    """A cut off r10 would read r1."""
    page.set_viewport_size({"width": width, "height": 900})
    clipped = "all => all.filter((one) => one.scrollWidth > one.clientWidth).length"
    texts: list[str] = []
    for _ in range(4):
        for places in ("#budget .share", "#pool div"):
            assert page.locator(places).evaluate_all(clipped) == 0
            assert page.locator(f"{places}:not([title])").count() == 0
        texts += page.locator("#budget .share").all_text_contents()
        page.get_by_role("button", name="next step").click()
    assert "A: 5" in texts
    assert "</script>" not in texts  # it decodes in a box of one token, and has no room there
    page.set_viewport_size({"width": 3000, "height": 900})
    for _ in range(3):
        page.get_by_role("button", name="previous step").click()
    expect(page.locator("#pool")).to_contain_text("</script>")


def test_it_plays_by_itself_and_goes_to_where_one_clicks(page: Page, trace: Trace) -> None:
    page.get_by_role("button", name="play", exact=True).click()
    expect(page.locator("#label")).to_contain_text("step 2,")
    page.get_by_role("button", name="pause", exact=True).click()
    page.locator("#slider").fill(str(len(trace) - 2))
    expect(page.locator("#label")).to_contain_text(f"step {len(trace) - 2},")
    page.locator("#overview").click(position={"x": 1, "y": 10})
    expect(page.locator("#label")).to_contain_text("step 0,")


def test_it_shows_itself_in_a_frame_of_a_notebook(chromium: str, made: viz.Player) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        page = browser.new_page()
        page.set_content(made._repr_html_())
        frame = page.frame_locator("iframe")
        frame.get_by_role("button", name="next step").click()
        expect(frame.locator("#label")).to_contain_text("step 1,")
        expect(page.locator("figcaption")).to_have_text("A run.")
        browser.close()


def test_the_page_needs_nothing_from_elsewhere(made: viz.Player) -> None:
    assert not re.search(r'(src|href)="|@import|url\(|fetch\(', made.page)
    assert made.page.count("</script>") == 1  # a request's name does not end the script
    assert repr(made) == f"Player: {made.alt}"
    assert "3 requests" in made.alt


def test_block_owners_and_counts_agree_with_the_trace(trace: Trace, made: viz.Player) -> None:
    steps = _steps(list(trace))
    assert any(record.plan.preempted for record in trace)
    for step, record in zip(steps, trace, strict=True):
        assert len(step["owners"]) == record.num_used_blocks
        assert sum(one["new"] for one in step["requests"].values()) == record.plan.num_tokens
    last = steps[-1]["requests"]
    assert {name: one["sampled"] for name, one in last.items()} == {"A": 9, "B": 8, "</script>": 9}
    data = re.search(r"const run = (.*);\n", made.page)
    assert data
    assert len(json.loads(data[1])["steps"]) == len(trace)


def test_a_trace_without_steps_is_refused() -> None:
    with pytest.raises(ValueError, match="no steps"):
        viz.player(Trace(), block_size=4, caption="Nothing.")

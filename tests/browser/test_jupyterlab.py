"""A student opens a released lab in JupyterLab: it renders, runs, and its checks answer in the page."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError

import nbformat
import pytest
from playwright.sync_api import Page, expect, sync_playwright

ROOT = Path(__file__).parent.parent.parent
PATIENCE = 120_000  # milliseconds, for a machine that is busy with other tests
TOKEN = "a-token-for-this-test-alone"
CHROMIUM_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
CHROMIUM_FLAGS += ["--disable-component-update", "--no-first-run"]


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


@pytest.fixture
def labs(tmp_path: Path) -> Path:
    """A student's copy of labs/, with exercise 1.1 of the first lab answered."""
    folder = tmp_path / "labs"
    shutil.copytree(ROOT / "labs", folder)
    path = folder / "01_tokenization" / "01_tokenization.ipynb"
    answers = {
        cell.metadata.nbgrader.grade_id: cell.source
        for cell in nbformat.read(ROOT / "solutions" / "01_tokenization" / path.name, as_version=4).cells
        if "nbgrader" in cell.metadata
    }
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("grade_id") == "ex-1-1":
            cell.source = answers["ex-1-1"]
    nbformat.write(notebook, path)
    return folder


@pytest.fixture
def jupyterlab(labs: Path, tmp_path: Path) -> Iterator[str]:
    """Base URL of a JupyterLab over the student's folder."""
    port = free_port()
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}"]
    command += [f"--notebook-dir={labs}", f"--IdentityProvider.token={TOKEN}"]
    folders = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_SETTINGS_DIR")
    home = {name: str(tmp_path / name) for name in folders}
    # JupyterLab keeps cells that are out of sight out of the page; here all are wanted.
    settings = tmp_path / "JUPYTERLAB_SETTINGS_DIR" / "@jupyterlab" / "notebook-extension"
    settings.mkdir(parents=True)
    (settings / "tracker.jupyterlab-settings").write_text('{"windowingMode": "none"}')
    log = (tmp_path / "jupyterlab.log").open("w")
    environ = os.environ | home
    with log, subprocess.Popen(command, env=environ, stdout=log, stderr=subprocess.STDOUT) as server:
        base = f"http://127.0.0.1:{port}"
        try:
            wait_until_it_answers(f"{base}/api?token={TOKEN}", server)
            yield base
        finally:
            server.terminate()


def wait_until_it_answers(url: str, server: subprocess.Popen[bytes], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except (URLError, OSError):
            time.sleep(0.2)
    raise RuntimeError(f"JupyterLab did not answer within {seconds} s (exit status {server.poll()})")


@pytest.fixture
def page(chromium: str) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield browser.new_page(viewport={"width": 1280, "height": 1000})
        browser.close()


def test_a_student_opens_the_lab_and_runs_it(page: Page, jupyterlab: str) -> None:
    page.goto(f"{jupyterlab}/lab/tree/01_tokenization/01_tokenization.ipynb?token={TOKEN}")
    notebook = page.locator(".jp-Notebook")
    expect(notebook.locator("h1").first).to_be_visible(timeout=PATIENCE)
    # Cells that are run before the kernel is there are not run at all.
    expect(page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible(timeout=PATIENCE)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    # Exercise 1.1 is answered: its card says so. 1.2 is blank: its error names it, and the run stops there.
    expect(notebook.get_by_text("1.1 Count the pairs: 2 of 2 points")).to_be_attached(timeout=PATIENCE)
    expect(notebook.get_by_text("NotImplementedError: exercise 1.2")).to_be_attached(timeout=PATIENCE)

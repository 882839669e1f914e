"""A lesson as a student sees it: JupyterLab by `./lab notebooks`, in a real browser, offline.

Both are in a network namespace that has the loopback and nothing else: what JupyterLab would fetch
from elsewhere to draw a picture, it would not get.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.chromium import BINARY, Browser
from tests.notebooks.classroom import ROOT, Student, student

LESSON = "02_uts.ipynb"
UP_SECONDS = 60.0  # JupyterLab gets this long to come up
DRAWN_SECONDS = 60.0  # … and a picture to be drawn
LOOPBACK = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$0" "$@"']
ADDRESS = re.compile(rb"http://127\.0\.0\.1:\d+/lab\?token=\w+")

pytestmark = [
    pytest.mark.skipif(BINARY is None, reason="the package chromium isn't installed"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a network namespace for others"),
]

OPEN = f"""
(async () => {{
    while (!window.jupyterapp) await new Promise(next => setTimeout(next, 100));
    const app = window.jupyterapp;
    await app.restored;
    const panel = await app.commands.execute("docmanager:open", {{path: "{LESSON}"}});
    await panel.context.ready;
    await panel.sessionContext.ready;
    window.notebook = panel.content;
}})()
"""
RUN_ALL = 'window.jupyterapp.commands.execute("notebook:run-all-cells").then(() => true)'
OUTPUTS = """
[...window.notebook.model.cells].filter(cell => cell.type === "code")
    .map(cell => [cell.id, cell.executionCount, cell.outputs.toJSON()])
"""
SHOW_PICTURE = """
(async () => {
    const cell = window.notebook.widgets.findIndex(cell => cell.model.id === "picture");
    await window.notebook.scrollToItem(cell, "start");
})()
"""
PICTURE = """
(() => {
    const image = document.querySelector(".jp-RenderedMermaid img");
    return image && image.complete ? [image.naturalWidth, image.naturalHeight] : null;
})()
"""


@pytest.fixture
def someone(tmp_path: Path) -> Iterator[Student]:
    with student(os.geteuid()) as someone:
        shutil.copy(ROOT / "notebooks" / LESSON, someone.folder)
        yield someone


@pytest.fixture
def server(someone: Student) -> Iterator[tuple[int, str]]:
    """`./lab notebooks` in a network namespace of its own; its pid and the address it prints."""
    command = [*LOOPBACK, str(ROOT / "lab"), "notebooks"]
    options = [f"--ServerApp.root_dir={someone.folder}", "--LabApp.expose_app_in_browser=True"]
    running = subprocess.Popen(
        [*command, *options],
        env={**someone.environment(), "PYTHONPATH": ""},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield running.pid, address(running)
    finally:
        os.killpg(running.pid, signal.SIGTERM)
        try:
            running.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            running.communicate()
            raise


def address(running: subprocess.Popen[bytes]) -> str:
    """Wait until JupyterLab has said where it is, and return that."""
    assert running.stderr is not None
    said, deadline = b"", time.monotonic() + UP_SECONDS
    while time.monotonic() < deadline:
        if select.select([running.stderr], [], [], 1.0)[0]:
            more = os.read(running.stderr.fileno(), 65536)
            assert more, said.decode()
            said += more
        if found := ADDRESS.search(said):
            return found[0].decode()
    raise AssertionError(said.decode())


@pytest.mark.timeout(300)
def test_a_lesson_runs_from_top_to_bottom_and_its_picture_is_drawn(
    server: tuple[int, str], tmp_path: Path
) -> None:
    pid, page = server
    within = ["nsenter", "--net", f"--target={pid}"]
    with Browser(tmp_path / "profile", within) as browser:
        browser.open(page, 1400, 1000)
        browser.evaluate(OPEN)
        assert browser.evaluate(RUN_ALL) is True
        outputs = browser.evaluate(OUTPUTS)
        assert outputs
        for cell, count, shown in outputs:
            assert count, f"cell {cell} did not run"
            assert not [each for each in shown if each["output_type"] == "error"], cell
        width, height = drawn(browser)
        assert width > 200
        assert height > 50
        asked = [each for each in browser.requests() if not each.startswith(("data:", "blob:"))]
        assert all(each.startswith("http://127.0.0.1:") for each in asked), asked
        browser.picture(tmp_path / "seen.png")
    with Image.open(tmp_path / "seen.png") as seen:
        colours = seen.convert("RGB").getcolors(1 << 24)
    assert colours is not None and len(colours) > 50, "an empty page"


def drawn(browser: Browser) -> Any:
    """Scroll to the lesson's picture, wait until it is drawn; return its size in pixels."""
    browser.evaluate(SHOW_PICTURE)
    deadline = time.monotonic() + DRAWN_SECONDS
    while (size := browser.evaluate(PICTURE)) is None:
        assert time.monotonic() < deadline, browser.complaints()
        time.sleep(0.2)
    return size

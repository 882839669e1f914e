"""The report in a real browser, which has no network: nothing is asked for, nothing goes wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bench import host, own_cost, report, views
from bench.observations import Observation
from tests.bench.test_tables import VM
from tests.bench.views.test_pictures import all_rows
from tests.chromium import BINARY, Browser

pytestmark = pytest.mark.skipif(BINARY is None, reason="the package chromium isn't installed")

Row = Callable[..., Observation]
PHONE, PROJECTOR = 390, 1600


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(scope="module")
def page(row: Row, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with everything in it: pictures, failures, text that a guest made up."""
    evil = "<script>console.error(1)</script><img src=http://192.0.2.1/x onerror=alert(1)>"
    folder = tmp_path_factory.mktemp("report")
    rows = [*all_rows(row), row(None, reason=evil, **VM), row(None, reason="x" * 300, **VM)]
    verdict = {"accelerator": "tcg", "reason": "no /dev/kvm", "module": None}
    facts: dict[str, Any] = {"name": "test", "own_cost": own_cost.measure(5, 5, 0.01)}
    pictures = views.draw_all(rows, "a host", folder)
    file = folder / "report.html"
    report.write(rows, [], host.fingerprint(verdict) | {"run": facts}, pictures, file)
    return file


def test_it_asks_for_nothing_and_nothing_goes_wrong(browser: Browser, page: Path) -> None:
    browser.open(page.as_uri(), PROJECTOR)
    first, *others = browser.requests()
    assert first == page.as_uri()
    assert others, "the pictures"
    assert all(address.startswith("data:image/png;") for address in others)
    assert browser.complaints() == []


def test_every_picture_is_drawn_and_says_what_it_shows(browser: Browser, page: Path) -> None:
    browser.open(page.as_uri(), PROJECTOR)
    pictures = browser.evaluate("[...document.images].map(i => [i.naturalWidth, i.alt.length])")
    assert len(pictures) == 7
    assert all(width == 1920 and words > 50 for width, words in pictures)


@pytest.mark.parametrize("width", [PHONE, PROJECTOR])
def test_the_page_is_no_wider_than_its_window(browser: Browser, page: Path, width: int) -> None:
    """Wide tables and pictures scroll by themselves; letters are large enough to read."""
    browser.open(page.as_uri(), width)
    assert browser.evaluate("document.documentElement.scrollWidth") == width
    outside = (
        "[...document.querySelectorAll('h1, h2, h3, p, li, .scroll, figcaption')]"
        ".filter(e => e.getBoundingClientRect().right > innerWidth).length"
    )
    assert browser.evaluate(outside) == 0
    smallest = (
        "Math.min(...[...document.querySelectorAll('p, li, td, th')]"
        ".map(e => parseFloat(getComputedStyle(e).fontSize)))"
    )
    assert browser.evaluate(smallest) >= 14


def test_what_is_wider_can_be_scrolled_to_by_keyboard(browser: Browser, page: Path) -> None:
    browser.open(page.as_uri(), PHONE)
    stuck = (
        "[...document.querySelectorAll('.scroll')]"
        ".filter(e => e.scrollWidth > e.clientWidth + 1 && e.tabIndex < 0)"
        ".map(e => e.innerText.slice(0, 60))"
    )
    assert browser.evaluate(stuck) == []


def test_it_looks_like_something(browser: Browser, page: Path, tmp_path: Path) -> None:
    browser.open(page.as_uri(), PHONE)
    browser.picture(tmp_path / "seen.png")
    with Image.open(tmp_path / "seen.png") as seen:
        assert seen.width == PHONE
        colours = seen.convert("RGB").getcolors(1 << 24)
    assert colours is not None and len(colours) > 50

"""bench/report.py: one file that loads nothing, hides no failure and trusts no text."""

from __future__ import annotations

import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from bench import host, report, views
from bench.observations import Damage, Observation
from tests.bench.test_tables import VM
from tests.bench.views.test_pictures import all_rows

Row = Callable[..., Observation]


class Page(HTMLParser):
    """What a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.source = text
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def fingerprint() -> dict[str, Any]:
    verdict = {"accelerator": "tcg", "reason": "no /dev/kvm", "module": None}
    return host.fingerprint(verdict) | {"run": {"name": "test"}}


def page(
    rows: list[Observation],
    fingerprint: dict[str, Any],
    folder: Path,
    damage: tuple[Damage, ...] = (),
) -> Page:
    pictures = views.draw_all(rows, "a host", folder)
    report.write(rows, damage, fingerprint, pictures, folder / "report.html")
    return Page((folder / "report.html").read_text())


def test_it_loads_nothing_from_anywhere(
    row: Row, fingerprint: dict[str, Any], tmp_path: Path
) -> None:
    found = page(all_rows(row), fingerprint, tmp_path)
    assert not {"script", "link", "iframe", "object", "embed", "base"} & {t for t, _ in found.tags}
    for tag, attributes in found.tags:
        for name in ("src", "href", "srcset", "data", "action", "poster", "background"):
            if name in attributes:
                assert tag == "img"
                assert str(attributes[name]).startswith("data:image/png;base64,")
    assert "url(" not in found.source
    assert "@import" not in found.source
    policies = [a.get("content") for t, a in found.tags if a.get("http-equiv")]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_it_is_readable_on_a_phone_and_pictures_have_a_text_alternative(
    row: Row, fingerprint: dict[str, Any], tmp_path: Path
) -> None:
    found = page(all_rows(row), fingerprint, tmp_path)
    assert any(a.get("name") == "viewport" for t, a in found.tags if t == "meta")
    pictures = [a for t, a in found.tags if t == "img"]
    assert len(pictures) == 7
    for picture in pictures:
        assert "labrt container: " in str(picture.get("alt"))  # what the picture shows, in words
    assert len([t for t, _ in found.tags if t == "table"]) >= 5


def test_failures_are_shown_with_their_number_and_reason(
    row: Row, fingerprint: dict[str, Any], tmp_path: Path
) -> None:
    rows = [row(0.1), row(None, reason="30 s passed", **VM), row(None, reason="30 s passed", **VM)]
    found = page(rows, fingerprint, tmp_path)
    assert "30 s passed" in found.text
    assert "Failures: counted, never timed" in found.text


def test_text_from_a_guest_stays_text(
    row: Row, fingerprint: dict[str, Any], tmp_path: Path
) -> None:
    evil = "<script>alert(1)</script><img src=http://example.com/x>"
    found = page([row(0.1), row(None, reason=evil)], fingerprint, tmp_path)
    assert not [t for t, _ in found.tags if t == "script"]
    assert evil in found.text


def test_a_run_under_tcg_says_what_that_means(
    row: Row, fingerprint: dict[str, Any], tmp_path: Path
) -> None:
    assert "upper bound" in page([row(0.1)], fingerprint, tmp_path).text
    under_kvm = page([row(0.1, accelerator="kvm")], fingerprint, tmp_path)
    assert "upper bound" not in under_kvm.text


def test_it_says_which_image_was_run_by_what(
    row: Row, fingerprint: dict[str, Any], tmp_path: Path
) -> None:
    own = {"experiment": "cpu", "phase": "integers", "image": "meter", "digest": "sha256:m"}
    found = page([*all_rows(row), row(0.1, **own)], fingerprint, tmp_path).text
    assert "startup, stop, memory, density" in " ".join(found.split())
    assert "meter (sha256:m): cpu" in found


def test_a_run_that_ended_early_says_so(
    row: Row, fingerprint: dict[str, Any], tmp_path: Path
) -> None:
    ended = fingerprint | {"run": {"ended_early": "interrupted by SIGINT"}}
    assert "ended early (interrupted by SIGINT)" in page([row(0.1)], ended, tmp_path).text


def test_lines_that_could_not_be_read_are_told(
    row: Row, fingerprint: dict[str, Any], tmp_path: Path
) -> None:
    found = page([row(0.1)], fingerprint, tmp_path, (Damage(7, "cut short"),))
    assert "left out: 7" in found.text


def test_a_run_without_any_row_still_has_a_page(
    fingerprint: dict[str, Any], tmp_path: Path
) -> None:
    assert "Nothing was measured" in page([], fingerprint, tmp_path).text


def test_the_host_is_described(row: Row, fingerprint: dict[str, Any], tmp_path: Path) -> None:
    found = page([row(0.1)], fingerprint, tmp_path)
    assert fingerprint["kernel"]["release"] in found.text
    assert fingerprint["cpu"]["model"] in found.text
    json.dumps(fingerprint)

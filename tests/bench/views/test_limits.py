"""bench/views/limits.py: what each got, beside what it may have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bench import plots
from bench.observations import Observation
from bench.views.limits import VIEW, table

Row = Callable[..., Observation]
MIB = 2**20


@pytest.fixture
def rows(row: Row) -> list[Observation]:
    about = {"experiment": "limits", "unit": "1"}
    memory = about | {"phase": "memory", "metric": "taken", "unit": "B", "limit": 256 * MIB}
    cpu = about | {"phase": "cpu", "limit": 1.0}
    vm = {"subject": "vm", "kind": "vm", "title": "libvirt VM"}
    return [
        row(255.0 * MIB, outcome="killed", **memory),
        row(0.99, metric="share", **cpu),
        row(0.8, metric="throttled", **cpu),
        row(512.0 * MIB, outcome="had", **memory, **vm),
        row(1.04, metric="share", **cpu, **vm),
    ]


def test_each_stands_beside_its_limit(rows: list[Observation]) -> None:
    shown = table(rows)
    assert [line[:6] for line in shown.rows] == [
        ["labrt container", "255 MiB", "256 MiB", "0.990", "1", "80 %"],
        ["libvirt VM", "512 MiB", "256 MiB", "1.04", "1", "–"],
    ]
    assert "labrt container, memory: killed for want of memory 1 ×." in shown.notes
    assert "libvirt VM, memory: it had all 1 ×." in shown.notes


def test_who_failed_has_no_number(row: Row) -> None:
    failed = row(None, experiment="limits", phase="memory", metric="taken", unit="B")
    assert table([failed]).rows == [["labrt container", "–", "–", "–", "–", "–", "0", "1"]]


def test_the_picture_is_drawn(rows: list[Observation], tmp_path: Path) -> None:
    picture: Any = VIEW.pictures["limits"]
    assert picture.drawable(rows)
    plots.draw([rows], "a host", tmp_path / "limits.png", picture.draw)
    with Image.open(tmp_path / "limits.png") as drawn:
        assert drawn.size == (1920, 1080)

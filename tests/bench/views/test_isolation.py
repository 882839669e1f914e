"""bench/views/isolation.py: a scorecard that can be read without colours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from bench import plots
from bench.observations import Observation
from bench.views.isolation import VIEW, cell, table
from tests.bench.scorecards import scorecard

Row = Callable[..., Observation]


def test_a_cell_says_in_words_and_by_a_mark_how_much(row: Row) -> None:
    rows = scorecard(row)
    said = {
        (subject, phase): (found.text, found.mark)
        for subject in ("process", "labrt", "vm")
        for phase in ("kernel", "processes", "devices", "proc settings", "seccomp")
        for found in [cell(rows, subject, phase)]
    }
    assert said["process", "kernel"] == ("yes", "●")
    assert said["vm", "kernel"] == ("no (own)", "○")
    assert said["labrt", "processes"] == ("0", "○")
    assert said["labrt", "devices"] == ("7", "◐")
    assert said["vm", "proc settings"] == ("0 (800 own)", "○")
    assert said["labrt", "seccomp"] == ("yes", " ")


def test_the_table_has_a_line_for_each_question(row: Row) -> None:
    shown = table(scorecard(row))
    assert shown.columns == ["", "process", "labrt", "vm"]
    assert ["Is its kernel the host's?", "yes ●", "yes ●", "own ○"] in shown.rows
    assert any("uid 0 inside, 1000 on the host" in note for note in shown.notes)


def test_who_could_not_be_asked_has_no_answer(row: Row) -> None:
    failed = row(None, experiment="isolation", phase="kernel", metric="yes", subject="runc")
    shown = table([*scorecard(row), failed])
    column = shown.columns.index("runc")
    assert {line[column] for line in shown.rows} == {"–"}


def test_the_picture_is_drawn(row: Row, tmp_path: Path) -> None:
    picture: Any = VIEW.pictures["isolation"]
    rows = scorecard(row)
    assert picture.drawable(rows)
    plots.draw([rows], "a host", tmp_path / "isolation.png", picture.draw)
    with Image.open(tmp_path / "isolation.png") as drawn:
        assert drawn.size == (1920, 1080)

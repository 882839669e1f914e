"""bench/views/_work.py: every part of a work, and how many times the plain process's it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench import views
from bench.observations import Observation
from bench.views import _work

Row = Callable[..., Observation]
PROCESS = {"subject": "process", "kind": "process", "title": "plain process"}


def latencies(row: Row, part: str, middle: float, **given: Any) -> list[Observation]:
    return [
        row(
            middle * (1 + n / 100),
            experiment="latency",
            phase=part,
            metric="each",
            sample=n,
            **given,
        )
        for n in range(7)
    ]


def test_each_part_of_each_subject_has_a_line_with_its_ratio(row: Row) -> None:
    rows = [
        *latencies(row, "syscall", 1e-7, **PROCESS),
        *latencies(row, "syscall", 2e-7),
        *latencies(row, "fork", 1e-4, **PROCESS),
        *latencies(row, "fork", 1.001e-4),
    ]
    (table,) = views.all_tables(rows)
    assert [line[:3] + [line[4]] for line in table.rows] == [
        ["plain process", "syscall", "103 ns", "–"],
        ["labrt container", "syscall", "206 ns", "2"],
        ["plain process", "fork", "103 µs", "–"],
        ["labrt container", "fork", "103 µs", "(1.00)"],
    ]


def test_without_a_plain_process_there_is_no_ratio(row: Row) -> None:
    (table,) = views.all_tables(latencies(row, "syscall", 2e-7))
    assert table.rows[0][4] == "–"


def test_a_failure_is_counted_and_the_rest_is_drawn(row: Row, tmp_path: Path) -> None:
    rows = latencies(row, "syscall", 2e-7)
    rows.append(row(None, experiment="latency", phase="syscall", metric="each", sample=9))
    table, failed = views.all_tables(rows)
    assert table.rows[0][-1] == "1"
    assert failed.rows[0][1] == "latency"
    assert set(views.draw_all(rows, "a host", tmp_path)) == {"latency"}


def test_different_outcomes_are_told(row: Row) -> None:
    rows = [
        *latencies(row, "syscall", 1e-7, outcome="5", **PROCESS),
        *latencies(row, "syscall", 2e-7, outcome="6"),
    ]
    assert "different outcomes" in " ".join(_work.table(rows, "title").notes)


@pytest.mark.parametrize("name", ["cpu", "bandwidth", "latency", "network"])
def test_each_work_has_its_picture(name: str) -> None:
    assert list(views.pictures(name)) == [name]

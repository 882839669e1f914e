"""bench/estimate.py: what a plan will take, learnt from earlier runs on this host."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from bench import estimate
from bench.experiments.base import FULL, QUICK, Settings
from bench.experiments.density import Density
from bench.experiments.startup import Startup
from bench.experiments.stop import Stop
from bench.observations import ROWS, Log, Observation
from tests.bench.test_runner import SETTINGS, plan_of
from tests.bench.toy_subject import Toy

Row = Callable[..., Observation]
FINGERPRINT = {"id": "abc", "accelerator": {"accelerator": "tcg"}}


def run_of(results: Path, name: str, rows: list[Observation], settings: Settings = QUICK) -> None:
    folder = results / name
    folder.mkdir()
    facts = {**FINGERPRINT, "run": {"settings": asdict(settings)}}
    (folder / "host.json").write_text(json.dumps(facts))
    with Log(folder / ROWS) as log:
        for row in rows:
            log.append(row)


def trials(row: Row, *took: float, **given: object) -> list[Observation]:
    """Trials of two rows each, that took so many seconds."""
    at, rows = 0.0, []
    for order, seconds in enumerate((0.0, *took)):
        at += seconds
        rows += [row(at=at - seconds / 2, order=order, **given), row(at=at, order=order, **given)]
    return rows


def test_a_trial_takes_what_its_like_took(row: Row, tmp_path: Path) -> None:
    run_of(tmp_path, "2026-1", trials(row, 2.0, 4.0))
    run_of(tmp_path, "2026-2", trials(row, 3.0, subject="vm"))
    (tmp_path / "latest").symlink_to("2026-2")
    known = estimate.history(tmp_path, FINGERPRINT, QUICK)
    assert known == {("startup", "labrt", ""): 3.0, ("startup", "vm", ""): 3.0}


def test_the_plan_is_told_experiment_by_experiment_whatever_the_order_of_its_rounds() -> None:
    toys = [Toy("b"), Toy("a")]
    plan = plan_of(toys, [Stop(), Startup()], settings=replace(SETTINGS, n=9))
    shown = estimate.table(plan, {})
    assert [line[:3] for line in shown.rows] == [
        ["stop", "b", "10"], ["stop", "a", "10"], ["startup", "b", "9"], ["startup", "a", "9"],
    ]  # fmt: skip
    assert "9 rounds" in shown.notes[0]
    assert "rounds" not in estimate.table(plan_of(toys, [Density()]), {}).notes[0]


def test_the_pause_before_a_resumed_run_is_no_trial(row: Row, tmp_path: Path) -> None:
    later = row(at=1e6, order=3, attempt=1)
    run_of(tmp_path, "2026-1", [*trials(row, 2.0, 2.0), later])
    assert estimate.history(tmp_path, FINGERPRINT, QUICK) == {("startup", "labrt", ""): 2.0}


@pytest.mark.parametrize("differs", ["host", "accelerator", "size", "damage"])
def test_unlike_runs_teach_nothing(row: Row, tmp_path: Path, differs: str) -> None:
    run_of(tmp_path, "2026-1", trials(row, 2.0), FULL if differs == "size" else QUICK)
    now = {
        "host": FINGERPRINT | {"id": "another"},
        "accelerator": FINGERPRINT | {"accelerator": {"accelerator": "kvm"}},
    }.get(differs, FINGERPRINT)
    if differs == "damage":
        (tmp_path / "2026-1" / "host.json").write_text("{")
    assert estimate.history(tmp_path, now, QUICK) == {}


def test_the_table_says_where_each_estimate_is_from() -> None:
    plan = plan_of([Toy("a"), Toy("b")], [Startup(), Density()])
    shown = estimate.table(plan, {("startup", "a", ""): 2.0})
    assert ["startup", "a", "5", "2 s", "10 s", "earlier runs"] in shown.rows
    assert ["density", "b", "1", "50 ms", "50 ms", "a first guess"] in shown.rows
    assert shown.notes[0] == "About 10.2 s in all, with 4 rounds."


def test_rounds_that_would_begin_too_late_are_not_counted() -> None:
    settings = replace(QUICK, n=50, round_seconds=10.0)
    plan = plan_of([Toy("a")], settings=settings)
    known = {("startup", "a", ""): 2.0}
    assert estimate.table(plan, known).notes[0] == "About 12 s in all, with 5 rounds."

"""bench/views: a picture for every experiment, and one panel for every set of fair rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from bench import plots, views
from bench.observations import Observation
from tests.bench.test_tables import VM, memory_rows, starts

Row = Callable[..., Observation]


def all_rows(row: Row) -> list[Observation]:
    density = {"experiment": "density", "memory_budget": 2**30}
    ramp = [
        row(9e9 - n * 1e8, phase="ramp", metric="mem_available", unit="B", instances=n, **density)
        for n in range(4)
    ]
    times = [row(0.1 * n, sample=n, instances=n, **density) for n in range(1, 4)]
    rule = {"rule": "count", "rule_text": "3 run"}
    end = row(3, phase="reached", metric="instances", unit="1", **rule, **density)
    stops = [row(0.2 + n / 50, experiment="stop", phase="stop", sample=n) for n in range(7)]
    ramps = [*memory_rows(row, 2**20), *ramp, *times, end, *stops]
    return [*starts(row, 0.005), *starts(row, 2.0, **VM), *ramps]


def size(file: Path) -> tuple[int, int]:
    with Image.open(file) as picture:
        return picture.size


def test_every_experiment_has_its_picture_fit_for_a_projector(row: Row, tmp_path: Path) -> None:
    drawn = views.draw_all(all_rows(row), "a host", tmp_path)
    measured = {"startup", "startup-ecdf", "stop-ecdf", "memory", "density"}
    assert set(drawn) == measured | {"published", "published-memory"}
    for name in measured:
        assert size(drawn[name]) == (1920, 1080)
    for name in ("published", "published-memory"):  # as long as its list, and as wide
        assert size(drawn[name])[0] == 1920


def test_many_subjects_get_more_room_and_each_its_own_look(row: Row, tmp_path: Path) -> None:
    names = [f"subject-{number:02}" for number in range(12)]
    rows = [r for name in names for r in starts(row, 0.005, subject=name, title=name)]
    assert len({plots.look(rows, name) for name in names}) == 12
    width, height = size(views.draw_all(rows, "a host", tmp_path)["startup"])
    assert (width, height) == (1920, 2 * 1080)


def test_tcg_and_kvm_get_panels_of_their_own(row: Row, tmp_path: Path) -> None:
    rows = [*starts(row, 2.0, **VM), *starts(row, 0.2, accelerator="kvm", **VM)]
    drawn = views.draw_all(rows, "a host", tmp_path)
    assert size(drawn["startup"]) == (1920, 2 * 1080)


def test_nothing_measured_is_no_picture(row: Row, tmp_path: Path) -> None:
    assert views.draw_all([row(None), row(None)], "a host", tmp_path) == {}
    assert views.draw_all([], "a host", tmp_path) == {}


def test_an_accelerator_with_nothing_but_failures_gets_no_panel(row: Row, tmp_path: Path) -> None:
    rows = [*starts(row, 0.005), row(None, accelerator="kvm", **VM)]
    assert size(views.draw_all(rows, "a host", tmp_path)["startup"]) == (1920, 1080)


@pytest.mark.parametrize("count", [0, 6, 18, 24, 30, 36])
def test_a_run_cut_short_anywhere_can_be_drawn(row: Row, tmp_path: Path, count: int) -> None:
    views.draw_all(all_rows(row)[:count], "a host", tmp_path)
    views.draw_all(all_rows(row)[56 : 56 + count], "a host", tmp_path)


def test_the_foot_says_host_accelerator_samples_failures_and_date(row: Row) -> None:
    rows = [*starts(row, 0.005), row(None, sample=9, at=0.0)]
    foot = plots._foot(rows, "four processors")
    for part in ("TCG", "1 CPU", "256 MiB", "labrt 7 (+1 failed)", "four processors", "20"):
        assert part in foot


@pytest.mark.parametrize("value", [-3e6, 0.0, 1e6])
def test_a_slope_not_told_apart_from_nothing_can_be_drawn(
    row: Row, tmp_path: Path, value: float
) -> None:
    noise = [0, 5e6, -4e6, 3e6, -6e6]
    rows = [
        row(
            10e9 - value * n + noise[n],
            experiment="memory",
            phase="ramp",
            metric="mem_available",
            unit="B",
            instances=n,
        )
        for n in range(5)
    ]
    rows += [row(2e5, experiment="memory", phase="idle", metric="pss", unit="B", sample=1)]
    assert size(views.draw_all(rows, "a host", tmp_path)["memory"]) == (1920, 1080)


def test_one_sample_and_two_marks_at_once_can_be_drawn(row: Row, tmp_path: Path) -> None:
    parts = {"T0-T1": 0.001, "T1-T2": 0.002, "T2-T3": 0.0, "T0-T3": 0.003}
    rows = [row(value, phase=phase) for phase, value in parts.items()]
    assert "startup" in views.draw_all(rows, "a host", tmp_path)

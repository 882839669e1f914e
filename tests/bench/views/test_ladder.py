"""bench/views/ladder.py: a difference is told with its interval, in brackets where it may be 0."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from bench import statistics, views
from bench.observations import Observation
from bench.statistics import Unfair
from bench.views import ladder

Row = Callable[..., Observation]
NOISE = [0.0, 0.001, -0.001, 0.002, -0.002, 0.0005, -0.0005, 0.0015]


def rung(row: Row, phase: str, values: list[float], **given: object) -> list[Observation]:
    return [
        row(value, experiment="ladder", phase=phase, sample=sample, **given)
        for sample, value in enumerate(values)
    ]


@pytest.fixture
def rows(row: Row) -> list[Observation]:
    """A host that gets slower: each round takes longer than the one before by more than a rung."""
    drift = [0.100 + 0.050 * number for number in range(8)]
    shifts = {ladder.WHOLE: 0.0, "slower": 0.010, "quicker": -0.020}
    found = [r for name, by in shifts.items() for r in rung(row, name, [d + by for d in drift])]
    noisy = [d + n for d, n in zip(drift, NOISE, strict=True)]
    return [*found, *rung(row, "the same", noisy)]


def test_a_drift_of_the_host_is_not_in_the_difference(rows: list[Observation]) -> None:
    found = {name: each for name, each, _ in ladder.rungs(rows, "labrt")}
    assert found["slower"].median == pytest.approx(0.010)
    assert found["quicker"].median == pytest.approx(-0.020)
    told = {name: each.told_apart for name, each in found.items()}
    assert told == {"slower": True, "quicker": True, "the same": False}


def test_what_adds_most_comes_first_and_what_only_fails_last(
    row: Row, rows: list[Observation]
) -> None:
    failed = row(None, experiment="ladder", phase="broken")
    found = ladder.rungs([failed, *rows], "labrt")
    assert [name for name, *_ in found][::3] == ["slower", "broken"]
    assert [name for name, *_ in found][2] == "quicker"


def test_a_difference_that_may_be_none_stands_in_brackets(rows: list[Observation]) -> None:
    cells = {line[0]: line[2] for line in ladder.table(rows).rows}
    assert cells["· slower"] == "+10.0 ms"
    assert cells["· quicker"] == "-20.0 ms"
    assert cells["· the same"].startswith("(")


def test_few_rounds_tell_nothing_apart(row: Row) -> None:
    rows = [*rung(row, ladder.WHOLE, [0.1] * 5), *rung(row, "slower", [0.2] * 5)]
    ((_, found, _),) = ladder.rungs(rows, "labrt")
    assert (found.n, found.low, found.told_apart) == (5, pytest.approx(0.1), False)


def test_a_round_whose_unchanged_start_failed_is_left_out(row: Row) -> None:
    rows = [*rung(row, ladder.WHOLE, [0.1] * 3), *rung(row, "slower", [0.2] * 4)]
    ((_, found, _),) = ladder.rungs(rows, "labrt")
    assert found.n == 3


def test_hosts_are_not_mixed(row: Row) -> None:
    whole, changed = rung(row, ladder.WHOLE, [0.1]), rung(row, "slower", [0.2], host="another")
    with pytest.raises(Unfair, match="their host differs"):
        statistics.difference(changed, whole)


def test_a_subject_that_has_no_rungs_is_said_to(row: Row) -> None:
    shown = ladder.table(rung(row, ladder.WHOLE, [0.1] * 7))
    assert "labrt container: nothing can be changed about it." in shown.notes


def test_a_step_s_own_time_stands_in_the_second_table(row: Row) -> None:
    told = rung(row, "Clone", [0.001] * 3, metric="own time")
    lines = ladder.own_times([*rung(row, ladder.WHOLE, [0.1]), *told]).rows
    assert lines == [["labrt container", "", ""], ["· Clone", "1 ms", "3"]]


def test_a_full_bar_is_told_apart_and_a_hollow_one_is_not(
    rows: list[Observation], monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib.figure import Figure

    figure = Figure()
    ladder.draw(figure, rows)
    (axes,) = figure.axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    filled = {name: bar.get_facecolor()[3] for name, bar in zip(names, axes.patches, strict=True)}
    assert filled == {"slower": 1.0, "the same": 0.0, "quicker": 1.0}


def test_many_rungs_get_more_room(row: Row, tmp_path: Path) -> None:
    names = [ladder.WHOLE, *(f"rung {number}" for number in range(40))]
    rows = [r for name in names for r in rung(row, name, [0.1 + n for n in NOISE])]
    with Image.open(views.draw_all(rows, "a host", tmp_path)["ladder"]) as picture:
        assert picture.size == (1920, 3 * 1080)

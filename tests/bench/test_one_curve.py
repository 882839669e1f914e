"""bench/one_curve.py: what the hosts of a fleet did together, and that nothing else is pooled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bench import one_curve, statistics, tables, views
from bench.observations import Observation

Row = Callable[..., Observation]

MIB = 2**20
OF_ALL: dict[str, Any] = {"fleet": 2, "skew": 0.001, "late": 0.0, "order": 5}
BIG = {"host": "big", "worker": "a"}
SMALL = {"host": "small", "worker": "b"}


def ramp(row: Row, host: dict[str, str], began: float, ready: list[float]) -> list[Observation]:
    """One host's density: an instance ready at each of these seconds, each taking 10 MiB."""
    made = {"experiment": "density", **OF_ALL, **host}
    left = {"phase": "ramp", "metric": "mem_available", "unit": "B"}
    rows = [row(1000 * MIB, at=began, instances=0, **left, **made)]
    for number, at in enumerate(ready, start=1):
        rows.append(row(0.5, at=began + at, sample=number - 1, instances=number, **made))
        free = (1000 - 10 * number) * MIB
        rows.append(row(free, at=began + at, sample=number, instances=number, **left, **made))
    end = {"rule": "count", "rule_text": f"{len(ready)} instances run", "memory_budget": 100}
    reached = {"phase": "reached", "metric": "instances", "unit": "1"}
    return [*rows, row(float(len(ready)), at=began + 99, **reached, **end, **made)]


@pytest.fixture
def density(row: Row) -> list[Observation]:
    """Two unlike hosts whose clocks are an hour apart."""
    return [*ramp(row, BIG, 5000.0, [1.0, 2.0, 3.0]), *ramp(row, SMALL, 8600.0, [1.5, 3.5])]


def points(rows: list[Observation], phase: str) -> list[tuple[int, float | None]]:
    return [(row.conditions["instances"], row.value) for row in rows if row.phase == phase]


def test_a_fleet_fills_in_the_order_of_its_own_time(density: list[Observation]) -> None:
    whole = one_curve.of_fleets(density)
    assert [n for n, _ in points(whole, "T0-T3")] == [1, 2, 3, 4, 5]
    assert points(whole, "ramp") == [(n, (2000 - 10 * n) * MIB) for n in range(6)]
    (end,) = (row for row in whole if row.phase == "reached")
    assert end.value == 5
    assert end.conditions["memory_budget"] == 200
    assert end.conditions["rule_text"] == "a 3 (3 instances run); b 2 (2 instances run)"
    assert {row.conditions["host"] for row in whole} == {"fleet of 2"}


def test_a_fleets_rows_stand_apart_from_its_hosts(density: list[Observation]) -> None:
    whole = one_curve.of_fleets(density)
    with pytest.raises(statistics.Unfair, match="host"):
        statistics.check_fair([*whole, *density])
    titles = [table.title for table in views.of_experiment("density", density)]
    assert ["fleet of 2 hosts" in t for t in titles] == [True, False, False]
    assert ["host big" in t for t in titles] == [False, True, False]
    glances = [dict(zip(t.columns, t.rows[0], strict=True)) for t in tables.overviews(density)]
    assert [glance["at once"] for glance in glances] == ["3", "2", "5"]


def test_a_host_that_was_lost_is_missing_and_that_is_said(
    row: Row, density: list[Observation]
) -> None:
    alone = [row for row in density if row.conditions["worker"] == "a"]
    whole = one_curve.of_fleets(alone)
    assert points(whole, "T0-T3") == [(1, 0.5), (2, 0.5), (3, 0.5)]
    assert "aren't in it: 1." in one_curve.notes(whole)[-1]


def test_ramps_of_two_alike_hosts_are_never_one(row: Row) -> None:
    rows = [
        each
        for name in "ab"
        for each in ramp(row, {"worker": name, "place": name}, 0.0, [1.0, 2.0])
    ]
    with pytest.raises(statistics.Unfair, match="place"):
        statistics.slope([each for each in rows if each.phase == "ramp"])


def test_the_nth_anywhere_is_the_fleets_nth_and_a_late_host_counts_as_late(row: Row) -> None:
    made = {"experiment": "scale-out", **OF_ALL}
    rows = [
        row(took, phase=phase, **made | host | {"late": late})
        for host, late, times in ((BIG, 0.0, [1.0, 4.0]), (SMALL, 0.5, [1.0, 2.0]))
        for took in times
        for phase in ("out", "in")
    ]
    whole = one_curve.of_fleets(rows)
    assert points(whole, "out") == [(1, 1.0), (2, 1.5), (3, 2.5), (4, 4.0)]
    assert points(whole, "in") == [(1, 1.0), (2, 1.0), (3, 2.0), (4, 4.0)]
    ready = {row.metric: row.value for row in whole if row.phase == "all ready"}
    assert ready == {"time": 4.0, "rate": 1.0}


def test_virtual_machines_under_kvm_and_tcg_are_no_one_curve_but_containers_are(row: Row) -> None:
    for kind, hosts in (("vm", ["fleet of 1", "fleet of 1"]), ("container", ["fleet of 2"])):
        rows = [
            row(1.0, experiment="scale-out", phase="out", kind=kind, accelerator=accelerator,
                **OF_ALL, **host)
            for host, accelerator in ((BIG, "kvm"), (SMALL, "tcg"))
        ]  # fmt: skip
        found = {repr(each.conditions["host"]) for each in one_curve.of_fleets(rows)}
        assert found == {repr(host) for host in hosts}


def test_the_rows_of_one_host_have_no_fleets_curve(row: Row) -> None:
    assert one_curve.of_fleets([row(), row(experiment="density", fleet=1, worker="a")]) == []

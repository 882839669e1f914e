"""bench/experiments/density.py: each stop rule fires when it should, and is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bench.experiments.base import GIB, MIB, QUICK, Settings
from bench.experiments.density import Density, Ramp
from bench.subjects.base import Workload
from tests.bench.conftest import needs_cgroups
from tests.bench.test_runner import SETTINGS, plan_of, run
from tests.bench.toy_subject import Toy


def ramp(**given: object) -> Ramp:
    """A ramp on a host with 10 GiB; nothing has been started."""
    settings = replace(QUICK, count=100, memory_budget=1 * GIB, reserve=2 * GIB)
    fields = {
        "memory_before": 10 * GIB,
        "memory_now": 10 * GIB,
        "instance_memory": 256 * MIB,
        "settings": settings,
    }
    return Ramp(**(fields | given))  # type: ignore[arg-type]


def rule(of: Ramp) -> str:
    found = of.stop_rule()
    return "" if found is None else found[0]


def test_a_ramp_that_has_not_begun_goes_on() -> None:
    assert rule(ramp()) == ""


def test_the_count_stops_it() -> None:
    assert rule(ramp(starts=[0.1] * 99)) == ""
    assert rule(ramp(starts=[0.1] * 100)) == "count"


def test_the_memory_budget_stops_it() -> None:
    assert rule(ramp(memory_now=9 * GIB + 1)) == ""
    assert rule(ramp(memory_now=9 * GIB)) == "memory budget"


def test_the_host_keeps_its_reserve_even_if_the_next_takes_all_it_may() -> None:
    small = {"memory_before": 2 * GIB + 300 * MIB}
    assert rule(ramp(**small, memory_now=2 * GIB + 256 * MIB)) == ""
    assert rule(ramp(**small, memory_now=2 * GIB + 255 * MIB)) == "host reserve"


def test_the_time_stops_it() -> None:
    assert rule(ramp(elapsed=QUICK.ramp_seconds - 0.1)) == ""
    assert rule(ramp(elapsed=QUICK.ramp_seconds)) == "time"


def test_one_slow_start_does_not_stop_it() -> None:
    it = ramp(starts=[0.1, 0.1, 0.1, 0.1, 0.1, 9.0])
    assert not it.doubt()
    assert rule(it) == ""


def test_slow_starts_stop_it_if_they_stay_slow_after_a_rest() -> None:
    it = ramp(starts=[0.1, 0.1, 0.1, 0.21, 0.21, 0.21])
    assert it.doubt()
    assert rule(it) == ""
    it.starts += [0.22, 0.22, 0.22]
    assert not it.doubt()
    assert rule(it) == "slow start"


def test_starts_that_recover_do_not_stop_it() -> None:
    it = ramp(starts=[0.1, 0.1, 0.1, 0.21, 0.21, 0.21])
    it.doubt()
    it.starts += [0.1, 0.1, 0.1]
    it.doubt()
    assert rule(it) == ""
    assert it.doubted is None


def reached(settings: Settings, toy: Toy, folder: Path) -> tuple[float | None, str]:
    rows, _ = run(plan_of([toy], [Density()], settings=settings), folder)
    (row,) = [row for row in rows if row.phase == "reached"]
    return row.value, row.conditions["rule"]


def test_a_ramp_says_how_many_ran_and_which_rule_fired(tmp_path: Path) -> None:
    toy = Toy()
    assert reached(SETTINGS, toy, tmp_path) == (5, "count")
    assert toy.started == 5
    assert toy.alive == {}


def test_a_host_without_room_gets_no_instance_at_all(tmp_path: Path) -> None:
    toy = Toy()
    settings = replace(SETTINGS, reserve=2**60)
    assert reached(settings, toy, tmp_path) == (0, "host reserve")
    assert toy.started == 0


def test_a_start_that_fails_ends_the_ramp_and_is_counted(tmp_path: Path) -> None:
    toy = Toy()

    def fourth_fails(at: str) -> None:
        if at == "start" and toy.started == 3:
            raise OSError("no fourth")

    toy.fault = fourth_fails
    rows, _ = run(plan_of([toy], [Density()]), tmp_path)
    assert [row.reason for row in rows if row.status == "failed"] == ["OSError: no fourth"]
    assert toy.alive == {}


@needs_cgroups
def test_a_real_ramp_leaves_nothing(workload: Workload, nothing_left: None, tmp_path: Path) -> None:
    from bench.subjects.process import Process

    plan = replace(plan_of([Process()], [Density()]), workload=workload)
    rows, _ = run(plan, tmp_path)
    starts = [row for row in rows if row.phase == "T0-T3"]
    assert [row.conditions["instances"] for row in starts] == [1, 2, 3, 4, 5]
    assert all(row.value is not None and 0 < row.value < 5 for row in starts)

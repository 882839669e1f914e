"""bench/experiments/density.py: each stop rule fires when it should, and is told."""

from __future__ import annotations

import itertools
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench import meminfo, subjects
from bench.born_in import born_in
from bench.experiments.base import GIB, MIB, QUICK, Settings
from bench.experiments.density import Density, Ramp
from bench.subjects.base import Workload
from tests.bench.conftest import needs_cgroups
from tests.bench.test_runner import SETTINGS, plan_of, run
from tests.bench.toy_subject import Toy, ToyInstance


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


@pytest.mark.parametrize(("resource", "share"), [("memory", 0.1), ("cpu", 0.6)])
def test_waiting_for_a_resource_stops_it_if_it_is_more_than_before(
    resource: str, share: float
) -> None:
    before = {"memory": 0.2, "cpu": 0.3}
    at_rest = ramp(pressure_before=before, pressure=before)
    assert rule(at_rest) == ""
    at_rest.pressure = before | {resource: before[resource] + share - 0.01}
    assert rule(at_rest) == ""
    at_rest.pressure = before | {resource: before[resource] + share + 0.01}
    assert rule(at_rest) == f"{resource} pressure"


def test_an_instance_that_was_killed_for_want_of_memory_stops_it() -> None:
    assert rule(ramp(killed="lab-labrt-1")) == "OOM"


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


def test_a_kill_by_the_kernel_during_a_ramp_is_what_stopped_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kills = itertools.chain((7, 7, 7), itertools.repeat(8))  # before the ramp, after each start
    monkeypatch.setattr(meminfo, "oom_kills", lambda: next(kills))
    monkeypatch.setattr(ToyInstance, "oom_killed", lambda self: len(toy.alive) == 3)
    toy = Toy()
    assert reached(SETTINGS, toy, tmp_path) == (3, "OOM")


@pytest.mark.parametrize(("after", "running"), [(3, 3), (5, 5)])
def test_an_instance_that_ends_by_itself_stops_it(tmp_path: Path, after: int, running: int) -> None:
    """Also the one that ends when the count is reached: not all of them run."""
    toy = Toy()

    def first_ends(at: str) -> None:
        if at == "ready" and toy.started == after:
            toy.alive.pop(next(iter(toy.alive)))

    toy.fault = first_ends
    assert reached(SETTINGS, toy, tmp_path) == (running, "instance ended")


def test_a_kill_elsewhere_on_the_host_is_asked_about_once_and_does_not_stop_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kills = itertools.chain((7, 7), itertools.repeat(8))
    asked: list[str] = []
    monkeypatch.setattr(meminfo, "oom_kills", lambda: next(kills))
    monkeypatch.setattr(ToyInstance, "oom_killed", lambda self: asked.append(self.name))
    assert reached(SETTINGS, Toy(), tmp_path) == (5, "count")
    assert len(asked) == 2


def test_what_the_bench_takes_itself_is_read_with_all_of_them_running(tmp_path: Path) -> None:
    rows, _ = run(plan_of([Toy()], [Density()]), tmp_path)
    own = {row.metric: row for row in rows if row.phase == "bench"}
    assert own["rss"].value is not None and own["rss"].value > 2**20
    assert {row.conditions["instances"] for row in own.values()} == {5}


@needs_cgroups
@pytest.mark.parametrize("name", ["process", "labrt"])
def test_the_kernel_tells_who_was_killed_for_want_of_memory(
    name: str, workload: Workload, nothing_left: None
) -> None:
    subject = subjects.make(name)
    with subject:
        subject.prepare(workload)
        with subject.start(workload, f"lab-{name}-oom") as instance:
            instance.wait_ready(20)
            assert not instance.oom_killed()
            before, group = meminfo.oom_kills(), instance.cgroup()
            assert group is not None
            with born_in(group):
                hungry = subprocess.Popen([sys.executable, "-c", "bytearray(2**30)"])
            hungry.wait(30)
            assert meminfo.oom_kills() > before
            assert instance.oom_killed()


@needs_cgroups
def test_a_real_ramp_leaves_nothing(workload: Workload, nothing_left: None, tmp_path: Path) -> None:
    from bench.subjects.process import Process

    plan = replace(plan_of([Process()], [Density()]), workload=workload)
    rows, _ = run(plan, tmp_path)
    starts = [row for row in rows if row.phase == "T0-T3"]
    assert [row.conditions["instances"] for row in starts] == [1, 2, 3, 4, 5]
    assert all(row.value is not None and 0 < row.value < 5 for row in starts)

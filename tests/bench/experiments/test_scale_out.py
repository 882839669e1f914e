"""bench/experiments/scale_out.py: started at once, gone at once; what fails is a row."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bench import subjects
from bench.experiments.base import shared
from bench.experiments.scale_out import ScaleOut, portions
from bench.observations import Observation
from bench.subjects.base import InstanceFailed, Workload
from bench.variants import Variant
from bench.views import scale_out
from labrt import cgroups
from tests.bench.conftest import needs_cgroups
from tests.bench.test_main import BENCH
from tests.bench.test_runner import SETTINGS, plan_of, run
from tests.bench.toy_subject import Toy

FIVE = replace(SETTINGS, scale=5, reserve=0)


def measured(toy: Toy, folder: Path, **given: object) -> list[Observation]:
    settings = replace(FIVE, **given)  # type: ignore[arg-type]
    rows, _ = run(plan_of([toy], [ScaleOut()], settings=settings), folder)
    return rows


def counts(rows: list[Observation], phase: str, status: str = "ok") -> list[int | None]:
    mine = [row for row in rows if row.phase == phase and row.metric == "time"]
    return [row.conditions.get("instances") for row in mine if row.status == status]


def test_the_nth_ready_and_the_nth_gone_are_rows_and_so_is_the_whole(tmp_path: Path) -> None:
    toy = Toy()
    rows = measured(toy, tmp_path)
    for curve, whole in (("out", "all ready"), ("in", "all gone")):
        assert counts(rows, curve) == [1, 2, 3, 4, 5]
        assert counts(rows, whole) == [5]
    times = [row.value for row in rows if row.phase == "out" and row.value is not None]
    assert times == sorted(times)
    (rate,) = [row.value for row in rows if (row.phase, row.metric) == ("all ready", "rate")]
    assert rate == pytest.approx(5 / times[-1])
    assert toy.alive == {}


def test_one_that_fails_is_a_row_and_the_others_count(tmp_path: Path) -> None:
    toy, lock = Toy(), threading.Lock()

    def third_fails(at: str) -> None:
        with lock:
            if at == "ready" and len(toy.alive) == 5 and not seen:
                seen.append(1)
                raise InstanceFailed("no third")

    seen: list[int] = []
    toy.fault = third_fails
    rows = measured(toy, tmp_path)
    assert counts(rows, "out") == counts(rows, "in") == list(range(1, len(rows_ok(rows)) + 1))
    assert [row.reason for row in rows if row.status == "failed"] == ["no third"] * len(seen)
    assert toy.alive == {}


def rows_ok(rows: list[Observation]) -> list[Observation]:
    return [row for row in rows if row.phase == "out" and row.status == "ok"]


def test_none_that_becomes_ready_is_one_failure_of_the_whole(tmp_path: Path) -> None:
    def fails(at: str) -> None:
        if at == "start":
            raise InstanceFailed("never")

    rows = measured(Toy(fault=fails), tmp_path)
    assert counts(rows, "out", "failed") == [None] * 5
    assert [row.reason for row in rows if row.phase == "all ready"] == ["none of 5 became ready"]


def test_no_more_are_started_than_the_host_has_room_for(tmp_path: Path) -> None:
    toy = Toy()
    rows = measured(toy, tmp_path, reserve=2**60)
    assert toy.started == 0
    assert "reserve" in rows[-1].reason
    few = Variant(memory=2**60)
    assert ScaleOut().variants([few], FIVE) == [replace(few, parallel=5)]


def test_so_many_at_a_time_as_asked_for(tmp_path: Path) -> None:
    toy = Toy()
    plan = plan_of([toy], [ScaleOut()], settings=FIVE)
    variants = (Variant(parallel=1), Variant(parallel=2))
    rows, _ = run(replace(plan, variants=variants), tmp_path)
    assert {row.conditions["parallel"] for row in rows} == {1, 2}
    assert toy.started == 10


def test_instances_that_share_cpus_get_more_time_but_not_for_ever() -> None:
    assert shared(30.0, 1) == 30.0
    assert shared(30.0, 10**6) == 180.0
    assert shared(300.0, 10**6) == 300.0


def test_the_table_has_the_rate_and_says_what_bounds_it(tmp_path: Path) -> None:
    rows = measured(Toy(), tmp_path)
    (line,) = scale_out.table(rows).rows
    assert (line[0], line[1], line[-2:]) == ("toy", "5", ["1", "0"])
    assert line[3].endswith("/s")
    bound = [replace(row, conditions=row.conditions | {"asked": 9}) for row in rows]
    assert "9 were asked for" in scale_out.table(bound).notes[0]


@needs_cgroups
@pytest.mark.parametrize("name", ["process", "labrt"])
def test_real_ones(name: str, workload: Workload, nothing_left: None, tmp_path: Path) -> None:
    plan = plan_of([subjects.make(name)], [ScaleOut()], settings=replace(FIVE, reserve=2**30))
    rows, notes = run(replace(plan, workload=workload), tmp_path)
    assert notes == []
    assert counts(rows, "out") == counts(rows, "in") == [1, 2, 3, 4, 5]


@needs_cgroups
def test_ctrl_c_amid_many_starts_leaves_nothing(
    workload: Workload, nothing_left: None, tmp_path: Path
) -> None:
    asked = ("scale-out", "--subjects", "labrt", "--count", "60", "--memory", "16m")
    running = subprocess.Popen(
        [*BENCH, *asked, "--out", str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 60
    while len(cgroups.all_cgroups()) < 10:
        assert time.monotonic() < deadline and running.poll() is None
        time.sleep(0.01)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert b"Traceback" not in said
    assert running.returncode == 130
    assert cgroups.all_cgroups() == []


def test_over_several_hosts_each_starts_its_part_by_its_cores() -> None:
    settings = replace(SETTINGS, scale=10)
    shares = ScaleOut().shares(settings, [2, 16, 2])
    assert [share and share.scale for share in shares] == [1, 8, 1]
    few = ScaleOut().shares(replace(SETTINGS, scale=1), [1, 3])
    assert [share and share.scale for share in few] == [None, 1]


@pytest.mark.parametrize("weights", [[1, 1, 1], [3, 5], [0.5, 7, 2, 2]])
def test_parts_make_up_the_whole(weights: list[float]) -> None:
    for whole in range(50):
        assert sum(portions(whole, weights)) == whole
        assert min(portions(whole, weights)) >= 0

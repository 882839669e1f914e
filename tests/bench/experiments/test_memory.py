"""bench/experiments/memory.py: four numbers, never one, and each failure is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bench import meminfo
from bench.experiments.base import QUICK
from bench.experiments.memory import LEAST_RUNGS, PER_RUNG, Memory
from bench.subjects.base import Workload
from tests.bench.conftest import needs_cgroups
from tests.bench.test_runner import plan_of, run
from tests.bench.toy_subject import Toy

SETTINGS = replace(QUICK, rungs=5, rung_seconds=0.0, settle=0.03, rest=0.0)


@needs_cgroups
def test_every_instance_is_weighed_in_every_way(
    workload: Workload, nothing_left: None, tmp_path: Path
) -> None:
    from bench.subjects.process import Process

    plan = replace(plan_of([Process()], [Memory()], settings=SETTINGS), workload=workload)
    rows, _ = run(plan, tmp_path)
    assert [row.reason for row in rows if row.status == "failed"] == []
    count = len({row.sample for row in rows if row.phase == "idle"})
    assert LEAST_RUNGS <= count <= LEAST_RUNGS * PER_RUNG
    for metric in ("pss", "uss", "cgroup_anon", "cgroup_file", "cgroup_used"):
        values = [row.value for row in rows if row.metric == metric]
        assert len(values) == count
        assert all(value is not None and value < workload.memory for value in values)


def test_the_ramp_goes_up_and_down_again(tmp_path: Path) -> None:
    toy = Toy()
    rows, _ = run(plan_of([toy], [Memory()], settings=SETTINGS), tmp_path)
    steps = [
        (row.conditions["way"], row.conditions["instances"])
        for row in rows
        if row.metric == "mem_available"
    ]
    up = [("up", PER_RUNG * rung) for rung in range(1, LEAST_RUNGS + 1)]
    down = [("down", PER_RUNG * rung) for rung in reversed(range(LEAST_RUNGS))]
    assert steps == up + down
    assert toy.alive == {}


def test_without_a_cgroup_that_number_is_a_failure_and_not_zero(tmp_path: Path) -> None:
    rows, _ = run(plan_of([Toy()], [Memory()], settings=SETTINGS), tmp_path)
    assert {row.status for row in rows if row.metric == "cgroup_used"} == {"failed"}


def test_one_that_has_ended_by_itself_is_a_failure_and_takes_no_zero_bytes(tmp_path: Path) -> None:
    toy = Toy()

    def first_ends(at: str) -> None:
        if at == "ready" and toy.started == LEAST_RUNGS * PER_RUNG:
            toy.alive.pop(next(iter(toy.alive)))

    toy.fault = first_ends
    rows, _ = run(plan_of([toy], [Memory()], settings=SETTINGS), tmp_path)
    weighed = [row for row in rows if row.metric == "pss"]
    assert len(weighed) == LEAST_RUNGS * PER_RUNG
    assert "ended by itself" in weighed[0].reason
    assert not any(row.sample == 0 for row in rows if row.metric == "uss")


def test_the_hosts_reserve_is_not_touched(tmp_path: Path) -> None:
    toy = Toy()
    settings = replace(SETTINGS, reserve=2**60)
    rows, _ = run(plan_of([toy], [Memory()], settings=settings), tmp_path)
    assert toy.started == 0
    assert any("reserve" in row.reason for row in rows if row.status == "failed")


def test_on_a_small_host_the_rungs_are_as_large_as_there_is_room_for(tmp_path: Path) -> None:
    """There is room for a few more, again and again: idle ones take next to nothing."""
    toy = Toy()
    plan = plan_of([toy], [Memory()], settings=SETTINGS)
    room = meminfo.available() - (PER_RUNG - 1) * plan.workload.memory
    rows, _ = run(replace(plan, settings=replace(SETTINGS, reserve=room)), tmp_path)
    assert [row.value for row in rows if row.metric == "mem_available"].count(None) == 0
    assert toy.started >= LEAST_RUNGS

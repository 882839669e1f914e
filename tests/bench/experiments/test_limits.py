"""bench/experiments/limits.py: more is asked for than may be had."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bench import meminfo, subjects
from bench.experiments.limits import Limits
from bench.subjects.base import Workload
from bench.variants import Variant
from tests.bench.conftest import needs_cgroups
from tests.bench.test_runner import plan_of, run
from tests.bench.toy_subject import Toy


@needs_cgroups
def test_neither_process_nor_container_gets_more_than_its_limit(
    workload: Workload, nothing_left: None, tmp_path: Path
) -> None:
    small = Variant(memory=64 * 2**20, cpus=0.5)
    plan = plan_of([subjects.make("process"), subjects.make("labrt")], [Limits()])
    settings = replace(plan.settings, n=1)
    rows, _ = run(replace(plan, workload=workload, variants=(small,), settings=settings), tmp_path)
    assert [row.reason for row in rows if row.status == "failed"] == []
    for name in ("process", "labrt"):
        mine = {row.metric: row for row in rows if row.subject == name and not row.warmup}
        taken, share = mine["taken"], mine["share"]
        assert taken.value is not None and share.value is not None
        assert taken.conditions["outcome"] == "killed"
        assert 0 < taken.value <= small.memory
        assert 0 < share.value < 0.5 * 1.2, "two ticks of the clock in a second"
        assert share.conditions["demand"] == 3


def test_it_leaves_the_host_its_reserve(tmp_path: Path) -> None:
    plan = plan_of([Toy()], [Limits()])
    settings = replace(plan.settings, n=1, reserve=meminfo.total())
    rows, _ = run(replace(plan, settings=settings), tmp_path)
    failed = [row for row in rows if row.status == "failed"]
    assert failed
    assert all("reserve" in row.reason for row in failed)

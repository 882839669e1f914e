"""bench/experiments/cpu.py, bandwidth.py, latency.py: the same work in every kind of instance."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench import subjects
from bench.experiments._work import WorkExperiment
from bench.experiments.bandwidth import Bandwidth
from bench.experiments.cpu import Cpu
from bench.experiments.latency import Latency
from bench.subjects.base import Workload
from tests.bench.conftest import needs_cgroups
from tests.bench.test_runner import plan_of, run


@needs_cgroups
def test_process_and_container_do_the_same_work(
    workload: Workload, nothing_left: None, tmp_path: Path
) -> None:
    experiments = [Cpu(), Bandwidth(), Latency()]
    plan = plan_of([subjects.make("process"), subjects.make("labrt")], experiments)
    settings = replace(plan.settings, n=1)
    rows, _ = run(replace(plan, workload=workload, settings=settings), tmp_path)
    assert [row.reason for row in rows if row.status == "failed"] == []
    for experiment in experiments:
        for phase in experiment.parts:
            mine = [row for row in rows if row.phase == phase and not row.warmup]
            assert {row.subject for row in mine} == {"process", "labrt"}
            assert all(row.value for row in mine)
            for same in ("digest", "workload", "count"):
                assert len({row.conditions[same] for row in mine}) == 1
            assert len({row.conditions.get("outcome") for row in mine}) == 1


@pytest.mark.parametrize("experiment", [Cpu(), Bandwidth(), Latency()])
def test_the_image_is_the_experiments_own_and_the_limits_are_the_users(
    experiment: WorkExperiment, workload: Workload
) -> None:
    asked = replace(workload, memory=128 * 2**20)
    mine = experiment.workload(asked)
    assert (mine.digest != asked.digest, mine.name) == (True, experiment.name)
    assert (mine.memory, mine.cpus, mine.command) == (asked.memory, asked.cpus, experiment.parts)

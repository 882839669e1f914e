"""bench/experiments/startup.py and stop.py: four stamps in order, on real instances."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench import subjects
from bench.experiments.startup import Startup
from bench.experiments.stop import Stop
from bench.subjects.base import Workload
from tests.bench.conftest import needs_cgroups
from tests.bench.test_runner import plan_of, run


@needs_cgroups
@pytest.mark.parametrize("name", ["process", "labrt"])
def test_the_phases_add_up_to_the_whole(
    name: str, workload: Workload, nothing_left: None, tmp_path: Path
) -> None:
    plan = plan_of([subjects.make(name)], [Startup(), Stop()])
    rows, _ = run(replace(plan, workload=workload), tmp_path)
    assert [row.reason for row in rows if row.status == "failed"] == []
    for sample in range(-1, 4):
        phases = {
            row.phase: row.value
            for row in rows
            if row.experiment == "startup" and row.sample == sample and row.value is not None
        }
        assert all(value >= 0 for value in phases.values())
        parts = phases["T0-T1"] + phases["T1-T2"] + phases["T2-T3"]
        assert parts == pytest.approx(phases["T0-T3"])
    stops = [row.value for row in rows if row.experiment == "stop"]
    assert len(stops) == 4
    assert all(value is not None and 0 < value < 5 for value in stops)

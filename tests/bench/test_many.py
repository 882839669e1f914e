"""bench/many.py: containers by the rung, up and down again, and nothing left however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bench import many
from bench.oci_runtime import runc
from bench.subjects.base import Workload
from labrt import cgroups

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(
    runc.unavailable() is not None or os.geteuid() != 0 or cgroups.unavailable() is not None,
    reason=f"needs root, cgroups and runc: {runc.unavailable() or cgroups.unavailable()}",
)


@pytest.mark.slow
def test_it_measures_both(workload: Workload, nothing_left: None) -> None:
    found = many.measure(6, 3)
    assert set(found) == {"labrt", "runc"}
    for figures in found.values():
        assert figures["up"] > 0
        assert figures["down"] > 0
        assert figures["low"] <= figures["per_container"] <= figures["high"]
    assert [row[0] for row in many.table(6, found).rows] == ["labrt", "runc"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_nothing(
    workload: Workload, image_home: Path, nothing_left: None, number: int
) -> None:
    command = [sys.executable, "-m", "bench.many", "--count=100000", "--rungs=1"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    containers = image_home / "home" / "containers"
    containers.mkdir(exist_ok=True)
    before = set(containers.iterdir())  # of other tests, which kill -9 what makes containers
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    while len(set(containers.iterdir()) - before) < 3:
        assert process.poll() is None
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert told.splitlines() == [f"many: {signal.Signals(number).name}; all containers are gone"]
    assert set(containers.iterdir()) <= before

"""bench/runtimes.py: the ways are measured in turns, and compared by their medians."""

from __future__ import annotations

import os

import pytest

from bench import runtimes, statistics, ways
from bench.oci_runtime import runc
from bench.runtimes import COMMAND, LIBRARY, RUNC, SERVED, UNDONE
from bench.subjects.base import Workload
from labrt import cgroups

pytestmark = pytest.mark.skipif(
    runc.unavailable() is not None or os.geteuid() != 0 or cgroups.unavailable() is not None,
    reason=f"needs root, cgroups and runc: {runc.unavailable() or cgroups.unavailable()}",
)


def test_the_library_is_faster_than_runc_and_all_is_told(
    workload: Workload, nothing_left: None
) -> None:
    rows, notes = runtimes.measure(6)
    found = runtimes.figures(rows)
    assert {RUNC, LIBRARY, UNDONE, COMMAND, SERVED} <= set(found)
    assert found[LIBRARY]["ratio"] < 1
    assert found[LIBRARY]["median"] < found[UNDONE]["median"]
    assert all(figures["n"] == 6 for figures in found.values())
    table = runtimes.table(found, notes)
    assert [row[0] for row in table.rows][0] == RUNC
    assert {row[0] for row in table.rows} == set(found)


def test_warm_ups_are_kept_out(workload: Workload) -> None:
    rows, _ = runtimes.measure(2)
    assert len([row for row in rows if row.subject == RUNC]) == 2 + ways.WARM_UPS
    assert len(statistics.select(rows, subject=RUNC)) == 2

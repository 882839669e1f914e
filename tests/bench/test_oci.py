"""bench/oci.py: labrt and runc run the same bundle in turns, by hand and by Podman."""

from __future__ import annotations

import os

import pytest

from bench import oci, ways
from bench.oci_runtime import runc
from bench.subjects.base import Workload
from labrt import cgroups

pytestmark = pytest.mark.skipif(
    runc.unavailable() is not None or os.geteuid() != 0 or cgroups.unavailable() is not None,
    reason=f"needs root, cgroups and runc: {runc.unavailable() or cgroups.unavailable()}",
)


def test_each_is_measured_and_compared_with_runc(workload: Workload, nothing_left: None) -> None:
    rows, notes = oci.measure(2)
    found = ways.figures(rows, oci.AGAINST, oci.TARGETS)
    expected = {*oci.BUNDLE, *(() if notes else oci.PODMAN)}
    expected |= {oci.SERVED[name] for name in expected & set(oci.SERVED)}
    assert set(found) == expected
    assert all(told["n"] == 2 for told in found.values())
    compared = {name for name in found if "ratio" in found[name]}
    assert compared == set(oci.AGAINST) & expected
    table = ways.table(found, "", notes)
    names = [row[0] for row in table.rows]
    assert names.index("runc run") < names.index("labrt-oci run")

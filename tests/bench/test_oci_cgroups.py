"""bench/oci_cgroups.py: what others made for the lab's containers goes, wherever it is."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from bench import oci_cgroups
from labrt import cgroups

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or cgroups.unavailable() is not None,
    reason=f"needs root and cgroups: {cgroups.unavailable()}",
)


@pytest.fixture(autouse=True)
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_HOME", str(tmp_path))


def make(name: str) -> list[Path]:
    folders = [point / name for point in oci_cgroups._points()]
    for folder in folders:
        (folder / "below").mkdir(parents=True)
    return folders


def test_it_is_removed_from_every_hierarchy_with_what_runs_in_it() -> None:
    folders = make(oci_cgroups.name("lab-test"))
    with subprocess.Popen(["sleep", "60"]) as sleeper:
        # The last one: v1's cpuset takes no process before it names CPUs.
        movable = [f for f in folders if not (f / "cpuset.cpus").exists()]
        (movable[-1] / "below" / "cgroup.procs").write_text(str(sleeper.pid))
        assert oci_cgroups.leftovers() == [oci_cgroups.name("lab-test")]
        assert sleeper.wait(10) < 0
    assert not any(folder.exists() for folder in folders)


def test_another_labs_stay() -> None:
    others = make("labrt-0123abcd-lab-test")
    try:
        assert oci_cgroups.leftovers() == []
        assert all(folder.exists() for folder in others)
    finally:
        assert oci_cgroups.remove("labrt-0123abcd-lab-test") == ["labrt-0123abcd-lab-test"]


def test_none_is_none() -> None:
    assert oci_cgroups.remove(oci_cgroups.name("lab-nothing")) == []

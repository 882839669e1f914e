"""Limits of a bundle, seen from the host: v1's own files, and what `update` changes of them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labrt import cgroups, hierarchies
from labrt.bundle import resources
from labrt.bundle.reading import Value
from labrt.errors import LabError
from tests.labrt.bundle.bundles import PATIENT, Bundles
from tests.labrt.bundle.cases import resources as limited
from tests.labrt.conftest import needs_cgroups, needs_root

pytestmark = [needs_root, needs_cgroups]

needs_v1 = pytest.mark.skipif(
    "cpu" not in cgroups.layout().v1, reason="this host has cgroup v2 alone"
)


@pytest.fixture
def running(bundles: Bundles) -> Iterator[Bundles]:
    bundles.write(limited(cpu={"shares": 2048}), run="sleep 100")
    assert bundles("create", "-b", str(bundles.folder), bundles.name, **PATIENT).returncode == 0
    yield bundles
    bundles("delete", "--force", bundles.name)


def update(bundles: Bundles, told: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    file = bundles.folder / "resources.json"
    file.write_text(json.dumps(told))
    return bundles("update", "--resources", str(file), bundles.name)


def of(bundles: Bundles, controller: str, file: str) -> str:
    folder = hierarchies.folder(controller, f"labrt-{name_of_lab(bundles)}/{bundles.name}")
    assert folder is not None
    return (folder / file).read_text().strip()


def name_of_lab(bundles: Bundles) -> str:
    import zlib

    return f"{zlib.crc32(os.fsencode(bundles.folder / 'state')):08x}"


@needs_v1
def test_shares_are_kept_as_they_are(running: Bundles) -> None:
    assert of(running, "cpu", "cpu.shares") == "2048"


@needs_v1
def test_update_changes_what_only_v1_has(running: Bundles) -> None:
    done = update(running, {"cpu": {"shares": 512}, "memory": {"swappiness": 3}})
    assert done.returncode == 0, done.stderr
    assert of(running, "cpu", "cpu.shares") == "512"
    assert of(running, "memory", "memory.swappiness") == "3"


@needs_v1
def test_an_update_that_fails_changes_nothing(running: Bundles) -> None:
    done = update(running, {"cpu": {"shares": 512, "quota": 1}})  # the least quota is 1 ms
    assert done.returncode != 0
    assert of(running, "cpu", "cpu.shares") == "2048"


def test_a_limit_below_what_is_in_use_is_refused_where_it_was_asked_for() -> None:
    group = cgroups.Cgroup.create(f"{cgroups.top()}/used-{os.getpid()}")
    with subprocess.Popen(["sleep", "1000"]) as sleeper:
        try:
            # Charged to it: what it touches from now on. A page of tmpfs suffices.
            group.add(sleeper.pid)
            child = os.fork()
            if child == 0:
                group.add(0)
                Path(f"/dev/shm/used-{os.getppid()}").write_bytes(bytes(1 << 20))
                os._exit(0)
            os.waitpid(child, 0)
            asked = {"memory": {"limit": 4096, "checkBeforeUpdate": True}}
            with pytest.raises(LabError, match=r"memory\.limit: more than that is in use"):
                resources.check_before_update(Value("", asked), group)
            asked["memory"]["checkBeforeUpdate"] = False
            resources.check_before_update(Value("", asked), group)
        finally:
            Path(f"/dev/shm/used-{os.getpid()}").unlink(missing_ok=True)
            sleeper.kill()
            sleeper.wait()
            group.remove()

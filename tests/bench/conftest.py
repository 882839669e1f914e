"""What the bench's tests share: a home with the image, rows to reckon with, what is left."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import load_cost
from bench.observations import Observation
from bench.qemu import Machine
from bench.subjects.base import Workload
from labrt import cgroups, launching, state
from labrt.images import base

needs_cgroups = pytest.mark.skipif(
    cgroups.unavailable() is not None,
    reason=f"limits need cgroups: {cgroups.unavailable()}",
)

CONDITIONS = load_cost.CONDITIONS | {
    "kind": "container",
    "title": "labrt container",
    "machine": "host",
}


def some_machine(**given: Any) -> Machine:
    """Return a virtual machine to be told of, not to be started."""
    file = Path("/nonexistent")
    return Machine("lab-vm-1", file, file, file, file, 256 << 20, 1, "tcg", **given)


@pytest.fixture(scope="session")
def row() -> Callable[..., Observation]:
    """Make a row; what isn't named is a start of 5 ms. Conditions are given as keywords, too."""

    def make(value: float | None = 0.005, **given: Any) -> Observation:
        fields = {
            "run": "test",
            "subject": "labrt",
            "experiment": "startup",
            "sample": 0,
            "phase": "T0-T3",
            "metric": "time",
            "unit": "s",
            "status": "ok" if value is not None else "failed",
            "reason": "" if value is not None else "30 s passed",
        }
        own = {key: given.pop(key) for key in list(given) if key in fields or key == "at"}
        return Observation(value=value, conditions=CONDITIONS | given, **(fields | own))

    return make


@pytest.fixture(scope="session")
def image_home() -> Iterator[Path]:
    """A LAB_HOME with the busybox image, for the bench's tests alone."""
    folder = Path(tempfile.mkdtemp(prefix="lab-"))
    folder.chmod(0o711)  # runc, unlike labrt, has the container's root walk through it
    before = {name: os.environ.get(name) for name in ("LAB_HOME", "LAB_RUN")}
    os.environ |= {"LAB_HOME": str(folder / "home"), "LAB_RUN": str(folder / "run")}
    base.ensure("busybox")
    ours = [parent / cgroups.top() for parent in cgroups.layout().folders]
    for name, value in before.items():
        _put_back(name, value)
    yield folder
    assert [str(group) for group in ours if group.exists()] == []
    if (folder / "home" / "layers").exists():  # some of it isn't ours by its owner
        state.remove_tree(folder / "home" / "layers")
    shutil.rmtree(folder)


@pytest.fixture
def workload(image_home: Path) -> Iterator[Workload]:
    """The busybox image's workload, with that home in force and the launcher started for it."""
    before = {name: os.environ.get(name) for name in ("LAB_HOME", "LAB_RUN")}
    os.environ |= {"LAB_HOME": str(image_home / "home"), "LAB_RUN": str(image_home / "run")}
    launching.close_launcher()  # one that was started for another home
    image = base.ensure("busybox")
    yield Workload(image=image.name, digest=image.digest)
    launching.close_launcher()
    for name, value in before.items():
        _put_back(name, value)


def _put_back(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


@pytest.fixture
def nothing_left(image_home: Path) -> Iterator[None]:
    """Fail a test that leaves a process's cgroup or a container behind."""
    before = _left(image_home)
    yield
    assert _left(image_home) <= before


def _left(image_home: Path) -> set[str]:
    """Name what is there; others' containers and VMs may come and go meanwhile."""
    folder = image_home / "home" / "containers"
    containers = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    groups = {group.name for group in cgroups.all_cgroups()}
    ours = {f"{cgroups.top()}/{name}" for name in containers}
    return containers | {name for name in groups if "/lab-process-" in name or name in ours}

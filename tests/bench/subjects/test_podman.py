"""bench/subjects/podman.py: the image comes from the store, whatever LAB_HOME is called."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.subjects import podman
from bench.subjects.base import Workload
from bench.subjects.podman import Podman
from labrt.images import base

pytestmark = pytest.mark.skipif(
    Podman().unavailable() is not None, reason=str(Podman().unavailable())
)


@pytest.fixture
def short() -> Iterator[Path]:
    """Podman wants its run folder's path short; pytest's isn't."""
    with tempfile.TemporaryDirectory(prefix="lab-") as folder:
        yield Path(folder)


@pytest.mark.parametrize("name", ["_x", "Ann's lab", "ümlaut"])
def test_any_lab_home_will_do(name: str, short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_HOME", str(short / name))
    monkeypatch.setenv("LAB_RUN", str(short / "run"))
    image = base.ensure("busybox")
    with Podman() as subject:
        subject.prepare(Workload(image.name, image.digest))
        told = podman.engine().call("image", "ls", "--no-trunc", "--format={{.Digest}}")
        assert told == image.digest
    assert str(short) not in Path("/proc/self/mountinfo").read_text()


def test_a_run_folder_that_is_too_long_for_podman_is_told(
    short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_RUN", str(short / ("long" * 10)))
    reason = Podman().unavailable()
    assert reason is not None and "LAB_RUN" in reason

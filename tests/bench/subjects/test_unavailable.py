"""Every subject says what it misses, with the package that brings it; asking starts nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench import subjects
from tests.bench.subjects.test_containers import ABSENT

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="whoever isn't root misses that first")


@needs_root
@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("runc", "runc"),
        ("crun", "crun"),
        ("podman", "podman"),
        ("docker", "docker.io"),
        ("bubblewrap", "bubblewrap"),
        ("systemd-nspawn", "systemd-container"),
    ],
)
def test_a_program_that_is_not_there_is_named_with_its_package(
    name: str, package: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    reason = subjects.make(name).unavailable()
    assert reason is not None
    assert reason.endswith(f"apt-get install {package}")


@pytest.mark.parametrize("name", ABSENT)
def test_the_subjects_that_cannot_run_here(
    name: str,
) -> None:
    pytest.skip(f"{name}: {ABSENT[name]}")

"""bench/unpacking.py: labrt and tar(1) take turns with the same layer."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from labrt.images import base

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench.unpacking", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)


def test_both_are_measured_and_nothing_stays(tmp_path: Path) -> None:
    base.ensure("busybox")
    done = bench("--image", "busybox", "--rounds", "2")
    head, _, tar, ours = done.stdout.splitlines()
    assert re.fullmatch(r".* of tar\+gzip, 4 files of .* MiB", head), done
    for line, name in ((tar, "tar -xp"), (ours, "labrt")):
        found = re.match(rf"{name} +(\S+) +(\S+) – (\S+) +(\S+) +(\S+) MiB ", line)
        assert found is not None, line
        middle, least, most, _, memory = map(float, found.groups())
        assert least <= middle <= most
        assert memory > 0
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


def test_an_image_that_is_not_there_is_one_line() -> None:
    done = bench("--image", "nosuch")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "find the image 'nosuch'" in done.stderr

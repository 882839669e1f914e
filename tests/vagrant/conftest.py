"""What the tests that start lab machines share: the boxes, built once, in a copy of the project."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.vagrant.apart import Apart, apart

ROOT = Path(__file__).parent.parent.parent
BUILD_SECONDS = 1800


@pytest.fixture(scope="session")
def built() -> Iterator[Path]:
    """A copy of the project with the boxes that `./lab box` builds of it."""
    if os.geteuid() != 0:
        pytest.skip("building a box needs root")
    folder = Path(tempfile.mkdtemp(prefix="lab-built-", dir="/var/tmp"))
    try:
        project = folder / "lab"
        excluded = f"--exclude-from={ROOT}/vagrant/not-synced"
        subprocess.run(["rsync", "--archive", excluded, f"{ROOT}/", project], check=True)
        command = [sys.executable, "-m", "vagrant.box", "--out", project / "boxes"]
        for provider in ("libvirt", "virtualbox", "qemu"):
            command += ["--provider", provider]
        began = time.monotonic()
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=BUILD_SECONDS,
        )
        assert done.returncode == 0, done.stderr
        print(f"{done.stderr}built in {time.monotonic() - began:.0f} s")
        yield project
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def place() -> Iterator[Apart]:
    """A libvirtd and a network of one's own; when it goes, no machine is left in it."""
    with apart() as place:
        yield place
        assert place.machines() == []


@contextmanager
def another_version(project: Path) -> Iterator[None]:
    """The project isn't, for the time of the block, what its boxes were built of."""
    changed = project / "vagrant" / "packages.sh"
    before = changed.read_text()
    try:
        changed.write_text(before + "# changed\n")
        yield
    finally:
        changed.write_text(before)

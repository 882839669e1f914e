"""What the tests of subjects share: a home with the image for a whole module, a Docker daemon."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.subjects.base import Workload
from labrt import launching
from labrt.images import base
from tests import docker_daemon as daemon


@pytest.fixture(scope="module")
def home(image_home: Path) -> Iterator[Path]:
    """The bench's own LAB_HOME and run folder, in force for a whole module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_HOME", str(image_home / "home"))
        patch.setenv("LAB_RUN", str(image_home / "run"))
        launching.close_launcher()  # one that was started for another home
        yield image_home / "home"
        launching.close_launcher()


@pytest.fixture(scope="module")
def busybox(home: Path) -> Workload:
    image = base.ensure("busybox")
    return Workload(image=image.name, digest=image.digest)


@pytest.fixture(scope="module")
def docker_daemon() -> Iterator[str]:
    """The address of a daemon of the tests' own; its mounts end with it. Not for the whole session:
    later tests look at what processes there are, and measure."""
    if shutil.which("dockerd") is None or os.geteuid() != 0:
        pytest.skip("needs root and dockerd; apt-get install docker.io")
    with daemon.running() as address:
        yield address

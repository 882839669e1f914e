"""What the tests of subjects share: a home with the image for a whole module, a Docker daemon."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import oci_cgroups
from bench.subjects.base import Workload
from labrt import launching
from labrt.images import base

DAEMON_SECONDS = 30.0


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
    folder = Path(tempfile.mkdtemp(prefix="lab-docker-"))
    address = f"unix://{folder}/docker.sock"
    options = {
        "data-root": folder / "data",
        "exec-root": folder / "exec",
        "pidfile": folder / "pid",
        "host": address,
        "bridge": "none",
        "iptables": "false",
        "ip6tables": "false",
        "cgroup-parent": f"/{folder.name}",
    }
    flags = [f"--{name}={value}" for name, value in options.items()]
    with open(folder / "log", "wb") as log:
        daemon = subprocess.Popen(
            ["unshare", "--mount", "dockerd", *flags],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _wait_until_it_answers(daemon, address, folder / "log")
        yield address
    finally:
        daemon.terminate()
        daemon.wait(DAEMON_SECONDS)
        oci_cgroups.remove(folder.name)
        shutil.rmtree(folder)


def _wait_until_it_answers(daemon: subprocess.Popen[bytes], address: str, log: Path) -> None:
    ask = ["docker", f"--host={address}", "version"]
    deadline = time.monotonic() + DAEMON_SECONDS
    while subprocess.run(ask, capture_output=True).returncode:
        if daemon.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"dockerd doesn't answer: {log.read_text()[-2000:]}")
        time.sleep(0.1)

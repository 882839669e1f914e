"""A Docker daemon of the tests' own: its folders are made for it, its mounts end with it."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench import oci_cgroups

SECONDS = 30.0  # to come up, and to go


@contextmanager
def running(*more: str) -> Iterator[str]:
    """Run a daemon for the time of the block; its address.

    Args:
        more: options beside those that keep it apart from any other.
    """
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
            ["unshare", "--mount", "dockerd", *flags, *more],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _wait_until_it_answers(daemon, address, folder / "log")
        yield address
    finally:
        daemon.terminate()
        daemon.wait(SECONDS)
        oci_cgroups.remove(folder.name)
        shutil.rmtree(folder)


def _wait_until_it_answers(daemon: subprocess.Popen[bytes], address: str, log: Path) -> None:
    ask = ["docker", f"--host={address}", "version"]
    deadline = time.monotonic() + SECONDS
    while subprocess.run(ask, capture_output=True).returncode:
        if daemon.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"dockerd doesn't answer: {log.read_text()[-2000:]}")
        time.sleep(0.1)

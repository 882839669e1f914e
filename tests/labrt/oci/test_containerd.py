"""containerd starts containers with labrt: `ctr run --runc-binary labrt-oci …`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import oci_cgroups
from tests.labrt.oci.engines import Engine
from tests.labrt.test_handle import until

pytestmark = pytest.mark.skipif(
    shutil.which("containerd") is None or shutil.which("ctr") is None or os.geteuid() != 0,
    reason="needs root and containerd: apt-get install containerd",
)
SECONDS = 30.0  # to come up, and to go


@pytest.fixture(scope="module")
def ctr() -> Iterator[Engine]:
    """The command of a containerd of the tests' own; its mounts end with it."""
    folder = Path(tempfile.mkdtemp(prefix="lab-containerd-"))
    (folder / "config.toml").write_text(
        f"""version = 2
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "{folder}/socket"
"""
    )
    with open(folder / "log", "wb") as log:
        daemon = subprocess.Popen(
            ["unshare", "--mount", "containerd", "--config", folder / "config.toml"],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    engine = Engine("ctr", f"--address={folder}/socket")
    try:
        deadline = time.monotonic() + SECONDS
        while engine("version").returncode:
            if daemon.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"containerd doesn't answer: {(folder / 'log').read_text()[-2000:]}")
            time.sleep(0.1)
        yield engine
    finally:
        daemon.terminate()
        daemon.wait(SECONDS)
        oci_cgroups.remove("oci-ctr")
        shutil.rmtree(folder)


@pytest.fixture
def options(program: Path) -> list[str]:
    return [f"--runc-binary={program}", "--rootfs", "--cgroup=/oci-ctr/c"]


def test_a_container_runs_to_its_end(ctr: Engine, rootfs: Path, options: list[str]) -> None:
    script = "echo said; id -u; exit 5"
    done = ctr("run", "--rm", *options, str(rootfs), "one", "sh", "-c", script)
    assert (done.returncode, done.stdout) == (5, "said\n0\n")
    assert "executable file not found" in ctr(
        "run", "--rm", *options, str(rootfs), "two", "nono"
    ).stderr  # fmt: skip


def test_a_task_lives_as_containerd_bids(ctr: Engine, rootfs: Path, options: list[str]) -> None:
    ctr.ok("run", "--detach", *options, str(rootfs), "three", "sleep", "1000")
    try:
        assert "RUNNING" in ctr.ok("task", "list")
        execed = ctr("task", "exec", "--exec-id=e", "three", "sh", "-c", "exit 7")
        assert execed.returncode == 7
        assert len(ctr.ok("task", "ps", "three").splitlines()) == 2
        ctr.ok("task", "pause", "three")
        assert "PAUSED" in ctr.ok("task", "list")
        ctr.ok("task", "resume", "three")
        assert json.loads(ctr.ok("task", "metrics", "--format=json", "three"))
    finally:
        ctr.ok("task", "kill", "--signal=KILL", "three")
        until(lambda: "STOPPED" in ctr.ok("task", "list"))  # its shim has learnt of the end
        ctr.ok("task", "delete", "three")
        ctr.ok("container", "delete", "three")

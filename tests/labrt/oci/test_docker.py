"""A Docker daemon whose containers labrt starts: `dockerd --add-runtime labrt=…`."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import docker_daemon
from tests.labrt.oci.engines import Engine

pytestmark = pytest.mark.skipif(
    shutil.which("dockerd") is None or os.geteuid() != 0,
    reason="needs root and dockerd: apt-get install docker.io",
)


@pytest.fixture(scope="module")
def docker(
    program: Path, rootfs: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    """The command of a daemon whose default runtime is labrt, with an image "box"."""
    archive = tmp_path_factory.mktemp("image") / "box.tar"
    subprocess.run(["tar", "-C", rootfs, "-cf", archive, "."], check=True)
    options = (f"--add-runtime=labrt={program}", "--default-runtime=labrt")
    with docker_daemon.running(*options) as address:
        engine = Engine("docker", f"--host={address}", environment={"DOCKER_BUILDKIT": "0"})
        engine.ok("import", str(archive), "box")
        yield engine
        assert engine.ok("ps", "--all", "--quiet") == ""


def test_a_container_lives_as_docker_bids(docker: Engine) -> None:
    """One container for all of it, for each takes a second."""
    docker.ok(
        "run", "-d", "--name=life", "--network=none", "--health-cmd=test -e /healthy",
        "--health-interval=200ms", "box",
        "sh", "-c", "echo said; trap 'exit 3' TERM; while :; do sleep 0.1; done",
    )  # fmt: skip
    assert docker.ok("inspect", "--format={{.HostConfig.Runtime}}", "life").strip() == "labrt"
    assert docker.ok("exec", "life", "cat", "/proc/1/comm").strip() == "sh"
    assert docker("exec", "life", "sh", "-c", "exit 7").returncode == 7
    done = docker("exec", "life", "nono")
    assert "executable file not found" in done.stdout + done.stderr
    docker.ok("exec", "life", "touch", "/healthy")
    wait_for_health(docker, "life")
    assert docker.ok("logs", "life") == "said\n"
    told = docker.ok("stats", "--no-stream", "--format={{.PIDs}} {{.MemUsage}}", "life").split()
    assert int(told[0]) >= 1 and not told[1].startswith("0B")
    docker.ok("pause", "life")
    assert "Paused" in docker.ok("ps", "--format={{.Status}}")
    docker.ok("unpause", "life")
    docker.ok("update", "--memory=64m", "--memory-swap=64m", "life")
    assert "64MiB" in docker.ok("stats", "--no-stream", "--format={{.MemUsage}}", "life")
    assert "sh -c" in docker.ok("top", "life")
    docker.ok("restart", "--time=20", "life")
    assert docker.ok("logs", "life") == "said\nsaid\n"
    docker.ok("stop", "--time=20", "life")
    assert docker.ok("inspect", "--format={{.State.ExitCode}}", "life").strip() == "3"
    docker.ok("rm", "life")


def wait_for_health(docker: Engine, name: str) -> None:
    deadline = time.monotonic() + 30
    while docker.ok("inspect", "--format={{.State.Health.Status}}", name).strip() != "healthy":
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_exit_statuses_are_dockers(docker: Engine) -> None:
    named = ("run", "--rm", "--runtime=labrt", "--network=none", "box", "false")
    assert docker(*named).returncode == 1
    statuses = {("sh", "-c", "exit 5"): 5, ("nono",): 127, ("/etc",): 126}
    for command, status in statuses.items():
        assert docker("run", "--rm", "--network=none", "box", *command).returncode == status


def test_a_person_at_a_terminal(docker: Engine) -> None:
    shown = docker.on_a_terminal(
        "run", "--rm", "-it", "--network=none", "box", "sh", typed="tty; exit\n"
    )
    assert "/dev/pts/0" in shown


def test_an_image_is_built_with_it(docker: Engine, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(
        "FROM box\nRUN echo built >/made\nRUN cat /made >/seen\nCMD cat /seen\n"
    )
    docker.ok("build", "--network=none", "--tag=built", str(tmp_path))
    assert docker.ok("run", "--rm", "--network=none", "built") == "built\n"

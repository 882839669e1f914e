"""Podman starts its containers with labrt: `podman --runtime labrt-oci …`."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import oci_cgroups
from labrt import syscalls
from tests.labrt.oci.conftest import PROGRAM
from tests.labrt.oci.engines import Engine, podman_conf

pytestmark = pytest.mark.skipif(
    shutil.which("podman") is None or os.geteuid() != 0,
    reason="needs root and podman: apt-get install podman",
)


@pytest.fixture(scope="module")
def podman(program: Path, rootfs: Path) -> Iterator[Engine]:
    """Podman with storage of its own, and an image "box" in it; nothing of it stays."""
    folder = Path(tempfile.mkdtemp(prefix="lab-podman-"))
    places = [f"--root={folder}/root", f"--runroot={folder}/run", f"--tmpdir={folder}/tmp"]
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    # No more than the host may have: Podman itself would raise them (CAP_SYS_RESOURCE).
    conf = podman_conf(folder, program, [f"nofile={files}:{files}", "nproc=1000:1000"])
    environment = {"CONTAINERS_CONF": str(conf)}
    engine = Engine("podman", *places, "--storage-driver=overlay", environment=environment)
    archive = folder / "box.tar"
    subprocess.run(["tar", "-C", rootfs, "-cf", archive, "."], check=True)
    try:
        engine.ok("import", str(archive), "box")
        yield engine
        assert engine.ok("ps", "--all", "--quiet") == ""
    finally:
        engine("rm", "--all", "--force", "--time=0")
        oci_cgroups.remove("libpod_parent")
        try:
            syscalls.umount2(str(folder / "root/overlay"))  # Podman binds its storage to itself
        except OSError:
            pass  # it wasn't
        shutil.rmtree(folder)


def test_it_is_labrt_that_runs_them(podman: Engine, program: Path) -> None:
    told = json.loads(podman.ok("info", "--format=json"))["host"]["ociRuntime"]
    assert told["path"] == str(program)
    assert told["version"].startswith("labrt-oci version")


def test_a_container_lives_as_podman_bids(podman: Engine) -> None:
    """One container for all of it, for Podman takes its time."""
    podman.ok("run", "-d", "--name=life", "box", "sh", "-c", "echo said; trap 'exit 3' TERM; "
              "while :; do sleep 0.1; done")  # fmt: skip
    assert "sh -c echo said" in podman.ok("exec", "life", "ps")
    assert podman("exec", "life", "sh", "-c", "exit 7").returncode == 7
    assert podman("exec", "life", "nono").returncode == 127
    podman.ok("pause", "life")
    assert podman.ok("inspect", "--format={{.State.Status}}", "life").strip() == "paused"
    podman.ok("unpause", "life")
    (stats,) = json.loads(podman.ok("stats", "--no-stream", "--format=json", "life"))
    assert int(stats["pids"]) >= 1
    assert podman.ok("logs", "life") == "said\n"
    podman.ok("stop", "--time=20", "life")
    assert podman.ok("inspect", "--format={{.State.ExitCode}}", "life").strip() == "3"
    podman.ok("start", "life")
    podman.ok("kill", "--signal=KILL", "life")
    assert podman.ok("wait", "life").strip() == "137"
    podman.ok("rm", "life")


def test_exit_statuses_are_podmans(podman: Engine) -> None:
    assert podman("--runtime", str(PROGRAM), "run", "--rm", "box", "false").returncode == 1
    statuses = {("sh", "-c", "exit 5"): 5, ("nono",): 127, ("/etc",): 126}
    for command, status in statuses.items():
        assert podman("run", "--rm", "box", *command).returncode == status


def test_a_person_at_a_terminal(podman: Engine) -> None:
    shown = podman.on_a_terminal(
        "run", "--rm", "-it", "box", "sh", typed="tty; ls /dev/console; exit\n"
    )
    assert "/dev/pts/0" in shown and "/dev/console" in shown


def test_limits_hold(podman: Engine) -> None:
    reading = "cat /proc/self/cgroup; for f in memory/memory.limit_in_bytes memory.max " \
        "pids/pids.max pids.max; do cat /sys/fs/cgroup/$f 2>/dev/null; done; true"  # fmt: skip
    told = podman.ok(
        "run", "--rm", "--memory=64m", "--pids-limit=33", "box", "sh", "-c", reading
    ).splitlines()
    assert {"67108864", "33"} <= set(told)
    bomb = "for i in $(seq 40); do sleep 5 & done"
    done = podman("run", "--rm", "--pids-limit=20", "box", "sh", "-c", bomb)
    assert "can't fork" in done.stderr
    eater = "x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done"
    done = podman("run", "--rm", "--memory=16m", "--memory-swap=16m", "box", "sh", "-c", eater)
    assert done.returncode == 137


def test_what_podman_confines_is_confined(podman: Engine, tmp_path: Path) -> None:
    done = podman("run", "--rm", "--read-only", "box", "sh", "-c", "echo >/x")
    assert "Read-only file system" in done.stderr
    dropped = podman.ok("run", "--rm", "--cap-drop=ALL", "box", "grep", "Cap", "/proc/self/status")
    assert {line.split()[1] for line in dropped.splitlines()} == {"0" * 16}
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [
            {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
        ],
    }
    (tmp_path / "seccomp.json").write_text(json.dumps(profile))
    option = f"--security-opt=seccomp={tmp_path}/seccomp.json"
    assert "not implemented" in podman("run", "--rm", option, "box", "mkdir", "/x").stderr
    denied = podman("run", "--rm", "box", "unshare", "-m", "true")  # by Podman's own profile
    assert denied.returncode != 0


def test_a_user_namespace_of_its_own(podman: Engine) -> None:
    maps = ("--uidmap=0:100000:5000", "--gidmap=0:100000:5000")
    told = podman.ok("run", "--rm", *maps, "box", "cat", "/proc/self/uid_map")
    assert told.split() == ["0", "100000", "5000"]


def test_a_pod_shares_what_podman_has_it_share(podman: Engine) -> None:
    podman.ok(
        "pod", "create", "--name=pod", "--infra-image=box", "--infra-command=sleep 1000",
        "--share=net,ipc,uts", "--hostname=shared",
    )  # fmt: skip
    try:
        told = [
            podman.ok(
                "run",
                "--rm",
                "--pod=pod",
                "box",
                "sh",
                "-c",
                "hostname; readlink /proc/self/ns/net",
            )  # fmt: skip
            for _ in range(2)
        ]
        (name, net), (other_name, other_net) = map(str.split, told)
        assert (name, net) == (other_name, other_net)
        assert name == "shared"
    finally:
        podman.ok("pod", "rm", "--force", "--time=0", "pod")

"""Podman of a normal user starts its containers with labrt: no root anywhere, ids from /etc/subuid.

On a host with cgroup v1 a user has no cgroups, so Podman asks for no limits there.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.labrt.oci.engines import Engine, podman_conf
from tests.labrt.test_rootless import FIRST, USER, needs_uidmap, user

pytestmark = [
    pytest.mark.skipif(
        shutil.which("podman") is None or os.geteuid() != 0,
        reason="needs podman, and root to become another user: apt-get install podman",
    ),
    pytest.mark.skipif(not Path("/etc/subuid").exists(), reason="no /etc/subuid to lie over"),
    needs_uidmap,
]


@pytest.fixture(scope="module")
def podman(program: Path, rootfs: Path) -> Iterator[Engine]:
    """That user's Podman, with an image "box"; nothing of it stays."""
    with user(f"nobody:{FIRST}:65536\n") as someone:
        run = someone.folder / "run"
        run.mkdir()
        os.chown(run, USER, USER)
        conf = podman_conf(someone.folder, program)
        archive = someone.folder / "box.tar"
        subprocess.run(["tar", "-C", rootfs, "-cf", archive, "."], check=True)
        archive.chmod(0o644)
        engine = Engine(
            *someone.command("podman"),
            f"--root={someone.folder}/root",
            f"--runroot={run}/podman",
            "--storage-driver=overlay",
            folder=someone.folder,
            environment={
                **someone.environment,
                "XDG_RUNTIME_DIR": str(run),
                "CONTAINERS_CONF": str(conf),
            },
        )
        try:
            engine.ok("import", str(archive), "box")
            yield engine
            assert engine.ok("ps", "--all", "--quiet") == ""
            assert list((run / "labrt-oci/containers").iterdir()) == []
        finally:
            engine("rm", "--all", "--force", "--time=0")
            engine("unshare", "rm", "-rf", f"{someone.folder}/root", str(run))


def test_a_container_lives_as_podman_bids(podman: Engine) -> None:
    podman.ok("run", "-d", "--name=life", "box", "sh", "-c", "echo said; trap 'exit 3' TERM; "
              "while :; do sleep 0.1; done")  # fmt: skip
    done = podman("exec", "life", "sh", "-c", "cat /proc/self/uid_map; exit 7")
    assert done.returncode == 7
    assert done.stdout.split() == ["0", str(USER), "1", "1", str(FIRST), "65536"]
    (told,) = json.loads(podman.ok("inspect", "life"))
    owner = os.stat(f"/proc/{told['State']['Pid']}").st_uid
    assert owner == USER  # root inside, that user outside
    assert podman.ok("logs", "life") == "said\n"
    podman.ok("stop", "--time=20", "life")
    assert podman.ok("inspect", "--format={{.State.ExitCode}}", "life").strip() == "3"
    podman.ok("rm", "life")


def test_users_of_its_own_and_the_callers(podman: Engine) -> None:
    assert podman.ok("run", "--rm", "--user=7:8", "box", "id").startswith("uid=7 gid=8")
    assert podman.ok("run", "--rm", "--userns=keep-id", "box", "id", "-u").strip() == str(USER)
    assert podman("run", "--rm", "box", "nono").returncode == 127


def test_a_person_at_a_terminal(podman: Engine) -> None:
    shown = podman.on_a_terminal("run", "--rm", "-it", "box", "sh", typed="tty; exit\n")
    assert "/dev/pts/0" in shown


def test_a_read_only_root_and_a_pod(podman: Engine) -> None:
    assert "Read-only" in podman("run", "--rm", "--read-only", "box", "sh", "-c", "echo >/x").stderr
    podman.ok("pod", "create", "--name=pod", "--infra-image=box", "--infra-command=sleep 1000")
    try:
        assert podman.ok("run", "--rm", "--pod=pod", "box", "echo", "in it") == "in it\n"
    finally:
        podman.ok("pod", "rm", "--force", "--time=0", "pod")

"""Bundles of a normal user: no root anywhere, with one id or with a range, and no cgroup."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labrt import cgroups
from tests.labrt.bundle.bundles import PROGRAM, config, fill_root
from tests.labrt.bundle.cases import BASE, linux, process, resources, without
from tests.labrt.test_rootless import FIRST, USER, User, needs_uidmap, user

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user"),
    pytest.mark.skipif(not Path("/etc/subuid").exists(), reason="no /etc/subuid to lie over"),
]

ONE = [{"containerID": 0, "hostID": USER, "size": 1}]
RANGE = [*ONE, {"containerID": 1, "hostID": FIRST, "size": 65536}]


class Rootless:
    """A user's bundle, in a folder that nobody else may look into."""

    def __init__(self, someone: User, maps: list[dict[str, int]]) -> None:
        self.user = someone
        self.bundle = someone.folder / "bundle"
        fill_root(self.bundle / "rootfs")
        subprocess.run(["chown", "-R", f"{USER}:{USER}", str(self.bundle)], check=True)
        spaces = [*without(), {"type": "user"}]
        self.own = linux(namespaces=spaces, uidMappings=maps, gidMappings=maps, resources=None)
        # devpts wants the group 5, and v1's file systems of cgroups another root.
        self.mounts = {"mounts": [plain(each) for each in BASE["mounts"][:-1]]}

    def run(self, *changes: dict[str, Any], run: str) -> subprocess.CompletedProcess[str]:
        told = config(self.own, self.mounts, *changes, run=run)
        (self.bundle / "config.json").write_text(json.dumps(told))
        command = [str(PROGRAM), "--root", f"{self.user.folder}/state", "run"]
        return subprocess.run(
            self.user.command(*command, "--bundle", str(self.bundle), "rootless"),
            env=self.user.environment,
            capture_output=True,
            text=True,
            timeout=60,
            cwd="/",
            stdin=subprocess.DEVNULL,
        )


def plain(mount: dict[str, Any]) -> dict[str, Any]:
    options = [word for word in mount.get("options", ()) if word != "gid=5"]
    return {**mount, "options": options}


@pytest.fixture(scope="module")
def one() -> Iterator[Rootless]:
    """A user who has no id but their own."""
    with user("") as someone:
        yield Rootless(someone, ONE)


@pytest.fixture(scope="module")
def many() -> Iterator[Rootless]:
    """A user whom /etc/subuid grants a range."""
    with user(f"nobody:{FIRST}:65536\n") as someone:
        yield Rootless(someone, RANGE)


def test_root_inside_is_the_user_outside(one: Rootless) -> None:
    done = one.run(run="id -u; cat /proc/self/uid_map; touch /dev/shm/x && stat -c %u /dev/shm/x")
    assert done.stdout.split() == ["0", "0", str(USER), "1", "0"], done.stderr


def test_devices_are_the_hosts_own_bound(one: Rootless) -> None:
    done = one.run(
        run="echo gone > /dev/null && stat -c '%t:%T %u' /dev/null && head -c3 /dev/zero"
    )
    assert done.stdout == "1:3 65534\n\0\0\0", done.stderr


def test_a_device_that_the_host_hasnt_is_refused(one: Rootless) -> None:
    node = {"path": "/dev/nothing", "type": "c", "major": 1, "minor": 3}
    done = one.run(linux(devices=[node]), run="true")
    assert "BindHostDevice" in done.stderr and "a user namespace can't make one" in done.stderr


def test_another_user_takes_a_range(one: Rootless) -> None:
    done = one.run(process(user={"uid": 7, "gid": 7}), run="id -u")
    assert "SwitchUser" in done.stderr and "only id 0 is mapped" in done.stderr


def test_groups_take_a_range(one: Rootless) -> None:
    done = one.run(process(user={"uid": 0, "gid": 0, "additionalGids": [5]}), run="true")
    assert "join the groups 5" in done.stderr


@needs_uidmap
def test_a_range_is_mapped_by_newuidmap(many: Rootless) -> None:
    asked = process(user={"uid": 1000, "gid": 1000, "additionalGids": [5, 50]})
    done = many.run(asked, run="id -u; id -G; cat /proc/self/gid_map")
    ids = ["1000", "1000", "5", "50", "0", str(USER), "1", "1", str(FIRST), "65536"]
    assert done.stdout.split() == ids, done.stderr


@needs_uidmap
def test_a_range_that_isnt_granted_is_refused(one: Rootless) -> None:
    maps = linux(uidMappings=RANGE, gidMappings=RANGE)
    done = one.run(maps, run="true")
    assert "newgidmap" in done.stderr and "Traceback" not in done.stderr


def test_a_bundle_without_a_user_namespace_is_refused_by_the_kernel(one: Rootless) -> None:
    bare = linux(namespaces=without(), uidMappings=None, gidMappings=None)
    done = one.run(bare, run="true")
    assert done.returncode != 0 and "Clone" in done.stderr and "Traceback" not in done.stderr


def test_limits_without_a_cgroup_are_refused(one: Rootless) -> None:
    with_limit = one.run(resources(pids={"limit": 5}), run="true")
    with_path = one.run(linux(cgroupsPath="/x"), run="true")
    if "cgroup" not in with_limit.stderr:  # this user has one of their own
        assert cgroups.layout().kind == "v2"
        return
    assert with_limit.returncode != 0 and with_path.returncode != 0
    assert "may not make cgroups below" in with_limit.stderr


@pytest.mark.skipif(shutil.which("runc") is None, reason="no runc here")
def test_the_bundle_that_runc_writes_for_a_user(one: Rootless) -> None:
    folder = one.user.folder / "written"
    folder.mkdir()
    os.chown(folder, USER, USER)
    command = one.user.command("sh", "-c", f"cd {folder} && runc spec --rootless")
    subprocess.run(command, env=one.user.environment, check=True)
    told = json.loads((folder / "config.json").read_text())
    told["process"] |= {"terminal": False, "args": ["sh", "-c", "id -u; hostname"]}
    told["root"]["path"] = str(one.bundle / "rootfs")
    (one.bundle / "config.json").write_text(json.dumps(told))
    run = [str(PROGRAM), "--root", f"{one.user.folder}/state", "run", "-b", str(one.bundle), "r"]
    done = subprocess.run(
        one.user.command(*run), env=one.user.environment, capture_output=True, text=True
    )
    assert done.stdout == "0\nrunc\n", done.stderr

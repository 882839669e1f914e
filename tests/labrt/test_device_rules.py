"""Device rules: the last one that fits decides, on v1 and, by a program of ours, on v2."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from labrt import cgroups, device_rules, hierarchies
from labrt.device_rules import AttachDeviceProgram, DenyDevices, compiled, line
from labrt.spec import DeviceRule
from labrt.step import Context
from tests.labrt.conftest import needs_cgroups, needs_root

pytestmark = [needs_root, needs_cgroups]

ALL, NONE = DeviceRule(True), DeviceRule(False)
NULL = DeviceRule(True, "c", 1, 3, "rw")
CONTEXT = Context(None)  # type: ignore[arg-type]  # no step here looks at it


@pytest.fixture
def folder() -> Iterator[Path]:
    """A cgroup of the v2 hierarchy."""
    cgroup = cgroups.Cgroup.create(f"{cgroups.top()}/devices-{os.getpid()}")
    found = cgroup.birth_folder()
    if found is None:
        pytest.skip("no v2 hierarchy is mounted")
    yield found
    cgroup.remove()


@pytest.fixture
def folder_v1() -> Iterator[Path]:
    found = hierarchies.folder("devices", f"{cgroups.top()}/devices-{os.getpid()}")
    if found is None:
        pytest.skip("no v1 controller for devices is mounted")
    step = hierarchies.CreateInHierarchies((str(found),))
    step.do(CONTEXT)
    yield found
    step.undo(CONTEXT)


def may(folder: Path, kind: str, number: tuple[int, int], access: str) -> bool:
    """Whether a process in the cgroup may open such a node (or make it, for "m")."""
    node = Path(f"/tmp/node-{os.getpid()}")
    mode = {"b": stat.S_IFBLK, "c": stat.S_IFCHR}[kind] | 0o600
    if access != "m":
        os.mknod(node, mode, os.makedev(*number))
    child = os.fork()
    if child == 0:
        allowed = False
        try:
            (folder / "cgroup.procs").write_text("0")
            if access == "m":
                os.mknod(node, mode, os.makedev(*number))
            else:
                os.open(node, {"r": os.O_RDONLY, "w": os.O_WRONLY, "rw": os.O_RDWR}[access])
            allowed = True
        finally:
            os._exit(allowed)
    answer = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    node.unlink(missing_ok=True)
    return bool(answer)


CASES = [
    ((NONE,), "", "rw rm w"),
    ((NULL,), "r w rw", "m"),
    ((ALL,), "r w rw m", ""),
    ((), "", "r w rw m"),
    ((ALL, DeviceRule(False, "c", 1, 3, "w")), "r m", "w rw"),
    ((NONE, DeviceRule(True, "c", 1, 3, "r"), DeviceRule(True, "c", 1, 3, "w")), "r w rw", "m"),
    ((NULL, DeviceRule(False, "c", 1, 3, "rw")), "", "r w rw"),
    ((NONE, DeviceRule(True, "c", 1, -1, "r")), "r", "w"),
    ((NONE, DeviceRule(True, "c", -1, 3, "r")), "r", "w"),
    ((NONE, DeviceRule(True, "b", 1, 3)), "", "r w m"),
    ((NONE, DeviceRule(True, "a", 1, 3, "rw")), "r rw", "m"),
]


@pytest.mark.parametrize(("rules", "allowed", "denied"), CASES)
def test_v2s_program_decides(
    folder: Path, rules: tuple[DeviceRule, ...], allowed: str, denied: str
) -> None:
    AttachDeviceProgram(folder, rules).do(CONTEXT)
    seen = {access: may(folder, "c", (1, 3), access) for access in ("r", "w", "rw", "m")}
    assert [access for access in allowed.split() if not seen[access]] == []
    assert [access for access in denied.split() if seen.get(access)] == []


@pytest.mark.parametrize(("rules", "allowed", "denied"), CASES)
def test_v1s_controller_decides_the_same(
    folder_v1: Path, rules: tuple[DeviceRule, ...], allowed: str, denied: str
) -> None:
    DenyDevices(str(folder_v1), rules).do(CONTEXT)
    seen = {access: may(folder_v1, "c", (1, 3), access) for access in ("r", "w", "rw", "m")}
    assert [access for access in allowed.split() if not seen[access]] == []
    assert [access for access in denied.split() if seen.get(access)] == []


def test_other_devices_are_not_meant(folder: Path) -> None:
    AttachDeviceProgram(folder, (NONE, NULL)).do(CONTEXT)
    assert may(folder, "c", (1, 3), "rw")
    assert not may(folder, "c", (1, 5), "r")
    assert not may(folder, "b", (7, 0), "r")


def test_what_every_container_may_do(folder: Path) -> None:
    AttachDeviceProgram(folder, device_rules.DEFAULT).do(CONTEXT)
    assert may(folder, "c", (1, 3), "rw") and may(folder, "c", (1, 9), "r")
    assert may(folder, "b", (8, 0), "m"), "a node may be made, for it can't be opened"
    assert not may(folder, "c", (1, 1), "r"), "/dev/mem"


def test_a_program_is_a_list_of_whole_instructions() -> None:
    assert len(compiled(device_rules.DEFAULT)) % 8 == 0


def test_a_rule_as_v1_takes_it() -> None:
    assert [line(rule) for rule in (ALL, NULL, DeviceRule(True, "b", -1, 2, "m"))] == [
        "a",
        "c 1:3 rw",
        "b *:2 m",
    ]

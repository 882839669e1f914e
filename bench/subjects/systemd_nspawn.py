"""A container of systemd-nspawn, without systemd: neither registered nor in a unit of its own.

It makes two cgroups below its caller's, for itself and for what it runs.
Man page: systemd-nspawn(1).
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from bench.subjects._sandbox import Sandbox, SandboxInstance, remove_leftovers
from labrt.spec import Spec
from labrt.users import ROOT_ID_BASE, ROOT_ID_COUNT

TOOL = "systemd-nspawn"
# What passes mounts into a running container; a killed one leaves its own there.
PROPAGATE = Path("/run/systemd/nspawn/propagate")
HIERARCHIES = ("unified", "systemd")  # below /sys/fs/cgroup, where not all of it is v2


def remove() -> list[str]:
    """As `remove_leftovers`, and what it has outside."""
    names = remove_leftovers(TOOL)
    for name in names:
        _forget(name)
    return names


def _forget(name: str) -> None:
    folder = PROPAGATE / name
    if folder.is_dir():
        folder.rmdir()


class NspawnInstance(SandboxInstance):
    def command(self, spec: Spec) -> list[str]:
        variables = [f"--setenv={pair}" for pair in spec.process.env]
        return [
            *(TOOL, "--quiet", "--settings=no", "--register=no", "--keep-unit", "--console=pipe"),
            *("--link-journal=no", "--resolv-conf=off", "--timezone=off", "--private-network"),
            *(f"--private-users={ROOT_ID_BASE}:{ROOT_ID_COUNT}", "--private-users-ownership=off"),
            *(f"--bind={volume}" for volume in self._scratch.volumes),
            *(f"--machine={spec.hostname}", f"--directory={self._bundle / 'rootfs'}"),
            *(f"--chdir={spec.process.cwd}", *variables, "--", *spec.process.args),
        ]

    def _remove(self) -> None:
        super()._remove()
        _forget(self._bundle.name.removeprefix(f"{self._tool}-"))


class SystemdNspawn(Sandbox):
    name: ClassVar = "systemd-nspawn"
    title: ClassVar = "nspawn container"
    tool: ClassVar = TOOL
    package: ClassVar = "systemd-container"
    posture: ClassVar = (
        "all seven namespaces, root mapped to an unprivileged uid; systemd-nspawn's capabilities, "
        "masks and seccomp filter"
    )
    instance: ClassVar = NspawnInstance

    def unavailable(self) -> str | None:
        return super().unavailable() or _no_hierarchy(Path("/sys/fs/cgroup"))


def _no_hierarchy(cgroups: Path) -> str | None:
    """systemd looks for its hierarchy in three places, and gives up without (ENOMEDIUM)."""
    if (cgroups / "cgroup.controllers").exists():
        return None
    if any((cgroups / name / "cgroup.procs").exists() for name in HIERARCHIES):
        return None
    return (
        f"systemd-nspawn wants cgroup v2 or systemd's own hierarchy below {cgroups}; "
        "mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd"
    )

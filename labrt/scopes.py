"""A scope: a cgroup that systemd makes and leaves to us (systemd.scope(5), "Delegate=").

Where systemd runs, v2's hierarchy is its own, and who wants a cgroup asks
(https://systemd.io/CGROUP_DELEGATION/). A scope has a process from its beginning, so a placeholder
goes first, and stays until the container's own is there. In v2 no cgroup has both processes and
limited cgroups below it (cgroups(7)), so each gets a cgroup of its own in the scope:

    SLICE/UNIT               systemd's; it goes when its last process has ended
        placeholder          until the container's process is born
        container            the container's
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from labrt import cgroup_folders, paths
from labrt.cgroup_layout import layout
from labrt.errors import LabError
from labrt.step import Context, Step

if TYPE_CHECKING:
    import subprocess

CONTAINER = "container"
_PLACEHOLDER = "placeholder"
_GONE_SECONDS = 5.0  # systemd has to hear that a scope is empty, and to forget its unit


class Scope(NamedTuple):
    """A unit and the slice that it is in: "libpod-7.scope", "machine.slice"."""

    unit: str
    slice: str

    @property
    def cgroup(self) -> str:
        """Its path: a slice "a-b.slice" is below "a.slice" (systemd.slice(5))."""
        parts = self.slice.removesuffix(".slice").split("-")
        above = ["-".join(parts[: n + 1]) + ".slice" for n in range(len(parts))]
        return "/".join([*(above if any(parts) else ()), self.unit])


def of(cgroup: str) -> Scope:
    """Return the scope that a container's cgroup is in, by the cgroup's name."""
    *above, unit, _container = cgroup.split("/")
    return Scope(unit, above[-1] if above else "-.slice")


def unavailable() -> str | None:
    """Return why systemd can't be asked here, None if it can."""
    if not os.path.isdir("/run/systemd/system"):  # sd_booted(3)
        return "systemd doesn't run here"
    if layout().kind != "v2":
        return f"the lab does so on cgroup v2 alone, and this host's is {layout().kind}"
    return None if paths.is_hosts_root() else "the lab asks root's systemd alone, not a user's"


class StartScope(Step):
    side: ClassVar = "host"
    man: ClassVar = "systemd.scope(5)"
    reason: ClassVar = "where systemd runs, the cgroups above the container's are its own to make"
    vital: ClassVar = "there would be no cgroup to make the container's in"

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    def describe(self) -> str:
        return f"{' '.join(self._command())}, with a placeholder in it"

    def _command(self) -> list[str]:
        unit, slice = self.scope
        settings = [f"--unit={unit}", f"--slice={slice}", "--property=Delegate=yes"]
        return ["systemd-run", "--scope", "--quiet", "--collect", *settings]

    def _folder(self) -> Path:
        base = layout().unified
        assert base is not None, "refused where there is none"
        return base / self.scope.cgroup

    def do(self, context: Context) -> None:
        deadline = time.monotonic() + _GONE_SECONDS
        context.placeholder = process = _placed(self._command())
        while process.poll() is not None and time.monotonic() < deadline:
            time.sleep(0.05)  # one of this name has just ended, and isn't forgotten yet
            context.placeholder = process = _placed(self._command())
        if process.poll() is not None:
            assert process.stderr is not None
            answer = " ".join(process.stderr.read().decode().split())
            raise LabError(f"have systemd make {self.scope.unit}", answer)
        leaf = self._folder() / _PLACEHOLDER
        leaf.mkdir()
        paths.write(leaf / "cgroup.procs", str(process.pid))

    def undo(self, context: Context) -> None:
        """An empty scope goes by itself; the next of its name is told apart by waiting for that."""
        folder = self._folder()
        _end(context, folder)
        deadline = time.monotonic() + _GONE_SECONDS
        while folder.exists() and time.monotonic() < deadline:
            time.sleep(0.005)


class LeaveScope(Step):
    side: ClassVar = "host"
    man: ClassVar = "systemd.scope(5)"
    reason: ClassVar = "the container's own process keeps the scope from now on"

    def __init__(self, scope: Scope) -> None:
        self.start = StartScope(scope)

    def describe(self) -> str:
        return f"end the placeholder in {self.start.scope.unit}"

    def do(self, context: Context) -> None:
        _end(context, self.start._folder())


def _placed(command: list[str]) -> subprocess.Popen[bytes]:
    """Start what ends with our end of its pipe, and so with this process, whatever that comes to;
    return once it is in the scope, or has failed."""
    import subprocess  # seldom needed

    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen(
            [*command, "--", "sh", "-c", "echo; exec cat"], stdin=pipe, stdout=pipe, stderr=pipe
        )
    except FileNotFoundError:
        raise LabError("have systemd make a scope", "no program systemd-run") from None
    assert process.stdout is not None
    if not process.stdout.readline():
        process.wait()
    return process


def _end(context: Context, folder: Path) -> None:
    if process := context.placeholder:
        process.kill()
        process.communicate()
        context.placeholder = None
        cgroup_folders.remove(folder / _PLACEHOLDER)

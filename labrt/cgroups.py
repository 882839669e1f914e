"""Control groups: what a group of processes may use, and what it has used (cgroups(7)).

cgroup v2's file names are the only language spoken here: "memory.max", "cpu.max", "pids.max"
(https://docs.kernel.org/admin-guide/cgroup-v2.html). Where a controller lives in a v1 hierarchy,
`_V1` translates. The layout is read from /proc/self/mountinfo, never assumed; cgroups are made only
below a top-level one of the lab's own, `labrt`, in every hierarchy.

Lesson: notebooks 10 to 15.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar, Literal

from labrt import paths
from labrt.errors import LabError, errno_text
from labrt.step import Context, Step

TOP = "labrt"
CONTROLLERS = ("cpu", "memory", "pids")
KILL_SECONDS = 30.0

Kind = Literal["v2", "v1", "hybrid", "none"]


@dataclass(frozen=True)
class Layout:
    """Where this host's cgroups are.

    Attributes:
        kind: "v2" alone, "v1" alone, "hybrid" (both mounted), "none".
        v1: controller → mount point, for those in a v1 hierarchy.
        v2: controllers → mount point, for those in the unified hierarchy.
    """

    kind: Kind
    v1: dict[str, Path]
    v2: dict[str, Path]

    @property
    def controllers(self) -> dict[str, Path]:
        """Every controller found → the mount point of its hierarchy."""
        return self.v1 | self.v2


@cache
def layout() -> Layout:
    """Read the layout from /proc/self/mountinfo (proc(5)); hosts don't change it while they run."""
    v1: dict[str, Path] = {}
    v2: dict[str, Path] = {}
    unified = False
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        point = Path(before.split()[4])
        fstype, _source, options = after.split()[:3]
        if fstype == "cgroup":
            v1 |= {name: point for name in options.split(",") if name in CONTROLLERS}
        elif fstype == "cgroup2" and not unified:
            unified = True
            v2 = {name: point for name in (point / "cgroup.controllers").read_text().split()}
    kind: Kind = "hybrid" if v1 and unified else "v1" if v1 else "v2" if unified else "none"
    return Layout(kind, v1, v2)


def unavailable() -> str | None:
    """Return why the lab can't make cgroups here, with the remedy, or None if it can."""
    found = layout()
    missing = [name for name in CONTROLLERS if name not in found.controllers]
    if missing:
        return f"no cgroup controller {', '.join(missing)} on this host; mount it or enable it"
    for point in {found.controllers[name] for name in CONTROLLERS}:
        base = point / TOP
        if not os.access(base if base.exists() else point, os.W_OK):
            return f"uid {os.geteuid()} may not make cgroups below {point}; run as root"
    return None


def _v1_memory_max(value: str) -> dict[str, str]:
    return {"memory.limit_in_bytes": "-1" if value == "max" else value}


def _v1_cpu_max(value: str) -> dict[str, str]:
    quota, _, period = value.partition(" ")
    return {
        "cpu.cfs_period_us": period or "100000",
        "cpu.cfs_quota_us": "-1" if quota == "max" else quota,
    }


def _v1_pids_max(value: str) -> dict[str, str]:
    return {"pids.max": value}


# What each v2 file is called in a v1 hierarchy, and how its value is written there.
# https://docs.kernel.org/admin-guide/cgroup-v1/
_V1 = {"memory.max": _v1_memory_max, "cpu.max": _v1_cpu_max, "pids.max": _v1_pids_max}


@dataclass(frozen=True)
class MemoryUse:
    """Memory charged to a cgroup, bytes (memory.stat). `file` is page cache without tmpfs.

    `kernel` is None where the kernel doesn't tell it apart (v2 before Linux 5.18).
    """

    anon: int
    shmem: int
    kernel: int | None
    file: int
    current: int


@dataclass(frozen=True)
class Cgroup:
    """One cgroup: the same folder name in every hierarchy that holds one of its controllers."""

    name: str

    @staticmethod
    def create(name: str, limits: dict[str, str] | None = None) -> Cgroup:
        """Make the cgroup `labrt/…` and write its limits.

        Args:
            name: path below the hierarchy's root, beginning with "labrt/".
            limits: v2 file name → value.

        Raises:
            LabError: no controller for a limit, or the kernel refused; nothing is left behind.
        """
        if not name.startswith(f"{TOP}/"):
            raise ValueError(f"the lab's cgroups begin with {TOP}/, not {name!r}")
        cgroup = Cgroup(name)
        try:
            for point in cgroup._mount_points():
                _make(point, name)
            for file, value in (limits or {}).items():
                cgroup.write(file, value)
        except OSError as error:
            cgroup.remove()
            cause = unavailable() or ""
            raise LabError(f"make the cgroup {name}", errno_text(error), cause) from error
        except LabError:
            cgroup.remove()
            raise
        return cgroup

    def files(self, file: str, value: str) -> dict[Path, str]:
        """Return what writing the v2 `file` means on this host: path → value.

        Raises:
            LabError: this host has no controller for it.
        """
        controller = file.partition(".")[0]
        found = layout()
        if controller in found.v2 and controller in CONTROLLERS:  # those that _delegate hands down
            return {found.v2[controller] / self.name / file: value}
        if controller in found.v1 and file in _V1:
            folder = found.v1[controller] / self.name
            return {folder / v1_file: text for v1_file, text in _V1[file](value).items()}
        raise LabError(
            f"set {file}",
            f"the lab has no controller for it in this host's cgroup layout ({found.kind})",
            remedy="leave the limit out, or boot with the controller enabled",
        )

    def write(self, file: str, value: str) -> None:
        """Write a v2 control file (or its v1 equivalents).

        Raises:
            LabError: no such controller, or the kernel refused the value.
        """
        for path, text in self.files(file, value).items():
            try:
                paths.write(path, text)
            except OSError as error:
                raise LabError(
                    f"set {file} to {value!r}",
                    errno_text(error),
                    remedy="see cgroups(7) for the values it takes",
                ) from error

    def read(self, file: str) -> str:
        """Return the text of a control file by its name in this cgroup's own hierarchy."""
        folder = layout().controllers[file.partition(".")[0]] / self.name
        return (folder / file).read_text()

    def add(self, pid: int) -> None:
        """Move a process into the cgroup, in every hierarchy (cgroup.procs)."""
        for folder in self._folders():
            paths.write(folder / "cgroup.procs", str(pid))

    def pids(self) -> list[int]:
        """Return the pids in it, as this process's pid namespace numbers them."""
        found: set[int] = set()
        for folder in self._folders():
            try:
                found |= {int(pid) for pid in (folder / "cgroup.procs").read_text().split()}
            except FileNotFoundError:
                continue
        return sorted(found)

    def memory(self) -> MemoryUse:
        """Read what is charged to it now."""
        found = layout()
        folder = found.controllers["memory"] / self.name
        stat = _numbers(folder / "memory.stat")
        if "memory" in found.v2:
            return MemoryUse(
                anon=stat["anon"],
                shmem=stat["shmem"],
                kernel=stat.get("kernel"),
                file=stat["file"] - stat["shmem"],
                current=int((folder / "memory.current").read_text()),
            )
        return MemoryUse(
            anon=stat["total_rss"],
            shmem=stat["total_shmem"],
            kernel=int((folder / "memory.kmem.usage_in_bytes").read_text()),
            file=stat["total_cache"] - stat["total_shmem"],
            current=int((folder / "memory.usage_in_bytes").read_text()),
        )

    def kill(self) -> None:
        """Kill every process in it and wait, by pidfd, until all have ended.

        Raises:
            LabError: one still lives after `KILL_SECONDS`.
        """
        deadline = time.monotonic() + KILL_SECONDS
        while pids := self.pids():
            if time.monotonic() > deadline:
                raise LabError(
                    f"end the processes of the cgroup {self.name}",
                    f"process {pids[0]} still lives {KILL_SECONDS:g} s after SIGKILL",
                    "it hangs in the kernel, waiting for a device or a file server (state D)",
                    "mend what it waits for, then run ./lab clean",
                )
            for pidfd in [fd for fd in map(_pidfd_or_none, pids) if fd is not None]:
                try:
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                    _wait_readable(pidfd, 5.0)
                except ProcessLookupError:
                    pass  # it ended by itself meanwhile
                finally:
                    os.close(pidfd)

    def remove(self) -> None:
        """Remove its folders (rmdir(2)), killing what still runs in it; content to find none."""
        for folder in self._folders():
            if not _rmdir(folder):
                self.kill()
                _rmdir_patiently(folder)

    def exists(self) -> bool:
        return any(folder.exists() for folder in self._folders())

    def v2_folder(self) -> Path | None:
        """Its folder in the v2 hierarchy, or None where none of our controllers lives there."""
        points = [point for name, point in layout().v2.items() if name in CONTROLLERS]
        return points[0] / self.name if points else None

    def v1_folders(self) -> list[Path]:
        """Its folders in v1 hierarchies."""
        return [point / self.name for point in sorted(set(layout().v1.values()))]

    def _mount_points(self) -> list[Path]:
        found = layout()
        points = {found.controllers[name] for name in CONTROLLERS if name in found.controllers}
        return sorted(points)

    def _folders(self) -> list[Path]:
        return [point / self.name for point in self._mount_points()]


def all_cgroups() -> list[Cgroup]:
    """Return every cgroup directly below the lab's own, in any hierarchy."""
    names: set[str] = set()
    for point in set(layout().controllers.values()):
        top = point / TOP
        if top.is_dir():
            names |= {f"{TOP}/{entry.name}" for entry in top.iterdir() if entry.is_dir()}
    return [Cgroup(name) for name in sorted(names)]


def remove_top() -> None:
    """Remove the lab's own top-level cgroup where it is empty."""
    for point in set(layout().controllers.values()):
        try:
            (point / TOP).rmdir()
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EBUSY):
                raise


def _make(point: Path, name: str) -> None:
    """mkdir -p; in v2, hand the controllers down to each level (cgroup.subtree_control)."""
    folder = point
    for part in Path(name).parts:
        _delegate(folder)
        folder = folder / part
        folder.mkdir(exist_ok=folder.name == TOP)


def _delegate(folder: Path) -> None:
    control = folder / "cgroup.subtree_control"
    if not control.exists():
        return  # a v1 hierarchy
    missing = set(CONTROLLERS) - set(control.read_text().split())
    if missing:
        control.write_text(" ".join(f"+{name}" for name in sorted(missing)))


def _numbers(path: Path) -> dict[str, int]:
    return {key: int(value) for key, value in map(str.split, path.read_text().splitlines())}


def _pidfd_or_none(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


def _wait_readable(fd: int, timeout: float) -> bool:
    """Wait until a pidfd tells that its process has ended (pidfd_open(2))."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(timeout * 1000))


def _rmdir(folder: Path) -> bool:
    """Remove one folder; False if the kernel answers that it is in use."""
    try:
        os.rmdir(folder)
    except FileNotFoundError:
        pass
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return False
    return True


def _rmdir_patiently(folder: Path, timeout: float = 2.0) -> None:
    """For a moment after its last process has ended, a cgroup still counts as in use."""
    deadline = time.monotonic() + timeout
    while not _rmdir(folder):
        if time.monotonic() > deadline:
            raise LabError(f"remove the cgroup {folder}", "EBUSY: it is still in use", "", "retry")
        time.sleep(0.0005)


class CreateCgroup(Step):
    side: ClassVar = "host"
    man: ClassVar = "cgroups(7)"
    reason: ClassVar = "the kernel limits and accounts for a cgroup as one thing"

    def __init__(self, name: str) -> None:
        self.cgroup = Cgroup(name)

    def describe(self) -> str:
        points = ", ".join(str(folder) for folder in self.cgroup._folders())
        return f"mkdir {points}"

    def do(self, context: Context) -> None:
        Cgroup.create(self.cgroup.name)

    def undo(self, context: Context) -> None:
        self.cgroup.remove()


class SetLimit(Step):
    side: ClassVar = "host"
    man: ClassVar = "cgroups(7)"
    reason: ClassVar = "one container can't take the machine from the others"

    def __init__(self, cgroup: str, file: str, value: str) -> None:
        self.cgroup = Cgroup(cgroup)
        self.file = file
        self.value = value

    def describe(self) -> str:
        writes = self.cgroup.files(self.file, self.value)
        said = ", ".join(f"echo {value} > {path}" for path, value in writes.items())
        return f"{self.file} = {self.value}: {said}"

    def do(self, context: Context) -> None:
        self.cgroup.write(self.file, self.value)


class JoinV1Cgroup(Step):
    """The child moves itself: a single thread that writes its own id into `tasks` needs no lock
    against every fork of the machine. Moved by another process it waits some 15 ms for that lock.
    In v2 the child is born in its cgroup (`Clone`)."""

    side: ClassVar = "container"
    man: ClassVar = "cgroups(7)"
    reason: ClassVar = "limits hold from before the program's first instruction"

    def __init__(self, cgroup: str) -> None:
        self.files = [folder / "tasks" for folder in Cgroup(cgroup).v1_folders()]

    def describe(self) -> str:
        return f"echo 0 > {', '.join(map(str, self.files))}"

    def do(self, context: Context) -> None:
        for file in self.files:
            paths.write(file, "0")

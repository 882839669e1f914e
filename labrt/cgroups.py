"""Control groups: what a group of processes may use, and what it has used (cgroups(7)).

cgroup v2's file names are the only language spoken here: "memory.max", "cpu.max", "pids.max"
(https://docs.kernel.org/admin-guide/cgroup-v2.html). Where a controller lives in a v1 hierarchy,
`cgroup_v1` translates. The layout is read from /proc/self/mountinfo, never assumed. Cgroups are
made only below one of the lab's own, `labrt…`: at the top of every hierarchy, or, for a user
without root, in the highest cgroup above this process that the user may write (systemd delegates
it).

A v2 hierarchy that is mounted beside v1's ("hybrid") has few controllers or none, yet every cgroup
there can be frozen, killed and asked for its pressure and CPU time. So it is always used.

Lesson: notebooks 10 to 15.
"""

from __future__ import annotations

import errno
import os
import re
import select
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

from labrt import cgroup_v1, paths
from labrt.errors import LabError, errno_text
from labrt.step import Context, Step

TOP = "labrt"
CONTROLLERS = ("cpu", "memory", "pids", "io", "cpuset", "hugetlb")
KILL_SECONDS = 30.0
FREEZE_SECONDS = 10.0

Kind = Literal["v2", "v1", "hybrid", "none"]


@dataclass(frozen=True)
class Layout:
    """Where this host's cgroups are, as far as this user may make some there.

    Attributes:
        kind: "v2" alone, "v1" alone, "hybrid" (both mounted), "none".
        v1: controller, by v2's name → the folder that holds the lab's own, in v1 hierarchies.
        v2: the same for the controllers of the unified hierarchy.
        unified: that folder in the v2 hierarchy, whatever controllers it has; None without one.
        forbidden: a folder where this user may make none, "" if there is none such.
    """

    kind: Kind
    v1: dict[str, Path]
    v2: dict[str, Path]
    unified: Path | None
    forbidden: str = ""

    @property
    def controllers(self) -> dict[str, Path]:
        """Every controller of use → the folder that holds the lab's own."""
        return self.v1 | self.v2

    @property
    def folders(self) -> list[Path]:
        """One folder for each hierarchy, v2's first."""
        unified = [self.unified] if self.unified else []
        return unified + sorted(set(self.v1.values()))


class _Hierarchy(NamedTuple):
    controllers: list[str]  # by v1's name; empty for v2
    point: Path  # where it is mounted
    own: Path  # the cgroup of this process


@cache
def layout() -> Layout:
    """Read the layout from /proc/self (proc(5)); hosts don't change it while they run."""
    v1: dict[str, Path] = {}
    v2: dict[str, Path] = {}
    unified: Path | None = None
    forbidden = ""
    hierarchies = _hierarchies()
    for each in hierarchies:
        base = _base(each)
        if base is None:
            forbidden = str(each.point)
        elif each.controllers:
            v1 |= {cgroup_v1.CONTROLLERS.get(name, name): base for name in each.controllers}
        else:
            unified = base
            offered = (base / "cgroup.controllers").read_text().split()
            v2 = {name: base for name in CONTROLLERS if name in offered}
    return Layout(_kind(hierarchies), v1, v2, unified, forbidden)


def _kind(hierarchies: list[_Hierarchy]) -> Kind:
    versions = {"v1" if each.controllers else "v2" for each in hierarchies}
    if len(versions) == 2:
        return "hybrid"
    return "v1" if "v1" in versions else "v2" if versions else "none"


def top() -> str:
    """Return the name of the lab's own cgroup: another for each LAB_HOME, so that two labs on one
    host don't clean up each other's."""
    return f"{TOP}{paths.lab_suffix()}"


def own_folders() -> list[Path]:
    """Return the cgroup this process is in, in each hierarchy that the lab uses."""
    return [each.own for each in _hierarchies()]


def _hierarchies() -> list[_Hierarchy]:
    """Return the hierarchies that the lab uses, as /proc/self/mountinfo names them."""
    mine = _own_paths()
    found: dict[str, _Hierarchy] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        fstype, _source, options = after.split()[:3]
        names = [name for name in options.split(",") if name in mine] if fstype == "cgroup" else []
        if not names and fstype != "cgroup2":
            continue
        key = names[0] if names else ""
        root, point = before.split()[3:5]
        own = Path(point, os.path.relpath(mine.get(key, "/"), root))
        found.setdefault(key, _Hierarchy(names, Path(point), own))
    used = {*cgroup_v1.CONTROLLERS, *(() if "" in found else cgroup_v1.CORE)}
    kept = [each for each in found.values() if not each.controllers or used & {*each.controllers}]
    return [each._replace(controllers=[c for c in each.controllers if c in used]) for each in kept]


def _own_paths() -> dict[str, str]:
    """v1 controller, or "" for v2 → this process's cgroup (/proc/self/cgroup, cgroups(7))."""
    own: dict[str, str] = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _number, names, path = line.split(":", 2)
        own |= dict.fromkeys(names.split(","), path)
    return own


def _base(hierarchy: _Hierarchy) -> Path | None:
    """Return the highest cgroup, from the mount point down to this process's own, that this user
    may make cgroups in."""
    way = [hierarchy.own, *hierarchy.own.parents]
    below = [folder for folder in way if folder.is_relative_to(hierarchy.point)]
    return next(filter(_may_make_in, reversed(below)), None)


def _may_make_in(folder: Path) -> bool:
    files = [folder, folder / "cgroup.procs", folder / "cgroup.subtree_control"]
    return all(os.access(file, os.W_OK) for file in files if file.exists())


def unavailable() -> str | None:
    """Return why the lab can't make cgroups here, with the remedy, or None if it can."""
    found = layout()
    if found.kind == "none":
        return "no cgroups are mounted on this host; mount -t cgroup2 none /sys/fs/cgroup"
    if not found.controllers and found.forbidden:
        return f"uid {os.geteuid()} may not make cgroups below {found.forbidden}; {_delegation()}"
    if not found.controllers:
        return "no cgroup controller on this host; run as root on a host that enables some"
    return None


def _delegation() -> str:
    uid = os.geteuid()
    return f"run as root, or under systemd-run --user --scope where user@{uid}.service runs"


def refusal(limits: Mapping[str, str]) -> str | None:
    """Return why this host can't keep one of the limits, with the remedy, or None if it can.

    Args:
        limits: v2 file → value.
    """
    if reason := unavailable():
        return reason
    refused = ((file, _refused(file)) for file in limits)
    return next((f"{file}: {reason}" for file, reason in refused if reason), None)


def _refused(file: str) -> str | None:
    found = layout()
    controller = file.partition(".")[0]
    if not re.fullmatch(r"[a-z]+(\.\w+)+", file) or controller not in CONTROLLERS:
        return f"it is no file of the controllers {', '.join(CONTROLLERS)}; see cgroups(7)"
    if controller not in found.controllers:
        return (
            f"no controller {controller} for uid {os.geteuid()} here; run as root, or boot with it"
        )
    translation = cgroup_v1.translation(file)
    if controller in found.v1 and (translation is None or translation.write is None):
        return "cgroup v1, where this host has the controller, has nothing like it; boot with v2"
    if file == "io.weight" and not _bfq() and not _iocost():
        return "no disk of this host heeds weights; echo bfq > /sys/block/DISK/queue/scheduler"
    _make_top()
    for path in Cgroup(top())._paths(file):
        if not path.exists() or not path.stat().st_mode & 0o200:
            return f"this kernel has no {path.name} to write; leave the limit out"
    return None


def _bfq() -> bool:
    """Whether a disk's scheduler is bfq, which heeds weights (bfq-iosched.rst)."""
    schedulers = Path("/sys/block").glob("*/queue/scheduler")
    return any("[bfq]" in file.read_text() for file in schedulers)


def _iocost() -> bool:
    """Whether io.cost, which heeds weights, is switched on for a disk (cgroup-v2.rst)."""
    file = (layout().unified or Path()) / "io.cost.qos"
    return file.exists() and "enable=1" in file.read_text()


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
    """One cgroup: the same folder name in every hierarchy that the lab uses."""

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
        if not name.startswith(TOP):
            raise ValueError(f"the lab's cgroups begin with {TOP}, not {name!r}")
        if reason := unavailable():
            raise LabError(f"make the cgroup {name}", reason)
        cgroup = Cgroup(name)
        try:
            for base in layout().folders:
                _make(base, name)
            for file, value in (limits or {}).items():
                cgroup.write(file, value)
        except OSError as error:
            cgroup.remove()
            raise LabError(f"make the cgroup {name}", errno_text(error)) from error
        except LabError:
            cgroup.remove()
            raise
        return cgroup

    def files(self, file: str, value: str) -> dict[Path, str]:
        """Return what writing the v2 `file` means on this host: path → value.

        Raises:
            LabError: this host has no controller for it.
        """
        return dict(self._writes(file, value))

    def write(self, file: str, value: str) -> None:
        """Write a v2 control file (or its v1 equivalents), each line of the value on its own.

        Raises:
            LabError: no such controller, or the kernel refused the value.
        """
        try:
            for line in value.splitlines() or [""]:
                for path, text in self._writes(file, line):
                    paths.write(path, text or "\n")
        except (OSError, ValueError) as error:
            raise LabError(
                f"set {file} to {value!r}",
                errno_text(error) if isinstance(error, OSError) else str(error),
                remedy="see cgroups(7) for the values it takes",
            ) from error

    def read(self, file: str) -> str:
        """Return the text of a v2 control file, translated where it lies in v1.

        Raises:
            LabError: this host has no controller for it.
            OSError: the kernel hasn't got the file.
        """
        if path := self._v2_path(file):
            return path.read_text()
        return self._translation(file).read(self._folders_by_controller())

    def update(self, limits: Mapping[str, str]) -> None:
        """Change limits while its processes run: all of them, or none.

        A memory limit below what is in use makes v2's kernel reclaim, then kill; v1's refuses.

        Raises:
            LabError: this host can't keep one, or the kernel refused it; those written before are
                put back.
        """
        if reason := refusal(limits):
            raise LabError(f"limit {', '.join(limits)}", reason)
        before: list[tuple[str, str]] = []
        try:
            for file, value in limits.items():
                before.append((file, _undoing(file, value, self.read(file).strip())))
                self.write(file, value)
        except LabError:
            for file, value in reversed(before):
                self.write(file, value)
            raise

    def add(self, pid: int) -> None:
        """Move a process into the cgroup, in every hierarchy (cgroup.procs)."""
        for folder in self._folders():
            paths.write(folder / "cgroup.procs", str(pid))

    def processes(self) -> list[int]:
        """Return the pids in it and in the cgroups below it, as this process's pid namespace
        numbers them."""
        below = [inner for folder in self._folders() for inner in _tree(folder)]
        return sorted({pid for folder in below for pid in _pids(folder)})

    pids = processes

    def memory(self) -> MemoryUse:
        """Read what is charged to it now."""
        stat = cgroup_v1.numbers(self.read("memory.stat"))
        return MemoryUse(
            anon=stat["anon"],
            shmem=stat["shmem"],
            kernel=stat.get("kernel"),
            file=stat["file"] - stat["shmem"],
            current=int(self.read("memory.current")),
        )

    def oom_kills(self) -> int:
        """Return how many of its processes the kernel has killed for want of memory."""
        try:
            return cgroup_v1.numbers(self.read("memory.events"))["oom_kill"]
        except (OSError, LabError):
            return 0  # no such cgroup, no memory controller

    def freeze(self) -> None:
        """Stop all its processes where they are (cgroup.freeze); wait until they stand.

        Raises:
            LabError: one didn't within `FREEZE_SECONDS`; then they go on.
        """
        self.write("cgroup.freeze", "1")
        deadline = time.monotonic() + FREEZE_SECONDS
        while not self.frozen():
            if time.monotonic() > deadline:
                self.thaw()
                raise LabError(
                    f"freeze the cgroup {self.name}",
                    f"a process of it still runs after {FREEZE_SECONDS:g} s",
                    "it hangs in the kernel, waiting for a device or a file server (state D)",
                )
            time.sleep(0.001)  # v1 has no event to wait for; it takes some microseconds

    def thaw(self) -> None:
        """Let its processes go on."""
        self.write("cgroup.freeze", "0")

    def frozen(self) -> bool:
        return "frozen 1" in self.read("cgroup.events").splitlines()

    def kill(self) -> None:
        """Kill every process in it, frozen or not, and wait, by pidfd, until all have ended.

        Raises:
            LabError: one still lives after `KILL_SECONDS`.
        """
        deadline = time.monotonic() + KILL_SECONDS
        while pids := self.processes():
            if time.monotonic() > deadline:
                raise LabError(
                    f"end the processes of the cgroup {self.name}",
                    f"process {pids[0]} still lives {KILL_SECONDS:g} s after SIGKILL",
                    "it hangs in the kernel, waiting for a device or a file server (state D)",
                    "mend what it waits for, then run ./lab clean",
                )
            self._kill_at_once()
            _kill_each(pids, self._thaw_v1)

    def _kill_at_once(self) -> None:
        """cgroup.kill (Linux 5.14): no fork can outrun it."""
        if path := self._v2_path("cgroup.kill"):
            try:
                paths.write(path, "1")
            except OSError:
                pass  # an older kernel, or it is gone; they are killed one by one

    def _thaw_v1(self) -> None:
        """What v1's freezer holds doesn't even die."""
        if "freezer" in layout().v1:
            try:
                self.thaw()
            except LabError:
                pass  # it is gone

    def remove(self) -> None:
        """Remove its folders and those below (rmdir(2)), killing what still runs there; content to
        find none."""
        for folder in self._folders():
            if not _rmdir(folder):
                self.kill()
                for inner in _tree(folder):
                    _rmdir_patiently(inner)

    def exists(self) -> bool:
        return any(folder.exists() for folder in self._folders())

    def birth_folder(self) -> Path | None:
        """Its folder in the v2 hierarchy, where clone3(2) can put a child; None where there is no
        such hierarchy."""
        unified = layout().unified
        return unified / self.name if unified else None

    def v2_folder(self) -> Path | None:
        """Its folder in the v2 hierarchy, or None where no controller of processes lives there."""
        return self.birth_folder() if {"cpu", "memory", "pids"} & set(layout().v2) else None

    def v1_folders(self) -> list[Path]:
        """Its folders in v1 hierarchies."""
        return [base / self.name for base in sorted(set(layout().v1.values()))]

    def _folders(self) -> list[Path]:
        return [base / self.name for base in layout().folders]

    def _folders_by_controller(self) -> dict[str, Path]:
        found = layout()
        unified = {"unified": found.unified} if found.unified else {}
        return {name: base / self.name for name, base in (found.controllers | unified).items()}

    def _v2_path(self, file: str) -> Path | None:
        """Where v2 has the file, None if its controller lives in v1 or nowhere."""
        found = layout()
        in_every = file.startswith("cgroup.") or file.endswith(".pressure")
        if found.unified and (in_every or file.partition(".")[0] in found.v2):
            name = "io.bfq.weight" if file == "io.weight" and _bfq() else file
            return found.unified / self.name / name
        return None

    def _translation(self, file: str) -> cgroup_v1.Translation:
        found = cgroup_v1.translation(file)
        if found is None or found.controller not in layout().v1:
            raise LabError(
                f"set {file}",
                f"the lab has no controller for it in this host's cgroup layout ({layout().kind})",
                remedy="leave the limit out, or boot with the controller enabled",
            )
        return found

    def _paths(self, file: str) -> list[Path]:
        if path := self._v2_path(file):
            return [path]
        found = self._translation(file)
        return [layout().v1[found.controller] / self.name / name for name in found.files]

    def _writes(self, file: str, value: str) -> list[tuple[Path, str]]:
        if path := self._v2_path(file):
            return [(path, value)]
        found = self._translation(file)
        folders = self._folders_by_controller()
        writes = found.write(folders, value) if found.write else []
        return [(folders[found.controller] / name, text) for name, text in writes]


def all_cgroups() -> list[Cgroup]:
    """Return every cgroup directly below the lab's own, in any hierarchy."""
    tops = [base / top() for base in layout().folders]
    entries = [entry for top in tops if top.is_dir() for entry in top.iterdir() if entry.is_dir()]
    return [Cgroup(name) for name in sorted({f"{top()}/{entry.name}" for entry in entries})]


def remove_top() -> None:
    """Remove the lab's own top-level cgroup where it is empty."""
    for base in layout().folders:
        try:
            (base / top()).rmdir()
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EBUSY):
                raise


def _make_top() -> None:
    for base in layout().folders:
        _make(base, top())


def _make(base: Path, name: str) -> None:
    """mkdir -p; in v2, hand the controllers down to each level (cgroup.subtree_control)."""
    folder = base
    for part in Path(name).parts:
        _delegate(folder)
        folder = folder / part
        folder.mkdir(exist_ok="/" not in name or folder != base / name)
    if base == layout().v1.get("cpuset"):
        _fill_cpuset(folder)


def _delegate(folder: Path) -> None:
    control = folder / "cgroup.subtree_control"
    if not control.exists():
        return  # a v1 hierarchy
    missing = set(layout().v2) - set(control.read_text().split())
    if not missing:
        return
    text = " ".join(f"+{name}" for name in sorted(missing))
    try:
        paths.write(control, text)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        _vacate(folder)
        paths.write(control, text)


def _vacate(folder: Path) -> None:
    """Move its processes into a leaf: in v2, only a cgroup without processes of its own can limit
    those below it (cgroups(7), "no internal processes")."""
    leaf = folder / f"{TOP}-leaf"
    leaf.mkdir(exist_ok=True)
    for pid in _pids(folder):
        try:
            paths.write(leaf / "cgroup.procs", str(pid))
        except ProcessLookupError:
            pass  # it ended meanwhile


def _fill_cpuset(folder: Path) -> None:
    """v1 lets no process into a cpuset that names no CPU: give it its parent's, and have the kernel
    give them to those made below (cgroup.clone_children)."""
    if (folder / "cpuset.cpus").read_text().strip():
        return
    _fill_cpuset(folder.parent)
    for file in ("cpuset.cpus", "cpuset.mems"):
        paths.write(folder / file, (folder.parent / file).read_text())
    paths.write(folder / "cgroup.clone_children", "1")


def _undoing(file: str, value: str, before: str) -> str:
    """Return what to write to have `before` again; io.max needs it for each device of `value`."""
    if file != "io.max":
        return before
    devices = [line.split()[0] for line in value.splitlines() if line]
    return "\n".join([f"{dev} rbps=max wbps=max riops=max wiops=max" for dev in devices] + [before])


def _tree(folder: Path) -> list[Path]:
    """Return the cgroup's folder, after all those below it: rmdir(2) takes them in this order."""
    try:
        with os.scandir(folder) as entries:
            below = [Path(entry.path) for entry in entries if entry.is_dir()]
    except FileNotFoundError:
        return []
    return [inner for each in below for inner in _tree(each)] + [folder]


def _pids(folder: Path) -> list[int]:
    try:
        return [int(pid) for pid in (folder / "cgroup.procs").read_text().split()]
    except FileNotFoundError:
        return []
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:  # a threaded cgroup: its processes count above it
            raise
        return []


def _kill_each(pids: list[int], let_die: Callable[[], None]) -> None:
    pidfds = [fd for fd in map(_pidfd_or_none, pids) if fd is not None]
    try:
        for pidfd in pidfds:
            try:
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it ended by itself meanwhile
        let_die()
        for pidfd in pidfds:
            _wait_readable(pidfd, 5.0)
    finally:
        for pidfd in pidfds:
            os.close(pidfd)


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
    vital: ClassVar = "there would be no cgroup to be born in"

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
        where = ", ".join(map(str, self.cgroup._paths(self.file)))
        return f"{self.file} = {self.value}, in {where}"

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

"""Control groups: what a group of processes may use, and what it has used (cgroups(7)).

cgroup v2's file names are the only language spoken here: "memory.max", "cpu.max", "pids.max"
(https://docs.kernel.org/admin-guide/cgroup-v2.html). Where a controller lives in a v1 hierarchy,
`cgroup_v1` translates; `cgroup_layout` tells where.

Lesson: notebooks 10 to 15.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import ClassVar

from labrt import cgroup_folders as folders
from labrt import cgroup_v1, paths
from labrt.calls import Call, write
from labrt.cgroup_layout import (
    CONTROLLERS,
    TOP,
    Layout,
    every_base,
    layout,
    own_folders,
    top,
    unavailable,
)
from labrt.errors import LabError, errno_text
from labrt.step import Context, Step

__all__ = ["CONTROLLERS", "TOP", "Layout", "layout", "own_folders", "top", "unavailable"]

PROBE = "probe-"  # followed by the pid of who asks the kernel by it
KILL_SECONDS = 30.0
FREEZE_SECONDS = 10.0


def refusal(limits: Mapping[str, str]) -> str | None:
    """Return why this host can't keep one of the limits, with the remedy, or None if it can.

    Args:
        limits: v2 file → value.
    """
    return uncontrolled(limits) or _missing(tuple(limits))


def uncontrolled(limits: Mapping[str, str]) -> str | None:
    """Return the same as far as the controllers tell it. Whether the kernel has each file is asked
    by making a cgroup, which takes as long as making the one that is wanted."""
    if reason := unavailable():
        return reason
    refused = ((file, _refused(file)) for file in limits)
    return next((f"{file}: {reason}" for file, reason in refused if reason), None)


def _refused(file: str) -> str | None:
    found = layout()
    controller = file.partition(".")[0]
    parts = file.replace("_", "").split(".")
    if not all(part.isalnum() for part in parts) or controller not in CONTROLLERS or not parts[1:]:
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
    return None


@cache
def _missing(files: tuple[str, ...]) -> str | None:
    """Whether this kernel lacks one of the files is asked of a cgroup made for them, once."""
    cgroup = Cgroup.create(f"{top()}/{PROBE}{os.getpid()}-{os.urandom(4).hex()}")
    try:
        lacking = (
            f"{file}: this kernel has no {path.name} to write; leave the limit out"
            for file in files
            for path in cgroup.paths_of(file)
            if not path.exists() or not path.stat().st_mode & 0o200
        )
        return next(lacking, None)
    finally:
        cgroup.remove()
        remove_top()


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
    def create(name: str, limits: dict[str, str] | None = None, elsewhere: bool = False) -> Cgroup:
        """Make the cgroup `labrt/…` and write its limits.

        Args:
            name: path below the hierarchy's root, beginning with "labrt".
            limits: v2 file name → value.
            elsewhere: it need not be one of the lab's own: an engine has chosen the name.

        Raises:
            LabError: no controller for a limit, or the kernel refused; nothing is left behind.
        """
        if not elsewhere and not name.startswith(TOP):
            raise ValueError(f"the lab's cgroups begin with {TOP}, not {name!r}")
        if reason := unavailable():
            raise LabError(f"make the cgroup {name}", reason)
        cgroup = Cgroup(name)
        try:
            cgroup._make()
            for file, value in (limits or {}).items():
                cgroup.write(file, value)
        except OSError as error:
            cgroup.remove()
            raise LabError(f"make the cgroup {name}", errno_text(error)) from error
        except LabError:
            cgroup.remove()
            raise
        return cgroup

    def _make(self) -> None:
        found, unified = layout(), self.birth_folder()
        # In a cgroup that isn't the lab's, the processes are others'.
        ours = self.name.startswith(TOP)
        for folder in self._folders():
            folders.make(folder, found.v2 if folder == unified else (), vacate=ours)
        if "cpuset" in found.v1:
            folders.fill_cpuset(_places(self.name)["cpuset"])

    def files(self, file: str, value: str) -> dict[Path, str]:
        """Return what writing one line into the v2 `file` means on this host: path → text.

        Raises:
            LabError: this host has no controller for it.
        """
        if path := self._v2_path(file):
            return {path: value}
        found, at = self._translation(file), _places(self.name)
        writes = found.write(at, value) if found.write else []
        return {at[found.controller] / name: text for name, text in writes}

    def write(self, file: str, value: str) -> None:
        """Write a v2 control file (or its v1 equivalents), each line of the value on its own.

        Raises:
            LabError: no such controller, or the kernel refused the value.
        """
        try:
            for line in value.splitlines() or [""]:
                for path, text in self.files(file, line).items():
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
        return self._translation(file).read(_places(self.name))

    def paths_of(self, file: str) -> list[Path]:
        """Return the files of this host that the v2 `file` is, or is made of.

        Raises:
            LabError: this host has no controller for it.
        """
        if path := self._v2_path(file):
            return [path]
        found = self._translation(file)
        return [layout().v1[found.controller] / self.name / name for name in found.files]

    def update(self, limits: Mapping[str, str]) -> None:
        """Change limits while its processes run: all of them, or none.

        A memory limit below what is in use makes v2's kernel reclaim, then kill; v1's refuses.

        Raises:
            LabError: this host can't keep one, or the kernel refused it; those written before are
                put back.
        """
        if limits and (reason := refusal(limits)):
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
        below = [inner for folder in self._folders() for inner in folders.tree(folder)]
        return sorted({pid for folder in below for pid in folders.processes(folder)})

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
        """Whether its processes are stopped; not so where the host has no freezer."""
        try:
            return "frozen 1" in self.read("cgroup.events").splitlines()
        except (FileNotFoundError, LabError):
            return False

    def kill(self) -> None:
        """Kill every process in it, frozen or not, and wait until all have ended.

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
            for pid in pids:
                _kill(pid)
            self._thaw_v1()
            time.sleep(0.001)  # v1 tells nobody that a cgroup is empty

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
        """Remove its folders and those below, killing what still runs there; content to find
        none."""
        for folder in self._folders():
            try:
                folders.remove(folder, patience=0)
            except LabError:
                self.kill()
                for inner in folders.tree(folder):
                    folders.remove(inner)

    def exists(self) -> bool:
        return any(folder.exists() for folder in self._folders())

    def birth_folder(self) -> Path | None:
        """Its folder in the v2 hierarchy, where clone3(2) can put a child; None where there is no
        such hierarchy."""
        return _places(self.name).get("unified")

    def v1_folders(self) -> list[Path]:
        """Its folders in v1 hierarchies."""
        return [folder for folder in self._folders() if folder != self.birth_folder()]

    def _folders(self) -> list[Path]:
        return list(dict.fromkeys(_places(self.name).values()))

    def _v2_path(self, file: str) -> Path | None:
        """Where v2 has the file, None if its controller lives in v1 or nowhere."""
        found = layout()
        in_every = file.startswith("cgroup.") or file.endswith(".pressure")
        if found.unified and (in_every or file.partition(".")[0] in found.v2):
            name = "io.bfq.weight" if file == "io.weight" and _bfq() else file
            return _places(self.name)["unified"] / name
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


@lru_cache(maxsize=256)  # a start asks a dozen times, and a path is slow to make
def _places(name: str) -> dict[str, Path]:
    """Return a cgroup's folder in the v2 hierarchy, as "unified", and for each controller."""
    found = layout()
    unified = {"unified": found.unified} if found.unified else {}
    bases = {key: str(base) for key, base in (unified | found.controllers).items()}
    made = {base: Path(f"{base}/{name}") for base in bases.values()}
    return {key: made[base] for key, base in bases.items()}


def all_cgroups() -> list[Cgroup]:
    """Return every cgroup directly below the lab's own, in any hierarchy."""
    names = {name for base in layout().folders for name in _below(base / top())}
    return [Cgroup(f"{top()}/{name}") for name in sorted(names)]


def _below(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if entry.is_dir()]
    except FileNotFoundError:
        return []  # not made yet, or its last user has just removed it


def remove_top() -> None:
    """Remove the lab's own top-level cgroup where it is empty, and this user has one."""
    if unavailable():
        return
    for base in every_base():
        try:
            (base / top()).rmdir()
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EBUSY):
                raise


def _undoing(file: str, value: str, before: str) -> str:
    """Return what to write to have `before` again; io.max needs it for each device of `value`."""
    if file != "io.max":
        return before
    devices = [line.split()[0] for line in value.splitlines() if line]
    return "\n".join([f"{dev} rbps=max wbps=max riops=max wiops=max" for dev in devices] + [before])


def _kill(pid: int) -> None:
    if pid == 0:
        return  # in a pid namespace that we don't see; and to kill(2), 0 means ourselves
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it ended by itself meanwhile


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
        Cgroup.create(self.cgroup.name, elsewhere=True)

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
        where = ", ".join(map(str, self.cgroup.paths_of(self.file)))
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
        self.files = [f"{folder}/tasks" for folder in Cgroup(cgroup).v1_folders()]

    def describe(self) -> str:
        return f"echo 0 > {', '.join(self.files)}"

    def calls(self, context: Context) -> list[Call]:
        return [each for file in self.files for each in write(file, b"0")]

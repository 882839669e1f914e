"""The container's folder on the host: its declared form, its writable layer, its lock, its fate.

    LAB_HOME/names/NAME     a link to the container's id, which makes the name its own
    LAB_HOME/containers/ID/
        record      {"owner": pid, "spec": …}, locked (flock(2)) by the process that owns the
                    container for as long as it lives. The recipe, and so every undo, follows from
                    the spec
        status      what can't be asked of the kernel: when it started, as which process, how it
                    ended
        log         what a detached container wrote
        upper/      what the container changed (the overlay's upper layer)
        work/       overlayfs's own
        merged/     where the root is mounted, in the container's mount namespace only

Whether an owner still lives is asked of the kernel: a lock that can be taken has none. Whether a
container runs, too: its first process is known by its pid and its start time, in this boot.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import ClassVar, Literal

from labrt import events, paths
from labrt.errors import LabError
from labrt.spec import Spec
from labrt.step import Context, Step

State = Literal["created", "running", "exited"]


def containers_dir() -> Path:
    return paths.home() / "containers"


def names_dir() -> Path:
    return paths.home() / "names"


@dataclass(frozen=True)
class Record:
    """What a container's folder tells: the pid of its owner, dead or alive, and its spec."""

    owner: int
    spec: Spec


@dataclass(frozen=True)
class Status:
    """How a container fares.

    Attributes:
        pid: host pid of its first process, 0 before the first start.
        birth: that process's start time, clock ticks since boot (proc_pid_stat(5)); with the pid
            and the boot it names one process for ever.
        boot: id of the boot it was started in (/proc/sys/kernel/random/boot_id).
        started, finished: seconds since the epoch; 0.0 for not yet.
        exit_code: None while it runs, and if nobody was there to learn it.
        oom_killed: whether its memory limit killed a process of it.
        restarts: how often it was started again by its restart policy.
        stopping: somebody asked for its end; its restart policy doesn't hold.
        health: "", "starting", "healthy" or "unhealthy".
        resources: its limits, if they were changed since it was started last; else None.
    """

    pid: int = 0
    birth: int = 0
    boot: str = ""
    started: float = 0.0
    finished: float = 0.0
    exit_code: int | None = None
    oom_killed: bool = False
    restarts: int = 0
    stopping: bool = False
    health: str = ""
    resources: dict[str, str] | None = None

    @property
    def state(self) -> State:
        if not self.pid:
            return "created"
        alive = not self.finished and self.boot == boot_id() and birth(self.pid) == self.birth
        return "running" if alive else "exited"


@cache
def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def birth(pid: int) -> int:
    """Return a process's start time in clock ticks since boot, 0 if it is no more or a zombie."""
    try:
        text = paths.read(f"/proc/{pid}/stat")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    fields = text.rpartition(")")[2].split()  # the name before it may hold anything
    return 0 if fields[0] in "ZX" else int(fields[19])


def try_lock(folder: Path) -> int | None:
    """Take a container's lock; return its descriptor, or None while an owner lives.

    Raises:
        FileNotFoundError: the folder is gone.
    """
    lock = lock_file(folder / "record", wait=False)
    if lock is not None and not os.fstat(lock).st_nlink:  # removed since it was opened
        os.close(lock)
        raise FileNotFoundError(folder)
    return lock


def has_owner(folder: Path) -> bool:
    """Whether some process owns the container, and so will note its end."""
    try:
        lock = try_lock(folder)
    except FileNotFoundError:
        return False
    if lock is not None:
        os.close(lock)
    return lock is None


def lock_file(file: Path, wait: bool = True) -> int | None:
    """Lock a file, made where it is missing; return its descriptor, which holds the lock. None
    where another has it and `wait` is false."""
    try:
        return paths.lock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return None


def own(lock: int, spec: Spec) -> None:
    """Write into a locked record whose it is from now on: this process's."""
    text = json.dumps(Record(os.getpid(), spec), default=vars).encode()
    os.pwrite(lock, text, 0)
    os.ftruncate(lock, len(text))


def read_record(folder: Path) -> Record | None:
    """Return a container's record, or None where its owner died before it was whole."""
    try:
        data = json.loads((folder / "record").read_text())
        return Record(data["owner"], Spec.from_json(data["spec"]))
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None


def read_status(folder: Path) -> Status:
    """Return how a container fares; a folder without a status is one never started."""
    try:
        return Status(**json.loads((folder / "status").read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return Status()


def limited(spec: Spec, status: Status) -> Spec:
    """Return the spec with the limits that the container was given since."""
    return spec if status.resources is None else replace(spec, resources=status.resources)


def write_status(folder: Path, status: Status) -> None:
    """Write the status; content to find the folder gone."""
    try:
        paths.write_whole(folder / "status", json.dumps(vars(status)).encode())
    except FileNotFoundError:
        pass  # removed meanwhile


def update_status(folder: Path, **changes: object) -> Status:
    """Change some of the status; return all of it."""
    status = replace(read_status(folder), **changes)  # type: ignore[arg-type]
    write_status(folder, status)
    return status


def aside(folder: Path) -> Path:
    """Return where this process has a container's folder while it comes and goes: others find it
    whole and locked, or not at all (rename(2))."""
    return folder.with_name(f".new-{folder.name}.{os.getpid()}")


def remove_half_made() -> None:
    """Remove what processes that were killed have left of containers' folders, beside their places.
    Who does it has it under a name of its own: two may want to at once."""
    parent = containers_dir()
    for name in os.listdir(parent) if parent.exists() else ():
        pid = name.rpartition(".")[2]
        if not (name.startswith(".new-") and pid.isdecimal()) or os.path.exists(f"/proc/{pid}"):
            continue
        ours = parent / f".new-{os.urandom(8).hex()}.{os.getpid()}"
        try:
            os.rename(parent / name, ours)
        except FileNotFoundError:
            continue  # somebody else does
        remove_tree(ours)


def folders() -> list[Path]:
    """Return the folder of every container of this LAB_HOME, oldest first."""
    parent = containers_dir()
    return sorted(parent.glob("[!.]*/"), key=_made)


def _made(folder: Path) -> float:
    try:
        return folder.stat().st_ctime
    except FileNotFoundError:
        return 0.0


def find(name: str) -> Path:
    """Return a container's folder by its name, its id, or the id's unique beginning.

    Raises:
        LabError: there is none of this name, or more than one.
    """
    link = names_dir() / name
    if "/" not in name and link.is_symlink():
        return containers_dir() / link.readlink()
    known = [
        folder
        for folder in folders()
        if name and (folder.name.startswith(name) or folder.name.startswith(f"lab-{name}"))
    ]
    if len(known) == 1:
        return known[0]
    answer = "several begin like this" if known else "there is none of this name"
    raise LabError(f"find the container {name!r}", answer, remedy="labrt ps -a lists them")


def running(name: str) -> tuple[Spec, Status]:
    """Return a running container's spec and status.

    Raises:
        LabError: there is none of this name, or it doesn't run.
    """
    folder = find(name)
    record, status = read_record(folder), read_status(folder)
    if record is None or status.state != "running":
        raise LabError(f"reach into the container {name!r}", f"it is {status.state}, not running")
    return record.spec, status


def first_pid(name: str) -> int:
    """Return the host pid of a running container's first process, or with --init its program's.

    Raises:
        LabError: none of this name runs.
    """
    return open_pid(*running(name))


def open_pid(spec: Spec, status: Status) -> int:
    """Return the host pid by whose /proc/PID/ns a running container can be entered. With --init
    that is a child of the first process, for nobody may look into that one (`ShieldProcess`).

    Raises:
        LabError: its program has just ended.
    """
    if not spec.init:
        return status.pid
    try:
        children = paths.read(f"/proc/{status.pid}/task/{status.pid}/children").split()
    except (FileNotFoundError, ProcessLookupError):
        children = []
    if not children:
        raise LabError(f"reach into the container {spec.life.name!r}", "its program has ended")
    return int(children[0])


@contextmanager
def first_process(folder: Path) -> Iterator[int | None]:
    """A pidfd of a container's first process, None if it has none; for the time of the block."""
    status = read_status(folder)
    try:
        pidfd = os.pidfd_open(status.pid) if status.pid else -1
    except ProcessLookupError:
        pidfd = -1
    try:
        # Asked after it was opened: from then on the pid can't become another's.
        yield pidfd if pidfd >= 0 and status.state == "running" else None
    except ProcessLookupError:
        pass  # it ended within the block
    finally:
        if pidfd >= 0:
            os.close(pidfd)


def noted_exit(folder: Path) -> int | None:
    """Return the exit code of a container that has ended, also if it is removed since."""
    if folder.exists():
        return read_status(folder).exit_code
    ends = [one for one in events.past() if one["id"] == folder.name and one["event"] == "die"]
    return ends[-1]["exit_code"] if ends else None


def remove_tree(folder: str | os.PathLike[str]) -> None:
    """Remove a folder and all in it, following no link, whoever of a container's users owns it.

    Only for folders that no living process changes: a container's after its last process.

    Raises:
        LabError or PermissionError: something in it belongs to a user outside the map.
    """
    from labrt import mapped  # here: most who look at containers remove none

    try:
        mapped.remove_tree(folder)
    except PermissionError:
        if not mapped.has_range():
            raise
        mapped.remove(folder)


class CreateStateDir(Step):
    side: ClassVar = "host"
    man: ClassVar = "flock(2)"
    reason: ClassVar = "the writable layer, and what clean-up needs after a crash"
    vital: ClassVar = "nothing could be mounted, and after a crash nobody would know of it"
    keeps: ClassVar = True

    def __init__(self, spec: Spec) -> None:
        self.folder = Path(spec.state_dir)
        self.aside = aside(self.folder)
        # A bundle's root file system is itself where it changes.
        self.inner = () if spec.root.path else ("upper", "work", "merged")

    def describe(self) -> str:
        inner = f" with {', '.join(self.inner)}" if self.inner else ""
        return f"mkdir {self.folder}{inner}; lock it"

    def do(self, context: Context) -> None:
        paths.make_passable(self.aside)
        lock = try_lock(self.aside)
        assert lock is not None, "nobody else knows this folder yet"
        context.lock = lock
        own(lock, context.spec)
        for name in self.inner:
            self._make(f"{self.aside}/{name}", context.spec)
        os.rename(self.aside, self.folder)

    def _make(self, folder: str, spec: Spec) -> None:
        """The upper layer's owner is the owner of the container's "/": its root."""
        os.mkdir(folder)
        os.chmod(folder, 0o755)
        if os.geteuid() == 0 and spec.uid_mappings:
            os.chown(folder, spec.uid_mappings[0].host_id, spec.gid_mappings[0].host_id)

    def undo(self, context: Context) -> None:
        if self.folder.exists():
            os.rename(self.folder, self.aside)
        if self.aside.exists():
            remove_tree(self.aside)
        if context.lock >= 0:
            os.close(context.lock)
            context.lock = -1


class ClaimName(Step):
    side: ClassVar = "host"
    man: ClassVar = "symlink(2)"
    reason: ClassVar = "one name, one container: the kernel lets only one process make the link"
    keeps: ClassVar = True

    def __init__(self, name: str, container_id: str) -> None:
        self.link = names_dir() / name
        self.id = container_id

    def describe(self) -> str:
        return f"link {self.link} to {self.id}"

    def do(self, context: Context) -> None:
        paths.make_passable(self.link.parent)
        try:
            os.symlink(self.id, self.link)
        except FileExistsError:
            holder = os.readlink(self.link)
            if (containers_dir() / holder).exists():
                raise LabError(
                    f"call the container {self.link.name!r}",
                    f"{holder} has that name",
                    remedy=f"choose another, or labrt rm {self.link.name}",
                ) from None
            os.unlink(self.link)  # its container is gone
            os.symlink(self.id, self.link)

    def undo(self, context: Context) -> None:
        if self.link.is_symlink() and os.readlink(self.link) == self.id:
            self.link.unlink()


class RecordStart(Step):
    side: ClassVar = "host"
    man: ClassVar = "proc_pid_stat(5)"
    reason: ClassVar = "others find the process, and after a crash it can be ended"
    vital: ClassVar = "after a crash nobody could find its process"

    def __init__(self, spec: Spec) -> None:
        self.folder = Path(spec.state_dir)

    def describe(self) -> str:
        return f"write the child's pid, its start time and this boot's id into {self.folder}/status"

    def do(self, context: Context) -> None:
        pid = context.pid
        write_status(self.folder, Status(pid, birth(pid), boot_id(), time.time()))

"""The container's folder on the host: its declared form, its writable layer, its lock.

    LAB_HOME/containers/ID/
        record      {"owner": pid, "spec": …}, locked (flock(2)) by the process that owns the
                    container for as long as it lives. The recipe, and so every undo, follows from
                    the spec
        upper/      what the container changed (the overlay's upper layer)
        work/       overlayfs's own
        merged/     where the root is mounted, in the container's mount namespace only

Whether an owner still lives is asked of the kernel: a lock that can be taken has none.
"""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from labrt import paths
from labrt.errors import LabError
from labrt.spec import Spec
from labrt.step import Context, Step


def containers_dir() -> Path:
    return paths.home() / "containers"


@dataclass(frozen=True)
class Record:
    """What a container's folder tells: the pid of its owner, dead or alive, and its spec."""

    owner: int
    spec: Spec


def first_pid(name: str) -> int:
    """Return the host pid of a running container's first process, by the container's name or id.

    Raises:
        LabError: none of this name runs.
    """
    raise LabError(f"find the container {name!r}", "none of this name runs")


def try_lock(folder: Path) -> int | None:
    """Take a container's lock; return its descriptor, or None while an owner lives.

    Raises:
        FileNotFoundError: the folder is gone.
    """
    fd = os.open(folder / "record", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def read_record(folder: Path) -> Record | None:
    """Return a container's record, or None where its owner died before it was whole."""
    try:
        data = json.loads((folder / "record").read_text())
        return Record(data["owner"], Spec.from_json(data["spec"]))
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None


def remove_tree(folder: str | os.PathLike[str]) -> None:
    """Remove a folder and all in it, following no link, also what a container closed to itself.

    Only for folders that no living process changes: a container's after its last process.
    """
    try:
        entries = list(os.scandir(folder))
    except PermissionError:
        os.chmod(folder, 0o700)
        entries = list(os.scandir(folder))
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            remove_tree(entry.path)
        else:
            os.unlink(entry.path)
    os.rmdir(folder)


class CreateStateDir(Step):
    side: ClassVar = "host"
    man: ClassVar = "flock(2)"
    reason: ClassVar = "the writable layer, and what clean-up needs after a crash"

    def __init__(self, spec: Spec) -> None:
        self.folder = Path(spec.state_dir)

    def describe(self) -> str:
        return f"mkdir {self.folder} with upper, work and merged; lock it"

    def do(self, context: Context) -> None:
        paths.make_passable(self.folder)
        lock = try_lock(self.folder)
        assert lock is not None, "nobody else knows this folder yet"
        context.lock = lock
        record = Record(os.getpid(), context.spec)
        os.write(lock, json.dumps(record, default=vars).encode())
        for name in ("upper", "work", "merged"):
            self._make(f"{self.folder}/{name}", context.spec)

    def _make(self, folder: str, spec: Spec) -> None:
        """The upper layer's owner is the owner of the container's "/": its root."""
        os.mkdir(folder)
        os.chmod(folder, 0o755)
        if os.geteuid() == 0 and spec.uid_mappings:
            os.chown(folder, spec.uid_mappings[0].host_id, spec.gid_mappings[0].host_id)

    def undo(self, context: Context) -> None:
        if self.folder.exists():
            remove_tree(self.folder)
        if context.lock >= 0:
            os.close(context.lock)
            context.lock = -1

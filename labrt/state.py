"""The container's folder on the host: its declared form, its writable layer, its lock.

    LAB_HOME/containers/ID/
        spec.json   what was declared; the recipe, and so every undo, follows from it
        lock        held (flock(2)) by the process that owns the container, for as long as it lives
        pid         the first process and its start time
        upper/      what the container changed (the overlay's upper layer)
        work/       overlayfs's own
        merged/     where the root is mounted, in the container's mount namespace only

Whether an owner still lives is asked of the kernel: a lock that can be taken has none.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from labrt import paths
from labrt.spec import Spec
from labrt.step import Context, Step


def containers_dir() -> Path:
    return paths.home() / "containers"


def try_lock(folder: Path) -> int | None:
    """Take a container's lock; return its descriptor, or None while an owner lives."""
    fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def remove_tree(folder: Path) -> None:
    """Remove a folder, also where a container left directories closed to their owner."""

    def open_up(function: Callable[..., Any], path: str, error: BaseException) -> None:
        if isinstance(error, FileNotFoundError):
            return
        if not isinstance(error, PermissionError):
            raise error
        parent = os.path.dirname(path)
        os.chmod(parent, stat.S_IRWXU)
        if os.path.isdir(path) and not os.path.islink(path):
            os.chmod(path, stat.S_IRWXU)
            remove_tree(Path(path))
        else:
            os.unlink(path)

    def onerror(function: Callable[..., Any], path: str, info: Any) -> None:
        open_up(function, path, info[1])

    shutil.rmtree(folder, onerror=onerror)


class CreateStateDir(Step):
    side: ClassVar = "host"
    man: ClassVar = "flock(2)"
    reason: ClassVar = "the writable layer, and what clean-up needs after a crash"

    def __init__(self, spec: Spec) -> None:
        self.folder = Path(spec.state_dir)

    def describe(self) -> str:
        return f"mkdir {self.folder} with upper, work and merged; lock it"

    def do(self, context: Context) -> None:
        paths.make_passable(self.folder.parent)
        paths.make_passable(self.folder)
        lock = try_lock(self.folder)
        assert lock is not None, "nobody else knows this folder yet"
        context.lock = lock
        (self.folder / "spec.json").write_text(json.dumps(context.spec.to_json()))
        for name in ("upper", "work", "merged"):
            (self.folder / name).mkdir()
            (self.folder / name).chmod(0o755)
        for uid, gid in zip(context.spec.uid_mappings, context.spec.gid_mappings, strict=True):
            if uid.container_id == 0 and os.geteuid() == 0:
                # The upper layer's owner is the owner of the container's "/": its root.
                os.chown(self.folder / "upper", uid.host_id, gid.host_id)
                os.chown(self.folder / "work", uid.host_id, gid.host_id)

    def undo(self, context: Context) -> None:
        if self.folder.exists():
            remove_tree(self.folder)
        if context.lock >= 0:
            os.close(context.lock)
            context.lock = -1

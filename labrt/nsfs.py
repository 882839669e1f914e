"""Namespaces as files: what the kernel tells of one by /proc/PID/ns and ioctl_ns(2).

Every namespace has an inode number, its name for as long as it exists. Every namespace is owned by
a user namespace: capabilities held there, and in no other, are rights over it
(user_namespaces(7)). User and pid namespaces have a parent besides.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from labrt import syscalls
from labrt.spec import NamespaceType

# The name of each kind below /proc/PID/ns.
FILES: dict[NamespaceType, str] = {
    "user": "user",
    "mount": "mnt",
    "pid": "pid",
    "network": "net",
    "ipc": "ipc",
    "uts": "uts",
    "cgroup": "cgroup",
    "time": "time",
}

# The kinds as clone(2) numbers them, which is what NS_GET_NSTYPE answers.
CLONE_FLAGS: dict[NamespaceType, int] = {
    "user": syscalls.CLONE_NEWUSER,
    "mount": syscalls.CLONE_NEWNS,
    "pid": syscalls.CLONE_NEWPID,
    "network": syscalls.CLONE_NEWNET,
    "ipc": syscalls.CLONE_NEWIPC,
    "uts": syscalls.CLONE_NEWUTS,
    "cgroup": syscalls.CLONE_NEWCGROUP,
    "time": syscalls.CLONE_NEWTIME,
}

_NS_GET_USERNS = 0xB701
_NS_GET_PARENT = 0xB702
_NS_GET_NSTYPE = 0xB703
_NS_GET_OWNER_UID = 0xB704


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[int]:
    """A descriptor of a namespace's file, for the time of the block."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def inode(file: int | str | os.PathLike[str]) -> int:
    """Return the number that names a namespace, by a descriptor or a path."""
    return os.stat(file).st_ino


def kind(fd: int) -> NamespaceType:
    """Return which kind of namespace it is.

    Raises:
        OSError: ENOTTY, for it is no namespace.
    """
    number = fcntl.ioctl(fd, _NS_GET_NSTYPE)
    return next(name for name, flag in CLONE_FLAGS.items() if flag == number)


def owner(fd: int) -> int | None:
    """Return a descriptor of the user namespace that owns it; of a user namespace's parent.

    None where that lies outside of our own user namespace, which is as far as we may look.
    """
    return _related(fd, _NS_GET_USERNS)


def parent(fd: int) -> int | None:
    """Return a descriptor of a user or pid namespace's parent, None as for `owner`."""
    return _related(fd, _NS_GET_PARENT)


def owner_uid(fd: int) -> int:
    """Return the uid of who made a user namespace, as our own user namespace numbers it."""
    answer = fcntl.ioctl(fd, _NS_GET_OWNER_UID, bytes(4))
    return int(struct.unpack("=I", answer)[0])


def owner_of(file: int | str | os.PathLike[str]) -> int | None:
    """Return the number of the user namespace that owns the namespace of a descriptor or a path,
    None as for `owner`.

    Raises:
        OSError: it can't be opened, or is no namespace.
    """
    if not isinstance(file, int):
        with opened(file) as fd:
            return owner_of(fd)
    if (owning := owner(file)) is None:
        return None
    number = inode(owning)
    os.close(owning)
    return number


def _related(fd: int, request: int) -> int | None:
    try:
        return fcntl.ioctl(fd, request)
    except PermissionError:
        return None

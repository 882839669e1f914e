"""Devices: the handful of nodes in /dev that a program expects (null(4), random(4), tty(4)).

mknod(2) is refused in a user namespace, so each node is the host's own, bound onto an empty file.
Where a bundle's container is root in the host's user namespace, it gets nodes of its own instead:
it could change the owner and the mode of a bound one, which would be the host's.

Lesson: notebook 03.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import ClassVar

from labrt import syscalls
from labrt.calls import AT_FDCWD, AT_SYMLINK_NOFOLLOW, Call, call, is_device, kept, look, path_of
from labrt.errors import LabError
from labrt.mount_points import KERNELS, POINT, is_below, mount_point, open_folder, strict_point
from labrt.spec import Device
from labrt.step import Context, Step, constant
from labrt.syscalls import MS_BIND

# https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md#default-devices
NODES = ("null", "zero", "full", "random", "urandom", "tty")
DEFAULT = tuple(
    Device(f"/dev/{name}", "c", major, minor)
    for name, major, minor in (
        ("null", 1, 3),
        ("zero", 1, 5),
        ("full", 1, 7),
        ("random", 1, 8),
        ("urandom", 1, 9),
        ("tty", 5, 0),
    )
)
LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}
# Its own devpts numbers from 0, and the first terminal is the container's.
CONSOLE = {"console": "pts/0"}


class BindDevice(Step):
    side: ClassVar = "container"
    man: ClassVar = "mount(2)"
    reason: ClassVar = "every program expects it, and it can't harm the host"

    def __init__(self, node: str) -> None:
        self.node = node

    def describe(self) -> str:
        return f"bind the host's /dev/{self.node} on /dev/{self.node}"

    @constant
    def calls(self, context: Context) -> list[Call]:
        target, kind = f"/dev/{self.node}", os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
        return [
            call("openat", AT_FDCWD, target, kind, 0o666, result="file"),
            call("close", kept("file")),
            call("mount", path_of(kept("host_root"), target), target, None, MS_BIND, None),
        ]


class LinkDevices(Step):
    side: ClassVar = "container"
    man: ClassVar = "symlink(2)"
    reason: ClassVar = "/dev/stdout and its kind are links into /proc"

    def __init__(self, terminal: bool) -> None:
        self.links = LINKS | (CONSOLE if terminal else {})

    def describe(self) -> str:
        return ", ".join(f"/dev/{name} -> {target}" for name, target in self.links.items())

    @constant
    def calls(self, context: Context) -> list[Call]:
        links = self.links.items()
        return [call("symlinkat", target, AT_FDCWD, f"/dev/{name}") for name, target in links]


class CompleteDevices(Step):
    """The links of a bundle, whose /dev may be its root file system's own and have some already."""

    side: ClassVar = "container"
    man: ClassVar = "symlink(2)"
    reason: ClassVar = "/dev/stdout and its kind are links into /proc"

    def describe(self) -> str:
        links = ", ".join(f"/dev/{name} -> {target}" for name, target in LINKS.items())
        return f"{links}; those that are there stay"

    @constant
    def calls(self, context: Context) -> list[Call]:
        there, missing = {errno.EEXIST: 0}, {errno.ENOENT: 0}
        links = LINKS.items()
        return [
            strict_point("/dev"),
            # That of the image would be another's devpts'.
            call("unlinkat", POINT, "ptmx", 0, unless=missing),
            *(call("symlinkat", target, POINT, name, unless=there) for name, target in links),
            call("close", POINT),
        ]


_KINDS = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}


class CreateDevice(Step):
    side: ClassVar = "container"
    man: ClassVar = "mknod(2)"
    reason: ClassVar = "a node of its own, whose owner and mode are not the host's to lose"

    def __init__(self, device: Device) -> None:
        self.device = device

    def describe(self) -> str:
        device = self.device
        return (
            f"mknod {device.path} {device.type} {device.major}:{device.minor}, mode "
            f"{device.mode:04o}, of {device.uid}:{device.gid}; what is there already must be it"
        )

    @constant
    def calls(self, context: Context) -> list[Call] | None:
        device, (folder, name) = self.device, os.path.split(self.device.path)
        if not is_below(folder, KERNELS):
            return None
        number = os.makedev(device.major, device.minor) if device.type != "p" else 0
        kind, own_mode = _KINDS[device.type] | device.mode, device.mode
        same, as_it_is = _is_same(device), AT_SYMLINK_NOFOLLOW
        return [
            strict_point(folder),
            call("mknodat", POINT, name, kind, number, unless={errno.EEXIST: 2}),
            call("fchmodat", POINT, name, own_mode),  # whatever the umask
            call(*("fchownat", POINT, name, device.uid, device.gid, as_it_is), then=len(same) + 1),
            look(POINT, name, as_it_is),
            *same,
            call("close", POINT),
        ]

    def do(self, context: Context) -> None:
        if self.calls(context) is not None:
            return super().do(context)
        device = self.device
        folder, name = open_folder(os.path.dirname(device.path)), _name(device)
        number = os.makedev(device.major, device.minor) if device.type != "p" else 0
        try:
            os.mknod(name, _KINDS[device.type] | device.mode, number, dir_fd=folder)
        except FileExistsError:
            _check_same(device, os.stat(name, dir_fd=folder, follow_symlinks=False))
        else:
            os.chmod(name, device.mode, dir_fd=folder)  # whatever the umask
            os.chown(name, device.uid, device.gid, dir_fd=folder, follow_symlinks=False)
        os.close(folder)

    def likely(self, error: OSError) -> tuple[str, str]:
        if error.errno == errno.EPERM:
            return "without CAP_MKNOD over the host", "run as root"
        return "", ""


class BindHostDevice(Step):
    """In a user namespace, whose root can't change the node."""

    side: ClassVar = "container"
    man: ClassVar = "move_mount(2)"
    reason: ClassVar = "mknod(2) is refused in a user namespace, so it sees the host's own node"

    def __init__(self, device: Device) -> None:
        self.device = device

    def describe(self) -> str:
        return f"bind the host's {self.device.path} on {self.device.path}"

    @constant
    def calls(self, context: Context) -> list[Call] | None:
        path, hosts = self.device.path, kept("host_root")
        if not is_below(path, KERNELS):
            return None
        tree = syscalls.OPEN_TREE_CLONE | os.O_CLOEXEC
        return [
            look(hosts, path.lstrip("/")),
            *_is_same(self.device),
            call("open_tree", hosts, path.lstrip("/"), tree, result="file"),
            strict_point(path, folder=False),
            call("move_mount", _NODE, "", POINT, "", syscalls.MOVE_MOUNT_BY_DESCRIPTORS),
            call("close", _NODE),
            call("close", POINT),
        ]

    def do(self, context: Context) -> None:
        if self.calls(context) is not None:
            return super().do(context)
        path = self.device.path
        found = os.stat(path.lstrip("/"), dir_fd=context.host_root)
        _check_same(self.device, found)
        node = syscalls.open_tree(path.lstrip("/"), False, context.host_root)
        target = mount_point(context, path, folder=False)
        syscalls.move_mount(node, target)
        os.close(node)
        os.close(target)

    def likely(self, error: OSError) -> tuple[str, str]:
        if error.errno == errno.ENOENT:
            return "the host has no such node, and a user namespace can't make one", "leave it out"
        return "", ""


def _name(device: Device) -> str:
    return os.path.basename(device.path)


_NODE = kept("file")


def _is_same(device: Device) -> tuple[Call, ...]:
    number = (device.major, device.minor) if device.type != "p" else None
    return is_device(_KINDS[device.type], number, _differs(device))


def _check_same(device: Device, found: os.stat_result) -> None:
    same_kind = stat.S_IFMT(found.st_mode) == _KINDS[device.type]
    same_number = device.type == "p" or found.st_rdev == os.makedev(device.major, device.minor)
    if not (same_kind and same_number):
        raise _differs(device)


def _differs(device: Device) -> LabError:
    return LabError(
        f"make the device {device.path}",
        f"there is something else than {device.type} {device.major}:{device.minor}",
        remedy="remove it from the root file system",
    )


def in_user_namespace() -> bool:
    """Whether we are in another user namespace than the host's first (user_namespaces(7))."""
    return Path("/proc/self/uid_map").read_text().split() != ["0", "0", str((1 << 32) - 1)]

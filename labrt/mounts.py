"""Mounts: the container's own tree of files (mount_namespaces(7)).

The root is an overlay of the image's layers with an empty, writable layer on top. pivot_root(2)
comes *before* the other mounts: from then on every path, and every symbolic link that a hostile
image may have put in the way, is resolved inside the container's root. The host's tree stays
reachable through one file descriptor until `DetachOldRoot`.

Lesson: notebooks 03 and 17.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import ClassVar

from labrt import syscalls
from labrt.errors import LabError
from labrt.options import Options
from labrt.spec import Mount
from labrt.step import Context, Step
from labrt.syscalls import (
    MNT_DETACH,
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
)

_FLAGS = {"ro": MS_RDONLY, "nosuid": MS_NOSUID, "nodev": MS_NODEV, "noexec": MS_NOEXEC}

# What runtimes hide by default: kernel settings and secrets that procfs and sysfs show to root.
# https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md#masked-paths
MASKED_PATHS = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


def _mount_point(path: str) -> None:
    """Make sure `path` is a real folder, never a link (container side, hostile image)."""
    try:
        os.mkdir(path, 0o755)
    except FileExistsError:
        pass
    if not stat.S_ISDIR(os.lstat(path).st_mode):
        raise LabError(
            f"mount on {path}",
            "the image has something there that is not a directory",
            remedy="mend the image",
        )


class MakeMountsPrivate(Step):
    side: ClassVar = "container"
    man: ClassVar = "mount_namespaces(7)"
    reason: ClassVar = "no mount made from here on reaches the host"

    def describe(self) -> str:
        return "mount(/, MS_REC|MS_PRIVATE)"

    def do(self, context: Context) -> None:
        syscalls.mount(None, "/", None, MS_REC | MS_PRIVATE)


class EnterStateDir(Step):
    side: ClassVar = "container"
    man: ClassVar = "chdir(2)"
    reason: ClassVar = "the container's root may not walk through the user's private folders"
    vital: ClassVar = "the overlay would be looked for in the user's own folder"

    def __init__(self, state_dir: str) -> None:
        self.folder = state_dir

    def describe(self) -> str:
        return f"chdir {self.folder}, while the child still has the host's id"

    def do(self, context: Context) -> None:
        os.chdir(self.folder)


class MountOverlay(Step):
    side: ClassVar = "container"
    man: ClassVar = "mount(8)"
    reason: ClassVar = "one read-only image serves many containers, each with its own changes"

    def __init__(self, layers: tuple[str, ...], state_dir: str) -> None:
        # Relative, because of EnterStateDir. The kernel wants the topmost layer first.
        self.layers = [os.path.relpath(layer, state_dir) for layer in reversed(layers)]

    @property
    def options(self) -> str:
        # userxattr: overlayfs keeps its marks in xattrs that a user namespace may write. volatile:
        # nobody waits for the disk at the end, for the changes are thrown away with the container
        # (https://docs.kernel.org/filesystems/overlayfs.html).
        return f"lowerdir={':'.join(self.layers)},upperdir=upper,workdir=work,userxattr,volatile"

    def describe(self) -> str:
        return f"mount overlay on merged: {self.options}"

    def do(self, context: Context) -> None:
        syscalls.mount("overlay", "merged", "overlay", MS_NODEV, self.options)

    def likely(self, error: OSError) -> tuple[str, str]:
        if error.errno in (errno.EPERM, errno.ENODEV):
            return (
                "overlayfs in a user namespace needs Linux 5.11 and the overlay module",
                "modprobe overlay, or a newer kernel",
            )
        if error.errno == errno.EINVAL:
            return (
                "the file system under LAB_HOME can't carry an upper layer (itself an overlay?)",
                "set LAB_HOME to a folder on ext4, xfs, btrfs or tmpfs",
            )
        return "", ""


class PivotRoot(Step):
    side: ClassVar = "container"
    man: ClassVar = "pivot_root(2)"
    reason: ClassVar = "unlike chroot, it leaves no way back to the host's files"
    vital: ClassVar = "the program would run on the host's files"

    def describe(self) -> str:
        return "chdir merged; pivot_root(., .)"

    def do(self, context: Context) -> None:
        context.host_root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        os.chdir("merged")
        # The old root ends up mounted on top of the new one; see NOTES in pivot_root(2).
        syscalls.pivot_root(".", ".")


class DetachOldRoot(Step):
    side: ClassVar = "container"
    man: ClassVar = "umount2(2)"
    reason: ClassVar = "the host's files are gone from the container's tree"
    vital: ClassVar = "the host's files would stay within its reach"

    def describe(self) -> str:
        return "umount2(., MNT_DETACH); chdir /"

    def do(self, context: Context) -> None:
        os.close(context.host_root)
        context.host_root = -1
        syscalls.umount2(".", MNT_DETACH)
        os.chdir("/")


def kernel_filesystems(wishes: Options, cgroup2: bool) -> tuple[Mount, ...]:
    """Return the mounts that every container has.

    Args:
        cgroup2: whether the host's controllers are in the v2 hierarchy alone.
    """
    safe = ("nosuid", "nodev", "noexec")
    terminals = ("newinstance", "ptmxmode=0666", "mode=620")
    found = [
        Mount("/proc", "proc", "proc", safe),
        Mount("/sys", "sysfs", "sysfs", (*safe, "ro")),
        Mount("/dev", "tmpfs", "tmpfs", ("nosuid", "noexec", "mode=755", "size=64k")),
        Mount("/dev/pts", "devpts", "devpts", ("nosuid", "noexec", *terminals)),
        Mount("/dev/shm", "tmpfs", "shm", (*safe, "mode=1777", "size=64m")),
    ]
    if cgroup2:
        found.append(Mount("/sys/fs/cgroup", "cgroup2", "cgroup", (*safe, "ro")))
    return tuple(found)


# Why a container has each kernel file system.
_REASONS = {
    "proc": "ps and /proc show the container's processes",
    "sysfs": "shows the container's own network",
    "devpts": "terminals of its own (pts(4))",
    "cgroup2": "the container can read its own limits",
    "tmpfs": "files in memory that end with the container: /dev, /dev/shm (shm_overview(7))",
}


class MountFilesystem(Step):
    """Mount a kernel file system on a folder of the container."""

    side: ClassVar = "container"
    man: ClassVar = "mount(2)"

    def __init__(self, mount: Mount) -> None:
        self.mount = mount
        self.reason = _REASONS.get(mount.type, "asked for")  # type: ignore[misc]  # one each

    def describe(self) -> str:
        mount = self.mount
        return f"mount -t {mount.type} -o {','.join(mount.options)} on {mount.destination}"

    def do(self, context: Context) -> None:
        mount = self.mount
        flags = sum(flag for name, flag in _FLAGS.items() if name in mount.options)
        data = ",".join(option for option in mount.options if option not in _FLAGS)
        _mount_point(mount.destination)
        syscalls.mount(mount.source, mount.destination, mount.type, flags, data or None)

    def likely(self, error: OSError) -> tuple[str, str]:
        kind = self.mount.type
        if error.errno == errno.EPERM and kind in ("proc", "sysfs"):
            return (
                f"the kernel gives a user namespace a new {kind} only where the host's own "
                "is wholly visible; inside another container it is masked",
                "run on the host itself, or make the outer container privileged",
            )
        return "", ""


class MaskPath(Step):
    side: ClassVar = "container"
    man: ClassVar = "mount(2)"
    reason: ClassVar = "the one kernel they share would tell about the host"

    def __init__(self, path: str) -> None:
        self.path = path

    def describe(self) -> str:
        return f"hide {self.path} under /dev/null or an empty read-only tmpfs"

    def do(self, context: Context) -> None:
        if not os.access(self.path, os.F_OK):
            return  # this kernel has no such file
        if os.path.isdir(self.path):
            syscalls.mount("tmpfs", self.path, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV, "size=0")
        else:
            syscalls.mount("/dev/null", self.path, None, MS_BIND)


class MakeReadOnly(Step):
    side: ClassVar = "container"
    man: ClassVar = "mount(2)"
    reason: ClassVar = "settings that belong to the whole machine can be read, not changed"

    def __init__(self, path: str) -> None:
        self.path = path

    def describe(self) -> str:
        return f"bind {self.path} on itself, read-only"

    def do(self, context: Context) -> None:
        try:
            syscalls.mount(self.path, self.path, None, MS_BIND | MS_REC)
        except FileNotFoundError:
            return  # this kernel has no such file
        # In a user namespace a remount must keep the flags the mount came with (mount(2), EPERM).
        flags = MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC
        syscalls.mount(None, self.path, None, flags)


class MakeRootReadOnly(Step):
    side: ClassVar = "container"
    man: ClassVar = "mount(2)"
    reason: ClassVar = "the container can't change even its own copy of the image"

    def describe(self) -> str:
        return "remount / read-only"

    def do(self, context: Context) -> None:
        syscalls.mount(None, "/", None, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NODEV)

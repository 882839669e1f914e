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

_FLAG_NAMES = {MS_RDONLY: "ro", MS_NOSUID: "nosuid", MS_NODEV: "nodev", MS_NOEXEC: "noexec"}

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

    def describe(self) -> str:
        return "umount2(., MNT_DETACH); chdir /"

    def do(self, context: Context) -> None:
        os.close(context.host_root)
        context.host_root = -1
        syscalls.umount2(".", MNT_DETACH)
        os.chdir("/")


class MountFilesystem(Step):
    """Mount a kernel file system on a folder of the container."""

    side: ClassVar = "container"
    man: ClassVar = "mount(2)"

    def __init__(self, fstype: str, target: str, flags: int, data: str, reason: str) -> None:
        self.fstype = fstype
        self.target = target
        self.flags = flags
        self.data = data
        self.reason = reason  # type: ignore[misc]  # each instance has its own

    def describe(self) -> str:
        options = [name for flag, name in _FLAG_NAMES.items() if self.flags & flag]
        options += [self.data] if self.data else []
        return f"mount -t {self.fstype} -o {','.join(options)} on {self.target}"

    def do(self, context: Context) -> None:
        _mount_point(self.target)
        syscalls.mount(self.fstype, self.target, self.fstype, self.flags, self.data or None)

    def likely(self, error: OSError) -> tuple[str, str]:
        if error.errno == errno.EPERM and self.fstype in ("proc", "sysfs"):
            return (
                f"the kernel gives a user namespace a new {self.fstype} only where the host's own "
                "is wholly visible; inside another container it is masked",
                "run on the host itself, or make the outer container privileged",
            )
        return "", ""


def kernel_filesystems(cgroup2: bool) -> list[Step]:
    """Return the mounts every container has.

    Args:
        cgroup2: whether the host's controllers are in the v2 hierarchy alone.
    """
    safe = MS_NOSUID | MS_NODEV | MS_NOEXEC
    terminals = "newinstance,ptmxmode=0666,mode=620"
    steps: list[Step] = [
        MountFilesystem("proc", "/proc", safe, "", "ps and /proc show the container's processes"),
        MountFilesystem("sysfs", "/sys", safe | MS_RDONLY, "", "shows the container's own network"),
        MountFilesystem(
            "tmpfs",
            "/dev",
            MS_NOSUID | MS_NOEXEC,
            "mode=755,size=64k",
            "a /dev with a few harmless nodes instead of the host's",
        ),
        MountFilesystem(
            "devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, terminals, "terminals of its own (pts(4))"
        ),
        MountFilesystem(
            "tmpfs",
            "/dev/shm",
            safe,
            "mode=1777,size=64m",
            "POSIX shared memory of its own (shm_overview(7))",
        ),
    ]
    if cgroup2:
        reason = "the container can read its own limits"
        steps.append(MountFilesystem("cgroup2", "/sys/fs/cgroup", safe | MS_RDONLY, "", reason))
    return steps


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

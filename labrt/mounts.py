"""Mounts: the container's own tree of files (mount_namespaces(7)).

The root is an overlay of the image's layers with an empty, writable layer on top. pivot_root(2)
comes *before* the other mounts. /proc, /sys and /dev follow, where no link is let be: the kernel
grants a user namespace new ones only while the host's are in sight. Then `DetachOldRoot` takes the
host's tree away, and from there on every path, and every symbolic link that a hostile image may
have put in the way, is resolved inside the container's root.

Lesson: notebooks 03 and 17.
"""

from __future__ import annotations

import errno
import os
from typing import ClassVar

from labrt import limits, syscalls
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
    MS_SHARED,
    MS_SLAVE,
    MS_UNBINDABLE,
)

FLAGS = {"ro": MS_RDONLY, "nosuid": MS_NOSUID, "nodev": MS_NODEV, "noexec": MS_NOEXEC}
# Those that mount(2) alone knows; for a bind mount they are mount_setattr(2)'s.
TIMES = {
    "noatime": 1 << 10,
    "nodiratime": 1 << 11,
    "relatime": 1 << 21,
    "strictatime": 1 << 24,
}
DEFAULTS = ("rw", "suid", "dev", "exec", "async", "defaults")
PROPAGATIONS = {
    "private": MS_PRIVATE,
    "slave": MS_SLAVE,
    "shared": MS_SHARED,
    "unbindable": MS_UNBINDABLE,
}
PAGE = 4096  # bytes that mount(2) takes of options, with a NUL: some 48 layers by name, 220 by fd

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


# Where the kernel's own file systems are. Nothing is mounted there by way of a link: with a /proc
# that is something else, masks and security labels go astray (CVE-2019-16884, CVE-2023-28642).
_KERNELS = ("/proc", "/sys", "/dev")


def is_below(path: str, folders: tuple[str, ...]) -> bool:
    """Whether an absolute path is one of the folders or lies below one."""
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


def mount_point(context: Context, path: str, folder: bool = True) -> int:
    """Open a mount point, made where it is missing (container side).

    The image's links are followed, for they lead to somewhere in the container; but not the magic
    ones of procfs (openat2(2)), and none to or at the kernel's own file systems. While the host's
    tree is still mounted on top of "/" (`PivotRoot`), "/.." leads there: only the kernel's places,
    where no link is followed, may be asked for.

    Returns:
        An O_PATH descriptor: what is mounted on it can't be led astray any more.

    Raises:
        LabError: a link is in the way. OSError: the kernel's answer.
    """
    kernels = is_below(path, _KERNELS)
    try:
        target = _opened(
            path,
            folder,
            syscalls.RESOLVE_NO_SYMLINKS if kernels else syscalls.RESOLVE_NO_MAGICLINKS,
        )
    except FileExistsError:
        raise _astray(path, "that leads nowhere") from None
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise _astray(path, "that must not be followed") from None
    if not kernels:
        where = os.readlink(str(target), dir_fd=context.own_fds)
        if where == "/" or is_below(where, _KERNELS):
            raise _astray(path, f"to {where}")
    return target


def _astray(path: str, whither: str) -> LabError:
    return LabError(
        f"mount on {path}",
        f"the image has a link there {whither}",
        "a hostile or broken image",
        "mend the image, or mount elsewhere",
    )


def _opened(path: str, folder: bool, resolve: int) -> int:
    try:
        return syscalls.openat2(path, os.O_PATH, resolve)
    except FileNotFoundError:
        parent = _opened(os.path.dirname(path), True, resolve)
        _make(os.path.basename(path), parent, folder)
        os.close(parent)
        return syscalls.openat2(path, os.O_PATH, resolve)


def _make(name: str, parent: int, folder: bool) -> None:
    if folder:
        os.mkdir(name, dir_fd=parent)
        os.chmod(name, 0o755, dir_fd=parent)  # whatever the user's umask
    else:
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
        os.close(os.open(name, flags, 0o644, dir_fd=parent))


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

    def __init__(self, layers: tuple[str, ...], state_dir: str, volatile: bool) -> None:
        """`volatile`: nobody will want the changes once the container has ended."""
        # Relative, because of EnterStateDir. The kernel wants the topmost layer first.
        lower = ":".join(os.path.relpath(layer, state_dir) for layer in reversed(layers))
        # userxattr: overlayfs keeps its marks in xattrs that a user namespace may write. volatile:
        # nobody waits for the disk at the end; such an upper layer can't be mounted a second time
        # (https://docs.kernel.org/filesystems/overlayfs.html).
        more = ",volatile" if volatile else ""
        self.options = f"lowerdir={lower},upperdir=upper,workdir=work,userxattr{more}"

    def describe(self) -> str:
        return f"mount overlay on merged: {self.options}"

    def do(self, context: Context) -> None:
        options = self.options if len(self.options) < PAGE else _by_descriptors(self.options)
        syscalls.mount("overlay", "merged", "overlay", MS_NODEV, options)

    def likely(self, error: OSError) -> tuple[str, str]:
        if error.errno in (errno.EPERM, errno.ENODEV):
            return (
                "overlayfs in a user namespace needs Linux 5.11 and the overlay module",
                "modprobe overlay, or a newer kernel",
            )
        if error.errno == errno.EINVAL:
            return (
                "the file system under LAB_HOME can't carry an upper layer (itself an overlay?)",
                "set LAB_HOME to a folder on ext4, xfs or btrfs (or tmpfs, from Linux 6.6 on)",
            )
        if error.errno == errno.EACCES:
            return (
                "LAB_HOME is a folder that the container's root may not pass through",
                "chmod o+x it; those above it may stay closed",
            )
        return "", ""


class MountRoot(Step):
    side: ClassVar = "container"
    man: ClassVar = "move_mount(2)"
    reason: ClassVar = "a bundle brings its root file system as a folder"
    vital: ClassVar = "there would be no root to pivot to"

    def __init__(self, path: str) -> None:
        self.path = path

    def describe(self) -> str:
        return f"mount {self.path}, opened before, on merged"

    def do(self, context: Context) -> None:
        source = context.sources.pop("/")
        target = os.open("merged", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        syscalls.move_mount(source, target)
        os.close(source)
        os.close(target)


class PivotRoot(Step):
    side: ClassVar = "container"
    man: ClassVar = "pivot_root(2)"
    reason: ClassVar = "unlike chroot, it leaves no way back to the host's files"
    vital: ClassVar = "the program would run on the host's files"

    def describe(self) -> str:
        return "chdir merged; pivot_root(., .)"

    def do(self, context: Context) -> None:
        folder = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
        context.host_root = os.open("/", folder)
        context.own_fds = os.open("/proc/self/fd", folder)
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
        os.fchdir(context.host_root)
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
        Mount("/dev", "tmpfs", "tmpfs", ("nosuid", "nodev", "noexec", "mode=755", "size=64k")),
        Mount("/dev/pts", "devpts", "devpts", ("nosuid", "noexec", *terminals)),
        *_shared_memory(wishes, safe),
    ]
    if cgroup2:
        found.append(Mount("/sys/fs/cgroup", "cgroup2", "cgroup", (*safe, "ro")))
    return tuple(found)


def _shared_memory(wishes: Options, safe: tuple[str, ...]) -> list[Mount]:
    """Return /dev/shm and /dev/mqueue: they belong to the ipc namespace (ipc_namespaces(7))."""
    size = limits.size(wishes.shm_size or "64m", "the size of /dev/shm")
    if wishes.ipc == "host":
        both = ("/dev/shm", "/dev/mqueue")
        return [Mount(path, "bind", path, safe) for path in both if os.path.ismount(path)]
    return [
        Mount("/dev/shm", "tmpfs", "shm", (*safe, "mode=1777", f"size={size}")),
        Mount("/dev/mqueue", "mqueue", "mqueue", safe),
    ]


# Why a container has each kernel file system.
_REASONS = {
    "proc": "ps and /proc show the container's processes",
    "sysfs": "shows the container's own network",
    "devpts": "terminals of its own (pts(4))",
    "mqueue": "POSIX message queues of its own (mq_overview(7))",
    "cgroup2": "the container can read its own limits",
    "tmpfs": "files in memory that end with the container: /dev, /dev/shm (shm_overview(7))",
}


def _by_descriptors(options: str) -> str:
    """Name the layers by descriptors, which is shorter; execve(2) closes them."""
    lower, _, rest = options.removeprefix("lowerdir=").partition(",")
    opened = (os.open(layer, os.O_PATH | os.O_CLOEXEC) for layer in lower.split(":"))
    return f"lowerdir={':'.join(f'/proc/self/fd/{fd}' for fd in opened)},{rest}"


class MountFilesystem(Step):
    """Mount a kernel file system on a folder of the container."""

    side: ClassVar = "container"
    man: ClassVar = "mount(2)"

    def __init__(self, mount: Mount) -> None:
        self.mount = mount
        self.reason = _REASONS.get(mount.type, "asked for")  # type: ignore[misc]  # one each
        known = FLAGS | TIMES
        self.flags = sum(flag for name, flag in known.items() if name in mount.options)
        passed = {*known, *DEFAULTS, *(f"{r}{kind}" for kind in PROPAGATIONS for r in ("", "r"))}
        self.data = ",".join(word for word in mount.options if word not in passed)

    def describe(self) -> str:
        mount = self.mount
        return f"mount -t {mount.type} -o {','.join(mount.options)} on {mount.destination}"

    def do(self, context: Context) -> None:
        mount = self.mount
        target = mount_point(context, mount.destination)
        os.fchdir(target)
        os.close(target)
        syscalls.mount(mount.source, ".", mount.type, self.flags, self.data or None)
        os.chdir("/")
        for word in mount.options:
            if (kind := word.removeprefix("r")) in PROPAGATIONS:
                _set(mount.destination, propagation=PROPAGATIONS[kind], recursive=kind != word)

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
            null = _null()
            syscalls.mount(f"/proc/self/fd/{null}", self.path, None, MS_BIND)
            os.close(null)


def _null() -> int:
    """Open /dev/null, the device and nothing else: a volume on /dev may hold a link there, and what
    it leads to would be bound, writable, instead of hidden (CVE-2025-31133)."""
    null = os.open("/dev/null", os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    if os.fstat(null).st_rdev != os.makedev(1, 3):
        raise LabError("hide files under /dev/null", "it is something else", "a volume is on /dev")
    return null


class MakeReadOnly(Step):
    side: ClassVar = "container"
    man: ClassVar = "mount_setattr(2)"
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
        _set(self.path, MS_RDONLY)


class MakeRootReadOnly(Step):
    side: ClassVar = "container"
    man: ClassVar = "mount_setattr(2)"
    reason: ClassVar = "the container can't change even its own copy of the image"

    def describe(self) -> str:
        return "mount_setattr(/, MOUNT_ATTR_RDONLY)"

    def do(self, context: Context) -> None:
        _set("/", MS_RDONLY, recursive=False)


class SetRootPropagation(Step):
    side: ClassVar = "container"
    man: ClassVar = "mount_namespaces(7)"
    reason: ClassVar = "asked for: mounts pass to and from namespaces that the container makes"

    def __init__(self, propagation: str) -> None:
        self.propagation = propagation

    def describe(self) -> str:
        return f"mount_setattr(/, {self.propagation})"

    def do(self, context: Context) -> None:
        _set("/", propagation=PROPAGATIONS[self.propagation], recursive=False)


def _set(path: str, attributes: int = 0, propagation: int = 0, recursive: bool = True) -> None:
    """mount_setattr(2) by path. It adds and takes away nothing, which matters: flags that came with
    a mount from the host's mount namespace are locked, and a remount must repeat them."""
    mount = os.open(path, os.O_PATH | os.O_CLOEXEC)
    syscalls.mount_setattr(mount, attributes, propagation, recursive)
    os.close(mount)

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
import stat
from collections.abc import Iterator
from typing import ClassVar

from labrt import limits, mount_options, syscalls
from labrt.calls import (
    ANY,
    AT_EMPTY_PATH,
    AT_FDCWD,
    END,
    Call,
    Operand,
    call,
    descriptor,
    is_device,
    kept,
    look,
    path_of,
    perform,
)
from labrt.errors import LabError
from labrt.mount_points import (
    KERNELS,
    POINT,
    is_below,
    mount_point,
    open_folder,
    strict_point,
)
from labrt.options import Options
from labrt.spec import Mount
from labrt.step import Context, Step, constant
from labrt.syscalls import MNT_DETACH, MS_BIND, MS_NODEV, MS_NOSUID, MS_PRIVATE, MS_RDONLY, MS_REC

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


_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_KEEP_WAY_BACK = (
    call("openat", AT_FDCWD, "/", _FOLDER, 0, result="host_root"),
    call("openat", AT_FDCWD, "/proc/self/fd", _FOLDER, 0, result="own_fds"),
)


class MakeMountsPrivate(Step):
    side: ClassVar = "container"
    man: ClassVar = "mount_namespaces(7)"
    reason: ClassVar = "no mount made from here on reaches the host"

    def describe(self) -> str:
        return "mount(/, MS_REC|MS_PRIVATE)"

    @constant
    def calls(self, context: Context) -> list[Call]:
        return [call("mount", None, "/", None, MS_REC | MS_PRIVATE, None)]


class EnterStateDir(Step):
    side: ClassVar = "container"
    man: ClassVar = "chdir(2)"
    reason: ClassVar = "the container's root may not walk through the user's private folders"
    vital: ClassVar = "the overlay would be looked for in the user's own folder"

    def __init__(self, state_dir: str) -> None:
        self.folder = state_dir

    def describe(self) -> str:
        return f"chdir {self.folder}, while the child still has the host's id"

    def calls(self, context: Context) -> list[Call]:
        return [call("chdir", self.folder)]


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

    def calls(self, context: Context) -> list[Call] | None:
        if len(self.options) >= PAGE:
            return None
        return [call("mount", "overlay", "merged", "overlay", MS_NODEV, self.options)]

    def do(self, context: Context) -> None:
        if len(self.options) < PAGE:
            return super().do(context)
        options = _by_descriptors(self.options)
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
    """On its own place, where the hooks of a bundle look for it."""

    side: ClassVar = "container"
    man: ClassVar = "move_mount(2)"
    reason: ClassVar = "a bundle brings its root file system as a folder"
    vital: ClassVar = "there would be no root to pivot to"

    def __init__(self, path: str) -> None:
        self.path = path

    def describe(self) -> str:
        return f"mount {self.path}, opened before, on itself"

    def calls(self, context: Context) -> list[Call] | None:
        if not (opened := context.sources.get("/")):
            return None  # a user's child opens it itself
        root = descriptor(opened[-1])
        place = call("openat", AT_FDCWD, ".", _FOLDER, 0, result="point")
        mounted = call("move_mount", root, "", POINT, "", syscalls.MOVE_MOUNT_BY_DESCRIPTORS)
        return [place, mounted, call("close", POINT), call("fchdir", root)]


class EnterRoot(Step):
    side: ClassVar = "container"
    man: ClassVar = "chroot(2)"
    reason: ClassVar = "mounts are made where no path leads out, and hooks come after them"
    vital: ClassVar = "its mounts would be made on the host's paths"

    def describe(self) -> str:
        return "chroot(.), with the way back kept open"

    @constant
    def calls(self, context: Context) -> list[Call]:
        return [*_KEEP_WAY_BACK, call("chroot", "."), call("chdir", "/")]


class LeaveRoot(Step):
    side: ClassVar = "container"
    man: ClassVar = "chroot(2)"
    reason: ClassVar = "all is mounted, and what hooks run is a path of the host"
    vital: ClassVar = "the old root could not be found any more, to be detached"

    def describe(self) -> str:
        return "chroot back to the host's tree; chdir to the container's"

    def calls(self, context: Context) -> list[Call] | None:
        if not (opened := context.sources.get("/")):
            return None
        way_back, root = kept("host_root"), descriptor(opened[-1])
        done_with = way_back, kept("own_fds"), root
        go_back = call("fchdir", way_back), call("chroot", "."), call("fchdir", root)
        return [*go_back, *(call("close", each) for each in done_with)]


class ChangeRoot(Step):
    """Where the container has no mount namespace of its own."""

    side: ClassVar = "container"
    man: ClassVar = "chroot(2)"
    reason: ClassVar = "asked for: in a mount namespace of others nothing is mounted, nor pivoted"
    vital: ClassVar = "the program would run on the host's files"

    def __init__(self, path: str, space: str = "") -> None:
        """`space`: the mount namespace that it joins before, "" for the one it is in."""
        self.path = path
        self.space = space

    def describe(self) -> str:
        join = f"setns {self.space}; " if self.space else ""
        return f"{join}chroot {self.path}"

    def do(self, context: Context) -> None:
        root = os.open(self.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        if self.space:
            space = os.open(self.space, os.O_RDONLY | os.O_CLOEXEC)
            syscalls.setns(space, syscalls.CLONE_NEWNS)
            os.close(space)
        os.fchdir(root)
        os.chroot(".")
        os.close(root)


class PivotRoot(Step):
    side: ClassVar = "container"
    man: ClassVar = "pivot_root(2)"
    reason: ClassVar = "unlike chroot, it leaves no way back to the host's files"
    vital: ClassVar = "the program would run on the host's files"

    def __init__(self, folder: str = "merged") -> None:
        self.folder = folder

    def describe(self) -> str:
        return f"chdir {self.folder}; pivot_root(., .)"

    @constant
    def calls(self, context: Context) -> list[Call]:
        # The old root ends up mounted on top of the new one; see NOTES in pivot_root(2).
        return [*_KEEP_WAY_BACK, call("chdir", self.folder), call("pivot_root", ".", ".")]


class DetachOldRoot(Step):
    side: ClassVar = "container"
    man: ClassVar = "umount2(2)"
    reason: ClassVar = "the host's files are gone from the container's tree"
    vital: ClassVar = "the host's files would stay within its reach"

    def describe(self) -> str:
        return "umount2(., MNT_DETACH); chdir /"

    @constant
    def calls(self, context: Context) -> list[Call]:
        way_back = kept("host_root")
        leave = call("fchdir", way_back), call("close", way_back)
        return [*leave, call("umount2", ".", MNT_DETACH), call("chdir", "/")]


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
        below = tuple(f"r{word}" for word in safe)
        return [Mount(path, "bind", path, below) for path in both if os.path.ismount(path)]
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
        self.options = mount_options.parse(mount.options)

    def describe(self) -> str:
        mount = self.mount
        return f"mount -t {mount.type} -o {','.join(mount.options)} on {mount.destination}"

    @constant
    def calls(self, context: Context) -> list[Call] | None:
        mount, options = self.mount, self.options
        takes_mode = mount.type == "tmpfs" and "mode=" not in options.data
        if takes_mode or not is_below(mount.destination, KERNELS):
            return None
        return [
            strict_point(mount.destination),
            call("fchdir", POINT),
            call("close", POINT),
            call("mount", mount.source, ".", mount.type, options.flags, options.data or None),
            call("chdir", "/"),
            *_changing(mount.destination, options),
        ]

    def do(self, context: Context) -> None:
        if self.calls(context) is not None:
            return super().do(context)
        mount, options = self.mount, self.options
        existed = os.path.isdir(mount.destination)
        target = mount_point(context, mount.destination)
        data = options.data
        if existed and mount.type == "tmpfs" and "mode=" not in data:
            # As engines expect of a tmpfs over a folder of the image: its mode stays.
            mode = f"mode={os.fstat(target).st_mode & 0o7777:o}"
            data = f"{data},{mode}" if data else mode
        os.fchdir(target)
        os.close(target)
        syscalls.mount(mount.source, ".", mount.type, options.flags, data or None)
        os.chdir("/")
        if options.below != (0, 0) or options.propagation:
            mounted = mount_point(context, mount.destination)
            change(mounted, options.below, options.propagation)
            os.close(mounted)

    def likely(self, error: OSError) -> tuple[str, str]:
        kind = self.mount.type
        if error.errno == errno.EPERM and kind in ("proc", "sysfs"):
            return (
                f"the kernel gives a user namespace a new {kind} only where the host's own "
                "is wholly visible; inside another container it is masked",
                "run on the host itself, or make the outer container privileged",
            )
        return "", ""


def _changing(place: str, options: mount_options.Parsed) -> list[Call]:
    """Return the calls that change a mount and those below it as its options say."""
    changes = list(changing(POINT, options.below, options.propagation))
    return [strict_point(place), *changes, call("close", POINT)] if changes else []


class MakeLink(Step):
    """A mount of type "link" is none."""

    side: ClassVar = "container"
    man: ClassVar = "symlink(2)"
    reason: ClassVar = "controllers of one v1 hierarchy are found under the name of each"

    def __init__(self, mount: Mount) -> None:
        self.mount = mount

    def describe(self) -> str:
        return f"link {self.mount.destination} to {self.mount.source}"

    def do(self, context: Context) -> None:
        parent = open_folder(os.path.dirname(self.mount.destination))
        os.symlink(self.mount.source, os.path.basename(self.mount.destination), dir_fd=parent)
        os.close(parent)


_NULL = kept("null")


class OpenNull(Step):
    side: ClassVar = "container"
    man: ClassVar = "null(4)"
    reason: ClassVar = "what files are hidden under: the device and nothing else (CVE-2025-31133)"
    vital: ClassVar = "there would be nothing to hide files under; skip MaskPath"

    def describe(self) -> str:
        return "open /dev/null (O_PATH | O_NOFOLLOW); go on if it is the device 1:3"

    @constant
    def calls(self, context: Context) -> list[Call]:
        # A volume on /dev may hold a link there, and what it leads to would be bound, writable.
        kind = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
        other = LabError(
            "hide files under /dev/null", "it is something else", "a volume is on /dev"
        )
        return [
            call("openat", AT_FDCWD, "/dev/null", kind, 0, result="null"),
            look(_NULL, "", AT_EMPTY_PATH),
            *is_device(stat.S_IFCHR, (1, 3), other),
        ]


class MaskPath(Step):
    side: ClassVar = "container"
    man: ClassVar = "mount(2)"
    reason: ClassVar = "the one kernel they share would tell about the host"

    def __init__(self, path: str) -> None:
        self.path = path

    def describe(self) -> str:
        return f"hide {self.path} under /dev/null or an empty read-only tmpfs"

    @constant
    def calls(self, context: Context) -> list[Call]:
        empty = MS_RDONLY | MS_NOSUID | MS_NODEV
        return [
            # This kernel may have no such file.
            call("faccessat", AT_FDCWD, self.path, os.F_OK, unless={ANY: END}),
            call(
                *("mount", path_of(_NULL), self.path, None, MS_BIND, None),
                then=END,
                unless={errno.ENOTDIR: 0},
            ),
            call("mount", "tmpfs", self.path, "tmpfs", empty, "size=0"),
        ]


class MakeReadOnly(Step):
    side: ClassVar = "container"
    man: ClassVar = "mount_setattr(2)"
    reason: ClassVar = "settings that belong to the whole machine can be read, not changed"

    def __init__(self, path: str) -> None:
        self.path = path

    def describe(self) -> str:
        return f"bind {self.path} on itself, read-only"

    @constant
    def calls(self, context: Context) -> list[Call]:
        bind, path = MS_BIND | MS_REC, self.path
        # This kernel may have no such file.
        bound = call("mount", path, path, None, bind, None, unless={errno.ENOENT: END})
        return [bound, _set(path, MS_RDONLY)]


class MakeRootReadOnly(Step):
    side: ClassVar = "container"
    man: ClassVar = "mount_setattr(2)"
    reason: ClassVar = "the container can't change even its own copy of the image"

    def describe(self) -> str:
        return "mount_setattr(/, MOUNT_ATTR_RDONLY)"

    @constant
    def calls(self, context: Context) -> list[Call]:
        return [_set("/", MS_RDONLY, recursive=False)]


class MakeMountReadOnly(Step):
    side: ClassVar = "container"
    man: ClassVar = "mount_setattr(2)"
    reason: ClassVar = "asked for, and all is made in it"

    def __init__(self, path: str) -> None:
        self.path = path

    def describe(self) -> str:
        return f"mount_setattr({self.path}, MOUNT_ATTR_RDONLY)"

    @constant
    def calls(self, context: Context) -> list[Call]:
        return [_set(self.path, MS_RDONLY, recursive=False)]


class SetRootPropagation(Step):
    side: ClassVar = "container"
    man: ClassVar = "mount_namespaces(7)"
    reason: ClassVar = "asked for: mounts pass to and from namespaces that the container makes"

    def __init__(self, propagation: str) -> None:
        self.propagation = propagation

    def describe(self) -> str:
        return f"mount_setattr(/, {self.propagation})"

    @constant
    def calls(self, context: Context) -> list[Call]:
        kind = self.propagation.removeprefix("r")
        bits, below = mount_options.PROPAGATIONS[kind], kind != self.propagation
        return [_set("/", propagation=bits, recursive=below)]


def changing(
    mount: Operand,
    below: mount_options.Change,
    propagation: tuple[tuple[int, bool], ...] = (),
    recursive: bool = True,
) -> Iterator[Call]:
    """Yield the calls that change a mount and, where `recursive`, those below it; for a propagation
    its own word says so."""
    flags = AT_EMPTY_PATH | (syscalls.AT_RECURSIVE if recursive else 0)
    if below != (0, 0):
        attr = syscalls.mount_attr(below.attributes, cleared=below.cleared)
        yield call("mount_setattr", mount, "", flags, attr, len(attr))
    for kind, whole in propagation:
        attr = syscalls.mount_attr(0, kind)
        flags = AT_EMPTY_PATH | (syscalls.AT_RECURSIVE if whole else 0)
        yield call("mount_setattr", mount, "", flags, attr, len(attr))


def change(
    mount: int,
    below: mount_options.Change,
    propagation: tuple[tuple[int, bool], ...],
) -> None:
    """Change a mount and those below it; `mount` is a descriptor of it."""
    if changes := list(changing(descriptor(mount), below, propagation)):
        perform(changes)


def _set(path: str, attributes: int = 0, propagation: int = 0, recursive: bool = True) -> Call:
    """mount_setattr(2) by path. It adds and takes away nothing, which matters: flags that came with
    a mount from the host's mount namespace are locked, and a remount must repeat them."""
    attr = syscalls.mount_attr(attributes, propagation)
    below = syscalls.AT_RECURSIVE if recursive else 0
    return call("mount_setattr", AT_FDCWD, path, below, attr, len(attr))

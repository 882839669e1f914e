"""Bind mounts: files of the host, seen in the container (mount(8), open_tree(2)).

Two paths, two sides. The source is a path of the host: it is looked up by the user who asks, before
the child gives up that user's rights, as a copy of the mounts at and below it that isn't mounted
anywhere yet. The target is a path of the container: it is looked up after pivot_root(2), where no
link leads out. Descriptors join the two; no path of one side is ever looked up on the other.

A file keeps its owner: who isn't mapped into the container is "nobody" there (user_namespaces(7)).

Lesson: notebook 17.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from labrt import mount_options, paths, syscalls
from labrt.calls import Call, call, descriptor, refuse
from labrt.mount_points import POINT, is_literal, mount_point, strict_point
from labrt.mounts import MountFilesystem, change, changing
from labrt.spec import Mount
from labrt.step import Context, Side, Step


def make_volume(folder: Path) -> None:
    """Make a volume's folder where it is missing."""
    paths.make_passable(folder.parent)
    with paths.locked(folder.parent):  # others who make or remove volumes wait
        folder.mkdir(exist_ok=True)


class CreateVolume(Step):
    side: ClassVar = "host"
    man: ClassVar = "chown(2)"
    reason: ClassVar = "a folder that outlives containers, made where it is first asked for"
    keeps: ClassVar = True

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def describe(self) -> str:
        return f"mkdir {self.folder}; where it is new and empty, give it to the container's root"

    def do(self, context: Context) -> None:
        make_volume(self.folder)
        spec = context.spec
        is_new = self.folder.stat().st_uid == 0 and not os.listdir(self.folder)
        if os.geteuid() == 0 and spec.uid_mappings and is_new:
            os.chown(self.folder, spec.uid_mappings[0].host_id, spec.gid_mappings[0].host_id)


class OpenSource(Step):
    """Root's on the host, where root may go everywhere. Only a user's child may copy mounts, as
    root of its own user namespace, while it still has the user's id."""

    man: ClassVar = "open_tree(2)"
    reason: ClassVar = "what the container is to see is looked up with the user's rights, no others"
    vital: ClassVar = "there would be nothing to mount"

    def __init__(self, mount: Mount) -> None:
        self.mount = mount
        self.options = mount_options.parse(mount.options)
        self.side: Side = "host" if os.geteuid() == 0 else "container"  # type: ignore[misc]

    def describe(self) -> str:
        recursive = " | AT_RECURSIVE" if self.options.recursive else ""
        return f"open_tree({self.mount.source}, OPEN_TREE_CLONE{recursive})"

    def do(self, context: Context) -> None:
        source = syscalls.open_tree(self.mount.source, self.options.recursive)
        context.sources.setdefault(self.mount.destination, []).append(source)
        private = ((syscalls.MS_PRIVATE, True),)
        change(source, mount_options.Change(), self.options.propagation or private)

    def undo(self, context: Context) -> None:
        close_sources(context)


class OpenSharedMemory(Step):
    """In that container's mount namespace no path leads out of it; and root of its user namespace,
    which the child is by now, may copy its mounts."""

    side: ClassVar = "container"
    man: ClassVar = "setns(2)"
    reason: ClassVar = "POSIX shared memory is files in /dev/shm, which an ipc namespace hasn't got"
    vital: ClassVar = "there would be nothing to mount"

    def __init__(self, destination: str, path: str) -> None:
        """`path`: the other container's mount namespace, "/proc/PID/ns/mnt"."""
        self.destination = destination
        self.path = path

    def describe(self) -> str:
        return f"setns {self.path}; open_tree({self.destination}, OPEN_TREE_CLONE); setns back"

    def do(self, context: Context) -> None:
        own, other = (
            os.open(path, os.O_RDONLY | os.O_CLOEXEC) for path in ("/proc/self/ns/mnt", self.path)
        )
        syscalls.setns(other, syscalls.CLONE_NEWNS)
        context.sources[self.destination] = [syscalls.open_tree(self.destination)]
        syscalls.setns(own, syscalls.CLONE_NEWNS)
        os.close(other)
        os.close(own)


class CloseSources(Step):
    side: ClassVar = "host"
    man: ClassVar = "close(2)"
    reason: ClassVar = "the child has them; kept open here, they would keep the host's mounts busy"

    def describe(self) -> str:
        return "close the descriptors of open_tree(2)"

    def do(self, context: Context) -> None:
        close_sources(context)


def close_sources(context: Context) -> None:
    for opened in context.sources.values():
        for fd in opened:
            os.close(fd)
    context.sources.clear()


def _filling() -> Callable[[int, int], None]:
    """Return what gives an empty volume all that the image has in that folder, and the folder's
    owner and mode. Loaded on the host's side, for the child imports nothing any more."""
    from labrt.archive import Packer, Unpacker

    def fill(volume: int, image: int) -> None:
        folder = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=volume)
        if not os.listdir(folder):
            nameless = os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, dir_fd=volume)
            with os.fdopen(nameless, "w+b") as spool:
                Packer(spool).pack(image, ".", ".")
                spool.seek(0)
                Unpacker(folder, [], owners=True).unpack(spool)
        os.close(folder)

    return fill


class MountSource(Step):
    side: ClassVar = "container"
    man: ClassVar = "move_mount(2)"
    reason: ClassVar = "asked for: files from outside the image"

    def __init__(self, mount: Mount) -> None:
        self.mount = mount
        self.options = mount_options.parse(mount.options)
        self.fill = _filling() if "copyup" in mount.options else None

    def describe(self) -> str:
        mount = self.mount
        return f"mount {mount.source} on {mount.destination}: {','.join(mount.options)}"

    def calls(self, context: Context) -> list[Call] | None:
        place, opened = self.mount.destination, context.sources.get(self.mount.destination, [])
        if self.fill or len(opened) != 1 or not is_literal(context.spec, place):
            return None
        source = descriptor(opened[0])
        folder = stat.S_ISDIR(os.fstat(opened[0]).st_mode)
        return [
            strict_point(place, folder),
            *([] if folder else _REFUSE_FOLDER),
            *changing(source, self.options.alone(), recursive=False),
            *changing(source, self.options.below),
            call("move_mount", source, "", POINT, "", syscalls.MOVE_MOUNT_BY_DESCRIPTORS),
            call("close", source),
            call("close", POINT),
        ]

    def do(self, context: Context) -> None:
        source = context.sources[self.mount.destination].pop(0)  # two may have one place
        folder = stat.S_ISDIR(os.fstat(source).st_mode)
        target = mount_point(context, self.mount.destination, folder)
        if stat.S_ISDIR(os.fstat(target).st_mode) != folder:
            raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if self.fill:
            self.fill(source, target)
        alone = self.options.alone()
        if alone != (0, 0):
            syscalls.mount_setattr(source, alone.attributes, 0, False, alone.cleared)
        change(source, self.options.below, ())
        syscalls.move_mount(source, target)
        os.close(source)
        os.close(target)

    def likely(self, error: OSError) -> tuple[str, str]:
        if error.errno == errno.ENOTDIR:
            return "one of the two is a folder and the other is not", "name two of a kind"
        if error.errno == errno.EROFS:
            return "the place isn't there, and can't be made on a read-only mount", "make it before"
        return "", ""


_REFUSE_FOLDER = (
    call("openat", POINT, ".", os.O_PATH | os.O_DIRECTORY, 0, unless={errno.ENOTDIR: 1}),
    refuse(errno.ENOTDIR),
)


class MountCopyingTmpfs(MountFilesystem):
    """A tmpfs that begins with what the image has at its place ("tmpcopyup")."""

    def __init__(self, mount: Mount) -> None:
        super().__init__(mount)
        self.fill = _filling()

    def calls(self, context: Context) -> None:
        """To copy takes more."""

    def do(self, context: Context) -> None:
        image = mount_point(context, self.mount.destination)
        super().do(context)
        memory = mount_point(context, self.mount.destination)
        self.fill(memory, image)
        os.close(memory)
        os.close(image)

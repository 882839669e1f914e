"""Extracting: a layer's archive becomes files, in a process without rights on the host.

That process is the containers' root in a user namespace (`labrt/mapped.py`), and the new folder is
its root (chroot(2)). So owners, setuid bits, capabilities and overlayfs's whiteouts are what
containers will find, for root and normal users alike, and even a mistake made here leads to no file
of the host. Besides, each name is opened below its folder's descriptor with O_NOFOLLOW (openat(2)),
and nothing is ever replaced: the folder was empty, so what is in the way is of the same archive.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import sys
from collections.abc import Callable
from typing import BinaryIO

from labrt import mapped
from labrt.errors import LabError, errno_text
from labrt.images import layer_limits, tar_stream, whiteouts
from labrt.images.tar_stream import Member, TarStream, shown

MAX_PATH = 4095  # bytes: PATH_MAX of limits.h, less its NUL
MAX_NAME = 255  # bytes: NAME_MAX
MAX_DEPTH = 256  # folders; each one on the way is held open
MAX_MEMORY = 256 << 20  # bytes, of this process; it remembers folders and whiteouts to the end
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

Path = tuple[bytes, ...]  # names from the layer's root on; () is the root


def main() -> None:
    """In the small Python: become the containers' root, confine, extract standard input.

    sys.argv: how many ids containers map. Standard error: nothing, or a LabError's parts as JSON.
    """
    try:
        mapped.enter()
        os.chroot(".")
        os.umask(0)
        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
        Extraction(int(sys.argv[-1])).extract(sys.stdin.buffer)
    except LabError as error:
        sys.exit(json.dumps(error.args))
    except MemoryError:
        sys.exit(f"it takes more than {MAX_MEMORY} bytes of memory to keep in mind")


class Extraction:
    """Fills the current folder, which is new and empty, from an archive.

    Args:
        ids: how many ids containers map; where it is their root's alone, all is that one's.
    """

    def __init__(self, ids: int) -> None:
        self._ids = ids
        self._most_members = layer_limits.limit("LAB_LAYER_MEMBERS")
        self._most_bytes = layer_limits.limit("LAB_LAYER_BYTES")
        self._way: list[bytes] = []  # the folder entered last
        self._opened = [os.open(".", _FOLDER)]  # the root and each folder on that way
        self._folders: dict[Path, Member] = {}
        self._hidden: dict[tuple[Path, bytes], None] = {}
        self._opaque: dict[Path, None] = {}
        self._makers: dict[bytes, Callable[[TarStream, Member, int, bytes], None]] = {
            tar_stream.FILE: self._file,
            tar_stream.HARD_LINK: self._hard_link,
            tar_stream.LINK: self._link,
            tar_stream.FIFO: self._fifo,
        }

    def extract(self, stream: BinaryIO) -> None:
        """Extract the whole archive.

        Raises:
            LabError: it is damaged or hostile, or the kernel refuses.
        """
        archive = TarStream(stream)
        for count, member in enumerate(archive.members(), start=1):
            self._check(member, count)
            try:
                self._extract(archive, member)
            except OSError as error:
                raise LabError(f"unpack {shown(member.name)}", errno_text(error)) from None
        try:
            self._finish()
        except OSError as error:
            raise LabError("unpack the folders", errno_text(error)) from None
        os.chmod(".", 0o755)

    def _extract(self, archive: TarStream, member: Member) -> None:
        path = _path(member.name)
        if path and path[-1].startswith(whiteouts.PREFIX):
            self._whiteout(member, path)
        elif member.kind == tar_stream.FOLDER:
            self._enter(path)
            self._folders[path] = member
        elif not path:
            raise _bad(member.name, "the root is a folder")
        elif member.kind in tar_stream.DEVICES:
            # Containers get a /dev of their own, and the rest of their root is mounted nodev.
            if path[0] != b"dev" or len(path) < 2:
                raise _bad(member.name, "a device node outside of dev/")
        else:
            self._make(archive, member, path)

    def _make(self, archive: TarStream, member: Member, path: Path) -> None:
        parent = self._enter(path[:-1])
        try:
            self._makers[member.kind](archive, member, parent, path[-1])
        except FileExistsError:
            raise LabError(
                f"unpack {shown(member.name)}", "the archive has that name twice"
            ) from None

    def _check(self, member: Member, count: int) -> None:
        tried = f"unpack {shown(member.name)}"
        if count > self._most_members:
            raise layer_limits.over(tried, f"{self._most_members} members", "LAB_LAYER_MEMBERS")
        if member.size > self._most_bytes:
            raise layer_limits.over(tried, f"{self._most_bytes} bytes", "LAB_LAYER_BYTES")
        if (largest := max(member.uid, member.gid)) >= self._ids > 1:
            raise LabError(tried, f"it is owned by {largest}; containers have {self._ids} ids here")

    def _enter(self, path: Path, make: bool = True) -> int:
        """Return a descriptor of a folder, each part of whose way is a real one, made where it is
        missing. It is this object's: the next call may close it."""
        same = len(os.path.commonprefix([self._way, list(path)]))  # of lists, it compares items
        for fd in self._opened[same + 1 :]:
            os.close(fd)
        del self._opened[same + 1 :], self._way[same:]
        try:
            for name in path[same:]:
                self._opened.append(_open_folder(name, self._opened[-1], make))
                self._way.append(name)
        except OSError as error:
            if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                raise
            where = b"/".join(path[: len(self._way) + 1])
            raise _bad(where, "a link or a file is where a folder must be") from None
        return self._opened[-1]

    def _file(self, archive: TarStream, member: Member, parent: int, name: bytes) -> None:
        fd = os.open(name, _WRITE, member.mode & 0o777, dir_fd=parent)
        try:
            for piece in archive.data(member):
                while piece:
                    piece = piece[os.write(fd, piece) :]
            self._give(fd, member)
        finally:
            os.close(fd)

    def _hard_link(self, archive: TarStream, member: Member, parent: int, name: bytes) -> None:
        target = _path(member.link)
        own = os.dup(parent)  # to enter the target's folder may close it
        try:
            source = self._enter(target[:-1], make=False)
            os.link(target[-1], name, src_dir_fd=source, dst_dir_fd=own, follow_symlinks=False)
        except (FileNotFoundError, IndexError):
            raise LabError(
                f"unpack {shown(member.name)}",
                f"it is a hard link to {shown(member.link)}, which this layer hasn't got before it",
            ) from None
        finally:
            os.close(own)

    def _link(self, archive: TarStream, member: Member, parent: int, name: bytes) -> None:
        os.symlink(member.link, name, dir_fd=parent)  # followed only inside a container's root
        if self._ids > 1 and (member.uid or member.gid):
            os.chown(name, member.uid, member.gid, dir_fd=parent, follow_symlinks=False)
        os.utime(name, ns=(member.mtime,) * 2, dir_fd=parent, follow_symlinks=False)

    def _fifo(self, archive: TarStream, member: Member, parent: int, name: bytes) -> None:
        os.mkfifo(name, 0o600, dir_fd=parent)
        fd = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW, dir_fd=parent)
        try:
            self._give(fd, member)
        finally:
            os.close(fd)

    def _give(self, fd: int, member: Member) -> None:
        """Set owner, xattrs, mode and time, in this order: chown(2) clears a file's capabilities
        and its setuid bit."""
        if self._ids > 1 and (member.uid or member.gid):
            os.fchown(fd, member.uid, member.gid)
        for name, value in member.xattrs.items():
            _set_xattr(fd, name, value)
        os.fchmod(fd, member.mode)
        os.utime(fd, ns=(member.mtime,) * 2)

    def _whiteout(self, member: Member, path: Path) -> None:
        """Note it: it hides only what is of lower layers, wherever in the archive it is."""
        if member.kind not in (tar_stream.FILE, tar_stream.HARD_LINK):  # a link, by aufs
            raise LabError(f"unpack {shown(member.name)}", "a whiteout is an empty file")
        if path[-1] == whiteouts.OPAQUE:
            self._opaque[path[:-1]] = None
        elif name := whiteouts.hidden(path[-1]):
            self._hidden[path[:-1], name] = None
        else:
            raise _bad(member.name, "a whiteout of no file")

    def _finish(self) -> None:
        """Make the whiteouts, and what later members would have changed: the folders' own facts.

        The root has none: containers see those of the writable layer above it.
        """
        for path, name in self._hidden:
            if path not in self._opaque:  # which hides all; listed below would be the device
                whiteouts.make(self._enter(path), name)
        for path in self._opaque:
            whiteouts.make_opaque(self._enter(path))
        self._folders.pop((), None)
        for path, member in self._folders.items():
            self._give(self._enter(path), member)


def _path(name: bytes) -> Path:
    """Split a name of the archive.

    Raises:
        LabError: it leaves the layer, or is none that a file of a layer can have.
    """
    path = tuple(part for part in name.split(b"/") if part not in (b"", b"."))
    if name.startswith(b"/") or b".." in path:
        raise _bad(name, "the path leaves the layer")
    if b"\n" in name:
        raise _bad(name, "the name holds a line's end")
    if any(part.startswith(whiteouts.PREFIX) for part in path[:-1]):
        raise _bad(name, "a folder has a whiteout's name")
    if len(name) > MAX_PATH or len(path) > MAX_DEPTH or max(map(len, path), default=0) > MAX_NAME:
        raise _bad(name, "the path is too long or too deep")
    return path


def _bad(name: bytes, answer: str) -> LabError:
    return LabError(f"unpack {shown(name)}", answer, "a hostile or broken archive")


def _open_folder(name: bytes, parent: int, make: bool) -> int:
    try:
        return os.open(name, _FOLDER, dir_fd=parent)
    except FileNotFoundError:
        if not make:
            raise
    os.mkdir(name, 0o755, dir_fd=parent)
    return os.open(name, _FOLDER, dir_fd=parent)


def _set_xattr(fd: int, name: bytes, value: bytes) -> None:
    """Set one that is a container's own. overlayfs's marks are not: a layer says with whiteouts
    what it hides. trusted.* is the host's, and the rest are its security modules'."""
    if name != b"security.capability" and not name.startswith(b"user."):
        return
    if name.startswith(b"user.overlay."):
        return
    try:
        os.setxattr(fd, name, value)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP):  # FIFOs have none, tmpfs no user.*
            raise

"""Archives: a tree of files as a stream of tar, read and written without following a link.

One end of the stream may be hostile: a container that changes its files while they are read, an
archive with links and "..". So every name is opened below its folder's descriptor with O_NOFOLLOW
(openat(2)): the kernel, not a look beforehand, keeps both ends inside the folder they begin at.
Owners are numbers; a name would be looked up by libc, which loads libraries of whatever root it
finds itself in (CVE-2019-14271).
"""

from __future__ import annotations

import os
import stat
import tarfile
from typing import BinaryIO

from labrt.errors import LabError

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a FIFO would wait for a writer
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_KINDS = {
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFREG: tarfile.REGTYPE,
}


class Packer:
    """Writes one tree to a stream.

    Attributes:
        left_out: names of what is neither a file, a folder nor a link.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._archive = tarfile.open(  # noqa: SIM115 - closed by `pack`
            fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT, encoding="utf-8"
        )
        self._seen: dict[tuple[int, int], str] = {}
        self.left_out: list[str] = []

    def pack(self, folder: int, entry: str, name: str) -> None:
        """Pack `entry` of the open folder, and all below it, under `name`; end the archive.

        Raises:
            OSError: the kernel's answer; a file that shrinks meanwhile is an error, too.
        """
        self._add(folder, entry, name)
        self._archive.close()

    def _add(self, folder: int, entry: str, name: str) -> None:
        found = os.stat(entry, dir_fd=folder, follow_symlinks=False)
        kind = _KINDS.get(stat.S_IFMT(found.st_mode))
        if kind is None:
            self.left_out.append(name)
        elif kind == tarfile.SYMTYPE:
            target = os.readlink(entry, dir_fd=folder)
            self._archive.addfile(_member(name, kind, found, target))
        elif kind == tarfile.DIRTYPE:
            self._add_folder(folder, entry, name)
        else:
            self._add_file(folder, entry, name)

    def _add_folder(self, folder: int, entry: str, name: str) -> None:
        fd = os.open(entry, _FOLDER, dir_fd=folder)
        try:
            self._archive.addfile(_member(name, tarfile.DIRTYPE, os.fstat(fd)))
            for below in sorted(os.listdir(fd)):
                self._add(fd, below, f"{name}/{below}")
        finally:
            os.close(fd)

    def _add_file(self, folder: int, entry: str, name: str) -> None:
        with os.fdopen(os.open(entry, _READ, dir_fd=folder), "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise LabError(f"pack {name}", "it became something else meanwhile")
            first = self._seen.setdefault((found.st_dev, found.st_ino), name)
            if first != name:
                self._archive.addfile(_member(name, tarfile.LNKTYPE, found, first))
            else:
                self._archive.addfile(_member(name, tarfile.REGTYPE, found), file)


def _member(name: str, kind: bytes, found: os.stat_result, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    member.mode = stat.S_IMODE(found.st_mode)
    member.uid, member.gid, member.mtime = found.st_uid, found.st_gid, int(found.st_mtime)
    member.size = found.st_size if kind == tarfile.REGTYPE else 0
    return member


class Unpacker:
    """Reads a stream into an open folder, laying what it holds over what is there.

    Args:
        folder: its descriptor.
        place: where in the folder the archive's "." goes, as names.
        owners: whether the archive's owners are kept; otherwise all is the unpacking user's.
        modes: which bits of a mode are kept; 0o777 leaves out setuid and its like.
        folder_only: whether only a folder may take the place.
    """

    def __init__(
        self,
        folder: int,
        place: list[str],
        owners: bool = False,
        modes: int = 0o7777,
        folder_only: bool = False,
    ) -> None:
        self._folder = folder
        self._place = place
        self._owners = owners
        self._modes = modes
        self._folder_only = folder_only
        self._folders: list[tuple[list[str], tarfile.TarInfo]] = []

    def unpack(self, stream: BinaryIO) -> None:
        """Unpack the whole stream.

        Raises:
            LabError: a name leaves the folder, or isn't a file, a folder or a link.
            OSError, tarfile.TarError: the kernel's answer; a damaged archive.
        """
        with tarfile.open(fileobj=stream, mode="r|", encoding="utf-8") as archive:
            for member in archive:
                self._extract(archive, member)
        while stream.read(1 << 16):
            pass  # padding; who writes it must not find us gone
        for parts, member in reversed(self._folders):  # what may close a folder comes last
            fd = self._enter(parts)
            self._finish(fd, member)
            os.close(fd)

    def _extract(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        parts = self._parts(member.name)
        if member.isdir():
            os.close(self._enter(parts))
            if parts or self._owners:
                self._folders.append((parts, member))
            return
        if not parts or (self._folder_only and parts == self._place):
            raise LabError(f"unpack {member.name}", "a file can't take a folder's place")
        parent = self._enter(parts[:-1])
        try:
            self._replace(archive, member, parent, parts[-1])
        finally:
            os.close(parent)

    def _parts(self, name: str) -> list[str]:
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if ".." in parts:
            raise LabError(
                f"unpack {name}", "the name leads out of the folder", "a hostile archive"
            )
        return self._place + parts

    def _enter(self, parts: list[str]) -> int:
        """Open a folder below ours, made where it is missing; no part of the way may be a link."""
        fd = os.open(".", _FOLDER, dir_fd=self._folder)
        for part in parts:
            try:
                os.mkdir(part, 0o755, dir_fd=fd)
            except FileExistsError:
                pass
            above, fd = fd, _open_folder(part, fd)
            os.close(above)
        return fd

    def _replace(
        self, archive: tarfile.TarFile, member: tarfile.TarInfo, parent: int, name: str
    ) -> None:
        try:
            os.unlink(name, dir_fd=parent)
        except FileNotFoundError:
            pass
        except IsADirectoryError:
            raise LabError(f"unpack {member.name}", "a folder is in its place") from None
        if member.issym():
            os.symlink(member.linkname, name, dir_fd=parent)
            if self._owners:
                os.chown(name, member.uid, member.gid, dir_fd=parent, follow_symlinks=False)
        elif member.islnk():
            self._link(member, parent, name)
        elif member.isreg():
            self._write(archive, member, parent, name)
        else:
            raise LabError(f"unpack {member.name}", "only files, folders and links are copied")

    def _link(self, member: tarfile.TarInfo, parent: int, name: str) -> None:
        *above, last = self._parts(member.linkname)
        source = self._enter(above)
        try:
            os.link(last, name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(source)

    def _write(
        self, archive: tarfile.TarFile, member: tarfile.TarInfo, parent: int, name: str
    ) -> None:
        source = archive.extractfile(member)
        assert source is not None, "only called for regular files"
        with os.fdopen(os.open(name, _WRITE, 0o600, dir_fd=parent), "wb") as target:
            while data := source.read(1 << 20):
                target.write(data)
            target.flush()
            self._finish(target.fileno(), member)

    def _finish(self, fd: int, member: tarfile.TarInfo) -> None:
        if self._owners:
            os.fchown(fd, member.uid, member.gid)
        os.fchmod(fd, member.mode & self._modes)  # after chown(2), which clears setuid
        os.utime(fd, (member.mtime, member.mtime))


def _open_folder(name: str, parent: int) -> int:
    try:
        return os.open(name, _FOLDER, dir_fd=parent)
    except NotADirectoryError:
        raise LabError(f"enter {name!r}", "a file or a link is in its place") from None

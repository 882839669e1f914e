"""Packing: files become a tar archive, and the same files the same bytes.

Names are sorted, users have no names, no time is later than the given one. `ChangesPacker` turns an
overlay's upper layer into an image's layer: what overlayfs marks as deleted or as standing alone
becomes `.wh.NAME` and `.wh..wh..opq`
(https://github.com/opencontainers/image-spec/blob/main/layer.md#whiteouts).

Every name is opened below its folder's descriptor and no link is followed (openat(2)): what is
packed may be hostile.
"""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Callable, Collection
from typing import IO

from labrt.errors import LabError
from labrt.images import whiteouts

WHITEOUT, OPAQUE = whiteouts.PREFIX.decode(), whiteouts.OPAQUE.decode()
XATTR = "SCHILY.xattr."  # in pax headers
_OVERLAYS = "user.overlay."
_KEPT = "security.capability"  # besides user.*: what a program file may do (capabilities(7))
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a FIFO would wait for a writer
_KINDS = {
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
    stat.S_IFCHR: tarfile.CHRTYPE,
    stat.S_IFBLK: tarfile.BLKTYPE,
}


class Packer:
    """Writes trees to a stream. What is no kind that tar knows (sockets) is left out.

    Args:
        stream: where the archive goes.
        epoch: the latest time that a file may have, seconds.
        dress: changes a member before it is written.
        wanted: whether a name of the archive is wanted. An unwanted folder is still entered, and
            written where something in it is wanted.

    Attributes:
        count: of members so far.
    """

    def __init__(
        self,
        stream: IO[bytes],
        epoch: int,
        dress: Callable[[tarfile.TarInfo], object] = lambda member: None,
        wanted: Callable[[str], bool] = lambda name: True,
    ) -> None:
        self._archive = tarfile.open(  # noqa: SIM115 - closed by `close`
            fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT, encoding="utf-8"
        )
        self._epoch = epoch
        self._dress = dress
        self.wanted = wanted
        self.count = 0
        self._seen: dict[tuple[int, int], str] = {}
        self._waiting: list[tarfile.TarInfo] = []  # unwanted folders on the way to where we are

    def close(self) -> None:
        """End the archive."""
        self._archive.close()

    def add(self, folder: int, entry: str, name: str) -> None:
        """Add `entry` of the open folder, and all below it, as `name`.

        Raises:
            OSError: the kernel's answer; a file that shrinks meanwhile is an error, too.
        """
        found = os.stat(entry, dir_fd=folder, follow_symlinks=False)
        kind = _KINDS.get(stat.S_IFMT(found.st_mode))
        if kind == tarfile.DIRTYPE:
            fd = os.open(entry, _FOLDER, dir_fd=folder)
            try:
                self._add_folder(fd, name)
            finally:
                os.close(fd)
        elif kind is not None and self.wanted(name):
            self._add_entry(folder, entry, name, kind, found)

    def add_below(self, folder: int, name: str) -> None:
        """Add all that is in the open folder, as what is below `name` ("" for the top)."""
        for entry in sorted(os.listdir(folder), key=os.fsencode):
            self.add(folder, entry, f"{name}/{entry}" if name else entry)

    def add_archive(self, archive: tarfile.TarFile) -> None:
        """Add all members of another archive, with their owners and modes."""
        for member in archive:
            member.mtime = min(int(member.mtime), self._epoch)
            member.uname = member.gname = ""
            member.pax_headers = {}
            self._archive.addfile(member, archive.extractfile(member) if member.isreg() else None)
            self.count += 1

    def add_text(self, name: str, text: str) -> None:
        """Add a file that is on no disk."""
        member, data = tarfile.TarInfo(name), text.encode()
        member.size = len(data)
        self._write(member, io.BytesIO(data))

    def _add_folder(self, fd: int, name: str) -> None:
        member = self._member(name, tarfile.DIRTYPE, os.fstat(fd))
        member.pax_headers = _attributes(fd)
        self._waiting.append(member)
        if self._folder_wanted(fd, name):
            self._write_waiting()
        self.add_below(fd, name)
        if self._waiting and self._waiting[-1] is member:
            self._waiting.pop()

    def _folder_wanted(self, fd: int, name: str) -> bool:
        return self.wanted(name)

    def _add_entry(
        self, folder: int, entry: str, name: str, kind: bytes, found: os.stat_result
    ) -> None:
        member = self._member(name, kind, found)
        first = self._seen.setdefault((found.st_dev, found.st_ino), name)
        if first != name and found.st_nlink > 1:
            member.type, member.linkname = tarfile.LNKTYPE, first
            self._write(member)
        elif kind == tarfile.REGTYPE:
            self._add_file(os.open(entry, _READ, dir_fd=folder), member)
        else:
            if kind == tarfile.SYMTYPE:
                member.linkname = os.readlink(entry, dir_fd=folder)
            member.devmajor, member.devminor = os.major(found.st_rdev), os.minor(found.st_rdev)
            self._write(member)

    def _add_file(self, fd: int, member: tarfile.TarInfo) -> None:
        with os.fdopen(fd, "rb") as file:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode):
                raise LabError(f"pack {member.name}", "it became something else meanwhile")
            member.size = found.st_size
            member.pax_headers = _attributes(fd)
            self._write(member, file)

    def _member(self, name: str, kind: bytes, found: os.stat_result) -> tarfile.TarInfo:
        member = tarfile.TarInfo(name)
        member.type, member.mode = kind, stat.S_IMODE(found.st_mode)
        member.uid, member.gid = found.st_uid, found.st_gid
        member.mtime = min(int(found.st_mtime), self._epoch)
        return member

    def _write(self, member: tarfile.TarInfo, data: IO[bytes] | None = None) -> None:
        self._write_waiting()
        self._put(member, data)

    def _write_waiting(self) -> None:
        folders, self._waiting = self._waiting, []
        for member in folders:
            self._put(member)

    def _put(self, member: tarfile.TarInfo, data: IO[bytes] | None = None) -> None:
        self.count += 1
        self._dress(member)
        self._archive.addfile(member, data)


class ChangesPacker(Packer):
    """Writes an overlay's upper layer as a layer of an image.

    Args:
        ours: names that the lab itself has put there for mounts; they are left out, and so is a
            folder that holds nothing else.
    """

    def __init__(self, stream: IO[bytes], epoch: int, ours: Collection[str]) -> None:
        super().__init__(stream, epoch, wanted=lambda name: name not in ours)

    def add(self, folder: int, entry: str, name: str) -> None:
        if entry.startswith(WHITEOUT):
            raise LabError(f"pack {name}", "in a layer such a name means a deletion")
        super().add(folder, entry, name)

    def _folder_wanted(self, fd: int, name: str) -> bool:
        names = [f"{name}/{entry}" for entry in os.listdir(fd)]
        holds_only_ours = bool(names) and not any(map(self.wanted, names))
        return self.wanted(name) and not holds_only_ours

    def _add_folder(self, fd: int, name: str) -> None:
        if self.wanted(name):  # nothing below a mount point is the container's
            super()._add_folder(fd, name)

    def add_below(self, folder: int, name: str) -> None:
        if name and _is_opaque(folder):
            self._write(tarfile.TarInfo(f"{name}/{OPAQUE}"))
        super().add_below(folder, name)

    def _add_entry(
        self, folder: int, entry: str, name: str, kind: bytes, found: os.stat_result
    ) -> None:
        if whiteouts.is_whiteout(found):
            above, _, last = name.rpartition("/")
            self._write(tarfile.TarInfo(f"{above}/{WHITEOUT}{last}".lstrip("/")))
        else:
            super()._add_entry(folder, entry, name, kind, found)


def _is_opaque(fd: int) -> bool:
    """Whether a folder of an upper layer hides what lower layers have there."""
    try:
        return os.getxattr(fd, whiteouts.MARK) == b"y"
    except OSError:
        return False


def _attributes(fd: int) -> dict[str, str]:
    """A file's extended attributes as tar's pax headers have them (xattr(7))."""
    kept = [
        name
        for name in sorted(os.listxattr(fd))
        if name == _KEPT or (name.startswith("user.") and not name.startswith(_OVERLAYS))
    ]
    return {f"{XATTR}{name}": os.fsdecode(os.getxattr(fd, name)) for name in kept}

"""Archives of images: a tar file that holds images, as `docker save` and others write it.

Whoever wrote it may be hostile. Nothing of it is ever unpacked: its members are looked up by name,
and read. A name that leads out of it, two members of one name, and what is neither file, folder nor
link make the whole archive refused; a link is followed to another member, and nowhere else.
"""

from __future__ import annotations

import io
import os
import posixpath
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

from labrt import paths
from labrt.errors import LabError
from labrt.images import documents, sniffing, store
from labrt.images.arriving import MOST, Budget
from labrt.images.documents import Document
from labrt.images.tar_stream import FILE, FOLDER, HARD_LINK, LINK, Member, TarStream, shown

STREAM = "-"  # instead of a path: standard input or output
_MOST_MEMBERS = 100_000  # a thousand images' worth


class Archive:
    """The members of a tar archive, by name.

    Args:
        file: positioned at its beginning; it is read to its end.

    Raises:
        LabError: it is damaged or hostile.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._members: dict[str, tuple[Member, int]] = {}
        for member in TarStream(file).members():
            self._add(member, file.tell())

    def _add(self, member: Member, offset: int) -> None:
        name = inside(member.name)
        if member.kind not in (FILE, FOLDER, LINK, HARD_LINK):
            raise _refused(name, "it is neither a file, a folder nor a link")
        if name in self._members and member.kind != FOLDER:
            raise _refused(name, "it is there twice")
        if len(self._members) >= _MOST_MEMBERS:
            raise _refused(name, f"it comes after {_MOST_MEMBERS} others")
        self._members[name] = (member, offset)

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def open(self, name: str) -> io.BufferedReader:
        """Open a file.

        Raises:
            LabError: there is none of this name.
        """
        member, offset = self._found(inside(os.fsencode(name)))
        if member.kind in (LINK, HARD_LINK):  # how Docker wrote a layer that it had written already
            folder = posixpath.dirname(name) if member.kind == LINK else ""
            member, offset = self._found(inside(member.link, folder))
        if member.kind != FILE:
            raise _refused(name, "it is no file")
        return io.BufferedReader(_Part(self._file, offset, member.size))

    def _found(self, name: str) -> tuple[Member, int]:
        try:
            return self._members[name]
        except KeyError:
            raise _refused(name, "it isn't there") from None

    def read(self, name: str) -> bytes:
        """Return a document's bytes.

        Raises:
            LabError: as `open`; it is larger than documents are.
        """
        with self.open(name) as stream:
            data = stream.read(documents.LARGEST + 1)
        if len(data) > documents.LARGEST:
            raise _refused(name, f"it has more than {documents.LARGEST} bytes")
        return data

    def document(self, name: str) -> Document:
        """Return a document.

        Raises:
            LabError: as `read`; it isn't JSON.
        """
        return documents.read(self.read(name), f"{name} of the archive")


def inside(name: bytes, folder: str = "") -> str:
    """Return the plain form of a name that is meant from a folder of the archive.

    Raises:
        LabError: it leads out of the archive.
    """
    path = posixpath.normpath(posixpath.join(folder, os.fsdecode(name)))
    if path.startswith("/") or path.split("/")[0] == "..":
        raise _refused(path, "the name leads out of it")
    return path


def _refused(name: str, answer: str) -> LabError:
    tried = f"read {shown(os.fsencode(name))} of the archive"
    return LabError(tried, answer, "a damaged or hostile archive")


class _Part(io.RawIOBase):
    """Some bytes of a file, as a file."""

    def __init__(self, file: BinaryIO, offset: int, size: int) -> None:
        self._file, self._offset, self._left = file, offset, size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = os.pread(self._file.fileno(), min(len(buffer), self._left), self._offset)
        buffer[: len(data)] = data
        self._offset += len(data)
        self._left -= len(data)
        return len(data)


@contextmanager
def reading(path: str) -> Iterator[Archive]:
    """Open an archive, compressed or not; `STREAM` is standard input.

    Raises:
        LabError: it is hostile, damaged, or no archive.
    """
    with source(path) as file, _seekable(file) as seekable:
        yield Archive(seekable)


@contextmanager
def source(path: str) -> Iterator[io.BufferedReader]:
    """Open a file to read; `STREAM` is standard input.

    Raises:
        LabError: standard input is a terminal.
    """
    if path != STREAM:
        with open(path, "rb") as file:
            yield file
    elif sys.stdin.isatty():
        raise LabError("read an archive", "standard input is a terminal", remedy="-i FILE")
    else:
        yield cast(io.BufferedReader, sys.stdin.buffer)


@contextmanager
def _seekable(file: io.BufferedReader) -> Iterator[BinaryIO]:
    """Members may come in any order. So the bytes of a pipe, or of a compressed file, go to disk
    first: to a file without a name, which ends with us (open(2), O_TMPFILE)."""
    regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
    if regular and file.tell() == 0 and sniffing.is_plain(file.peek(sniffing.LONGEST)):
        yield file
        return
    import tempfile

    paths.make(store.folder())
    with tempfile.TemporaryFile(dir=store.folder()) as spooled, sniffing.plain(file) as plain:
        for piece in Budget(MOST).pieces(plain):
            spooled.write(piece)
        spooled.seek(0)
        yield cast(BinaryIO, spooled)


@contextmanager
def target(path: str) -> Iterator[BinaryIO]:
    """Open a file to write: it appears whole when the block ends, or not at all; what is no regular
    file (/dev/null) is written straight. `STREAM` is standard output.

    Raises:
        LabError: standard output is a terminal.
    """
    if path == STREAM:
        if sys.stdout.isatty():
            raise LabError("write an archive", "standard output is a terminal", remedy="-o FILE")
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    elif os.path.exists(path) and not os.path.isfile(path):
        with open(path, "wb") as file:
            yield file
    else:
        with _whole(os.path.realpath(path)) as file:
            yield file


@contextmanager
def _whole(path: str) -> Iterator[BinaryIO]:
    aside = f"{path}.new-{os.getpid()}"
    with open(aside, "xb") as file:
        try:
            yield file
            file.flush()
            os.replace(aside, path)
        except BaseException:
            os.unlink(aside)
            raise

"""Flattening: an image's layers as one tree, as overlayfs would show them, without unpacking any.

The layers are read as streams, the uppermost first: what a name means is settled by the first layer
that speaks of it, so each is read once and no file's contents are ever held. A second look at a
layer is taken only for a file that is hidden while another hard link to it isn't.

Whiteouts as in https://github.com/opencontainers/image-spec/blob/main/layer.md: "D/.wh.F" hides F
that lower layers put into D, "D/.wh..wh..opq" all of them. A file hides a lower folder with all in
it; a folder joins a lower one.

A layer is hostile input: paths that lead out of the image or through what is no folder, names given
twice, links to nowhere and sparse files are refused. Device nodes are left out.
"""

from __future__ import annotations

import hashlib
import io
import posixpath
import shutil
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import IO, Any, BinaryIO, cast

from labrt.errors import LabError
from labrt.images import store
from labrt.images.reading_ahead import Ahead
from labrt.images.store import Descriptor, Image

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
XATTRS = ("SCHILY.xattr.user.", "SCHILY.xattr.security.")  # those that a container's files may have
CHUNK = 1 << 20
MAX_READ = 4 * CHUNK  # of an extended header, which tarfile reads whole
MAX_ID = (1 << 32) - 2
MAX_TIME = (1 << 32) - 1

Found = tuple[tarfile.TarInfo, IO[bytes] | None]


def members(image: Image) -> Iterator[Found]:
    """Yield each file of the image once, with a stream of its contents if it is a regular one (to
    be read before the next is asked for).

    Names are relative and plain ("etc/passwd"). A hard link comes after what it links to, a folder
    after what is in it, and last those that no layer describes; the root is left out.

    Raises:
        LabError: a layer is missing, damaged or hostile; the digests are known at its end.
    """
    tree = _Tree()
    for blob, diff_id in zip(reversed(image.layers), reversed(image.diff_ids), strict=True):
        try:
            yield from _Layer(tree, blob, diff_id).members()
        except (tarfile.TarError, ArithmeticError, ValueError, RecursionError) as error:
            raise _damaged(blob, error) from error
    for name in sorted(tree.implied - tree.settled - {""}):
        yield _folder(name), None


def write(found: Iterable[Found], stream: IO[bytes]) -> None:
    """Write `members` as one tar archive (pax); the same image gives the same bytes.

    Raises:
        LabError: as `members`. OSError: the stream's.
    """
    for member, contents in found:
        stream.write(member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))
        if contents:
            shutil.copyfileobj(contents, stream, CHUNK)
            stream.write(bytes(-member.size % tarfile.BLOCKSIZE))
    stream.write(bytes(2 * tarfile.BLOCKSIZE))


class _Tree:
    """What the layers read so far, each above the next, have settled.

    Attributes:
        settled: names that are spoken for.
        implied: folders that must be there, because something is in them.
        gone: names at which, and below which, nothing lower is seen.
        opaque: folders below which nothing lower is seen.
    """

    def __init__(self) -> None:
        self.settled: set[str] = set()
        self.implied: set[str] = set()
        self.gone: set[str] = set()
        self.opaque: set[str] = set()

    def hides(self, name: str, folder: bool = False) -> bool:
        """Whether a lower layer's file or folder of this name isn't seen."""
        if name in self.settled or name in self.gone or (name in self.implied and not folder):
            return True
        return any(parent in self.gone or parent in self.opaque for parent in _parents(name))

    def settle(self, name: str) -> None:
        self.settled.add(name)
        self.implied.update(_parents(name))


class _Layer:
    """One layer on its way into the tree. What it hides of lower ones counts once it is read.

    Attributes:
        files: each name that is no folder → the file that it is a link to, itself if to none, ""
            if that is a device node.
        seen_as: a file → its first name that isn't hidden.
    """

    def __init__(self, tree: _Tree, blob: Descriptor, diff_id: str) -> None:
        self.tree = tree
        self.blob = blob
        self.diff_id = diff_id
        self.files: dict[str, str] = {}
        self.seen_as: dict[str, str] = {}
        self.folders: dict[str, tarfile.TarInfo] = {}
        self.whiteouts: set[str] = set()
        self.opaque: set[str] = set()

    def members(self) -> Iterator[Found]:
        links = []
        for name, member, contents in self._entries():
            if self._note(name, member) and not self.tree.hides(name) and self.files[name]:
                first = self.seen_as.setdefault(self.files[name], name)
                if first != name:
                    links.append(_link(name, first))
                elif not member.islnk():
                    yield self._settled(name, member), contents
        yield from self._moved()
        for link in links:
            yield self._settled(link.name, link), None
        for name, member in self.folders.items():
            if not self.tree.hides(name, folder=True):
                yield self._settled(name, member), None
        self.tree.gone |= self.whiteouts | self.files.keys()
        self.tree.opaque |= self.opaque

    def _note(self, name: str, member: tarfile.TarInfo) -> bool:
        """Take note of an entry; return whether it is one of `files`."""
        folder, base = posixpath.split(name)
        if base == OPAQUE:
            self.opaque.add(folder)
        elif base.startswith(WHITEOUT):
            self.whiteouts.add(posixpath.join(folder, base.removeprefix(WHITEOUT)))
        elif name:
            self._check(name, member)
            if not member.isdir():
                self.files[name] = self._file(name, member)
                return True
            self.folders[name] = member  # the last of several counts
        return False

    def _check(self, name: str, member: tarfile.TarInfo) -> None:
        through = next((parent for parent in _parents(name) if parent in self.files), None)
        if through is not None:
            raise _hostile(name, f"{through!r} on the way to it is no folder")
        if name in self.files or (name in self.folders and not member.isdir()):
            raise _hostile(name, "one layer has it twice")

    def _file(self, name: str, member: tarfile.TarInfo) -> str:
        if not member.islnk():
            return "" if member.ischr() or member.isblk() else name
        try:
            return self.files[_inside(member.linkname)]
        except KeyError:
            answer = f"it is a hard link to {member.linkname!r}, which its layer hasn't got"
            raise _hostile(name, answer) from None

    def _moved(self) -> Iterator[Found]:
        """Yield the files that are hidden while a link to them isn't, as that link."""
        moved = {file: first for file, first in self.seen_as.items() if file != first}
        for name, member, contents in self._entries() if moved else ():
            if name in moved:
                yield self._settled(moved[name], member), contents

    def _settled(self, name: str, member: tarfile.TarInfo) -> tarfile.TarInfo:
        self.tree.settle(name)
        return _plain(name, member)

    def _entries(self) -> Iterator[tuple[str, tarfile.TarInfo, IO[bytes] | None]]:
        with _opened(self.blob, self.diff_id) as archive:
            while (member := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined] # it remembers them all
                stream = archive.extractfile(member) if member.isreg() else None
                contents = stream and cast(IO[bytes], _Contents(stream, self.blob))
                yield _inside(member.name), member, contents


def _plain(name: str, member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Return the entry with nothing but what a file system keeps.

    Raises:
        LabError: no file can be so.
    """
    if member.issparse():
        raise _hostile(name, "a sparse file: it may be of any size")
    if not (0 <= member.uid <= MAX_ID and 0 <= member.gid <= MAX_ID):
        raise _hostile(name, f"ids go from 0 to {MAX_ID}")
    member.name = name
    member.mode &= 0o7777
    member.mtime = min(max(int(member.mtime), 0), MAX_TIME)
    member.uname = member.gname = ""
    member.pax_headers = {k: v for k, v in member.pax_headers.items() if k.startswith(XATTRS)}
    return member


def _link(name: str, target: str) -> tarfile.TarInfo:
    link = tarfile.TarInfo(name)
    link.type, link.linkname = tarfile.LNKTYPE, target
    return link


def _folder(name: str) -> tarfile.TarInfo:
    folder = tarfile.TarInfo(name)
    folder.type, folder.mode = tarfile.DIRTYPE, 0o755
    return folder


def _inside(name: str) -> str:
    """Return an archive's path without "./"; "" is the root itself.

    Raises:
        LabError: it leads out of the root, or no file can have it.
    """
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts:
        raise _hostile(name, "the path leaves the image")
    if "\0" in name or any(len(part.encode(errors="surrogateescape")) > 255 for part in parts):
        raise _hostile(name, "no file can have this name")
    return "/".join(parts)


def _parents(name: str) -> Iterator[str]:
    """Yield the folders above, the nearest first; the last is the root, ""."""
    while name:
        name = name.rpartition("/")[0]
        yield name


@contextmanager
def _opened(blob: Descriptor, diff_id: str) -> Iterator[tarfile.TarFile]:
    """Give a layer's archive as a stream; verify both digests once it has been read.

    Raises:
        LabError: it is missing or damaged.
    """
    from labrt.images import compression  # only now: it takes 10 ms to import

    with ExitStack() as stack:
        packed = stack.enter_context(store.Verified(blob.digest))
        archive = stack.enter_context(compression.reading(cast(BinaryIO, packed), blob.media_type))
        hashed = _Hashed(archive, blob)
        plain = _Forward(stack.enter_context(Ahead(hashed)), CHUNK)
        yield stack.enter_context(tarfile.open(fileobj=plain, mode="r:", encoding="utf-8"))
        while plain.read(CHUNK):
            pass
        packed.finish()
        if hashed.digest != diff_id:
            raise _damaged(blob, f"its contents aren't {diff_id}")


class _Hashed(io.RawIOBase):
    """An archive's bytes as they are read, and their digest."""

    def __init__(self, stream: BinaryIO, blob: Descriptor) -> None:
        self._stream = stream
        self._blob = blob
        self._hash = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        from zstandard import ZstdError

        try:
            count: int = self._stream.readinto(buffer)  # type: ignore[attr-defined]
        except (OSError, EOFError, zlib.error, ZstdError) as error:
            raise _damaged(self._blob, error) from error
        self._hash.update(memoryview(buffer)[:count])
        return count

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"


class _Forward(io.BufferedReader):
    """Lets tarfile skip forward in what can only be read; its own streams ("r|") copy too much."""

    def __init__(self, raw: io.RawIOBase, size: int) -> None:
        super().__init__(raw, size)
        self._place = 0

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= MAX_READ:
            raise tarfile.ReadError(f"an extended header of {size} bytes")
        data = super().read(size)
        self._place += len(data)
        return data

    def tell(self) -> int:
        return self._place

    def seek(self, place: int, whence: int = io.SEEK_SET) -> int:
        if place < self._place:
            raise tarfile.ReadError("it leads back to what was read before")
        while self._place < place and self.read(min(CHUNK, place - self._place)):
            pass
        return self._place


class _Contents:
    """A file's bytes, read by whoever got the file."""

    def __init__(self, stream: IO[bytes], blob: Descriptor) -> None:
        self._stream = stream
        self._blob = blob

    def read(self, size: int = -1) -> bytes:
        if size < 0:
            return b"".join(iter(lambda: self.read(CHUNK), b""))
        try:
            return self._stream.read(size)
        except tarfile.TarError as error:
            raise _damaged(self._blob, error) from error


def _hostile(name: str, answer: str) -> LabError:
    return LabError(f"unpack {name[:200]!r}", answer, "a hostile or broken archive")


def _damaged(blob: Descriptor, why: Exception | str) -> LabError:
    return LabError(f"read the layer {blob.digest}", str(why), "it is damaged")

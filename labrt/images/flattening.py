"""Flattening: an image's layers as one tree, as overlayfs would show them, without unpacking any.

The layers are read as streams, the uppermost first: what a name means is settled by the first layer
that speaks of it, so each is read once and no file's contents are ever held. A second look at a
layer is taken only for a file that is hidden while another hard link to it isn't.

Whiteouts as in https://github.com/opencontainers/image-spec/blob/main/layer.md: "D/.wh.F" hides F
that lower layers put into D, "D/.wh..wh..opq" all of them. A file hides a lower folder with all in
it; a folder joins a lower one.

A layer is hostile input: paths that lead out of the image or through what is no folder, names given
twice and links to nowhere are refused. Device nodes are left out.
"""

from __future__ import annotations

import io
import posixpath
import shutil
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import IO, cast

from labrt.errors import LabError
from labrt.images import layer_archive, tar_stream, whiteouts
from labrt.images.pieces import Pieces
from labrt.images.reading_ahead import Ahead
from labrt.images.store import Descriptor, Image
from labrt.images.tar_stream import Member, TarStream

XATTRS = (b"user.", b"security.")  # those that a container's files may have
CHUNK = 1 << 20
MAX_TIME = (1 << 32) - 1

Found = tuple[tarfile.TarInfo, IO[bytes] | None]


def members(image: Image) -> Iterator[Found]:
    """Yield each file of the image once, with a stream of its contents if it is a regular one (to
    be read before the next is asked for).

    Names are relative and plain ("etc/passwd"). A hard link comes after what it links to, a folder
    after what is in it, and last those that no layer describes; the root is left out.

    Raises:
        LabError: a layer is missing, damaged, hostile or too large; its digests are known at its
            end.
    """
    tree = _Tree()
    for blob, diff_id in zip(reversed(image.layers), reversed(image.diff_ids), strict=True):
        try:
            yield from _Layer(tree, blob, diff_id).members()
        except LabError as error:
            raise LabError(f"read the layer {blob.digest}", str(error)) from error
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
        self.folders: dict[str, Member] = {}
        self.whiteouts: set[str] = set()
        self.opaque: set[str] = set()

    def members(self) -> Iterator[Found]:
        links = []
        for name, member, contents in self._entries():
            if self._note(name, member) and not self.tree.hides(name) and self.files[name]:
                first = self.seen_as.setdefault(self.files[name], name)
                if first != name:
                    links.append(_link(name, first))
                elif member.kind != tar_stream.HARD_LINK:
                    yield self._settled(name, member), contents
        yield from self._moved()
        for link in links:
            self.tree.settle(link.name)
            yield link, None
        for name, member in self.folders.items():
            if not self.tree.hides(name, folder=True):
                yield self._settled(name, member), None
        self.tree.gone |= self.whiteouts | self.files.keys()
        self.tree.opaque |= self.opaque

    def _note(self, name: str, member: Member) -> bool:
        """Take note of an entry; return whether it is one of `files`."""
        folder, base = posixpath.split(name)
        if base == whiteouts.OPAQUE.decode():
            self.opaque.add(folder)
        elif base.startswith(prefix := whiteouts.PREFIX.decode()):
            self.whiteouts.add(posixpath.join(folder, base.removeprefix(prefix)))
        elif name:
            self._check(name, member)
            if member.kind != tar_stream.FOLDER:
                self.files[name] = self._file(name, member)
                return True
            self.folders[name] = member  # the last of several counts
        return False

    def _check(self, name: str, member: Member) -> None:
        through = next((parent for parent in _parents(name) if parent in self.files), None)
        if through is not None:
            raise _hostile(name, f"{through!r} on the way to it is no folder")
        folder = member.kind == tar_stream.FOLDER
        if name in self.files or (name in self.folders and not folder):
            raise _hostile(name, "one layer has it twice")

    def _file(self, name: str, member: Member) -> str:
        if member.kind != tar_stream.HARD_LINK:
            return "" if member.kind in tar_stream.DEVICES else name
        target = _inside(member.link)
        if target in self.files:
            return self.files[target]
        raise _hostile(name, f"it is a hard link to {target!r}, which its layer hasn't got")

    def _moved(self) -> Iterator[Found]:
        """Yield the files that are hidden while a link to them isn't, as that link."""
        moved = {file: first for file, first in self.seen_as.items() if file != first}
        for name, member, contents in self._entries() if moved else ():
            if name in moved:
                yield self._settled(moved[name], member), contents

    def _settled(self, name: str, member: Member) -> tarfile.TarInfo:
        self.tree.settle(name)
        return _info(name, member)

    def _entries(self) -> Iterator[tuple[str, Member, IO[bytes] | None]]:
        with _opened(self.blob, self.diff_id) as archive:
            for member in archive.members():
                contents = Pieces(archive.data(member)) if member.kind == tar_stream.FILE else None
                yield _inside(member.name), member, cast(IO[bytes] | None, contents)


def _info(name: str, member: Member) -> tarfile.TarInfo:
    """Return the entry as tarfile writes it, with nothing but what a file system keeps."""
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.size = member.kind, member.mode, member.size
    info.uid, info.gid, info.linkname = member.uid, member.gid, _text(member.link)
    info.mtime = min(max(member.mtime // 10**9, 0), MAX_TIME)
    info.pax_headers = {
        f"SCHILY.xattr.{_text(key)}": _text(value)
        for key, value in member.xattrs.items()
        if key.startswith(XATTRS)
    }
    return info


def _link(name: str, target: str) -> tarfile.TarInfo:
    link = tarfile.TarInfo(name)
    link.type, link.linkname = tarfile.LNKTYPE, target
    return link


def _folder(name: str) -> tarfile.TarInfo:
    folder = tarfile.TarInfo(name)
    folder.type, folder.mode = tarfile.DIRTYPE, 0o755
    return folder


def _text(name: bytes) -> str:
    return name.decode(errors="surrogateescape")


def _inside(path: bytes) -> str:
    """Return an archive's path without "./"; "" is the root itself.

    Raises:
        LabError: it leads out of the root, or no file can have it.
    """
    parts = [part for part in path.split(b"/") if part not in (b"", b".")]
    if path.startswith(b"/") or b".." in parts:
        raise _hostile(_text(path), "the path leaves the image")
    if any(len(part) > 255 for part in parts):
        raise _hostile(_text(path), "no file can have this name")
    return _text(b"/".join(parts))


def _parents(name: str) -> Iterator[str]:
    """Yield the folders above, the nearest first; the last is the root, ""."""
    while name:
        name = name.rpartition("/")[0]
        yield name


@contextmanager
def _opened(blob: Descriptor, diff_id: str) -> Iterator[TarStream]:
    """Give a layer's archive; it is verified once all its members have been read."""
    with (
        closing(layer_archive.pieces(blob, diff_id)) as plain,
        Ahead(Pieces(plain)) as ahead,
        io.BufferedReader(ahead, CHUNK) as stream,
    ):
        yield TarStream(stream)


def _hostile(name: str, answer: str) -> LabError:
    return LabError(f"unpack {name[:200]!r}", answer, "a hostile or broken archive")

"""Comparing two images: which files differ, by how many bytes, and which layers they share.

An image's files are what its layers give, laid over each other: a file of an upper layer hides the
one below, ".wh.NAME" takes NAME away, and ".wh..wh..opq" all that the layers below have in its
folder (image-spec, layer.md#whiteouts). They are read from the layers' archives; nothing is
unpacked.

A virtual machine's disk has no such layers: what two of them share can't be told from outside.
"""

from __future__ import annotations

import hashlib
import io
import posixpath
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, Literal, NamedTuple, cast

from labrt.errors import LabError
from labrt.images import compression, members, store
from labrt.images.store import Descriptor, Image

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"


class File(NamedTuple):
    """What a file is: two that are equal are the same to a container."""

    kind: bytes
    mode: int
    owner: tuple[int, int]
    size: int
    content: str  # a digest; of a link, where it leads; of a device, its numbers


class Change(NamedTuple):
    """A file that the images haven't in common: "A" added, "C" changed, "D" deleted, and its bytes
    before and after, 0 where it isn't."""

    kind: Literal["A", "C", "D"]
    path: str
    before: int
    after: int


class Comparison(NamedTuple):
    """How an image differs from another.

    Attributes:
        shared: layers of both, by their uncompressed digest: stored, sent and unpacked once.
        only_before, only_after: layers of one alone.
        changes: files, by path.
    """

    shared: list[Descriptor]
    only_before: list[Descriptor]
    only_after: list[Descriptor]
    changes: list[Change]


def compare(before: Image, after: Image) -> Comparison:
    """Return how `after` differs from `before`.

    Raises:
        LabError: a layer is missing, damaged or no tar archive.
    """
    known: dict[str, list[tuple[str, File]]] = {}  # a layer of both is read once
    return Comparison(
        [blob for blob, diff_id in _layers(after) if diff_id in before.diff_ids],
        [blob for blob, diff_id in _layers(before) if diff_id not in after.diff_ids],
        [blob for blob, diff_id in _layers(after) if diff_id not in before.diff_ids],
        list(changes(files(before, known), files(after, known))),
    )


def _layers(image: Image) -> list[tuple[Descriptor, str]]:
    return list(zip(image.layers, image.diff_ids, strict=True))


def changes(before: dict[str, File], after: dict[str, File]) -> Iterator[Change]:
    """Yield the files that two trees haven't in common, by path."""
    for path in sorted(before.keys() | after.keys()):
        old, new = before.get(path), after.get(path)
        if old != new:
            kind: Literal["A", "C", "D"] = "A" if old is None else "D" if new is None else "C"
            yield Change(kind, path, old.size if old else 0, new.size if new else 0)


def files(image: Image, known: dict[str, list[tuple[str, File]]] | None = None) -> dict[str, File]:
    """Return an image's files by their path, as a container sees them.

    Args:
        known: layers that were read before, by uncompressed digest; those read now are added.

    Raises:
        LabError: as `compare`.
    """
    known = {} if known is None else known
    tree: dict[str, File] = {}
    for blob, diff_id in _layers(image):
        if diff_id not in known:
            known[diff_id] = _read(blob)
        lay(tree, known[diff_id])
    return tree


def lay(tree: dict[str, File], layer: Iterable[tuple[str, File]]) -> None:
    """Lay a layer over a tree: first what it takes away, then what it has, as overlayfs does."""
    entries = list(layer)
    for path, _ in entries:
        folder, name = posixpath.split(path)
        if name == _OPAQUE:
            _take(tree, f"{folder}/" if folder else "")
        elif name.startswith(_WHITEOUT):
            _take(tree, posixpath.join(folder, name.removeprefix(_WHITEOUT)))
    for path, file in entries:
        if not posixpath.basename(path).startswith(_WHITEOUT):
            if file.kind != tarfile.DIRTYPE and tree.get(path, file).kind == tarfile.DIRTYPE:
                _take(tree, path)  # a file in a folder's place
            tree[path] = file


def _take(tree: dict[str, File], gone: str) -> None:
    """Take a file or a folder away; with "/" at the end, what is in the folder; with "", all."""
    below = gone if gone.endswith("/") or not gone else f"{gone}/"
    for path in [path for path in tree if path == gone or path.startswith(below)]:
        del tree[path]


def _read(blob: Descriptor) -> list[tuple[str, File]]:
    """Read a layer's archive: names and contents, in its order; a hard link is what it links to."""
    found: dict[str, File] = {}
    entries = []
    with _archive(blob) as archive:
        for member in members.each(archive):
            path = _plain(member.name)
            linked = found.get(_plain(member.linkname)) if member.islnk() else None
            found[path] = linked or _file(archive, member)
            entries.append((path, found[path]))
    return entries


def _file(archive: tarfile.TarFile, member: tarfile.TarInfo) -> File:
    content = member.linkname
    if member.isreg():
        stream = cast(io.BufferedReader, archive.extractfile(member))
        content = hashlib.file_digest(stream, "sha256").hexdigest()
    elif member.isdev():
        content = f"{member.devmajor}:{member.devminor}"
    owner = (member.uid, member.gid)
    kind = tarfile.REGTYPE if member.isreg() else member.type
    return File(kind, member.mode & 0o7777, owner, member.size, content)


@contextmanager
def _archive(blob: Descriptor) -> Iterator[tarfile.TarFile]:
    """Open a layer's archive as a stream; at the end of the block its digest has been verified."""
    import zlib

    import zstandard

    try:
        with (
            store.Verified(blob.digest) as packed,
            compression.reading(cast(BinaryIO, packed), blob.media_type) as plain,
            tarfile.open(fileobj=plain, mode="r|", tarinfo=members.Member) as archive,
        ):
            yield archive
            while plain.read(1 << 20):
                pass
            packed.finish()
    except (tarfile.TarError, EOFError, OSError, zlib.error, zstandard.ZstdError) as error:
        raise LabError(f"read the layer {blob.digest}", str(error), "it is damaged") from error


def _plain(name: str) -> str:
    return posixpath.normpath(f"/{name}").lstrip("/")

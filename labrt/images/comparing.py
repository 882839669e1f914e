"""Comparing two images: which files differ, by how many bytes, and which layers they share.

An image's files are what its layers give, laid over each other, whiteouts applied
(`labrt/images/flattening.py`); nothing is unpacked. A layer that both images have is stored, sent
and unpacked once. A virtual machine's disk has no layers: two of them share nothing by themselves.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator
from typing import IO, Literal, NamedTuple

from labrt.images import flattening
from labrt.images.store import Descriptor, Image

_PIECE = 1 << 20  # bytes


class File(NamedTuple):
    """What a file is: two that are equal are the same to a container."""

    kind: bytes
    mode: int
    owner: tuple[int, int]
    size: int
    content: str  # a digest; of a link, where it leads


class Change(NamedTuple):
    """A file that two images haven't in common: "A" added, "C" changed, "D" deleted, and its bytes
    before and after, 0 where it isn't."""

    kind: Literal["A", "C", "D"]
    path: str
    before: int
    after: int


class Comparison(NamedTuple):
    """How an image differs from another: the layers of both, those of one alone, and the files by
    path."""

    shared: list[Descriptor]
    only_before: list[Descriptor]
    only_after: list[Descriptor]
    changes: list[Change]


def compare(before: Image, after: Image) -> Comparison:
    """Return how `after` differs from `before`.

    Raises:
        LabError: a layer is missing, damaged or hostile.
    """
    return Comparison(
        [blob for blob, diff_id in _layers(after) if diff_id in before.diff_ids],
        [blob for blob, diff_id in _layers(before) if diff_id not in after.diff_ids],
        [blob for blob, diff_id in _layers(after) if diff_id not in before.diff_ids],
        list(changes(files(before), files(after))),
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


def files(image: Image) -> dict[str, File]:
    """Return an image's files by their path, as a container sees them.

    Raises:
        LabError: as `compare`.
    """
    return {member.name: _file(member, data) for member, data in flattening.members(image)}


def _file(member: tarfile.TarInfo, data: IO[bytes] | None) -> File:
    content = _digest(data) if data else member.linkname
    return File(member.type, member.mode, (member.uid, member.gid), member.size, content)


def _digest(data: IO[bytes]) -> str:
    found = hashlib.sha256()
    while piece := data.read(_PIECE):
        found.update(piece)
    return found.hexdigest()

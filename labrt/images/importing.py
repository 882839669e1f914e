"""Importing: a root file system's tar archive becomes an image of one layer.

What the archive doesn't tell (the command, the environment) is said in the Dockerfile's words. No
time is noted: the same archive and the same words give the same digest.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import IO, Any, BinaryIO, cast

from labrt.images import archives, making, references, sniffing, store
from labrt.images.arriving import MOST, Budget
from labrt.images.changing import Settings, change
from labrt.images.store import Image
from labrt.images.tar_stream import TarStream


def import_root(path: str, name: str, changes: Sequence[str] = ()) -> Image:
    """Make an image of an archive, which may be compressed with gzip, zstd or xz.

    Args:
        path: of the file; `archives.STREAM` is standard input.
        name: "" for none.
        changes: instructions like "CMD /bin/sh".

    Raises:
        LabError: it is damaged or hostile, or a change isn't one; nothing is left.
    """
    if name:
        references.parse(name)
    settings: Settings = {}
    for instruction in changes:
        change(settings, instruction)
    with store.adding(), archives.source(path) as file, sniffing.plain(file) as plain:
        layer = making.layer(lambda stream: _copy(plain, stream))
        image = making.image(name, [layer], _config(settings))
        if not name:
            store.tag("", image.digest)
        return image


def _config(settings: Settings) -> dict[str, Any]:
    return {
        "architecture": making.architecture(),
        "os": "linux",
        "config": settings,
        "history": [{"created_by": "labrt import"}],
    }


def _copy(source: IO[bytes], target: IO[bytes]) -> None:
    """Copy a tar archive, while looking whether it is a whole one whose names stay inside."""
    tee = _Tee(source, target)
    for member in TarStream(cast(BinaryIO, io.BufferedReader(tee))).members():
        archives.inside(member.name)


class _Tee(io.RawIOBase):
    """Writes what is read into another stream."""

    def __init__(self, source: IO[bytes], target: IO[bytes]) -> None:
        self._pieces = Budget(MOST).pieces(source)
        self._target = target
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._left:
            self._left = next(self._pieces, b"")
            self._target.write(self._left)
        data, self._left = self._left[: len(buffer)], self._left[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)

"""Importing: a root file system's tar archive becomes an image of one layer.

What the archive doesn't tell (the command, the environment) is said in the Dockerfile's words. No
time is noted: the same archive and the same words give the same digest.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import IO

from labrt.images import archives, making, references, sniffing, store
from labrt.images.arriving import MOST, Budget
from labrt.images.changing import Settings, change
from labrt.images.pieces import Pieces
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
        told = {"config": settings, "history": [{"created_by": "labrt import"}]}
        image = making.image(name, [layer], making.config() | told)
        if not name:
            store.tag("", image.digest)
        return image


def _copy(source: IO[bytes], target: IO[bytes]) -> None:
    """Copy a tar archive, while looking whether it is a whole one whose names stay inside."""
    teed = io.BufferedReader(Pieces(_teed(source, target)))
    for member in TarStream(teed).members():
        archives.inside(member.name)


def _teed(source: IO[bytes], target: IO[bytes]) -> Iterator[bytes]:
    """Yield what a stream holds, once it is written into another."""
    for piece in Budget(MOST).pieces(source):
        target.write(piece)
        yield piece

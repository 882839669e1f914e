"""Small images, made by the tests in the store that LAB_HOME names."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping

from labrt.images import making, store
from labrt.images.making import Layer
from labrt.images.store import Image


def layer(files: Mapping[str, bytes | None], media_type: str = store.LAYER_GZIP) -> Layer:
    """A layer of these files; None makes a folder."""
    return making.layer(lambda stream: stream.write(archive(files)), media_type)


def archive(files: Mapping[str, bytes | None]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.type = tarfile.DIRTYPE if data is None else tarfile.REGTYPE
            member.mode, member.size = 0o755, len(data or b"")
            tar.addfile(member, io.BytesIO(data or b""))
    return buffer.getvalue()


def image(name: str, *layers: Mapping[str, bytes | None], **config: object) -> Image:
    """An image of layers of these files, lowest first."""
    with store.adding():
        stack = [layer(files) for files in layers]
        return making.image(name, stack, {"os": "linux", "architecture": "amd64", **config})

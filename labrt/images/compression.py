"""Compression of layers: gzip (RFC 1952), zstd (RFC 8878) or none, as their media type says.

Streams both ways: a layer may be larger than memory.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, BinaryIO, cast

from labrt.errors import LabError
from labrt.images.pieces import Pieces
from labrt.images.store import LAYER_GZIP, LAYER_TAR, LAYER_ZSTD

# Docker's own names: https://github.com/distribution/distribution/blob/main/docs/content/spec/manifest-v2-2.md
_DOCKER = "application/vnd.docker.image.rootfs.diff.tar"
# Of old, what only its maker may give away; where it is in the store, it is a layer as any other.
_NOT_GIVEN = "application/vnd.oci.image.layer.nondistributable.v1.tar"
_KINDS = {
    LAYER_TAR: "",
    LAYER_GZIP: "gzip",
    LAYER_ZSTD: "zstd",
    _DOCKER: "",
    f"{_DOCKER}.gzip": "gzip",
    f"{_DOCKER}.zstd": "zstd",
    _NOT_GIVEN: "",
    f"{_NOT_GIVEN}+gzip": "gzip",
    f"{_NOT_GIVEN}+zstd": "zstd",
}
_LEVEL = 6  # gzip(1)'s own; 9 takes four times as long for 1 % less
_BUFFER = 1 << 18  # bytes
_FEED = 1 << 10  # bytes; a block of 4 may hold 128 KiB, so that these become at most 32 MiB


def kind(media_type: str) -> str:
    """Return "gzip", "zstd" or "" for a layer's media type.

    Raises:
        LabError: no layer the lab can read.
    """
    try:
        return _KINDS[media_type]
    except KeyError:
        raise LabError(
            f"read a layer of the type {media_type!r}",
            "it is none of tar, tar+gzip and tar+zstd",
        ) from None


@contextmanager
def reading(stream: IO[bytes], media_type: str) -> Iterator[BinaryIO]:
    """Give the uncompressed bytes of a layer's blob.

    Raises:
        LabError: the type is unknown. The readers' own errors (OSError, EOFError, ZstdError) come
            from `read`; data cut short are an EOFError.
    """
    compression = kind(media_type)
    if compression == "gzip":
        with gzip.GzipFile(fileobj=stream, mode="rb") as plain:
            yield cast(BinaryIO, plain)
    elif compression == "zstd":
        with io.BufferedReader(Pieces(_frames(stream)), _BUFFER) as frames:
            yield frames
    else:
        yield cast(BinaryIO, stream)


@contextmanager
def writing(stream: IO[bytes], media_type: str) -> Iterator[BinaryIO]:
    """Give a stream whose bytes arrive compressed in `stream`; the same bytes give the same."""
    compression = kind(media_type)
    if compression == "gzip":
        with gzip.GzipFile("", "wb", _LEVEL, stream, mtime=0) as packed:
            yield cast(BinaryIO, packed)
    elif compression == "zstd":
        import zstandard

        with zstandard.ZstdCompressor().stream_writer(stream, closefd=False) as packed:
            yield cast(BinaryIO, packed)
    else:
        yield cast(BinaryIO, stream)


def _frames(stream: IO[bytes]) -> Iterator[bytes]:
    """Decompress zstd frames, one after the other. Unlike the library's own reader, it doesn't take
    a frame cut short for the end."""
    import zstandard

    frame, packed = None, b""
    while packed := packed or stream.read(_FEED):
        frame = frame or zstandard.ZstdDecompressor().decompressobj()
        if plain := frame.decompress(packed):
            yield plain
        frame, packed = (None, frame.unused_data) if frame.eof else (frame, b"")
    if frame:
        raise EOFError("a zstd frame is cut short")

"""Compression of layers: gzip (RFC 1952), zstd (RFC 8878) or none, as their media type says.

Streams both ways: a layer may be larger than memory.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, BinaryIO, cast

import zstandard

from labrt.errors import LabError
from labrt.images.store import LAYER_GZIP, LAYER_TAR, LAYER_ZSTD

# Docker's own names for the same (https://github.com/distribution/distribution/blob/main/docs/content/spec/manifest-v2-2.md).
_DOCKER = "application/vnd.docker.image.rootfs.diff.tar"
_KINDS = {
    LAYER_TAR: "",
    LAYER_GZIP: "gzip",
    LAYER_ZSTD: "zstd",
    _DOCKER: "",
    f"{_DOCKER}.gzip": "gzip",
    f"{_DOCKER}.zstd": "zstd",
}


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
            from `read`.
    """
    compression = kind(media_type)
    if compression == "gzip":
        with gzip.GzipFile(fileobj=stream, mode="rb") as plain:
            yield cast(BinaryIO, plain)
    elif compression == "zstd":
        with zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True) as plain:
            yield cast(BinaryIO, plain)
    else:
        yield cast(BinaryIO, stream)


@contextmanager
def writing(stream: IO[bytes], media_type: str) -> Iterator[BinaryIO]:
    """Give a stream whose bytes arrive compressed in `stream`; the same bytes give the same."""
    compression = kind(media_type)
    if compression == "gzip":
        with gzip.GzipFile(filename="", fileobj=stream, mode="wb", mtime=0) as packed:
            yield cast(BinaryIO, packed)
    elif compression == "zstd":
        with zstandard.ZstdCompressor().stream_writer(stream, closefd=False) as packed:
            yield cast(BinaryIO, packed)
    else:
        yield cast(BinaryIO, stream)

"""Compression, found by looking at the first bytes: gzip (RFC 1952), zstd (RFC 8878), xz, none."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from labrt.errors import LabError
from labrt.images import compression
from labrt.images.store import LAYER_GZIP, LAYER_TAR, LAYER_ZSTD

_GZIP, _ZSTD, _XZ = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\x00"
LONGEST = 6  # bytes to look at


def media_type(beginning: bytes) -> str:
    """Return the type of a layer that begins like this."""
    if beginning.startswith(_GZIP):
        return LAYER_GZIP
    return LAYER_ZSTD if beginning.startswith(_ZSTD) else LAYER_TAR


def is_plain(beginning: bytes) -> bool:
    return not beginning.startswith((_GZIP, _ZSTD, _XZ))


@contextmanager
def plain(stream: io.BufferedReader) -> Iterator[BinaryIO]:
    """Give the uncompressed bytes of a stream.

    Raises:
        LabError: by the block: the stream is damaged.
    """
    import lzma

    beginning = stream.peek(LONGEST)[:LONGEST]
    with damage_told("an archive"):
        if beginning.startswith(_XZ):
            with lzma.LZMAFile(stream) as opened:
                yield cast(BinaryIO, opened)
        else:
            with compression.reading(stream, media_type(beginning)) as opened:
                yield opened


@contextmanager
def damage_told(what: str) -> Iterator[None]:
    """Tell what a decompressor says of damaged data as a LabError; the kernel's errors pass."""
    import lzma
    import zlib

    import zstandard

    try:
        yield
    except (EOFError, OSError, zlib.error, zstandard.ZstdError, lzma.LZMAError) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        raise LabError(f"decompress {what}", str(error), "it is damaged") from None

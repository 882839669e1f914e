"""A layer's archive: its blob, which may be hostile, uncompressed and verified as it streams.

    blob → sha256 = digest → gzip or zstd → sha256 = diff_id

What comes before the end may be wrong: who uses it before must be ready to throw away what came of
it.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Generator, Iterator
from typing import IO

from labrt.errors import LabError
from labrt.images import compression, layer_limits, sniffing, store
from labrt.images.store import Descriptor

_PIECE = 1 << 18  # bytes


def pieces(blob: Descriptor, diff_id: str) -> Generator[bytes]:
    """Yield the archive in pieces.

    Raises:
        LabError: at the latest at its end: it isn't what its descriptor and its diff_id say, is
            missing, damaged or too large (`layer_limits`).
    """
    found = hashlib.sha256()
    with store.Verified(blob.digest) as source, io.BufferedReader(source, _PIECE) as packed:
        _check_size(blob)
        try:
            for piece in _plain(blob, packed):
                found.update(piece)
                yield piece
        except LabError:
            source.finish()  # a wrong digest is the better answer
            raise
        source.finish()
    if f"sha256:{found.hexdigest()}" != diff_id:
        raise LabError(f"unpack the layer {blob.digest}", f"its contents aren't {diff_id}")


def _check_size(blob: Descriptor) -> None:
    size = store.blob_path(blob.digest).stat().st_size
    if size != blob.size:
        answer = f"it has {size} bytes; the manifest says {blob.size}"
        raise LabError(f"unpack the layer {blob.digest}", answer, "it is damaged")


def _plain(blob: Descriptor, packed: IO[bytes]) -> Iterator[bytes]:
    """Uncompress a blob, up to the limits of `layer_limits`."""
    most = layer_limits.limit("LAB_LAYER_BYTES")
    ratio = layer_limits.limit("LAB_LAYER_RATIO")
    expected = max(layer_limits.RATIO_FROM, ratio * blob.size)
    tried, count = f"unpack the layer {blob.digest}", 0
    with (
        sniffing.damage_told(f"the layer {blob.digest}"),
        compression.reading(packed, blob.media_type) as plain,
    ):
        while piece := plain.read(_PIECE):
            count += len(piece)
            if count > most:
                raise layer_limits.over(tried, f"{most} bytes", "LAB_LAYER_BYTES")
            if count > expected:
                times = f"{ratio} times as many bytes as its blob"
                raise layer_limits.over(tried, times, "LAB_LAYER_RATIO")
            yield piece

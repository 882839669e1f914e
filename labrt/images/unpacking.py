"""Unpacking: a layer comes as a compressed archive (image-spec, layer.md) and becomes a folder.

An archive is hostile input. This process, which has its user's rights, reads the blob as a stream,
decompresses and verifies it; what it doesn't do is look into it. That is done at the other end of a
pipe, by a process that has no right to anything but the new folder (`labrt/images/extracting.py`).
The folder gets its name once both ends are content.

    blob → sha256 = digest → gzip or zstd → sha256 = diff_id → pipe → tar → files
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import zstandard

from labrt import mapped, paths
from labrt.errors import LabError, errno_text
from labrt.images import compression, layer_limits, store
from labrt.images.store import Descriptor
from labrt.state import remove_tree
from labrt.users import mappings

_PIECE = 1 << 18  # bytes
_DAMAGED = (OSError, EOFError, zlib.error, zstandard.ZstdError)  # what `compression` may raise


def unpack(blob: Descriptor, diff_id: str, folder: Path) -> None:
    """Unpack one layer aside and rename, so that a folder with the final name is always whole.

    Raises:
        LabError: the layer is missing, damaged, hostile or too large. Nothing half-made is left.
    """
    paths.make_passable(folder.parent)
    aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".new-"))
    try:
        if os.geteuid() == 0:
            os.chown(aside, *(maps[0].host_id for maps in mappings()))
        _fill(aside, blob, diff_id)
        os.rename(aside, folder)
    except BaseException as error:
        remove_tree(aside)
        if not isinstance(error, OSError):
            raise
        if not folder.exists():  # else another process has unpacked the same layer meanwhile
            raise LabError(f"unpack a layer into {folder}", errno_text(error)) from error


def _fill(folder: Path, blob: Descriptor, diff_id: str) -> None:
    ids = sum(m.size for m in mappings()[0])
    with mapped.worker("labrt.images.extracting", str(ids), folder=folder) as worker:
        assert worker.stdin is not None
        try:
            _pump(blob, diff_id, worker.stdin)
        except BrokenPipeError:
            pass  # it has given up, and tells why
        _, said = worker.communicate()
    if worker.returncode != 0:
        raise _told(diff_id, said)


def _told(diff_id: str, said: bytes) -> LabError:
    """What the worker said last: an error's parts, or a traceback's last line."""
    line = said.decode(errors="backslashreplace").strip().rpartition("\n")[2]
    tried, *rest = json.loads(line) if line.startswith("[") else ("unpack", line)
    return LabError(f"{tried} of the layer {diff_id}", *rest)


def _pump(blob: Descriptor, diff_id: str, target: IO[bytes]) -> None:
    """Send a layer's archive to `target`.

    Raises:
        LabError: it isn't what its descriptor and its diff_id say, or too large.
        BrokenPipeError: nobody reads; the blob has the right digest.
    """
    found = hashlib.sha256()
    with _opened(blob) as source, io.BufferedReader(source, _PIECE) as packed:
        try:
            for piece in _plain(blob, packed):
                found.update(piece)
                target.write(piece)
        except _DAMAGED as error:
            source.finish()  # a wrong digest is the better answer
            if isinstance(error, BrokenPipeError):
                raise
            raise LabError(f"decompress the layer {blob.digest}", str(error)) from error
        source.finish()
    if f"sha256:{found.hexdigest()}" != diff_id:
        raise LabError(f"unpack the layer {blob.digest}", f"its contents aren't {diff_id}")


def _opened(blob: Descriptor) -> store.Verified:
    source = store.Verified(blob.digest)
    size = store.blob_path(blob.digest).stat().st_size
    if size == blob.size:
        return source
    source.close()
    raise LabError(
        f"unpack the layer {blob.digest}", f"it has {size} bytes; the manifest says {blob.size}"
    )


def _plain(blob: Descriptor, packed: IO[bytes]) -> Iterator[bytes]:
    """Decompress a blob; yield the archive in pieces, up to the limits of `layer_limits`."""
    most = layer_limits.limit("LAB_LAYER_BYTES")
    ratio = layer_limits.limit("LAB_LAYER_RATIO")
    expected = max(layer_limits.RATIO_FROM, ratio * blob.size)
    tried, count = f"unpack the layer {blob.digest}", 0
    with compression.reading(packed, blob.media_type) as plain:
        while piece := plain.read(_PIECE):
            count += len(piece)
            if count > most:
                raise layer_limits.over(tried, f"{most} bytes", "LAB_LAYER_BYTES")
            if count > expected:
                times = f"{ratio} times as many bytes as its blob"
                raise layer_limits.over(tried, times, "LAB_LAYER_RATIO")
            yield piece

"""Unpacking: a layer comes as a compressed archive (image-spec, layer.md) and becomes a folder.

An archive is hostile input. This process, which has its user's rights, decompresses and verifies it
(`labrt/images/layer_archive.py`); what it doesn't do is look into it. That is done at the other end
of a pipe, by a process that has no right to anything but the new folder
(`labrt/images/extracting.py`). The folder gets its name once both ends are content.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import IO

from labrt import mapped, paths
from labrt.errors import LabError, errno_text
from labrt.images import layer_archive, store
from labrt.images.store import Descriptor
from labrt.state import remove_tree
from labrt.users import mappings


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
        LabError: as `layer_archive.pieces`.
        BrokenPipeError: nobody reads; the blob has the right digest.
    """
    try:
        for piece in layer_archive.pieces(blob, diff_id):
            target.write(piece)
    except BrokenPipeError:
        with store.Verified(blob.digest) as source:
            source.finish()  # a wrong digest is the better answer
        raise

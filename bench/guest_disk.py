"""The guest's disk: the image as a read-only squashfs file, which the guest reads as it needs it.

tar2sqfs(1) takes a tar archive from a pipe, so nothing is unpacked, no root is needed, and the
owners are those of the archive. docs/guest.md has the measurements that chose it, and its options.

The same image gives the same bytes: the files have the image's own times, the file system none.
Host side.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO, cast

from labrt.errors import LabError
from labrt.images import flattening
from labrt.images.flattening import Found

TOOL = "tar2sqfs"
# defaults: of the root, which no layer describes. no-skip: what can't be read is an error.
OPTIONS = (
    "--quiet --force --no-skip --compressor zstd --comp-extra level=9 "
    "--defaults uid=0,gid=0,mode=0755,mtime=0"
)
CHUNK = 1 << 20


def tool() -> str:
    """Return tar2sqfs's path.

    Raises:
        LabError: it isn't installed.
    """
    if found := shutil.which(TOOL):
        return found
    raise LabError(
        "build a guest's disk",
        f"no {TOOL}",
        remedy="run ./lab setup (Debian package squashfs-tools-ng)",
    )


@functools.cache
def version() -> str:
    """Return the tool's version, "1.2.0"."""
    told = subprocess.run([tool(), "--version"], capture_output=True, text=True).stdout
    return told.partition("\n")[0].rpartition(" ")[2]


def command(path: Path) -> list[str]:
    """Return the command that makes a disk of the tar archive in its standard input."""
    return [tool(), *OPTIONS.split(), os.fspath(path)]


def write(found: Iterable[Found], path: Path) -> None:
    """Make the disk `path` of an image's files.

    Raises:
        LabError: the tool's answer, or as `found`.
    """
    # The file system's own time is a constant, not that of whoever builds it.
    environment = os.environ | {"SOURCE_DATE_EPOCH": "0"}
    with tempfile.TemporaryFile() as told:
        process = subprocess.Popen(
            command(path),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=told,
            env=environment,
            bufsize=CHUNK,
        )
        try:
            flattening.write(found, cast(IO[bytes], process.stdin))
        except BrokenPipeError:
            pass  # it has ended, and says why
        except BaseException:
            process.kill()  # or it would make a disk of what it has got so far
            raise
        finally:
            process.communicate()
        told.seek(0)
        answer = "; ".join(told.read().decode(errors="replace").split("\n")).strip("; ")
    if process.returncode != 0:
        answer = answer.replace(f"{path}: ", "")
        full = "I/O error" in answer  # what the tool says of any write that failed
        raise LabError(
            "build a guest's disk",
            answer or f"{TOOL} ended with status {process.returncode}",
            "most likely no room is left" if full else "",
            "free some room, or set LAB_HOME to a folder on a larger disk" if full else "",
        )

"""The guest's disk: the image as a read-only squashfs file, which the guest reads as it needs it.

mksquashfs(1) takes a tar archive from a pipe, so nothing is unpacked, no root is needed, and the
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

TOOL = "mksquashfs"
OPTIONS = (
    "-tar -noappend -quiet -no-progress -exit-on-error -comp zstd -Xcompression-level 6 "
    "-mkfs-time 0 -root-time 0 -root-mode 755 -root-uid 0 -root-gid 0"
)
CHUNK = 1 << 20


def tool() -> str:
    """Return mksquashfs's path.

    Raises:
        LabError: it isn't installed.
    """
    if found := shutil.which(TOOL, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"):
        return found
    raise LabError(
        "build a guest's disk",
        f"no {TOOL}",
        remedy="run ./lab setup (Debian package squashfs-tools)",
    )


@functools.cache
def version() -> str:
    """Return the tool's version, "4.5.1"."""
    told = subprocess.run([tool(), "-version"], capture_output=True, text=True).stdout
    return told.partition("\n")[0].removeprefix("mksquashfs version ").partition(" ")[0]


def command(path: Path) -> list[str]:
    """Return the command that makes a disk of the tar archive in its standard input."""
    return [tool(), "-", os.fspath(path), *OPTIONS.split()]


def write(found: Iterable[Found], path: Path, options: Iterable[str] = ()) -> None:
    """Make the disk `path` of an image's files.

    Args:
        options: more of mksquashfs's, for a disk that isn't a guest's.

    Raises:
        LabError: the tool's answer, or as `found`.
    """
    # It would have every file no younger than that.
    environment = {k: v for k, v in os.environ.items() if k != "SOURCE_DATE_EPOCH"}
    with tempfile.TemporaryFile() as told:
        process = subprocess.Popen(
            [*command(path), *options],
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
        full = "No space left" in answer
        raise LabError(
            "build a guest's disk",
            answer or f"{TOOL} ended with status {process.returncode}",
            remedy="free some room, or set LAB_HOME to a larger disk" if full else "",
        )

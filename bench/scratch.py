"""A scratch: the room that one instance gets to write in, the same for every kind.

On the disk that LAB_HOME lies on, each in its own way: a process or a container gets a folder of
the host's file system, bound to /scratch; a VM a raw file, which is its disk, with a file system of
its own. The file's room is allocated and its file system made before the VM starts, so that no work
waits for either.

Work on a disk says little if it ends in the page cache. So LAB_HOME must be where direct I/O
(O_DIRECT, open(2)) goes past it; that is tried.

Host side. Man pages: open(2), preadv2(2), posix_fallocate(3), mkfs.ext4(8).
"""

from __future__ import annotations

import errno
import mmap
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.subjects.base import InstanceFailed
from labrt import paths, state, users
from labrt.errors import LabError, errno_text

TARGET = "/scratch"  # where an instance has it
SERIAL = "scratch"  # what a VM's disk is known by in the guest
BLOCK = 4096
# Blocks of the usual size also on so small a disk; nothing is left to be done when it is mounted.
FORMAT = (
    *("mkfs.ext4", "-q", "-F", "-b", str(BLOCK), "-m", "0"),
    *("-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0"),
)
FORMS = {
    "process": "a folder of the host, its working directory",
    "container": "a folder of the host, bound",
    "vm": "ext4 in a raw file of the host, allocated; virtio-blk, cache=none, io=native",
}


def home() -> Path:
    """Return the folder of the scratches."""
    return paths.home() / "scratch"


def conditions(size: int | None, kind: str) -> dict[str, Any]:
    """Return what the rows of work with a scratch are stamped with: its bytes, the host's file
    system below it, and what it is to this kind of subject. Nothing without one."""
    if size is None:
        return {}
    return {
        "scratch": size,
        "scratch_form": FORMS[kind],
        "scratch_file_system": _file_system(paths.home()),
    }


def _file_system(path: Path) -> str:
    """Return the type of the file system that a path lies on, "ext4"."""
    import psutil

    types = {Path(each.mountpoint): each.fstype for each in psutil.disk_partitions(all=True)}
    path = path.resolve()
    return str(next(types[each] for each in (path, *path.parents) if each in types))


def free() -> int:
    """Return how many bytes are free on the disk that LAB_HOME lies, or would lie, on."""
    folders = (paths.home(), *paths.home().parents)
    return shutil.disk_usage(next(folder for folder in folders if folder.exists())).free


def refusal() -> str | None:
    """Return why nothing can be measured on the disk of LAB_HOME, or None if it can."""
    remedy = "set LAB_HOME to a folder on a disk"
    try:
        paths.make_passable(paths.home())
        with tempfile.NamedTemporaryFile(prefix=".lab-direct-", dir=paths.home()) as file:
            _write_directly(file.name)
            if _is_cached(file.fileno()):
                return (
                    f"what is written directly to {paths.home()} is in RAM all the same; {remedy}"
                )
    except OSError as error:
        return f"direct I/O in {paths.home()}: {errno_text(error)}; {remedy}"
    return None


def _write_directly(path: str) -> None:
    """Write a block past the page cache; from a page's own address, as O_DIRECT wants it."""
    block = mmap.mmap(-1, BLOCK)
    file = os.open(path, os.O_WRONLY | os.O_DIRECT | os.O_CLOEXEC)
    try:
        os.pwrite(file, block, 0)
    finally:
        os.close(file)


def _is_cached(file: int) -> bool:
    """Whether the kernel could read the first block without waiting for a disk.

    Raises:
        OSError: the file system can't tell, as those in RAM.
    """
    try:
        return os.preadv(file, [bytearray(BLOCK)], 0, os.RWF_NOWAIT) > 0
    except BlockingIOError:
        return False


@dataclass(frozen=True)
class Scratch:
    """The folder of one instance; without a size it gets none.

    Attributes:
        name: of the instance.
        owner: uid and gid, on the host, of who works in it.
    """

    name: str
    size: int | None = None
    owner: int = 0

    @classmethod
    def mapped(cls, name: str, size: int | None) -> Scratch:
        """One for the root of a container with labrt's id map."""
        return cls(name, size, users.mappings()[0][0].host_id)

    @property
    def folder(self) -> Path:
        return home() / self.name

    @property
    def volumes(self) -> tuple[str, ...]:
        """What `--volume` of labrt, Docker and Podman takes: one or none."""
        return (f"{self.folder}:{TARGET}",) if self.size else ()

    @property
    def words(self) -> list[str]:
        """The same as words of a command line."""
        return [f"--volume={volume}" for volume in self.volumes]

    @contextmanager
    def made(self) -> Iterator[None]:
        """Make the folder for an instance that the block starts; if the block fails, remove it.

        Raises:
            InstanceFailed: it can't be made.
        """
        try:
            self._make()
        except OSError as error:
            raise InstanceFailed(f"make {self.folder}: {errno_text(error)}") from error
        try:
            yield
        except BaseException:
            self.remove()
            raise

    def _make(self) -> None:
        if self.size:
            paths.make_passable(home())
            self.folder.mkdir(mode=0o700)
            if self.owner != os.geteuid():
                os.chown(self.folder, self.owner, self.owner)

    def remove(self) -> None:
        """Remove it; content to find none."""
        if self.size and self.folder.exists():
            state.remove_tree(self.folder)


NONE = Scratch("")


def make_disk(file: Path, size: int, owner: tuple[int, int]) -> None:
    """Make a VM's disk, with its file system.

    Args:
        owner: uid and gid that QEMU runs as.

    Raises:
        LabError: it can't be made; nothing is left of it.
    """
    try:
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as disk:
            os.posix_fallocate(disk.fileno(), 0, size)
        done = subprocess.run([*FORMAT, file], capture_output=True, text=True, env=_environment())
        if done.returncode:
            raise LabError(f"make a file system in {file}", done.stderr.strip().splitlines()[-1])
        os.chown(file, *owner)
    except OSError as error:
        remove_disk(file)
        full = "free some room, or set LAB_HOME to a larger disk"
        remedy = full if error.errno == errno.ENOSPC else ""
        raise LabError(f"make the disk {file}", errno_text(error), remedy=remedy) from error
    except BaseException:
        remove_disk(file)
        raise


def remove_disk(file: Path) -> None:
    """Remove a VM's disk; content to find none."""
    file.unlink(missing_ok=True)


def no_file_system() -> str | None:
    """Return why a VM's disk can't be formatted here, with the remedy, or None if it can."""
    if shutil.which(FORMAT[0], path=_environment()["PATH"]) is None:
        return f"no {FORMAT[0]}; run ./lab setup (package e2fsprogs)"
    return None


def _environment() -> dict[str, str]:
    """A normal user's PATH need not have the folders where mkfs.ext4 is."""
    return {**os.environ, "PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"}


def remove_leftovers() -> list[str]:
    """Remove what a killed bench has left; return the names. Only once its instances have ended."""
    found = sorted(home().iterdir()) if home().is_dir() else []
    for entry in found:
        if entry.is_dir():
            state.remove_tree(entry)
        else:
            entry.unlink()
    return [entry.name for entry in found]

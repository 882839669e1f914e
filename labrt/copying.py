"""Copying files into and out of a container, running or not: `labrt cp`.

Two processes, joined by a pipe that carries tar. One is confined to the container (its namespaces
are joined, or its root is mounted again): every path of the container is looked up there, as the
container's root, so that no link of it can lead to a file of the host (CVE-2018-15664,
CVE-2019-14271). The other is on the host and looks up the host's path with the user's own rights.
Both run the same code, `send` and `receive`.
"""

from __future__ import annotations

import json
import os
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from errno import EPIPE
from pathlib import Path
from typing import ClassVar

from labrt import state, syscalls
from labrt.archive import Packer, Unpacker
from labrt.container import try_lock
from labrt.errors import LabError, errno_text
from labrt.perform import StepFailed, perform, undo
from labrt.recipe import visiting_running, visiting_stopped
from labrt.spec import Spec
from labrt.step import Context, Step

STREAM = "-"  # instead of a path of the host: tar on standard input or output


@dataclass(frozen=True)
class Manner:
    """How to copy.

    Attributes:
        owners: keep them; otherwise the copy belongs to the user of the side it comes to.
        follow: copy what a link leads to, not the link.
    """

    owners: bool = False
    follow: bool = False


def copy_out(folder: Path, path: str, target: str, manner: Manner) -> None:
    """Copy `path` of a container to `target` on the host, or as tar to standard output.

    Args:
        folder: the container's.

    Raises:
        LabError: it could not be copied; what had been copied by then stays.
    """
    path = _clean(path, "/")
    what = f"copy {path} of the container"
    if target == STREAM:
        return _visit(folder, CopyFiles(what, lambda: send(path, _name(path), 1, manner)))
    if manner.owners and os.geteuid() != 0:
        raise LabError(f"copy to {target}", "only root may give files to others", remedy="omit -a")
    place = _clean(target, os.getcwd())

    def half(fd: int) -> None:
        receive(place, _name(path), fd, manner, modes=0o777)  # nobody hands the host setuid files

    with _beside(f"copy to {target}", half, writes=False) as fd:
        _visit(folder, CopyFiles(what, lambda: send(path, ".", fd, manner)))


def copy_in(folder: Path, source: str, path: str, manner: Manner) -> None:
    """Copy `source` of the host, or tar from standard input, to `path` of a container.

    Raises:
        LabError: as `copy_out`.
    """
    place = _clean(path, "/")
    what = f"copy to {place} of the container"
    if source == STREAM:
        return _visit(folder, CopyFiles(what, lambda: receive(f"{place}/.", ".", 0, manner)))
    path = _clean(source, os.getcwd())
    with _beside(f"copy {source}", lambda fd: send(path, ".", fd, manner), writes=True) as fd:
        _visit(folder, CopyFiles(what, lambda: receive(place, _name(path), fd, manner)))


def _clean(path: str, base: str) -> str:
    """Return an absolute path without "..", as text; a "/" or "/." at its end is kept."""
    clean = os.path.normpath(os.path.join(base, path))
    last = os.path.basename(path)
    return f"{clean.rstrip('/')}/{last}" if last in ("", ".") else clean


def _name(path: str) -> str:
    """Return what a copy of that path is called: "." where only what is in the folder is meant."""
    return os.path.basename(path.rstrip("/")) or "."


def send(path: str, name: str, fd: int, manner: Manner) -> None:
    """Write a file or folder to a descriptor as tar, under `name`.

    Raises:
        OSError, LabError: it can't be read, or it is neither a file, a folder nor a link.
    """
    path = os.path.realpath(path) if manner.follow else path
    above, entry = os.path.split(path.rstrip("/"))
    folder = _opened(above or "/")
    with os.fdopen(fd, "wb") as stream:
        packer = Packer(stream)
        packer.pack(folder, entry or ".", name)
    for left in packer.left_out:
        print(f"labrt: not copied, neither file, folder nor link: {left}", file=sys.stderr)


def receive(path: str, name: str, fd: int, manner: Manner, modes: int = 0o7777) -> None:
    """Read tar from a descriptor. What is in it goes into the folder `path` as `name`; where there
    is no such folder, it becomes `path`.

    Raises:
        OSError, LabError: it can't be written, or what was read isn't tar.
    """
    try:
        unpacker = Unpacker(_opened(path), [] if name == "." else [name], manner.owners, modes)
    except (FileNotFoundError, NotADirectoryError):
        above, last = os.path.split(path.rstrip("/"))
        only_folder = path.endswith("/")
        unpacker = Unpacker(_opened(above), [last], manner.owners, modes, only_folder)
    try:
        with os.fdopen(fd, "rb") as stream:
            unpacker.unpack(stream)
    except (tarfile.TarError, OverflowError) as error:
        raise LabError(
            "read the archive", str(error), "it is damaged, or its end is missing"
        ) from None


def _opened(folder: str) -> int:
    """Open a folder, following links but procfs's magic ones, which know no root."""
    return syscalls.openat2(folder, os.O_PATH | os.O_DIRECTORY, syscalls.RESOLVE_NO_MAGICLINKS)


class CopyFiles(Step):
    """The container's half of a copy."""

    side: ClassVar = "container"
    man: ClassVar = "openat2(2)"
    reason: ClassVar = "the container's paths are looked up in the container, never on the host"

    def __init__(self, what: str, half: Callable[[], None]) -> None:
        self.what = what
        self.half = half

    def describe(self) -> str:
        return self.what

    def do(self, context: Context) -> None:
        self.half()


def _visit(folder: Path, work: Step) -> None:
    """Do one step confined to a container, in a process of its own, and wait for its end."""
    record, status = state.read_record(folder), state.read_status(folder)
    if record is not None and status.state == "running":
        pid = state.open_pid(record.spec, status)
        return _perform(visiting_running(record.spec, pid, work), record.spec)
    # Until the end nobody may start it: two overlays can't share an upper layer.
    lock = try_lock(folder)
    if record is None or lock is None:
        raise LabError(f"{work.describe()} {folder.name}", "it is just being started or removed")
    try:
        _perform(visiting_stopped(record.spec, work), record.spec)
    finally:
        os.close(lock)


def _perform(steps: list[Step], spec: Spec) -> None:
    context = Context(spec)
    perform(steps, context)
    undo(steps, context)


@contextmanager
def _beside(tried: str, half: Callable[[int], None], writes: bool) -> Iterator[int]:
    """Do the host's half of a copy in a process beside; give our end of their pipe to the block.

    Raises:
        LabError: the half failed, or the block did; where one failed because the other had ended,
            that other's error.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC)
    ours, its = (reader, writer) if writes else (writer, reader)
    told, tell = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            os.close(ours)
            os.write(tell, _failure(tried, half, its))
        finally:
            os._exit(0)  # nothing may go on into the caller's code
    os.close(its)
    os.close(tell)
    failed: StepFailed | None = None
    try:
        yield ours
    except StepFailed as error:
        failed = error
    finally:
        os.close(ours)
        answer = json.loads(os.read(told, 1 << 16) or "[]")
        os.close(told)
        os.waitpid(pid, 0)
    theirs = LabError(*answer) if answer else None
    # A reader whose archive has no end, and a writer without a reader, tell only of the other.
    ours_first = failed is not None and not writes and failed.errno != EPIPE
    if first := (failed or theirs) if ours_first else (theirs or failed):
        raise first


def _failure(tried: str, half: Callable[[int], None], fd: int) -> bytes:
    """Do the half; return its error's parts as JSON, none where all went well."""
    answer: tuple[str, ...] = ()
    try:
        half(fd)
    except BrokenPipeError:
        pass  # the container's half has failed, and tells why
    except LabError as error:
        answer = error.args
    except OSError as error:
        answer = (tried, errno_text(error))
    return json.dumps(answer).encode()

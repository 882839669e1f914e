"""Roots: a stack of layers becomes a container's root, something is done in it, and what has
changed becomes one more layer.

RUN is a container as any other. COPY and WORKDIR are done by the lab itself, confined to the root
as `labrt cp` is, so that no link of the image leads to the host. Either way the changes lie in the
overlay's upper layer afterwards, and are read from there with the container's ids.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, ClassVar

from labrt import cgroups, container, interpreter, paths
from labrt.building.packing import ChangesPacker
from labrt.declare import declare
from labrt.errors import LabError
from labrt.foreground import undisturbed
from labrt.images import making
from labrt.images.making import Layer
from labrt.images.store import Image
from labrt.name_files import FILES
from labrt.options import Options
from labrt.perform import do_all, perform, undo
from labrt.recipe import visiting_changes, visiting_stopped
from labrt.spec import Root, Spec
from labrt.state import CreateStateDir
from labrt.step import Context, Step

HOSTNAME = "build"  # the same each time, for a program may write it down
_MOUNT_POINTS = ("proc", "sys", "dev")
_DONE = "done:"


def run(image: Image, args: Sequence[str], wishes: Options, stdin: int, epoch: int) -> Layer | None:
    """Run a program in a container; return what it has changed, None for nothing.

    What it says goes to standard error.

    Raises:
        LabError: it could not be started, or didn't end with status 0. Nothing is left of it.
    """
    plain = replace(wishes, rm=True, hostname=HOSTNAME)
    spec = _spec(image, args, plain)
    interpreter.run_sealed(spec)
    with ExitStack() as stack:
        stack.callback(cgroups.remove_top)  # where ours was the last
        with undisturbed():
            running = stack.enter_context(container.start(spec, (stdin, 2, 2)))
        status = running.wait()
        if running.oom_killed():
            raise LabError("it was killed: memory.max is reached")
        if status != 0:
            raise LabError(f"it ended with status {status}")
        return changes(spec, epoch, mounted_on(spec))


def change(image: Image, what: str, work: Callable[[], object], epoch: int) -> Layer | None:
    """Do `work` in the image's root; return what it has changed, None for nothing.

    Args:
        what: the work in words, for errors.
        epoch: as of `changes`.

    Raises:
        LabError: it failed. Nothing is left of it.
    """
    with _folder(image) as spec:
        _visit(visiting_stopped, spec, what, work)
        return changes(spec, epoch)


def read(image: Image, work: Callable[[], str]) -> str:
    """Do `work` in the image's root; return what it returns.

    Raises:
        LabError: it failed.
    """
    with _folder(image) as spec:
        return _visit(visiting_stopped, spec, "read the sources", work)


def changes(spec: Spec, epoch: int, ours: Collection[str] = ()) -> Layer | None:
    """Put into the store, as a layer, what a container has changed that doesn't run any more.

    Args:
        epoch: the latest time that a file in it may have, seconds.
        ours: what isn't the container's in it, as `mounted_on` tells.

    Returns:
        The layer, None where nothing has changed.

    Raises:
        LabError: a file can't be read, or its name can't be in a layer.
    """
    with scratch_file() as archive:
        work = partial(_pack, archive, epoch, ours)
        _visit(visiting_changes, spec, "pack what has changed", work)
        if archive.seek(0, os.SEEK_END) == 0:
            return None
        archive.seek(0)
        return making.layer(lambda stream: shutil.copyfileobj(archive, stream, 1 << 20))


@contextmanager
def scratch_file() -> Iterator[IO[bytes]]:
    """A file without a name, on the disk that the images are on."""
    paths.make_passable(paths.home())
    with tempfile.TemporaryFile(dir=paths.home()) as file:
        yield file


def _pack(archive: IO[bytes], epoch: int, ours: Collection[str]) -> None:
    """Container side, in its folder; the archive stays empty where nothing has changed."""
    upper = os.open("upper", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    packer = ChangesPacker(archive, epoch, ours)
    packer.add_below(upper, "")
    if packer.count:
        packer.close()
    archive.flush()
    os.close(upper)


def mounted_on(spec: Spec) -> set[str]:
    """Return what the lab makes in the root of a container that runs: places to mount on."""
    names = [f"etc/{name}" for name in FILES] if spec.has_name_files else []
    return {*_MOUNT_POINTS, *names}


def _spec(image: Image, args: Sequence[str], wishes: Options) -> Spec:
    spec = declare(_without_volumes(image), args, wishes)
    return spec if spec.root.layers else replace(spec, root=Root((str(_nothing()),)))


def _without_volumes(image: Image) -> Image:
    """What a step writes there is the layer's, as with BuildKit; a volume would keep it."""
    settings = {**image.config["config"], "Volumes": None}
    return replace(image, config={**image.config, "config": settings})


def _nothing() -> Path:
    """The layer under a root that begins with none: overlayfs wants one."""
    folder = paths.home() / "layers" / "empty"
    paths.make_passable(folder.parent)
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
    return folder


@contextmanager
def _folder(image: Image) -> Iterator[Spec]:
    """The folder of a container that nothing runs in, for the time of the block."""
    spec = _spec(image, ["nothing"], Options(rm=True))
    context, steps = Context(spec), list[Step]([CreateStateDir(spec)])
    try:
        do_all(steps, context)
        yield spec
    finally:
        undo(steps, context)


class VisitRoot(Step):
    """The lab's own work in a container's root."""

    side: ClassVar = "container"
    man: ClassVar = "openat2(2)"
    reason: ClassVar = "paths are looked up in the root, never on the host"

    def __init__(self, what: str, work: Callable[[], object], told: int) -> None:
        self.what = what
        self.work = work
        self.told = told

    def describe(self) -> str:
        return self.what

    def do(self, context: Context) -> None:
        os.write(self.told, os.fsencode(f"{_DONE}{self.work() or ''}"))

    def likely(self, error: OSError) -> tuple[str, str]:
        if error.errno == errno.EINVAL:
            return "an owner that containers don't have here", "choose ids from 0 to 65535"
        return "", ""


def _visit(
    steps: Callable[[Spec, Step], list[Step]], spec: Spec, what: str, work: Callable[[], object]
) -> str:
    """Do the work in a process of its own, wait for its end; return what it returns, as text.

    Raises:
        LabError: it failed, or was killed.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        performed, context = steps(spec, VisitRoot(what, work, writer)), Context(spec)
        perform(performed, context)
        undo(performed, context)
        told = os.fsdecode(os.read(reader, 4096))
    except BlockingIOError:
        raise LabError(what, "the process was killed") from None
    finally:
        os.close(reader)
        os.close(writer)
    return told.removeprefix(_DONE)

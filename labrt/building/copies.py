"""Copies: what COPY and ADD take, and where it lands
(https://docs.docker.com/reference/dockerfile/#copy).

In two halves, with an archive between them. `gather` reads: on the host from the context, or
confined to the root of another stage. `place` writes, confined to the root that is being built. In
the context a link may lead anywhere below it, and nowhere else.
"""

from __future__ import annotations

import os
import re
import stat
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import IO, BinaryIO, cast

from labrt import accounts, syscalls
from labrt.archive import Unpacker
from labrt.building.packing import XATTR, Packer
from labrt.errors import LabError

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_ZSTD = b"\x28\xb5\x2f\xfd"


@dataclass(frozen=True)
class Copy:
    """What is to be copied.

    Attributes:
        sources: paths below a root, with "*", "?" and "[…]".
        target: an absolute path; with "/" at its end it is a folder.
        chown: USER[:GROUP], "" for the owners that the source has.
        chmod: for files and folders, None for the modes that they have.
        unpack: whether archives are unpacked (ADD).
        documents: name and text of files that stand in the Containerfile itself.
    """

    sources: tuple[str, ...]
    target: str
    chown: str = ""
    chmod: int | None = None
    unpack: bool = False
    documents: tuple[tuple[str, str], ...] = ()


def gather(
    root: str,
    copy: Copy,
    packer: Packer,
    ignored: Callable[[str], bool] = lambda path: False,
) -> str:
    """Add the sources to an archive, by the names that they will have in the target.

    Args:
        root: the folder that the sources are below, its path without links.

    Returns:
        The name of the one file that is copied; "" for folders, and for more than one.

    Raises:
        LabError: there is no such source, or it leads out of the root.
    """
    found = [path for source in copy.sources for path in _matching(root, source, ignored)]
    if len(found) + len(copy.documents) > 1 and not copy.target.endswith("/"):
        raise LabError("more than one source needs a target that ends with /")
    names = [_add(root, path, copy.unpack, packer, ignored) for path in found]
    for name, text in copy.documents:
        packer.wanted = lambda name: True
        packer.add_text(name, text)
        names.append(name)
    return names[0] if len(names) == 1 else ""


def _matching(root: str, source: str, ignored: Callable[[str], bool]) -> list[str]:
    """The paths that a source means, below the root."""
    path = os.path.normpath(source.lstrip("/") or ".")
    if path.split("/")[0] == "..":
        raise LabError(f"{source!r} leads out of the context")
    if not re.search(r"[*?\[]", path):
        return [path]
    found = sorted(each for each in _glob(root, path.split("/")) if not ignored(each))
    if not found:
        raise LabError(f"nothing matches {source!r}")
    return found


def _glob(root: str, patterns: list[str], above: str = "") -> Iterator[str]:
    """Match folder by folder, as Go's filepath.Match does: "*" doesn't reach past a "/"."""
    first, *rest = patterns
    first = first.replace("[^", "[!")
    for name in os.listdir(os.path.join(root, above)):
        path = os.path.join(above, name)
        if not fnmatchcase(name, first):
            continue
        if not rest:
            yield path
        elif stat.S_ISDIR(os.lstat(os.path.join(root, path)).st_mode):
            yield from _glob(root, rest, path)


def _add(root: str, path: str, unpack: bool, packer: Packer, ignored: Callable[[str], bool]) -> str:
    """Add one source; return its name if it is a file that stays one."""
    real = os.path.realpath(os.path.join(root, path))
    below = os.path.relpath(real, root)
    if below.split("/")[0] == "..":
        raise LabError(f"{path!r} leads out of the context, to {real}")
    if not os.path.lexists(real):
        raise LabError(f"there is no {path!r} to copy")
    before = packer.count
    packer.wanted = lambda name: not ignored(os.path.normpath(f"{below}/{name}"))
    name = ""
    if os.path.isdir(real):
        with _opened(real) as folder:
            packer.add_below(folder, "")
    elif unpack and _is_archive(real):
        with _archive(real) as archive:
            packer.add_archive(archive)
    else:
        name = os.path.basename(path)
        packer.wanted = lambda name: not ignored(below)
        with _opened(os.path.dirname(real)) as folder:
            packer.add(folder, os.path.basename(real), name)
    if below != "." and ignored(below) and packer.count == before:
        raise LabError(f"{path!r} is excluded by .dockerignore")
    return name


@contextmanager
def _opened(folder: str) -> Iterator[int]:
    fd = os.open(folder, _FOLDER)
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def _archive(path: str) -> Iterator[tarfile.TarFile]:
    """Open a tar archive, plain or compressed by gzip, bzip2, xz or zstd."""
    with open(path, "rb") as file:
        compressed = file.read(len(_ZSTD)) == _ZSTD
        file.seek(0)
        if not compressed:
            with tarfile.open(fileobj=file, mode="r:*") as archive:
                yield archive
            return
        from zstandard import ZstdDecompressor

        with (
            ZstdDecompressor().stream_reader(file, read_across_frames=True) as plain,
            tarfile.open(fileobj=plain, mode="r|") as archive,
        ):
            yield archive


def _is_archive(path: str) -> bool:
    try:
        with _archive(path) as archive:
            return archive.next() is not None
    except Exception:  # each compression has errors of its own; whatever it is, it is no archive
        return False


def place(archive: IO[bytes], copy: Copy, single: str) -> None:
    """Unpack what was gathered at its target; container side, in the root.

    Args:
        single: as `gather` has returned it.

    Raises:
        OSError, LabError: it can't be written, or no user of the image is called so.
    """
    owner = _owner(copy.chown)
    folder, name = _landing(copy.target, single, owner)
    archive.seek(0)
    _Placer(folder, name, owner).unpack(cast(BinaryIO, archive))


def make_folder(path: str, owner: tuple[int, int] | None = None) -> int:
    """Open a folder, made where it is missing, as are those above it; container side.

    Links are followed, for they lead to somewhere in the root, but not the magic ones of procfs.

    Raises:
        OSError: the kernel's answer.
    """
    try:
        return _folder_at(path)
    except FileNotFoundError:
        above, name = os.path.split(path.rstrip("/"))
        parent = make_folder(above or "/", owner)
        os.mkdir(name, dir_fd=parent)
        os.chmod(name, 0o755, dir_fd=parent)  # whatever the user's umask
        if owner:
            os.chown(name, *owner, dir_fd=parent)
        os.close(parent)
        return _folder_at(path)


def _folder_at(path: str) -> int:
    flags = os.O_PATH | os.O_DIRECTORY
    return syscalls.openat2(path, flags, syscalls.RESOLVE_NO_MAGICLINKS)


def _landing(target: str, single: str, owner: tuple[int, int] | None) -> tuple[int, str]:
    """Return the folder that the archive goes into, and the one file's name in it."""
    if single and not target.endswith("/"):
        try:
            return _folder_at(target), single
        except (FileNotFoundError, NotADirectoryError):
            above, name = os.path.split(target)
            return make_folder(above, owner), name
    return make_folder(target, owner), single


def _owner(chown: str) -> tuple[int, int] | None:
    """Look up USER[:GROUP] in the root's own accounts; a bare number is the group's, too."""
    if not chown:
        return None
    if chown.isdecimal():
        return int(chown), int(chown)
    account = accounts.find(chown)
    return account.uid, account.gid


class _Placer(Unpacker):
    """Unpacks a folder's contents, or with `name` one file that will be called so; and gives it all
    to one owner, where there is one."""

    def __init__(self, folder: int, name: str, owner: tuple[int, int] | None) -> None:
        super().__init__(folder, [name] if name else [], owners=True)
        self._name = name
        self._owner = owner

    def _extract(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        if self._name:
            member.name = "."
        if self._owner:
            member.uid, member.gid = self._owner
        super()._extract(archive, member)

    def _finish(self, fd: int, member: tarfile.TarInfo) -> None:
        super()._finish(fd, member)
        for name, value in member.pax_headers.items():
            if name.startswith(XATTR):
                os.setxattr(fd, name.removeprefix(XATTR), os.fsencode(value))

"""Accounts: the container's own /etc/passwd and /etc/group (passwd(5), group(5)).

As Docker reads them: container side, after pivot_root(2); or, where they are the image's layers'
for certain, before the clone. The files are the image's, so hostile: they are read only if they are
regular, no further than a bound, and what makes no sense in them is passed over. Names mean nothing
outside: the kernel knows numbers.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

from labrt import syscalls
from labrt.errors import LabError
from labrt.spec import Spec

MAX_BYTES = 1 << 20  # of each file
MAX_ID = (1 << 32) - 2  # the last number, -1, means "unchanged" (setresuid(2))


class Account(NamedTuple):
    """Whom a process becomes: ids inside, and where HOME is."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


def check(name: str, tried: str) -> None:
    """Refuse what is neither a name nor an id (useradd(8)).

    Raises:
        LabError: that.
    """
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,255}\$?", name):
        raise LabError(tried, "not a name or an id", remedy="USER[:GROUP], such as www-data or 7:7")
    if name.isdecimal() and int(name) > MAX_ID:
        raise LabError(tried, f"ids go from 0 to {MAX_ID}")


def find(asked: str, text: Callable[[str], str] = lambda path: read(path)) -> Account:
    """Look up USER[:GROUP], each by name or number; "" is uid 0.

    A number needs no entry. With no GROUP, the user's groups are those that list them.

    Args:
        text: reads the two files; another where they aren't those of this process's root.

    Raises:
        LabError: no entry has that name.
    """
    name, _, named_group = asked.partition(":")
    entry = next((line for line in _lines("passwd", 7, text) if _is(line, name or "0")), None)
    if entry is None:
        entry = [""] * 2 + [_number(name or "0", "user", "passwd"), "0", "", "/", ""]
    login, uid, gid, home = entry[0], int(entry[2]), int(entry[3]), entry[5] or "/"
    if named_group:
        return Account(uid, group(named_group, text), (), home)
    groups = _lines("group", 4, text)
    listed = [int(line[2]) for line in groups if login and login in line[3].split(",")]
    return Account(uid, gid, tuple(listed), home)


def _is(entry: list[str], name: str) -> bool:
    return int(entry[2]) == int(name) if name.isdecimal() else entry[0] == name


def group(name: str, text: Callable[[str], str] = lambda path: read(path)) -> int:
    """Return the gid of a group given by name or number.

    Raises:
        LabError: no entry has that name.
    """
    found = next((line[2] for line in _lines("group", 4, text) if line[0] == name), None)
    return int(found or _number(name, "group", "group"))


def _number(text: str, kind: str, file: str) -> str:
    if not _is_id(text):
        raise LabError(
            f"find the {kind} {text!r}",
            f"the image's /etc/{file} has no such entry",
            remedy="name one that it has, or a number",
        )
    return text


def _lines(file: str, fields: int, text: Callable[[str], str]) -> Iterator[list[str]]:
    """Yield the entries that make sense, each as its fields."""
    ids = slice(2, 4) if file == "passwd" else slice(2, 3)
    for line in text(f"/etc/{file}").split("\n"):
        parts = line.split(":")
        if len(parts) == fields and all(map(_is_id, parts[ids])):
            yield parts


def _is_id(text: str) -> bool:
    # No regular expression: to compile one in every new child costs 0.4 ms.
    return text.isascii() and text.isdigit() and len(text) < 11 and int(text) <= MAX_ID


# Not to wait for a FIFO's writer, not to take a terminal: a file may be anything.
_READING = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def read(path: str) -> str:
    """Return a file's text; "" where it is none, or not there."""
    try:
        return _read(os.open(path, _READING))
    except OSError:
        return ""


def beforehand(spec: Spec) -> Callable[[str], str] | None:
    """Return what reads the two files of a container that isn't there yet; None where they can't be
    known: its own changes, a mount or a hook may lie over the image's."""
    over = {*spec.masked_paths, *(mount.destination for mount in spec.mounts)}
    if over & {"/", "/etc", "/etc/passwd", "/etc/group"} or any(vars(spec.hooks).values()):
        return None
    try:
        found = {f"/etc/{file}": _beforehand(spec, file) for file in ("passwd", "group")}
    except OSError:
        return None
    return found.__getitem__


def _beforehand(spec: Spec, file: str) -> str:
    if not spec.root.layers:
        return _read_below(spec.root.path, file, syscalls.RESOLVE_IN_ROOT) or ""
    if os.path.lexists(f"{spec.state_dir}/upper/etc"):
        raise FileExistsError
    return _read_in_layers(spec.root.layers, file)


@lru_cache
def _read_in_layers(layers: tuple[str, ...], file: str) -> str:
    """Return a file's text as it is in the topmost layer that has one; layers never change.

    Raises:
        OSError: what it is can't be told by one layer alone.
    """
    for layer in reversed(layers):
        text = _read_below(layer, file, syscalls.RESOLVE_NO_SYMLINKS)
        if text is not None:
            return text
        if os.path.isdir(f"{layer}/etc") and os.listxattr(f"{layer}/etc"):
            raise FileExistsError  # overlayfs's marks: it may hide those below
    return ""


def _read_below(root: str, file: str, resolve: int) -> str | None:
    """Read a file of another root than ours, where nothing but a regular file may be opened; return
    None where it isn't there."""
    top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = syscalls.openat2(f"etc/{file}", os.O_PATH, resolve, top)
    except FileNotFoundError:
        return None
    finally:
        os.close(top)
    try:
        regular = stat.S_ISREG(os.fstat(found).st_mode)
        return _read(os.open(f"/proc/self/fd/{found}", _READING)) if regular else ""
    finally:
        os.close(found)


def _read(fd: int) -> str:
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return ""
        return os.read(fd, MAX_BYTES).decode(errors="replace")
    finally:
        os.close(fd)

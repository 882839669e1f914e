"""Who owns what: all namespaces that processes are in, as a tree of user namespaces.

Read from the kernel at the moment it is asked for: /proc/PID/ns tells which process is where, and
ioctl_ns(2) who owns a namespace and where a user namespace comes from. A namespace that only an
open file or a mount keeps isn't found, for nobody is in it.

Lesson: notebook 09.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from labrt import nsfs, state
from labrt.spec import IdMapping, NamespaceType

Key = tuple[NamespaceType, int]
_KINDS = [*(kind for kind in nsfs.FILES if kind != "user"), "user"]


@dataclass(frozen=True)
class Space:
    """One namespace.

    Attributes:
        number: its inode number, which names it for as long as it exists.
        owner: number of the user namespace that owns it; a user namespace's parent; None where that
            lies outside of our own.
        made_by: the uid that made a user namespace, None for other kinds.
        uid_map: a user namespace's ids as ours numbers them; empty if no process of it tells.
        processes: the pids of those in it, lowest first.
        command: the first one's.
        containers: names of this lab's containers whose first process is in it.
    """

    type: NamespaceType
    number: int
    owner: int | None
    made_by: int | None = None
    uid_map: tuple[IdMapping, ...] = ()
    processes: tuple[int, ...] = ()
    command: str = ""
    containers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tree:
    """The namespaces found, and how many processes did not let this user look at theirs."""

    spaces: tuple[Space, ...]
    hidden: int

    def below(self, owner: int | None) -> list[Space]:
        """Return what a user namespace owns; its children, themselves user namespaces, last."""
        owned = [space for space in self.spaces if space.owner == owner]
        return sorted(owned, key=lambda space: (_KINDS.index(space.type), space.number))

    def of(self, pids: Iterable[int]) -> Tree:
        """Return the part that these processes are in, up to its roots."""
        wanted = set(pids)
        kept = {space for space in self.spaces if wanted & set(space.processes)}
        users = {space.number: space for space in self.spaces if space.type == "user"}
        for space in list(kept):
            while (owner := users.get(space.owner or 0)) is not None:
                kept.add(owner)
                space = owner
        return replace(self, spaces=tuple(space for space in self.spaces if space in kept))


def read() -> Tree:
    """Read every namespace of every process that this user may look at."""
    members, hidden = _members()
    names = _containers()
    spaces: dict[Key, Space] = {}
    for (kind, _number), pids in members.items():
        for space in _opened(kind, pids):
            spaces.setdefault((space.type, space.number), space)
    told = (_with_members(space, members[key], names) for key, space in spaces.items())
    return Tree(tuple(sorted(told, key=lambda space: space.number)), hidden)


def _members() -> tuple[dict[Key, list[int]], int]:
    """Return the pids in each namespace, and how many processes can't be looked at."""
    members: dict[Key, list[int]] = defaultdict(list)
    hidden = 0
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdecimal()):
        try:
            for kind, number in _spaces_of(pid):
                members[kind, number].append(pid)
        except PermissionError:
            hidden += 1
        except (FileNotFoundError, ProcessLookupError):
            pass  # it has ended
    return members, hidden


def _spaces_of(pid: int) -> list[Key]:
    links = {kind: f"/proc/{pid}/ns/{file}" for kind, file in nsfs.FILES.items()}
    return [
        (kind, int(os.readlink(link).partition("[")[2].rstrip("]")))
        for kind, link in links.items()
        if os.path.lexists(f"/proc/self/ns/{nsfs.FILES[kind]}")
    ]


def _opened(kind: NamespaceType, pids: list[int]) -> Iterator[Space]:
    """Yield the namespace that processes are in and the user namespaces above it; nothing if the
    processes have ended meanwhile."""
    for pid in pids:
        try:
            fd = os.open(f"/proc/{pid}/ns/{nsfs.FILES[kind]}", os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, ProcessLookupError):
            continue
        yield from _upwards(kind, fd)
        return


def _upwards(kind: NamespaceType, fd: int) -> Iterator[Space]:
    """Yield the namespace of a descriptor, which is closed, and then its owner, and so on."""
    try:
        owner = nsfs.owner(fd)
        made_by = nsfs.owner_uid(fd) if kind == "user" else None
        number = None if owner is None else nsfs.inode(owner)
        yield Space(kind, nsfs.inode(fd), number, made_by)
    finally:
        os.close(fd)
    if owner is not None:
        yield from _upwards("user", owner)


def _with_members(space: Space, pids: list[int], names: Mapping[int, str]) -> Space:
    return replace(
        space,
        processes=tuple(pids),
        command=next(filter(None, map(_command, pids)), ""),
        containers=tuple(names[pid] for pid in pids if pid in names),
        uid_map=next(filter(None, map(_uid_map, pids)), ()) if space.type == "user" else (),
    )


def _command(pid: int) -> str:
    """Return a process's command line (proc_pid_cmdline(5)); a kernel thread has but a name. It may
    be a hostile one's: what a terminal would obey is left out."""
    line = _text(pid, "cmdline").replace("\0", " ").strip()
    line = line or (f"[{name}]" if (name := _text(pid, "comm").strip()) else "")
    return "".join(letter if letter.isprintable() else "?" for letter in line)


def _uid_map(pid: int) -> tuple[IdMapping, ...]:
    return tuple(IdMapping(*map(int, line.split())) for line in _text(pid, "uid_map").splitlines())


def _text(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""  # it has ended


def _containers() -> dict[int, str]:
    """Return this lab's running containers, pid of the first process → name."""
    found = ((state.read_record(f), state.read_status(f)) for f in state.folders())
    return {
        status.pid: record.spec.life.name
        for record, status in found
        if record is not None and status.state == "running"
    }

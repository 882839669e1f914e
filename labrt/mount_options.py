"""Mount options: what the words of mount(8) are to the kernel.

Some are flags of one mount and can differ between two mounts of one file system (`nosuid`), some
belong to the file system (`sync`), some say what passes between mounts (`rshared`,
mount_namespaces(7)); those with an "r" before them hold for the mounts below, too
(mount_setattr(2)). Any other word is for the file system itself, as mount(2)'s `data`.

https://github.com/opencontainers/runtime-spec/blob/main/config.md#linux-mount-options

Lesson: notebook 17.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from labrt import syscalls

# mount(2): what each word sets, and what it takes away again.
_SETS = {
    "ro": syscalls.MS_RDONLY,
    "nosuid": syscalls.MS_NOSUID,
    "nodev": syscalls.MS_NODEV,
    "noexec": syscalls.MS_NOEXEC,
    "sync": 1 << 4,
    "remount": syscalls.MS_REMOUNT,
    "mand": 1 << 6,
    "dirsync": 1 << 7,
    "nosymfollow": 1 << 8,
    "noatime": 1 << 10,
    "nodiratime": 1 << 11,
    "silent": 1 << 15,
    "relatime": 1 << 21,
    "iversion": 1 << 23,
    "strictatime": 1 << 24,
    "lazytime": 1 << 25,
}
_CLEARS = {
    "defaults": 0,
    "rw": _SETS["ro"],
    "suid": _SETS["nosuid"],
    "dev": _SETS["nodev"],
    "exec": _SETS["noexec"],
    "async": _SETS["sync"],
    "symfollow": _SETS["nosymfollow"],
    "atime": _SETS["noatime"],
    "diratime": _SETS["nodiratime"],
    "loud": _SETS["silent"],
    **{f"no{word}": _SETS[word] for word in ("mand", "relatime", "iversion", "strictatime")},
    "nolazytime": _SETS["lazytime"],
}
# mount_setattr(2): MOUNT_ATTR_* where they differ from mount(2)'s. Of the access times' three
# (MOUNT_ATTR__ATIME) one is chosen by taking away all of them first; none at all is relatime.
_NOATIME, _STRICTATIME, _ATIME, _NODIRATIME, _NOSYMFOLLOW = 0x10, 0x20, 0x70, 0x80, 0x200000
# Each word → what is set, what is cleared before.
_ATTRIBUTES = {
    **{word: (_SETS[word], 0) for word in ("ro", "nosuid", "nodev", "noexec")},
    **{word: (0, _CLEARS[word]) for word in ("rw", "suid", "dev", "exec")},
    "nosymfollow": (_NOSYMFOLLOW, 0),
    "symfollow": (0, _NOSYMFOLLOW),
    "nodiratime": (_NODIRATIME, 0),
    "diratime": (0, _NODIRATIME),
    "noatime": (_NOATIME, _ATIME),
    "strictatime": (_STRICTATIME, _ATIME),
    **{word: (0, _ATIME) for word in ("atime", "relatime", "norelatime", "nostrictatime")},
}
_BELOW = {f"r{word}": change for word, change in _ATTRIBUTES.items()}

PROPAGATIONS = {
    "private": syscalls.MS_PRIVATE,
    "slave": syscalls.MS_SLAVE,
    "shared": syscalls.MS_SHARED,
    "unbindable": syscalls.MS_UNBINDABLE,
}
BINDS = ("bind", "rbind")
IDMAPS = ("idmap", "ridmap")
COPYUP = "tmpcopyup"  # an empty tmpfs gets what was at its place

# All that are no file system's own.
NAMES = tuple(
    sorted(
        {*_SETS, *_CLEARS, *_BELOW, *BINDS, *IDMAPS, COPYUP}
        | {f"{r}{kind}" for kind in PROPAGATIONS for r in ("", "r")}
    )
)


class Change(NamedTuple):
    """What mount_setattr(2) sets and, before, clears."""

    attributes: int = 0
    cleared: int = 0


class Parsed(NamedTuple):
    """A mount's options.

    Attributes:
        flags: of mount(2); they hold for the one mount.
        data: what is the file system's own, "size=64k,mode=755".
        below: what changes for the mount and all below it.
        propagation: MS_PRIVATE or another, and whether it holds for those below; in order.
        recursive: whether a bind mount takes along what is mounted below its source.
    """

    flags: int
    data: str
    below: Change
    propagation: tuple[tuple[int, bool], ...]
    recursive: bool

    def alone(self) -> Change:
        """`flags` as mount_setattr(2) takes them, for a mount that is there already."""
        words = [word for word, flag in _SETS.items() if self.flags & flag and word in _ATTRIBUTES]
        return _together(_ATTRIBUTES[word] for word in words)


def parse(words: tuple[str, ...]) -> Parsed:
    """Read the options of a mount; of two that contradict each other the later one holds."""
    flags, own, propagation = 0, [], []
    for word in words:
        kind = word.removeprefix("r")
        if kind in PROPAGATIONS:
            propagation.append((PROPAGATIONS[kind], kind != word))
        elif word in _SETS:
            flags |= _SETS[word]
        elif word in _CLEARS:
            flags &= ~_CLEARS[word]
        elif word not in NAMES:
            own.append(word)
    below = _together(_BELOW[word] for word in words if word in _BELOW)
    return Parsed(flags, ",".join(own), below, tuple(propagation), "bind" not in words)


def _together(changes: Iterable[tuple[int, int]]) -> Change:
    attributes = cleared = 0
    for sets, clears in changes:
        attributes = attributes & ~clears | sets
        cleared = cleared & ~sets | clears
    return Change(attributes, cleared)

"""Writes the archive that Linux unpacks as its first root file system ("initramfs").

Format "newc": for each name a header of fourteen hexadecimal fields, the name and the data, each
padded to four bytes (the kernel's Documentation/driver-api/early-userspace/buffer-format.rst).
Ours rather than cpio(1): device nodes and owners are only numbers in a header, so no root is
needed, and the same input always gives the same bytes.
"""

from __future__ import annotations

import io
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

MAGIC = b"070701"
HEAD = len(MAGIC) + 13 * 8  # bytes


@dataclass(frozen=True, eq=False)
class Node:
    """An inode. Two names with the *same* Node are hard links.

    Attributes:
        mode: file type and permissions, as st_mode (inode(7)).
        data: a file's bytes, a symbolic link's target; empty for the rest.
        rdev: major and minor number of a device.
    """

    mode: int
    data: bytes = b""
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    rdev: tuple[int, int] = (0, 0)


def write(stream: BinaryIO, names: Mapping[str, Node]) -> None:
    """Write `names` (path without leading "/" → inode) as one archive.

    Directories go first, by name: the kernel unpacks in order and makes no parents. The rest keeps
    its order.
    """
    links: dict[Node, int] = {}
    for node in names.values():
        links[node] = links.get(node, 0) + 1
    inodes: dict[Node, int] = {}
    for name, node in sorted(names.items(), key=_directories_first):
        first = node not in inodes
        inode = inodes.setdefault(node, len(inodes) + 1)
        _entry(stream, name, node, inode, links[node], node.data if first else b"")
    _entry(stream, "TRAILER!!!", Node(0), 0, 1, b"")


def sizes(stream: BinaryIO) -> Iterator[tuple[str, int]]:
    """Read an archive that `write` has made: each name, and the bytes that its entry takes."""
    while head := stream.read(HEAD):
        size, length = int(head[54:62], 16), int(head[94:102], 16)
        name = stream.read(length).rstrip(b"\0").decode()
        whole = HEAD + length + len(_padding(HEAD + length)) + size + len(_padding(size))
        stream.seek(whole - HEAD - length, io.SEEK_CUR)
        yield name, whole


def _directories_first(item: tuple[str, Node]) -> tuple[bool, str]:
    name, node = item
    return (False, name) if stat.S_ISDIR(node.mode) else (True, "")


def _entry(stream: BinaryIO, name: str, node: Node, inode: int, links: int, data: bytes) -> None:
    path = name.encode() + b"\0"
    fields = (
        inode,
        node.mode,
        node.uid,
        node.gid,
        links,
        node.mtime,
        len(data),
        *(0, 0),  # device of the file itself: one archive, one device
        *node.rdev,
        len(path),
        0,  # checksum: none in newc
    )
    header = MAGIC + b"".join(b"%08X" % field for field in fields)
    stream.write(header + path + _padding(len(header) + len(path)))
    stream.write(data + _padding(len(data)))


def _padding(length: int) -> bytes:
    return b"\0" * (-length % 4)

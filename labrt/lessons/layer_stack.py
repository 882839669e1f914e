"""The folders that an overlay is made of, read from the kernel's table of mounts and drawn.

https://docs.kernel.org/filesystems/overlayfs.html
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from labrt.client import Container
from labrt.lessons import mount_table
from labrt.lessons.graph import Edge, Graph, Node
from labrt.lessons.mount_table import Mounted
from labrt.lessons.shown import Shown, table


@dataclass(frozen=True)
class Stack:
    """What one overlay is made of.

    Attributes:
        lower: its read-only folders, uppermost first, as they were named when it was mounted.
        upper: the folder that changes go to, "" if there is none.
    """

    lower: tuple[str, ...]
    upper: str


def stack(mount: Mounted) -> Stack:
    """Return the folders of an overlay mount. (Mounted by fsconfig(2), each lower one has a
    `lowerdir+` of its own.)"""
    lower: list[str] = []
    upper = ""
    for setting in mount.settings:
        name, _, value = setting.partition("=")
        if name in ("lowerdir", "lowerdir+"):
            lower += value.split(":")
        elif name == "upperdir":
            upper = value
    return Stack(tuple(lower), upper)


def root_stack(pid: int, folder: Path) -> Stack | None:
    """Return the folders of a container's root, as the host finds them; None if it has ended.

    Args:
        folder: the container's own; its overlay was mounted with paths from there.
    """
    root = [each for each in mount_table.mounted(pid) if each.point == "/"]
    if not root:
        return None
    found = stack(root[-1])
    lower = tuple(os.path.normpath(folder / each) for each in found.lower)
    return Stack(lower, os.path.normpath(folder / found.upper))


def contents(folder: str | os.PathLike[str]) -> str:
    """Return what a layer's folder holds, a line each: its kind, its bytes, its path."""
    return "\n".join(f"{_kind(path):9} {_bytes(path):>8} {name}" for name, path in _files(folder))


def _files(folder: str | os.PathLike[str]) -> Iterator[tuple[str, Path]]:
    """Yield (path in the layer, path on the host) of all that isn't a folder."""
    for where, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(where, name)
            yield str(path.relative_to(folder)), path


def _kind(path: Path) -> str:
    found = path.lstat()
    if stat.S_ISCHR(found.st_mode) and found.st_rdev == 0:
        return "whiteout"
    return "link" if stat.S_ISLNK(found.st_mode) else "file"


def _bytes(path: Path) -> int:
    return 0 if _kind(path) == "whiteout" else path.lstat().st_size


def layer_picture(**boxes: Container) -> Shown:
    """Draw the layers of some containers' roots: a layer that two have is one box.

    Args:
        boxes: what each is called in the picture → the container.
    """
    found = {whose: root_stack(box.pid, box.folder) for whose, box in boxes.items()}
    stacks = {whose: its for whose, its in found.items() if its}
    lower = list(dict.fromkeys(each for its in stacks.values() for each in its.lower))
    keys = {folder: f"l{number}" for number, folder in enumerate(lower)}
    nodes = [Node(keys[folder], _called(folder), "round", "image, read-only") for folder in lower]
    edges = []
    for whose, its in stacks.items():
        nodes += [Node(f"{whose}r", f"root of {whose}"), Node(f"{whose}u", f"upper of {whose}")]
        way = [f"{whose}r", f"{whose}u", *(keys[each] for each in its.lower)]
        edges += [Edge(above, below) for above, below in zip(way, way[1:], strict=False)]
    rows = [
        *((f"upper of {whose}", whose, *_size(its.upper)) for whose, its in stacks.items()),
        *((_called(each), ", ".join(_users(each, stacks)), *_size(each)) for each in lower),
    ]
    words = "; ".join(f"{layer}, of {whose}, {count} files" for layer, whose, count, _ in rows)
    picture = Graph(f"layers of {', '.join(boxes)}", words, nodes, list(dict.fromkeys(edges)))
    return picture.shown() + table(("layer", "whose", "files", "bytes"), rows)


def _users(folder: str, stacks: dict[str, Stack]) -> list[str]:
    return [whose for whose, its in stacks.items() if folder in its.lower]


def _size(folder: str) -> tuple[str, str]:
    sizes = [_bytes(path) for _, path in _files(folder)]
    return str(len(sizes)), f"{sum(sizes):,}"


def _called(folder: str) -> str:
    """Return the first digits of a layer's digest, as other tools do."""
    return Path(folder).name.removeprefix("sha256-")[:12]

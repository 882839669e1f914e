"""What is mounted where, in a process's mount namespace (proc_pid_mountinfo(5))."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from labrt.lessons import observe
from labrt.lessons.graph import Edge, Graph, Node
from labrt.lessons.observe import HasPid
from labrt.lessons.shown import Shown, table

KERNELS = ("/proc", "/sys", "/dev")  # in a picture, what lies below these is only counted


@dataclass(frozen=True)
class Mounted:
    """One mount.

    Attributes:
        device: MAJOR:MINOR of its file system.
        root: the folder of that file system that is seen here, "/" for all of it.
        point: where it is mounted, seen from the process's root.
        kind: the type of its file system, "overlay".
        settings: what the file system itself was mounted with, "lowerdir=…".
    """

    number: int
    parent: int
    device: str
    root: str
    point: str
    options: tuple[str, ...]
    kind: str
    settings: tuple[str, ...] = ()


def mounted(process: int | HasPid | str) -> list[Mounted]:
    """Return the mounts that a process sees, in the kernel's order; [] if it has ended or is
    somebody else's.

    Args:
        process: its host pid, anything with one, or "self".
    """
    pid = process if isinstance(process, str) else observe.pid_of(process)
    try:
        text = Path(f"/proc/{pid}/mountinfo").read_text()
    except OSError:
        return []
    return [_parsed(line) for line in text.splitlines()]


def _parsed(line: str) -> Mounted:
    before, _, after = line.partition(" - ")
    number, parent, device, root, point, options = before.split()[:6]
    kind, *_source, settings = after.split()
    return Mounted(
        int(number),
        int(parent),
        device,
        _plain(root),
        _plain(point),
        tuple(options.split(",")),
        kind,
        tuple(map(_plain, settings.split(","))),
    )


def _plain(path: str) -> str:
    r"""Blanks and the like are written as octal numbers, "\040"."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), path)


def mount_tree(process: int | HasPid) -> Shown:
    """Draw what is mounted where. Of what lies below /proc, /sys and /dev, only the number."""
    found = mounted(process)
    drawn = [each for each in found if not _below(each, KERNELS)]
    rows = [
        (
            each.point,
            each.kind,
            each.options[0],
            str(sum(_below(one, (each.point,)) for one in found)),
        )
        for each in drawn
    ]
    picture = Graph(
        f"the {len(drawn)} uppermost of {len(found)} mounts",
        "; ".join(f"{kind} on {point}, with {below} below" for point, kind, _, below in rows),
        [Node(f"m{each.number}", f"{each.point}\n{each.kind}") for each in drawn],
        _edges(drawn),
    )
    return picture.shown() + table(("mounted on", "type", "writable", "mounts below"), rows)


def _below(each: Mounted, folders: Sequence[str]) -> bool:
    return any(
        each.point.startswith(folder.rstrip("/") + "/")
        for folder in folders
        if each.point != folder
    )


def _edges(drawn: Sequence[Mounted]) -> list[Edge]:
    numbers = {each.number for each in drawn}
    return [Edge(f"m{each.parent}", f"m{each.number}") for each in drawn if each.parent in numbers]

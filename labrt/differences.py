"""What sets a container's first process apart from a plain one, each read from the kernel.

A container is no thing that the kernel knows: it is a process that differs from others in what is
listed here. Files: proc_pid_ns(5), proc_pid_mountinfo(5), proc_pid_cgroup(5), proc_pid_status(5),
proc_pid_limits(5), user_namespaces(7).

Lesson: notebook 00.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from labrt.capabilities import NAMES

ABSENT = "-"
_SETS = {
    "CapInh": "inheritable",
    "CapPrm": "permitted",
    "CapEff": "effective",
    "CapBnd": "bounding",
    "CapAmb": "ambient",
}
_SECCOMP = {"0": "none", "1": "strict", "2": "filter"}


class Difference(NamedTuple):
    """One fact and both its values; `ABSENT` where a process has nothing of the kind."""

    group: str
    what: str
    plain: str
    container: str


def differences(pid: int, plain: int | str = "self") -> list[Difference]:
    """Return what differs between process `pid` and a plain process, by group.

    Raises:
        OSError: a process has ended, or may not be looked into.
    """
    return [
        Difference(group, what, ours, its)
        for group, read in READERS.items()
        for what, ours, its in _compared(read(Path(f"/proc/{plain}")), read(Path(f"/proc/{pid}")))
        if ours != its
    ]


def _compared(ours: dict[str, str], its: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    for what in dict.fromkeys([*ours, *its]):
        yield what, ours.get(what, ABSENT), its.get(what, ABSENT)


def _namespaces(process: Path) -> dict[str, str]:
    return {file.name: os.readlink(file) for file in sorted((process / "ns").iterdir())}


def _root(process: Path) -> dict[str, str]:
    root = os.stat(process / "root")
    device = f"{os.major(root.st_dev)}:{os.minor(root.st_dev)}"
    return {"/": f"device {device}, inode {root.st_ino}, owner {root.st_uid}"}


def _mounts(process: Path) -> dict[str, str]:
    """What is on top at each mount point: its kind and what it shows."""
    found = {}
    for line in _text(process / "mountinfo").splitlines():
        fields, _, rest = line.partition(" - ")
        _id, _parent, _device, root, target, options, *_ = fields.split()
        kind, source, *_ = rest.split()
        part = f"[{root}]" if root != "/" else ""
        found[target] = f"{kind} {source}{part} {options}"
    return found


def _cgroup(process: Path) -> dict[str, str]:
    lines = _text(process / "cgroup").splitlines()
    return {names or "v2": path for _, names, path in (line.split(":", 2) for line in lines)}


def _credentials(process: Path) -> dict[str, str]:
    status = _status(process)
    return {
        "uid": status["Uid"].split()[1],
        "gid": status["Gid"].split()[1],
        "groups": status["Groups"].strip(),
        "uid_map": _map(process / "uid_map"),
        "gid_map": _map(process / "gid_map"),
        **{f"{name} capabilities": decoded(status[key]) for key, name in _SETS.items()},
        "no_new_privs": status["NoNewPrivs"],
        "seccomp": _SECCOMP.get(status["Seccomp"], status["Seccomp"]),
        "umask": status["Umask"],
        "oom_score_adj": _text(process / "oom_score_adj").strip(),
    }


def _status(process: Path) -> dict[str, str]:
    lines = _text(process / "status").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _map(file: Path) -> str:
    return ", ".join(" ".join(line.split()) for line in _text(file).splitlines())


def decoded(mask: str) -> str:
    """Name the capabilities in a hexadecimal mask of proc_pid_status(5)."""
    bits = int(mask, 16)
    names = [name.removeprefix("CAP_") for number, name in enumerate(NAMES) if bits >> number & 1]
    return " ".join(names) or "none"


def _rlimits(process: Path) -> dict[str, str]:
    """The table's columns stand apart by two spaces or more."""
    _heading, *lines = _text(process / "limits").splitlines()
    rows = [re.split(r"\s{2,}", line) for line in lines]
    return {what.removeprefix("Max "): f"{soft}:{hard}" for what, soft, hard, *_ in rows}


def _text(file: Path) -> str:
    """Names in it may be hostile, and no text at all."""
    return file.read_text(errors="backslashreplace")


READERS = {
    "namespaces": _namespaces,
    "root": _root,
    "mounts": _mounts,
    "cgroup": _cgroup,
    "credentials": _credentials,
    "rlimits": _rlimits,
}

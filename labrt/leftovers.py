"""What no container owns any more: the rest of a crash that no record tells of.

A container's own things go with its record (`removal.py`). Here is what a process can leave when it
dies before the record is whole, or while it makes something that isn't a container's. A new kind of
thing is one more line of `KINDS`.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from labrt import cgroups, networks, paths, removal, state
from labrt.cgroups import Cgroup
from labrt.images import store

CONTAINER = re.compile(r"lab-[0-9a-f]{8}")
BY_HAND = "hand-"  # followed by the pid of the notebook that makes cgroups in it by hand
OF_A_PROCESS = re.compile(rf"(?:{BY_HAND}|{cgroups.PROBE})(\d+)\b")
YOUNG = 3600.0  # seconds; what is younger may still be in the making


class Kind(NamedTuple):
    """A kind of thing: what it is called, those without an owner, and how one is removed."""

    name: str
    orphans: Callable[[], Iterable[Path]]
    remove: Callable[[Path], None]


def collect() -> list[str]:
    """Remove dead containers, then everything that no container owns; return what was removed.

    Raises:
        LabError, OSError: the kernel refused it.
    """
    removed = [f"container {container}" for container in removal.remove_dead()]
    for kind in KINDS:
        for orphan in kind.orphans():
            kind.remove(orphan)
            removed.append(f"{kind.name} {orphan}")
    return removed + [f"bridge of the network {name}" for name in networks.remove_unused()]


def _cgroups() -> list[Path]:
    names = [Path(cgroup.name) for cgroup in cgroups.all_cgroups()]
    known = {folder.name for folder in state.folders()}
    return [path for path in names if _unowned(path.name, known)]


def _unowned(cgroup: str, known: set[str]) -> bool:
    """A container's folder is made before its cgroup, and removed after it; what a process makes
    for itself bears its pid."""
    if CONTAINER.fullmatch(cgroup):
        return cgroup not in known
    maker = OF_A_PROCESS.match(cgroup)
    return maker is not None and not Path("/proc", maker[1]).exists()


def _remove_cgroup(name: Path) -> None:
    Cgroup(str(name)).remove()


def _names() -> list[Path]:
    """A link dangles where its container is gone."""
    return [link for link in _entries(state.names_dir()) if not _container_of(link).exists()]


def _container_of(link: Path) -> Path:
    try:
        return state.containers_dir() / link.readlink()
    except FileNotFoundError:
        return state.containers_dir()  # removed meanwhile: no orphan


def _launchers() -> list[Path]:
    """Folders of launchers to whose socket nobody listens."""
    found = filter(Path.is_dir, _entries(paths.run_dir(), "launcher-*"))
    return [folder for folder in found if _is_old(folder) and not _answers(folder / "socket")]


def _answers(address: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
        return probe.connect_ex(str(address)) == 0


def _half_written() -> list[Path]:
    """What is written aside and renamed once it is whole: containers' folders, layers, blobs."""
    blobs = store.folder() / "blobs" / "sha256"
    asides = [
        *_entries(state.containers_dir(), ".new-*"),
        *_entries(paths.home() / "layers", ".new-*"),
        *_entries(blobs, ".new-*"),
        *_entries(paths.home() / "seccomp", "tmp*"),
    ]
    return [path for path in asides if _is_old(path)]


def _entries(folder: Path, pattern: str = "*") -> list[Path]:
    return sorted(folder.glob(pattern))


def _is_old(path: Path) -> bool:
    try:
        return time.time() - path.lstat().st_mtime > YOUNG
    except FileNotFoundError:
        return False


def _remove_path(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        state.remove_tree(path)
    else:
        path.unlink(missing_ok=True)


KINDS = (
    Kind("cgroup", _cgroups, _remove_cgroup),
    Kind("name", _names, _remove_path),
    Kind("launcher", _launchers, _remove_path),
    Kind("half-written", _half_written, _remove_path),
)

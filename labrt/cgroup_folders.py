"""A cgroup is a folder: making it is mkdir(2), removing it rmdir(2), and only once it is empty
(cgroups(7)).

v2 wants a controller handed down at every level (cgroup.subtree_control), and no processes in a
cgroup that does so. v1's cpuset wants its CPUs named.

Lesson: notebook 10.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Collection
from pathlib import Path

from labrt import paths
from labrt.errors import LabError

REMOVE_SECONDS = 2.0


def make(
    folder: Path, controllers: Collection[str], exist_ok: bool = False, vacate: bool = True
) -> None:
    """mkdir -p, where each level first gets v2's `controllers` handed down (none in v1).

    Args:
        vacate: processes that stand in the way of that are moved; else those controllers stay
            above, and a limit that needs one has no file.

    Raises:
        FileExistsError: there is such a cgroup, and `exist_ok` is false.
    """
    try:
        if controllers:
            hand_down(folder.parent, controllers, vacate)
        os.mkdir(folder)
        os.chmod(folder, 0o755)  # whatever the umask: in v2 its container looks at it from inside
    except FileNotFoundError:
        make(folder.parent, controllers, exist_ok=True, vacate=vacate)
        make(folder, controllers, exist_ok, vacate)
    except FileExistsError:
        if not exist_ok:
            raise


def hand_down(folder: Path, controllers: Collection[str], vacate: bool = True) -> None:
    """Let the cgroups below a folder of v2's have its `controllers`."""
    control = folder / "cgroup.subtree_control"
    missing = set(controllers) - set(paths.read(control).split())
    if missing:  # only what is offered here can be handed on
        missing &= set(paths.read(folder / "cgroup.controllers").split())
    if not missing:
        return
    text = " ".join(f"+{name}" for name in sorted(missing))
    try:
        paths.write(control, text)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        if vacate:
            _vacate(folder)
            paths.write(control, text)


def _vacate(folder: Path) -> None:
    """Move its processes into a leaf: in v2, only a cgroup without processes of its own can limit
    those below it (cgroups(7), "no internal processes")."""
    leaf = folder / "labrt-leaf"
    leaf.mkdir(exist_ok=True)
    for pid in processes(folder):
        try:
            paths.write(leaf / "cgroup.procs", str(pid))
        except ProcessLookupError:
            pass  # it ended meanwhile


def fill_cpuset(folder: Path) -> None:
    """v1 lets no process into a cpuset that names no CPU or no memory node: give it its parent's,
    and have the kernel give them to those made below (cgroup.clone_children)."""
    for file in ("cpuset.cpus", "cpuset.mems"):  # each: another process may be filling the parent
        if not paths.read(f"{folder}/{file}").strip():
            fill_cpuset(folder.parent)
            paths.write(folder / file, paths.read(folder.parent / file))
            paths.write(folder / "cgroup.clone_children", "1")


def processes(folder: Path) -> list[int]:
    """Return the pids in a cgroup, not those below it; content to find no such cgroup."""
    try:
        return [int(pid) for pid in (folder / "cgroup.procs").read_text().split()]
    except FileNotFoundError:
        return []
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:  # a threaded cgroup: its processes count above it
            raise
        return []


def tree(folder: Path) -> list[Path]:
    """Return a cgroup after all those below it: rmdir(2) takes them in this order."""
    try:
        with os.scandir(folder) as entries:
            below = [Path(entry.path) for entry in entries if entry.is_dir()]
    except FileNotFoundError:
        return []
    return [inner for each in below for inner in tree(each)] + [folder]


def remove(folder: Path, patience: float = REMOVE_SECONDS) -> None:
    """Remove one folder; content to find none. For a moment after its last process has ended, a
    cgroup still counts as in use.

    Raises:
        LabError: it was in use for `patience` seconds.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            return os.rmdir(folder)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
        if time.monotonic() >= deadline:
            raise LabError(f"remove the cgroup {folder}", "EBUSY: it is still in use", "", "retry")
        time.sleep(0.0005)

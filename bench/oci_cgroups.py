"""The cgroups that others make for the lab's containers: runc, crun, Podman.

They make theirs in every hierarchy that is mounted, also where labrt makes none (v1's devices,
systemd's own), and leave behind what lies above. So each instance has one directly below the
hierarchies' roots, called after the lab and the instance, and it is removed wherever it is.

Host side. Man page: cgroups(7).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

from bench.client import ended
from labrt import cgroup_folders as folders
from labrt.cgroups import KILL_SECONDS, Cgroup, top


def name(instance: str) -> str:
    """Return the cgroup of an instance, by its path below each hierarchy's root."""
    return f"{top()}-{instance}"


def doors(cgroup: Cgroup) -> list[Path]:
    """Return the files into which a process writes "0" to move itself into a cgroup, in every
    hierarchy. In v1 a single thread then needs no lock against every fork of the machine."""
    v2 = cgroup.birth_folder()
    return [each / "tasks" for each in cgroup.v1_folders()] + ([v2 / "cgroup.procs"] if v2 else [])


def remove(pattern: str) -> list[str]:
    """Kill what is in the cgroups whose names match, remove them; return their names.

    Raises:
        LabError: one is still in use.
    """
    found = _matching(pattern)
    for outermost in found:
        for folder in folders.tree(outermost):
            _empty(folder)
            folders.remove(folder)
    return sorted({folder.name for folder in found})


def empty(pattern: str) -> None:
    """Kill what is in the cgroups whose names match, and wait until it has ended."""
    for outermost in _matching(pattern):
        for folder in folders.tree(outermost):
            _empty(folder)


def _matching(pattern: str) -> list[Path]:
    return [folder for point in _points() for folder in point.glob(pattern)]


def leftovers() -> list[str]:
    """Remove those of this lab's instances; return their names."""
    return remove(name("lab-*"))


def _empty(folder: Path) -> None:
    """A process leaves its cgroup a little before it has ended: its end is what is waited for."""
    killed = []
    for pid in filter(None, folders.processes(folder)):  # to kill(2), 0 means ourselves
        try:
            killed.append(os.pidfd_open(pid))
            signal.pidfd_send_signal(killed[-1], signal.SIGKILL)
        except ProcessLookupError:
            pass  # it has ended meanwhile
    for pidfd in killed:
        ended(pidfd, KILL_SECONDS)
        os.close(pidfd)


def _points() -> Iterator[Path]:
    """Return where cgroup hierarchies are mounted (/proc/self/mountinfo, proc(5))."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        if after.split()[0] in ("cgroup", "cgroup2"):
            yield Path(before.split()[4])

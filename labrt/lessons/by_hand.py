"""Cgroups made by hand: where a lesson may make some, which there are, and their removal.

A lesson's own are below one cgroup, `hand-PID`, of the lab's, named by the notebook's process, so
that its clean-up takes nobody else's. In it, mkdir(2) makes a cgroup, and a write into cgroup.procs
moves a process (cgroups(7)).
"""

from __future__ import annotations

import os
from pathlib import Path

from labrt import cgroup_folders, cgroups
from labrt.cgroups import Cgroup
from labrt.errors import LabError
from labrt.leftovers import BY_HAND


def folder(controller: str) -> Path:
    """Return the cgroup below which this lesson makes its own with that controller (v2's name).

    Raises:
        LabError: this user may make none on this host, or it has no such controller.
    """
    own = _own_made()
    found = cgroups.layout().controllers
    if controller not in found:
        raise LabError(
            f"make a cgroup with the controller {controller}",
            "this user has no such controller here",
            remedy="run as root, or boot with it",
        )
    return found[controller] / own.name


def make(name: str) -> Cgroup:
    """Make a cgroup of this lesson's in every hierarchy, if it isn't there yet, and return it.

    Raises:
        LabError: this user may make none on this host.
    """
    cgroup = Cgroup(f"{_own_made().name}/{name}")
    return cgroup if cgroup.exists() else Cgroup.create(cgroup.name)


def echo(cgroup: Cgroup, file: str, value: str) -> None:
    """Write a v2 file as a shell would on this host, and print each of those lines.

    Raises:
        LabError: this host has no controller for it.
        OSError: the kernel refused it.
    """
    for path, text in cgroup.files(file, value).items():
        print(f"echo {text} > {path}")
        path.write_text(text)


def made(controller: str) -> dict[str, Path]:
    """Return the cgroups with that controller that this LAB_HOME's lessons have made by hand:
    name → folder."""
    base = cgroups.layout().controllers.get(controller)
    if base is None:
        return {}
    parents = (base / cgroups.top()).glob(f"{BY_HAND}*")
    return {each.name: each for parent in parents for each in _below(parent)}


def every() -> list[Cgroup]:
    """Return all cgroups that this LAB_HOME's lessons have made by hand, in any hierarchy."""
    names = set()
    for base in cgroups.layout().folders:
        for parent in (base / cgroups.top()).glob(f"{BY_HAND}*"):
            names |= {str(each.relative_to(base)) for each in _below(parent)}
    return [Cgroup(name) for name in sorted(names)]


def remove() -> int:
    """Remove what this process's lesson has made, ending the processes in it; return how many
    cgroups that were.

    Raises:
        LabError: one is still in use, or this process itself is in one.
    """
    if cgroups.unavailable() or not _own().exists():
        return 0
    if os.getpid() in _own().processes():
        raise LabError(
            f"end the processes in {_own().name}",
            "this notebook's own is one of them",
            remedy="restart the notebook's kernel, then run labrt gc in a terminal",
        )
    own = [base / _own().name for base in cgroups.layout().folders]
    names = {inner.relative_to(folder) for folder in own for inner in _below(folder)}
    _own().remove()
    cgroups.remove_top()
    return len(names)


def _own_made() -> Cgroup:
    """Make the cgroup that holds this lesson's own, where it isn't there yet.

    Raises:
        LabError: this user may make none on this host.
    """
    if reason := cgroups.unavailable():
        raise LabError("make a cgroup by hand", reason)
    own, unified = _own(), cgroups.layout().unified
    if not own.exists():
        Cgroup.create(own.name)
        if unified:
            cgroup_folders.hand_down(unified / own.name, cgroups.layout().v2)
    return own


def _own() -> Cgroup:
    return Cgroup(f"{cgroups.top()}/{BY_HAND}{os.getpid()}")


def _below(parent: Path) -> list[Path]:
    return [inner for inner in cgroup_folders.tree(parent) if inner != parent]
